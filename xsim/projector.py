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
from xsim.geometry import View, rotation_matrix
from xsim.mesh import Mesh
from xsim.primitive import Solid
from xsim.records import Drawing, Placed, Tiles, draw, volume_table
from xsim.scene import Scene
from xsim.volume import Volume, VolumeBody

__all__ = ["Projection", "path_lengths", "project"]

CHECK_PIXELS = 512
BLOCK_PIXELS = 1 << 22  # pixels whose crossings are in memory at a time
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


def project(scene: Scene, view: View, backend: Backend) -> Projection:
    """Path lengths, labels and faults of a scene seen in a view."""
    scene.check()
    order = scene.by_rank()
    materials = tuple(dict.fromkeys(material.resolve(spec) for body in scene.body for spec in body.materials()))
    places = {found: k for k, found in enumerate(materials)}
    tiles = Tiles.of(view, backend)
    apart, together = part_bodies(scene, view, backend)
    found = blank_result(view, len(materials), rank_materials(scene, together, places), backend)
    volumes = [body for body in apart if isinstance(body.shape, Volume)]
    if len(apart) > len(volumes):
        drawn = [body for body in apart if body not in volumes]
        sum_lengths(draw(view, drawn, tiles, backend, places), found, tiles, backend)
    for body in volumes:
        project_volume(view, body, places, found, tiles, backend)
    if together:
        resolve_overlaps(draw(view, together, tiles, backend, places), found, tiles, backend)
    labels = found["highest"]  # 1 + rank, which is the place in the file where no priority is set
    if order != sorted(order):
        labels = backend.xp.asarray([0, *(k + 1 for k in order)], dtype=np.uint16)[labels]
    return Projection(materials, found["lengths"], labels, found["faults"], found["faulty_bodies"])


def rank_materials(scene: Scene, together: list[Placed], places: dict[material.Material, int]) -> list[int]:
    """Of each body by rank: the place of its material, or -1 - k for the volume k of those that may overlap."""
    numbers = {body.rank: k for k, body in enumerate(b for b in together if isinstance(b.shape, Volume))}
    found = []
    for rank, index in enumerate(scene.by_rank()):
        body = scene.body[index]
        is_volume = isinstance(body, VolumeBody)
        found.append(-1 - numbers.get(rank, 0) if is_volume else places[material.resolve(body.materials()[0])])
    return found


def project_volume(
    view: View,
    body: Placed,
    places: dict[material.Material, int],
    found: dict[str, Any],
    tiles: Tiles,
    backend: Backend,
) -> None:
    """A volume that overlaps nothing."""
    table, held = volume_table(view, [body], places, backend)
    begin, end = tiles.items(backend, 0, tiles.rows)
    backend.launch(
        "project_volume", end, begin=begin, lengths=found["lengths"], highest=found["highest"], volume=table[0],
        view=view.directions, image_pixels=tiles.rows * tiles.columns, tiling=tiles.tiling(0, tiles.rows),
    )  # fmt: skip
    del held


def blank_result(view: View, materials: int, rank_material: list[int], backend: Backend) -> dict[str, Any]:
    """Images that the kernels add to: the fields of ``kernel_arguments.RESOLVED``."""
    xp, shape = backend.xp, (view.rows, view.columns)
    return {
        "lengths": xp.zeros((materials, *shape), np.float32),
        "highest": xp.zeros(shape, np.uint16),
        "faults": xp.zeros(shape, np.uint8),
        "faulty_bodies": xp.zeros(shape, np.int32),
        "materials": xp.asarray(rank_material or [0], dtype=np.int32),
        "view": view.directions,
        "image_pixels": view.rows * view.columns,
        "volumes": 0,
    }


def part_bodies(scene: Scene, view: View, backend: Backend) -> tuple[list[Placed], list[Placed]]:
    """The bodies that overlap nothing, themselves included, and the others; each by ascending rank.

    A body stands apart when the box around it meets no other's, and it is an analytic solid or a mesh that was found
    not to cross itself. Its depths are counted from its own middle, those of the others from their common one.
    """
    boxes = [scene.corners(scene.body[k]) for k in scene.by_rank()]
    low = np.array([b.min(axis=0) for b in boxes]).reshape(-1, 3)
    high = np.array([b.max(axis=0) for b in boxes]).reshape(-1, 3)
    alone = ((low[:, None] <= high[None]) & (low[None] <= high[:, None])).all(axis=2).sum(axis=1) == 1
    apart: list[Placed] = []
    together: list[int] = []
    for rank, index in enumerate(scene.by_rank()):
        shape = scene.shape_of(index)
        if alone[rank] and (isinstance(shape, Solid | Volume) or not crosses_itself(shape, backend)):
            apart.append(place(scene, index, rank, boxes[rank], middle(view, boxes[rank])))
        else:
            together.append(rank)
    if not together:
        return apart, []
    common = middle(view, np.concatenate([boxes[rank] for rank in together]))
    order = scene.by_rank()
    return apart, [place(scene, order[rank], rank, boxes[rank], common) for rank in together]


def place(scene: Scene, index: int, rank: int, corners: np.ndarray, reference: float) -> Placed:
    body = scene.body[index]
    turn = rotation_matrix(body.rotation_deg)
    contents = body.contents() if isinstance(body, VolumeBody) else None
    return Placed(scene.shape_of(index), turn, np.asarray(body.position_mm), corners, rank, reference, contents)


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
        found, tiles = blank_result(view, 1, [0], backend), Tiles.of(view, backend)
        body = Placed(mesh, np.eye(3), np.zeros(3), mesh.corners, 0, middle(view, mesh.corners))
        resolve_overlaps(draw(view, [body], tiles, backend, {}), found, tiles, backend)
        _CROSSES_ITSELF[mesh] = bool((found["faults"] & (NESTED | FLIPPED)).any())
    return _CROSSES_ITSELF[mesh]


def sum_lengths(drawing: Drawing, found: dict[str, Any], tiles: Tiles, backend: Backend) -> None:
    """Bodies apart: signed depths added, no list of crossings."""
    shape = (tiles.rows, tiles.columns)
    begin, end = tiles.items(backend, 0, tiles.rows)
    sums, balances = backend.scratch.take(shape, np.float32), backend.scratch.take(shape, np.int32)
    backend.launch(
        "sum_lengths", end, begin=begin, drawing=drawing.arguments, resolved=found,
        sums=sums, balances=balances, tiling=tiles.tiling(0, tiles.rows),
    )  # fmt: skip
    backend.scratch.put_back(sums, balances)


def resolve_overlaps(drawing: Drawing, found: dict[str, Any], tiles: Tiles, backend: Backend) -> None:
    """Bodies that may overlap: lists of crossings, a block of rows at a time."""
    rows = max(1, BLOCK_PIXELS // (tiles.columns * tiles.tile_rows)) * tiles.tile_rows
    for row in range(0, tiles.rows, rows):
        resolve_block(drawing, found, tiles, row, min(row + rows, tiles.rows), backend)


def resolve_block(drawing: Drawing, found: dict[str, Any], tiles: Tiles, row: int, end: int, backend: Backend) -> None:
    """Count, fill and resolve the crossings of the rows [row, end)."""
    xp, columns = backend.xp, tiles.columns
    pixels = (end - row) * columns
    first, last = tiles.items(backend, row, end)
    counts, starts = xp.zeros(pixels, np.int32), xp.zeros(pixels + 1, np.int64)
    block = {"drawing": drawing.arguments, "tiling": tiles.tiling(row, end), "counts": counts, "starts": starts}
    block |= {"depths": xp.empty(1, np.float32), "codes": xp.empty(1, np.int32)}
    backend.launch("count_crossings", last, begin=first, **block)
    xp.cumsum(counts, out=starts[1:])
    slots = max(1, int(starts[-1]))
    block |= {"depths": xp.empty(slots, np.float32), "codes": xp.empty(slots, np.int32)}
    counts.fill(0)
    backend.launch("fill_crossings", last, begin=first, **block)
    backend.launch(
        "resolve_overlaps", pixels, depths=block["depths"], codes=block["codes"], starts=starts,
        resolved={**found, "volumes": drawing.arguments["volumes"]}, first_pixel=row * columns, columns=columns,
    )  # fmt: skip


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
