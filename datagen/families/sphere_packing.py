"""Thousands of spheres that do not overlap, at random in a box or a cylinder: random sequential addition.

Each sphere goes to the first of its random places that is free; the largest are placed first. Up to about 0.35 of the
volume can be filled so (Cooper, Phys. Rev. A 38, 522, 1988: equal spheres jam at 0.385).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from datagen.placement import PlacementError
from datagen.stream import Stream

__all__ = ["Room", "scatter_spheres", "spread_radii"]

DECIMALS = 6
ROUNDS = 200
AT_ONCE, ALIKE = 256, 0.85
CANDIDATES = 1024


@dataclass(frozen=True)
class Room:
    """Where spheres go: a box, or a cylinder along z, centred on the origin.

    Attributes
    ----------
    size_mm : tuple of float
        Along x, y, z; of a cylinder its diameter twice and its height.
    is_round : bool
    """

    size_mm: tuple[float, float, float]
    is_round: bool = False

    @property
    def volume_mm3(self) -> float:
        """Its volume."""
        x, y, z = self.size_mm
        return x * y * z * (np.pi / 4 if self.is_round else 1.0)

    def places(self, units: np.ndarray, radii: np.ndarray) -> np.ndarray:
        """Uniform places of spheres wholly inside, of uniform numbers [sphere, 3]: float64 [sphere, 3] mm.

        Raises
        ------
        PlacementError
            A sphere is larger than the room.
        """
        free = 0.5 * np.array(self.size_mm) - radii[:, None]
        if (free < 0).any():
            raise PlacementError(f"a sphere of {radii.max():.3g} mm radius is larger than its body, lower it")
        if not self.is_round:
            return np.round((2 * units - 1) * free, DECIMALS)
        across, angle = free[:, 0] * np.sqrt(units[:, 0]), 2 * np.pi * units[:, 1]
        places = [across * np.cos(angle), across * np.sin(angle), (2 * units[:, 2] - 1) * free[:, 2]]
        return np.round(np.stack(places, axis=1), DECIMALS)


def spread_radii(count: int, spread: float, volume_mm3: float, stream: Stream) -> np.ndarray:
    """Radii [mm], largest first, whose spheres have a volume in all; log-normal, cut off at two standard deviations.

    Parameters
    ----------
    count : int
    spread : float
        Standard deviation of the radius' logarithm.
    volume_mm3 : float
    stream : Stream
    """
    normals = np.array([stream.normal(-2.0, 2.0) for _ in range(count)])
    relative = np.round(np.sort(np.exp(spread * normals))[::-1], 9)
    scale = (volume_mm3 / (4 / 3 * np.pi * float((relative * relative * relative).sum()))) ** (1 / 3)
    return np.round(relative * scale, DECIMALS)


def scatter_spheres(
    radii: np.ndarray,
    room: Room,
    stream: Stream,
    gap_mm: float = 1e-3,
    taken: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """Places of spheres in a room.

    Parameters
    ----------
    radii : float64 [sphere] mm
        Largest first.
    room : Room
    stream : Stream
    gap_mm : float
        Least distance between two of them.
    taken : (float64 [sphere, 3], float64 [sphere]), optional
        Centres and radii [mm] of spheres that must stay free.

    Returns
    -------
    float64 [sphere, 3] mm

    Raises
    ------
    PlacementError
        Some found no room.
    """
    centres = np.zeros((len(radii), 3))
    earlier: list[tuple[cKDTree, float]] = []
    if taken is not None:
        earlier += [(cKDTree(centre[None]), float(radius)) for centre, radius in zip(*taken, strict=True)]
    for group in _groups(radii):
        waiting, settled = group, group[:0]
        for _ in range(ROUNDS):
            found, places = _free_places(waiting, settled, centres, radii, earlier, room, stream, gap_mm)
            centres[found] = places
            settled, waiting = np.union1d(settled, found), np.setdiff1d(waiting, found)
            if not len(waiting):
                break
        else:
            share = 4 / 3 * np.pi * float((radii * radii * radii).sum()) / room.volume_mm3
            raise PlacementError(f"{len(radii)} spheres found no room (they fill {share:.2f} of it), lower their share")
        earlier.append((cKDTree(centres[group]), float(radii[group[0]])))
    return centres


def _groups(radii: np.ndarray) -> Iterator[np.ndarray]:
    """Descending radii in groups of about one size: indices of each."""
    begin = 0
    while begin < len(radii):
        alike = int(np.searchsorted(-radii, -ALIKE * radii[begin], side="right"))
        end = min(begin + AT_ONCE, max(alike, begin + 1))
        yield np.arange(begin, end)
        begin = end


def _free_places(
    waiting: np.ndarray,
    settled: np.ndarray,
    centres: np.ndarray,
    radii: np.ndarray,
    earlier: list[tuple[cKDTree, float]],
    room: Room,
    stream: Stream,
    gap_mm: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Some of the waiting spheres, ascending, and a free place of each; all are tried at several places.

    ``earlier`` holds the groups of larger spheres with the greatest radius of each, which gives a little more room
    than there must be.
    """
    tries = max(1, CANDIDATES // len(waiting))
    owner = np.repeat(waiting, tries)
    places = room.places(stream.units(3 * len(owner)).reshape(-1, 3), radii[owner])
    own = [(cKDTree(centres[settled]), float(radii[settled].max()))] if len(settled) else []
    for tree, radius in earlier + own:
        free = tree.query_ball_point(places, radii[owner] + (radius + gap_mm), return_length=True) == 0
        owner, places = owner[free], places[free]
    found, first = np.unique(owner, return_index=True)
    places = places[first]
    if len(found) < 2:
        return found, places
    pairs = cKDTree(places).query_pairs(2 * float(radii[found].max()) + gap_mm, output_type="ndarray")
    x, y, z = (places[pairs[:, 0]] - places[pairs[:, 1]]).T
    reach = radii[found[pairs]].sum(axis=1) + gap_mm
    kept = np.ones(len(found), bool)
    kept[pairs.max(axis=1)[x * x + y * y + z * z < reach * reach]] = False
    return found[kept], places[kept]
