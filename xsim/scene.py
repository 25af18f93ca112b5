"""The scene: source, geometry, acquisition, detector and bodies, and the TOML file that says so."""

from __future__ import annotations

import tomllib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from pydantic import Discriminator, Field, PrivateAttr, Tag, ValidationError, ValidationInfo, model_validator

from xsim import material
from xsim.defect import MOST_BODIES, Defect, place_defects
from xsim.detector import Detector
from xsim.errors import SceneError, nearest_names
from xsim.geometry import Geometry, View
from xsim.mesh import Mesh, MeshBody, split_bodies, surface_of
from xsim.plausibility import warn_of_place
from xsim.primitive import BodyBase, Box, Cone, Cylinder, Ellipsoid, Solid, Sphere, StepWedge, Tube
from xsim.resources import package_directory
from xsim.schema import Positive, StrictModel, first_problem
from xsim.source import Source

__all__ = ["Scene", "load_scene", "phantom_names", "phantom_path", "scene_from_dict"]

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
    body: Annotated[tuple[Body, ...], Field(max_length=MOST_BODIES)] = ()
    defect: tuple[Defect[Body], ...] = ()
    _directory: Path = PrivateAttr(default=Path())
    _checked: bool = PrivateAttr(default=False)
    _meshes: dict[tuple[str, str | None, bool, int | None], Mesh] = PrivateAttr(default_factory=dict)
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

    def shape_of(self, index: int) -> Solid | Mesh:
        """What a body is made of: itself for an analytic solid, the surface of a mesh."""
        return self._shape(self.bodies[index])

    def _shape(self, body: Body) -> Solid | Mesh:
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
        for index, body in enumerate(self.bodies):
            material.resolve(body.material)
            if isinstance(body, MeshBody):
                self.mesh_of(body)
            self._check_place(index, body)
        for (file, *_), mesh in {(key[0], mesh.repaired): mesh for key, mesh in self._meshes.items()}.items():
            if mesh.repaired:
                warnings.warn(f"mesh {file} repaired: {mesh.repaired}", stacklevel=3)
        self._checked = True

    def _check_place(self, index: int, body: Body) -> None:
        source = self.view.source
        hint = "; is its mesh_unit right?" if isinstance(body, MeshBody) else ""
        if isinstance(body, Solid):
            around = body.contains(source)
        else:
            corners = self.corners(body)
            boxed = bool(((corners.min(axis=0) < source) & (source < corners.max(axis=0))).all())
            around = boxed and self.mesh_of(body).contains(body.to_body(source))
        if around:
            raise SceneError(
                f"the source is inside {self.body_name(index)!r} (sod_mm = {self.geometry.sod_mm:g}) "
                f"move the body or raise sod_mm{hint}"
            )
        farthest = (
            body.farthest(np.array([0.0, 0.0, 1.0]))
            if isinstance(body, Solid)
            else float(body.to_world(self.mesh_of(body).vertices)[:, 2].max())
        )
        if farthest > self.geometry.sdd_mm - self.geometry.sod_mm:
            raise SceneError(
                f"{self.body_name(index)!r} reaches behind the detector (to {farthest + self.geometry.sod_mm:g} mm "
                f"from the source, sdd_mm = {self.geometry.sdd_mm:g}) raise sdd_mm or move it{hint}"
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
        scene = Scene.model_validate(dict(mapping), context={"directory": Path(directory)})
    except ValidationError as error:
        raise SceneError(first_problem(error)) from None
    scene._directory = Path(directory)
    scene.source._directory = Path(directory)
    scene.check()
    names = map(scene.body_name, range(len(scene.bodies)))
    warn_of_place(
        scene.view, [(n, scene.corners(b), isinstance(b, MeshBody)) for n, b in zip(names, scene.bodies, strict=True)]
    )
    return scene
