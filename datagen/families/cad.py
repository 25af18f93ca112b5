"""Parts of a user's own CAD files in any pose."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np

import xsim
from datagen.families.family import DrawnBody, Length, MaterialName, Number, ViewField, Word, choice, one_of, uniform
from datagen.families.folder import FolderFamily
from datagen.families.shapes import any_turn_deg, check_view, rounded, turned
from datagen.stream import Stream
from xsim import MeshError, SceneError

__all__ = ["Cad"]

OWN_UNIT = (".3mf",)
STEP = (".step", ".stp")
CHECK_PIXELS, WIDEST_MM = 128, 1e4
ASKEW = [33.0, 21.0, 10.0]  # no face of a part that is made of right angles lies along the rays


@dataclass(frozen=True)
class Part:
    """A CAD file as bodies in its own frame.

    Attributes
    ----------
    bodies : list of dict
        The mesh keys of a [[body]] each.
    centre_mm : tuple of float
        Middle of the box around them.
    corners_mm : float64 [8, 3]
        Of that box.
    """

    bodies: list[dict[str, Any]]
    centre_mm: tuple[float, float, float]
    corners_mm: np.ndarray


class Cad(FolderFamily):
    """CAD files."""

    family: ClassVar[str] = "cad"
    about: ClassVar[str] = """
        Parts of your own: one CAD file of a folder a scene (STL, OBJ, PLY and 3MF; STEP with the extra cad, every part
        of an assembly in its place), in any pose, never scaled, of a material of your list. Every file is read and
        its surface checked when the corpus file is; a bad one is named in one line.
        """
    kinds: ClassVar[tuple[str, ...]] = ("part",)
    suffixes: ClassVar[tuple[str, ...]] = (".stl", ".obj", ".ply", ".3mf", *STEP)

    mesh_unit: Word = "mm"
    chord_mm: Length = 0.05
    material: MaterialName = choice("6061 aluminium", "AlSi10Mg", "ABS", "PEEK", "graphite")
    pose: Annotated[Word, one_of("any", "flat")] = choice("any", "flat")
    shift_share: Number = (uniform(-0.03, 0.03), uniform(-0.03, 0.03))

    def most_bodies(self) -> int:
        """Parts of the greatest assembly."""
        return max(len(part.bodies) for part in self._loaded.values())

    def load(self, path: Path) -> Part:
        """Read a file, look through it once.

        Raises
        ------
        MeshError
            It is no CAD file, open, or holds nothing.
        """
        if path.suffix.lower() in STEP:
            bodies = step_bodies(path, float(self.chord_mm))
        else:
            unit = {} if path.suffix.lower() in OWN_UNIT else {"mesh_unit": self.mesh_unit}
            bodies = [{"mesh": str(path), **unit}]
        corners = look_through(bodies)
        low, high = corners.min(axis=0), corners.max(axis=0)
        box = np.where(np.array(list(np.ndindex(2, 2, 2))), high, low)
        middle = rounded(0.5 * (low + high))
        return Part(bodies, (middle[0], middle[1], middle[2]), box)

    def bodies(self, values: dict[str, Any], stream: Stream, view: ViewField) -> list[DrawnBody]:
        """The file's bodies about the middle of the view.

        Raises
        ------
        PlacementError
            The part does not fit into the view so.
        """
        part: Part = self._loaded[values["file"]]
        turn = any_turn_deg(stream) if values["pose"] == "any" else rounded((0, 0, stream.between(0, 360)))
        shift = np.array(values["shift_share"]) * [view.width_mm, view.height_mm]
        places = np.array(turned(part.corners_mm - part.centre_mm, turn)) + np.array([*shift, 0.0])
        check_view(places, view, values["file"])
        origin = np.array(turned(-np.array([part.centre_mm]), turn)[0]) + np.array([*shift, 0.0])
        pose = {"position_mm": rounded(origin), "rotation_deg": turn, "material": values["material"]}
        return [DrawnBody("part", {**body, **pose}) for body in part.bodies]


def step_bodies(path: Path, chord_mm: float) -> list[dict[str, Any]]:
    """A body of every part of a STEP assembly, in its place.

    Raises
    ------
    MeshError
        It is no STEP file, or the extra is not installed.
    """
    try:
        assembly = xsim.read_step(path, chord_mm)
    except ModuleNotFoundError:
        raise MeshError("STEP needs cascadio (not installed) pip install 'xsim[cad]'") from None
    found = []
    for instance in assembly.instances:
        part = assembly.parts[instance.part]
        vertices = [rounded(point) for point in part.vertices @ instance.rotation.T + instance.position_mm]
        found.append({"mesh": (np.array(vertices), part.faces)})
    return found


def look_through(bodies: list[dict[str, Any]]) -> np.ndarray:
    """World points whose hull holds some meshes, float64 [point, 3] mm, after one look through all of them.

    Raises
    ------
    MeshError, SceneError
        One cannot be read, or is open.
    """
    station: dict[str, Any] = {"source": {"energy_kev": 60.0}, "acquisition": {"exposure_s": 1.0}}
    camera = {"preset": "generic-gos-200um", "rows": CHECK_PIXELS, "columns": CHECK_PIXELS}
    bodies = [{**body, "material": "Al"} for body in bodies]
    far = {"beam": "parallel", "sod_mm": 1e6, "sdd_mm": 2e6}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*out of view.*|.*is mesh_unit right.*")  # said of where it is in its file
        scene = xsim.scene_from_dict({**station, "geometry": far, "detector": camera, "body": bodies})
    corners = np.concatenate([scene.corners(body) for body in scene.body])
    low, high = corners.min(axis=0), corners.max(axis=0)
    size = float(np.linalg.norm(high - low))
    if not 0 < size < WIDEST_MM:
        raise SceneError(f"it is {size:.3g} mm wide (0 to {WIDEST_MM:g} mm make sense) check mesh_unit")
    place = turned(-0.5 * (low + high)[None], ASKEW)[0]
    moved = [{**body, "position_mm": place, "rotation_deg": ASKEW} for body in bodies]
    detector = {**camera, "pitch_mm": size * 1.02 / CHECK_PIXELS}
    xsim.path_lengths(xsim.scene_from_dict({**station, "geometry": far, "detector": detector, "body": moved}), "cpu", 1)
    return corners
