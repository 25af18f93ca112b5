"""Smooth random fields: value noise on lattices of several sizes, the same to the last bit on any machine."""

from __future__ import annotations

import numpy as np

from datagen.stream import Stream

__all__ = ["noise", "octaves"]


def noise(shape: tuple[int, ...], cells: tuple[float, ...], stream: Stream) -> np.ndarray:
    """Random numbers of a lattice, uniform in [0, 1), with smooth steps between them.

    Parameters
    ----------
    shape : tuple of int
    cells : tuple of float
        Distance of lattice points along each axis, in elements.
    stream : Stream

    Returns
    -------
    float32 [shape]
        Only sums and products, one at a time: no processor rounds them otherwise.
    """
    counts = [int(size / cell) + 2 for size, cell in zip(shape, cells, strict=True)]
    field = stream.units(int(np.prod(counts))).reshape(counts).astype(np.float32)
    for axis, (size, cell) in enumerate(zip(shape, cells, strict=True)):
        place = np.arange(size) / cell
        low = place.astype(np.int64)
        share = (place - low).astype(np.float32)
        share = share * share * (3 - 2 * share)
        along = [1] * field.ndim
        along[axis] = size
        first, second = np.take(field, low, axis=axis), np.take(field, low + 1, axis=axis)
        field = first + (second - first) * share.reshape(along)
    return field


def octaves(
    shape: tuple[int, ...], cells: tuple[float, ...], stream: Stream, count: int = 3, fading: float = 0.5
) -> np.ndarray:
    """Sum of noises, each of half the cells and ``fading`` times the height of that before; float32 in [0, 1)."""
    total, height, whole = np.zeros(shape, np.float32), 1.0, 0.0
    for _ in range(count):
        total += np.float32(height) * noise(shape, cells, stream)
        whole += height
        height *= fading
        cells = tuple(max(1.0, cell / 2) for cell in cells)
    return total / np.float32(whole)
