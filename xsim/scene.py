"""The scene: source, geometry, acquisition, detector and bodies."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
from pydantic import Discriminator, Field, PrivateAttr, Tag, model_validator

from xsim import material
from xsim.acquisition import Acquisition
from xsim.clearance import Outline, check_clearance, warn_out_of_view
from xsim.detector import Detector
from xsim.errors import nearest_names
from xsim.geometry import View
from xsim.line_scan import ASPECT_TOLERANCE, Belt, aspect_at, line_scan
from xsim.mesh import Mesh, MeshBody, read_mesh
from xsim.primitive import BodyBase, Box, Cone, Cylinder, Ellipsoid, Solid, Sphere, StepWedge, Tube
from xsim.schema import StrictModel
from xsim.source import Source
from xsim.station import Geometry, panel

__all__ = ["Body", "Scene"]

SHAPES = ("box", "sphere", "ellipsoid", "cylinder", "cone", "tube", "step_wedge")


def body_kind(value: Any) -> str:
    """Which model reads a [[body]] table: its shape, or "mesh"."""
    if isinstance(value, BodyBase):
        return "mesh" if isinstance(value, MeshBody) else str(getattr(value, "shape", ""))
    return str(value.get("shape", "mesh")) if isinstance(value, dict) else "mesh"


def check_shape(table: Any) -> None:
    """Name the nearest shape where a [[body]] has an unknown one."""
    if not isinstance(table, dict) or ("mesh" in table and "shape" not in table):
        return
    shape = table.get("shape")
    if shape is None:
        raise ValueError(f"a body has no shape and no mesh (it needs one) use shape = one of {', '.join(SHAPES)}")
    if shape not in SHAPES:
        near = nearest_names(str(shape), SHAPES, 1)
        raise ValueError(f"unknown shape {shape!r} (did you mean {near[0] if near else ' or '.join(SHAPES)!r}?)")


Body: TypeAlias = Annotated[
    Annotated[Box, Tag("box")]
    | Annotated[Sphere, Tag("sphere")]
    | Annotated[Ellipsoid, Tag("ellipsoid")]
    | Annotated[Cylinder, Tag("cylinder")]
    | Annotated[Cone, Tag("cone")]
    | Annotated[Tube, Tag("tube")]
    | Annotated[StepWedge, Tag("step_wedge")]
    | Annotated[MeshBody, Tag("mesh")],
    Discriminator(body_kind),
]


class Scene(StrictModel):
    """A radiographic station and the part in it. See ``docs/scene.md`` for every field."""

    source: Source
    geometry: Geometry = Geometry()
    acquisition: Acquisition = Acquisition(target_gv=0.7)
    detector: Detector
    body: Annotated[tuple[Body, ...], Field(max_length=65535)] = ()  # labels are 16-bit
    _directory: Path = PrivateAttr(default=Path())
    _checked: bool = PrivateAttr(default=False)
    _memo: dict[str, Any] = PrivateAttr(default_factory=dict)
    _meshes: dict[tuple[str, str | None], Mesh] = PrivateAttr(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _known_shapes(cls, data: Any) -> Any:
        for table in data.get("body", ()) if isinstance(data, dict) else ():
            check_shape(table)
        return data

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
        return self

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
    def belt(self) -> Belt | None:
        """The belt of a line scan; None before a flat panel."""
        run = self.acquisition
        if run.lines is None or run.belt_speed_m_s is None or run.line_rate_hz is None:
            return None
        return Belt.at(run.belt_speed_m_s, run.line_rate_hz, run.lines)

    def body_name(self, index: int) -> str:
        """Name of a body; without one its mesh file, or "body 3" by its place in the scene."""
        body = self.body[index]
        return body.name or (body.mesh if isinstance(body, MeshBody) else f"body {index + 1}")

    def by_rank(self) -> list[int]:
        """Indices of the bodies, lowest rank first: by priority, then by place in the file."""
        return sorted(range(len(self.body)), key=lambda k: (self.body[k].priority, k))

    def mesh_of(self, body: MeshBody) -> Mesh:
        """Surface of a mesh body, in its own frame; read once a scene, whatever becomes of the file."""
        key = (body.mesh, body.mesh_unit)
        if key not in self._meshes:
            self._meshes[key] = read_mesh(self._directory / body.mesh, body.mesh_unit)
        return self._meshes[key]

    def shape_of(self, index: int) -> Solid | Mesh:
        """What a body is made of: itself for an analytic solid, the surface of a mesh."""
        body = self.body[index]
        return body if isinstance(body, Solid) else self.mesh_of(body)

    def corners(self, body: Body) -> np.ndarray:
        """World points whose hull holds the body, float64 [point, 3] mm."""
        if isinstance(body, Solid):
            return body.bounds()
        return body.to_world(self.mesh_of(body).corners)

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
        self.source.photons()
        material.resolve(self.detector.scintillator.material)
        for index, body in enumerate(self.body):
            material.resolve(body.material)
            if isinstance(body, MeshBody):
                self.mesh_of(body)
            check_clearance(self.view, self.outline(index))
        self._checked = True

    def outline(self, index: int) -> Outline:
        """How far a body reaches."""
        body = self.body[index]
        if isinstance(body, Solid):
            return Outline(self.body_name(index), body.bounds(), body.farthest, body.contains)
        mesh = self.mesh_of(body)
        corners = self.corners(body)

        def farthest(direction: np.ndarray) -> float:
            return float((body.to_world(mesh.vertices) @ direction).max())

        def contains(point_mm: np.ndarray) -> bool:
            boxed = bool(((corners.min(axis=0) < point_mm) & (point_mm < corners.max(axis=0))).all())
            return boxed and mesh.contains(body.to_body(point_mm))

        return Outline(self.body_name(index), corners, farthest, contains)

    def warn(self) -> None:
        """Warn of bodies that no ray of the detector can meet, and of a line scan that draws circles as ellipses."""
        for index in range(len(self.body)):
            warn_out_of_view(self.view, self.outline(index))
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
