"""What of real frames is outside what a model was trained on, and whether their noise is what they are said to have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from denoise import vst
from denoise.audit_figures import Estimate
from denoise.repeats import tiles_of
from xsim import MeasurementError, neighbour_correlation

__all__ = ["Range", "noise_correlation", "range_of"]

SLACK = 0.05  # of a limit: no word so close to it
SPREAD_SLACK = 0.25  # of sum h^2, which frames tell roughly
REACH_PX = 8
BAD = 10.0  # times the common variance: a pixel by itself


@dataclass(frozen=True)
class Range:
    """Noise and levels of frames in units of the noise law, against those trained on.

    Attributes
    ----------
    noise_sd : Estimate
        Standard deviation of T(y) from frame to frame: 1 where a and b are the camera's.
    noise_sd_map : float64 [tile]
        The same of each tile; nan where no pixel counts.
    outside : bool [row, column]
        Pixels whose level T is beyond those trained on; none where the model does not tell them.
    outside_share : float
    level_low, level_high : float
        Of the frames.
    trained_low, trained_high : float or None
    spread_sum_squares : float or None
        Of the light's kernel, as the correlation of the noise tells it.
    conditions : list of str
        What else is outside, in words.
    """

    noise_sd: Estimate
    noise_sd_map: np.ndarray
    outside: np.ndarray
    outside_share: float
    level_low: float
    level_high: float
    trained_low: float | None
    trained_high: float | None
    spread_sum_squares: float | None
    conditions: list[str]


def range_of(
    noisy: np.ndarray,
    mean: np.ndarray,
    a: Any,
    b: Any,
    valid: np.ndarray,
    trained: Mapping[str, Any],
    conditions: list[str],
    correlation: np.ndarray | None,
) -> Range:
    """Noise and levels of frames.

    Parameters
    ----------
    noisy : [frame, row, column] ADU
        At one brightness.
    mean : float64 [row, column] ADU
    a, b : float or array
        Var y = a y + b.
    valid : bool [row, column]
    trained : mapping
        Configuration of the model: pixel_levels, conditions.
    conditions : list of str
        What else is outside.
    correlation : float64 [2 reach + 1, 2 reach + 1], optional
        Of the noise.
    """
    variance = np.zeros(mean.shape)
    levels = vst.forward(mean, a, b)
    for frame in noisy:
        variance += (vst.forward(frame.astype(np.float64), a, b) - levels) ** 2
    # about T of the mean, not the mean of T: further off by much less than an error of 1 % in a dozen quanta
    variance /= len(noisy) - 1
    limit = BAD * float(np.median(variance[valid]))
    good = valid & (variance < limit)
    tiles = tiles_of(mean.shape)
    by_tile = np.array([float(variance[t][good[t]].mean()) if good[t].any() else np.nan for t in tiles])
    known = by_tile[np.isfinite(by_tile)]
    error = float(known.std(ddof=1)) / len(known) ** 0.5 if len(known) > 1 else np.inf
    sd = float(variance[good].mean()) ** 0.5
    low, high = trained.get("pixel_levels") or (None, trained.get("conditions", {}).get("level", (None, None))[1])
    outside = np.zeros(mean.shape, bool)
    if low is not None:
        outside |= levels < low * (1 - SLACK)
    if high is not None:
        outside |= levels > high * (1 + SLACK)
    outside &= valid
    squares = None if correlation is None or correlation.sum() <= 0 else float(1.0 / correlation.sum())
    return Range(
        Estimate.of(sd, 0.5 * error / sd, max(len(known) - 1, 1)), np.sqrt(by_tile), outside,
        float(outside.sum() / max(valid.sum(), 1)), *map(float, np.percentile(levels[valid], [0.1, 99.9])),
        low, high, squares, [*conditions, *spread_outside(squares, trained)],
    )  # fmt: skip


def spread_outside(squares: float | None, trained: Mapping[str, Any]) -> list[str]:
    """Whether noise is correlated over more or fewer neighbours than in training, in words."""
    limits = trained.get("conditions", {}).get("kernel_sum_squares")
    if squares is None or limits is None:
        return []
    low, high = limits
    if low * (1 - SPREAD_SLACK) <= squares <= high * (1 + SPREAD_SLACK):
        return []
    return [
        f"noise correlated as by a kernel of sum of squares {squares:.3g}, trained on {low:.3g} to {high:.3g}",
    ]


def noise_correlation(frames: np.ndarray) -> np.ndarray | None:
    """Autocorrelation of what frames differ by, float64 [2 reach + 1, 2 reach + 1]; None of frames too small for it."""
    try:
        return neighbour_correlation(frames, REACH_PX).coefficient
    except MeasurementError:
        return None
