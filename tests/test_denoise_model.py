"""Training, the model's file, the restorer and the command, on a corpus of a few small scenes."""

from __future__ import annotations

import csv
import io
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import datagen
import xsim
from xsim import CorpusError, ModelError, OutputError

torch = pytest.importorskip("torch")

import denoise  # noqa: E402
from denoise import checkpoint  # noqa: E402
from denoise.cli import main  # noqa: E402

QUICK = {"steps": 12, "batch": 4, "crop": 32, "learning_rate": 4e-3}
NOISE = {"a_pixel_adu": 0.3, "b_adu2": -74.0}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    text = xsim.phantom_path("spheres-in-acrylic-corpus").read_text()
    for old, new in (("scenes = 320", "scenes = 12"), ("rows = 128", "rows = 48"), ("columns = 128", "columns = 40")):
        assert old in text
        text = text.replace(old, new)
    (folder / "small-corpus.toml").write_text(text)
    datagen.generate(folder / "small-corpus.toml", folder / "small.zarr", progress=False)
    return folder / "small.zarr"


@pytest.fixture(scope="module")
def model(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return denoise.train(corpus, out=tmp_path_factory.mktemp("model") / "m.safetensors", progress=False, **QUICK)


@pytest.fixture(scope="module")
def frame() -> xsim.Radiograph:
    scene = {
        "source": {"voltage_kv": 100, "filters": [{"material": "Al", "thickness_mm": 2.0}]},
        "geometry": {"sod_mm": 500, "sdd_mm": 1000},
        "acquisition": {"quanta_per_pixel": 300},
        "detector": {"preset": "generic-gos-200um", "rows": 53, "columns": 71},
        "body": [{"shape": "box", "size_mm": [4, 3, 6], "material": "PMMA"}],
    }
    return xsim.simulate(xsim.scene_from_dict(scene), seed=5)


@pytest.fixture
def tiff(frame: xsim.Radiograph, tmp_path: Path) -> Path:
    path = tmp_path / "noisy.tif"
    xsim.write_tiff(path, frame.noisy.astype(np.uint16), {"image": "noisy", **frame.metadata})
    return path


def quiet(call: Any, *arguments: Any, **named: Any) -> Any:
    """Without the warnings of conditions, which so small a corpus gives about anything."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*trained on.*")
        return call(*arguments, **named)


# training


def test_training_learns_and_logs(corpus: Path, tmp_path: Path) -> None:
    out = denoise.train(corpus, out=tmp_path / "m.safetensors", progress=False, **{**QUICK, "steps": 60})
    rows = list(csv.DictReader(io.StringIO((tmp_path / "m.csv").read_text())))
    assert [int(row["step"]) for row in rows] == sorted({int(row["step"]) for row in rows})
    assert int(rows[-1]["step"]) == 60
    assert float(rows[-1]["val_loss"]) < 0.6 * float(next(row["val_loss"] for row in rows if row["val_loss"]))
    told = denoise.load(out).configuration["training"]
    assert told["steps"] == 60 and told["val_loss"] == float(rows[-1]["val_loss"])
    assert told["train_loss"] == pytest.approx(np.mean([float(row["train_loss"]) for row in rows[-10:]]))


def test_same_seed_same_weights_on_any_number_of_cores(corpus: Path, model: Path, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        again = denoise.train(corpus, out=tmp_path / "m.safetensors", progress=False, **QUICK)
    finally:
        torch.set_num_threads(before)
    first, second = (checkpoint.read_checkpoint(path)[0] for path in (model, again))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = denoise.train(corpus, out=tmp_path / "other.safetensors", progress=False, **QUICK, seed=1)
    assert not torch.equal(checkpoint.read_checkpoint(other)[0]["last.weight"], first["last.weight"])


def test_global_state_of_torch_is_left_alone(corpus: Path, tmp_path: Path) -> None:
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    denoise.train(corpus, out=tmp_path / "m.safetensors", progress=False, **{**QUICK, "steps": 1})
    assert torch.equal(torch.random.get_rng_state(), state) and torch.get_num_threads() == threads


def test_minutes_end_the_run(corpus: Path, tmp_path: Path) -> None:
    settings = {**QUICK, "steps": 10**9, "minutes": 0.01}
    out = denoise.train(corpus, out=tmp_path / "m.safetensors", progress=False, **settings)
    training = denoise.load(out).configuration["training"]
    assert 0.6 <= training["seconds"] < 10.0 and training["steps"] >= 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"domain": "log"}, "unknown domain 'log'"),
        ({"network": "resnet"}, "unknown network 'resnet'"),
        ({"steps": 0}, "steps must be above 0"),
        ({"minutes": -1.0}, "minutes must be above 0"),
        ({"depth": 3}, "unknown setting 'depth'"),
        ({"crop": 30}, "must be a multiple of 4"),
        ({"learning_rate": 1e30}, "diverged"),
    ],
)
def test_bad_settings_write_nothing(corpus: Path, tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        denoise.train(corpus, out=tmp_path / "m.safetensors", progress=False, **{**QUICK, **settings})
    assert list(tmp_path.iterdir()) == []


def test_training_refuses_what_it_cannot_use(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="smaller than a crop"):
        denoise.train(corpus, out=tmp_path / "m.safetensors", progress=False, crop=64)
    with pytest.raises(CorpusError, match="is not a corpus"):
        denoise.train(tmp_path, out=tmp_path / "m.safetensors", progress=False)
    with pytest.raises(ModelError, match="unknown method 'n2n'"):
        denoise.train(corpus, method="n2n", out=tmp_path / "m.safetensors", progress=False)


def test_training_never_replaces_a_file_unasked(corpus: Path, tmp_path: Path) -> None:
    for name in ("m.safetensors", "m.csv"):
        (tmp_path / name).write_text("mine")
        with pytest.raises(OutputError, match="is there already"):
            denoise.train(corpus, out=tmp_path / "m.safetensors", progress=False, **QUICK)
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()


# the file


def test_configuration_is_in_the_file(model: Path, corpus: Path) -> None:
    weights, found = checkpoint.read_checkpoint(model)
    opened = datagen.open_corpus(corpus)
    assert found["method"] == "noise_cnn" and found["network"] == "unet" and found["states"] == ["raw"]
    assert found["corpus"]["sha256"] == opened.sha256 and found["corpus"]["train_samples"] == len(
        opened.subset(split="train")
    )
    doses = opened.subset(split="train").params("quanta_per_pixel")
    assert found["conditions"]["quanta_per_pixel"] == [doses.min(), doses.max()]
    assert found["versions"].keys() == {"xsim", "torch", "python"}
    assert found["settings"]["steps"] == QUICK["steps"] and weights


def test_files_that_are_no_models(tmp_path: Path, model: Path) -> None:
    import safetensors.torch

    weights, found = checkpoint.read_checkpoint(model)
    path = tmp_path / "x.safetensors"
    with pytest.raises(ModelError, match="not read"):
        denoise.load(path)
    path.write_bytes(b"\x80\x04pickle")
    with pytest.raises(ModelError, match="not a safetensors file"):
        denoise.load(path)
    safetensors.torch.save_file(weights, path)
    with pytest.raises(ModelError, match="no configuration"):
        denoise.load(path)
    safetensors.torch.save_file(weights, path, {"denoise": json.dumps({**found, "schema": 99})})
    with pytest.raises(ModelError, match="update xsim"):
        denoise.load(path)
    safetensors.torch.save_file(weights, path, {"denoise": json.dumps({**found, "network": "dncnn"})})
    with pytest.raises(ModelError, match="weights of another network"):
        denoise.load(path)


# the restorer


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (40, 48), (101, 67)])
def test_any_size_keeps_its_mean(model: Path, shape: tuple[int, int]) -> None:
    noisy = np.random.default_rng(1).normal(900, 20, shape).astype(np.float32)
    found = quiet(denoise.load(model), noisy, **NOISE)
    assert found.shape == shape and found.dtype == np.float32
    assert found.mean(dtype=np.float64) == pytest.approx(noisy.mean(dtype=np.float64), rel=1e-6)


def test_noise_may_differ_by_column_and_pixel(model: Path) -> None:
    noisy = np.random.default_rng(2).normal(900, 20, (24, 32)).astype(np.float32)
    loaded = denoise.load(model)
    scalar = quiet(loaded, noisy, **NOISE)
    for shape in ((32,), (24, 32)):
        each = {name: np.full(shape, value) for name, value in NOISE.items()}
        np.testing.assert_array_equal(quiet(loaded, noisy, **each), scalar)
    with pytest.raises(ModelError, match="do not fit"):
        quiet(loaded, noisy, np.ones(31), NOISE["b_adu2"])


def test_radiographs_bring_their_own_noise(model: Path, frame: xsim.Radiograph) -> None:
    loaded = denoise.load(model)
    a, b = frame.metadata["a_pixel_adu"], frame.metadata["b_adu2"]
    np.testing.assert_array_equal(quiet(loaded, frame), quiet(loaded, frame.noisy, a, b, "raw"))


def test_linear_domain_is_the_literal_form(corpus: Path, frame: xsim.Radiograph, tmp_path: Path) -> None:
    out = denoise.train(
        corpus, out=tmp_path / "m.safetensors", progress=False, domain="linear", anchor_px=0, network="dncnn",
        **{**QUICK, "steps": 4, "network.features": 8, "network.layers": 4},
    )  # fmt: skip
    loaded = denoise.load(out)
    scale = loaded.configuration["settings"]["noise_scale_adu"]
    with torch.inference_mode():
        predicted = loaded.network(torch.from_numpy(frame.noisy / np.float32(scale))[None, None])[0, 0].numpy()
    np.testing.assert_allclose(quiet(loaded, frame), frame.noisy - scale * predicted, rtol=1e-4)


def test_wrong_images_and_noise(model: Path, frame: xsim.Radiograph) -> None:
    loaded = denoise.load(model)
    with pytest.raises(ModelError, match="no noise parameters"):
        loaded(frame.noisy)
    with pytest.raises(ModelError, match="a must be above 0"):
        loaded(frame.noisy, 0.0, 1.0)
    with pytest.raises(ModelError, match=r"\[row, column\]"):
        loaded(frame.noisy[0], **NOISE)
    with pytest.raises(ModelError, match=r"'flat_field_corrected' is not what m\.safetensors was trained on"):
        loaded(frame.noisy, **NOISE, state="flat_field_corrected")


def test_conditions_outside_the_training_are_warned_of(model: Path, frame: xsim.Radiograph) -> None:
    loaded = denoise.load(model)
    strange = xsim.Radiograph(**{**vars(frame), "metadata": {**frame.metadata, "quanta_per_pixel": 1e6}})
    with pytest.warns(UserWarning) as caught:
        loaded(strange)
    assert any("quanta per pixel in the open beam: 1e+06" in str(each.message) for each in caught)


# files and the command


def test_apply_writes_16_bits_and_what_made_them(
    model: Path, tiff: Path, frame: xsim.Radiograph, tmp_path: Path
) -> None:
    out = quiet(denoise.apply, model, tiff, tmp_path / "restored.tif")
    image, metadata = xsim.read_tiff(out)
    expected = quiet(denoise.load(model), frame)
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image, np.rint(expected).astype(np.uint16))
    assert metadata["image"] == "restored" and metadata["scene"] == frame.metadata["scene"]
    assert metadata["restored_by"]["sha256"] == denoise.load(model).sha256
    assert "a_pixel_adu" not in metadata and metadata["source_noise"]["a_pixel_adu"] == frame.metadata["a_pixel_adu"]


def test_apply_takes_stacks_and_strange_frames(model: Path, frame: xsim.Radiograph, tmp_path: Path) -> None:
    pages = np.stack([frame.noisy, frame.noisy[::-1]]).astype(np.uint16)
    xsim.write_tiff(tmp_path / "real.tif", pages, {})
    out = quiet(denoise.apply, model, tmp_path / "real.tif", tmp_path / "out.tif", **NOISE, state="raw")
    image, _ = xsim.read_tiff(out)
    assert image.shape == pages.shape
    np.testing.assert_array_equal(image[0], np.rint(quiet(denoise.load(model), frame.noisy, **NOISE)).astype(np.uint16))


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    code = main([str(each) for each in arguments])
    return code, capsys.readouterr().err


def test_bad_input_is_one_line_and_writes_nothing(
    model: Path, corpus: Path, tiff: Path, frame: xsim.Radiograph, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.tif"
    xsim.write_tiff(tmp_path / "clean.tif", frame.clean, {"image": "clean", **frame.metadata})
    grey, known = frame.noisy.astype(np.uint16), dict(frame.metadata)
    xsim.write_tiff(tmp_path / "corrected.tif", grey, {**known, "state": "offset_corrected"})
    xsim.write_tiff(tmp_path / "restored.tif", grey, {**known, "image": "restored"})
    xsim.write_tiff(tmp_path / "plain.tif", grey, {})
    (tmp_path / "text.tif").write_text("no image")
    files = set(tmp_path.iterdir())
    cases = [
        (("apply", tmp_path / "absent", tiff), "not read"),
        (("apply", tiff, tiff), "not a safetensors file"),
        (("apply", model, tmp_path / "absent.tif"), "not read"),
        (("apply", model, tmp_path / "text.tif"), "not read"),
        (("apply", model, tmp_path / "clean.tif"), "not a noisy frame"),
        (("apply", model, tmp_path / "restored.tif"), "not a noisy frame"),
        (("apply", model, tmp_path / "corrected.tif"), "'offset_corrected' is not what"),
        (("apply", model, tmp_path / "plain.tif"), "give --a and --b"),
        (("apply", model, tmp_path / "plain.tif", "--a", 0.3, "--b", -74), "give --state"),
        (("apply", model, tiff, "--device", "quantum"), "cannot be used"),
    ]
    for arguments, message in cases:
        code, text = run(capsys, *arguments, "-o", out)
        assert code == 2 and message in text and text.count("\n") == 1, text
    for arguments, message in (
        (("apply", model, tiff, "-o", tmp_path / "none" / "x.tif"), "make it first"),
        (("apply", model, tiff, "-o", tiff), "is there already"),
        (("train", corpus, "-o", model), "is there already"),
        (("train", corpus, "-o", tmp_path / "model.csv"), "end it in .safetensors"),
        (("train", tmp_path / "none.zarr", "-o", tmp_path / "x.safetensors"), "is not a corpus"),
        (("evaluate", model, tmp_path / "none.zarr"), "is not a corpus"),
    ):
        code, text = run(capsys, *arguments)
        assert code == 2 and message in text and text.count("\n") == 1, text
    assert set(tmp_path.iterdir()) == files


def test_command_trains_applies_and_evaluates(
    corpus: Path, tiff: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("denoise.station.FRAMES", {"high": 2, "low": 2})
    model, out, figures = tmp_path / "m.safetensors", tmp_path / "out.tif", tmp_path / "figures.json"
    assert main(["train", str(corpus), "-o", str(model), "--steps", "5", "--batch", "4", "--crop", "32"]) == 0
    assert main(["apply", str(model), str(tiff), "-o", str(out)]) == 0
    assert main(["evaluate", str(model), str(corpus), "--json", str(figures), "--split", "train"]) == 0
    shown = capsys.readouterr().out
    assert f"{out} written" in shown and "PSNR" in shown and "bias" in shown
    found, train = json.loads(figures.read_text()), datagen.open_corpus(corpus).subset(split="train")
    assert found["images"] == len(train)
    ours, noisy = (found["restorations"][name]["bias"]["value"] for name in ("m", "noisy"))
    assert ours == pytest.approx(noisy, abs=1e-7) and abs(ours) < 5 * found["bias_uncertainty"]


@pytest.mark.parametrize("command", [(), ("train",), ("apply",), ("evaluate",), ("features",)])
def test_help_has_an_example(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    assert "example: denoise" in capsys.readouterr().out
