"""Intervals by drawing images again: what a figure would have been on other images of the same kind.

Source: Efron, Tibshirani, An Introduction to the Bootstrap, 1993 (percentile intervals).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

__all__ = ["Figure", "figure_of", "mean_figure", "ratio_figure"]

RESAMPLES = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Figure:
    """A figure and its 95 % interval over images; the interval is None where there are fewer than three."""

    value: float
    low: float | None
    high: float | None

    def plain(self) -> dict[str, float | None]:
        """For a JSON file."""
        return asdict(self)


def figure_of(images: int, statistic: Callable[[np.ndarray], np.ndarray], seed: int = 0) -> Figure | None:
    """A statistic of images.

    Parameters
    ----------
    images : int
    statistic : callable
        From int64 [resample, image], places of images, to float64 [resample].
    seed : int

    Returns
    -------
    Figure, or None where the statistic of all images is no number.
    """
    whole = float(statistic(np.arange(images)[None])[0]) if images else float("nan")
    if not np.isfinite(whole):
        return None
    if images < 3:
        return Figure(whole, None, None)
    drawn = statistic(np.random.default_rng(seed).integers(0, images, (RESAMPLES, images)))
    drawn = drawn[np.isfinite(drawn)]
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Figure(whole, float(low), float(high))


def mean_figure(values: np.ndarray) -> Figure | None:
    """Mean over images, float64 [image]; those without a number (NaN) aside."""
    known = values[np.isfinite(values)]
    return figure_of(len(known), lambda places: known[places].mean(axis=1))


def ratio_figure(above: np.ndarray, below: np.ndarray) -> Figure | None:
    """Sum over images of one number over the sum of another, float64 [image] each."""

    def ratio(places: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(above[places].sum(axis=1) / below[places].sum(axis=1))

    return figure_of(len(above), ratio)
