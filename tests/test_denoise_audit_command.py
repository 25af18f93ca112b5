"""``denoise audit`` from files: what it prints and writes, exit codes, and what it refuses in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audit_scenes import PART, exposed, scene
from tiny_corpus import tiny_corpus

import datagen
import xsim
from xsim.characterize import characterize, write_characteristics

pytest.importorskip("torch")

import denoise
from denoise.cli import main

COUNT = 5


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    datagen.generate(tiny_corpus(folder, scenes=8, pixels=48), folder / "tiny.zarr", progress=False)
    settings = {"steps": 8, "batch": 4, "crop": 32, "learning_rate": 4e-3}
    return denoise.train(folder / "tiny.zarr", out=folder / "m.safetensors", progress=False, **settings)


@pytest.fixture(scope="module")
def frames() -> list[xsim.Radiograph]:
    exposure = exposed(*PART, side=96)
    return [exposure.record(2, k) for k in range(COUNT)]


def folder_of(frames: list[xsim.Radiograph], folder: Path, metadata: bool = True) -> Path:
    folder.mkdir()
    for k, frame in enumerate(frames):
        told = {"image": "noisy", **frame.metadata} if metadata else {}
        xsim.write_tiff(folder / f"frame-{k:03}.tif", frame.noisy.astype(np.uint16), told)
    return folder


def refused(capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    """The one line that a refused command says."""
    assert main(["audit", *map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if "frame/s" not in line and "?frame" not in line and line.strip()]
    assert out == "" and len(lines) == 1, err
    return lines[0]


def test_a_folder_of_simulated_frames_needs_nothing_else(
    model: Path, frames: list[xsim.Radiograph], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repeats = folder_of(frames, tmp_path / "repeats")
    page, numbers = tmp_path / "audit.html", tmp_path / "audit.json"
    spheres = ["--background", "PMMA", "--sizes-mm", "0.5", "2", "--places", "3"]
    arguments = ["audit", str(repeats), "--model", str(model), "-o", str(page), "--json", str(numbers), *spheres]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    found = json.loads(numbers.read_text())
    assert f"m.safetensors on {COUNT} frames of 96 x 96: {found['verdict'].upper()}" in printed
    assert len(found["lines"]) == 8 and all(line["question"] in printed for line in found["lines"])
    assert [each["diameter_mm"] for each in found["contrast"]] == [0.5, 2.0]
    assert found["noise_variance_adu2"]["value"] > 0 and found["frames"] == COUNT
    html = page.read_text()
    assert all(line["question"] in html for line in found["lines"])
    assert html.count("<img") == 6 and "http" not in html.replace("http-equiv", "")
    assert refused(capsys, *arguments[1:]).endswith("choose another name, or --force")
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, "--force", "--strict", "--limit-gain-db", "60"])
    assert stopped.value.code == 1


def test_frames_of_another_program_are_told_by_options(
    model: Path, frames: list[xsim.Radiograph], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A multipage TIFF without metadata: each thing that lacks is asked for in a line, then it is the same audit."""
    stack = tmp_path / "stack.tif"
    xsim.write_tiff(stack, np.stack([frame.noisy for frame in frames]).astype(np.uint16))
    told: list[Any] = [stack, "--model", model]
    assert "--state" in refused(capsys, *told)
    told += ["--state", "raw"]
    assert "--noise" in refused(capsys, *told)
    metadata = frames[0].metadata
    told += ["--a", metadata["a_pixel_adu"], "--b", metadata["b_adu2"]]
    assert "--black-adu" in refused(capsys, *told)
    told += ["--black-adu", 300]
    assert main(["audit", *map(str, told), "--json", str(tmp_path / "a.json")]) == 0
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["contrast"] is None and found["lines"][-1]["word"] == "undecided"
    assert "--scene" in found["lines"][-1]["why"]
    station = scene(side=96).model_dump(exclude_none=True)
    (tmp_path / "station.toml").write_text(as_toml(station))
    more = ["--scene", tmp_path / "station.toml", "--sizes-mm", 2, "--places", 3, "--json", tmp_path / "b.json"]
    assert main(["audit", *map(str, [*told, *more])]) == 0
    again = json.loads((tmp_path / "b.json").read_text())
    assert again["gain_db"] == found["gain_db"] and again["contrast"][0]["places"] == 3


def as_toml(station: dict[str, Any]) -> str:
    """The few tables of a station."""
    run = station["acquisition"]
    filters = station["source"]["filters"][0]
    return (
        f"[source]\nvoltage_kv = {station['source']['voltage_kv']}\n"
        f"filters = [{{ material = 'Al', thickness_mm = {filters['thickness_mm']} }}]\n"
        f"[geometry]\nsod_mm = {station['geometry']['sod_mm']}\nsdd_mm = {station['geometry']['sdd_mm']}\n"
        f"[acquisition]\nquanta_per_pixel = {run['quanta_per_pixel']}\n"
        "[detector]\npreset = 'generic-gos-200um'\nrows = 96\ncolumns = 96\n"
    )


def test_bad_input_is_refused_in_one_line(
    model: Path, frames: list[xsim.Radiograph], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = folder_of(frames[:3], tmp_path / "few")
    assert "holds 3 frames" in refused(capsys, few, "--model", model)
    copied = folder_of([*frames, frames[1]], tmp_path / "copied")
    assert "frames 2 and 6 are the same" in refused(capsys, copied, "--model", model)
    (tmp_path / "empty").mkdir()
    assert "holds no frames" in refused(capsys, tmp_path / "empty", "--model", model)
    pictures = tmp_path / "pictures.tif"
    xsim.write_tiff(pictures, np.zeros((5, 16, 16), np.uint8))
    assert "8-bit" in refused(capsys, pictures, "--model", model)
    clean = tmp_path / "clean.tif"
    xsim.write_tiff(clean, np.stack([frame.clean for frame in frames]), {"image": "clean"})
    assert "'clean'" in refused(capsys, clean, "--model", model)
    repeats = folder_of(frames, tmp_path / "repeats")
    assert "was trained on" in refused(capsys, repeats, "--model", model, "--state", "flat_field_corrected")
    assert "no such file" in refused(capsys, repeats, "--model", tmp_path / "none.safetensors").lower()
    assert "above 0" in refused(capsys, repeats, "--model", model, "--sizes-mm", "-1")
    assert "--region" in refused(capsys, repeats, "--model", model, "--region", "all")
    for region in ("5:2,0:9", "0:9999,0:9", "-3:9,0:9"):
        assert "is not within the image" in refused(capsys, repeats, "--model", model, f"--region={region}")
    assert "keep one" in refused(capsys, repeats, "--model", model, "--noise", "camera.toml", "--a", "1")
    assert "without --noise" in refused(capsys, repeats, "--model", model, "--raw-flat", pictures)
    assert not list(tmp_path.glob("*.html")) and not list(tmp_path.glob("*.json"))


def test_the_noise_of_raw_frames_is_not_taken_for_that_of_corrected_ones(
    model: Path, frames: list[xsim.Radiograph], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from denoise.frame_noise import Told

    generator = np.random.default_rng(0)
    levels = [
        300 + 0.3 * n + np.sqrt(0.3 * n + 20) * generator.standard_normal((4, 96, 96)) for n in (0, 4e3, 1e4, 2e4)
    ]
    camera = tmp_path / "camera.toml"
    write_characteristics(camera, characterize(levels[0], levels[1:]))
    assert Told.of(file=camera, state="raw").noise is not None
    with pytest.raises(xsim.ModelError, match="denoise noise"):
        Told.of(file=camera, state="flat_field_corrected")
    corrected = [{**frame.metadata, "state": "flat_field_corrected"} for frame in frames]
    path = tmp_path / "corrected.tif"
    xsim.write_tiff(path, frames[0].noisy.astype(np.uint16), {"image": "noisy", **corrected[0]})
    with pytest.raises(xsim.ModelError, match="denoise noise"):
        denoise.apply(model, path, tmp_path / "out.tif", noise=camera)
    assert not (tmp_path / "out.tif").exists()
    repeats = folder_of(frames, tmp_path / "repeats", metadata=False)
    told = [repeats, "--model", model, "--noise", camera, "--no-contrast", "--json", tmp_path / "raw.json"]
    assert main(["audit", *map(str, [*told, "--state", "raw"])]) == 0
    found = json.loads((tmp_path / "raw.json").read_text())
    assert found["black_adu"] == pytest.approx(300.0, abs=0.5)
