"""Time of each stage of one 1024 x 1024 polychromatic image beside its floor.

    python benchmarks/first_image.py [--backend cpu] [--repeats 7] [--save]

The floor of a stage is the operations and bytes that must be done, over what this machine was measured to do in the
same run: float32 multiply-adds of a matrix product, bytes of a copy. No program gets below it.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import trimesh

import xsim
from xsim.absorption import beam_weights, expected_signal, exposure_mas
from xsim.backend import get_backend
from xsim.light_spread import light_spread
from xsim.projector import project
from xsim.scintillator import draw_light, spread_light
from xsim.sensor import readout_of, record

EXP_OPERATIONS = 18  # of kernels/math.h's exponential
PHILOX_OPERATIONS = 10 * 12  # ten rounds of two wide products, four exclusive ors, two key steps
POISSON_OPERATIONS = PHILOX_OPERATIONS + 60  # one accepted attempt without its logarithms

SPHERE = """
[source]
voltage_kv = 120
filters = [{ material = "Al", thickness_mm = 2.0 }]
[geometry]
sod_mm = 500
sdd_mm = 1000
[acquisition]
target_gv = 0.7
[detector]
preset = "generic-gos-200um"
[[body]]
mesh = "sphere.stl"
mesh_unit = "mm"
material = "Al"
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/first_image-MACHINE.json")
    options = parser.parse_args()
    machine = get_backend(options.backend)
    limits = measure_limits(machine)
    result = {"machine": machine_name(machine), "xsim": xsim.__version__, "limits": limits, "scenes": {}}
    with tempfile.TemporaryDirectory() as folder:
        mesh = trimesh.creation.icosphere(6, radius=20.0)
        mesh.export(Path(folder) / "sphere.stl")
        (Path(folder) / "sphere.toml").write_text(SPHERE)
        for name, scene in {
            "step chart": xsim.load_scene("phantom:step-chart"),
            f"sphere of {len(mesh.faces)} triangles": xsim.load_scene(Path(folder) / "sphere.toml"),
        }.items():
            result["scenes"][name] = rows = measure(scene, machine, options.repeats, limits)
            print_table(name, rows)
    print(f"machine: {result['machine']}; {limits['gflops']:.0f} Gflop/s float32, {limits['gbytes_s']:.1f} GB/s copied")
    if options.save:
        slug = "".join(c if c.isalnum() else "-" for c in result["machine"].lower()).strip("-")
        target = Path(__file__).parent / "results" / f"first_image-{slug}.json"
        target.write_text(json.dumps(result, indent=1) + "\n")
        print(f"written: {target}")


def machine_name(machine) -> str:
    if machine.name == "cuda":
        return machine.xp.cuda.runtime.getDeviceProperties(0)["name"].decode()
    info = Path("/proc/cpuinfo")
    models = [x.split(":")[1].strip() for x in info.read_text().splitlines() if x.startswith("model name")]
    return f"{models[0] if models else platform.processor()}, {machine.threads} threads, x86-64-{machine.level}"


def timed(machine, work) -> float:
    if machine.name == "cuda":
        machine.xp.cuda.Device().synchronize()
    start = time.perf_counter()
    work()
    if machine.name == "cuda":
        machine.xp.cuda.Device().synchronize()
    return time.perf_counter() - start


def median(machine, work, repeats: int) -> float:
    work()
    return statistics.median(timed(machine, work) for _ in range(repeats))


def measure_limits(machine) -> dict[str, float]:
    """Float32 operations and bytes per second that a good library gets from this machine now."""
    xp = machine.xp
    n = 2048
    a = xp.ones((n, n), np.float32)
    source = xp.ones(1 << 26, np.float32)
    target = xp.empty_like(source)
    product = median(machine, lambda: a @ a, 3)
    copy = median(machine, lambda: xp.copyto(target, source), 5)
    return {"gflops": 2 * n**3 / product / 1e9, "gbytes_s": 2 * source.nbytes / copy / 1e9}


def measure(scene, machine, repeats: int, limits: dict[str, float]) -> dict[str, dict[str, float]]:
    """Median milliseconds of each stage and of the whole, with floors."""
    kernels = light_spread(scene.detector)
    radius = kernels.margin[0]
    view = scene.view.with_margin(radius, radius)
    weights = beam_weights(scene, scene.view, exposure_mas(scene, scene.view))
    found = project(scene, view, machine)
    expected = expected_signal(scene, view, weights, machine)
    signal, variance = expected.signal, expected.variance
    light = draw_light(signal, variance, 1, 0, machine)
    spread, mean = spread_light(light, kernels, machine), spread_light(signal, kernels, machine)
    readout, valid = readout_of(scene.detector, float(mean.max())), machine.xp.ones(mean.shape, np.uint8)
    pixels, inner, taps = view.rows * view.columns, spread.size, kernels.kernels[0].size
    materials, bins = len(found.materials), int((weights.signal_kev > 0).sum())
    covered = int((found.lengths_mm > 0).sum())
    stages = {
        # every open pixel's signal, variance and label are written; behind a body, every energy is attenuated
        "projection to expected signal": (
            lambda: expected_signal(scene, view, weights, machine),
            covered / materials * bins * (2 * materials + EXP_OPERATIONS + 4),
            pixels * 10,
        ),
        "quanta": (lambda: draw_light(signal, variance, 1, 0, machine), pixels * POISSON_OPERATIONS, 12 * pixels),
        "light spread, twice": (
            lambda: (spread_light(light, kernels, machine), spread_light(signal, kernels, machine)),
            2 * 2 * inner * taps,
            16 * inner,
        ),
        "read-out": (
            lambda: record(spread, mean, valid, readout, 1, 0, machine),
            inner * (PHILOX_OPERATIONS + 30),
            inner * 25,
        ),
        "whole image, on the host": (lambda: xsim.simulate(scene, 1, machine.name), 0, 0),
    }
    rows = {}
    for name, (work, operations, moved) in stages.items():
        floor = max(operations / limits["gflops"] / 1e9, moved / limits["gbytes_s"] / 1e9)
        rows[name] = {"ms": 1e3 * median(machine, work, repeats), "floor_ms": 1e3 * floor}
    rows["whole image, on the host"]["floor_ms"] = sum(r["floor_ms"] for r in rows.values())
    # beside the chain: path lengths alone, as xsim.path_lengths gives them
    rows["path lengths"] = {
        "ms": 1e3 * median(machine, lambda: project(scene, view, machine), repeats),
        "floor_ms": 1e3 * pixels * (4 * materials + 2) / limits["gbytes_s"] / 1e9,
    }
    return rows


def print_table(name: str, rows: dict[str, dict[str, float]]) -> None:
    print(f"\n{name}, 1024 x 1024\n{'stage':26} {'ms':>8} {'floor':>8} {'ratio':>7}")
    for stage, row in rows.items():
        print(f"{stage:26} {row['ms']:8.1f} {row['floor_ms']:8.1f} {row['ms'] / row['floor_ms']:7.1f}")


if __name__ == "__main__":
    main()
