"""The slow, obvious oracle in float64: what every kernel is compared with.

Nothing here is shared with the simulator but the tables of mu(E) and the photons of a source. Rays are points and
unit directions in the world; depth is mm along the ray from its foot, the point nearest the world's origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from xsim import Scene, attenuation, material

# Of one body: a list of pieces, each (enter, leave) float64 [ray] mm; NaN where the ray misses it.
Pieces = list[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Rays:
    """Rays to the middles of the pixels, row by row, from what a scene says of source, detector and belt."""

    foot: np.ndarray  # float64 [ray, 3] mm
    direction: np.ndarray  # float64 [ray, 3], unit
    length: np.ndarray  # float64 [ray] mm, source to pixel centre; sdd_mm in a parallel beam
    cosine: np.ndarray  # float64 [ray], to the detector's normal
    shape: tuple[int, int]

    @classmethod
    def of(cls, scene: Scene) -> Rays:
        """In the part's frame: along a line scan source and detector move against the belt."""
        camera, geometry, run = scene.detector, scene.geometry, scene.acquisition
        turn = Rotation.from_euler("xyz", geometry.detector_rotation_deg, degrees=True)
        place = geometry.detector_position_mm or (0.0, 0.0, geometry.sdd_mm - geometry.sod_mm)
        lines = run.lines if camera.kind == "line_scan" else camera.rows
        column = (np.arange(camera.columns) - (camera.columns - 1) / 2) * camera.pitch_mm
        row = (np.arange(lines) - (lines - 1) / 2) * camera.pitch_mm
        y, x = np.meshgrid(row, column, indexing="ij")
        moved = np.zeros((lines * camera.columns, 3))
        if camera.kind == "line_scan":
            moved[:, 1] = -(y / camera.pitch_mm / run.line_rate_hz * run.belt_speed_m_s * 1000).ravel()
            y = np.zeros_like(y)
        pixel = turn.apply(np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3)) + place
        if geometry.beam == "parallel":
            along = np.asarray(geometry.beam_direction or turn.apply([0, 0, 1]), np.float64)
            source = pixel - geometry.sdd_mm * along / np.linalg.norm(along)
        else:
            source = np.broadcast_to(geometry.source_position_mm or (0.0, 0.0, -geometry.sod_mm), pixel.shape)
        return cls.between(source + moved, pixel + moved, turn.apply([0, 0, 1]), (lines, camera.columns))

    @classmethod
    def between(cls, source: np.ndarray, pixel: np.ndarray, normal: np.ndarray, shape: tuple[int, int]) -> Rays:
        """Float64 [ray, 3] mm each; the foot in extended precision, for sources far away."""
        start, way = source.astype(np.longdouble), (pixel - source).astype(np.longdouble)
        length = np.sqrt((way**2).sum(axis=1))
        direction = way / length[:, None]
        foot = start - (start * direction).sum(axis=1)[:, None] * direction
        found = (v.astype(np.float64) for v in (foot, direction, length, direction @ normal))
        return cls(*found, shape)


def body_pieces(body: Any, rays: Rays) -> Pieces:
    """Closed form of an analytic body of a scene, at its pose."""
    turn = Rotation.from_euler("xyz", body.rotation_deg, degrees=True)
    origin = turn.inv().apply(rays.foot - np.asarray(body.position_mm))
    direction = turn.inv().apply(rays.direction)
    if body.shape == "box":
        return [slabs(origin, direction, np.asarray(body.size_mm) / 2)]
    if body.shape == "sphere":
        return [round_chord(origin, direction, body.radius_mm)]
    if body.shape == "ellipsoid":
        radii = np.asarray(body.radii_mm)
        return [round_chord(origin / radii, direction / radii, 1.0)]
    if body.shape == "cylinder":
        return [cylinder(origin, direction, body.radius_mm, body.height_mm)]
    if body.shape == "cone":
        return [cone(origin, direction, body.radius_mm, body.height_mm)]
    if body.shape == "tube":
        outer, bore = (cylinder(origin, direction, r, body.height_mm) for r in (body.radius_mm, body.inner_radius_mm))
        solid_to = np.where(np.isnan(bore[0]), outer[1], bore[0])
        return [ordered(outer[0], solid_to), ordered(bore[1], outer[1])]
    pieces = []
    left = -body.step_length_mm * len(body.steps_mm) / 2
    for k, thickness in enumerate(body.steps_mm):
        low = np.array([left + k * body.step_length_mm, -body.width_mm / 2, 0.0])
        size = np.array([body.step_length_mm, body.width_mm, thickness])
        pieces.append(slabs(origin - (low + size / 2), direction, size / 2))
    return pieces


def cylinder(origin: np.ndarray, direction: np.ndarray, radius: float, height: float) -> tuple[np.ndarray, np.ndarray]:
    wall = round_chord(origin[:, :2], direction[:, :2], radius)
    ends = slabs(origin[:, 2:], direction[:, 2:], np.array([height / 2]))
    return ordered(np.maximum(wall[0], ends[0]), np.minimum(wall[1], ends[1]))


def cone(origin: np.ndarray, direction: np.ndarray, radius: float, height: float) -> tuple[np.ndarray, np.ndarray]:
    """Cuts with the double cone and with both ends; the stretch whose middle lies inside is the chord."""
    slope = radius / height
    weights = np.array([1, 1, -(slope**2)])
    from_apex = origin - [0, 0, height / 2]
    a, b, c = (
        (weights * u * v).sum(1) for u, v in ((direction, direction), (from_apex, direction), (from_apex, from_apex))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        q = -b - np.copysign(np.sqrt(b * b - a * c), b)
        ends = [(z - origin[:, 2]) / direction[:, 2] for z in (-height / 2, height / 2)]
        cuts = np.sort(np.stack([q / a, c / q, *ends], axis=1), axis=1)  # NaN last
        middle = (cuts[:, :-1] + cuts[:, 1:]) / 2
        x, y, z = (origin[:, None] + middle[..., None] * direction[:, None]).transpose(2, 0, 1)
        inside = (np.abs(z) < height / 2) & (np.hypot(x, y) < slope * (height / 2 - z))
    hit = inside.any(axis=1)
    first, row = inside.argmax(axis=1), np.arange(len(cuts))
    return np.where(hit, cuts[row, first], np.nan), np.where(hit, cuts[row, first + 1], np.nan)


def slabs(origin: np.ndarray, direction: np.ndarray, half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inside |x_k| < half_k for every axis k."""
    with np.errstate(divide="ignore", invalid="ignore"):
        one, other = (-half - origin) / direction, (half - origin) / direction
    flat = direction == 0
    beside = (flat & (np.abs(origin) > half)).any(axis=1)
    enter = np.where(flat, -np.inf, np.minimum(one, other)).max(axis=1)
    leave = np.where(flat, np.inf, np.maximum(one, other)).min(axis=1)
    return ordered(np.where(beside, np.nan, enter), leave)


def round_chord(origin: np.ndarray, direction: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Inside |x| < radius: half the chord is sqrt(radius^2 - distance^2) of the line from the centre, over its tilt."""
    square = (direction**2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = -(origin * direction).sum(axis=1) / square
        distance2 = ((origin + middle[:, None] * direction) ** 2).sum(axis=1)
        half = np.sqrt((radius**2 - distance2) / square)
    along = square == 0
    wall = np.where((origin**2).sum(axis=1) < radius**2, np.inf, np.nan)
    return ordered(np.where(along, -wall, middle - half), np.where(along, wall, middle + half))


def ordered(enter: np.ndarray, leave: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    hit = leave > enter
    return np.where(hit, enter, np.nan), np.where(hit, leave, np.nan)


@dataclass(frozen=True)
class MeshCrossings:
    """What rays meet of a triangle mesh."""

    lengths_mm: np.ndarray  # float64 [ray], where the winding number is not 0
    crossings: np.ndarray  # int [ray]
    least_cosine: np.ndarray  # float64 [ray], of incidence over the triangles met; 1 where none
    edge_gap_mm: np.ndarray  # float64 [ray], least distance to any edge
    spans: list[list[tuple[float, float]]]  # per ray: (enter, leave)


def mesh_crossings(vertices: np.ndarray, faces: np.ndarray, rays: Rays, block: int = 256) -> MeshCrossings:
    """Every ray against every triangle, by barycentric coordinates in the plane across the ray."""
    found = [
        _block_crossings(vertices, faces, rays.foot[k : k + block], rays.direction[k : k + block])
        for k in range(0, len(rays.foot), block)
    ]
    spans = [span for part in found for span in part[0]]
    counts, cosine, gap = (np.concatenate([part[k] for part in found]) for k in (1, 2, 3))
    lengths = np.array([sum(b - a for a, b in span) for span in spans])
    return MeshCrossings(lengths, counts, cosine, gap, spans)


def _block_crossings(
    vertices: np.ndarray, faces: np.ndarray, foot: np.ndarray, direction: np.ndarray
) -> tuple[list[list[tuple[float, float]]], np.ndarray, np.ndarray, np.ndarray]:
    helper = np.where(np.abs(direction[:, :1]) < 0.9, [[1.0, 0, 0]], [[0, 1.0, 0]])
    u = np.cross(direction, helper)
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    v = np.cross(direction, u)
    flat = np.stack(  # [ray, vertex, 2] mm across the ray
        [u @ vertices.T - (u * foot).sum(1)[:, None], v @ vertices.T - (v * foot).sum(1)[:, None]], axis=-1
    )
    depth = direction @ vertices.T - (direction * foot).sum(1)[:, None]
    a, b, c = (flat[:, faces[:, k]] for k in range(3))
    wa, wb, wc = (p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0] for p, q in ((b, c), (c, a), (a, b)))
    met = ((wa > 0) & (wb > 0) & (wc > 0)) | ((wa < 0) & (wb < 0) & (wc < 0))
    ray, face = np.nonzero(met)
    w = np.stack([wa[met], wb[met], wc[met]], axis=1)
    at = (w * depth[ray[:, None], faces[face]]).sum(axis=1) / w.sum(axis=1)
    corner = vertices[faces[face]]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    towards = (normal * direction[ray]).sum(axis=1)
    cosine = np.ones(len(foot))
    np.minimum.at(cosine, ray, np.abs(towards) / np.linalg.norm(normal, axis=1))
    spans = [_winding_spans(at[ray == k], towards[ray == k] < 0) for k in range(len(foot))]
    gap = np.min([segment_distance(p, q) for p, q in ((a, b), (b, c), (c, a))], axis=0).min(axis=1)
    return spans, np.bincount(ray, minlength=len(foot)), cosine, gap


def segment_distance(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Distance of the origin from segments p q, [..., 2] to [...]."""
    way = q - p
    share = np.clip(-(p * way).sum(-1) / np.maximum((way**2).sum(-1), 1e-300), 0, 1)
    return np.asarray(np.linalg.norm(p + share[..., None] * way, axis=-1))


def _winding_spans(depth: np.ndarray, enters: np.ndarray) -> list[tuple[float, float]]:
    order = np.argsort(depth)
    winding = np.cumsum(np.where(enters[order], 1, -1))
    return [
        (float(a), float(b)) for (a, b), inside in zip(pairwise(depth[order]), winding[:-1], strict=True) if inside != 0
    ]


@dataclass(frozen=True)
class Grid:
    """Voxels [slice, row, column] of a body, their edges along x, y, z and the body's pose."""

    voxels: np.ndarray
    voxel_mm: tuple[float, float, float]
    position_mm: Any = (0.0, 0.0, 0.0)
    rotation_deg: Any = (0.0, 0.0, 0.0)

    def rays(self, rays: Rays) -> tuple[np.ndarray, np.ndarray]:
        """Points and directions in voxels from the corner; depth stays in mm."""
        turn = Rotation.from_euler("xyz", self.rotation_deg, degrees=True)
        size = np.array(self.voxels.shape[::-1])
        origin = turn.inv().apply(rays.foot - np.asarray(self.position_mm)) / self.voxel_mm + size / 2
        return origin, turn.inv().apply(rays.direction) / self.voxel_mm


def label_runs(grid: Grid, rays: Rays) -> list[list[tuple[int, float, float]]]:
    """Per ray: label, enter, leave of every voxel met; all planes' crossings sorted, a voxel known by its middle."""
    size, found = np.array(grid.voxels.shape[::-1]), []
    for origin, direction in zip(*grid.rays(rays), strict=True):
        with np.errstate(divide="ignore", invalid="ignore"):
            planes = [(np.arange(n + 1) - o) / d for n, o, d in zip(size, origin, direction, strict=True) if d != 0]
        depth = np.unique(np.concatenate(planes))
        depth = depth[np.abs(depth) < 1e6]  # a direction that is 0 but for rounding meets its planes far away
        middle = np.floor(origin + np.mean([depth[:-1], depth[1:]], axis=0)[:, None] * direction).astype(int)
        inside = ((middle >= 0) & (middle < size)).all(axis=1)
        x, y, z = middle[inside].T
        ends = zip(grid.voxels[z, y, x], depth[:-1][inside], depth[1:][inside], strict=True)
        found.append([(int(label), float(a), float(b)) for label, a, b in ends])
    return found


def label_lengths(grid: Grid, rays: Rays, label: int) -> np.ndarray:
    """Length of each ray in voxels of a label [row, column] mm."""
    runs = label_runs(grid, rays)
    return np.array([sum(b - a for k, a, b in run if k == label) for run in runs]).reshape(rays.shape)


def joseph(grid: Grid, rays: Rays, density: Any) -> np.ndarray:
    """Integral of density(value) along each ray [row, column], by one bilinear sample in each slab of the main axis."""
    total = []
    for origin, direction in zip(*grid.rays(rays), strict=True):
        main = int(np.argmax(np.abs(direction[[2, 0, 1]])))
        axes = [[2, 0, 1], [0, 2, 1], [1, 0, 2]][main]  # main, u, v in x, y, z
        voxels = grid.voxels.astype(np.float64).transpose([2 - a for a in axes])
        o, d, size = origin[axes], direction[axes], np.array(voxels.shape)
        with np.errstate(divide="ignore", invalid="ignore"):
            cuts = np.sort([(0 - o) / d, (size - o) / d], axis=0)
        flat = d == 0
        if (flat & ((o < 0) | (o >= size))).any():
            total.append(0.0)
            continue
        enter, leave = cuts[0][~flat].max(), cuts[1][~flat].min()
        k = np.arange(size[0])
        ends = np.sort([(k - o[0]) / d[0], (k + 1 - o[0]) / d[0]], axis=0)
        weight = np.clip(np.minimum(ends[1], leave) - np.maximum(ends[0], enter), 0, None)
        at = (k + 0.5 - o[0]) / d[0]
        u, v = (np.clip(o[a] + at * d[a] - 0.5, 0, size[a] - 1) for a in (1, 2))
        iu, iv = (np.clip(np.floor(p).astype(int), 0, max(n - 2, 0)) for p, n in ((u, size[1]), (v, size[2])))
        ju, jv = np.minimum(iu + 1, size[1] - 1), np.minimum(iv + 1, size[2] - 1)
        wu, wv = u - iu, v - iv
        upper = voxels[k, iu, iv] * (1 - wu) + voxels[k, ju, iv] * wu
        lower = voxels[k, iu, jv] * (1 - wu) + voxels[k, ju, jv] * wu
        total.append(float((weight * density(upper * (1 - wv) + lower * wv)).sum()))
    return np.array(total).reshape(rays.shape)


def resolve(bodies: list[tuple[int, list[list[tuple[float, float]]]]]) -> tuple[np.ndarray, np.ndarray]:
    """Who owns each stretch of each ray: at its middle, the highest priority inside wins, ties go to the later body.

    Parameters
    ----------
    bodies : list of (priority, spans per ray), in the order of the file

    Returns
    -------
    lengths float64 [body, ray] mm and winner int [ray]: 1-based place of the highest body that owns anything, or 0
    """
    rays = len(bodies[0][1])
    lengths, winner = np.zeros((len(bodies), rays)), np.zeros(rays, int)
    rank = sorted(range(len(bodies)), key=lambda k: (bodies[k][0], k))
    for ray in range(rays):
        cuts = sorted({end for _, spans in bodies for span in spans[ray] for end in span})
        best = -1
        for a, b in pairwise(cuts):
            middle = (a + b) / 2
            for place in reversed(range(len(rank))):
                if any(s < middle < e for s, e in bodies[rank[place]][1][ray]):
                    lengths[rank[place], ray] += b - a
                    best = max(best, place)
                    break
        winner[ray] = rank[best] + 1 if best >= 0 else 0
    return lengths, winner


def spans_of(pieces: Pieces) -> list[list[tuple[float, float]]]:
    """Pieces of a body as spans per ray."""
    return [[(float(e[k]), float(v[k])) for e, v in pieces if e[k] == e[k]] for k in range(len(pieces[0][0]))]


def path_lengths(scene: Scene) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Resolved path length per material [row, column] mm and labels of a scene of analytic bodies."""
    rays = Rays.of(scene)
    bodies = [(body.priority, spans_of(body_pieces(body, rays))) for body in scene.body]
    by_body, labels = resolve(bodies)
    lengths: dict[str, np.ndarray] = {}
    for body, own in zip(scene.body, by_body, strict=True):
        name = material.resolve(body.material).name
        lengths[name] = lengths.get(name, 0.0) + own.reshape(rays.shape)
    return lengths, labels.reshape(rays.shape)


def absorbed_kev(scene: Scene, lengths_mm: dict[str, np.ndarray], mas: float, power: int = 1) -> np.ndarray:
    """Direct sum over all energies: energy absorbed per pixel, sum N eta E^power exp(-sum mu t), before any blur."""
    rays, beam, camera = Rays.of(scene), scene.source.photons(scene.edges_kev), scene.detector
    total = np.zeros(rays.shape)
    for energy, count in zip(beam.energy_kev, beam.photons * beam.bin_width_kev, strict=True):
        if count <= 0:
            continue
        depth = sum((attenuation(name, energy) * t for name, t in lengths_mm.items()), np.zeros(rays.shape))
        screen = 1.0
        if camera.response != "ideal":
            sheet = material.resolve(camera.scintillator.material)
            areal = camera.scintillator.areal_density_mg_cm2 / 1000
            screen = 1 - np.exp(-float(material.mass_attenuation(sheet, energy)) * areal)
        # per mm2 at 1 m: inverse square, times the cosine at which the panel is met
        share = ((1000 / rays.length) ** 2 * rays.cosine).reshape(rays.shape)
        photons = count * camera.pitch_mm**2 * share * mas
        total += photons * screen * energy**power * np.exp(-depth)
    return total


def spread(light: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Sum over the kernel; the margin of its radius is lost."""
    radius = kernel.shape[0] // 2
    rows, columns = light.shape[0] - 2 * radius, light.shape[1] - 2 * radius
    total = np.zeros((rows, columns))
    for (dy, dx), weight in np.ndenumerate(kernel.astype(np.float64)):
        total += weight * light[dy : dy + rows, dx : dx + columns]
    return total


def worst(got: np.ndarray, wanted: np.ndarray, where: np.ndarray | bool = True) -> float:
    """Greatest absolute difference among the elements asked for; at least one is."""
    gap = np.abs(got.astype(np.float64) - wanted)
    chosen = gap[np.broadcast_to(where, gap.shape)]
    assert chosen.size
    return float(chosen.max())
