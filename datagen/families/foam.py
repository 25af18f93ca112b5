"""Foam: a plate or a cylinder with thousands of closed cells, and now and then one that should not be there."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

import numpy as np

from datagen.families.family import (
    Angle,
    Count,
    DrawnBody,
    Family,
    Length,
    MaterialName,
    NonNegative,
    Share,
    ViewField,
    Word,
    choice,
    integers,
    log_uniform,
    most,
    one_of,
    uniform,
)
from datagen.families.shapes import rounded, turned
from datagen.families.sphere_packing import Room, scatter_spheres, spread_radii
from datagen.placement import PlacementError
from datagen.stream import Stream

__all__ = ["Foam"]


class Foam(Family):
    """Closed-cell foam."""

    family: ClassVar[str] = "foam"
    about: ClassVar[str] = """
        A plate or a round blank of closed-cell foam: thousands of exact spherical pores of a log-normal spread of
        sizes that neither overlap nor cut the skin and fill exactly the share of the volume that is asked for. Some
        parts hold blow holes (cells several times the usual size) and dense inclusions, which an inspection looks for.
        """
    kinds: ClassVar[tuple[str, ...]] = ("foam", "pores", "blow hole", "inclusion")
    materials: ClassVar[tuple[str, ...]] = ("air",)

    material: MaterialName = choice("polyethylene", "polystyrene", "PMMA", "glass", "6061 aluminium")
    outline: Annotated[Word, one_of("plate", "round")] = choice("plate", "round")
    width_share: Share = uniform(0.6, 0.9)  # of the view
    height_share: Share = uniform(0.6, 0.9)
    thickness_mm: Length = uniform(10.0, 25.0)
    pores: Count = integers(2000, 5000)
    porosity: Share = uniform(0.03, 0.3)
    size_spread: NonNegative = uniform(0.1, 0.4)
    blow_holes: Count = choice(0, 0, 1, 2)
    blow_hole_ratio: Length = uniform(2.5, 4.0)
    inclusions: Count = choice(0, 0, 0, 1, 2)
    inclusion_material: MaterialName = choice("steel", "quartz", "Al", "PVC")
    inclusion_radius_mm: Length = log_uniform(0.15, 1.5)
    tilt_deg: Angle = (uniform(-8.0, 8.0), uniform(-8.0, 8.0), uniform(0.0, 360.0))

    def most_bodies(self) -> int:
        """Foam, its pores as one body, blow holes and inclusions."""
        return 2 + int(most(self.blow_holes)) + int(most(self.inclusions))

    def bodies(self, values: dict[str, Any], stream: Stream, view: ViewField) -> list[DrawnBody]:
        """Block, pores, blow holes, inclusions; the pores have ``porosity`` of the block's volume, blow holes included.

        Raises
        ------
        PlacementError
            The pores found no room, or there is none.
        """
        if values["outline"] == "plate":
            size = (values["width_share"] * view.smaller_mm, values["height_share"] * view.smaller_mm)
            size_mm = [*rounded(_fitted(size, values["tilt_deg"][2], view)), values["thickness_mm"]]
            block: dict[str, Any] = {"shape": "box", "size_mm": size_mm}
        else:
            radius = round(0.5 * values["width_share"] * view.smaller_mm, 6)
            block = {"shape": "cylinder", "radius_mm": radius, "height_mm": values["thickness_mm"]}
            size_mm = [2 * radius, 2 * radius, values["thickness_mm"]]
        room = Room((size_mm[0], size_mm[1], size_mm[2]), values["outline"] == "round")
        radii = self._radii(values, room, stream)
        order = np.argsort(-np.concatenate(radii), kind="stable")
        centres = np.zeros((len(order), 3))
        centres[order] = scatter_spheres(np.concatenate(radii)[order], room, stream)
        return _bodies(values, block, centres, radii)

    @staticmethod
    def _radii(values: dict[str, Any], room: Room, stream: Stream) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Radii [mm] of pores, blow holes and inclusions."""
        wanted = values["porosity"] * room.volume_mm3
        if not values["pores"] or not wanted:
            raise PlacementError("a foam without pores (pores and porosity must be above 0)")
        ratios = np.full(values["blow_holes"], values["blow_hole_ratio"])
        # one mean pore's volume is counted for each; a blow hole counts for the cube of its ratio
        share = values["pores"] / (values["pores"] + float((ratios * ratios * ratios).sum()))
        pores = spread_radii(values["pores"], values["size_spread"], wanted * share, stream)
        mean = (wanted * share / values["pores"] / (4 / 3 * np.pi)) ** (1 / 3)
        return pores, np.round(ratios * mean, 6), np.full(values["inclusions"], values["inclusion_radius_mm"])


def _fitted(size: tuple[float, float], turn_deg: float, view: ViewField) -> tuple[float, float]:
    """Width and height of a plate, made smaller until it fits into the view when it is turned."""
    cosine, sine = abs(math.cos(math.radians(turn_deg))), abs(math.sin(math.radians(turn_deg)))
    wide, high = size[0] * cosine + size[1] * sine, size[0] * sine + size[1] * cosine
    share = min(1.0, 0.92 * view.width_mm / wide, 0.92 * view.height_mm / high)
    return size[0] * share, size[1] * share


def _bodies(
    values: dict[str, Any], block: dict[str, Any], centres: np.ndarray, radii: tuple[np.ndarray, ...]
) -> list[DrawnBody]:
    turn = {"rotation_deg": values["tilt_deg"]}
    pores, holes, inclusions = np.split(centres, np.cumsum([len(each) for each in radii])[:-1])
    found = [DrawnBody("foam", {**block, **turn, "material": values["material"]})]
    spheres = {"shape": "spheres", "centres_mm": pores.tolist(), "radii_mm": radii[0].tolist()}
    found.append(DrawnBody("pores", {**spheres, **turn, "material": "air", "priority": 1}))
    for kind, places, sizes, material in (
        ("blow hole", holes, radii[1], "air"),
        ("inclusion", inclusions, radii[2], values["inclusion_material"]),
    ):
        for place, radius in zip(turned(places, values["tilt_deg"]), sizes.tolist(), strict=True):
            body = {"shape": "sphere", "radius_mm": radius, "position_mm": place, "material": material, "priority": 1}
            found.append(DrawnBody(kind, body, target=True))
    return found
