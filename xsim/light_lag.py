"""Lag: light that a screen gives off late, in the next frames of a panel or the next lines of a line scan.

A share a of the light decays with the time t. Of quanta that come evenly over a period T the share that is seen m
periods later is

    w_m = a t / T (1 - q)^2 q^(m - 1), q = exp(-T / t), m = 1, 2, ...    and w_0 = 1 - sum w_m

summed over the components. A steady image keeps its mean; its noise is averaged over the periods: the variance of the
quanta falls by sum w^2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xsim.screen import Scintillator

__all__ = ["Lag", "lag_of"]

LEFT = 1e-4  # share of the light that comes too late to count
MOST_FRAMES = 16  # frames before that are drawn
MOST_LINES = 64  # lines before the first one that are projected; before them all are as the first
SUMMED = 4096  # periods that a variance is summed over


@dataclass(frozen=True, eq=False)
class Lag:
    """Late light at one period.

    Attributes
    ----------
    own : float
        w_0: share of a period's light that is of its own quanta.
    first, ratio : float64 [component]
        w_1 of each, and q.

    """

    own: float
    first: np.ndarray
    ratio: np.ndarray

    def weights(self, periods: int) -> np.ndarray:
        """w_0 to w_m, m = ``periods``; their sum lacks what comes later."""
        later = self.first @ self.ratio[:, None] ** np.arange(periods)
        return np.concatenate([[self.own], later])

    def reach(self, most: int) -> int:
        """Periods after which no more than 1e-4 of the light is left, ``most`` at the most."""
        left = (self.first / (1.0 - self.ratio)) @ self.ratio[:, None] ** np.arange(most + 1)
        return int(np.argmax(left <= LEFT)) if (left <= LEFT).any() else most

    @property
    def frames(self) -> np.ndarray:
        """Weights of a frame and those before it that are drawn; what is older adds its mean only."""
        return self.weights(self.reach(MOST_FRAMES))

    @property
    def lines(self) -> int:
        """Lines before the first one of a scan that it needs."""
        return self.reach(MOST_LINES)

    def noise(self, frames: int | None) -> float:
        """Variance over that without lag: of the mean of so many frames in a row, times their number; None of lines."""
        weights = self.weights(SUMMED) if frames is None else self.frames
        count = frames or 1
        return float((np.convolve(np.ones(count), weights) ** 2).sum() / count)

    def along(self, lines: Any, late: int) -> Any:
        """Lines with the light of those before them, float32 [row - 2 late, column].

        ``late`` lines stand before the first and after the last; the lines before those are taken as the first.
        """
        rows = len(lines) - 2 * late
        states = [lines[0] / np.float32(1.0 - q) for q in self.ratio]
        found = np.float32(self.own) * lines[late : late + rows]
        for row in range(late + rows):
            if row >= late:
                for first, state in zip(self.first, states, strict=True):
                    found[row - late] += np.float32(first) * state
            states = [lines[row] + np.float32(q) * state for q, state in zip(self.ratio, states, strict=True)]
        return found


def lag_of(screen: Scintillator, period_s: float) -> Lag | None:
    """Lag of a screen; None without, and where less than 1e-4 of the light is late.

    Parameters
    ----------
    screen : Scintillator
    period_s : float
        From frame to frame, or from line to line.

    """
    if not screen.lag or not period_s > 0:
        return None
    share, time_ms = np.array(screen.lag, np.float64).T
    periods = 1000.0 * period_s / time_ms
    ratio, late = np.exp(-periods), share / periods * -np.expm1(-periods)
    if late.sum() <= LEFT:
        return None
    return Lag(1.0 - float(late.sum()), late * -np.expm1(-periods), ratio)
