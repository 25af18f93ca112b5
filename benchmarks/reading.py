"""Crops per second that a core reads from a store, beside what their bytes must cost.

    python benchmarks/reading.py [--samples 128] [--turns 5] [--store corpus.zarr] [--save]

(noisy, clean) pairs of 128 x 128, 16 crops of each sample of 512 x 512, flips and turns, batches of 64, by CorpusStream
in one process and on one thread. Each turn reads an epoch in each way, one after the other; files are in the page
cache. Time of the wall and of the processor stand side by side: they differ where others want the core too. The floor
is the blosc calls that decode each image once, into memory that is there, and a copy of each crop's bytes.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from corpus_job import write_job
from first_image import machine_name
from numcodecs import blosc
from store import save
from torch.utils.data import DataLoader

import datagen
import xsim
from datagen.torch_data import CorpusDataset, CorpusStream
from xsim.backend import get_backend

BAR = 2500.0
CROP, PER_SAMPLE, BATCH = 128, 16, 64
PAIR = ("noisy", "clean")


def main() -> int:
    parser = xsim.CommandParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, help="a corpus of 512 x 512 samples; default: made for this")
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/reading-MACHINE.json")
    parser.set_defaults(run=run)
    return xsim.run_command(parser.prog, parser.parse_args())


def run(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    blosc.use_threads = False
    with tempfile.TemporaryDirectory() as name:
        out = options.store or made(Path(name), options.samples)
        view = datagen.open_corpus(out, cache_bytes=0).subset()
        ways = ways_to_read(view)
        turns: list[dict[str, tuple[float, float]]] = []
        for turn in range(options.turns):
            turns.append({name: rates(read, turn) for name, read in ways.items()})
            print("  ".join(f"{name} {wall:.0f}/s" for name, (wall, _) in turns[-1].items()), flush=True)
        result = {
            name: {"wall": median(each[name][0] for each in turns), "cpu": median(each[name][1] for each in turns)}
            for name in ways
        }
        size = stored_bytes(view) / len(view)
    tell(result, size)
    if options.save:
        fields = {"xsim": xsim.__version__, "load": os.getloadavg()[0], "samples": len(view), "bytes_a_sample": size}
        save("reading", machine_name(get_backend("cpu")), {**fields, "crops_s": result, "turns": turns})


def made(folder: Path, samples: int) -> Path:
    corpus = write_job(folder, samples)
    datagen.generate(corpus, folder / "out.zarr", workers=2, progress=False)
    return folder / "out.zarr"


def ways_to_read(view: datagen.CorpusView) -> dict[str, Callable[[int], int]]:
    """Functions from an epoch to the number of crops read."""
    options: dict[str, Any] = {"crop": CROP, "crops_per_sample": PER_SAMPLE, "augment": True}
    pairs = CorpusStream(view, **options, batch=BATCH, images=PAIR)
    checked = CorpusStream(view, **options, batch=BATCH)
    single = CorpusStream(view, **options, images=PAIR)
    random = CorpusDataset(view, **options, images=PAIR)

    def stream(of: CorpusStream) -> Callable[[int], int]:
        def read(epoch: int) -> int:
            of.set_epoch(epoch)
            return sum(len(batch["noisy"]) for batch in of)

        return read

    def collated(epoch: int) -> int:
        single.set_epoch(epoch)
        return sum(len(batch["noisy"]) for batch in DataLoader(single, batch_size=BATCH))

    def picked(epoch: int) -> int:
        random.set_epoch(epoch)
        return sum(len(random[item]["noisy"]) for item in range(epoch % 7, len(random), len(random) // 100))

    return {
        "stream": stream(pairs),
        "stream with valid": stream(checked),
        "stream, collated by torch": collated,
        "random access": picked,
        "whole shards by zarr": lambda _: by_zarr(view),
        "floor: decode and copy": floor(view),
    }


def rates(read: Callable[[int], int], turn: int) -> tuple[float, float]:
    """Crops per second of the wall and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    crops = read(turn)
    return crops / (time.perf_counter() - wall), crops / (time.process_time() - cpu)


def by_zarr(view: datagen.CorpusView) -> int:
    """All noisy and clean images, and no crops of them."""
    for record in view.reader.records:
        for name in PAIR:
            view.reader.array(name)[record["first"] : record["first"] + record["samples"]]
    return PER_SAMPLE * len(view)


def floor(view: datagen.CorpusView) -> Callable[[int], int]:
    chunks = [
        (name, chunk) for record in view.reader.records for name in PAIR for chunk in chunks_of(view, record, name)
    ]
    into = {name: np.empty(view.shape, view.reader.array(name).dtype) for name in PAIR}
    crop = np.ones((CROP, CROP), np.float32)
    batch = np.empty((BATCH, CROP, CROP), np.float32)

    def read(_: int) -> int:
        for name, chunk in chunks:
            blosc.decompress(chunk, into[name])
        for place in range(len(PAIR) * PER_SAMPLE * len(view)):
            batch[place % BATCH] = crop
        return PER_SAMPLE * len(view)

    return read


def chunks_of(view: datagen.CorpusView, record: dict[str, Any], name: str) -> list[bytes]:
    """Compressed images of a shard, without their checksums."""
    (file,) = (each for each in record["files"] if each.startswith(f"{record['format']}/{name}/c/"))
    content = view.reader.file(file)
    array = view.reader.array(name)
    index = np.frombuffer(content[-4 - 16 * array.shards[0] : -4], "<u8").reshape(-1, 2)[: record["samples"]]
    return [content[start : start + length - 4] for start, length in index.tolist()]


def stored_bytes(view: datagen.CorpusView) -> int:
    """Of noisy and clean."""
    files = {name: facts for record in view.reader.records for name, facts in record["files"].items()}
    return sum(facts["bytes"] for name, facts in files.items() if name.split("/")[1] in PAIR)


def tell(result: dict[str, dict[str, float]], size: float) -> None:
    print(f"\n{size / 1e3:.0f} kB of noisy and clean a sample; crops per second (bar {BAR:g}):")
    print(f"  {'':<28} {'wall':>8} {'processor':>10}")
    for name, each in result.items():
        print(f"  {name:<28} {each['wall']:8.0f} {each['cpu']:10.0f}")


if __name__ == "__main__":
    raise SystemExit(main())
