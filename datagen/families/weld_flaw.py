"""Flaws of welds, named as ISO 6520-1 does: elongated cavities, slag lines, lack of fusion, undercut and others."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import trimesh

from datagen.families.family import DrawnBody
from datagen.families.flaw import SKIN_MM, TRIES, Host, spread
from datagen.families.surface import closed, crack, sweep
from datagen.families.weld_seam import Seam
from datagen.placement import PlacementError, rotation
from datagen.stream import Stream

__all__ = ["SLAG", "lack_of_fusion", "lack_of_penetration", "seam_crack", "slag_line", "undercut", "wormhole"]

SLAG: dict[str, Any] = {
    "name": "welding slag",
    "mixture": {"SiO2": 30, "TiO2": 30, "MnO": 15, "CaO": 15, "Fe2O3": 10},
    "density_g_cm3": 3.2,
}


def _fitted(
    host: Host, stream: Stream, kind: str, make: Callable[[float, np.ndarray], trimesh.Trimesh], material: Any = "air"
) -> DrawnBody:
    """The surface that ``make`` gives of a scale and a point, at the first point and greatest scale where it fits."""
    for attempt in range(TRIES):
        at, _ = host.near(stream, 0.3)
        mesh = make(0.88**attempt, at)
        points = np.asarray(mesh.vertices) + at
        if all(float(host.depth_mm(points[::step]).min()) > SKIN_MM for step in (23, 1)):
            return host.surface(kind, mesh, at, material)
    raise PlacementError(f"no room for a {kind} in the weld, use a smaller one")


def slag_line(
    host: Host, stream: Stream, length_mm: float, width_mm: float, kind: str = "slag", material: Any = SLAG
) -> DrawnBody:
    """Slag or oxide along the weld: a string of uneven width that tapers off."""

    def make(scale: float, _: np.ndarray) -> trimesh.Trimesh:
        long = length_mm * scale
        steps = max(8, min(60, int(2.5 * long / width_mm)))
        x = np.linspace(-0.5, 0.5, steps)
        wide = 0.5 * width_mm * (0.35 + stream.units(steps)) * np.sqrt(np.maximum(1.02 - 4 * x**2, 0.0)) * scale
        aside = np.interp(x, np.linspace(-0.5, 0.5, 6), (stream.units(6) - 0.5) * width_mm)
        return sweep(np.column_stack([x * long, aside, np.zeros(steps)]), np.maximum(wide, 0.03), 8)

    return _fitted(host, stream, kind, make, material)


def wormhole(host: Host, stream: Stream, length_mm: float, width_mm: float) -> DrawnBody:
    """An elongated cavity: a tapered tube that leans towards the middle and the end of the weld."""

    def make(scale: float, at: np.ndarray) -> trimesh.Trimesh:
        share = np.linspace(0.0, 1.0, 9)
        lean = stream.between(20, 60) * (-1.0 if at[1] > 0 else 1.0)
        rise = stream.between(0.1, 0.5)
        long = length_mm * scale * spread(stream, 1.0, 0.6, 1.4)
        aim = np.array([math.cos(math.radians(lean)), math.sin(math.radians(lean)), rise])
        line = share[:, None] * aim * long + np.array([0.0, 0.0, 0.1]) * long * share[:, None] ** 2
        return sweep(line - line.mean(axis=0), 0.5 * width_mm * scale * (1.0 - 0.75 * share), 8)

    return _fitted(host, stream, "wormhole", make)


def lack_of_fusion(host: Host, stream: Stream, length_mm: float, depth_mm: float, bevel_deg: float) -> DrawnBody:
    """A thin straight sheet of air along the weld, in the plane of the bevel."""

    def make(scale: float, at: np.ndarray) -> trimesh.Trimesh:
        opening = stream.between(0.08, 0.3)
        mesh = crack(stream, length_mm * scale, depth_mm * scale, opening, 7, 0.004)
        turn = np.array(rotation([bevel_deg * (1.0 if at[1] < 0 else -1.0), 0.0, 0.0]))
        return closed(np.asarray(mesh.vertices) @ turn.T, np.asarray(mesh.faces))

    return _fitted(host, stream, "lack of fusion", make)


def seam_crack(host: Host, stream: Stream, length_mm: float, opening_mm: float, across: bool) -> DrawnBody:
    """A jagged crack along the weld or across it, nearly upright."""

    def make(scale: float, _: np.ndarray) -> trimesh.Trimesh:
        long = length_mm * scale * (0.5 if across else 1.0)
        mesh = crack(stream, long, long * stream.between(0.15, 0.3), opening_mm, 12, 0.04)
        turn = np.array(rotation([stream.between(-12, 12), 0.0, stream.between(-8, 8) + 90.0 * across]))
        return closed(np.asarray(mesh.vertices) @ turn.T, np.asarray(mesh.faces))

    return _fitted(host, stream, "crack", make)


def lack_of_penetration(host: Host, stream: Stream, seam: Seam, length_mm: float, gap_mm: float) -> DrawnBody:
    """A straight gap between the edges of the plates in the middle of the joint, where the passes do not meet."""
    low, high = seam.inside_mm
    middle = 0.5 * (seam.weld_mm[0] + seam.weld_mm[1])
    height = 0.25 * (high - low)
    x = np.linspace(-0.5, 0.5, 24) * length_mm
    wide = 0.5 * gap_mm * (0.8 + 0.4 * stream.units(24))
    line = sweep(np.column_stack([x, np.zeros(24), np.zeros(24)]), wide, 4)
    # four sides on edge, as tall as asked: a flat gap with slightly uneven faces
    turned = np.asarray(line.vertices) @ np.array(rotation([45.0, 0.0, 0.0])).T
    turned[:, 2] *= height / gap_mm
    at = host.near(stream, 0.1)[0]
    mesh = closed(turned, np.asarray(line.faces))
    return host.surface("lack of penetration", mesh, np.array([at[0], middle, low + 0.5 * (high - low)]))


def undercut(host: Host, stream: Stream, y_mm: float, z_mm: float, length_mm: float, depth_mm: float) -> DrawnBody:
    """A groove along the edge of a weld, open at the surface."""
    steps = 24
    x = np.linspace(-0.5, 0.5, steps)
    wide = depth_mm * (0.5 + 0.5 * stream.units(steps)) * np.sqrt(np.maximum(1.02 - 4 * x**2, 0.0))
    aside = np.interp(x, np.linspace(-0.5, 0.5, 7), (stream.units(7) - 0.5) * depth_mm)
    mesh = sweep(np.column_stack([x * length_mm, aside, np.zeros(steps)]), np.maximum(wide, 0.05), 8)
    at = host.near(stream, 0.1)[0]
    return host.surface("undercut", mesh, np.array([at[0], y_mm, z_mm]))
