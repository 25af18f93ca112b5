"""Count rays that cross closed meshes an odd number of times: there should be none.

    python benchmarks/watertight.py part.stl:mm other.ply:in --rays 1e7
    python benchmarks/watertight.py --random --rays 1e8

With ``--random``, random closed meshes are seen from 50 mm to 1e5 mm: from any side, every corner on a pixel centre,
along edges, from the plane of a face, and beside the source so that triangles reach behind it. Every ray is held
against an independent float64 sum of depths, samples against the oracles: ``tests/ray_stress.py`` says what is stray.

Otherwise each mesh is seen from random sources. Nine tenths of the rays are the pixels of images that the mesh fills.
A tenth are aimed: strips of pixels whose first and last centres project onto two corners of an edge, so that every
ray of a strip meets that edge exactly, and two of them a vertex.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh

from xsim import scene_from_dict
from xsim.backend import Backend, get_backend
from xsim.geometry import View
from xsim.mesh import read_mesh
from xsim.projector import FLIPPED, NESTED, OPEN, project
from xsim.scene import Scene

IMAGE_SIDE = 1000
STRIP = 128
SCREEN_PX = 60000.0  # the strip is enlarged until the mesh spans this much: within the screen, not clipped


@dataclass
class Tally:
    """Rays, and those that are odd (open), flipped or nested."""

    rays: int = 0
    odd: int = 0
    flipped: int = 0
    nested: int = 0
    met: int = 0

    def add(self, scene: Scene, view: View, backend: Backend) -> None:
        found = project(scene, view, backend)
        faults = backend.to_numpy(found.faults)
        self.rays += faults.size
        self.odd += int((faults & OPEN > 0).sum())
        self.flipped += int((faults & FLIPPED > 0).sum())
        self.nested += int((faults & NESTED > 0).sum())
        self.met += int((backend.to_numpy(found.labels) > 0).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("meshes", nargs="*", metavar="FILE:UNIT", help="mesh files and their units: part.stl:mm")
    parser.add_argument("--random", action="store_true", help="random closed meshes, held against float64 oracles")
    parser.add_argument("--rays", type=float, default=1e6, help="rays per mesh, or of all random ones (default 1e6)")
    parser.add_argument("--side", type=int, default=400, help="pixels along a side of a random mesh's image")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--crowd", action="store_true", help="sort lists of crossings, as where bodies overlap")
    parser.add_argument("--backend", default="auto", choices=("auto", "cpu", "cuda"))
    options = parser.parse_args()
    backend = get_backend(options.backend)
    if options.random:
        shoot_at_random(options.rays, options.side, options.seed, backend)
    if not options.meshes:
        return
    print(f"{'mesh':<24}{'triangles':>10} {'closed':<7}{'rays':>10}{'aimed':>9}{'hits':>9}"
          f"{'odd':>9}{'odd aimed':>10}{'flipped':>9}{'nested':>8}{'s':>7}")  # fmt: skip
    for text in options.meshes:
        path, _, unit = text.rpartition(":")
        began = time.perf_counter()
        scene, closed = station(Path(path), unit, options.crowd)
        grid, aimed = examine(scene, int(options.rays), np.random.default_rng(options.seed), backend)
        print(f"{Path(path).name:<24}{len(scene.mesh_of(scene.body[0]).faces):>10} {'yes' if closed else 'NO':<7}"
              f"{grid.rays + aimed.rays:>10}{aimed.rays:>9}{grid.met + aimed.met:>9}"
              f"{grid.odd + aimed.odd:>9}{aimed.odd:>10}{grid.flipped + aimed.flipped:>9}"
              f"{grid.nested + aimed.nested:>8}{time.perf_counter() - began:>7.1f}")  # fmt: skip


def shoot_at_random(rays: float, side: int, seed: int, backend: Backend) -> None:
    """Print a line per way of aiming, and a line for each image with a ray wrong in it."""
    sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))  # the oracles live with the tests
    import ray_stress

    totals: dict[str, ray_stress.Tally] = {}
    began = time.perf_counter()
    sample = max(1, int(np.ceil(1e5 * side**2 / rays)))  # over all images about 1e5 rays against the slow oracles
    with tempfile.TemporaryDirectory() as folder:
        shots = ray_stress.shoot(np.random.default_rng(seed), rays, side, sample, Path(folder), backend)
        for image, (name, tally) in enumerate(shots):
            totals.setdefault(name, ray_stress.Tally()).__iadd__(tally)
            if tally.wrong:
                print(f"image {image}, {name}: {tally}")
    columns = ("rays", "met", "odd", "flipped", "nested", "outside", "stray", "near_edge", "edge_checked",
               "edge_stray", "oracle_checked", "oracle_stray")  # fmt: skip
    print(f"{'aim':<24}" + "".join(f"{c:>15}" for c in columns) + f"{'worst mm':>10}")
    for name, tally in totals.items():
        print(f"{name:<24}" + "".join(f"{getattr(tally, c):>15}" for c in columns) + f"{tally.worst_mm:>10.1e}")
    wrong = sum(tally.wrong for tally in totals.values())
    print(f"wrong rays: {wrong} of {sum(t.rays for t in totals.values()):.3g}, {time.perf_counter() - began:.0f} s")


def station(path: Path, unit: str, crowd: bool) -> tuple[Scene, bool]:
    """A scene of the mesh, alone or round a speck of air, and whether each edge joins two faces of one winding."""
    mesh = read_mesh(path, unit)
    middle = (0.5 * (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0))).tolist()
    speck = {"shape": "box", "size_mm": [1e-6] * 3, "position_mm": middle, "material": "air", "priority": -1}
    scene = scene_from_dict(
        {
            "source": {"energy_kev": 60.0},
            "geometry": {"sod_mm": 1e6, "sdd_mm": 2e6},  # the views below replace it
            "detector": {"preset": "generic-gos-200um", "rows": 8, "columns": 8, "pitch_mm": 1e6},
            "body": [
                {"mesh": path.name, "mesh_unit": unit, "material": "Al", "allow_open": True},
                *([speck] if crowd else []),
            ],
        },
        path.parent,
    )
    surface = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    return scene, bool(surface.is_watertight and surface.is_winding_consistent)


def examine(scene: Scene, rays: int, generator: np.random.Generator, backend: Backend) -> tuple[Tally, Tally]:
    """Rays on the pixels of images, and rays aimed at edges."""
    mesh = scene.mesh_of(scene.body[0])
    centre = 0.5 * (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0))
    radius = float(np.linalg.norm(mesh.vertices - centre, axis=1).max())
    grid, aimed = Tally(), Tally()
    while grid.rays < 0.9 * rays:
        grid.add(scene, image_view(centre, radius, generator), backend)
    while aimed.rays < 0.1 * rays:
        corners = mesh.vertices[generator.choice(mesh.faces[generator.integers(len(mesh.faces))], 2, replace=False)]
        source = centre + radius * generator.uniform(1.5, 20) * direction(generator)
        strip = strip_view(source, corners, radius, generator)
        if strip is not None:
            aimed.add(scene, strip, backend)
    return grid, aimed


def direction(generator: np.random.Generator) -> np.ndarray:
    way = generator.normal(size=3)
    return np.asarray(way / np.linalg.norm(way))


def image_view(centre: np.ndarray, radius: float, generator: np.random.Generator) -> View:
    """From a random side and distance, turned about the axis, the mesh filling the image."""
    away = direction(generator)
    distance = radius * generator.uniform(1.5, 20)
    across = np.cross(away, direction(generator))
    across /= np.linalg.norm(across)
    along = np.cross(away, across)
    pitch = 2.2 * radius / np.sqrt(1 - (radius / distance) ** 2) / IMAGE_SIDE
    corner = -distance * away - 0.5 * (IMAGE_SIDE - 1) * pitch * (across + along)
    return View(centre + distance * away, corner, pitch * across, pitch * along, IMAGE_SIDE, IMAGE_SIDE)


def strip_view(source: np.ndarray, corners: np.ndarray, radius: float, generator: np.random.Generator) -> View | None:
    """One row of pixels from corner to corner of an edge; None where the edge is too short or seen end-on."""
    start, way = corners[0] - source, corners[1] - corners[0]
    length = float(np.linalg.norm(way))
    steps = min(STRIP, int(SCREEN_PX * length / (8 * radius)))
    normal = np.cross(start, way)
    if steps < 1 or np.linalg.norm(normal) < 1e-3 * length * np.linalg.norm(start):
        return None
    row = normal / np.linalg.norm(normal) * length / steps
    row += generator.uniform(-0.5, 0.5) * way / steps
    return View(source, start, way / steps, row, 1, steps + 1)


if __name__ == "__main__":
    main()
