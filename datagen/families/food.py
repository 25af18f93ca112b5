"""Food on an inspection line, in its pack, with what should not be in it."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import model_validator

from datagen.families.containers import CARDBOARD, carton, tray
from datagen.families.family import (
    EACH,
    Angle,
    Count,
    DrawnBody,
    Family,
    Length,
    MaterialName,
    Share,
    ViewField,
    Word,
    choice,
    leaves,
    log_uniform,
    most,
    one_of,
    uniform,
)
from datagen.families.folder import PictureFolder, pictures_in
from datagen.families.food_volume import BREAD, food_volume, picture_volume
from datagen.families.foreign_body import FOREIGN_MATERIALS, FOREIGN_SHAPES, foreign_body
from datagen.families.grain_packing import LEVELS, Grain, Pile, pour
from datagen.families.shapes import rounded, turned_about_beam
from datagen.families.vessel import VESSELS, vessel
from datagen.placement import PlacementError
from datagen.stream import Stream

__all__ = ["Food"]

# mean radii [mm] of a grain, and its material
GRAINS: dict[str, tuple[tuple[float, float, float], dict[str, Any]]] = {
    "nuts": ((9.0, 7.5, 7.5), {"mixture": {"fat": 0.6, "C6H10O5": 0.4}, "density_g_cm3": 1.02}),
    "beans": ((8.0, 4.2, 3.6), {"formula": "C6H10O5", "density_g_cm3": 1.25}),
    "peas": ((4.2, 4.2, 4.2), {"name": "water", "density_g_cm3": 1.06}),
    "rice": ((5.0, 1.7, 1.7), {"formula": "C6H10O5", "density_g_cm3": 1.45}),
}
PRODUCTS = ("meat", "bread", "cheese", "nuts", "beans", "peas", "rice", "jar", "bottle")
PICTURE = "picture"  # the product where texture_from is given
MOST_GRAINS = 420
GRAIN_ROOM = 7.5  # of a poured grain, over the product of its radii
TRIES = 64


class Food(Family):
    """Food with foreign bodies."""

    family: ClassVar[str] = "food"
    about: ClassVar[str] = """
        Food on an inspection line: meat with fibres and fat, bread, cheese with eyes, nuts, beans, peas and rice poured
        into a tray until they rest on each other, jars and bottles that stand; bare, in a plastic tray or in a carton.
        Foreign bodies lie in it: spheres, wires and shards of aluminium, steel, glass, stone, bone, rubber and
        plastics, from far below what the camera can show to obvious. With texture_from the food is a slab whose
        thickness follows the grey values of a picture of one's own folder.
        """
    kinds: ClassVar[tuple[str, ...]] = ("food", "container", "contaminant")
    materials: ClassVar[tuple[Any, ...]] = (
        *(material for _, material in GRAINS.values()), BREAD, CARDBOARD, "muscle", *VESSELS, "air", "water",
    )  # fmt: skip

    product: Annotated[Word, one_of(*PRODUCTS, PICTURE)] = choice(*PRODUCTS)
    texture_from: PictureFolder = ""
    length_share: Share = uniform(0.6, 0.85)  # of the view
    breadth: Share = uniform(0.6, 0.9)  # width over length
    thickness_mm: Length = uniform(15.0, 35.0)
    texture_mm: Length = uniform(5.0, 12.0)
    fill: Share = uniform(0.5, 0.9)
    pack: Annotated[Word, one_of("none", "tray", "carton")] = choice("none", "tray", "carton")
    tray_material: MaterialName = choice("polypropylene", "PET", "polystyrene")
    wall_mm: Length = uniform(0.4, 1.0)
    turn_deg: Angle = uniform(-12.0, 12.0)
    foreign_bodies: Count = choice(0, 1, 1, 2, 3)
    foreign_material: Annotated[MaterialName, EACH] = choice(*FOREIGN_MATERIALS)
    foreign_shape: Annotated[Word, one_of(*FOREIGN_SHAPES), EACH] = choice(*FOREIGN_SHAPES)
    foreign_size_mm: Annotated[Length, EACH] = log_uniform(0.6, 12.0)

    @model_validator(mode="before")
    @classmethod
    def _of_pictures(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not data.get("texture_from"):
            if isinstance(data, dict) and PICTURE in leaves(data.get("product")):
                raise ValueError("product 'picture' needs texture_from, name the folder that the pictures are in")
            return data
        if data.get("product", PICTURE) != PICTURE:
            raise ValueError("both product and texture_from given (the food is the picture's then), keep one")
        return {**data, "product": PICTURE}

    def most_bodies(self) -> int:
        """Grains, a carton of six walls, foreign bodies."""
        return MOST_GRAINS + 6 + int(most(self.foreign_bodies))

    def bodies(self, values: dict[str, Any], stream: Stream, view: ViewField) -> list[DrawnBody]:
        """Food, container, foreign bodies.

        Raises
        ------
        PlacementError
            A foreign body found no place in the food.
        """
        product = values["product"]
        if product in ("jar", "bottle"):
            found, room = vessel(product, values, stream, view)
            for _ in range(values["foreign_bodies"]):
                body, reach = foreign_body(values, stream)
                found.append(room.place(body, reach, stream))
            return found
        length = values["length_share"] * view.smaller_mm
        size = (round(length, 3), round(length * values["breadth"], 3), round(values["thickness_mm"], 3))
        if product in GRAINS:
            found = self._poured(product, size, values, stream)
        else:
            found = self._of_voxels(product, size, values, stream)
        return turned_about_beam(found, values["turn_deg"])

    def _pack(self, values: dict[str, Any], size: tuple[float, float, float], bare: bool = True) -> list[DrawnBody]:
        kind = values["pack"] if values["pack"] != "none" or bare else "tray"
        floor, wall = 0.5 * size[2], round(values["wall_mm"], 6)
        if kind == "carton":
            return carton(size, wall, CARDBOARD, floor)
        low = (size[0], size[1], round(0.7 * size[2], 3))
        return tray(low, wall, values["tray_material"], floor) if kind == "tray" else []

    def _of_voxels(
        self, product: str, size: tuple[float, float, float], values: dict[str, Any], stream: Stream
    ) -> list[DrawnBody]:
        if product == PICTURE:
            files = pictures_in(self.texture_from)
            voxels, keys = picture_volume(files[stream.below(len(files))], size, 0.3)
        else:
            voxels, keys = food_volume(product, size, values["texture_mm"], stream)
        edge = keys["voxel_mm"]
        own = tuple(edge * n for n in reversed(voxels.shape))
        found = [DrawnBody("food", {**keys, "position_mm": [0.0, 0.0, round(0.5 * (size[2] - own[2]), 6)]})]
        found += self._pack(values, (own[0] + 4, own[1] + 4, size[2] + 3))
        shift = found[0].body["position_mm"][2] + (1.5 if len(found) > 1 else 0.0)
        found[0].body["position_mm"][2] = round(shift, 6)
        for _ in range(values["foreign_bodies"]):
            body, reach = foreign_body(values, stream)
            place = _inside(voxels, reach / edge, stream)
            middle = [0.5 * n for n in reversed(voxels.shape)]
            at = [(p + 0.5 - m) * edge for p, m in zip(reversed(place), middle, strict=True)]
            body.body["position_mm"] = rounded((at[0], at[1], at[2] + shift))
            found.append(body)
        return found

    def _poured(
        self, product: str, size: tuple[float, float, float], values: dict[str, Any], stream: Stream
    ) -> list[DrawnBody]:
        radii, material = GRAINS[product]
        scale = min(1.0, 0.25 * size[2] / radii[2])
        radii = (radii[0] * scale, radii[1] * scale, radii[2] * scale)
        # as high and as wide as MOST_GRAINS fill: small ones come in a small, shallow pack
        room, least = MOST_GRAINS * GRAIN_ROOM * radii[0] * radii[1] * radii[2], 5 * radii[2]
        shrink = min(1.0, math.sqrt(room / (size[0] * size[1] * least)))
        size = (round(size[0] * shrink, 3), round(size[1] * shrink, 3), size[2])
        high = max(min(size[2] * values["fill"], room / (size[0] * size[1])), least)
        size = (size[0], size[1], round(high / values["fill"] + 2, 3))
        pile = Pile(size[0], size[1], radii[2] / LEVELS)
        grains = pour(MOST_GRAINS, radii, 0.12, pile, stream, high)
        floor = 0.5 * size[2]
        found = [*_grain_bodies(grains, material, floor), *self._pack(values, size, bare=False)]
        for _ in range(values["foreign_bodies"]):
            body, reach = foreign_body(values, stream)
            free = [0.5 * side - reach for side in size[:2]]
            if min(free) < 0:
                raise PlacementError("a foreign body is larger than its pack")
            x, y = (stream.between(-half, half) for half in free)
            low = 0.45 * reach + 0.05  # lying down, at most 20 degrees inclined
            high = max(low, min(pile.height_at(x, y), size[2]) - low)
            body.body["position_mm"] = rounded((x, y, floor - stream.between(low, high)))
            found.append(body)
        return found


def _grain_bodies(grains: list[Grain], material: Any, floor: float) -> list[DrawnBody]:
    """Balls as one body, other grains one each."""
    if all(len(set(grain.radii_mm)) == 1 for grain in grains):
        centres = [rounded((*grain.centre_mm[:2], floor - grain.centre_mm[2])) for grain in grains]
        radii = [grain.radii_mm[0] for grain in grains]
        return [DrawnBody("food", {"shape": "spheres", "centres_mm": centres, "radii_mm": radii, "material": material})]
    found = []
    for grain in grains:
        x, y, height = grain.centre_mm
        # height counts upwards, towards the source: z and the turns about x and y are mirrored
        turn = [-grain.rotation_deg[0], -grain.rotation_deg[1], grain.rotation_deg[2]]
        place = {"position_mm": rounded((x, y, floor - height)), "rotation_deg": turn}
        found.append(
            DrawnBody("food", {"shape": "ellipsoid", "radii_mm": list(grain.radii_mm), **place, "material": material})
        )
    return found


def _inside(voxels: np.ndarray, reach: float, stream: Stream) -> list[int]:
    """A voxel around which the food reaches some voxels far, at random; the deepest that was found where none does.

    Raises
    ------
    PlacementError
        There is no food at any of the places that were tried.
    """
    best: tuple[int, list[int]] = (-1, [])
    for _ in range(TRIES):
        place = [stream.below(size) for size in voxels.shape]
        if not voxels[tuple(place)]:
            continue
        step = (max(1, round(0.45 * reach)), max(1, round(reach)), max(1, round(reach)))
        held = 0
        for axis, way in ((a, w) for a in range(3) for w in (-1, 1)):
            at = list(place)
            at[axis] += way * step[axis]
            held += 0 <= at[axis] < voxels.shape[axis] and bool(voxels[tuple(at)])
        if held > best[0]:
            best = held, place
        if held == 6:
            return place
    if best[0] < 5:
        raise PlacementError("a foreign body found no place in the food")
    return best[1]
