"""Welds: the surface of a bead with ripples, and where the metal of a joint is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import trimesh

from datagen.families.surface import closed
from datagen.stream import Stream

__all__ = ["Bead", "Seam", "bead_surface"]

STEPS_PER_RIPPLE = 6
MOST_STEPS = 500
EDGE, SWELL = 0.03, 0.12  # how far edges wander, in widths, and heights vary
ACROSS = 13  # corners across a bead
STEEPEST = 0.55  # share of the vertical distance to a bead's surface that is free of metal's end in any direction
Profile = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Bead:
    """What a pass of welding adds, along x, on top of z = 0.

    Attributes
    ----------
    low_mm, high_mm : float
        Its edges along y.
    profile_mm : callable
        Place across, 0 at ``low_mm`` to 1 at ``high_mm`` -> height.
    ripple_mm, pitch_mm : float
        Height of the ripples and their distance along x.
    bow : float
        How far a ripple's middle trails behind its edges, in widths.
    """

    low_mm: float
    high_mm: float
    profile_mm: Profile
    ripple_mm: float
    pitch_mm: float
    bow: float

    def height_mm(self, y_mm: np.ndarray) -> np.ndarray:
        """Height without ripples, 0 beside the bead."""
        across = (y_mm - self.low_mm) / (self.high_mm - self.low_mm)
        inside = (across >= 0) & (across <= 1)
        return np.where(inside, self.profile_mm(np.clip(across, 0.0, 1.0)), 0.0)

    def least_mm(self, y_mm: np.ndarray) -> np.ndarray:
        """Height that the surface nowhere falls below, whatever its edges and ripples do."""
        width = self.high_mm - self.low_mm
        shifted = [self.height_mm(y_mm + shift) for shift in (-EDGE * width, 0.0, EDGE * width)]
        return np.asarray(np.maximum((1.0 - SWELL) * np.min(shifted, axis=0) - 0.5 * self.ripple_mm, 0.0))


def bead_surface(bead: Bead, length_mm: float, stream: Stream, foot_mm: float) -> trimesh.Trimesh:
    """Closed surface of a bead from -length / 2 to length / 2, which reaches ``foot_mm`` into the metal below z = 0.

    Its edges wander by a few per cent of its width; ripples are crescents.
    """
    steps = min(MOST_STEPS, max(24, int(STEPS_PER_RIPPLE * length_mm / bead.pitch_mm)))
    x = np.linspace(-0.5, 0.5, steps) * length_mm
    share = 0.5 - 0.5 * np.cos(math.pi * np.arange(ACROSS) / (ACROSS - 1))
    width = bead.high_mm - bead.low_mm
    drift = [_slow(stream, x, EDGE * width) for _ in range(2)]
    low, high = bead.low_mm + drift[0], bead.high_mm + drift[1]
    y = low[:, None] + share * (high - low)[:, None]
    phase = x[:, None] / bead.pitch_mm + bead.bow * width / bead.pitch_mm * (2 * share - 1) ** 2
    phase = phase + _slow(stream, x, 0.4)[:, None]
    swell = 1.0 + _slow(stream, x, SWELL)[:, None]
    fade = 4 * share * (1 - share)
    saw = np.abs(2 * (phase - np.floor(phase)) - 1)  # steep on neither side, as frozen waves are
    z = bead.profile_mm(share)[None, :] * swell + bead.ripple_mm * (saw - 0.5) * fade
    return _block(x, y, np.maximum(z, 0.0), -foot_mm)


def _slow(stream: Stream, x: np.ndarray, height: float) -> np.ndarray:
    """A broken line of about a dozen corners, within +-height."""
    corners = stream.units(14) * 2.0 - 1.0
    return np.asarray(np.interp(x, np.linspace(x[0], x[-1], 14), corners * height))


def _block(x: np.ndarray, y: np.ndarray, z: np.ndarray, floor_mm: float) -> trimesh.Trimesh:
    """Closed surface between heights z over (x, y) [step, across] and a floor."""
    steps, across = z.shape
    top = np.column_stack([np.repeat(x, across), y.ravel(), z.ravel()])
    edges = np.stack([y[:, 0], y[:, -1]], axis=1)
    floor = np.column_stack([np.repeat(x, 2), edges.ravel(), np.full(2 * steps, floor_mm)])
    index = np.arange(steps * across).reshape(steps, across)
    under = steps * across + np.arange(2 * steps).reshape(steps, 2)
    loop = np.concatenate([index, under[:, ::-1]], axis=1)  # once around the bead at each step
    here, after = loop[:-1], loop[1:]
    a, b = here, np.roll(here, -1, axis=1)
    c, d = np.roll(after, -1, axis=1), after
    faces = [np.stack([a, c, b], axis=-1).reshape(-1, 3), np.stack([a, d, c], axis=-1).reshape(-1, 3)]
    fan = np.array([(0, k, k + 1) for k in range(1, loop.shape[1] - 1)])
    faces += [loop[0][fan], loop[-1][fan[:, ::-1]]]
    return closed(np.concatenate([top, floor]), np.concatenate(faces))


@dataclass(frozen=True)
class Seam:
    """Where the metal of a joint is, near its weld.

    Attributes
    ----------
    top_mm, bottom_mm : callable
        y -> height of the surface, without ripples.
    weld_mm : (low, high)
        The weld along y.
    inside_mm : (low, high)
        Heights of the middle of the joint, where flaws lie.
    side_mm : float
        Where the metal ends along y.
    """

    top_mm: Profile
    bottom_mm: Profile
    weld_mm: tuple[float, float]
    inside_mm: tuple[float, float]
    side_mm: float = -math.inf

    def depth_mm(self, points_mm: np.ndarray) -> np.ndarray:
        """A distance [mm] by which points [point, 3] lie within the metal at the least, negative outside, [point]."""
        y, z = points_mm[:, 1], points_mm[:, 2]
        upright = STEEPEST * np.minimum(self.top_mm(y) - z, z - self.bottom_mm(y))
        return np.asarray(np.minimum(upright, y - self.side_mm))
