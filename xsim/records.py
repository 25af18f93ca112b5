"""What the kernels draw: records of analytic parts and of mesh surfaces, and the tiles each may touch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xsim.backend import Backend
from xsim.bricks import volume_record
from xsim.clipping import SUBPIXELS, clip_faces, screen_positions
from xsim.cluster import cluster_faces, group_faces
from xsim.geometry import View, turned
from xsim.kernel_arguments import VOLUME, address, fill_record
from xsim.material import Material
from xsim.mesh import Mesh
from xsim.placement import Placement

__all__ = ["Drawing", "Tiles", "draw"]

FLAT_RADIAN = 0.005  # a quarter of the angle below which a face is edge-on
CHUNKS = 64  # work items that sort primitives into tiles, at the most
LEAST_CHUNK = 256
VERTEX_BLOCK = 1024  # as in kernels/triangle.h


@dataclass(frozen=True)
class Tiles:
    """Tiles of an image, numbered row by row."""

    rows: int
    columns: int
    tile_rows: int
    tile_columns: int

    @classmethod
    def of(cls, view: View, backend: Backend) -> Tiles:
        """Tiles of a view, of the shape that suits the backend."""
        return cls(view.rows, view.columns, *backend.tile_shape)

    @property
    def grid(self) -> tuple[int, int]:
        """Tiles down and across."""
        return -(-self.rows // self.tile_rows), -(-self.columns // self.tile_columns)

    @property
    def count(self) -> int:
        return self.grid[0] * self.grid[1]

    @property
    def record(self) -> tuple[int, ...]:
        """The kernels' ``Tiling``."""
        return (self.columns, self.rows, self.tile_rows, self.tile_columns, self.grid[1])


@dataclass(frozen=True)
class Drawing:
    """Bodies as the kernels draw them. Holds every array that a record points to.

    ``arguments`` are the fields of ``kernel_arguments.DRAWING``.
    """

    arguments: dict[str, Any]
    held: Sequence[Any]


def draw(
    view: View,
    placement: Placement,
    chosen: np.ndarray,
    references: np.ndarray,
    materials: Mapping[Material, int],
    tiles: Tiles,
    backend: Backend,
) -> Drawing:
    """Records and tile lists of some bodies, in ascending rank.

    Parameters
    ----------
    view : View
    placement : Placement
    chosen : bool [rank]
        Which bodies.
    references : float64 [rank]
        Fraction of the way to the detector from which the depths of each are counted.
    materials : mapping of Material to int
        Place of each in the images of path lengths.
    tiles : Tiles
    backend : Backend

    """
    if not chosen.any():
        return nothing_to_draw(tiles, backend)
    solids = solid_records(view, placement, chosen, references)
    surfaces, clusters, held = surface_records(view, placement, chosen, references, backend)
    volumes, kept = volume_records(view, placement, chosen, references, materials, backend)
    records = {
        "solids": to_device(backend.xp, solids),
        "surfaces": to_device(backend.xp, surfaces),
        "surface_count": len(surfaces),
    }
    arguments = {**records, "volumes": to_device(backend.xp, volumes), "volume_count": len(volumes)}
    for name, count, kinds in (("cluster", clusters, len(surfaces)), ("solid", len(solids), 0)):
        starts, entries = bin_by_tile({**records, "surface_count": kinds}, count, tiles, backend)
        arguments |= {f"{name}_starts": starts, f"{name}_list": entries}
    return Drawing(arguments, [placement, held, kept])


def nothing_to_draw(tiles: Tiles, backend: Backend) -> Drawing:
    """No body at all."""
    starts, entries = backend.xp.zeros(tiles.count + 1, np.int64), backend.xp.zeros(1, np.int32)
    lists = {"cluster_starts": starts, "cluster_list": entries, "solid_starts": starts, "solid_list": entries}
    counts = dict.fromkeys(("surface_count", "volume_count"), 0)
    return Drawing({**dict.fromkeys(("surfaces", "solids", "volumes")), **lists, **counts}, [])


def to_device(xp: Any, records: np.ndarray) -> Any:
    """Records as bytes in the backend's memory; at least one."""
    some = records if len(records) else np.zeros(1, records.dtype)
    return xp.asarray(np.ascontiguousarray(some).view(np.uint8).reshape(-1))


def rays_of(view: View, rotation: np.ndarray, position_mm: np.ndarray) -> np.ndarray:
    """Rays of a view in the frames of bodies, float64 [body, 18]."""
    vectors = np.tile(view.rays.reshape(6, 3), (len(position_mm), 1, 1))
    vectors[:, 0] -= position_mm
    return turned(vectors, rotation[:, None]).reshape(len(position_mm), 18)


def boxes_of(placement: Placement, ranks: np.ndarray) -> np.ndarray:
    """Boxes [part, 8, 3] of bodies, given the rank of each of their parts."""
    wanted = np.zeros(len(placement.positions_mm), bool)
    wanted[ranks] = True
    return np.asarray(placement.corners_mm[wanted[placement.corner_ranks]])


def solid_records(view: View, placement: Placement, chosen: np.ndarray, references: np.ndarray) -> np.ndarray:
    """One record a part: the rays in the body's frame, with the part's own centre as the origin."""
    some = chosen[placement.solids["body"]]
    table = placement.solids[some]
    if not len(table):
        return np.asarray(table)
    ranks = table["body"]
    table["rays"] = rays_of(view, placement.rotations[ranks], placement.positions_mm[ranks])
    table["rays"][:, :3] -= placement.centres_mm[some]
    table["reference_fraction"] = references[ranks]
    table["window"] = view.pixel_windows(boxes_of(placement, ranks))
    return np.asarray(table)


def volume_records(
    view: View,
    placement: Placement,
    chosen: np.ndarray,
    references: np.ndarray,
    materials: Mapping[Material, int],
    backend: Backend,
) -> tuple[np.ndarray, list[Any]]:
    """Records of volumes, and what they point to."""
    some = [(rank, volume, contents) for rank, volume, contents in placement.volumes if chosen[rank]]
    table, held = np.zeros(len(some), VOLUME), []
    for k, (rank, volume, contents) in enumerate(some):
        seen = view.seen_from(placement.rotations[rank], placement.positions_mm[rank])
        record = volume_record(volume, contents, seen, materials, backend)
        window = view.pixel_windows(boxes_of(placement, np.array([rank])))[0]
        place = {"window": window, "reference_fraction": references[rank], "body": rank}
        fill_record(table[k], {**record.fields, **place}, "volume")
        held.append(record)
    return table, held


def surface_records(
    view: View, placement: Placement, chosen: np.ndarray, references: np.ndarray, backend: Backend
) -> tuple[np.ndarray, int, list[Any]]:
    """Records of meshes, their vertices projected; the number of clusters in all, and the arrays they point to.

    A mesh stays in its own frame: bodies of one mesh share its vertices and faces.
    """
    some = np.nonzero(chosen[placement.surfaces["body"]])[0]
    table = placement.surfaces[some]
    if not len(some):
        return table, 0, []
    ranks, meshes = table["body"], [placement.meshes[k] for k in some.tolist()]
    rotation, position = placement.rotations[ranks], placement.positions_mm[ranks]
    world = view.homography
    table["homography"]["m"][:, [0, 1, 2, 4, 5, 6, 8, 9, 10]] = turned(world[:, :3], rotation[:, None]).reshape(-1, 9)
    table["homography"]["m"][:, 3::4] = view.project(position)
    table["homography"]["divides_column"] = not view.is_parallel
    table["homography"]["divides_row"] = not view.row_is_affine
    table["rays"] = rays_of(view, rotation, position)
    table["reference_fraction"] = references[ranks]
    table["near_fraction"], table["handedness"] = view.near_fraction, view.handedness
    table["is_line_scan"], table["flat_extent"] = view.is_line_scan, flat_extent(view)
    table["window"] = view.pixel_windows(boxes_of(placement, ranks))
    table["first_vertex"] = np.cumsum(table["vertex_count"]) - table["vertex_count"]
    counts, held = np.array([len(mesh.clusters.faces) for mesh in meshes]), []
    if not view.is_line_scan:
        outside, screen = project_vertices(table, backend)
        held.append(screen)
        for k in np.nonzero(outside)[0].tolist():
            seen = view.seen_from(rotation[k], position[k])
            arrays, counts[k] = clip_surface(table[k], seen, meshes[k], backend)
            held.append(arrays)
    table["first"] = np.cumsum(counts) - counts
    return table, int(counts.sum()), held


def flat_extent(view: View) -> int:
    """Extent on the screen, fixed point, over which the direction of the rays turns by less than ``FLAT_RADIAN``."""
    step = max(float(np.linalg.norm(view.column)), float(np.linalg.norm(view.row)))
    pixels = FLAT_RADIAN * view.axis_distance_mm / step if step > 0 else np.inf
    return int(min(pixels * SUBPIXELS, 2**30))


def project_vertices(table: np.ndarray, backend: Backend) -> tuple[np.ndarray, Any]:
    """Screen positions of all vertices: which surfaces have one outside, bool [surface], and the positions."""
    xp, total = backend.xp, int(table["vertex_count"].sum())
    screen, depths = xp.empty(total, np.int64), xp.empty(total, np.float32)
    table["screen"] = address(screen) + 8 * table["first_vertex"]
    table["depths"] = address(depths) + 4 * table["first_vertex"]
    outside = xp.zeros(len(table), np.uint8)
    backend.launch(
        "project_vertices", -(-total // VERTEX_BLOCK), surfaces=to_device(xp, table), outside=outside,
        vertex_count=total, surface_count=len(table),
    )  # fmt: skip
    return backend.to_numpy(outside).astype(bool), (screen, depths)


def clip_surface(record: np.ndarray, seen: View, mesh: Mesh, backend: Backend) -> tuple[tuple[Any, ...], int]:
    """Point a record to the part of its surface that rays can meet; the arrays, and the number of clusters."""
    screen, outside = screen_positions(seen, mesh.vertices)
    cut, drawn, parents = clip_faces(seen, mesh.vertices, mesh.faces, screen, outside)
    faces, whole = group_faces(drawn), cluster_faces(mesh.vertices, mesh.faces[parents])
    corners = cut[faces]  # [cluster, corner, CLUSTER, 2]
    low, high = corners.min(axis=(1, 2)) // SUBPIXELS, -(-corners.max(axis=(1, 2)) // SUBPIXELS)
    windows = np.concatenate([low, high], axis=1).astype(np.int32)
    xp = backend.xp
    found = (cut, faces, whole.faces, whole.normals, whole.offsets, windows)
    arrays = tuple(xp.asarray(np.ascontiguousarray(array)) for array in found)
    for field, array in zip(("screen", "faces", "planes", "normals", "offsets", "windows"), arrays, strict=True):
        record[field] = address(array)
    record["spheres"] = 0
    return arrays, len(faces)


def bin_by_tile(records: dict[str, Any], count: int, tiles: Tiles, backend: Backend) -> tuple[Any, Any]:
    """Lists of the primitives that may touch each tile, in order.

    Returns
    -------
    starts : int64 [tile + 1]
    primitives : int32; those of tile t are ``primitives[starts[t]:starts[t + 1]]``
    """
    xp, total = backend.xp, tiles.count
    if not count:
        return xp.zeros(total + 1, np.int64), xp.zeros(1, np.int32)
    chunk = max(LEAST_CHUNK, -(-count // CHUNKS))
    chunks = max(1, -(-count // chunk))
    cursors = xp.zeros((chunks, total), np.int64)
    arguments = {
        **records, "cursors": cursors, "spans": xp.empty((count, 4), np.uint16),
        "list": xp.zeros(1, np.int32), "primitives": count, "chunk": chunk, "tiles": total, "tiling": tiles.record,
    }  # fmt: skip
    backend.launch("count_bins", chunks, **arguments)
    ends = xp.cumsum(cursors.T.reshape(-1))  # tile by tile, chunk by chunk within it
    begins = (ends - cursors.T.reshape(-1)).reshape(total, chunks)
    starts = xp.concatenate([begins[:, 0], ends[-1:]])
    entries = xp.empty(max(1, int(ends[-1])), np.int32)
    arguments |= {"cursors": xp.ascontiguousarray(begins.T), "list": entries}
    backend.launch("fill_bins", chunks, **arguments)
    return starts, entries
