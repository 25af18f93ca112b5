"""Lag: light that a screen gives off late, in the next frames of a panel or the next lines of a line scan.

A share a of the light decays with the time t. Of quanta that come evenly over a period T the share that is seen m
periods later is

    w_m = a t / T (1 - q)^2 q^(m - 1), q = exp(-T / t), m = 1, 2, ...    and w_0 = 1 - sum w_m

summed over the components. A steady image keeps its mean; its noise is averaged over the periods: the variance of the
quanta falls by sum w^2.
"""

from __future__ import annotations

import numpy as np

from xsim.screen import Scintillator

__all__ = ["lag_noise", "lag_weights"]

LEFT = 1e-4  # share of the light that may come later than the last period; it is put there
MOST_PERIODS = 64


def lag_weights(screen: Scintillator, period_s: float) -> np.ndarray | None:
    """Share of a period's light that is of its own quanta, of those one period before, and so on; None without lag.

    Parameters
    ----------
    screen : Scintillator
    period_s : float
        From frame to frame, or from line to line.

    Returns
    -------
    float64 [period], sum 1.

    """
    if not screen.lag:
        return None
    later = np.arange(1, MOST_PERIODS + 1)
    late = np.zeros(MOST_PERIODS)
    for share, time_ms in screen.lag:
        periods = 1000.0 * period_s / time_ms
        late += share / periods * np.expm1(-periods) ** 2 * np.exp(-periods * (later - 1))
    whole = sum(share * time_ms / (1000.0 * period_s) * -np.expm1(-1000.0 * period_s / time_ms)
                for share, time_ms in screen.lag)  # fmt: skip
    rest = whole - np.cumsum(late)
    last = int(np.argmax(rest <= LEFT)) if (rest <= LEFT).any() else MOST_PERIODS - 1
    weights = np.concatenate([[1.0 - whole], late[: last + 1]])
    weights[-1] += rest[last]
    return np.asarray(weights) if len(weights) > 1 and whole > LEFT else None


def lag_noise(weights: np.ndarray | None, frames: int = 1) -> float:
    """Variance of the mean of so many frames in a row over that of one without lag, times their number."""
    if weights is None:
        return 1.0
    return float((np.convolve(np.ones(frames), weights) ** 2).sum() / frames)
