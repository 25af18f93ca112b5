"""Where things go on a circuit board: free rectangles, and the copper of its layers."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from manifold3d import CrossSection, FillRule, OpType

from datagen.families.layered import Layer, Layered, rectangle
from datagen.stream import Stream

__all__ = ["Copper", "Floor", "ring_of"]

TRIES = 40


class Floor:
    """Rectangles that do not overlap within a square about the origin.

    Parameters
    ----------
    half_mm : float
        Half of the square's side.
    half_height_mm : float, optional
        Half of its height, where it is a rectangle.
    """

    def __init__(self, half_mm: float, half_height_mm: float | None = None) -> None:
        self.half_mm = half_mm
        self.half_height_mm = half_mm if half_height_mm is None else half_height_mm
        self._taken: list[tuple[float, float, float, float]] = []

    def take(self, x_mm: float, y_mm: float, width_mm: float, height_mm: float) -> bool:
        """Take a rectangle about a point where it is free."""
        wide, high = 0.5 * width_mm, 0.5 * height_mm
        for x, y, w, h in self._taken:
            if abs(x - x_mm) < w + wide and abs(y - y_mm) < h + high:
                return False
        self._taken.append((x_mm, y_mm, wide, high))
        return True

    def find(self, stream: Stream, width_mm: float, height_mm: float, rim_mm: float = 0) -> tuple[float, float] | None:
        """A free place for the middle of a rectangle, on a grid of 0.05 mm, or None after some tries.

        The rectangle may reach over the edge but for ``rim_mm`` = 1: then it keeps inside.
        """
        wide, high = (
            (half - 0.5 * rim_mm * size) for half, size in ((self.half_mm, width_mm), (self.half_height_mm, height_mm))
        )
        if min(wide, high) < 0:
            return None
        for _ in range(TRIES):
            x, y = (round(stream.between(-half, half) / 0.05) * 0.05 for half in (wide, high))
            if self.take(x, y, width_mm, height_mm):
                return round(x, 6), round(y, 6)
        return None


def ring_of(x_mm: float, y_mm: float, radius_mm: float, corners: int = 16) -> np.ndarray:
    """Corners of a circle, float64 [corner, 2] mm."""
    angles = 2 * np.pi * (np.arange(corners) + 0.5) / corners
    points = np.column_stack([x_mm + radius_mm * np.cos(angles), y_mm + radius_mm * np.sin(angles)])
    return np.asarray(np.round(points, 6))


@dataclass
class Copper:
    """Outlines of one copper layer: what is there, and what a plane leaves free."""

    rings: list[np.ndarray] = field(default_factory=list)
    areas: list[CrossSection] = field(default_factory=list)
    clearings: list[np.ndarray] = field(default_factory=list)

    def pad(self, x_mm: float, y_mm: float, radius_mm: float) -> None:
        """A round pad."""
        self.rings.append(ring_of(x_mm, y_mm, radius_mm))

    def land(self, x_mm: float, y_mm: float, width_mm: float, height_mm: float) -> None:
        """A rectangular pad."""
        self.areas.append(rectangle(width_mm, height_mm, x_mm, y_mm))

    def trace(self, points_mm: list[tuple[float, float]], width_mm: float) -> None:
        """A track through points, with round ends."""
        for (x0, y0), (x1, y1) in pairwise(points_mm):
            ends = [ring_of(x0, y0, 0.5 * width_mm, 8), ring_of(x1, y1, 0.5 * width_mm, 8)]
            self.areas.append(CrossSection.hull_points(np.concatenate(ends).tolist()))

    def outline(self, plane: CrossSection | None = None) -> CrossSection:
        """All of the layer; with a plane, that too, outside its clearings."""
        shapes = [*self.areas]
        if self.rings:
            shapes.append(CrossSection([ring.tolist() for ring in self.rings], FillRule.Positive))
        if plane is not None:
            free = CrossSection([ring.tolist() for ring in self.clearings], FillRule.Positive)
            shapes.append(plane - free)
        return CrossSection.batch_boolean(shapes, OpType.Add) if shapes else CrossSection()

    def solid(self, low_mm: float, high_mm: float, plane: CrossSection | None = None) -> Layered:
        """The layer between two heights."""
        return Layered([Layer(self.outline(plane), low_mm, high_mm)])
