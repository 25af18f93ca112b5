"""Grains that are poured into a tray: each falls straight down and comes to rest on those below it.

The pile is a map of heights. A grain is dropped at the lowest of some random places; its underside touches the map at
one cell at least and reaches below it nowhere. The map is that of grains grown by a part of a cell, so that grains do
not overlap between its nodes. Not modelled: grains do not roll on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from datagen.placement import rotation
from datagen.stream import Stream

__all__ = ["Grain", "Pile", "pour"]

REFUSALS = 40  # in turn that end the pouring
PLACES = 8  # that a grain is tried at
GROWN = 0.4  # of a cell
LEVELS = 4  # cells along the smallest radius


@dataclass(frozen=True)
class Grain:
    """An ellipsoid at rest.

    Attributes
    ----------
    radii_mm : tuple of float
    rotation_deg : tuple of float
    centre_mm : tuple of float
        x, y from the middle of the tray, height above its floor.
    """

    radii_mm: tuple[float, float, float]
    rotation_deg: tuple[float, float, float]
    centre_mm: tuple[float, float, float]


class Pile:
    """A map of heights over a tray.

    Parameters
    ----------
    width_mm, length_mm : float
        Of the floor, along x and y.
    cell_mm : float
    is_round : bool
        Whether the floor is the ellipse in that rectangle.
    """

    def __init__(self, width_mm: float, length_mm: float, cell_mm: float, is_round: bool = False) -> None:
        self.cell_mm, self.is_round = cell_mm, is_round
        self.half = (0.5 * width_mm, 0.5 * length_mm)
        self._middle = [math.ceil(half / cell_mm) + 1 for half in self.half]
        self.heights_mm = np.zeros([2 * k + 1 for k in self._middle])

    def height_at(self, x_mm: float, y_mm: float) -> float:
        """Height of the pile [mm]."""
        i, j = (round(at / self.cell_mm) + k for at, k in zip((x_mm, y_mm), self._middle, strict=True))
        return float(self.heights_mm[i, j])

    def drop(
        self,
        radii: tuple[float, float, float],
        turn_deg: tuple[float, float, float],
        stream: Stream,
        highest_mm: float = math.inf,
    ) -> Grain | None:
        """Let one grain fall; the map grows by it. None, and nothing has changed, where it would reach too high."""
        low, high, reach = self._surfaces(radii, turn_deg)
        best: tuple[float, int, int] | None = None
        for _ in range(PLACES):
            i, j = self._place(reach, stream)
            under = self.heights_mm[i - reach : i + reach + 1, j - reach : j + reach + 1] - low
            rest = float(under.max())
            if best is None or rest < best[0]:
                best = rest, i, j
        assert best is not None
        rest, i, j = best
        if rest + float(high.max()) > highest_mm:
            return None
        window = self.heights_mm[i - reach : i + reach + 1, j - reach : j + reach + 1]
        np.maximum(window, rest + high, out=window)
        x, y = ((at - k) * self.cell_mm for at, k in zip((i, j), self._middle, strict=True))
        return Grain(radii, turn_deg, (round(x, 6), round(y, 6), round(rest, 6)))

    def _place(self, reach: int, stream: Stream) -> tuple[int, int]:
        free = [max(half / self.cell_mm - reach, 0.0) for half in self.half]
        u, v = stream.between(-1, 1), stream.between(-1, 1)
        if self.is_round:
            far = math.sqrt(max(abs(u), abs(v)) ** 2 / max(u * u + v * v, 1e-12))  # the square shrunk to its circle
            u, v = u * far, v * far
        return int(self._middle[0] + u * free[0]), int(self._middle[1] + v * free[1])

    def _surfaces(
        self, radii: tuple[float, float, float], turn_deg: tuple[float, float, float]
    ) -> tuple[np.ndarray, np.ndarray, int]:
        """Underside and upper side over the cells, from the centre; outside the grain +inf and -inf. And its reach."""
        grown = [radius + GROWN * self.cell_mm for radius in radii]
        turn = [[round(each, 9) for each in row] for row in rotation(turn_deg)]
        form = [[sum(turn[a][k] * turn[b][k] / grown[k] ** 2 for k in range(3)) for b in range(3)] for a in range(3)]
        reach = min(int(max(grown) / self.cell_mm) + 1, min(self._middle) - 1)
        at = np.arange(-reach, reach + 1) * self.cell_mm
        x, y = at[:, None], at[None, :]
        half = form[0][2] * x + form[1][2] * y
        rest = form[0][0] * x * x + 2 * form[0][1] * x * y + form[1][1] * y * y - 1
        root = half * half - form[2][2] * rest
        inside = root > 0
        depth = np.sqrt(np.where(inside, root, 0))
        low = np.where(inside, (-half - depth) / form[2][2], np.inf)
        high = np.where(inside, (depth - half) / form[2][2], -np.inf)
        return low, high, reach


def pour(
    count: int,
    radii_mm: tuple[float, float, float],
    spread: float,
    pile: Pile,
    stream: Stream,
    highest_mm: float = math.inf,
) -> list[Grain]:
    """Drop grains one after another.

    Parameters
    ----------
    count : int
        At the most.
    radii_mm : tuple of float
        Mean radii, x the longest; grains lie down.
    spread : float
        Sizes are uniform within this share of the mean.
    pile : Pile
    stream : Stream
    highest_mm : float
        No grain may reach above it; many in turn that would end the pouring.
    """
    grains: list[Grain] = []
    refused = 0
    is_ball = len(set(radii_mm)) == 1
    for _ in range(count):
        size = 1 + spread * stream.between(-1, 1)
        own = (round(radii_mm[0] * size, 6), round(radii_mm[1] * size, 6), round(radii_mm[2] * size, 6))
        lean, yaw = stream.between(-25, 25), stream.between(0, 360)
        turn = (0.0, 0.0, 0.0) if is_ball else (0.0, round(lean, 6), round(yaw, 6))
        grain = pile.drop(own, turn, stream, highest_mm)
        if grain is not None:
            grains.append(grain)
        refused = refused + 1 if grain is None else 0
        if refused > REFUSALS:
            break
    return grains
