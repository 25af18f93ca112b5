"""What a projection costs: time and memory fitted to the number of triangles and of pixels.

    python benchmarks/cost.py [--backend cpu] [--save]

A torus of 10^3 to 10^7 triangles on 256^2 to 4096^2 pixels, one energy. Time: t = a + b triangles + c pixels with the
least greatest relative residual, no term negative; it says how linear the cost is. Beside it the same with a fourth
term, sqrt(triangles pixels): rows of pixels that triangles cover, each of them work of its own. Memory: how far the
resident set rises at its peak over what it is with the scene loaded, in a process of its own for each mesh; CPU only.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import trimesh
from cases import MONO
from first_image import machine_name
from ours import signal_work, station
from scipy.optimize import linprog
from store import save

import xsim
from xsim.backend import Backend, get_backend

TRIANGLES = (10**3, 10**4, 10**5, 10**6, 10**7)
PIXELS = (256, 512, 1024, 2048, 4096)
MEMORY_TRIANGLES = (10**5, 10**6, 10**7)
MEMORY_PIXELS = (512, 1024, 2048, 4096)
TURN_S, CALLS = 1.0, 50  # a point of the grid takes calls for a second, three at least, fifty at most
RESIDUAL_BAR = 0.25
BYTES_BAR = {"triangle": 200, "pixel": 40}
WARM_PIXELS = 64


def main() -> int:
    parser = xsim.CommandParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--most", type=float, default=1e7, help="triangles of the largest mesh")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/cost-MACHINE.json")
    parser.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)  # the process that measures one mesh
    parser.set_defaults(run=run)
    return xsim.run_command(parser.prog, parser.parse_args())


def run(options: argparse.Namespace) -> None:
    if options.memory_of:
        print(json.dumps(memory_points(options.memory_of)))
        return
    machine = get_backend(options.backend)
    times, memory = measure(machine, options.most)
    result = {"xsim": xsim.__version__, "load": os.getloadavg()[0], "times": times, "memory": memory}
    result["rows_fit"] = fit(times, "ms", rows=True)
    print_fit("time", result["rows_fit"], "ms", 1e6, "ns")
    print_residuals(times)
    result["time_fit"] = fit(times, "ms")
    print_fit("time", result["time_fit"], "ms", 1e6, "ns")
    print_residuals(times)
    if memory:
        result["memory_fit"] = fit(memory, "bytes")
        print_fit("working set", result["memory_fit"], "bytes", 1, "bytes")
        over = max(point["share_of_bar"] for point in memory)
        print(f"at most {over:.0%} of {BYTES_BAR['triangle']} B a triangle and {BYTES_BAR['pixel']} B a pixel")
    if options.save:
        save("cost", machine_name(machine), result)


def measure(machine: Backend, most: float) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    """Times of the whole grid, and working sets of a part of it."""
    times: list[dict[str, float]] = []
    memory: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        for count in TRIANGLES:
            if count <= most:
                file = Path(folder) / f"{count}.ply"
                torus(count).export(file)
                times += [time_point(file, pixels, machine) for pixels in PIXELS]
                if machine.name == "cpu" and count in MEMORY_TRIANGLES:
                    memory += measure_memory(file)
                file.unlink()
    return times, memory


def torus(triangles: int) -> trimesh.Trimesh:
    """About as many triangles, nearly square quads: 14 mm from axis to tube, a tube of 6 mm, seen from the side."""
    minor = max(4, round((triangles * 6 / (2 * 14)) ** 0.5))
    mesh = trimesh.creation.torus(14, 6, major_sections=round(triangles / (2 * minor)), minor_sections=minor)
    mesh.apply_transform(trimesh.transformations.rotation_matrix(1.0, (1.0, 0.3, 0.0)))
    return mesh


def scene_of(file: Path, pixels: int) -> xsim.Scene:
    return station([{"mesh": file.name, "mesh_unit": "mm", "material": "Al"}], MONO, pixels, file.parent)


def triangles_of(scene: xsim.Scene) -> int:
    return len(scene.mesh_of(scene.body[0]).faces)


def time_point(file: Path, pixels: int, machine: Backend) -> dict[str, float]:
    """Median milliseconds of an image."""
    scene = scene_of(file, pixels)
    work = signal_work(scene, machine)
    work()
    spent: list[float] = []
    while len(spent) < 3 or (sum(spent) < TURN_S and len(spent) < CALLS):
        start = time.perf_counter()
        work()
        spent.append(time.perf_counter() - start)
    point = {"triangles": triangles_of(scene), "pixels": pixels**2, "ms": 1e3 * median(spent), "calls": len(spent)}
    print(f"{point['triangles']:>9} triangles {pixels:>5}^2 {point['ms']:10.2f} ms", flush=True)
    return point


def measure_memory(file: Path) -> list[dict[str, float]]:
    """Working sets of one mesh, from a fresh process whose allocator gives back what is freed."""
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    command = [sys.executable, __file__, "--memory-of", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    points: list[dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    for point in points:
        point["share_of_bar"] = point["bytes"] / allowed(point)
        side = round(point["pixels"] ** 0.5)
        print(f"{point['triangles']:>9} triangles {side:>5}^2 {point['bytes'] / 2**20:10.1f} MiB", flush=True)
    return points


def memory_points(file: Path) -> list[dict[str, float]]:
    """Peak growth of the resident set over the loaded scene.

    An image of few pixels goes before: what the first image of a mesh leaves behind counts in full, what it needs for
    a moment does not.
    """
    machine = get_backend("cpu")
    scenes = [scene_of(file, pixels) for pixels in (WARM_PIXELS, *MEMORY_PIXELS)]
    gc.collect()
    loaded = resident("VmRSS")
    signal_work(scenes[0], machine)()
    kept = resident("VmRSS") - loaded
    points = []
    for scene in scenes[1:]:
        grown = peak(signal_work(scene, machine)) - loaded
        pixels = scene.detector.rows * scene.detector.columns
        points.append({"triangles": triangles_of(scene), "pixels": pixels, "bytes": grown, "kept_bytes": kept})
    return points


def peak(work: Callable[[], Any]) -> int:
    """Greatest resident set while it works [bytes]."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak starts again from here
    work()
    return resident("VmHWM")


def resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def fit(points: list[dict[str, float]], what: str, rows: bool = False) -> dict[str, float]:
    """what = a + b triangles + c pixels (+ d sqrt(triangles pixels)); each point gets its share that is off.

    The greatest share is the least there is: a linear programme.
    """
    names = ("constant", "per_triangle", "per_pixel", "per_row")[: 4 if rows else 3]
    value = np.array([point[what] for point in points])
    sizes = np.array([[1.0, point["triangles"], point["pixels"]] for point in points])
    terms = np.column_stack([sizes, np.sqrt(sizes[:, 1] * sizes[:, 2])])[:, : len(names)]
    scale = terms.max(axis=0)
    relative, one = terms / scale / value[:, None], np.ones((len(points), 1))
    bounds = np.concatenate([one[:, 0], -one[:, 0]])  # relative x - 1 <= e and 1 - relative x <= e
    found = linprog([0.0] * len(names) + [1.0], np.block([[relative, -one], [-relative, -one]]), bounds)
    residual = relative @ found.x[:-1] - 1.0
    for point, off in zip(points, residual, strict=True):
        point["residual"] = float(off)
    solution = dict(zip(names, map(float, found.x[:-1] / scale), strict=True))
    return solution | {"greatest_residual": float(np.abs(residual).max())}


def allowed(point: dict[str, float]) -> float:
    return BYTES_BAR["triangle"] * point["triangles"] + BYTES_BAR["pixel"] * point["pixels"]


def print_fit(name: str, found: dict[str, float], unit: str, factor: float, small: str) -> None:
    print(f"{name} = {found['constant']:.3g} {unit} + {factor * found['per_triangle']:.3g} {small} a triangle"
          f" + {factor * found['per_pixel']:.3g} {small} a pixel"
          + (f" + {factor * found['per_row']:.3g} {small} a row" if "per_row" in found else ""))  # fmt: skip


def print_residuals(points: list[dict[str, float]]) -> None:
    """How far the fit is off the measured times, triangles down and pixels across."""
    print(" " * 9 + "".join(f"{side:>7}^2" for side in PIXELS))
    for count in dict.fromkeys(point["triangles"] for point in points):
        print(f"{count:>9}" + "".join(f"{p['residual']:>+9.0%}" for p in points if p["triangles"] == count))
    greatest = max(abs(point["residual"]) for point in points)
    print(f"greatest residual {greatest:.0%} (bar {RESIDUAL_BAR:.0%})")


if __name__ == "__main__":
    sys.exit(main())
