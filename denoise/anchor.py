"""Keeping the mean of the measurement: x + w (*) (y - x), w a wide window that adds up to one.

A network's error has a mean, small against the noise of a pixel and large against that of an average over a region,
which is how thickness is measured. The noisy image has none: E[y] = clean. So what a restored image x lacks of
y on average over a wide window is given back to it. The image mean of the result is that of y (w is symmetric and the
image continues as its mirror image, so every pixel of y - x is counted once in all). The price is the noise of an
average over some thousand pixels. w reaches `half_width`, so lines of an image with that much around them do.

Sums are of shifted images, one product and one sum at a time: these are rounded alike whatever the image's shape, so
a part of an image gives the bits of the whole.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Anchor", "anchored", "window"]


def window(half_width: int) -> Tensor:
    """Raised cosine, float32 [2 half_width + 1], adding up to one."""
    weights = torch.hann_window(2 * half_width + 3, periodic=False, dtype=torch.float64)[1:-1]
    return (weights / weights.sum()).float()


def anchored(restored: Tensor, noisy: Tensor, half_width: int) -> Tensor:
    """Restored image with the regional mean of the noisy one.

    Parameters
    ----------
    restored, noisy : float32 [image, 1, row, column] ADU
    half_width : int
        Of the window, in pixels; 0 leaves the image as it is.
    """
    if half_width == 0:
        return restored
    rows = mirrored(restored.shape[2], half_width).to(restored.device)
    return restored + regional(noisy - restored, rows, half_width)


def regional(lacking: Tensor, rows: Tensor, half_width: int) -> Tensor:
    """Windowed mean [image, 1, row, column]; ``rows`` [row + 2 half_width] says which rows are summed."""
    across = mirrored(lacking.shape[3], half_width).to(lacking.device)
    weights = window(half_width).tolist()
    down = weighted(lacking.index_select(2, rows), weights, 2)
    return weighted(down.index_select(3, across), weights, 3)


def weighted(image: Tensor, weights: list[float], axis: int) -> Tensor:
    """Sum of the image's shifts along an axis by symmetric weights, where all of them are."""
    reach = len(weights) // 2
    length = image.shape[axis] - 2 * reach
    total = image.narrow(axis, reach, length) * weights[reach]
    for k in range(1, reach + 1):
        both = image.narrow(axis, reach - k, length) + image.narrow(axis, reach + k, length)
        both *= weights[reach + k]
        total += both
    return total


def mirrored(length: int, margin: int) -> Tensor:
    """Places -margin .. length + margin - 1 of an axis that is mirrored at its ends, edge pixels repeated."""
    return mirrored_part(-margin, length + margin, length)


def mirrored_part(start: int, stop: int, length: int) -> Tensor:
    """Places start .. stop - 1 of it."""
    place = torch.arange(start, stop)
    period = torch.full_like(place, 2 * length)  # a tensor: ONNX has no remainder by a size
    place = torch.remainder(place, period)
    return torch.minimum(place, period - 1 - place)


class Anchor:
    """``anchored`` for an image whose lines come in blocks: gives those that no later line can change.

    Parameters
    ----------
    half_width : int
        Of the window, in pixels; as many lines are held back.
    """

    def __init__(self, half_width: int) -> None:
        self.half_width = half_width
        self._restored: Tensor | None = None  # [1, 1, line, column] from line _given on
        self._lacking: Tensor | None = None  # from line _first on
        self._first = self._given = 0

    def push(self, restored: Tensor, noisy: Tensor) -> Tensor:
        """Lines [1, 1, line, column] that are final once these are there."""
        if self.half_width == 0:
            return restored
        lacking = noisy - restored
        if self._restored is None or self._lacking is None:
            self._restored, self._lacking = restored, lacking
        else:
            self._restored = torch.cat([self._restored, restored], dim=2)
            self._lacking = torch.cat([self._lacking, lacking], dim=2)
        count = self._restored.shape[2] - self.half_width
        return self._give(count, known=None) if count > 0 else restored[:, :, :0]

    def flush(self) -> Tensor | None:
        """The lines that are left, at the image's end."""
        if self._restored is None:
            return None
        count = self._restored.shape[2]
        return self._give(count, known=self._given + count)

    def _give(self, count: int, known: int | None) -> Tensor:
        assert self._restored is not None and self._lacking is not None
        start, stop = self._given, self._given + count
        # an end that is not known yet is out of reach
        length = stop + self.half_width if known is None else known
        rows = mirrored_part(start - self.half_width, stop + self.half_width, length) - self._first
        rows = rows.to(self._lacking.device)
        given = self._restored[:, :, :count] + regional(self._lacking, rows, self.half_width)
        self._given, self._restored = stop, self._restored[:, :, count:].clone()
        if self._given - self.half_width > self._first:
            self._lacking = self._lacking[:, :, self._given - self.half_width - self._first :].clone()
            self._first = self._given - self.half_width
        return given
