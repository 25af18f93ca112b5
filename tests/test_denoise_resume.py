"""A training that is stopped and goes on gives the weights of one that was not; nothing is lost or mixed up."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tiny_corpus import tiny_corpus

import datagen

torch = pytest.importorskip("torch")

import toy_adversary  # noqa: E402

import denoise  # noqa: E402
from denoise import methods  # noqa: E402
from denoise.checkpoint import read_checkpoint  # noqa: E402
from denoise.cli import main  # noqa: E402

STEPS = 80
QUICK = {"steps": STEPS, "batch": 4, "crop": 16, "learning_rate": 4e-3, "network.features": 8}
ALWAYS = {"save_minutes": 0.0}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    datagen.generate(tiny_corpus(folder, scenes=12), folder / "tiny.zarr", progress=False)
    return folder / "tiny.zarr"


@pytest.fixture(scope="module")
def uninterrupted(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return denoise.train(corpus, out=tmp_path_factory.mktemp("whole") / "m.safetensors", progress=False, **QUICK)


@pytest.fixture
def adversary(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    monkeypatch.setitem(methods.HOMES, "toy", "toy_adversary")
    monkeypatch.setattr(toy_adversary, "STOP_AT", [])
    return toy_adversary.STOP_AT


def same_weights(one: Path, other: Path) -> bool:
    first, second = (read_checkpoint(path)[0] for path in (one, other))
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def command(corpus: Path, model: Path, settings: dict[str, Any]) -> list[str]:
    told = [part for name, value in settings.items() for part in ("--set", f"{name}={json.dumps(value)}")]
    return ["train", str(corpus), "-o", str(model), *told]


def killed(arguments: list[str], state: Path, wait_s: float) -> None:
    """Start a training and kill it, ``wait_s`` after it has written a state of its own."""
    before = state.stat().st_mtime_ns if state.exists() else 0
    job = subprocess.Popen([sys.executable, "-m", "denoise.cli", *arguments], stderr=subprocess.DEVNULL)
    try:
        while job.poll() is None and (not state.exists() or state.stat().st_mtime_ns == before):
            time.sleep(0.005)
        time.sleep(wait_s)
    finally:
        os.kill(job.pid, signal.SIGKILL)
    assert job.wait() == -signal.SIGKILL, "it was done before it could be killed"


def test_killed_training_goes_on_to_the_same_weights(corpus: Path, uninterrupted: Path, tmp_path: Path) -> None:
    model = tmp_path / "m.safetensors"
    killed(command(corpus, model, {**QUICK, **ALWAYS}), tmp_path / "m.run" / "state.safetensors", random.random() / 5)
    assert not model.exists()
    (tmp_path / "m.run" / ".state.safetensors.killed.safetensors").write_bytes(b"half of it")  # killed while it wrote
    assert main(["train", str(corpus), "-o", str(model), "--resume", "--set", "save_minutes=9"]) == 0
    assert same_weights(model, uninterrupted)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.csv", "m.safetensors"]

    def rows(path: Path) -> list[list[str]]:  # but for the seconds
        lines = [line.split(",") for line in path.with_suffix(".csv").read_text().splitlines()]
        return [[*line[:1], *line[2:]] for line in lines]

    assert rows(model) == rows(uninterrupted)


@pytest.mark.slow
def test_killed_again_and_again(corpus: Path, uninterrupted: Path, tmp_path: Path) -> None:
    """A chain of kill -9 at random moments, with a reader process; the weights are those of one run."""
    settings = {**QUICK, "workers": 1}
    whole = denoise.train(corpus, out=tmp_path / "whole.safetensors", progress=False, **settings)
    model, state = tmp_path / "m.safetensors", tmp_path / "m.run" / "state.safetensors"
    resume: list[str] = []
    for _ in range(4):
        killed([*command(corpus, model, {**settings, **ALWAYS}), *resume], state, random.random() / 20)
        resume = ["--resume"]
    assert main([*command(corpus, model, settings), "--resume"]) == 0
    assert same_weights(model, whole)


@pytest.mark.cuda
def test_a_gpu_goes_on_to_the_same_weights(corpus: Path, tmp_path: Path, adversary: list[int]) -> None:
    settings = {**QUICK, "steps": 12, "deterministic": True}
    whole = denoise.train(corpus, "toy", tmp_path / "whole.safetensors", device="cuda", progress=False, **settings)
    adversary[:] = [5]
    with pytest.raises(KeyboardInterrupt):
        denoise.train(corpus, "toy", tmp_path / "m.safetensors", device="cuda", progress=False, **settings, **ALWAYS)
    adversary.clear()
    denoise.train(corpus, out=tmp_path / "m.safetensors", resume=True, device="cuda", progress=False)
    assert same_weights(tmp_path / "m.safetensors", whole)
    assert read_checkpoint(whole)[1]["training"]["precision"] == "torch.bfloat16"


def test_a_rival_and_random_losses_go_on_too(corpus: Path, tmp_path: Path, adversary: list[int]) -> None:
    epoch = len(datagen.open_corpus(corpus).subset(split="train")) * 16 // QUICK["batch"]
    settings = {**QUICK, "steps": epoch + 4}
    whole = denoise.train(corpus, "toy", tmp_path / "whole.safetensors", progress=False, **settings)
    model = tmp_path / "m.safetensors"
    for stop in (3, epoch):  # where it is stopped at the end of an epoch, the next one follows
        adversary[:] = [stop]
        resume = stop != 3
        with pytest.raises(KeyboardInterrupt):
            denoise.train(corpus, "toy", model, resume=resume, progress=False, **settings, **ALWAYS)
        assert not model.exists() and (tmp_path / "m.run" / "log.csv").exists()
    adversary.clear()
    denoise.train(corpus, None, model, resume=True, progress=False)
    assert same_weights(model, whole)
    settings_kept = read_checkpoint(model)[1]["settings"]
    assert settings_kept["push"] == 0.5 and settings_kept["betas"] == [0.5, 0.9]
    other = denoise.train(corpus, "toy", tmp_path / "other.safetensors", progress=False, **settings, push=5.0)
    assert not same_weights(other, whole), "the rival has no say"


def test_what_was_stopped_is_neither_mixed_up_nor_lost(
    corpus: Path, tmp_path: Path, adversary: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "m.safetensors"
    adversary.append(3)
    with pytest.raises(KeyboardInterrupt):
        denoise.train(corpus, "toy", model, progress=False, **QUICK, **ALWAYS)
    more = tiny_corpus(tmp_path, scenes=14)
    datagen.generate(more, tmp_path / "more.zarr", progress=False)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    train = ["train", str(corpus), "-o", str(model)]
    for arguments, words in (
        (train, "has a training that was stopped"),
        ([*train, "--resume", "--method", "noise_cnn"], "is a run of method toy (given noise_cnn)"),
        ([*train, "--resume", "--crop", "8"], "is a run with crop = 16 (given 8)"),
        ([*train, "--resume", "--set", "push=1"], "is a run with push = 0.5 (given 1"),
        ([*train, "--resume", "--set", "network.features=16"], "is a run with network.features = 8 (given 16)"),
        (["train", str(tmp_path / "more.zarr"), "-o", str(model), "--resume"], "is a run on another corpus"),
        ([*train[:-1], str(tmp_path / "n.safetensors"), "--resume"], "nothing was stopped here"),
    ):
        assert main(arguments) == 2
        told = capsys.readouterr().err
        assert words in told and told.count("\n") == 1, told
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    state = tmp_path / "m.run" / "state.safetensors"
    for content, words in ((b"torn", "is not a safetensors file"), (read_other(corpus, tmp_path), "is no state")):
        state.write_bytes(content)
        assert main([*train, "--resume"]) == 2
        told = capsys.readouterr().err
        assert words in told and told.count("\n") == 1, told
    adversary.clear()
    assert main([*train, "--force", "--steps", "2", "--crop", "16", "--batch", "4"]) == 0
    assert not (tmp_path / "m.run").exists()


def read_other(corpus: Path, folder: Path) -> bytes:
    """Bytes of a model, which is no state."""
    return denoise.train(corpus, out=folder / "o.safetensors", progress=False, **{**QUICK, "steps": 1}).read_bytes()
