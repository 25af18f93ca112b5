"""Figures of a restorer f from repeated frames y_i of a scene x that nobody knows: error, bias, what it took away.

Frames are independent, so the product of two of them is on average that of the scene with itself, and

    E |f(y) - x|^2  =  E <f(y_i), f(y_i)> - 2 E <f(y_i), y_j> + E <y_j, y_k>,    i != j != k

has no bias: a frame is never compared with itself, and no noise model is asked. It is E |f(y_1) - y_2|^2 less the
noise's variance, over all pairs there are (Lehtinen et al. 2018 train by the same identity). Every figure is a sum over
pairs of frames, and the interval is the jackknife's: all of it again without each frame in turn (Efron, Stein 1981).

What is common to all frames, a camera's fixed pattern too, counts as the scene.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, stats

from denoise.repeats import tiles_of

__all__ = ["Bias", "Estimate", "Products", "bias_of", "error_of", "pair_products", "structure_share"]

CONFIDENCE = 0.95
LEVEL_BANDS = 6
LEVEL_SMOOTH_PX = 4.0  # regions are chosen by an image that a pixel's own noise hardly moves


@dataclass(frozen=True)
class Estimate:
    """A number and its interval of 95 %."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, error: float, degrees: int) -> Estimate:
        """From a standard error that is known as well as a variance of so many degrees of freedom."""
        reach = float(stats.t.isf(0.5 * (1.0 - CONFIDENCE), degrees)) * error
        return cls(float(value), float(value - reach), float(value + reach))


@dataclass(frozen=True)
class Products:
    """Sums over the valid pixels of an image, all relative to the mean frame.

    Attributes
    ----------
    restored_restored, restored_noisy, noisy_noisy : float64 [tile, frame, frame]
        Of f(y_i) f(y_j), f(y_i) y_j and y_i y_j.
    restored, noisy : float64 [tile, frame]
        Of f(y_i) and y_i.
    pixels : int64 [tile]
    signal : float64 [tile]
        Mean signal above black.
    """

    restored_restored: np.ndarray
    restored_noisy: np.ndarray
    noisy_noisy: np.ndarray
    restored: np.ndarray
    noisy: np.ndarray
    pixels: np.ndarray
    signal: np.ndarray

    def total(self, name: str) -> np.ndarray:
        """Of all tiles, per pixel."""
        return np.asarray(getattr(self, name).sum(axis=0) / max(int(self.pixels.sum()), 1))


def pair_products(
    noisy: np.ndarray, restored: np.ndarray, brightness: np.ndarray, black_adu: float, valid: np.ndarray
) -> Products:
    """Products of all pairs of frames [frame, row, column] ADU, by tile, at the mean brightness."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in Products.__dataclass_fields__}
    for tile in tiles_of(noisy.shape[1:]):
        kept = valid[tile]
        y, f = (
            (stack[:, *tile][:, kept].astype(np.float64) - black_adu) / brightness[:, None]
            for stack in (noisy, restored)
        )
        mean = y.mean(axis=0)
        y, f = y - mean, f - mean
        sums = (f @ f.T, f @ y.T, y @ y.T, f.sum(axis=1), y.sum(axis=1), kept.sum(), mean.mean() if kept.any() else 0.0)
        for name, each in zip(found, sums, strict=True):
            found[name].append(np.asarray(each))
    return Products(**{name: np.stack(each) for name, each in found.items()})


def apart(matrix: np.ndarray) -> float:
    """Mean of a matrix [frame, frame] off its diagonal."""
    count = len(matrix)
    return float((matrix.sum() - np.trace(matrix)) / (count * (count - 1)))


def jackknifed(figure: Callable[..., float], *matrices: np.ndarray) -> Estimate:
    """A figure of matrices [frame, frame], and its interval: without each frame in turn."""
    count = len(matrices[0])
    kept = [np.delete(np.arange(count), k) for k in range(count)]
    without = np.array([figure(*(m[np.ix_(each, each)] for m in matrices)) for each in kept])
    error = float(np.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum()))
    return Estimate.of(figure(*matrices), error, count - 1)


def squared_error(ff: np.ndarray, fy: np.ndarray, yy: np.ndarray) -> float:
    return float(np.trace(ff) / len(ff) - 2.0 * apart(fy) + apart(yy))


def noise_variance(yy: np.ndarray) -> float:
    return float(np.trace(yy) / len(yy) - apart(yy))


def error_of(products: Products) -> dict[str, Estimate | None]:
    """Mean squared error of a pixel, noise variance [ADU^2], and the gain in dB; None where no error stands out."""
    ff, fy, yy = (products.total(name) for name in ("restored_restored", "restored_noisy", "noisy_noisy"))

    def gain(*matrices: np.ndarray) -> float:
        return float(10.0 * np.log10(noise_variance(matrices[2]) / max(squared_error(*matrices), 1e-30)))

    error = jackknifed(squared_error, ff, fy, yy)
    return {
        "squared_error_adu2": error,
        "noise_variance_adu2": jackknifed(noise_variance, yy),
        "gain_db": jackknifed(gain, ff, fy, yy) if error.low > 0 else None,
    }


def tile_gains_db(products: Products) -> np.ndarray:
    """Gain of each tile [tile] in dB; nan where its error does not stand out or no pixel is valid."""
    triples = zip(products.restored_restored, products.restored_noisy, products.noisy_noisy, strict=True)
    pairs = np.array([(squared_error(*three), noise_variance(three[2])) for three in triples])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((pairs > 0).all(axis=1), 10.0 * np.log10(pairs[:, 1] / pairs[:, 0]), np.nan)


def structure_share(products: Products) -> Estimate:
    """Share of what was taken away, y - f(y), that is the same in every frame: not noise, but the scene."""
    ff, fy, yy = (products.total(name) for name in ("restored_restored", "restored_noisy", "noisy_noisy"))
    return jackknifed(lambda r: apart(r) / (float(np.trace(r)) / len(r)), yy - fy - fy.T + ff)


@dataclass(frozen=True)
class Bias:
    """Mean of f(y) - y over a region and the frames, relative to the signal there.

    Attributes
    ----------
    region : str
    share, error : float
        Relative bias and its standard error.
    signal_adu : float
    sure_share : float
        As much of it, in size, as no chance explains, over all regions looked at (Sidak, 5 %).
    """

    region: str
    share: float
    error: float
    signal_adu: float
    sure_share: float


def bias_of(
    noisy: np.ndarray, restored: np.ndarray, brightness: np.ndarray, black_adu: float, valid: np.ndarray
) -> tuple[Bias, list[Bias], list[Bias]]:
    """Bias of the whole image, of bands of grey level, and of tiles.

    Levels are those of the smoothed mean frame: chosen by the noisy one, a region's bias would be that of the choice.
    """
    shape = valid.shape
    change = np.stack(
        [((f.astype(np.float64) - y) / g)[valid] for f, y, g in zip(restored, noisy, brightness, strict=True)]
    )
    mean = np.mean([(y - black_adu) / g for y, g in zip(noisy, brightness, strict=True)], axis=0)
    signal = mean[valid]
    level = ndimage.gaussian_filter(mean, LEVEL_SMOOTH_PX)[valid]
    edges = np.quantile(level, np.linspace(0, 1, LEVEL_BANDS + 1)[1:-1])
    band = np.searchsorted(edges, level)
    place = np.zeros(shape, np.int64)
    tiles = tiles_of(shape)
    for k, tile in enumerate(tiles):
        place[tile] = k
    floor = 0.01 * float(np.quantile(level, 0.99))
    names = [f"level {level[band == k].mean():.0f} ADU" if (band == k).any() else "" for k in range(LEVEL_BANDS)]
    where = [f"rows {r.start}:{r.stop}, columns {c.start}:{c.stop}" for r, c in tiles]
    whole = biases(change, signal, np.zeros(len(signal), np.int64), ["whole image"], floor)
    levels = biases(change, signal, band, names, floor)
    return whole[0], levels, biases(change, signal, place[valid], where, floor)


def biases(change: np.ndarray, signal: np.ndarray, region: np.ndarray, names: list[str], floor: float) -> list[Bias]:
    """Bias of each region that has pixels; ``change`` is [frame, pixel]."""
    count, regions = len(change), len(names)
    pixels = np.bincount(region, minlength=regions)
    there = np.maximum(pixels, 1)
    each = np.array([np.bincount(region, row, regions) for row in change]) / there  # [frame, region] ADU
    level = np.bincount(region, signal, regions) / there
    over = np.maximum(level, max(floor, 1e-9))
    mean, error = each.mean(axis=0) / over, each.std(axis=0, ddof=1) / np.sqrt(count) / over
    limit = float(stats.t.isf(0.5 * (1.0 - CONFIDENCE ** (1.0 / max(int((pixels > 0).sum()), 1))), count - 1))
    sure = np.maximum(np.abs(mean) - limit * error, 0.0)
    return [Bias(names[k], *map(float, (mean[k], error[k], level[k], sure[k]))) for k in range(regions) if pixels[k]]
