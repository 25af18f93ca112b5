"""Photon transfer: the variance of a pixel against its mean, from pairs of frames (EMVA 1288, Janesick)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xsim.errors import MeasurementError
from xsim.noise_power import frames_of

__all__ = ["PhotonTransfer", "pair_variance", "photon_transfer"]

LINEAR_SHARE = 0.7  # of the full well, as EMVA 1288 fits
FALLEN = 0.9  # a variance below this share of the greatest, at a higher mean, is that of a full well


@dataclass(frozen=True)
class PhotonTransfer:
    """Photon transfer curve and the line through it.

    Attributes
    ----------
    mean_adu, variance_adu2 : float64 [level]
        By ascending mean; the mean with its offset.
    used : bool [level]
        Levels of the fit.
    slope_adu, slope_error_adu : float
        Pixelwise slope and its standard error. With light that spreads it is gain times sum h^2, not the gain.
    intercept_adu2 : float
        Variance of the line at a mean of 0 ADU.
    full_well_adu : float or None
        Mean at the greatest variance; None where the variance grows to the last level.

    """

    mean_adu: np.ndarray
    variance_adu2: np.ndarray
    used: np.ndarray
    slope_adu: float
    slope_error_adu: float
    intercept_adu2: float
    full_well_adu: float | None


def photon_transfer(levels: Sequence[np.ndarray]) -> PhotonTransfer:
    """Photon transfer curve of flat frames.

    Parameters
    ----------
    levels : sequence of [frame, row, column] ADU
        Two frames or more of each level; a dark level may be among them.

    Raises
    ------
    MeasurementError
        Fewer than two levels, or a level of one frame.

    Source: EMVA Standard 1288, release 4.0 linear, 6.5 to 6.7: frames are subtracted pair by pair, so that no fixed
    pattern counts, and the line is fitted to 70 % of the full well.

    """
    if len(levels) < 2:
        raise MeasurementError(f"{len(levels)} level given (a slope needs two) add frames at another exposure")
    points = np.array([pair_variance(level) for level in levels])
    points = points[np.argsort(points[:, 0])]
    mean, variance, degrees = points.T
    top = int(np.argmax(variance))
    full = bool((variance[top + 1 :] < FALLEN * variance[top]).any())
    used = mean <= LINEAR_SHARE * mean[top] if full else np.ones(len(mean), bool)
    if used.sum() < 2 or mean[used][0] == mean[used][-1]:
        raise MeasurementError("fewer than two levels below 70 % of the full well (no slope) add darker ones")
    error = variance[used] * np.sqrt(2.0 / degrees[used])
    weight = 1.0 / np.maximum(error, 1e-9 * max(float(variance.max()), 1e-300))
    design = np.column_stack([mean[used], np.ones(used.sum())]) * weight[:, None]
    solution = np.linalg.lstsq(design, variance[used] * weight, rcond=None)[0]
    spread = np.linalg.inv(design.T @ design)
    return PhotonTransfer(
        mean, variance, used, float(solution[0]), float(np.sqrt(spread[0, 0])), float(solution[1]),
        float(mean[top]) if full else None,
    )  # fmt: skip


def pair_variance(frames: np.ndarray) -> tuple[float, float, int]:
    """Mean, variance of a pixel from the differences of frame pairs, and the pixels that went into it."""
    stack = frames_of(frames)
    if len(stack) < 2:
        raise MeasurementError("one frame of a level (its noise is told from its pattern by two) give two or more")
    pairs = len(stack) // 2
    found = [np.subtract(stack[2 * k], stack[2 * k + 1], dtype=np.float64).var(ddof=1) / 2 for k in range(pairs)]
    return float(stack.mean(dtype=np.float64)), float(np.mean(found)), pairs * stack[0].size
