"""A user's own voxel scans with foreign bodies put into them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from scipy.ndimage import distance_transform_edt

import xsim
from datagen.families.family import (
    EACH,
    Angle,
    Count,
    DrawnBody,
    Length,
    MaterialName,
    Number,
    ViewField,
    Word,
    choice,
    log_uniform,
    most,
    one_of,
    uniform,
)
from datagen.families.folder import FolderFamily
from datagen.families.foreign_body import FOREIGN_MATERIALS, FOREIGN_SHAPES, foreign_body
from datagen.families.shapes import check_view, rounded, turned
from datagen.placement import PlacementError
from datagen.stream import Stream

__all__ = ["Scan"]

MOST_PLACES = 50_000  # voxels of a scan that foreign bodies may lie in, evenly chosen
TRIES = 64
CLEAR = 0.5  # of the half extent of a wire or shard, which lies flat, that must be inside; of a sphere all
NOTHING = "nothing"


@dataclass(frozen=True)
class Loaded:
    """A scan, looked through once.

    Attributes
    ----------
    body : dict
        The volume keys of its [[body]].
    places_mm : float64 [place, 3]
        Some middles of voxels inside, in its frame.
    depths_mm : float64 [place]
        Distance of each from the surface, about: that of the nearest middle of a voxel outside, less half a voxel.
    corners_mm : float64 [8, 3]
        Of the box around what is inside.
    """

    body: dict[str, Any]
    places_mm: np.ndarray
    depths_mm: np.ndarray
    corners_mm: np.ndarray


class Scan(FolderFamily):
    """Voxel scans."""

    family: ClassVar[str] = "scan"
    about: ClassVar[str] = """
        Voxel scans of your own, one file of a folder a scene, in any format that a [[body]] reads, turned at random,
        with foreign bodies inside that displace the voxels: spheres, wires and shards as in food. What the voxels mean
        stands under meaning as in a [[body]]: mixtures, or material with density_scale_g_cm3, or labels.
        """
    kinds: ClassVar[tuple[str, ...]] = ("scan", "contaminant")
    suffixes: ClassVar[tuple[str, ...]] = (
        ".nii", ".nii.gz", ".mhd", ".mha", ".tif", ".tiff", ".npy", ".zarr", ".zarr.zip",
    )  # fmt: skip

    meaning: dict[str, Any]
    voxel_mm: Length | None = None
    inside_above: Number | None = None
    tilt_deg: Angle = (uniform(-10.0, 10.0), uniform(-10.0, 10.0), uniform(0.0, 360.0))
    shift_share: Number = (uniform(-0.03, 0.03), uniform(-0.03, 0.03))
    foreign_bodies: Count = choice(0, 1, 1, 2, 3)
    foreign_material: Annotated[MaterialName, EACH] = choice(*FOREIGN_MATERIALS)
    foreign_shape: Annotated[Word, one_of(*FOREIGN_SHAPES), EACH] = choice(*FOREIGN_SHAPES)
    foreign_size_mm: Annotated[Length, EACH] = log_uniform(0.6, 12.0)

    def most_bodies(self) -> int:
        """The scan and foreign bodies."""
        return 1 + int(most(self.foreign_bodies))

    def material_options(self) -> list[Any]:
        """Those of the foreign bodies, and the scan's own where it is of one."""
        own = self.meaning.get("material")
        return [*super().material_options(), *([own] if own is not None else [])]

    def load(self, path: Path) -> Loaded:
        """Read a scan and find where foreign bodies may lie.

        Raises
        ------
        XsimError
            It cannot be read, or nothing of it is inside.
        """
        size = {} if self.voxel_mm is None else {"voxel_mm": self.voxel_mm}
        body = {"volume": str(path), **self.meaning, **size}
        station = {"source": {"energy_kev": 60.0}, "acquisition": {"exposure_s": 1.0}}
        camera = {"preset": "generic-gos-200um", "rows": 8, "columns": 8}
        far = {"beam": "parallel", "sod_mm": 1e6, "sdd_mm": 2e6}
        scene = xsim.scene_from_dict({**station, "geometry": far, "detector": camera, "body": [body]})
        volume = scene.shape_of(0)
        inside = self._inside(np.asarray(volume.voxels), volume.slope, volume.intercept)
        if not inside.any():
            raise xsim.VolumeError("no voxel is inside (all are below inside_above) lower it")
        spacing = np.array(volume.voxel_mm)
        # the scan ends at its box: a body there would stick out of it
        depths = distance_transform_edt(np.pad(inside, 1), sampling=spacing[::-1])[1:-1, 1:-1, 1:-1]
        held = np.flatnonzero(inside)
        held = held[:: -(-len(held) // MOST_PLACES)]
        places = np.stack(np.unravel_index(held, inside.shape)[::-1], axis=1) + 0.5
        places = (places - 0.5 * np.array(volume.size)) * spacing
        ends = [np.flatnonzero(inside.any(axis=tuple(b for b in range(3) if b != 2 - a)))[[0, -1]] for a in range(3)]
        low, high = (np.array([end[k] + k for end in ends]) for k in (0, 1))
        low, high = ((end - 0.5 * np.array(volume.size)) * spacing for end in (low, high))
        corners = np.where(np.array(list(np.ndindex(2, 2, 2))), high, low)
        return Loaded(body, places, np.round(depths.reshape(-1)[held] - 0.5 * spacing.min(), 6), corners)

    def _inside(self, voxels: np.ndarray, slope: float, intercept: float) -> np.ndarray:
        labels = self.meaning.get("labels")
        if isinstance(labels, dict):
            return np.isin(voxels, [int(label) for label, material in labels.items() if material != NOTHING])
        values = voxels * np.float32(slope) + np.float32(intercept)
        low, high = float(values.min()), float(values.max())
        limit = low + 0.25 * (high - low) if self.inside_above is None else float(self.inside_above)
        return np.asarray(values > limit)

    def bodies(self, values: dict[str, Any], stream: Stream, view: ViewField) -> list[DrawnBody]:
        """The scan about the middle of the view, and foreign bodies in it.

        Raises
        ------
        PlacementError
            It does not fit into the view, or has no place for a foreign body.
        """
        scan: Loaded = self._loaded[values["file"]]
        turn = values["tilt_deg"]
        shift = np.array(values["shift_share"]) * [view.width_mm, view.height_mm]
        origin = np.array(turned(-scan.corners_mm.mean(axis=0)[None], turn)[0]) + np.array([*shift, 0.0])
        check_view(np.array(turned(scan.corners_mm, turn)) + origin, view, values["file"])
        found = [DrawnBody("scan", {**scan.body, "position_mm": rounded(origin), "rotation_deg": turn})]
        for _ in range(values["foreign_bodies"]):
            body, reach = foreign_body(values, stream)
            least = reach * (1.0 if body.body.get("shape") == "sphere" else CLEAR)
            place = scan.places_mm[_place(scan.depths_mm, least, stream)]
            at = np.array(turned(place[None], turn)[0]) + origin
            found.append(DrawnBody(body.kind, {**body.body, "position_mm": rounded(at)}, target=True))
        return found


def _place(depths_mm: np.ndarray, least_mm: float, stream: Stream) -> int:
    """One of the places that are deep enough, at random.

    Raises
    ------
    PlacementError
        None was found.
    """
    for _ in range(TRIES):
        place = stream.below(len(depths_mm))
        if depths_mm[place] >= least_mm:
            return place
    raise PlacementError("a foreign body found no place in the scan")
