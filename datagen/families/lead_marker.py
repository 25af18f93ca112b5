"""Lead figures, as they lie beside what is radiographed."""

from __future__ import annotations

import trimesh
from manifold3d import Manifold

from datagen.families.surface import together
from datagen.stream import Stream

__all__ = ["marker"]

# the strokes of each figure: top, left above, right above, middle, left below, right below, bottom
STROKES = ("1110111", "0010010", "1011101", "1011011", "0111010", "1101011", "1101111", "1010010", "1111111", "1111011")
GAP = 0.02  # between strokes, in heights: they do not overlap


def marker(stream: Stream, count: int, height_mm: float, thick_mm: float = 1.0) -> trimesh.Trimesh:
    """A number of ``count`` figures from z = 0 upwards, first corner near the origin, figures along x."""
    solids = []
    for place in range(count):
        figure = stream.below(len(STROKES))
        for stroke, on in enumerate(STROKES[figure]):
            if on == "1":
                solids.append(_stroke(stroke, place * 0.8 * height_mm, height_mm, thick_mm))
    return together(solids)


def _stroke(stroke: int, x_mm: float, height_mm: float, thick_mm: float) -> Manifold:
    wide, line = 0.5 * height_mm, 0.12 * height_mm
    gap = GAP * height_mm
    flat = stroke in (0, 3, 6)
    if flat:
        y = {0: 0.0, 3: 0.5 * (height_mm - line), 6: height_mm - line}[stroke]
        size, at = (wide, line, thick_mm), (x_mm, y, 0.0)
    else:
        x = x_mm if stroke in (1, 4) else x_mm + wide - line
        low = line + gap if stroke in (1, 2) else 0.5 * (height_mm + line) + gap
        size, at = (line, 0.5 * (height_mm - 3 * line) - 2 * gap, thick_mm), (x, low, 0.0)
    return Manifold.cube(size).translate(at)
