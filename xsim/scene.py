"""The scene: source, geometry, acquisition, detector and bodies."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, PrivateAttr, ValidationInfo, model_validator

from xsim import material
from xsim.acquisition import Acquisition
from xsim.body import Body, check_shape
from xsim.defect import MOST_BODIES, Defect, place_defects
from xsim.detector import Detector
from xsim.geometry import View
from xsim.line_scan import ASPECT_TOLERANCE, Belt, aspect_at, line_scan
from xsim.mesh import Mesh, MeshBody, split_bodies, surface_of
from xsim.mesh_array import MeshArray
from xsim.plausibility import warn_of_place
from xsim.primitive import Solid
from xsim.schema import StrictModel
from xsim.second_exposure import SecondExposure
from xsim.source import Source
from xsim.spectrum import Spectrum
from xsim.station import Geometry, panel
from xsim.volume import Volume, VolumeBody
from xsim.volume_io import load_volume
from xsim.whereabouts import Reach, check_whereabouts

__all__ = ["Body", "Scene"]

OTHER_SESSION = 1 << 20  # of the correction frames of a second exposure: none that a file can name


class Scene(StrictModel):
    """A radiographic station and the part in it. See ``docs/scene.md`` for every field."""

    source: Source
    geometry: Geometry = Geometry()
    acquisition: Acquisition = Acquisition(target_gv=0.7)
    detector: Detector
    body: Annotated[tuple[Body, ...], Field(max_length=MOST_BODIES)] = ()
    defect: tuple[Defect[Body], ...] = ()
    second_exposure: SecondExposure | None = None
    _directory: Path = PrivateAttr(default=Path())
    _checked: bool = PrivateAttr(default=False)
    _memo: dict[str, Any] = PrivateAttr(default_factory=dict)
    _meshes: dict[tuple[str | MeshArray, str | None, bool, int | None], Mesh] = PrivateAttr(default_factory=dict)
    _ranked_of: tuple[Any, Any] = PrivateAttr(default=(None, None))  # a copy may have other bodies
    _placed: tuple[tuple[Body, ...], tuple[tuple[int, ...], ...]] = PrivateAttr(default=((), ()))

    @model_validator(mode="before")
    @classmethod
    def _known_shapes(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, dict):
            return data
        for tables in (data.get("body"), data.get("defect")):
            for table in tables if isinstance(tables, (list, tuple)) else ():
                check_shape(table)
        return {**data, **split_bodies(data, (info.context or {}).get("directory", Path()))}

    @model_validator(mode="after")
    def _line_scan_and_belt(self) -> Scene:
        belt = self.acquisition.lines is not None
        if self.detector.kind != "line_scan":
            if belt:
                raise ValueError('a belt needs a line camera (detector kind = "flat_panel") use kind = "line_scan"')
            return self
        if not belt:
            raise ValueError("a line camera needs a belt (there is none) give belt_speed_m_s, line_rate_hz, lines")
        column, _, back = self.geometry.detector_axes
        if abs(back[1]) > 1e-9 or abs(column[1]) > 0.99:
            raise ValueError(
                f"the belt does not pass along the line camera's plane (detector_rotation_deg = "
                f"{list(self.geometry.detector_rotation_deg)}, travel along y) turn it about y, or little about z"
            )
        return self

    @model_validator(mode="after")
    def _spot_of_a_cone_beam(self) -> Scene:
        if self.source.has_focal_spot and self.geometry.beam == "parallel":
            raise ValueError("a parallel beam has no focal spot (its source is far away) leave focal_spot out")
        if self.source.heel and self.geometry.beam == "parallel":
            raise ValueError("a parallel beam has no heel effect (its source is far away) leave heel out")
        if self.source.drift_share_per_s and self.acquisition.lines is None:
            raise ValueError("drift_share_per_s is seen along a line scan (a panel takes one exposure) leave it out")
        return self

    @model_validator(mode="after")
    def _a_camera_is_corrected(self) -> Scene:
        run = self.acquisition
        if self.detector.response == "ideal" and (run.state != "raw" or run.frames > 1):
            what = f'state = "{run.state}"' if run.state != "raw" else f"frames = {run.frames}"
            raise ValueError(f"an ideal response has no electronics to correct ({what}) leave it out")
        return self

    @model_validator(mode="after")
    def _one_other_image(self) -> Scene:
        if self.second_exposure is not None:
            if self.detector.second_layer is not None:
                raise ValueError("both second_layer and second_exposure given (an image has one other) keep one")
            self.second_exposure.source(self.source)
            self.second_exposure.acquisition(self.acquisition)
        return self

    @property
    def second(self) -> Scene | None:
        """The scene of the other image of dual energy, of a second layer or exposure; None where there is one image."""
        layer, other, camera = self.detector.behind, self.second_exposure, self.detector
        if layer is not None:
            return self.model_copy(update={"detector": layer})
        if other is None:
            return None
        ways = camera.correction.model_copy(update={"session": camera.correction.session + OTHER_SESSION})
        return self.model_copy(update={
            "source": other.source(self.source), "acquisition": other.acquisition(self.acquisition),
            "detector": camera.model_copy(update={"correction": ways}), "second_exposure": None,
        })  # fmt: skip

    @property
    def memo(self) -> dict[str, Any]:
        """What was worked out of the scene once, with whatever it was worked out from."""
        return self._memo

    @property
    def directory(self) -> Path:
        """Folder that mesh and table paths are relative to."""
        return self._directory

    @property
    def view(self) -> View:
        """Rays of the detector's pixels."""
        camera, belt = self.detector, self.belt
        if belt is not None:
            return line_scan(self.geometry, camera.columns, camera.pitch_mm, belt)
        return panel(self.geometry, camera.rows, camera.columns, camera.pitch_mm)

    @property
    def edges_kev(self) -> list[float]:
        """K and L edges of everything in the beam: bodies, filters, what covers the screen, the screen."""
        specs: list[Any] = [spec for body in self.bodies for spec in body.materials()]
        sheets = (*self.source.inherent_filters, *self.source.filters, *self.detector.filters)
        specs += [sheet.material for sheet in sheets]
        if self.detector.response != "ideal":
            specs.append(self.detector.scintillator.material)
        found = (material.edges_kev(spec, material.LOWEST_KEV, material.HIGHEST_KEV) for spec in specs)
        return sorted({edge for edges in found for edge in edges})

    @property
    def beam(self) -> Spectrum:
        """Spectrum before the screen where no body stands, at 1 m; its bins are cut at the edges."""
        return self.source.photons(self.edges_kev).filtered(self.detector.sheets)

    @property
    def belt(self) -> Belt | None:
        """The belt of a line scan; None before a flat panel."""
        run = self.acquisition
        if run.lines is None or run.belt_speed_m_s is None or run.line_rate_hz is None:
            return None
        return Belt.at(run.belt_speed_m_s, run.line_rate_hz, run.lines)

    @property
    def bodies(self) -> tuple[Body, ...]:
        """What rays meet: the bodies, then the defects as bodies of the world. Label k is the k-th of them."""
        return self._ranked()[0]

    def _ranked(self) -> tuple[tuple[Body, ...], tuple[tuple[int, ...], ...]]:
        if self._ranked_of[0] is not self.body or self._ranked_of[1] is not self.defect:
            names = map(self.body_name, range(len(self.body)))
            self._placed = place_defects(self.defect, self.body, list(names), self._shape)
            self._ranked_of = self.body, self.defect
        return self._placed

    def body_name(self, index: int) -> str:
        """Name of a body or defect; without one its mesh file, or "body 3" by its place in the scene."""
        body = self.body[index] if index < len(self.body) else self.bodies[index]
        if isinstance(body, VolumeBody):
            return body.name or body.title
        return body.name or (body.file_name if isinstance(body, MeshBody) else f"body {index + 1}")

    def by_rank(self) -> list[int]:
        """Indices of ``bodies``, lowest rank first: by priority, then by place in the file; a defect after its host."""
        ranks = self._ranked()[1]
        return sorted(range(len(ranks)), key=lambda k: ranks[k])

    def mesh_of(self, body: MeshBody) -> Mesh:
        """Surface of a mesh body, in its own frame; read once a scene, whatever becomes of the file."""
        key = (body.mesh, body.mesh_unit, body.repair, body.part)
        if key not in self._meshes:
            self._meshes[key] = surface_of(body, self._directory)
        return self._meshes[key]

    def volume_of(self, body: VolumeBody) -> Volume:
        """Voxels of a volume body, in its own frame."""
        return load_volume(body, self._directory)

    def shape_of(self, index: int) -> Solid | Mesh | Volume:
        """What a body is made of: itself for an analytic solid, the surface of a mesh, the voxels of a volume."""
        return self._shape(self.bodies[index])

    def _shape(self, body: Body) -> Solid | Mesh | Volume:
        if isinstance(body, VolumeBody):
            return self.volume_of(body)
        return body if isinstance(body, Solid) else self.mesh_of(body)

    def corners(self, body: Body) -> np.ndarray:
        """World points whose hull holds the body, float64 [point, 3] mm."""
        shape = self._shape(body)
        return shape.bounds() if isinstance(shape, Solid) else body.to_world(shape.corners)

    def check(self) -> None:
        """Refuse what cannot be simulated: unknown materials, unreadable meshes, a body around the source.

        A scene that passed is not looked at again.

        Raises
        ------
        XsimError
            One line that names the body.

        """
        if self._checked:
            return
        for scene in filter(None, (self, self.second)):
            scene.source.photons().filtered(scene.detector.sheets)
            material.resolve(scene.detector.scintillator.material)
        for index, body in enumerate(self.bodies):
            for spec in body.materials():
                material.resolve(spec)
            check_whereabouts(self.view, self.reach(index))
        for (file, *_), mesh in {(key[0], mesh.repaired): mesh for key, mesh in self._meshes.items()}.items():
            if mesh.repaired:
                title = file if isinstance(file, str) else file.title
                warnings.warn(f"mesh {title} repaired: {mesh.repaired}", stacklevel=3)
        self._checked = True

    def reach(self, index: int) -> Reach:
        """How far a body reaches."""
        body = self.bodies[index]
        if isinstance(body, Solid):
            return Reach(self.body_name(index), body.bounds(), body.farthest, body.contains)
        shape, corners = self._shape(body), self.corners(body)
        assert not isinstance(shape, Solid)
        points = shape.vertices if isinstance(shape, Mesh) else shape.corners

        def farthest(direction: np.ndarray) -> float:
            return float((body.to_world(points) @ direction).max())

        def contains(point_mm: np.ndarray) -> bool:
            boxed = bool(((corners.min(axis=0) < point_mm) & (point_mm < corners.max(axis=0))).all())
            return boxed and shape.contains(body.to_body(point_mm))

        hint = "; is its mesh_unit right?" if isinstance(body, MeshBody) else ""
        return Reach(self.body_name(index), corners, farthest, contains, hint)

    def warn(self) -> None:
        """Warn of bodies that no ray of the detector can meet, and of a line scan that draws circles as ellipses."""
        places = ((self.body_name(k), self.corners(b), is_mesh_file(b)) for k, b in enumerate(self.bodies))
        warn_of_place(self.view, places)
        if self.belt is None:
            return
        aspect = aspect_at(self.view, np.zeros(3))
        if abs(aspect - 1) > ASPECT_TOLERANCE:
            rate = (self.acquisition.line_rate_hz or 0.0) * aspect
            warnings.warn(
                f"pixels are {aspect:.3g} times as long along travel as across (at the object) "
                f"line_rate_hz = {rate:.6g} makes them square",
                stacklevel=3,
            )


def is_mesh_file(body: Body) -> bool:
    """Whether a body is a mesh from a file, whose unit may be mistaken; those in memory are in mm."""
    return isinstance(body, MeshBody) and isinstance(body.mesh, str)
