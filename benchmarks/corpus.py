"""Samples per second of a corpus, beside the same job done with gVirtualXRay, NumPy, SciPy and zarr.

    python benchmarks/corpus.py [--samples 256] [--turns 3] [--no-peer] [--save]

Distinct scenes of eight pebbles (1280 triangles each, posed anew, of other materials) before a plate, 512 x 512,
120 kV, light spread, Poisson and read noise, compressed store. A turn makes the corpus with one worker and with two,
starts of processes included; the peer takes its turn between, on both cores. Stages are timed within one process. On a
GPU (``--backend cuda``) samples left in device memory are counted beside: no store, no copies.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from corpus_job import PIXELS, SHARD, triangles, write_job, write_peer_job
from corpus_stages import STAGES, stage_seconds
from first_image import machine_name
from shard_queue import QueueCosts, simulate_queue
from store import save

import datagen
import xsim
from xsim.backend import get_backend

BAR, AIM, RATIO_BAR, DEVICE_BAR = 25.0, 40.0, 30.0, 2000.0
PEER_SAMPLES = 6
BEYOND = (4, 16, 64, 256, 1000)


def main() -> int:
    parser = xsim.CommandParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers-python", type=Path, default=Path(".venv-peers/bin/python"))
    parser.add_argument("--backend", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/corpus-MACHINE.json")
    parser.set_defaults(run=run)
    return xsim.run_command(parser.prog, parser.parse_args())


def run(options: argparse.Namespace) -> None:
    machine = get_backend(options.backend)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus = write_job(folder, options.samples)
        print(f"{options.samples} samples of {PIXELS} x {PIXELS}, {triangles(folder)} triangles")
        turns = [turn(options, corpus, folder) for _ in range(options.turns)]
        stages = stage_seconds(corpus, folder / "stages.zarr", options.backend)
        result = summed(turns) | {"stages_ms": stages, "bytes_a_sample": bytes_a_sample(folder / "out.zarr", options)}
        result["queue"] = beyond(folder / "out.zarr", turns)
        result["all_bins_samples_s"] = all_bins(options, folder)
        if machine.name == "cuda":
            result["device_samples_s"] = on_device(corpus, machine, 256)
    tell(result)
    if options.save:
        fields = {"xsim": xsim.__version__, "load": os.getloadavg()[0], "samples": options.samples}
        save("corpus", machine_name(machine), fields | result)


def turn(options: argparse.Namespace, corpus: Path, folder: Path) -> dict[str, float]:
    """Samples per second of one turn, by who made them."""
    found = {}
    for workers in (1, 2):
        shutil.rmtree(folder / "out.zarr", ignore_errors=True)
        start = time.perf_counter()
        datagen.generate(corpus, folder / "out.zarr", workers=workers, backend=options.backend, progress=False)
        found[f"{workers} workers"] = options.samples / (time.perf_counter() - start)
    if not options.no_peer:
        found |= peer_turn(options, corpus, folder)
    print("  ".join(f"{name} {rate:.2f}/s" for name, rate in found.items()), flush=True)
    return found


def peer_turn(options: argparse.Namespace, corpus: Path, folder: Path) -> dict[str, float]:
    """The peer in one process that renders on all cores, and in two that render on one each."""
    reference = write_peer_job(corpus, folder / "job.npz", PEER_SAMPLES)
    found = {}
    for processes in (1, 2):
        threads = {"LP_NUM_THREADS": "1"} if processes > 1 else {}
        told = run_peers(options.peers_python, folder, processes, threads)
        if not told:
            return {}
        seconds = max(float(each[0]) + float(each[1]) for each in told)
        found[f"gVirtualXRay, {processes} processes"] = processes * PEER_SAMPLES / seconds
    compare(folder, reference)
    return found


def run_peers(python: Path, folder: Path, processes: int, threads: dict[str, str]) -> list[list[str]]:
    command = [str(python), "-W", "ignore", str(Path(__file__).with_name("corpus_peer.py")), str(folder / "job.npz")]
    started = []
    for k in range(processes):
        target = folder / f"peer{k}.zarr"
        shutil.rmtree(target, ignore_errors=True)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        try:
            started.append(subprocess.Popen([*command, str(target)], env={**os.environ, **threads}, **pipes))
        except OSError as problem:
            print(f"gVirtualXRay left out ({problem.strerror}) make bench installs it")
            return []
    lines = [line.split() for each in started for line in each.communicate()[0].splitlines()]
    told = [line[1:] for line in lines if line[:1] == ["RESULT"]]
    if len(told) < processes:
        print("gVirtualXRay left out (it gave no result)")
    return told if len(told) == processes else []


def compare(folder: Path, reference: np.ndarray) -> None:
    """Whether the peer made the same scene: mean difference of the clean images of the first, in open beams."""
    import zarr

    clean = zarr.open(folder / "peer0.zarr", mode="r")["clean"][0]
    with np.load(folder / "job.npz", allow_pickle=False) as job:
        scale = float(job["gain_adu_per_quantum"]) * job["quanta"][0]
        share = (clean - float(job["offset_adu"])) / scale
    print(f"first scene: mean |gVirtualXRay - xsim| = {np.abs(share - reference).mean():.4f} of the open beam")


def summed(turns: list[dict[str, float]]) -> dict[str, Any]:
    """Medians of the turns, and the ratio of ours to the best of the peer's within each."""
    rates = {name: median(each[name] for each in turns) for name in turns[0]}
    ratios = [each["2 workers"] / max(peers) for each in turns
              if (peers := [rate for name, rate in each.items() if name.startswith("gV")])]  # fmt: skip
    return {"turns": turns, "samples_s": rates, "ratio": median(ratios) if ratios else None}


def bytes_a_sample(out: Path, options: argparse.Namespace) -> float:
    return sum(file.stat().st_size for file in out.rglob("*") if file.is_file()) / options.samples


def beyond(out: Path, turns: list[dict[str, float]]) -> dict[str, float]:
    """Samples per second of more workers by the shard queue, each with a core and disk as here."""
    shard_s = SHARD / median(each["1 workers"] for each in turns)
    parent = parent_seconds(out)
    costs = QueueCosts((0.9 * shard_s, shard_s, 1.1 * shard_s), parent, start_s=1.5)
    rates = {}
    for workers in BEYOND:
        shards = 200 * workers
        rates[str(workers)] = shards * SHARD / simulate_queue(costs, workers, shards)
    return rates


def parent_seconds(out: Path) -> float:
    """What the job's own process does for each shard: look for its record, count what it says."""
    from datagen.commit import read_commits

    start = time.perf_counter()
    count = sum(1 for _ in read_commits(out))
    return (time.perf_counter() - start) / count


def all_bins(options: argparse.Namespace, folder: Path) -> float:
    """Samples per second of two workers with all bins of the spectrum."""
    samples = 2 * SHARD
    corpus = write_job(folder, samples, "all")
    start = time.perf_counter()
    datagen.generate(corpus, folder / "bins.zarr", workers=2, backend=options.backend, progress=False)
    return samples / (time.perf_counter() - start)


def on_device(corpus: Path, machine: Any, samples: int) -> float:
    """Distinct samples per second left in the memory of the device, drawing of scenes included."""
    from xsim.radiograph import expose

    known = datagen.load_corpus(corpus)
    expose(datagen.draw_scene(known, 0)[0].scene, machine).images(0)
    machine.synchronize()
    start = time.perf_counter()
    for index in range(samples):
        expose(datagen.draw_scene(known, index)[0].scene, machine).images(index)
    machine.synchronize()
    return samples / (time.perf_counter() - start)


def tell(result: dict[str, Any]) -> None:
    rates = result["samples_s"]
    print(f"\n{rates['1 workers']:.1f} samples/s with one worker, {rates['2 workers']:.1f} with two "
          f"(bar {BAR:g}, aim {AIM:g}); {result['all_bins_samples_s']:.1f} with all bins")  # fmt: skip
    if result["ratio"]:
        print(f"{result['ratio']:.1f} times gVirtualXRay (bar {RATIO_BAR:g})")
    if "device_samples_s" in result:
        print(f"{result['device_samples_s']:.0f} samples/s in device memory (bar {DEVICE_BAR:g})")
    total = sum(result["stages_ms"].values())
    for stage in STAGES:
        spent = result["stages_ms"][stage]
        print(f"  {stage:<34} {spent:7.2f} ms a sample  {100 * spent / total:5.1f} %")
    print(f"  {result['bytes_a_sample'] / 1e3:.0f} kB a sample in the store")
    print(
        "more workers, by the queue of shards: "
        + ", ".join(f"{n}: {rate:.0f}/s" for n, rate in result["queue"].items())
    )


if __name__ == "__main__":
    raise SystemExit(main())
