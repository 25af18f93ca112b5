"""Finding contaminants by a threshold: how many are found at a fixed rate of false alarms.

A sphere that absorbs more than its surroundings is darker. The score of a pixel is how much, in log transmission:

    score = log(background) - log(x - offset)

with the background the median over a window wider than a small sphere. The threshold is the score that the asked share
of target-free pixels exceeds, inside the host and away from its outline; a target is found where a pixel that its label
owns exceeds it. Each restoration gets its own threshold at the same rate of false alarms. Where the noise-free image
itself is uneven (a step behind the block, its slanted side) this score would find that, on any image, and tell nothing
of noise: target-free pixels count where the noise-free score is near 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

__all__ = ["Hunt", "Region", "detection_rate", "hunt", "inspected_region", "score", "threshold_at"]

BLOCK_PX = 4  # the background is the median of means over blocks of so many pixels: less noise, less work
WINDOW_BLOCKS = 9
EVEN = 0.01  # noise-free score that counts as none: 1 % of the local level


@dataclass(frozen=True)
class Region:
    """What of an image is inspected.

    Attributes
    ----------
    free : bool [row, column]
        Pixels without a target.
    targets : uint16 [row, column]
        Label of the target there, 0 for none.
    """

    free: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class Hunt:
    """What a threshold finds in one image."""

    found: list[int]  # labels
    missed: list[int]
    alarms: np.ndarray  # bool [row, column]


def score(image: np.ndarray, offset_adu: float, floor_adu: float) -> np.ndarray:
    """How much darker than its surroundings each pixel is.

    Parameters
    ----------
    image : [row, column] ADU
    offset_adu : float
    floor_adu : float
        Least signal that counts, above 0: the logarithm needs one where noise exceeds the signal.

    Returns
    -------
    float32 [row, column], log transmission
    """
    signal = image.astype(np.float64) - offset_adu
    around = np.maximum(background(signal), floor_adu)
    return np.log(around / np.maximum(signal, floor_adu)).astype(np.float32)


def background(signal: np.ndarray) -> np.ndarray:
    """Local median of block means, spread back linearly over the pixels."""
    rows, columns = signal.shape
    spare = [(0, -rows % BLOCK_PX), (0, -columns % BLOCK_PX)]
    blocks = np.pad(signal, spare, mode="edge").reshape(
        -(-rows // BLOCK_PX), BLOCK_PX, -(-columns // BLOCK_PX), BLOCK_PX
    )
    coarse = ndimage.median_filter(blocks.mean((1, 3)), WINDOW_BLOCKS, mode="nearest")
    # block k is centred on pixel BLOCK k + (BLOCK - 1) / 2
    places = [(np.arange(length) - (BLOCK_PX - 1) / 2) / BLOCK_PX for length in (rows, columns)]
    return ndimage.map_coordinates(coarse, np.meshgrid(*places, indexing="ij"), order=1, mode="nearest")


def inspected_region(
    labels: np.ndarray, targets: Sequence[int], hosts: Sequence[int], clean_score: np.ndarray
) -> Region:
    """Inside of the host bodies, away from their outline by half the background's window.

    Parameters
    ----------
    labels : uint16 [row, column]
    targets : labels of the targets
    hosts : labels of the bodies they lie in or among
    clean_score : [row, column]
        Of the noise-free image.
    """
    is_target = np.isin(labels, targets)
    inside = is_target | np.isin(labels, hosts)
    margin = BLOCK_PX * WINDOW_BLOCKS // 2
    # a square of that half-width, as the window is one; what is beside the picture may be part of the host
    inspected = ndimage.minimum_filter(inside, size=2 * margin + 1, mode="nearest")
    # blur carries some of a target's shadow beyond its outline
    near = ndimage.maximum_filter(is_target, size=5)
    even = np.abs(clean_score) < EVEN
    return Region(inspected & ~near & even, np.where(inspected & is_target, labels, 0).astype(np.uint16))


def threshold_at(scores: Sequence[np.ndarray], regions: Sequence[Region], rate: float) -> float:
    """Score that a share ``rate`` of all target-free pixels exceeds; infinite where there are too few to tell."""
    free = np.concatenate([s[r.free] for s, r in zip(scores, regions, strict=True)])
    allowed = int(rate * free.size)
    if allowed < 1:
        return float("inf")
    return float(np.partition(free, free.size - allowed - 1)[free.size - allowed - 1])


def hunt(scores: np.ndarray, region: Region, threshold: float) -> Hunt:
    """Targets found and missed, and false alarms, in one image."""
    above = scores > threshold
    present = np.unique(region.targets[region.targets > 0]).tolist()
    seen = set(np.unique(region.targets[above & (region.targets > 0)]).tolist())
    return Hunt([k for k in present if k in seen], [k for k in present if k not in seen], above & region.free)


def detection_rate(scores: Sequence[np.ndarray], regions: Sequence[Region], rate: float) -> tuple[float | None, int]:
    """Share of the targets found at a rate of false alarms, and how many there are.

    The share is None without targets, or with too few target-free pixels for such a rate.
    """
    if not scores:
        return None, 0
    threshold = threshold_at(scores, regions, rate)
    hunts = [hunt(s, r, threshold) for s, r in zip(scores, regions, strict=True)]
    found, missed = (sum(len(getattr(h, part)) for h in hunts) for part in ("found", "missed"))
    total = found + missed
    return (found / total if total and np.isfinite(threshold) else None), total
