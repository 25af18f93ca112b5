"""Every restoration method on one frozen corpus, against the bars that were written before any was tuned.

python benchmarks/restoration.py [--systems noise_cnn,noise2self] [--seeds 3] [--quick] [--work DIR] [--save]

Stores, models and the figures of each run stay in the work folder; what is there is not made again. Without the
environment of denoisers.txt (--bm3d PYTHON) figures beside BM3D are left out and said to be. --save keeps results in
results/ and fills the tables of docs/restoration.md. Trainings have fixed numbers of steps, at most 5 minutes of two
idle cores.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from first_image import machine_name
from restoration import Corpora
from restoration.bars import Verdict, asked, judge
from restoration.document import write_document
from store import save

from xsim.backend import get_backend

SYSTEMS = (
    "noise_cnn", "detection", "streaming", "noise2self", "dngan", "deblur", "blindspot", "other_camera", "audit",
)  # fmt: skip
BM3D = Path(__file__).parents[1] / ".venv-denoisers" / "bin" / "python"


def main() -> int:
    options = parsed()
    corpora = Corpora.made(options.work, options.bm3d if options.bm3d.exists() else None)
    if corpora.python_bm3d is None:
        print(f"no BM3D ({options.bm3d} is not there; make .venv-denoisers/.ready): its figures are left out")
    for system in options.systems:
        for seed in range(options.seeds):
            measured(system, corpora, seed, options.quick)
    results = gathered(options.work, options.quick)
    verdicts = judge(results, torch.cuda.is_available())
    for verdict in verdicts:
        print(line(verdict))
    if options.save:
        told = {"quick": options.quick, "gpu": torch.cuda.is_available(), "systems": results}
        save("restoration", machine_name(get_backend("auto")), told)
        write_document()
    return int(any(verdict.holds is False for verdict in verdicts))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--systems", type=lambda text: text.split(","), default=list(SYSTEMS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="fewer steps and images: to see that all of it runs")
    parser.add_argument("--work", type=Path, default=Path("build/restoration"))
    parser.add_argument("--bm3d", type=Path, default=BM3D, metavar="PYTHON")
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    if unknown := set(options.systems) - set(SYSTEMS):
        parser.error(f"unknown system {sorted(unknown)[0]!r} (known: {', '.join(SYSTEMS)})")
    return options


def measured(system: str, corpora: Corpora, seed: int, quick: bool) -> None:
    """Run a system once, or find that it was; one file for each system, seed and pace."""
    target = corpora.work / f"figures-{system}-{seed}{'-quick' if quick else ''}.json"
    if target.exists():
        return
    start = time.monotonic()
    figures = import_module(f"restoration.{system}").run(corpora, seed, quick)
    if not set(figures) <= {*SYSTEMS, "decorrelation"}:
        figures = {system: figures}  # a module may measure two systems
    text = json.dumps({"seconds": round(time.monotonic() - start, 1), "systems": figures}, indent=1)
    partial = target.with_suffix(".partial")
    partial.write_text(text + "\n")
    partial.replace(target)
    print(f"{system}, seed {seed}: {time.monotonic() - start:.0f} s", flush=True)


def gathered(work: Path, quick: bool) -> dict[str, dict[str, Any]]:
    """results[system][seed][figure] of all that was measured."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(work.glob("figures-*.json")):
        name, _, seed = path.stem.removesuffix("-quick").removeprefix("figures-").rpartition("-")
        if path.stem.endswith("-quick") == quick and name in SYSTEMS:
            for system, figures in json.loads(path.read_text())["systems"].items():
                found.setdefault(system, {})[seed] = figures
    return found


def line(verdict: Verdict) -> str:
    bar, found = verdict.bar, verdict.found
    head = f"{bar['system']:<14} {bar['says']}: {asked(bar)}"
    if found is None:
        return f"{head}; not measured"
    told = f"{found.mean:.4g} +- {found.interval:.2g}, {found.least:.4g} to {found.greatest:.4g}"
    return f"{head}; {told}  {'holds' if verdict.holds else 'FAILS'}"


if __name__ == "__main__":
    sys.exit(main())
