"""Heel effect: spekpy's table, images against sums over each ray's own spectrum, and laws."""

from __future__ import annotations

import numpy as np
import pytest
from station import station

from xsim import Scene
from xsim.absorption import BeamWeights, beam_weights
from xsim.backend import get_backend
from xsim.errors import SceneError
from xsim.heel import heel_basis, heel_beams, take_off_sines
from xsim.material import attenuation
from xsim.radiograph import expose
from xsim.source import Source

ANODE = [-1.0, 0.0, 0.0]
TUBE = {"voltage_kv": 120.0, "anode_angle_deg": 12.0, "filters": [{"material": "Al", "thickness_mm": 2.0}]}
#: spekpy 2.5.4, kqp, off the axis at 1 m: x cm towards the cathode, fluence M/cm2/mAs, HVL mm Al.
TABLE = [(-10, 332.02, 4.414), (-5, 370.09, 4.022), (0, 393.15, 3.767), (5, 406.62, 3.585), (10, 413.10, 3.448)]


def wide_panel(columns: int = 201, **fields: object) -> Scene:
    """A panel 20 cm wide at 1 m: 201 columns of 1 mm, the anode on the side of column 0."""
    source = {**TUBE, "heel": True, "anode_direction": ANODE, **fields}
    return station(shape=(3, columns), pitch_mm=201.0 / columns, source=source, response="ideal")


@pytest.mark.parametrize(("x_cm", "fluence", "hvl_mm"), TABLE)
def test_spectra_off_the_axis_are_those_of_the_table(x_cm, fluence, hvl_mm):
    """Within 2 %: the basis' spectrum at the pixel's take-off angle, times the inverse square from 1 m on the axis."""
    scene = wide_panel()
    sine = take_off_sines(scene.source, scene.view)
    basis = heel_basis(scene.source, scene.edges_kev, *np.degrees(np.arcsin([sine.min(), sine.max()])))
    column = 100 + 10 * x_cm
    shares = basis.shares(sine)[:, 1, column]
    photons = sum(share * s.photons_per_bin for share, s in zip(shares, basis.spectra, strict=True))
    beam = Source.model_validate(TUBE).photons(scene.edges_kev)
    inverse_square = 1 / (1 + (x_cm / 100) ** 2)
    assert photons.sum() * inverse_square * 100 / 1e6 == pytest.approx(fluence, rel=0.02)
    bent = type(beam)(beam.energy_kev, photons / beam.bin_width_kev, beam.bin_width_kev)
    assert bent.half_value_layer_mm("Al") == pytest.approx(hvl_mm, rel=0.02)


@pytest.mark.parametrize(("material", "thickness_mm"), [("PMMA", 50.0), ("Fe", 10.0)])
def test_images_are_sums_over_each_rays_own_spectrum(material, thickness_mm):
    """Energy behind a plate, pixel by pixel, against the spectrum of that take-off angle: the basis is good to 1e-3."""
    scene = wide_panel(columns=21)
    plate = {"shape": "box", "material": material, "size_mm": [400.0, 400.0, thickness_mm]}
    plated = Scene.model_validate({**scene.model_dump(exclude_none=True), "body": [plate]})
    found = np.asarray(expose(plated, "cpu").signal, np.float64)[1]
    x = (np.arange(21) - 10) * 201.0 / 21
    cosine = 1000.0 / np.hypot(1000.0, x)
    expected = []
    for beta, c in zip(12.0 + np.degrees(np.arctan(x / 1000.0)), cosine, strict=True):
        beam = plated.source.photons(plated.edges_kev, beta)
        left = np.exp(-attenuation(material, beam.energy_kev) * thickness_mm / c)
        expected.append(c**3 * beam.photons_per_bin @ (beam.energy_kev * left))
    expected = np.array(expected)
    np.testing.assert_allclose(found / found[10], expected / expected[10], rtol=1.5e-3)


def test_the_side_of_the_anode_is_darker_and_harder():
    open_beam = np.asarray(expose(wide_panel(), "cpu").signal)[1]
    assert (np.diff(open_beam[:160]) > 0).all()
    away = np.asarray(expose(wide_panel(anode_direction=[1.0, 0.0, 0.0]), "cpu").signal)[1]
    np.testing.assert_allclose(away, open_beam[::-1], rtol=1e-6)


def test_the_middle_is_as_without():
    bent, straight = (expose(s, "cpu") for s in (wide_panel(), wide_panel(heel=False, anode_direction=None)))
    assert bent.mas == straight.mas
    assert float(bent.signal[1, 100]) == pytest.approx(float(straight.signal[1, 100]), rel=1e-5)
    np.testing.assert_array_equal(bent.labels, straight.labels)


def test_nothing_comes_from_below_the_targets_surface():
    """At 300 mm a pixel 70 mm aside is 13.1 degrees off the axis, beyond the 12 degrees of the anode."""
    source = {**TUBE, "heel": True, "anode_direction": ANODE}
    scene = station(shape=(3, 141), pitch_mm=1.0, sod_mm=150.0, sdd_mm=300.0, source=source, response="ideal")
    signal = np.asarray(expose(scene, "cpu").signal)[1]
    angle = 12.0 + np.degrees(np.arctan((np.arange(141) - 70) / 300.0))
    assert (signal[angle <= 0] == 0).all()
    assert (signal[angle > 0] > 0).all()
    assert (np.diff(signal[:70]) >= 0).all()


def test_a_tilted_station_has_the_same_heel():
    """Source and panel turned together about y: the central ray is what the anode angle belongs to."""
    turn = np.radians(25.0)
    source = {**TUBE, "heel": True}
    detector = {"preset": "generic-gos-200um", "rows": 3, "columns": 31, "pitch_mm": 5.0, "response": "ideal"}
    along, across = np.array([np.sin(turn), 0, np.cos(turn)]), np.array([np.cos(turn), 0, -np.sin(turn)])
    scenes = [
        {"geometry": {"sod_mm": 500.0, "sdd_mm": 1000.0}, "source": {**source, "anode_direction": ANODE}},
        {
            "geometry": {
                "source_position_mm": (-500 * along).tolist(),
                "detector_position_mm": (500 * along).tolist(),
                "detector_rotation_deg": [0.0, 25.0, 0.0],
            },
            "source": {**source, "anode_direction": (-across).tolist()},
        },
    ]
    built = [Scene.model_validate({**s, "detector": detector, "acquisition": {"exposure_s": 1.0}}) for s in scenes]
    images = [np.asarray(expose(s, "cpu").signal) for s in built]
    np.testing.assert_allclose(images[1], images[0], rtol=1e-5)


def test_a_focal_spot_under_a_heel_is_the_mean_over_its_points():
    """An edge blurred by the spot, far from the heel's range: the profile's ends are those without a spot."""
    edge = {"shape": "box", "material": "W", "size_mm": [20.0, 20.0, 5.0], "position_mm": [10.0, 0.0, 0.0]}
    scene = wide_panel(focal_spot_mm=2.0)
    sharp, blurred = (
        np.asarray(expose(Scene.model_validate({**s.model_dump(exclude_none=True), "body": [edge]}), "cpu").signal)[1]
        for s in (wide_panel(), scene)
    )
    far = np.r_[0:80, 110:130]
    np.testing.assert_allclose(blurred[far], sharp[far], rtol=2e-3)
    assert 0.2 < (blurred[100] / sharp[90]) < 0.8


@pytest.mark.parametrize("direction", [[0.0, 0.0, 1.0], [0.0, 0.0, -2.0]])
def test_an_anode_along_the_beam_is_refused(direction):
    scene = wide_panel(anode_direction=direction)
    with pytest.raises(SceneError, match="across"):
        expose(scene, get_backend("cpu"))


def test_each_line_of_a_scan_has_the_heel_of_a_panels_row():
    source = {**TUBE, "heel": True, "anode_direction": ANODE}
    run = {"exposure_s": 0.1, "belt_speed_m_s": 0.005, "line_rate_hz": 10.0, "lines": 4}
    scene = station(
        preset="generic-line-400um", kind="line_scan", shape=(1, 201), pitch_mm=1.0, source=source, acquisition=run,
        response="ideal",
    )  # fmt: skip
    lines, panel = (np.asarray(expose(s, "cpu").signal) for s in (scene, wide_panel()))
    assert lines.shape == (4, 201)
    for line in lines:
        np.testing.assert_allclose(line, panel[1], rtol=1e-6)


@pytest.mark.parametrize("voltage_kv", [10.0, 15.0, 25.0])
def test_a_heel_at_low_voltage_needs_no_absorber_that_nothing_passes(voltage_kv):
    scene = wide_panel(columns=21, voltage_kv=voltage_kv, filters=[{"material": "Be", "thickness_mm": 0.5}])
    signal = np.asarray(expose(scene, "cpu").signal)[1]
    assert np.isfinite(signal).all() and (signal > 0).all()
    assert (np.diff(signal[:10]) > 0).all()
    sine = take_off_sines(scene.source, scene.view)
    found = heel_basis(scene.source, scene.edges_kev, *np.degrees(np.arcsin([sine.min(), sine.max()])))
    assert found.error <= 1e-3


def test_few_energies_stand_for_one_spectrum_only():
    scene = wide_panel(columns=3)
    weights = beam_weights(scene, scene.view, 1.0)
    few = BeamWeights(weights.energy_kev[::9], weights.signal_kev[::9], weights.variance_kev2[::9])
    assert heel_beams(scene, scene.view, weights)[0][0].quanta == weights.quanta
    with pytest.raises(SceneError, match="use all energies"):
        heel_beams(scene, scene.view, few)


def test_a_parallel_beam_has_no_heel():
    source = {**TUBE, "heel": True, "anode_direction": ANODE}
    detector = {"preset": "generic-gos-200um", "rows": 3, "columns": 3}
    with pytest.raises(ValueError, match="parallel"):
        Scene.model_validate({"source": source, "geometry": {"beam": "parallel"}, "detector": detector})
