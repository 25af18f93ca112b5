"""What cannot be trained on or with is one line and exit code 2, and nothing is written or overwritten."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_corpus import tiny_corpus

import datagen
import datagen.images
import datagen.layout

torch = pytest.importorskip("torch")

import denoise  # noqa: E402
from denoise.checkpoint import read_checkpoint, write_checkpoint  # noqa: E402
from denoise.cli import main  # noqa: E402

QUICK = ["--steps", "4", "--batch", "4", "--crop", "16", "--set", "network.features=4"]


def made(folder: Path, name: str, **options: Any) -> Path:
    out = folder / f"{name}.zarr"
    datagen.generate(tiny_corpus(folder, **{"scenes": 10, **options}), out, progress=False)
    return out


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("corpus"), "good")


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the command; it must fail with one line that has some words, progress aside, and leave all files alone."""
    capsys.readouterr()

    def run(words: str, *arguments: object) -> None:
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        code = main([str(each) for each in arguments])
        told = capsys.readouterr().err
        assert code == 2 and words in told, told
        assert len([line for line in told.splitlines() if line and not line.startswith("training:")]) == 1, told
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before

    return run


def test_missing_shard(corpus: Path, tmp_path: Path, refused: Any) -> None:
    store = tmp_path / "s.zarr"
    shutil.copytree(corpus, store)
    shards = sorted(store.glob("*/clean/c/*/0/0"))
    shards[1].unlink()
    refused("is damaged", "train", store, "-o", tmp_path / "m.safetensors", *QUICK)
    shutil.rmtree(store / "commits")
    refused("has no finished shard", "train", store, "-o", tmp_path / "m.safetensors", *QUICK)


def test_a_shard_that_goes_while_training(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "s.zarr"
    shutil.copytree(corpus, store)
    inner = denoise.train.Run.advance

    def advance(run: Any, *arguments: Any) -> float:
        for shard in store.glob("*/clean/c/*/0/0"):
            shard.unlink()
        return inner(run, *arguments)

    monkeypatch.setattr(denoise.train.Run, "advance", advance)
    assert main(["train", str(store), "-o", str(tmp_path / "m.safetensors"), *QUICK, "--steps", "500"]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("denoise: ") and "clean" in told and "No such file" in told
    assert not list(tmp_path.glob("m.*"))


@pytest.mark.parametrize("split", ["train", "val"])
def test_nan_in_an_image(tmp_path: Path, refused: Any, monkeypatch: pytest.MonkeyPatch, split: str) -> None:
    inner = datagen.images.check_image

    def spoilt(image: Any, scene: int) -> None:
        inner(image, scene)
        image.clean[:, ::7] = np.nan

    monkeypatch.setattr(datagen.images, "check_image", spoilt)
    share = "train = 0.5, val = 0.5" if split == "val" else "train = 1, val = 0"
    store = made(tmp_path, "nan", more=f"split = {{ {share}, test = 0 }}")
    words = "has NaN or infinity in its image 'clean'"
    refused(words, "train", store, "-o", tmp_path / "m.safetensors", *QUICK)
    refused(
        "has NaN or infinity in an image",
        "train",
        store,
        "-o",
        tmp_path / "m.safetensors",
        *QUICK,
        "--set",
        "domain=linear",
    )


@pytest.mark.parametrize(("image", "kind"), [("clean", "float64"), ("noisy", "float32"), ("clean", "uint16")])
def test_wrong_type(tmp_path: Path, refused: Any, monkeypatch: pytest.MonkeyPatch, image: str, kind: str) -> None:
    monkeypatch.setitem(datagen.layout.KINDS, image, kind)
    store = made(tmp_path, "typed")
    refused(f"{image} is {kind} (it should be", "train", store, "-o", tmp_path / "m.safetensors", *QUICK)


def test_empty_split_and_lacking_images(corpus: Path, tmp_path: Path, refused: Any) -> None:
    store = made(tmp_path, "empty", more="split = { train = 0, val = 0.5, test = 0.5 }")
    refused("has no samples in split 'train'", "train", store, "-o", tmp_path / "m.safetensors", *QUICK)
    line = ["train", corpus, "-o", tmp_path / "m.safetensors", *QUICK]
    refused("has no noisy_repeat images", *line, "--method", "noise2noise")
    refused("no format 'other'", *line, "--format", "other")
    refused("no batch of 5000", *line, "--batch", "5000")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("domain", "--set takes NAME=VALUE"),
        ("depth=3", "unknown setting 'depth' (known: network"),
        ("network.depth=3", "cannot be made"),
        ("network.features=0", "features of network 'unet' must be 1 or more"),
        ("network.levels=-1", "levels of network 'unet' must be 1 or more"),
        ("network=torch.nn:Identity", "it has no weights to train"),
        ("network.=3", "unknown setting 'network.'"),
        ("betas=[0.9]", "betas are two numbers"),
        ("betas=0.9", "betas must be a list"),
        ('betas=["a", 1]', "each of betas must be a number"),
        ("steps=1.5", "steps must be a whole number"),
        ("steps=true", "steps must be a whole number"),
        ("clip=NaN", "clip must be a number"),
        ("precision=half", "unknown precision 'half'"),
        ("deterministic=1", "deterministic must be true or false"),
        ("seed=-1", "seed must not be negative"),
        ("domain=log", "unknown domain 'log'"),
    ],
)
def test_settings_that_make_no_sense(corpus: Path, tmp_path: Path, refused: Any, setting: str, words: str) -> None:
    refused(words, "train", corpus, "-o", tmp_path / "m.safetensors", *QUICK, "--set", setting)


def test_validation_without_a_finite_loss(
    corpus: Path, tmp_path: Path, refused: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(denoise.train.Run, "validate", lambda run, share, pool: float("inf"))
    refused("training diverged at step 1 (validation inf)", "train", corpus, "-o", tmp_path / "m.safetensors", *QUICK)


def test_a_run_that_no_pixel_counts_in(
    corpus: Path, tmp_path: Path, refused: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(denoise.train.Run, "loss", lambda run, batch, moment: (torch.zeros(()), torch.zeros(())))
    refused("nothing learnt in 4 steps", "train", corpus, "-o", tmp_path / "m.safetensors", *QUICK)


def test_checkpoints_of_others(corpus: Path, tmp_path: Path, refused: Any) -> None:
    """A model of a method that this version does not know, of another network, of another program."""
    model, out = tmp_path / "m.safetensors", tmp_path / "out.tif"
    assert main(["train", str(corpus), "-o", str(model), *QUICK]) == 0
    weights, configuration = read_checkpoint(model)
    other = tmp_path / "other.safetensors"
    for change, words in (
        ({"method": "bm4d"}, "unknown method 'bm4d'"),
        ({"network": "dncnn"}, "has weights of another network"),
        ({"network": "unett"}, "unknown network"),
        ({"network_options": {"features": 5}}, "has weights of another network"),
        ({"network": "own_networks:Stack"}, "its code would be run"),
    ):
        other.unlink(missing_ok=True)
        write_checkpoint(other, weights, {**configuration, **change})
        refused(words, "evaluate", other, corpus)
    refused("is there already", "train", corpus, "-o", model, *QUICK)
    refused("nothing was stopped here", "train", corpus, "-o", model, *QUICK, "--resume", "--force")
    assert not out.exists()


def test_wide_settings_reach_the_checkpoint(corpus: Path, tmp_path: Path) -> None:
    model = tmp_path / "m.safetensors"
    more = ["--set", "betas=[0.5, 0.9]", "--set", "domain=linear", "--set", "precision=bfloat16", "--format"]
    name = datagen.open_corpus(corpus).formats[0]
    assert (
        main(["train", str(corpus), "-o", str(model), *QUICK, *more, name, "--tensorboard", str(tmp_path / "board")])
        == 0
    )
    found = read_checkpoint(model)[1]
    assert found["settings"]["betas"] == [0.5, 0.9] and found["settings"]["domain"] == "linear"
    assert found["settings"]["formats"] == [name] and found["training"]["precision"] == "torch.bfloat16"
    assert found["network_options"]["features"] == 4 and json.dumps(found)
    assert list((tmp_path / "board").glob("events.out.tfevents.*"))
