"""Path length per material along every ray: solids and triangles together, overlap resolved by priority."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from xsim import material
from xsim.backend import Backend, get_backend
from xsim.errors import MeshError
from xsim.geometry import View, rotation_matrix, turned
from xsim.mesh import Mesh
from xsim.primitive import Solid
from xsim.records import Drawing, Placed, Tiles, draw
from xsim.scene import Scene

__all__ = ["Projection", "path_lengths", "project"]

CHECK_PIXELS = 512
SLOTS = 8  # crossings a ray is first given room for
FLOAT_ROWS, INTEGER_ROWS = 2, 3  # scratch numbers of a pixel, as in kernels/tile.h
OPEN, FLIPPED, NESTED = 1, 2, 4


@dataclass(frozen=True)
class Projection:
    """What rays meet, in the memory of the backend.

    Attributes
    ----------
    materials : tuple of Material
    lengths_mm : float32 [material, row, column]
    labels : uint16 [row, column]
        1-based place in the file of the highest body on the ray; 0 where there is none.
    faults : uint8 [row, column]
        OR of 1 (open), 2 (flipped), 4 (shells of one body overlap).
    faulty_bodies : int32 [row, column]
        8 * rank + faults of one faulty body, the gravest; 0 where none.

    """

    materials: tuple[material.Material, ...]
    lengths_mm: Any
    labels: Any
    faults: Any
    faulty_bodies: Any


def path_lengths(scene: Scene, backend: str = "auto", threads: int | None = None) -> dict[str, np.ndarray]:
    """Length of each ray inside each material.

    Parameters
    ----------
    scene : Scene
    backend : {"auto", "cpu", "cuda"}
    threads : int, optional

    Returns
    -------
    dict of material name to float32 [rows, columns] mm

    Raises
    ------
    MeshError
        A mesh is open or flipped and the scene does not allow it.

    """
    machine = get_backend(backend, threads)
    found = project(scene, scene.view, machine)
    report_faults(scene, machine.to_numpy(found.faults), machine.to_numpy(found.faulty_bodies))
    lengths = machine.to_numpy(found.lengths_mm)
    return {m.name: lengths[k] for k, m in enumerate(found.materials)}


@dataclass(frozen=True)
class Prepared:
    """A scene as one view sees it, ready for the kernel.

    Attributes
    ----------
    materials : tuple of Material
    rank_materials : int32 [rank]
        Place of each body's material among them.
    rank_labels : uint16 [1 + rank]
        Label of each body; 0 first.
    apart, together : Drawing
        Bodies that overlap nothing, and those that may.
    overlaps : bool
        Whether there are any of the latter.
    """

    materials: tuple[material.Material, ...]
    rank_materials: np.ndarray
    rank_labels: np.ndarray
    apart: Drawing
    together: Drawing
    overlaps: bool


def project(scene: Scene, view: View, backend: Backend) -> Projection:
    """Path lengths, labels and faults of a scene seen in a view."""
    drawn = prepare(scene, view, backend)
    images: dict[str, type] = {"lengths": np.float32, "labels": np.uint16}
    found = run(drawn, view, backend, images, no_beam(len(drawn.materials)))
    return Projection(drawn.materials, found["lengths"], found["labels"], found["faults"], found["faulty_bodies"])


def no_beam(materials: int) -> dict[str, Any]:
    """The kernels' ``Beam`` where no signal is asked for."""
    nothing = dict.fromkeys(("attenuation", "signal_weights", "variance_weights"))
    return {**nothing, "axis_distance_mm": 0.0, "energies": 0, "materials": materials}


def prepare(scene: Scene, view: View, backend: Backend) -> Prepared:
    """Check the scene, sort out its bodies, draw up their records."""
    scene.check()
    order = scene.by_rank()
    of_body = [material.resolve(b.material) for b in scene.body]
    materials = tuple(dict.fromkeys(of_body))
    places = {m: k for k, m in enumerate(materials)}
    tiles = Tiles.of(view, backend)
    apart, together = part_bodies(scene, view, backend)
    return Prepared(
        materials,
        np.array([places[of_body[k]] for k in order] or [0], np.int32),
        np.array([0, *(k + 1 for k in order)], np.uint16),
        draw(view, apart, tiles, backend), draw(view, together, tiles, backend), bool(together),
    )  # fmt: skip


def run(
    drawn: Prepared, view: View, backend: Backend, images: dict[str, type], beam: dict[str, Any], active: Any = None
) -> dict[str, Any]:
    """Images [row, column] of a prepared scene by name, "lengths" [material, row, column], and the fault images.

    A ray with more crossings than there are slots has its tile done again with more.
    """
    xp, tiles, shape = backend.xp, Tiles.of(view, backend), (view.rows, view.columns)
    sizes = {name: (len(drawn.materials), *shape) if name == "lengths" else shape for name in images}
    found = {name: xp.zeros(sizes[name], dtype) for name, dtype in images.items()}
    found |= {"faults": xp.zeros(shape, np.uint8), "faulty_bodies": xp.zeros(shape, np.int32)}
    deepest = xp.zeros(tiles.count, np.int32)
    resolved = {name: found[name] for name in ("faults", "faulty_bodies")}
    arguments = {
        **dict.fromkeys(("lengths", "labels", "signal", "variance")), **{name: found[name] for name in images},
        "apart": drawn.apart.arguments, "together": drawn.together.arguments, "beam": beam, "deepest": deepest,
        "resolved": {**resolved, "materials": xp.asarray(drawn.rank_materials), "image_columns": view.columns},
        "labels_of_rank": xp.asarray(drawn.rank_labels), "view": view.directions,
        "pixels": view.rows * view.columns, "tiling": tiles.record,
    }  # fmt: skip
    slots = SLOTS if drawn.overlaps else 0
    while active is None or len(active):
        rows = FLOAT_ROWS + len(drawn.materials) + slots, INTEGER_ROWS + slots
        count = tiles.count if active is None else len(active)
        backend.launch_tiles("project_scene", count, rows, **arguments, active=active, slots=slots)
        slots = int(deepest.max()) if slots else 0
        active = xp.nonzero(deepest)[0].astype(np.int32)
        deepest.fill(0)
    return found


def part_bodies(scene: Scene, view: View, backend: Backend) -> tuple[list[Placed], list[Placed]]:
    """The bodies that overlap nothing, themselves included, and the others; each by ascending rank.

    A body stands apart when the box around it meets no other's, and it is an analytic solid or a mesh that was found
    not to cross itself. Its depths are counted from its own middle, those of the others from their common one.
    """
    order = scene.by_rank()
    if not order:
        return [], []
    shapes, turns, places, boxes = poses(scene, order)
    low, high = (np.array([pick(box, axis=0) for box in boxes]) for pick in (np.min, np.max))
    alone = stand_alone(low, high)
    apart = [
        bool(alone[rank]) and (isinstance(shape, Solid) or not crosses_itself(shape, backend))
        for rank, shape in enumerate(shapes)
    ]
    rest = [box for box, lonely in zip(boxes, apart, strict=True) if not lonely]
    common = middle(view, np.concatenate(rest)) if rest else 0.0
    bodies = [
        Placed(shapes[k], turns[k], places[k], boxes[k], k, middle(view, boxes[k]) if apart[k] else common)
        for k in range(len(order))
    ]
    return [b for b in bodies if apart[b.rank]], [b for b in bodies if not apart[b.rank]]


def poses(scene: Scene, order: list[int]) -> tuple[list[Solid | Mesh], np.ndarray, np.ndarray, list[np.ndarray]]:
    """Shape, rotation [body, 3, 3], position [body, 3] and corners [point, 3] of the bodies, by rank."""
    bodies = [scene.body[k] for k in order]
    shapes = [scene.shape_of(k) for k in order]
    positions = np.array([body.position_mm for body in bodies])
    turns = np.array([rotation_matrix(body.rotation_deg) for body in bodies])
    boxes = [
        shape.bounds() if isinstance(shape, Solid) else turned(shape.corners, turn.T) + position
        for shape, turn, position in zip(shapes, turns, positions, strict=True)
    ]
    return shapes, turns, positions, boxes


def stand_alone(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Whether each of some boxes, corners [box, 3], meets no other; bool [box].

    Sorted along x, a box can only meet those that begin before it ends.
    """
    order = np.argsort(low[:, 0], kind="stable")
    low, high = low[order], high[order]
    ends = np.searchsorted(low[:, 0], high[:, 0], side="right")
    alone = np.ones(len(low), bool)
    for k, end in enumerate(ends):
        others = slice(k + 1, end)
        meets = ((low[others, 1:] <= high[k, 1:]) & (high[others, 1:] >= low[k, 1:])).all(axis=1)
        if meets.any():
            alone[k] = False
            alone[others] &= ~meets
    result = np.empty_like(alone)
    result[order] = alone
    return result


def middle(view: View, corners: np.ndarray) -> float:
    """Fraction of the plane through the middle of some points; depths counted from it stay small in float32."""
    fractions = np.clip(view.project(corners)[:, 0], view.near_fraction, 1.0)
    return float(0.5 * (fractions.min() + fractions.max()))


#: Whether a mesh was found to cross itself; forgotten with the mesh.
_CROSSES_ITSELF: WeakKeyDictionary[Mesh, bool] = WeakKeyDictionary()


def crosses_itself(mesh: Mesh, backend: Backend) -> bool:
    """Whether shells of a mesh overlap or are flipped, by the crossings of 512 x 512 rays; looked up once a mesh.

    A flipped shell before a greater sound one would only shorten the sum, untold. What none of these rays meets is
    narrower than a 512th of the mesh.
    """
    if mesh not in _CROSSES_ITSELF:
        view = View.around(mesh.corners, CHECK_PIXELS)
        tiles = Tiles.of(view, backend)
        body = Placed(mesh, np.eye(3), np.zeros(3), mesh.corners, 0, middle(view, mesh.corners))
        one, none = np.zeros(1, np.int32), draw(view, [], tiles, backend)
        steel = (material.resolve("Fe"),)  # of what does not matter here
        drawn = Prepared(steel, one, np.array([0, 1], np.uint16), none, draw(view, [body], tiles, backend), True)
        found = run(drawn, view, backend, {}, no_beam(1))
        _CROSSES_ITSELF[mesh] = bool((found["faults"] & (NESTED | FLIPPED)).any())
    return _CROSSES_ITSELF[mesh]


def report_faults(scene: Scene, faults: np.ndarray, faulty_bodies: np.ndarray) -> None:
    """Refuse open and flipped meshes unless allowed; warn of shells that overlap.

    Raises
    ------
    MeshError
        Which body, how many rays, how to allow it.

    """
    if not faults.any():
        return
    order, told = scene.by_rank(), faulty_bodies[faults > 0]
    for rank in np.unique(told >> 3):
        faults_of_body = told[told >> 3 == rank]
        body, name = scene.body[order[rank]], scene.body_name(order[rank])
        odd, turned, nested = (int((faults_of_body & bit > 0).sum()) for bit in (OPEN, FLIPPED, NESTED))
        if (odd or turned) and not getattr(body, "allow_open", False):
            what = f"open (on {odd} of {faults.size} rays it is entered and left unequally often)"
            if turned > odd:
                what = f"flipped (on {turned} of {faults.size} rays it is left before it is entered)"
            raise MeshError(
                f"mesh {name!r} is {what} mend the mesh, or set allow_open = true to mark those rays invalid"
            )
        if nested:
            warnings.warn(
                f"shells of mesh {name!r} overlap on {nested} rays (counted once there)",
                stacklevel=3,
            )
