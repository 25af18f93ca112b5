"""``xsim measure`` and ``xsim characterize``: files in, numbers out, bad input in one line."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from known_images import gaussian_edge, quanta, slanted, spread_kernel

from xsim.cli import build_parser, main
from xsim.image_io import write_tiff
from xsim.quality import noise_power, photon_transfer, signal_to_noise, slanted_edge_mtf

RULERS = ("snr", "cnr", "mtf", "nps", "dqe", "ptc", "correlation")
DOCUMENT = (Path(__file__).parents[1] / "docs" / "measuring.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Flats, an edge and a photon transfer series: TIFF stacks with and without metadata, npy, a folder of frames."""
    home = tmp_path_factory.mktemp("frames")
    generator = np.random.default_rng(1)
    shape, kernel = (4, 128, 128), spread_kernel()
    for name, mean in (("dark", 0.0), ("low", 300.0), ("middle", 1000.0), ("high", 3000.0)):
        light = 3.0 * quanta(generator, mean, shape, kernel) + 200 + 6 * generator.standard_normal(shape)
        tifffile.imwrite(home / f"{name}.tif", np.rint(light).astype(np.uint16), photometric="minisblack")
        np.save(home / f"{name}.npy", light)
    (home / "set").mkdir()
    for name in ("dark", "low", "middle"):
        (home / "set" / f"{name}.tif").write_bytes((home / f"{name}.tif").read_bytes())
    (home / "set" / "high").mkdir()
    for k, frame in enumerate(tifffile.imread(home / "high.tif")):
        tifffile.imwrite(home / "set" / "high" / f"{k}.tif", frame)
    image = 200 + 800 * slanted(lambda x: gaussian_edge(x, 0.5), 3.0, 128) + generator.standard_normal((128, 128))
    write_tiff(home / "edge.tif", image.astype(np.float32), {"pitch_mm": 0.1, "offset_adu": 200.0})
    write_tiff(
        home / "flat.tif", np.load(home / "high.npy")[0].astype(np.float32), {"pitch_mm": 0.1, "offset_adu": 200.0}
    )
    colours = np.zeros((32, 32, 3), np.uint8)
    tifffile.imwrite(home / "colours.tif", colours, photometric="rgb")
    (home / "text.tif").write_text("no image")
    np.save(home / "holes.npy", np.where(np.arange(64 * 64).reshape(64, 64) % 7, 1.0, np.nan))
    return home


def asked(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """What a command prints as JSON."""
    assert run(folder, *words, "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def run(folder: Path, *words: str) -> int:
    return main([str(folder / w) if re.search(r"\.(tif|npy|toml)$|^set$", w) else w for w in words])


def test_numbers_are_those_of_the_rulers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    high = np.load(folder / "high.npy")
    found = asked(folder, capsys, "measure", "snr", "high.npy", "--offset-adu", "200", "--isrb-mm", "0.2")
    wanted = signal_to_noise(high, 200.0, 0.2)
    assert found == pytest.approx(vars(wanted))
    part = asked(folder, capsys, "measure", "snr", "high.npy", "--roi", "10:40,0:128")
    assert part["pixels"] == 4 * 30 * 128 and part["snr_n"] is None
    found = asked(folder, capsys, "measure", "cnr", "edge.tif", "--roi", "50:70,10:30", "--background", "50:70,100:120")
    assert found["contrast"] == pytest.approx(1.0, abs=2e-3)  # 0 behind the edge: the offset is in the metadata
    found = asked(folder, capsys, "measure", "mtf", "edge.tif")
    edge = slanted_edge_mtf(tifffile.imread(folder / "edge.tif"), 0.1)
    assert found["mtf_at_nyquist"] == pytest.approx(float(edge.at(5.0)))
    assert found["angle_deg"] == pytest.approx(3.0, abs=0.02) and len(found["mtf"]) == len(found["frequency_per_mm"])
    found = asked(folder, capsys, "measure", "nps", "flat.tif", "--roi-px", "64", "--window", "hann")
    power = noise_power(tifffile.imread(folder / "flat.tif"), 0.1, 64, 200.0, window="hann")
    assert found["nnps_u_mm2"] == pytest.approx(power.along_u.nnps_mm2.tolist()) and found["regions"] == 9
    found = asked(folder, capsys, "measure", "ptc", "dark.npy", "low.npy", "middle.npy", "high.npy")
    curve = photon_transfer([np.load(folder / f"{k}.npy") for k in ("dark", "low", "middle", "high")])
    assert found["slope_adu"] == pytest.approx(curve.slope_adu) and found["gain_adu"] == pytest.approx(curve.gain_adu)
    found = asked(folder, capsys, "measure", "correlation", "high.npy", "--reach-px", "3")
    assert found["lag_px"] == [0, 1, 2, 3] and found["along_rows"][0] == 1.0


def test_dqe_needs_what_the_rulers_need(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """DQE = MTF^2 / (q NNPS) of the two files, at every frequency printed."""
    words = ["measure", "dqe", "flat.tif", "--edge", str(folder / "edge.tif"), "--roi-px", "64"]
    found = asked(folder, capsys, *words, "--fluence-per-mm2", "3e5")
    dqe = np.array(found["mtf"]) ** 2 / (3e5 * np.array(found["nnps_mm2"]))
    np.testing.assert_allclose(found["dqe"], dqe, rtol=1e-9)


def test_several_files_are_frames_of_one_scene(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = asked(folder, capsys, "measure", "snr", "high.npy", "middle.npy")
    assert found["pixels"] == 8 * 128 * 128


def test_tables_and_csv_hold_the_same_numbers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "measure", "mtf", "edge.tif", "--csv") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    curves = asked(folder, capsys, "measure", "mtf", "edge.tif")
    assert [float(row["mtf"]) for row in rows] == pytest.approx(curves["mtf"])
    assert run(folder, "measure", "snr", "high.npy", "--csv") == 0
    names, values = capsys.readouterr().out.splitlines()
    assert dict(zip(names.split(","), values.split(","), strict=True))["pixels"] == "65536"
    assert run(folder, "measure", "mtf", "edge.tif") == 0
    text = capsys.readouterr().out
    assert "mtf50_per_mm" in text and f"{curves['mtf'][1]:.5g}" in text


@pytest.mark.parametrize("ruler", RULERS)
def test_every_ruler_has_help_with_an_example_that_parses(ruler: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["measure", ruler, "--help"])
    assert stopped.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    example = text.split("example: xsim ")[1]
    assert build_parser().parse_args(shlex.split(example)).run


@pytest.mark.parametrize("command", ["measure", "characterize"])
def test_the_commands_themselves_have_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0 and f"example: xsim {command} " in capsys.readouterr().out


def test_the_documents_commands_parse() -> None:
    """Every xsim line of docs/measuring.md."""
    lines = [line for line in DOCUMENT.splitlines() if line.startswith("xsim ")]
    assert len(lines) >= 8
    for line in lines:
        assert build_parser().parse_args(shlex.split(line, comments=True)[1:]).run
    assert {line.split()[2] for line in lines if line.startswith("xsim measure")} == set(RULERS)


def test_characterize_writes_a_file_and_says_what_it_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder with one level as a folder of frames, or the entries one by one: the same numbers."""
    file = folder / "camera.toml"
    assert run(folder, "characterize", "set", "-o", "camera.toml", "--pitch-mm", "0.1", "--quantum-kev", "60") == 0
    text = capsys.readouterr().out
    assert re.search(r"offset +(199.9|200.0)", text) and "written" in text
    told = tomllib.loads(file.read_text())
    assert told["pitch_mm"] == 0.1 and told["sensor"]["offset_adu"] == pytest.approx(200, abs=0.2)
    assert told["noise"]["gain_adu_per_quantum"] == pytest.approx(60 * told["sensor"]["gain_adu_per_kev"])
    assert told["noise"]["level_frames"] == [4, 4, 4, 4]
    entries = ["dark.tif", "high.tif", "low.tif", "middle.tif"]
    found = asked(folder, capsys, "characterize", *entries, "-o", "camera.toml")
    assert found["a_pixel_adu"] == told["noise"]["a_pixel_adu"] and found["pitch_mm"] is None


def test_folders_of_xsim_simulate_are_levels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Darks by an exposure too short for a quantum; pitch from the files. Gain 5 %: 128 x 128 pixels, 12 frames."""
    for name, exposure in {
        "dark": "exposure_s = 1e-12",
        **{f"at {g}": f"target_gv = 0.{g}" for g in (2, 4, 6)},
    }.items():
        scene = tmp_path / "scene.toml"
        scene.write_text(
            f"[source]\nenergy_kev = 60.0\n[geometry]\nsod_mm = 5e3\nsdd_mm = 1e4\n[acquisition]\n{exposure}\n"
            '[detector]\npreset = "generic-gos-200um"\nrows = 128\ncolumns = 128\npitch_mm = 0.15\n'
        )
        assert main(["simulate", str(scene), "-o", str(tmp_path / "set" / name), "--frames", "12"]) == 0
    assert main(["characterize", str(tmp_path / "set"), "-o", str(tmp_path / "out.toml"), "--quantum-kev", "60"]) == 0
    capsys.readouterr()
    told = tomllib.loads((tmp_path / "out.toml").read_text())
    assert told["pitch_mm"] == 0.15 and told["noise"]["level_frames"] == [12] * 4
    assert told["sensor"]["gain_adu_per_kev"] == pytest.approx(0.04, rel=0.05)
    assert told["sensor"]["read_noise_adu"] == pytest.approx(4.0, rel=0.1)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("measure snr nowhere.tif", "not read"),
        ("measure snr text.tif", "not read"),
        ("measure snr colours.tif", "grey image"),
        ("measure snr holes.npy", "no numbers"),
        ("measure snr frames.png", "convert it"),
        ("measure snr high.npy edge.tif --roi 0:200,0:10", "choose from 0:128"),
        ("measure snr high.npy --roi all", "like 100:356,0:256"),
        ("measure snr high.npy --roi 9:9,0:4", "empty"),
        ("measure snr high.npy --isrb-mm -1", "above 0"),
        ("measure cnr high.npy --background 0:9,0:9", "--roi"),
        ("measure mtf high.npy", "--pitch-mm"),
        ("measure mtf high.npy --pitch-mm 0", "above 0"),
        ("measure mtf edge.tif --oversampling 1", "choose 8"),
        ("measure mtf edge.tif --reach-px 0.5", "leave it out"),
        ("measure nps flat.tif", "no region of 256"),
        ("measure ptc high.npy", "a slope needs two"),
        ("measure correlation high.npy --reach-px 0", "1 or more"),
        ("measure correlation high.npy --reach-px 64", "lower the reach"),
        ("characterize low.tif middle.tif high.tif -o camera.toml", "no darks"),
        ("characterize dark.tif low.tif high.tif -o camera.toml", "2 usable light levels"),
        ("characterize set -o nowhere/camera.toml", "not written"),
        ("characterize set -o camera.toml --quantum-kev 0", "above 0"),
        ("characterize set -o camera.toml --pitch-mm -1", "above 0"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(
    folder: Path, capsys: pytest.CaptureFixture[str], words: str, says: str
) -> None:
    assert run(folder, *words.split()) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and says in err, err


@pytest.mark.parametrize("words", ["measure", "measure length x.tif", "measure dqe flat.tif", "characterize set"])
def test_bad_arguments_are_one_line_too(capsys: pytest.CaptureFixture[str], words: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(words.split())
    assert stopped.value.code == 2 and capsys.readouterr().err.count("\n") == 1
