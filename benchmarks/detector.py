"""Time of the detector stage, X-rays to grey values, of a 512 x 512 frame: one depth class and four.

    python benchmarks/detector.py [--backend cpu] [--repeats 41] [--save]

The stage is what each further frame of a scene costs: quanta drawn, light spread, read-out. Beside it the draws, the
multiply-adds of the spread and the bytes that must move, and the floor that they make on this machine (as in
``first_image.py``). Bars: 40 ms for the single model on two cores, three times that of the single model for four
classes. No Fourier transform is taken: the spread is a sum over the kernel.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from first_image import PHILOX_OPERATIONS, POISSON_OPERATIONS, machine_name, measure_limits, median
from store import save

import xsim
from xsim.backend import Backend, get_backend
from xsim.radiograph import Exposure, expose
from xsim.scintillator import draw_light, spread_light
from xsim.sensor import record

SIDE = 512
SINGLE_BAR_MS, CLASSES_BAR = 40.0, 3.0
READ_OUT_OPERATIONS = PHILOX_OPERATIONS + 30
CASES: dict[str, dict[str, Any]] = {
    "single": {},
    "four depth classes": {"model": "cascade", "depth_classes": 4, "light_loss": 0.4},
    "four, and glare": {
        "model": "cascade", "depth_classes": 4, "light_loss": 0.4, "glare_share": 0.02, "glare_mm": 1.0,
    },
}  # fmt: skip


def main() -> int:
    parser = xsim.CommandParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--repeats", type=int, default=41)
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/detector-MACHINE.json")
    parser.set_defaults(run=run)
    return xsim.run_command(parser.prog, parser.parse_args())


def run(options: argparse.Namespace) -> None:
    machine = get_backend(options.backend)
    limits = measure_limits(machine)
    cases = {}
    for name, screen in CASES.items():
        cases[name] = measure(expose(scene_of(screen), machine), machine, options.repeats, limits)
        print_table(name, cases[name])
    single, four = (cases[name]["whole"]["ms"] for name in ("single", "four depth classes"))
    print(f"single {single:.1f} ms (bar {SINGLE_BAR_MS:g}), four classes {four / single:.2f} times that "
          f"(bar {CLASSES_BAR:g})")  # fmt: skip
    print(f"{machine_name(machine)}; {limits['gflops']:.0f} Gflop/s float32, {limits['gbytes_s']:.1f} GB/s copied")
    if options.save:
        result = {"xsim": xsim.__version__, "load": os.getloadavg()[0], "limits": limits, "cases": cases}
        save("detector", machine_name(machine), result)


def scene_of(screen: dict[str, Any]) -> xsim.Scene:
    """An aluminium ball before the shipped panel, cut to a frame."""
    return xsim.scene_from_dict({
        "source": {"voltage_kv": 120.0, "filters": [{"material": "Al", "thickness_mm": 2.0}]},
        "geometry": {"sod_mm": 500.0, "sdd_mm": 1000.0},
        "acquisition": {"target_gv": 0.7},
        "detector": {"preset": "generic-gos-200um", "rows": SIDE, "columns": SIDE, "scintillator": screen},
        "body": [{"shape": "sphere", "radius_mm": 15.0, "material": "Al"}],
    })  # fmt: skip


def measure(exposure: Exposure, machine: Backend, repeats: int, limits: dict[str, float]) -> dict[str, Any]:
    """Median milliseconds of each stage and of the whole, with what was counted and the floor."""
    light = draw_light(exposure.signal, exposure.variance, 1, 0, machine)
    spread = spread_light(light, exposure.spread, machine)
    draws, inner = light.size, SIDE * SIDE
    work = {
        "quanta": lambda: draw_light(exposure.signal, exposure.variance, 1, 0, machine),
        "light spread": lambda: spread_light(light, exposure.spread, machine),
        "read-out": lambda: record(spread, exposure.mean_light, exposure.valid.copy(), exposure.readout, 1, 0, machine),
        "whole": lambda: exposure.images(1, 0),
    }
    counted = {
        "quanta": (draws, draws * POISSON_OPERATIONS, 12 * draws),
        "light spread": (0, spread_operations(exposure), 4 * draws + 4 * inner),
        "read-out": (inner, inner * READ_OUT_OPERATIONS, 26 * inner),
    }
    counted["whole"] = tuple(map(sum, zip(*counted.values(), strict=True)))
    rows = {}
    for name, (drawn, operations, moved) in counted.items():
        floor = max(operations / limits["gflops"] / 1e9, moved / limits["gbytes_s"] / 1e9)
        rows[name] = {"ms": 1e3 * median(machine, work[name], repeats), "floor_ms": 1e3 * floor, "draws": drawn,
                      "operations": operations, "bytes": moved}  # fmt: skip
    return rows


def spread_operations(exposure: Exposure) -> int:
    """Additions and products of the spread.

    Two a tap of the single model's sum; of classes, two additions and a product for four taps that mirror each other,
    and the sums of two rows; two a tap of the glare in each direction.
    """
    spread, inner = exposure.spread, SIDE * SIDE
    if len(spread.kernels) == 1:
        return 2 * inner * spread.kernels[0].size
    folded = sum(3 * (radius + 1) ** 2 + (radius + 1) * (1 + radius / 32) for radius in spread.radii.tolist())
    glare = 0 if spread.glare is None else 4 * len(spread.glare)
    return int(inner * (folded + glare))


def print_table(name: str, rows: dict[str, Any]) -> None:
    print(f"\n{name}, {SIDE} x {SIDE}")
    print(f"{'stage':14} {'ms':>8} {'floor':>8} {'ratio':>7} {'draws':>9} {'Mflop':>8} {'MB':>7}")
    for stage, row in rows.items():
        print(f"{stage:14} {row['ms']:8.1f} {row['floor_ms']:8.2f} {row['ms'] / row['floor_ms']:7.1f} {row['draws']:9} "
              f"{row['operations'] / 1e6:8.1f} {row['bytes'] / 1e6:7.1f}")  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
