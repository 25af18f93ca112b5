"""The scene: source, geometry, acquisition, detector and bodies, and the TOML file that says so."""

from __future__ import annotations

import tomllib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from pydantic import Discriminator, Field, PrivateAttr, Tag, ValidationError, model_validator

from xsim import material
from xsim.detector import Detector
from xsim.errors import SceneError, nearest_names
from xsim.geometry import Geometry, View
from xsim.mesh import Mesh, MeshBody, read_mesh
from xsim.primitive import Box, Cone, Cylinder, Ellipsoid, PosedBody, Solid, Sphere, StepWedge, Tube
from xsim.resources import package_directory
from xsim.schema import Positive, StrictModel, first_problem
from xsim.source import Source
from xsim.volume import Volume, VolumeBody
from xsim.volume_io import load_volume

__all__ = ["Scene", "load_scene", "phantom_names", "phantom_path", "scene_from_dict"]

SHAPES = ("box", "sphere", "ellipsoid", "cylinder", "cone", "tube", "step_wedge")


def body_kind(value: Any) -> str:
    """Which model reads a [[body]] table: its shape, "mesh" or "volume"."""
    if isinstance(value, PosedBody):
        kinds = {MeshBody: "mesh", VolumeBody: "volume"}
        return kinds.get(type(value)) or str(getattr(value, "shape", ""))
    if not isinstance(value, dict):
        return "mesh"
    return str(value.get("shape", "volume" if "volume" in value else "mesh"))


def check_shape(table: Any) -> None:
    """Name the nearest shape where a [[body]] has an unknown one."""
    if not isinstance(table, dict) or ("shape" not in table and ("mesh" in table or "volume" in table)):
        return
    shape = table.get("shape")
    if shape is None:
        raise ValueError(f"a body has no shape and no mesh or volume (it needs one) use one of {', '.join(SHAPES)}")
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
    | Annotated[MeshBody, Tag("mesh")]
    | Annotated[VolumeBody, Tag("volume")],
    Discriminator(body_kind),
]


class Acquisition(StrictModel):
    """How the image is taken, and how long.

    One of: exposure time; quanta absorbed in an open-beam pixel on the axis; share of full scale that the open beam
    shall reach there. The last, at 0.7, where none is given. Each pixel is the mean of subpixels x subpixels rays.
    """

    exposure_s: Positive | None = None
    quanta_per_pixel: Positive | None = None
    target_gv: Annotated[Positive, Field(le=1)] | None = None
    subpixels: Annotated[int, Field(strict=True, ge=1, le=16)] = 1
    state: Literal["raw"] = "raw"

    @model_validator(mode="after")
    def _one_exposure(self) -> Acquisition:
        ways = ("exposure_s", "quanta_per_pixel", "target_gv")
        given = [name for name in ways if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"both {given[0]} and {given[1]} given (one follows from the other) keep one")
        return self


class Scene(StrictModel):
    """A radiographic station and the part in it. See ``docs/scene.md`` for every field."""

    source: Source
    geometry: Geometry = Geometry()
    acquisition: Acquisition = Acquisition(target_gv=0.7)
    detector: Detector
    body: Annotated[tuple[Body, ...], Field(max_length=65535)] = ()  # labels are 16-bit
    _directory: Path = PrivateAttr(default=Path())
    _checked: bool = PrivateAttr(default=False)
    _meshes: dict[tuple[str, str | None], Mesh] = PrivateAttr(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _known_shapes(cls, data: Any) -> Any:
        for table in data.get("body", ()) if isinstance(data, dict) else ():
            check_shape(table)
        return data

    @model_validator(mode="after")
    def _detector_behind_object(self) -> Scene:
        sod, sdd = self.geometry.sod_mm, self.geometry.sdd_mm
        if sdd <= sod:
            raise ValueError(
                f"detector is not behind the object (sdd_mm = {sdd:g}, sod_mm = {sod:g}) "
                "use an sdd_mm greater than sod_mm"
            )
        return self

    @property
    def directory(self) -> Path:
        """Folder that mesh and table paths are relative to."""
        return self._directory

    @property
    def view(self) -> View:
        """Rays of the detector's pixels."""
        camera = self.detector
        return View.flat_panel(self.geometry, camera.rows, camera.columns, camera.pitch_mm)

    def body_name(self, index: int) -> str:
        """Name of a body; without one its mesh file, or "body 3" by its place in the scene."""
        body = self.body[index]
        if isinstance(body, VolumeBody):
            return body.name or body.title
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

    def volume_of(self, body: VolumeBody) -> Volume:
        """Voxels of a volume body, in its own frame."""
        return load_volume(body, self._directory)

    def shape_of(self, index: int) -> Solid | Mesh | Volume:
        """What a body is made of: itself for an analytic solid, the surface of a mesh, the voxels of a volume."""
        body = self.body[index]
        if isinstance(body, VolumeBody):
            return self.volume_of(body)
        return body if isinstance(body, Solid) else self.mesh_of(body)

    def corners(self, body: Body) -> np.ndarray:
        """World points whose hull holds the body, float64 [point, 3] mm."""
        if isinstance(body, Solid):
            return body.bounds()
        shape = self.volume_of(body) if isinstance(body, VolumeBody) else self.mesh_of(body)
        return body.to_world(shape.corners)

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
            for spec in body.materials():
                material.resolve(spec)
            self.shape_of(index)
            self._check_place(index, body)
        self._checked = True

    def _check_place(self, index: int, body: Body) -> None:
        source = self.view.source
        if isinstance(body, Solid):
            around = body.contains(source)
        else:
            corners = self.corners(body)
            boxed = bool(((corners.min(axis=0) < source) & (source < corners.max(axis=0))).all())
            shape = self.volume_of(body) if isinstance(body, VolumeBody) else self.mesh_of(body)
            around = boxed and shape.contains(body.to_body(source))
        if around:
            raise SceneError(
                f"the source is inside {self.body_name(index)!r} (sod_mm = {self.geometry.sod_mm:g}) "
                "move the body or raise sod_mm"
            )
        axis = np.array([0.0, 0.0, 1.0])
        if isinstance(body, Solid):
            farthest = body.farthest(axis)
        else:
            points = body.to_world(self.mesh_of(body).vertices) if isinstance(body, MeshBody) else self.corners(body)
            farthest = float(points[:, 2].max())
        if farthest > self.geometry.sdd_mm - self.geometry.sod_mm:
            raise SceneError(
                f"{self.body_name(index)!r} reaches behind the detector (to {farthest + self.geometry.sod_mm:g} mm "
                f"from the source, sdd_mm = {self.geometry.sdd_mm:g}) raise sdd_mm or move it"
            )


def phantom_names() -> list[str]:
    """Scenes that ship with the package; a corpus file among them has corpus in its name."""
    return sorted(p.stem for p in package_directory("_phantoms").glob("*.toml"))


def phantom_path(name: str) -> Path:
    """File of a shipped scene or corpus.

    Raises
    ------
    SceneError
        There is none of that name; the message lists them.

    """
    if name not in phantom_names():
        near = nearest_names(name, phantom_names(), 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(phantom_names())}"
        raise SceneError(f"unknown phantom {name!r} ({hint})")
    return package_directory("_phantoms") / f"{name}.toml"


def load_scene(path: str | Path) -> Scene:
    """Scene of a TOML file, or of a shipped phantom by ``"phantom:NAME"``.

    Raises
    ------
    SceneError
        The file is missing, does not parse, or holds what no station can do. One line.

    """
    text = str(path)
    file = phantom_path(text.removeprefix("phantom:")) if text.startswith("phantom:") else Path(path)
    try:
        mapping = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SceneError(
            f"scene {file} not found (no such file) try: xsim init, or phantom:{phantom_names()[0]}"
        ) from None
    except OSError as error:
        raise SceneError(f"scene {file} not read ({error.strerror}) check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SceneError(f"scene {file} is no TOML ({error}) mend that place") from error
    if "corpus" in mapping:
        raise SceneError(f"{file} is a corpus file (it has [corpus]) use: datagen generate {file} OUT")
    return scene_from_dict(mapping, file.parent)


def scene_from_dict(mapping: Mapping[str, Any], directory: str | Path = ".") -> Scene:
    """Scene of nested tables as a scene file has them.

    Parameters
    ----------
    mapping : mapping
        [source], [geometry], [acquisition], [detector], [[body]] under the keys of the file format.
    directory : path
        Folder that mesh and table paths are relative to.

    Raises
    ------
    SceneError
        The first fault found, with the key's place. One line.
    XsimError
        An unknown material, an unreadable mesh, a spectrum outside its model.

    """
    try:
        scene = Scene.model_validate(dict(mapping))
    except ValidationError as error:
        raise SceneError(first_problem(error)) from None
    scene._directory = Path(directory)
    scene.source._directory = Path(directory)
    scene.check()
    warn_out_of_view(scene)
    return scene


def warn_out_of_view(scene: Scene) -> None:
    """Warn of bodies that no ray of the detector can meet."""
    view = scene.view
    for index, body in enumerate(scene.body):
        if (view.project(scene.corners(body))[..., 0] <= 0).any():
            continue
        _, column, row = view.pixels_of(scene.corners(body))
        beside = column.max() < 0 or column.min() > view.columns - 1
        if beside or row.max() < 0 or row.min() > view.rows - 1:
            warnings.warn(f"{scene.body_name(index)!r} is out of view (beside the detector)", stacklevel=3)
