"""Bodies at random: analytic solids and closed meshes that a law may move, scale and cut."""

from __future__ import annotations

import functools
import hashlib
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from random_meshes import KINDS, Surface, convex_hull, random_surface
from scipy.spatial.transform import Rotation
from station import save, solid, station

from xsim import Scene

SHAPES = ("box", "sphere", "ellipsoid", "cylinder", "cone", "tube", "step_wedge")
MATERIALS = ("Al", "Fe", "PMMA", "water", "Ti")


@dataclass(frozen=True)
class Body:
    """A solid by its fields or a mesh by its triangles, and where it is."""

    form: dict[str, Any] | Surface
    turn: Rotation
    place: np.ndarray  # float64 [3] mm
    material: Any = "Al"
    priority: int = 0

    def table(self, folder: Path) -> dict[str, Any]:
        """As a scene file has it; a mesh is written into a folder, the same triangles once."""
        if isinstance(self.form, Surface):
            data = self.form.vertices.tobytes() + np.asarray(self.form.faces, np.int64).tobytes()
            name = hashlib.sha256(data).hexdigest()[:16]
            known = (folder / f"{name}.ply").exists()
            form = {"mesh": f"{name}.ply", "mesh_unit": "mm"} if known else save(folder, name, *self.form)
        else:
            form = dict(self.form)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Gimbal lock")  # one of many ways to say the same turn
            rotation = self.turn.as_euler("xyz", degrees=True).tolist()
        pose = {"rotation_deg": rotation, "position_mm": self.place.tolist()}
        return {**form, **pose, "material": self.material, "priority": self.priority}

    def moved(self, turn: Rotation, shift: np.ndarray) -> Body:
        """Turned about the origin, then shifted."""
        return replace(self, turn=turn * self.turn, place=turn.apply(self.place) + shift)

    def scaled(self, scale: float) -> Body:
        """All its lengths and its place times a number."""
        return replace(self, form=self.grown(scale).form, place=scale * self.place)

    def grown(self, scale: float) -> Body:
        """All its lengths times a number, about its own origin."""
        if isinstance(self.form, Surface):
            return replace(self, form=Surface(scale * self.form.vertices, self.form.faces))
        form = {
            key: (scale * np.asarray(value)).tolist() if key.endswith("_mm") else value
            for key, value in self.form.items()
        }
        return replace(self, form=form)


#: Random bodies are within this distance of their place.
RADIUS_MM = 10.0


def random_body(
    generator: np.random.Generator, meshes: bool, reach_mm: float = 0.0, kinds: tuple[str, ...] = ()
) -> Body:
    """A body in any pose, its place within ``reach_mm`` of the origin along each axis."""
    kind = str(generator.choice(kinds or (KINDS if meshes else SHAPES)))
    form: dict[str, Any] | Surface
    if meshes:
        form = drawn_surface(kind, int(generator.integers(3)))
    else:
        form = solid(kind, 0.84 * RADIUS_MM)
        form = {key: jittered(generator, value) if key.endswith("_mm") else value for key, value in form.items()}
    return Body(form, Rotation.random(random_state=generator), generator.uniform(-reach_mm, reach_mm, 3))


@functools.cache
def drawn_surface(kind: str, number: int) -> Surface:
    """One of a few random surfaces of a kind: what is read and looked over once serves many cases."""
    return random_surface(np.random.default_rng((KINDS.index(kind), number)), RADIUS_MM, kind)


def jittered(generator: np.random.Generator, value: Any) -> Any:
    """Sizes of a solid, shorter by up to a fifth, all of a body by other shares; a bore stays within its wall."""
    return (np.asarray(value) * generator.uniform(0.85, 1.0, np.shape(value))).tolist()


def random_bodies(generator: np.random.Generator, meshes: bool, count: int, overlap: bool) -> list[Body]:
    """Bodies of several materials, through each other or each in a cell of its own."""
    cells = generator.permutation(np.array(list(np.ndindex(2, 2, 2)))) * 2.0 - 1
    bodies = [random_body(generator, meshes, 8.0) for _ in range(count)]
    return [
        replace(b, place=b.place if overlap else 10.5 * cells[k], material=MATERIALS[k % len(MATERIALS)])
        for k, b in enumerate(bodies)
    ]


def scene_of(bodies: list[Body], folder: Path, scale: float = 1.0, **view: Any) -> Scene:
    """A station that holds bodies within 22 mm of the origin, all its lengths times a number."""
    settings = {"shape": (28, 28), "pitch_mm": 3.4, "sod_mm": 200.0, "sdd_mm": 400.0} | view
    lengths = {key: scale * settings[key] for key in ("pitch_mm", "sod_mm", "sdd_mm")}
    return station(*(body.table(folder) for body in bodies), directory=folder, **(settings | lengths))


def cut_solid(generator: np.random.Generator) -> tuple[Body, list[Body]]:
    """A box, cylinder, tube or step wedge, and the two halves a plane makes of it."""
    kind = str(generator.choice(["box", "cylinder", "tube", "step_wedge"]))
    whole = random_body(generator, False, 8.0, (kind,))
    form, share = whole.form, float(generator.uniform(0.1, 0.9))
    assert isinstance(form, dict)
    halves: list[tuple[dict[str, Any], list[float]]]
    if kind == "step_wedge":
        steps, length = form["steps_mm"], form["step_length_mm"]
        count = int(generator.integers(1, len(steps)))
        middles = [0.5 * (count - len(steps)) * length, 0.5 * count * length]
        halves = [({**form, "steps_mm": part}, [x, 0.0, 0.0])
                  for part, x in zip((steps[:count], steps[count:]), middles, strict=True)]  # fmt: skip
    else:
        axis = int(generator.integers(3)) if kind == "box" else 2
        size = form["size_mm"][axis] if kind == "box" else form["height_mm"]
        halves = []
        for part, middle in ((share, 0.5 * (share - 1)), (1 - share, 0.5 * share)):
            shift = np.zeros(3)
            shift[axis] = middle * size
            box = {"size_mm": [part * size if k == axis else v for k, v in enumerate(form.get("size_mm", ()))]}
            halves.append(({**form, **(box if kind == "box" else {"height_mm": part * size})}, shift.tolist()))
    return whole, [replace(whole, form=part, place=whole.place + whole.turn.apply(shift)) for part, shift in halves]


def cut_hull(generator: np.random.Generator) -> tuple[Body, list[Body]]:
    """A convex mesh, and the hulls of what lies on either side of a plane through it."""
    body = random_body(generator, True, 8.0, ("hull", "box", "needle", "plate"))
    assert isinstance(body.form, Surface)
    points, faces = body.form
    normal = generator.normal(size=3)
    height = points @ normal - generator.uniform(-0.3, 0.3) * np.abs(points @ normal).max()
    a, b = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).T
    crossed = (height[a] < 0) & (height[b] > 0)
    share = (height[a] / (height[a] - height[b]))[crossed, None]
    rim = points[a[crossed]] + share * (points[b[crossed]] - points[a[crossed]])
    sides = [convex_hull(np.concatenate([points[side], rim])) for side in (height < 0, height > 0)]
    return body, [replace(body, form=side) for side in sides]
