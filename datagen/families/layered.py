"""A part built of layers along z, each a plane outline with a height: what a die or a mill makes in one direction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import trimesh
from manifold3d import CrossSection, FillRule, JoinType, OpType

from datagen.families.surface import DECIMALS, together

__all__ = ["Layer", "Layered", "blend", "disc", "hull", "offset", "rectangle", "rounded"]

CHORD_MM = 0.03  # greatest gap between a circle and its polygon
ARC = 40  # corners of a full circle in rounded corners
FILLET_DEG = (22.5, 45.0, 67.5)
SIMPLER_MM = 0.01
SLACK = 1e-9


class Layer:
    """The part of space between two heights within an outline.

    Parameters
    ----------
    outline : CrossSection
        mm, in x and y.
    low_mm, high_mm : float
        Heights.
    """

    def __init__(self, outline: CrossSection, low_mm: float, high_mm: float) -> None:
        self.outline, self.low_mm, self.high_mm = outline, low_mm, high_mm
        rings = [np.round(np.asarray(ring), DECIMALS) for ring in outline.to_polygons()]
        self._from = np.concatenate(rings) if rings else np.empty((0, 2))
        self._to = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings]) if rings else np.empty((0, 2))

    def depth_mm(self, points_mm: np.ndarray) -> np.ndarray:
        """Distance of points [point, 3] from the surface of the layer, negative outside, float64 [point]."""
        depth = np.minimum(points_mm[:, 2] - self.low_mm, self.high_mm - points_mm[:, 2])
        within = depth > 0
        depth[within] = np.minimum(depth[within], self._across(points_mm[within, :2]))
        return np.asarray(depth)

    def _across(self, points: np.ndarray) -> np.ndarray:
        if not len(self._from):
            return np.full(len(points), -np.inf)
        edge = self._to - self._from  # [edge, 2]
        gap = points[:, None] - self._from  # [point, edge, 2]
        length = np.maximum((edge**2).sum(axis=1), 1e-18)
        share = np.clip((gap[..., 0] * edge[:, 0] + gap[..., 1] * edge[:, 1]) / length, 0.0, 1.0)
        near = (gap[..., 0] - share * edge[:, 0]) ** 2 + (gap[..., 1] - share * edge[:, 1]) ** 2
        crosses = (self._from[:, 1] > points[:, None, 1]) != (self._to[:, 1] > points[:, None, 1])
        rise = np.where(edge[:, 1] == 0.0, 1.0, edge[:, 1])
        left = gap[..., 0] < gap[..., 1] * edge[:, 0] / rise
        inside = (crosses & left).sum(axis=1) % 2 == 1
        return np.asarray(np.where(inside, 1.0, -1.0) * np.sqrt(near.min(axis=1)))


class Layered:
    """The union of layers.

    Parameters
    ----------
    layers : sequence of Layer
    trim : sequence of Layer
        Fillets and the like: part of the surface, left out of `depth_mm`, which stays a lower bound.
    """

    def __init__(self, layers: Sequence[Layer], trim: Sequence[Layer] = ()) -> None:
        self.layers, self.trim = tuple(layers), tuple(trim)

    def surface(self) -> trimesh.Trimesh:
        """Surface of the part: a closed shell for every height between two cuts; they touch, none overlaps."""
        layers = (*self.layers, *self.trim)
        cuts = sorted({round(z, DECIMALS) for layer in layers for z in (layer.low_mm, layer.high_mm)})
        slabs = []
        for low, high in pairwise(cuts):
            there = [layer.outline for layer in layers if layer.low_mm < high - SLACK and layer.high_mm > low + SLACK]
            outline = CrossSection.batch_boolean(there, OpType.Add).simplify(SIMPLER_MM) if there else CrossSection()
            if not outline.is_empty():
                slabs.append(outline.extrude(high - low).translate((0.0, 0.0, low)))
        return together(slabs)

    def depth_mm(self, points_mm: np.ndarray) -> np.ndarray:
        """A distance [mm] by which points [point, 3] lie within the part at the least, negative outside, [point]."""
        return np.asarray(np.max([layer.depth_mm(points_mm) for layer in self.layers], axis=0))


def disc(radius_mm: float, x_mm: float = 0.0, y_mm: float = 0.0) -> CrossSection:
    """A circle; no sines of this machine in it beyond the sixth decimal."""
    count = min(max(16, 4 * round(0.25 * math.pi * math.sqrt(0.5 * radius_mm / CHORD_MM))), 120)
    angles = [2 * math.pi * k / count for k in range(count)]
    corners = [
        (round(x_mm + radius_mm * math.cos(a), DECIMALS), round(y_mm + radius_mm * math.sin(a), DECIMALS))
        for a in angles
    ]
    return CrossSection([corners], FillRule.Positive)


def rectangle(
    width_mm: float, height_mm: float, x_mm: float = 0.0, y_mm: float = 0.0, turn_deg: float = 0.0
) -> CrossSection:
    """A rectangle about (x, y), turned."""
    cosine, sine = math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg))
    halves = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    corners = [
        (
            round(x_mm + 0.5 * (a * width_mm * cosine - b * height_mm * sine), DECIMALS),
            round(y_mm + 0.5 * (a * width_mm * sine + b * height_mm * cosine), DECIMALS),
        )
        for a, b in halves
    ]
    return CrossSection([corners], FillRule.Positive)


def hull(*outlines: CrossSection) -> CrossSection:
    """Convex hull."""
    return CrossSection.batch_hull(list(outlines))


def offset(outline: CrossSection, by_mm: float) -> CrossSection:
    """The outline grown (or shrunk) with round corners."""
    return outline.offset(by_mm, JoinType.Round, 2.0, ARC).simplify(SIMPLER_MM)


def rounded(outline: CrossSection, outer_mm: float, inner_mm: float = 0.0) -> CrossSection:
    """The outline with its corners rounded: those that stand out, and those between."""
    if inner_mm:
        outline = offset(offset(outline, inner_mm), -inner_mm)
    return offset(offset(outline, -outer_mm), outer_mm) if outer_mm else outline


def blend(outline: CrossSection, floor_mm: float, radius_mm: float, within: CrossSection) -> list[Layer]:
    """Fillet in steps around what rises from a floor: a quarter of a circle, within the outline of the floor."""
    layers = []
    for angle in FILLET_DEG:
        aside = radius_mm * (1 - math.sin(math.radians(angle)))
        height = radius_mm * (1 - math.cos(math.radians(angle)))
        layers.append(Layer(offset(outline, aside) ^ within, floor_mm - 0.1 * radius_mm, floor_mm + height))
    return layers
