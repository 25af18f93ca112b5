"""Correlation of the noise of a corpus's frames, without their clean images: from repeats, else from flat regions.

A block of a single frame has lost, with the trend fitted to it, part of its noise at low frequencies, where correlated
noise has most. What the mean products of neighbours become by that is linear in the autocovariance C of the noise: P
the projection on the trend, C as a matrix R, the block's noise has (1 - P) R (1 - P). So the window's C is solved for.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from scipy import fft, ndimage

import datagen
from denoise.decorrelation import (
    MOST_PERCENT,
    REACH_PX,
    decorrelated,
    noise_correlation,
    noise_kernel,
    residual_of,
    variance_factor,
)
from xsim import CorpusError

__all__ = ["corpus_correlation", "corpus_kernel"]

BLOCK_PX = 32
TREND_ORDER = 4  # of the polynomial that a block is freed of
FLAT_SHARE, FLAT_LEAST = 0.05, 8  # of the blocks: 1 % of structure in the variance is as much as 100 % of correlation
WHITE_PERCENT = 10.0  # beyond chance: noise that needs no decorrelation
SCENES = 64  # looked at for the kernel, and as many others for the residual

Found: TypeAlias = tuple[np.ndarray, int]  # mean products of neighbours [13, 13], and the pixels they are a mean over


def corpus_kernel(views: list[datagen.CorpusView]) -> np.ndarray | None:
    """Kernel that decorrelates the noisy images of training views; None where their noise is white.

    Every other scene gives the kernel, the rest say what correlation it leaves. Crops to train on are turned by
    quarters, so the kernel is taken for equal along rows and columns.

    Raises
    ------
    CorpusError
        One kernel does not serve all: cameras, screens or shares of read noise differ too much, or rows and columns.
    """
    found = [corpus_correlation(view) for view in views]
    total = sum(pixels for _, pixels in found)
    coefficient = np.asarray(sum(pixels / total * 0.5 * (each + each.T) for each, pixels in found))
    before = residual_of(coefficient, total)
    if before.percent < WHITE_PERCENT + before.chance_percent:
        return None
    kernel = noise_kernel(coefficient)
    for view in views:
        left = residual_of(*corpus_correlation(view, 1, kernel), total)
        if left.percent > MOST_PERCENT + left.chance_percent:
            raise CorpusError(
                f"{view.corpus.path}: one kernel leaves {left.percent:.3g} % of correlation in format {view.format} "
                f"(at most {MOST_PERCENT:g}, and {left.chance_percent:.2g} by chance) train on frames of one camera, "
                "or with decorrelate = false"
            )
    return kernel


def corpus_correlation(view: datagen.CorpusView, offset: int = 0, kernel: np.ndarray | None = None) -> Found:
    """Correlation of the noise of a view's noisy images.

    Repeats (noisy_repeat, or several frames of a scene) are taken as static frames. Where there are none, the flattest
    blocks of 32 x 32 pixels; that is right for images with flat regions, and too much where structure fills them.

    Parameters
    ----------
    view : CorpusView
    offset : {0, 1}
        Even or odd scenes.
    kernel : float64 [2 n + 1, 2 n + 1], optional
        The images are decorrelated by it first.

    Returns
    -------
    float64 [13, 13]
        Coefficients, 1 in the middle.
    int
        Pixels they were measured on.

    Raises
    ------
    CorpusError
        Neither repeats nor flat regions.
    """
    if "noisy_repeat" in view.images or view.corpus.description["frames_per_scene"] > 1:
        coefficient, pixels = _mean(_of_frames(*static, kernel) for static in _static(view, offset))
    else:
        samples = (view.sample(i, ("noisy", "valid")) for i in _chosen(len(view), offset))
        products, pixels = _of_flat([_block_noise(sample, kernel) for sample in samples])
        coefficient = np.linalg.solve(_trend_share(), products.ravel()).reshape(products.shape)
    if not pixels or coefficient[REACH_PX, REACH_PX] <= 0:
        raise CorpusError(
            f"{view.corpus.path}: no noise to correlate in {view.format} (no repeats, and no flat region of "
            f"{BLOCK_PX} pixels) give the kernel of its camera"
        )
    return coefficient / coefficient[REACH_PX, REACH_PX], pixels


def _static(view: datagen.CorpusView, offset: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Frames [frame, row, column] of one scene each, and the standard deviation of their noise, 0 where not valid."""
    if "noisy_repeat" in view.images:
        for i in _chosen(len(view), offset):
            s = view.sample(i, ("noisy", "noisy_repeat", "valid", "valid_repeat"))
            frames = np.stack([s["noisy"], s["noisy_repeat"]])
            yield frames, _model_sd(frames.mean(axis=0), s["params"]) * (s["valid"] & s["valid_repeat"])
        return
    scene = view.params("scene")
    scenes = np.unique(scene)
    for k in _chosen(len(scenes), offset):
        samples = [view.sample(int(i), ("noisy", "valid")) for i in np.flatnonzero(scene == scenes[k])]
        if len(samples) > 1:
            frames = np.stack([s["noisy"] for s in samples])
            sd = _model_sd(frames.mean(axis=0), samples[0]["params"])
            yield frames, sd * np.all([s["valid"] for s in samples], axis=0)


def _model_sd(mean: np.ndarray, params: Mapping[str, Any]) -> np.ndarray:
    """Standard deviation [row, column] ADU of noise of Var x = a x + b, where frames have this mean."""
    level = ndimage.uniform_filter(mean.astype(np.float64), 3)
    variance = params["a_pixel_adu"] * level + params["b_adu2"]
    return np.asarray(np.sqrt(np.maximum(variance, 0.01 * variance.max())))


def _of_frames(frames: np.ndarray, sd: np.ndarray, kernel: np.ndarray | None) -> Found:
    inner = slice(REACH_PX, -REACH_PX)  # a decorrelated border has mirrored pixels in it
    ready = frames if kernel is None else decorrelated(frames, kernel)
    found = noise_correlation(ready[:, inner, inner], sd=sd[inner, inner])
    return found.coefficient, (len(frames) - 1) * int((sd[inner, inner] > 0).sum())


def _block_noise(sample: Mapping[str, Any], kernel: np.ndarray | None) -> np.ndarray:
    """Noise [block, pixel] of the valid blocks of an image, without their trends, in units of the noise model's sd."""
    image, factor = sample["noisy"], 1.0
    if kernel is not None:
        image, factor = decorrelated(image, kernel), variance_factor(kernel)
    a, b = (factor * sample["params"][name] for name in ("a_pixel_adu", "b_adu2"))
    inner = slice(REACH_PX, -REACH_PX)
    near = ndimage.binary_erosion(sample["valid"], iterations=REACH_PX, border_value=1)[inner, inner]
    blocks = _blocks(image[inner, inner])[_blocks(near).all(axis=1)]
    trend = _trend()
    noise = blocks - (blocks @ trend) @ trend.T
    return np.asarray(noise / np.sqrt(np.maximum(a * blocks.mean(axis=1, keepdims=True) + b, 1e-12)))


def _of_flat(noise: list[np.ndarray]) -> Found:
    """Mean products in the flattest blocks, those of the least variance."""
    blocks = np.concatenate(noise)
    variance = (blocks**2).mean(axis=1)
    if not len(blocks):
        return np.eye((2 * REACH_PX + 1) ** 2)[0], 0
    count = min(len(blocks), max(FLAT_LEAST, int(FLAT_SHARE * len(blocks))))
    flat = blocks[np.argsort(variance, kind="stable")[:count]].reshape(-1, BLOCK_PX, BLOCK_PX)
    grid, at = (2 * BLOCK_PX, 2 * BLOCK_PX), _lags()
    sums = fft.irfft2((np.abs(fft.rfft2(flat, grid)) ** 2).sum(axis=0), grid)[np.ix_(at, at)]
    pairs = np.outer(BLOCK_PX - np.abs(at), BLOCK_PX - np.abs(at))
    return sums / (pairs * len(flat)), flat.size


def _blocks(image: np.ndarray) -> np.ndarray:
    """Blocks that do not overlap, [block, pixel]."""
    rows, columns = (length // BLOCK_PX for length in image.shape)
    cut = image[: rows * BLOCK_PX, : columns * BLOCK_PX].reshape(rows, BLOCK_PX, columns, BLOCK_PX)
    return cut.swapaxes(1, 2).reshape(rows * columns, BLOCK_PX**2)


def _mean(found: Iterable[Found]) -> Found:
    """Mean weighted by pixels."""
    side, total = 2 * REACH_PX + 1, 0
    mean = np.zeros((side, side))
    for each, pixels in found:
        total += pixels
        mean += (each - mean) * (pixels / max(total, 1))
    return mean, total


def _chosen(count: int, offset: int) -> range:
    """Every other place, spread over all; of a single one that one."""
    return range(min(offset, count - 1), count, 2 * max(1, count // (2 * SCENES)))


def _lags() -> np.ndarray:
    return np.arange(-REACH_PX, REACH_PX + 1)


@lru_cache(maxsize=1)
def _trend() -> np.ndarray:
    """Orthonormal polynomials on a block, [pixel, polynomial]."""
    x = np.linspace(-1, 1, BLOCK_PX)
    powers = [np.outer(x**i, x**j).ravel() for i in range(TREND_ORDER + 1) for j in range(TREND_ORDER + 1 - i)]
    return np.asarray(np.linalg.qr(np.stack(powers, axis=1))[0])


@lru_cache(maxsize=1)
def _trend_share() -> np.ndarray:
    """Mean products at every lag of a block's detrended noise, for an autocovariance of 1 at one lag, [lag, lag]."""
    count, wide = len(_lags()) ** 2, 2 * BLOCK_PX
    trend = np.zeros((_trend().shape[1], wide, wide))  # zero around the block: shifts lose what leaves it
    trend[:, :BLOCK_PX, :BLOCK_PX] = _trend().T.reshape(-1, BLOCK_PX, BLOCK_PX)
    waves, grid = fft.rfft2(trend), np.ix_(_lags(), _lags())
    pairs = np.outer(*2 * [BLOCK_PX - np.abs(_lags())])

    def sums(product: np.ndarray) -> np.ndarray:
        return np.asarray(fft.irfft2(product, (wide, wide))[..., *grid])

    both = sums(waves[:, None].conj() * waves[None])
    share = np.empty((count, count))
    for k, (down, along) in enumerate(itertools.product(_lags(), _lags())):
        ahead, back = (np.roll(trend, (-sign * down, -sign * along), (1, 2)) for sign in (1, -1))
        for moved in (ahead, back):
            moved[:, BLOCK_PX:] = moved[:, :, BLOCK_PX:] = 0.0
        inner = np.einsum("krc,lrc->kl", trend, ahead)
        lost = (waves.conj() * fft.rfft2(back) + fft.rfft2(ahead).conj() * waves).sum(axis=0)
        share[:, k] = ((np.tensordot(inner, both) - sums(lost)) / pairs).ravel()
        share[k, k] += 1.0
    return share
