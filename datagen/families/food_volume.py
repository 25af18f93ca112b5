"""Food as voxels: meat with fibres and fat, bread with its pores, cheese with eyes, a slab after a picture.

A voxel is a density in 0.01 g/cm3, 8 bits. z runs from the source to the belt: the last slice lies on it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from datagen.families.texture import noise, octaves
from datagen.stream import Stream

__all__ = ["VOLUMES", "food_volume", "picture_volume"]

EDGE_MM = 0.8
MEAT_ROWS = [
    {"value": 0, "densities_g_cm3": {}},
    {"value": 92, "densities_g_cm3": {"fat": 0.92}},
    {"value": 104, "densities_g_cm3": {"muscle": 1.04}},
    {"value": 112, "densities_g_cm3": {"muscle": 1.12}},
]
CHEESE_ROWS = [{"value": 0, "densities_g_cm3": {}}, {"value": 108, "densities_g_cm3": {"fat": 0.34, "muscle": 0.74}}]
BREAD = {"mixture": {"C6H10O5": 0.6, "water": 0.4}, "density_g_cm3": 1.0}
VOLUMES: dict[str, dict[str, Any]] = {
    "meat": {"mixtures": MEAT_ROWS},
    "bread": {"material": BREAD, "density_scale_g_cm3": 0.01},
    "cheese": {"mixtures": CHEESE_ROWS},
    "picture": {"material": "muscle", "density_scale_g_cm3": 0.01},
}


def food_volume(
    product: str, size_mm: tuple[float, float, float], texture_mm: float, stream: Stream
) -> tuple[np.ndarray, dict[str, Any]]:
    """Voxels and the keys of the [[body]] that they stand in.

    Parameters
    ----------
    product : {"meat", "bread", "cheese"}
    size_mm : tuple of float
        Around the food, x, y, z.
    texture_mm : float
        Size of the coarsest structure.
    stream : Stream

    Returns
    -------
    voxels : uint8 [slice, row, column] 0.01 g/cm3
    keys : dict
    """
    shape = tuple(max(4, round(size / EDGE_MM)) for size in reversed(size_mm))
    inside = _outline(shape, 0.55 if product == "meat" else 0.12, product == "cheese", stream)
    cell = texture_mm / EDGE_MM
    inner = {"meat": _meat, "bread": _bread, "cheese": _cheese}[product](shape, cell, inside, stream)
    voxels = np.round(inner * np.clip(inside, 0, 1)).astype(np.uint8)
    return voxels, {**VOLUMES[product], "volume": voxels, "voxel_mm": EDGE_MM}


def _outline(shape: tuple[int, ...], taper: float, cornered: bool, stream: Stream) -> np.ndarray:
    """Depth of each voxel below the surface, in voxels, 0.5 on it; about a superellipse that is flat below.

    The power of the superellipse is 3, or 8 where it is cornered. ``taper`` is how much lower the food is at
    its rim than in its middle.
    """
    slices, rows, columns = shape
    y, x = (np.linspace(-1, 1, size, dtype=np.float32) for size in (rows, columns))
    wave = (0.08 if cornered else 0.35) * (octaves((rows, columns), (rows / 2, columns / 2), stream, 3) - 0.5)
    far = sum(_power(np.abs(each / (0.9 + wave)), cornered) for each in (y[:, None], x[None, :]))
    rim = np.float32(1) - np.asarray(far, np.float32)
    hill = np.sqrt(np.clip(rim, 0, 1))
    lumps = 0.85 + 0.15 * octaves((rows, columns), (rows / 2, columns / 2), stream, 2)
    height = np.where(rim > 0, slices * (1 - taper + taper * hill) * lumps * np.clip(4 * rim, 0, 1), 0)
    level = slices - 0.5 - np.arange(slices, dtype=np.float32)
    return np.asarray(height[None] - level[:, None, None] + 0.5, np.float32)


def _power(values: np.ndarray, cornered: bool) -> np.ndarray:
    """Third or eighth power by products alone: a processor's own power function rounds otherwise than another's."""
    square = values * values
    return square * square * square * square if cornered else square * values


def _meat(shape: tuple[int, ...], cell: float, inside: np.ndarray, stream: Stream) -> np.ndarray:
    fibres = octaves(shape, (max(2.0, cell / 4), max(2.0, cell / 3), 4 * cell), stream, 2)
    streaks = octaves(shape, (cell, cell, 3 * cell), stream, 3)
    lean = 101 + 9 * fibres
    fat = np.clip((streaks - 0.62) * 25, 0, 1)
    rim = np.clip(1.5 - inside / 3, 0, 1) * np.clip((noise(shape[1:], (2 * cell, 2 * cell), stream) - 0.4) * 4, 0, 1)
    share = np.maximum(fat, rim)
    return np.asarray(lean + (92 - lean) * share)


def _bread(shape: tuple[int, ...], cell: float, inside: np.ndarray, stream: Stream) -> np.ndarray:
    large = np.clip((octaves(shape, (cell, 1.5 * cell, 1.5 * cell), stream, 2) - 0.56) * 14, 0, 1)
    small = np.clip((noise(shape, (2.2, 2.2, 2.2), stream) - 0.45) * 5, 0, 1)
    crumb = 48 - 26 * small - 42 * large
    crust = np.clip(1.6 - inside / 2.5, 0, 1)
    return np.asarray(np.maximum(crumb, 2) * (1 - crust) + 58 * crust)


def _cheese(shape: tuple[int, ...], cell: float, inside: np.ndarray, stream: Stream) -> np.ndarray:
    body = 105 + 5 * octaves(shape, (2 * cell, 2 * cell, 2 * cell), stream, 2)
    for _ in range(stream.below(9)):
        radius = stream.between(0.08, 0.3) * shape[0]
        place = [stream.between(radius + 2, max(size - radius - 2, radius + 3)) for size in shape]
        low = [max(0, int(at - radius - 1)) for at in place]
        part = tuple(slice(first, int(at + radius + 2)) for first, at in zip(low, place, strict=True))
        axes = np.ogrid[tuple(slice(s.start, min(s.stop, size)) for s, size in zip(part, shape, strict=True))]
        far = np.sqrt(sum((axis - at) ** 2 for axis, at in zip(axes, place, strict=True)))
        body[part] *= np.clip(far - radius + 0.5, 0, 1).astype(np.float32)
    return np.asarray(body)


def picture_volume(
    file: Path, size_mm: tuple[float, float, float], dark_share: float
) -> tuple[np.ndarray, dict[str, Any]]:
    """A slab whose thickness follows the grey values of a picture: white is as high as ``size_mm``.

    Parameters
    ----------
    file : Path
    size_mm : tuple of float
        x, y, z; the picture is stretched to x, y. Of more than 8 bits, its greatest value is white and its least black.
    dark_share : float
        Thickness where it is black, over that where it is white.
    """
    slices, rows, columns = (max(4, round(size / EDGE_MM)) for size in reversed(size_mm))
    grey = np.asarray(_eight_bits(file).resize((columns, rows), Image.Resampling.BOX), np.float32) / 255
    height = slices * (dark_share + (1 - dark_share) * grey)
    level = slices - 0.5 - np.arange(slices, dtype=np.float32)
    share = np.clip(height[None] - level[:, None, None] + 0.5, 0, 1)
    voxels = np.round(104 * share).astype(np.uint8)
    return voxels, {**VOLUMES["picture"], "volume": voxels, "voxel_mm": EDGE_MM}


def _eight_bits(file: Path) -> Image.Image:
    with Image.open(file) as picture:
        if picture.mode[0] not in "IF":
            return picture.convert("L")
        values = np.asarray(picture, np.float64)
    low, high = float(values.min()), float(values.max())
    return Image.fromarray(np.floor((values - low) * (255.0 / max(high - low, 1e-30)) + 0.5).astype(np.uint8))
