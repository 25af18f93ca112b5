"""Path length per material along every ray: solids and triangles together, overlap resolved by priority."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xsim import material
from xsim.backend import Backend, get_backend
from xsim.clipping import NEAR_FRACTION, clip_faces
from xsim.errors import MeshError
from xsim.geometry import View
from xsim.kernel_arguments import SOLID, TRIANGLE
from xsim.mesh import MeshBody
from xsim.primitive import Solid, solid_records
from xsim.scene import Scene

__all__ = ["Projection", "path_lengths", "project"]

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
        8 * rank + faults of one faulty body, the gravest; -1 where none.

    """

    materials: tuple[material.Material, ...]
    lengths_mm: Any
    labels: Any
    faults: Any
    faulty_bodies: Any


@dataclass(frozen=True)
class Bins:
    """Primitives by tile: ``primitives[starts[t]:starts[t + 1]]`` are those that may touch tile t, in order."""

    starts: Any  # int64 [tile + 1]
    primitives: Any  # int32


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
    xp, order = backend.xp, scene.by_rank()
    materials = tuple(dict.fromkeys(material.resolve(b.material) for b in scene.body))
    rank_material = [materials.index(material.resolve(scene.body[k].material)) for k in order]
    shape = (view.rows, view.columns)
    found = Projection(
        materials,
        xp.zeros((len(materials), *shape), np.float32),
        xp.zeros(shape, np.uint16),
        xp.zeros(shape, np.uint8),
        xp.full(shape, -1, np.int32),
    )
    if not scene.body:
        return found
    reference = reference_fraction(scene, view)
    solids, solid_bounds = prepare_solids(scene, view, order, backend)
    triangles, triangle_bounds = prepare_triangles(scene, view, order, reference, backend)
    tile = (backend.tile_shape[0], backend.tile_shape[1] or view.columns)
    crossings = {
        "triangles": triangles,
        "solids": solids,
        "columns": view.columns,
        "tile_rows": tile[0],
        "tile_columns": tile[1],
        "tile_grid_columns": -(-view.columns // tile[1]),
        "reference_fraction": reference,
    }
    for name, bounds in (("triangle", triangle_bounds), ("solid", solid_bounds)):
        bins = bin_by_tile(xp, bounds, tile, shape)
        crossings |= {f"{name}_starts": bins.starts, f"{name}_list": bins.primitives}
    resolved = {
        "materials": xp.asarray(rank_material, dtype=np.int32),
        "body_labels": xp.asarray(np.add(order, 1), dtype=np.uint16),
        "lengths": found.lengths_mm,
        "labels": found.labels,
        "faults": found.faults,
        "faulty_bodies": found.faulty_bodies,
        "view": view.rays,
        "image_pixels": view.rows * view.columns,
        "columns": view.columns,
    }
    block_rows = max(1, BLOCK_PIXELS // (view.columns * tile[0])) * tile[0]
    for row in range(0, view.rows, block_rows):
        resolve_block(backend, crossings, resolved, row, min(row + block_rows, view.rows))
    return found


def resolve_block(backend: Backend, crossings: dict[str, Any], resolved: dict[str, Any], row: int, end: int) -> None:
    """Count, fill and resolve the crossings of the rows [row, end)."""
    xp, columns = backend.xp, crossings["columns"]
    pixels = (end - row) * columns
    if backend.pixel_major:
        items = {"begin": 0, "end": pixels}
    else:
        grid, rows = crossings["tile_grid_columns"], crossings["tile_rows"]
        items = {"begin": row // rows * grid, "end": -(-end // rows) * grid}
    counts = xp.zeros(pixels, np.int32)
    starts = xp.zeros(pixels + 1, np.int64)
    empty = xp.zeros(1, np.float32)
    block = {**crossings, "row_begin": row, "row_end": end, "counts": counts, "starts": starts}
    block |= {"depths": empty, "codes": empty}
    backend.launch("count_crossings", items["end"], begin=items["begin"], **block)
    xp.cumsum(counts, out=starts[1:])
    slots = max(1, int(starts[-1]))
    block |= {"depths": xp.empty(slots, np.float32), "codes": xp.empty(slots, np.int32)}
    counts.fill(0)
    backend.launch("fill_crossings", items["end"], begin=items["begin"], **block)
    backend.launch(
        "resolve_overlaps",
        pixels,
        **resolved,
        depths=block["depths"],
        codes=block["codes"],
        starts=starts,
        first_pixel=row * columns,
    )


def reference_fraction(scene: Scene, view: View) -> float:
    """Fraction of the plane through the middle of all bodies; depths are counted from it to keep float32 small."""
    fractions = np.concatenate([view.project(scene.corners(b))[:, 0] for b in scene.body])
    fractions = np.clip(fractions, NEAR_FRACTION, 1.0)
    return float(0.5 * (fractions.min() + fractions.max()))


def prepare_solids(scene: Scene, view: View, order: list[int], backend: Backend) -> tuple[Any, Any]:
    """Records and pixel bounds [solid, 4] of the analytic bodies."""
    bodies = [(rank, scene.body[k]) for rank, k in enumerate(order)]
    records = solid_records(view, [(rank, b) for rank, b in bodies if isinstance(b, Solid)])
    held = records if len(records) else np.zeros(1, SOLID)
    raw = backend.xp.asarray(held.view(np.uint8).reshape(-1))
    bounds = np.ascontiguousarray(records["bounds"], np.int64).reshape(-1, 4)
    return raw, backend.xp.asarray(bounds)


def prepare_triangles(
    scene: Scene, view: View, order: list[int], reference: float, backend: Backend
) -> tuple[Any, Any]:
    """Screen triangles and their pixel bounds [triangle, 4] of the mesh bodies."""
    xp = backend.xp
    vertices, faces, bodies, count = [], [], [], 0
    for rank, k in enumerate(order):
        body = scene.body[k]
        if isinstance(body, MeshBody):
            mesh = scene.mesh_of(body)
            vertices.append(body.to_world(mesh.vertices))
            faces.append(mesh.faces + np.int32(count))
            bodies.append(np.full(len(mesh.faces), rank, np.int32))
            count += len(mesh.vertices)
    if not faces:
        return xp.zeros(TRIANGLE.itemsize, np.uint8), xp.zeros((0, 4), np.int32)
    corners, planes, ranks = np.concatenate(vertices), np.concatenate(faces), np.concatenate(bodies)
    world = xp.asarray(corners)
    screen, outside = xp.empty((count, 2), np.int32), xp.empty(count, np.uint8)
    homography = view.homography.reshape(12)
    backend.launch(
        "project_vertices", count, vertices=world, screen=screen, outside=outside,
        homography=homography, near_fraction=NEAR_FRACTION,
    )  # fmt: skip
    drawn = planes
    flags = backend.to_numpy(outside)
    if flags.any():
        screen_host = backend.to_numpy(screen)
        screen_host, drawn, parents = clip_faces(view, corners, planes, screen_host, flags)
        screen, planes, ranks = xp.asarray(screen_host), planes[parents], ranks[parents]
    count = len(drawn)
    triangles = xp.empty(max(1, count) * TRIANGLE.itemsize, np.uint8)
    bounds = xp.empty((count, 4), np.int32)
    backend.launch(
        "setup_triangles", count, vertices=world, screen=screen, faces=xp.asarray(drawn),
        planes=xp.asarray(np.ascontiguousarray(planes)), bodies=xp.asarray(ranks), triangles=triangles,
        bounds=bounds, homography=homography, view=view.rays, source=view.source,
        reference_fraction=reference, near_fraction=NEAR_FRACTION, handedness=view.handedness,
        rows=view.rows, columns=view.columns,
    )  # fmt: skip
    return triangles, bounds


def bin_by_tile(xp: Any, bounds: Any, tile: tuple[int, int], shape: tuple[int, int]) -> Bins:
    """Sort primitives into the tiles that their pixel bounds touch, keeping their order in each tile.

    Parameters
    ----------
    xp : module
        numpy or cupy.
    bounds : int [primitive, 4]
        column0, row0, column1, row1, inclusive; empty where the end is before the begin.
    tile, shape : rows and columns of a tile and of the image

    """
    grid_rows, grid_columns = -(-shape[0] // tile[0]), -(-shape[1] // tile[1])
    tiles = grid_rows * grid_columns
    seen = xp.nonzero((bounds[:, 2] >= bounds[:, 0]) & (bounds[:, 3] >= bounds[:, 1]))[0]
    touched = bounds[seen].astype(np.int64)
    column0, row0 = touched[:, 0] // tile[1], touched[:, 1] // tile[0]
    wide = touched[:, 2] // tile[1] - column0 + 1
    ends = xp.cumsum(wide * (touched[:, 3] // tile[0] - row0 + 1))
    total = int(ends[-1]) if len(seen) else 0
    pair = xp.arange(total, dtype=np.int64)
    owner = xp.searchsorted(ends, pair, side="right")
    local = pair - xp.concatenate([xp.zeros(1, np.int64), ends])[owner]
    tile_index = (row0[owner] + local // wide[owner]) * grid_columns + column0[owner] + local % wide[owner]
    key = xp.sort(tile_index * max(1, len(seen)) + owner)  # unique: any sort gives this order
    starts = xp.searchsorted(key, xp.arange(tiles + 1, dtype=np.int64) * max(1, len(seen)))
    primitives = seen[key % max(1, len(seen))] if total else xp.zeros(1, np.int64)
    return Bins(starts.astype(np.int64), primitives.astype(np.int32))


def report_faults(scene: Scene, faults: np.ndarray, faulty_bodies: np.ndarray) -> None:
    """Refuse open and flipped meshes unless allowed; warn of shells that overlap.

    Raises
    ------
    MeshError
        Which body, how many rays, how to allow it.

    """
    import warnings

    order = scene.by_rank()
    told = np.where(faulty_bodies < 0, -1, faulty_bodies >> 3)
    for rank in np.unique(told[told >= 0]):
        faults_of_body = faulty_bodies[told == rank]
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
