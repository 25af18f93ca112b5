from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import xsim
from denoise.sharpness import bar_chart, chart_bodies, ctf, edge_bodies, frames_of, mtf, sheet_thickness_mm
from xsim import MeasurementError

STATION = {
    "source": {"energy_kev": 60.0},
    "geometry": {"sod_mm": 500, "sdd_mm": 1000},
    "acquisition": {"quanta_per_pixel": 2000.0},
    "detector": {"preset": "generic-gos-200um", "rows": 256, "columns": 256},
    "body": [{"shape": "sphere", "radius_mm": 1, "material": "Al"}],
}


@pytest.fixture(scope="module")
def station() -> xsim.Scene:
    return xsim.scene_from_dict(STATION)


def coltman(modulation, f, nyquist=2.5):
    """Contrast of a square wave from the MTF, with the harmonics that pixels can show."""
    return 4 / np.pi * sum((-1) ** k * modulation(n * f) / n * (n * f <= nyquist) for k, n in enumerate((1, 3, 5)))


@pytest.fixture(scope="module")
def charts(station):
    chart = bar_chart(256, 256)
    return chart, frames_of(station, chart_bodies(station, chart, sheet_thickness_mm(station, 0.5)), 4, 1)


def test_ctf_of_a_simulated_chart_is_coltmans_series_of_the_edge(station, charts):
    """Two test objects and two ways of measuring agree; the edge's MTF is that of the screen and the pixel."""
    chart, frames = charts
    edge = frames_of(station, edge_bodies(station, sheet_thickness_mm(station, 0.5)), 1, 1)[0]
    found = ctf([frames[0].clean], chart, 0.2, frames[0].metadata["offset_adu"])
    measured = mtf([edge.clean], 0.2)
    assert measured.angle_deg == pytest.approx(-4.0, abs=0.02)
    h = station.detector.scintillator.light_spread_h_mm2

    def theory(f):
        return np.sinc(0.2 * f) / (1 + h * f**2)

    f = found.frequency_per_mm
    assert measured.at(f) == pytest.approx(theory(f), abs=0.015)
    assert found.ctf == pytest.approx(coltman(theory, f), abs=0.01)


def test_a_linear_filter_multiplies_the_mtf(station):
    edge = frames_of(station, edge_bodies(station, sheet_thickness_mm(station, 0.05)), 1, 1)[0]
    f = np.linspace(0.2, 2.0, 10)
    smooth = ndimage.gaussian_filter(edge.clean.astype(float), 0.8)
    left = mtf([smooth], 0.2).at(f) / mtf([edge.clean], 0.2).at(f)
    assert left == pytest.approx(np.exp(-2 * (np.pi * 0.8 * 0.2 * f) ** 2), abs=0.02)


def test_noise_has_no_bias_and_a_reversed_phase_is_negative(charts):
    chart, frames = charts
    told = (chart, 0.2, frames[0].metadata["offset_adu"])
    clean, noisy = ctf([frames[0].clean], *told).ctf, ctf([each.noisy for each in frames], *told).ctf
    assert noisy == pytest.approx(clean, abs=0.03)
    box = ndimage.uniform_filter1d(frames[0].clean, 7, axis=1)  # sinc(7 f) is negative from 1/7 to 2/7 a pixel
    signs = np.sign(ctf([box], *told).ctf)
    cycles = ctf([box], *told).frequency_per_mm * 0.2
    assert signs[(cycles > 0.16) & (cycles < 0.27)].tolist() == [-1, -1] and signs[0] == 1


def test_sheets_take_the_contrast_that_is_asked(station):
    for contrast in (0.5, 0.05):
        edge = frames_of(station, edge_bodies(station, sheet_thickness_mm(station, contrast)), 1, 1)[0]
        offset = edge.metadata["offset_adu"]
        open_beam, behind = edge.clean[100:150, 20:60].mean() - offset, edge.clean[100:150, 200:240].mean() - offset
        assert 1 - behind / open_beam == pytest.approx(contrast, rel=0.03)


def test_a_chart_needs_room():
    with pytest.raises(MeasurementError, match="too small for the bar chart"):
        bar_chart(64, 64)
    assert [group.count % 2 for group in bar_chart(128, 160).groups] == [1] * 8


def test_a_line_scan_shows_the_same_objects():
    """Its rows run against y and are as long as the belt's step: here square, so slant and MTF are those of a panel."""
    belt = {"lines": 128, "line_rate_hz": 1000.0, "belt_speed_m_s": 0.2}  # 0.2 mm a line, magnified to 0.4 mm
    acquisition, detector = {"quanta_per_pixel": 2000.0, **belt}, {"preset": "generic-line-400um", "columns": 128}
    scene = xsim.scene_from_dict({**STATION, "acquisition": acquisition, "detector": detector})
    edge = frames_of(scene, edge_bodies(scene, sheet_thickness_mm(scene, 0.5)), 1, 1)[0]
    found = mtf([edge.clean], 0.4)
    assert abs(found.angle_deg) == pytest.approx(4.0, abs=0.05)
    f = np.linspace(0.1, 1.0, 6)
    h = scene.detector.scintillator.light_spread_h_mm2
    assert found.at(f) == pytest.approx(np.sinc(0.4 * f) / (1 + h * f**2), abs=0.02)
