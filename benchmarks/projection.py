"""Projection against the peers, on the same scenes in one run.

    python benchmarks/projection.py [--peers-python .venv-peers/bin/python] [--turns 5] [--save]

From triangles or voxels in memory to one image of the energy that reaches each pixel in memory; triangles as they are,
no analytic substitute, all spectrum bins; xsim's few energies stand beside, against its own image of all bins. xsim and
a peer take turns, so that a ratio is of the same minutes; trees, fits, uploads and first images are left out on both
sides. Images are compared with the exact one. `make bench` makes the
peers' environment; what is not installed or does not run is told and left out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from cases import Case, mesh_cases, voxel_cases
from first_image import machine_name
from ours import few_work, open_beam, scene_of, signal_work
from peer import turn
from peer_process import PeerError, PeerProcess
from store import save

import xsim
from xsim.backend import Backend, get_backend


def main() -> int:
    everything = mesh_cases() + voxel_cases()
    parser = xsim.CommandParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers-python", type=Path, default=Path(".venv-peers/bin/python"))
    parser.add_argument("--backend", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--budget", type=float, default=60.0, help="seconds after which a pair takes no further turn")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds after which a peer is ended")
    parser.add_argument("--cases", nargs="*", metavar="CASE", help=f"of {' '.join(case.key for case in everything)}")
    parser.add_argument("--peers", nargs="*", metavar="PEER", help="only these")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/projection-MACHINE.json")
    options = parser.parse_args()
    unknown = set(options.cases or ()) - {case.key for case in everything}
    if unknown:
        parser.error(f"unknown case {sorted(unknown)[0]!r} (there is none of that name)")
    options.chosen = [case for case in everything if not options.cases or case.key in options.cases]
    options.run = run
    return xsim.run_command(parser.prog, options)


def run(options: argparse.Namespace) -> None:
    machine = get_backend(options.backend)
    rows = []
    for case in options.chosen:
        rows.append(measure(case, machine, options))
        print_row(rows[-1])
    print(f"machine: {machine_name(machine)}; load {os.getloadavg()[0]:.1f}")
    if options.save:
        fields = {"xsim": xsim.__version__, "load": os.getloadavg()[0], "turns": options.turns, "rows": rows}
        save("projection", machine_name(machine), fields)


def measure(case: Case, machine: Backend, options: argparse.Namespace) -> dict[str, Any]:
    """One case: ours alone for its image, then a pair with each peer."""
    folder = Path(tempfile.mkdtemp())
    try:
        row: dict[str, Any] = {"case": case.key, "title": case.title, "pixels": case.pixels, "voxels": case.voxels,
                               "triangles": sum(len(body["mesh"].faces) for body in case.bodies()),
                               "bins": len(case.beam[0]), "ours": {}, "peers": {}}  # fmt: skip
        work, row["ours"] = prepare(case, folder, machine)
        file = case.write(folder)
        for name in case.peers:
            if not options.peers or name in options.peers:
                row["peers"][name] = pair(work, name, case, file, options)
        turns = [spent for peer in row["peers"].values() for spent in peer.get("ours_ms", ())]
        if work and not turns:
            turns = [turn(work)[1] for _ in range(options.turns)]
        row["ours"]["ms"] = turns
        if work and row["bins"] > 1:
            row["few"] = few_beside(work, scene_of(case, folder), machine, options.turns)
        return row
    finally:
        shutil.rmtree(folder)


def prepare(case: Case, folder: Path, machine: Backend) -> tuple[Callable[[], np.ndarray] | None, dict[str, Any]]:
    """Our work on a case and the errors of its image; no work where xsim refuses the scene."""
    try:
        scene = scene_of(case, folder)
        work = signal_work(scene, machine)
        start = time.perf_counter()
        image = work()
        first = time.perf_counter() - start
        return work, {"first_ms": 1e3 * first, "errors": case.errors(image / open_beam(scene, machine))}
    except xsim.XsimError as problem:
        return None, {"problem": str(problem)}


def few_beside(work: Callable[[], np.ndarray], scene: xsim.Scene, machine: Backend, turns: int) -> dict[str, Any]:
    """Turns at few energies and at all bins, one after the other, and how far the images differ."""
    few, found = few_work(scene, machine)
    found["greatest_difference"] = float(np.abs(few().astype(np.float64) / work() - 1).max())
    pairs = [(turn(few)[1], turn(work)[1]) for _ in range(turns)]
    found["ms"], found["all_ms"] = [list(spent) for spent in zip(*pairs, strict=True)]
    return found


def pair(work: Callable[[], np.ndarray] | None, name: str, case: Case, file: Path,
         options: argparse.Namespace) -> dict[str, Any]:  # fmt: skip
    """Turns of a peer and of ours, one after the other, and the errors of the peer's image."""
    if not options.peers_python.exists():
        return {"problem": "not installed"}
    found: dict[str, Any] = {}
    try:
        with PeerProcess(options.peers_python, name, file, options.timeout) as peer:
            found |= peer.answer() | {"ms": [], "ours_ms": []}
            began = time.perf_counter()
            while len(found["ms"]) < options.turns and time.perf_counter() - began < options.budget:
                if work:
                    found["ours_ms"].append(turn(work)[1])
                found["ms"].append(peer.turn())
            found["errors"] = case.errors(peer.image())
    except PeerError as problem:
        return found | {"problem": str(problem)}
    if work:
        found["ratio"] = median(found["ms"]) / median(found["ours_ms"])
    return found


def print_row(row: dict[str, Any]) -> None:
    what = f"{row['voxels']}^3 voxels" if row["voxels"] else f"{row['triangles']} triangles"
    print(f"\n{row['title']}, {what}, {row['pixels']}^2")
    for name, found in {"xsim": row["ours"], **row["peers"]}.items():
        if found.get("problem"):
            print(f"  {name:18} {found['problem']}", flush=True)
            continue
        ratio = f"{found['ratio']:6.1f}x" if "ratio" in found else " " * 7
        wrong = "  ".join(f"{key} {value:.3g}" for key, value in found["errors"].items())
        print(f"  {name:18} {median(found['ms']):9.1f} ms {ratio}  {wrong}", flush=True)
    if few := row.get("few"):
        told = f"{few['nodes']} of {few['bins']} energies, off by {few['greatest_difference']:.2g}"
        faster = median(few["all_ms"]) / median(few["ms"])
        print(
            f"  {'xsim, few':18} {median(few['ms']):9.1f} ms {faster:6.1f}x  {told}; fitted in {few['fit_ms']:.0f} ms"
        )


if __name__ == "__main__":
    sys.exit(main())
