"""``xsim detectors``: lists, compares, shows; what it says is what simulated frames do."""

import numpy as np
import pytest

import xsim
from xsim.camera_figures import camera_figures, measured_noise_power, measured_transfer
from xsim.camera_file import preset_names
from xsim.cameras import named_camera
from xsim.cli import main

LINE = "generic-linescan-gos-400um"
PANEL = "xrd1621-like"


def test_list_has_every_camera(capsys):
    assert main(["detectors"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1 : 1 + len(preset_names())]] == preset_names()


def test_compare_puts_cameras_side_by_side(capsys):
    assert main(["detectors", "compare", LINE, PANEL]) == 0
    out = capsys.readouterr().out
    assert LINE in out.splitlines()[0] and PANEL in out.splitlines()[0]
    assert "dynamic range" in out


def test_show_names_each_number_with_its_source(capsys):
    assert main(["detectors", "show", PANEL]) == 0
    out = capsys.readouterr().out
    for field in named_camera(PANEL).numbers:
        assert field in out
    assert "placeholder" in out


def test_show_writes_a_page(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert main(["detectors", "show", LINE, "-o", str(tmp_path / "page.html")]) == 0
    text = (tmp_path / "page.html").read_text()
    assert text.count("data:image/png") == 6
    assert "sensor.full_well_e" in text and "placeholder" in text


@pytest.mark.parametrize(
    "arguments",
    [["show", "no-such-camera"], ["compare", PANEL, "nowhere.toml"], ["show", PANEL, "-o", "no/such/x.html"]],
)
def test_a_fault_is_one_line(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["detectors", *arguments]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [LINE, PANEL, "s8658-like-tdi", "dexela-2923-like", "generic-gos-200um"])
def test_figures_are_those_of_simulated_frames(name):
    camera = named_camera(name)
    figures = camera_figures(camera)
    image = xsim.simulate(camera.open_beam(256, 256), seed=5)
    black = image.metadata["offset_adu"]
    noise = (image.noisy - image.expected).astype(np.float64)
    signal = (image.expected - black).astype(np.float64)
    assert figures.snr == pytest.approx(signal.mean() / noise.std(), rel=0.03)
    assert figures.open_share == pytest.approx(image.expected.mean() / camera.detector.sensor.full_scale_adu, rel=0.01)


@pytest.mark.parametrize("name", [PANEL, "s8658-like-tdi"])
def test_theory_meets_the_noise_power_of_frames(name):
    camera = named_camera(name)
    theory, power = camera_figures(camera).theory, measured_noise_power(camera)
    wanted = np.interp(power.frequency_per_mm, theory.frequency_per_mm, theory.nnps_mm2)
    inside = (power.frequency_per_mm > 0.1 * theory.frequency_per_mm[-1]) & (
        power.frequency_per_mm < theory.frequency_per_mm[-1]
    )
    ratio = (power.nnps_mm2 / wanted)[inside]
    assert abs(ratio.mean() - 1) < 0.03
    assert np.abs(ratio - 1).max() < 0.15


def test_photon_transfer_goes_to_the_full_well():
    camera = named_camera(PANEL)
    transfer = measured_transfer(camera, camera_figures(camera).open_share)
    facts = xsim.expose(camera.open_beam(16, 16)).derived
    assert transfer.slope_adu == pytest.approx(facts["a_pixel_adu"], rel=0.02)
    assert transfer.full_well_adu is not None
    assert transfer.full_well_adu == pytest.approx(camera.detector.sensor.full_scale_adu, rel=0.2)
