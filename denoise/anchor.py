"""Keeping the mean of the measurement: x + w (*) (y - x), w a wide window that adds up to one.

A network's error has a mean, small against the noise of a pixel and large against that of an average over a region,
which is how thickness is measured. The noisy image has none: E[y] = clean. So what a restored image x lacks of
y on average over a wide window is given back to it. The image mean of the result is that of y (w is symmetric and the
image continues as its mirror image, so every pixel of y - x is counted once in all). The price is the noise of an
average over some thousand pixels. w reaches `half_width`, so bands of an image with that much around them do.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["anchored", "window"]


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
    weights = window(half_width).to(noisy.device)
    lacking = noisy - restored
    for view in ((1, 1, -1, 1), (1, 1, 1, -1)):
        axis = 2 if view[2] == -1 else 3
        index = mirrored(lacking.shape[axis], half_width).to(noisy.device)
        lacking = functional.conv2d(lacking.index_select(axis, index), weights.view(view))
    return restored + lacking


def mirrored(length: int, margin: int) -> Tensor:
    """Places -margin .. length + margin - 1 of an axis that is mirrored at its ends, edge pixels repeated."""
    place = torch.arange(-margin, length + margin) % (2 * length)
    return torch.where(place < length, place, 2 * length - 1 - place)
