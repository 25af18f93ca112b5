"""Several processes train one network as one process with the same batches does."""

from __future__ import annotations

import csv
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
from test_datagen_valid import bad_corpus
from tiny_corpus import tiny_corpus

import datagen

torch = pytest.importorskip("torch")

from denoise.batches import Batches  # noqa: E402
from denoise.checkpoint import read_checkpoint  # noqa: E402
from denoise.ranks import Ranks  # noqa: E402
from denoise.run_state import RunFolder  # noqa: E402
from denoise.task import prepared, task_of  # noqa: E402
from denoise.train import Run  # noqa: E402
from xsim import ModelError  # noqa: E402

SETTINGS = {"steps": 10, "batch": 8, "crop": 16, "learning_rate": 4e-3, "network.features": 8}


class Both:
    """The batches of two processes, one after the other in one batch."""

    def __init__(self, views: list[datagen.CorpusView], images: tuple[str, ...]) -> None:
        shared: dict[str, Any] = {"batch": 4, "crop": 16, "seed": 0, "world_size": 2}
        self.parts = [Batches(views, images, (), rank=rank, **shared) for rank in range(2)]

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        for pair in zip(*self.parts, strict=True):
            yield {name: torch.cat([each[name] for each in pair]) for name in pair[0]}


def by_torchrun(arguments: list[str]) -> list[subprocess.CompletedProcess[str]]:
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "denoise.cli"]
    return [subprocess.run([*line, *arguments], capture_output=True, text=True, timeout=120, check=False)]


def by_hand(arguments: list[str]) -> list[subprocess.CompletedProcess[str]]:
    """As torchrun starts them, without the process that watches over them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    line, pipes = [sys.executable, "-m", "denoise.cli", *arguments], {"stdout": PIPE, "stderr": PIPE, "text": True}
    environments = [{**os.environ, **place, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]
    jobs = [subprocess.Popen(line, env=each, **pipes) for each in environments]
    texts = [job.communicate(timeout=120) for job in jobs]
    return [subprocess.CompletedProcess(line, job.returncode, *told) for job, told in zip(jobs, texts, strict=True)]


@pytest.mark.parametrize("start", [by_hand, pytest.param(by_torchrun, marks=pytest.mark.slow)])
def test_two_processes_train_as_one_with_their_batches(tmp_path: Path, start: Any) -> None:
    """The mean is over the valid pixels of all: a mean of the processes' means would be another one."""
    corpus, two = tmp_path / "bad.zarr", tmp_path / "two.safetensors"
    datagen.generate(bad_corpus(tmp_path), corpus, progress=False)
    told = [part for name, value in SETTINGS.items() for part in ("--set", f"{name}={value}")]
    jobs = start(["train", str(corpus), "-o", str(two), *told])
    assert all(job.returncode == 0 for job in jobs), [job.stderr for job in jobs]
    assert sum(job.stdout.count("written") for job in jobs) == 1
    task = prepared(task_of(corpus, "noise_cnn", SETTINGS))
    run = Run(task, Ranks(torch.device("cpu")))
    first = [each.clone() for each in run.averaged.parameters()]
    run.batches = Both(task.views, task.method.images)
    asked = next(iter(run.batches))["valid"].float().mean(dim=(1, 2, 3))
    assert abs(float(asked[:4].mean() - asked[4:].mean())) > 0.05, "no test of the mean"
    run.fit(RunFolder(tmp_path / "one.safetensors"))
    weights, configuration = read_checkpoint(two)
    assert configuration["training"]["processes"] == 2
    moved = sum(float((each - old).norm()) ** 2 for each, old in zip(run.averaged.parameters(), first, strict=True))
    apart = sum(float((each - weights[name]).norm()) ** 2 for name, each in run.averaged.state_dict().items())
    assert apart**0.5 < 1e-3 * moved**0.5
    rows = list(csv.DictReader((tmp_path / "two.csv").read_text().splitlines()))
    assert [float(row["train_loss"]) for row in rows] == pytest.approx(
        [row["train_loss"] for row in run.journal.rows], rel=1e-4
    )


def test_a_batch_that_cannot_be_shared_is_told(tmp_path: Path) -> None:
    datagen.generate(tiny_corpus(tmp_path, scenes=12), tmp_path / "tiny.zarr", progress=False)
    task = task_of(tmp_path / "tiny.zarr", "noise_cnn", {**SETTINGS, "batch": 7})
    with pytest.raises(ModelError, match="batch 7 does not divide by 2 processes"):
        Run(task, AnyRanks(torch.device("cpu"), 1, 2))


class AnyRanks(Ranks):
    """Without company."""

    def follow(self, values: Any) -> None:
        pass
