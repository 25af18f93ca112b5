"""What a tube adds to its spectrum: edges, other targets, ripple, drift, calibration, a spot that grows."""

from __future__ import annotations

import numpy as np
import pytest
from station import station

from xsim import tube_cache
from xsim.absorption import beam_weights
from xsim.errors import SceneError, SpectrumError
from xsim.focal_spot import spot_points, spot_size_mm
from xsim.generator import voltages_over_time
from xsim.material import attenuation
from xsim.radiograph import expose
from xsim.source import Source, bare_tube
from xsim.spectrum import Spectrum, tube_spectrum
from xsim.tube import GRIDS, emission_from_grid

AL = [{"material": "Al", "thickness_mm": 2.0}]


def tube(**fields: object) -> Source:
    return Source.model_validate({"voltage_kv": 120.0, "filters": AL, **fields})


# --- absorption edges -------------------------------------------------------------------------------------------------


def borders(beam: Spectrum) -> np.ndarray:
    return np.append(beam.energy_kev - 0.5 * beam.bin_width_kev, beam.energy_kev[-1] + 0.5 * beam.bin_width_kev[-1])


@pytest.mark.parametrize(
    ("screen", "material", "edges"),
    [
        ("GOS", "Al", [50.239]),
        ("CsI", "PMMA", [33.169, 35.985]),
        ("GOS", "Pb", [50.239, 88.005]),
        ("CdWO4", "Sn", [26.711, 29.200, 69.525]),
    ],
)
def test_every_k_edge_in_the_beam_is_a_border_of_bins(screen, material, edges):
    """PHYSICS: I 33.169, Cs 35.985, Gd 50.239, W 69.525, Pb 88.005, Cd 26.711, Sn 29.200 keV."""
    scene = station(
        {"shape": "box", "size_mm": [1, 1, 1], "material": material},
        source={"voltage_kv": 120.0, "filters": AL},
        scintillator={"material": screen},
    )
    found = borders(scene.source.photons(scene.edges_kev))
    for edge in edges:
        assert np.abs(found - edge).min() < 6e-3  # 88.005 keV: the border at 88 serves
    whole = scene.source.photons()
    cut = scene.source.photons(scene.edges_kev)
    assert cut.energy_kev.size > whole.energy_kev.size
    assert cut.fluence == pytest.approx(whole.fluence, rel=1e-4)


def test_edges_where_the_beam_has_nothing_change_nothing():
    """The K edges of iron and of the filter lie where 2 mm of aluminium leave nothing; 88 keV is above 80 kV."""
    source = tube(voltage_kv=80.0)
    np.testing.assert_array_equal(source.photons([1.5596, 7.112, 88.005]).photons, source.photons().photons)


@pytest.mark.parametrize("voltage_kv", [90.0, 120.0])
def test_bins_cut_at_edges_give_what_fine_bins_give(voltage_kv):
    """Signal of a GOS screen behind tin: against bins of a quarter keV, 3e-4; uncut bins err by 3e-3."""

    def signals(edges: list[float]) -> np.ndarray:
        beam = bare_tube(tube(voltage_kv=voltage_kv)._emitter(), voltage_kv, 0.0, "sine", tuple(edges)).filtered(
            [("Al", 2.0)]
        )
        mu = attenuation("GOS", beam.energy_kev)
        absorbed = beam.photons_per_bin * beam.energy_kev * -np.expm1(-mu * 0.18)
        return np.array([absorbed @ np.exp(-attenuation("Sn", beam.energy_kev) * t) for t in (0.0, 0.1, 0.3)])

    edges = [29.2001, 50.2391]
    fine = signals([*edges, *np.arange(1.25, voltage_kv, 0.25)])
    np.testing.assert_allclose(signals(edges), fine, rtol=3e-4)
    assert np.abs(signals([]) / fine - 1).max() > 2e-3


# --- targets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("target", "line_kev"), [("Cr", 5.4), ("Cu", 8.05), ("Mo", 17.5), ("Rh", 20.2), ("Ag", 22.2)])
def test_other_targets_shine_in_their_k_alpha_line(target, line_kev):
    """Energies of K-L2,3 (NIST X-ray transition energies): 5.41, 8.05, 17.48, 20.22, 22.16 keV."""
    emission = emission_from_grid(45.0, 12.0, target)
    k_lines = emission.line_energy_kev > 5.0
    strongest = np.argmax(emission.line_photons * k_lines)
    assert emission.line_energy_kev[strongest] == pytest.approx(line_kev, abs=0.1)


@pytest.mark.parametrize("target", sorted(GRIDS))
def test_each_grid_rises_with_voltage_and_angle(target):
    filters = [("Be", 0.8), ("Al", 0.2)]
    by_voltage = [tube_spectrum(v, target, filters=filters).air_kerma_ugy for v in np.linspace(12, 50, 39)]
    by_angle = [tube_spectrum(40, target, a, filters).air_kerma_ugy for a in np.linspace(6, 30, 25)]
    assert (np.diff(by_voltage) > 0).all()
    assert (np.diff(by_angle) > 0).all()


@pytest.mark.parametrize("target", ["Cr", "Cu", "Mo", "Rh", "Ag", "Au"])
def test_other_grids_are_spekpy_between_their_nodes(target, tmp_path, monkeypatch):
    """What the docstring of ``xsim.tube`` says of the error above 25 kV."""
    pytest.importorskip("spekpy")
    monkeypatch.setattr(tube_cache, "cache_directory", lambda kind: tmp_path)
    filters = [("Be", 0.8), ("Al", 0.5)]
    direct = tube_spectrum(33.0, target, 11.0, filters, model="spekpy")
    grid = tube_spectrum(33.0, target, 11.0, filters)
    assert grid.fluence == pytest.approx(direct.fluence, rel=4e-3)
    assert grid.mean_energy_kev == pytest.approx(direct.mean_energy_kev, rel=1.5e-3)
    assert grid.half_value_layer_mm("Al") == pytest.approx(direct.half_value_layer_mm("Al"), rel=8e-3)


def test_a_transmission_target_comes_from_spekpy_once(tmp_path, monkeypatch):
    pytest.importorskip("spekpy")
    monkeypatch.setattr(tube_cache, "cache_directory", lambda kind: tmp_path)
    bare_tube.cache_clear()
    thin = tube(voltage_kv=60.0, target_type="transmission", target_thickness_um=5.0)
    beam = thin.photons()
    monkeypatch.setattr(tube_cache, "run_spekpy", None)  # a second run would fail
    bare_tube.cache_clear()
    np.testing.assert_array_equal(thin.photons().photons, beam.photons)
    reflected = tube(voltage_kv=60.0).photons()  # its photons come through less of the target
    assert 0.5 < beam.fluence / reflected.fluence < 3.0
    assert beam.energy_kev[-1] < 60.0


# --- ripple, drift, output --------------------------------------------------------------------------------------------


def test_mean_voltages_of_rectified_sines():
    """Two pulses: 2 / pi of the peak; six: 3 / pi; and each shape reaches its peak and its lowest value."""
    for share, mean in ((1.0, 2 / np.pi), (1 - np.cos(np.pi / 6), 3 / np.pi)):
        assert voltages_over_time(100.0, share, count=500).mean() == pytest.approx(100 * mean, rel=1e-5)
    for shape in ("rectified", "sine"):
        kv = voltages_over_time(100.0, 0.2, shape, count=500)
        assert kv.max() == pytest.approx(100.0, abs=0.01)
        assert kv.min() == pytest.approx(80.0, abs=0.2)


@pytest.mark.parametrize(("share", "shape"), [(1.0, "rectified"), (0.134, "rectified"), (0.3, "sine")])
def test_ripple_is_the_mean_over_the_voltages(share, shape):
    """Against a mean over 400 moments; below 10 kV there is nothing, and nothing comes through the filter."""
    voltages = [v for v in voltages_over_time(120.0, share, shape, count=400) if v >= 10]
    beams = [tube_spectrum(float(v), filters=[("Al", 2.0)]) for v in voltages]
    mean = sum(beam.fluence for beam in beams) / 400
    energy = sum(beam.fluence * beam.mean_energy_kev for beam in beams) / 400 / mean
    found = tube(ripple_share=share, ripple_shape=shape).photons()
    assert found.fluence == pytest.approx(mean, rel=1e-3)
    assert found.mean_energy_kev == pytest.approx(energy, rel=1e-3)
    assert found.mean_energy_kev < tube().photons().mean_energy_kev


def test_no_ripple_is_the_spectrum_itself():
    np.testing.assert_array_equal(tube().photons().photons, tube_spectrum(120, filters=[("Al", 2.0)]).photons)


def test_drift_goes_along_the_lines_of_a_scan():
    run = {"exposure_s": 1e-4, "belt_speed_m_s": 0.02, "line_rate_hz": 100.0, "lines": 50}
    lines = {"kind": "line_scan", "preset": "generic-line-400um", "rows": 1, "pitch_mm": 0.4, "columns": 16}
    scenes = [
        station(source=s, acquisition=run, **lines)
        for s in ({"voltage_kv": 90.0}, {"voltage_kv": 90.0, "drift_share_per_s": -0.2})
    ]
    steady, drifting = (np.asarray(expose(s, "cpu").signal, np.float64) for s in scenes)
    rows = np.arange(50) / 100.0
    margin = (steady.shape[0] - 50) // 2
    np.testing.assert_allclose((drifting / steady)[margin : margin + 50, 8], 1 - 0.2 * rows, rtol=1e-6)


def test_output_is_calibrated_by_kerma():
    source = tube(voltage_kv=90.0)
    measured = 57.0
    calibrated = tube(voltage_kv=90.0, output_factor=source.output_factor_for(measured))
    assert calibrated.photons().air_kerma_ugy == pytest.approx(measured, rel=1e-12)
    scenes = [station(source=s.model_dump(exclude_none=True), shape=(2, 2)) for s in (source, calibrated)]
    weights = [beam_weights(s, s.view, 1.0) for s in scenes]
    assert weights[1].quanta / weights[0].quanta == pytest.approx(calibrated.output_factor, rel=1e-12)
    with pytest.raises(SpectrumError, match="positive"):
        source.output_factor_for(-1.0)


def test_inherent_filters_come_before_the_others():
    window = [{"material": "Be", "thickness_mm": 0.8}]
    both = tube(inherent_filters=window).photons()
    np.testing.assert_allclose(both.photons, tube(filters=[*window, *AL]).photons().photons, rtol=1e-12)


# --- the spot that grows ----------------------------------------------------------------------------------------------


def test_the_spot_grows_with_power_beyond_a_power():
    """100 kV: 0.05 mm up to 20 W, then 1 um for every watt; 0.3 mA are 30 W."""
    fields = {"voltage_kv": 100.0, "focal_spot_mm": 0.05, "focal_spot_growth_mm_per_w": 0.001}
    sizes = [spot_size_mm(tube(**fields, focal_spot_full_power_w=20.0, current_ma=ma)) for ma in (0.1, 0.2, 0.3, 0.5)]
    np.testing.assert_allclose([w for w, _ in sizes], [0.05, 0.05, 0.06, 0.08])
    grown = tube(**fields, focal_spot_full_power_w=20.0, current_ma=0.3)
    np.testing.assert_allclose(spot_points(grown, 27), spot_points(tube(focal_spot_mm=0.06), 27), atol=1e-15)


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"target": "Mo", "voltage_kv": 60.0}, "the Mo grid holds 10 to 50"),
        ({"target": "Fe"}, "the grids hold W, Cr"),
        ({"target_type": "transmission"}, "needs target_thickness_um"),
        ({"target_type": "transmission", "target_thickness_um": 5.0, "anode_angle_deg": 20.0}, "no anode_angle_deg"),
        ({"target_type": "transmission", "target_thickness_um": 5e3}, "0.1 to 1000"),
        ({"target_thickness_um": 5.0}, "transmission"),
        ({"heel": True}, "anode_direction"),
        ({"heel": True, "anode_direction": [0, 0, 0]}, "anode_direction"),
        ({"anode_direction": [1, 0, 0]}, "heel = true"),
        ({"heel": True, "anode_direction": [1, 0, 0], "target": "Mo", "voltage_kv": 40.0}, 'target = "W"'),
        ({"ripple_share": 1.5}, "less than or equal to 1"),
        ({"voltage_kv": None, "energy_kev": 60.0, "ripple_share": 0.1}, "no voltage_kv"),
        ({"focal_spot_growth_mm_per_w": 0.001}, "needs focal_spot_mm"),
        ({"drift_share_per_s": 0.01}, "line scan"),
        ({"output_factor": 0.0}, "greater than 0"),
    ],
)
def test_what_no_tube_does_is_one_line_that_helps(fields, says):
    source = {k: v for k, v in {"voltage_kv": 120.0, "filters": AL, **fields}.items() if v is not None}
    with pytest.raises((SceneError, SpectrumError), match=says) as caught:
        station(source=source)
    assert "\n" not in str(caught.value)
