"""The focal spot: points that stand for its area, all of equal share.

Size is the effective size, as seen along the beam. EN 12543 and ASTM E1165 take it from the integrated line profile:
the stretch between 16 % and 84 % of the emission, divided by 0.68. For a uniform spot that is its width, for a
Gaussian one 2.925 of its standard deviations.

The points are a rank-1 lattice (Korobov 1959; Niederreiter 1992, section 5) symmetric about the middle, put through
the quantile function of the spot: N points have N different coordinates along either side, so that the penumbra of an
edge has N steps, where a square grid has sqrt(N).
"""

from __future__ import annotations

import functools
from pathlib import Path
from statistics import NormalDist

import numpy as np
import tifffile

from xsim.errors import SceneError
from xsim.source import Source

__all__ = ["SIGMAS_PER_SIZE", "sample_count", "spot_points", "spot_size_mm"]

#: Effective size of a Gaussian spot in standard deviations: (quantile(84 %) - quantile(16 %)) / 0.68.
SIGMAS_PER_SIZE = 2 * NormalDist().inv_cdf(0.84) / 0.68
STEPS_PER_PIXEL = 4  # steps of the penumbra per pixel that it covers
LEAST_PENUMBRA_PX = 0.1  # narrower than this, a point does
LEAST_SAMPLES, MOST_SAMPLES = 13, 127
IMAGE_FORMATS = (".tif", ".tiff", ".png", ".npy")


def spot_size_mm(source: Source) -> tuple[float, float]:
    """Width and height of the area that the points cover nearly all of; (0, 0) for a point."""
    if source.effective_focal_spot_mm is not None:
        return both(source.effective_focal_spot_mm)
    if source.focal_spot_sigma_mm is not None:
        width, height = both(source.focal_spot_sigma_mm)
        return SIGMAS_PER_SIZE * width, SIGMAS_PER_SIZE * height
    if source.focal_spot_file is None:
        return 0.0, 0.0
    emission, pixel = read_spot(source.focal_spot_file), source.focal_spot_pixel_mm or 0.0
    lit = emission > 0.02 * emission.max()
    width, height = (pixel * (1.0 + np.ptp(np.flatnonzero(lit.any(axis=k)))) for k in (0, 1))
    return float(width), float(height)


def both(size: float | tuple[float, float]) -> tuple[float, float]:
    return size if isinstance(size, tuple) else (size, size)


def sample_count(source: Source, penumbra_px: float) -> int:
    """Number of points: what the scene asks for, or four for every pixel of the widest penumbra, 13 to 127, odd."""
    if not source.has_focal_spot:
        return 1
    if source.focal_spot_samples is not None:
        return source.focal_spot_samples
    if penumbra_px < LEAST_PENUMBRA_PX:
        return 1
    return int(np.clip(2 * int(STEPS_PER_PIXEL * penumbra_px / 2) + 1, LEAST_SAMPLES, MOST_SAMPLES))


def spot_points(source: Source, count: int) -> np.ndarray:
    """Points of a focal spot.

    Parameters
    ----------
    source : Source
    count : int
        Odd.

    Returns
    -------
    float64 [count, 2] mm
        Along the width and the height, their mean at (0, 0): the spot's middle, an image's centre of mass. The first is
        the one nearest to it, at it but for an image. A Gaussian spot's points have exactly its variance.

    Raises
    ------
    SceneError
        The image of the spot is missing or is none.

    """
    if count == 1:
        return np.zeros((1, 2))
    uniform = lattice(count)
    if source.focal_spot_file is not None:
        return by_emission(uniform, read_spot(source.focal_spot_file)) * (source.focal_spot_pixel_mm or 0.0)
    if source.focal_spot_shape == "uniform":
        return np.asarray((uniform - 0.5) * both(source.effective_focal_spot_mm or 0.0))
    # of each of the n slices of equal emission its mean, which keeps nearly all of the variance; then all of it
    ends = np.array([NormalDist().inv_cdf(k / count) for k in range(1, count)])
    density = np.pad(np.exp(-0.5 * ends**2) / np.sqrt(2 * np.pi), 1)
    points = -count * np.diff(density)[np.rint(uniform * count - 0.5).astype(int)]
    spread = np.linalg.cholesky(points.T @ points / count)
    points = np.linalg.solve(spread, points.T).T
    if source.focal_spot_sigma_mm is not None:
        return np.asarray(points * both(source.focal_spot_sigma_mm))
    return np.asarray(points * both(source.effective_focal_spot_mm or 0.0) / SIGMAS_PER_SIZE)


@functools.lru_cache(maxsize=32)
def lattice(count: int) -> np.ndarray:
    """Points (k / n, k g / n) on the unit torus, odd n, moved to (1/2, 1/2): g keeps the nearest two farthest apart."""
    k = np.arange(1, count)
    best, best_gap = 1, 0.0
    for generator in range(1, count // 2 + 1):
        if np.gcd(generator, count) > 1:
            continue
        x, y = k / count, k * generator % count / count
        gap = float((np.minimum(x, 1 - x) ** 2 + np.minimum(y, 1 - y) ** 2).min())
        if gap > best_gap:
            best, best_gap = generator, gap
    k = np.arange(count)
    points = np.stack([k, k * best % count], axis=1) / count + 0.5
    points = np.where(points >= 1, points - 1, points)
    points.setflags(write=False)
    return points


def by_emission(uniform: np.ndarray, emission: np.ndarray) -> np.ndarray:
    """Uniform points to points as dense as an image [row, column] is bright, in pixels, their mean at (0, 0)."""
    points = np.empty_like(uniform)
    for place, (u, v) in zip(points, uniform, strict=True):
        place[0], column = quantile(emission.sum(axis=0), u)
        place[1], _ = quantile(emission[:, column], v)
    points -= points.mean(axis=0)
    return np.asarray(points[np.argsort((points**2).sum(axis=1), kind="stable")])


def quantile(density: np.ndarray, share: float) -> tuple[float, int]:
    """Where a histogram over pixels reaches a share of its sum, and in which pixel; pixel k is k - 1/2 to k + 1/2."""
    ends = np.cumsum(density)
    wanted = share * ends[-1]
    pixel = int(np.searchsorted(ends, wanted))
    return float(pixel + 0.5 - (ends[pixel] - wanted) / density[pixel]), pixel


@functools.lru_cache(maxsize=8)
def read_spot(path: Path) -> np.ndarray:
    """Grey image of a focal spot, float64 [row, column].

    Raises
    ------
    SceneError
        It is missing, no grey image, or has no emission.

    """
    if not path.is_file():
        raise SceneError(f"focal_spot_image {path} not found (no such file) give its path relative to the scene")
    if path.suffix.lower() not in IMAGE_FORMATS:
        known = ", ".join(IMAGE_FORMATS)
        raise SceneError(f"focal_spot_image {path.name} not read (format {path.suffix!r}) use one of {known}")
    try:
        image = np.asarray(load_grey(path), np.float64)
    except Exception as error:  # readers raise whatever their parsers raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SceneError(f"focal_spot_image {path.name} not read ({reason}) check the file") from error
    if image.ndim != 2 or not np.isfinite(image).all() or image.min(initial=0.0) < 0 or not image.sum() > 0:
        raise SceneError(
            f"focal_spot_image {path.name} is no emission (shape {image.shape}; it needs rows and columns of numbers, "
            "none negative, some above 0) subtract the background and clip it"
        )
    image.setflags(write=False)
    return image


def load_grey(path: Path) -> np.ndarray:
    if path.suffix.lower() == ".npy":
        return np.asarray(np.load(path, allow_pickle=False))
    if path.suffix.lower() == ".png":
        from PIL import Image

        with Image.open(path) as picture:
            return np.asarray(picture)
    return np.asarray(tifffile.imread(path))
