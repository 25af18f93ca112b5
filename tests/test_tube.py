"""Tube model: laws between the nodes of the shipped grid, and spekpy with its cache."""

import numpy as np
import pytest

from xsim import tube_cache
from xsim.errors import SpectrumError
from xsim.spectrum import tube_spectrum
from xsim.tube import bin_edges_kev, emission_at_take_off, emission_from_grid


def test_more_voltage_gives_more_photons_and_no_photon_exceeds_it():
    for voltage_kv in (10, 40, 69.4, 70.2, 120.37, 500):
        beam = tube_spectrum(voltage_kv)
        upper = beam.energy_kev + beam.bin_width_kev / 2
        assert upper.max() == pytest.approx(voltage_kv)
        assert beam.photons.min() >= 0
    beams = [tube_spectrum(v, filters=[("Al", 2.0)]).fluence for v in np.linspace(20, 500, 97)]
    assert np.all(np.diff(beams) > 0)


@pytest.mark.parametrize("voltage_kv", [11, 39, 69, 70, 72, 74, 80, 100, 150, 250, 300, 480])
def test_continuous_in_voltage_at_the_nodes(voltage_kv):
    below = tube_spectrum(voltage_kv - 1e-6)
    at, above = tube_spectrum(voltage_kv), tube_spectrum(voltage_kv + 1e-6)
    for beam in (below, above):
        assert beam.fluence == pytest.approx(at.fluence, rel=1e-6)
        assert beam.mean_energy_kev == pytest.approx(at.mean_energy_kev, rel=1e-6)


@pytest.mark.parametrize("angle_deg", [7, 10, 16, 22, 25])
def test_continuous_in_angle_at_the_nodes(angle_deg):
    at = tube_spectrum(110, anode_angle_deg=angle_deg)
    for near in (angle_deg - 1e-6, angle_deg + 1e-6):
        beam = tube_spectrum(110, anode_angle_deg=near)
        np.testing.assert_allclose(beam.photons, at.photons, rtol=1e-5)


def test_a_steeper_anode_lets_more_out():
    fluence = [tube_spectrum(120, anode_angle_deg=a).fluence for a in np.linspace(6, 30, 49)]
    assert np.all(np.diff(fluence) > 0)


def test_a_grazing_ray_comes_through_more_of_the_target():
    """Take-off angles of the heel effect: 2 degrees to beyond the greatest of the grid; continuous at its nodes."""
    emissions = [emission_at_take_off(120.0, angle) for angle in np.linspace(2, 45, 87)]
    assert np.all(np.diff([e.continuum.sum() for e in emissions]) > 0)
    assert np.all(np.diff([e.line_photons.sum() for e in emissions]) > 0)
    mean_kev = [e.continuum @ (np.arange(1.5, 120.0)) / e.continuum.sum() for e in emissions]
    assert np.all(np.diff(mean_kev) < 0)
    for node in (3.0, 4.2, 6.0):
        at, near = (emission_at_take_off(120.0, angle).continuum for angle in (node, node + 1e-6))
        np.testing.assert_allclose(near, at, rtol=1e-4)
    for target, angle in (("W", 1.9), ("Mo", 5.0)):
        with pytest.raises(SpectrumError, match=f"the {target} grid begins at"):
            emission_at_take_off(40.0, angle, target)


def test_smooth_between_the_nodes():
    """Half-way between two near voltages the fluence is near the mean of theirs."""
    for low, high in ((48, 52), (69, 72), (100, 105), (200, 210), (400, 420)):
        ends = [tube_spectrum(v, filters=[("Al", 2.0)]).fluence for v in (low, high)]
        middle = tube_spectrum((low + high) / 2, filters=[("Al", 2.0)]).fluence
        assert ends[0] < middle < ends[1]
        assert middle == pytest.approx(sum(ends) / 2, rel=0.003)


def test_lines_keep_their_photons_and_energies():
    emission = emission_from_grid(130.0, 12.0)
    energy, width, photons = emission.spectrum()
    lines = photons * width - emission.continuum * width
    assert lines.sum() == pytest.approx(emission.line_photons.sum(), rel=1e-12)
    assert lines @ energy == pytest.approx(emission.line_photons @ emission.line_energy_kev)
    strongest = emission.line_energy_kev[emission.line_energy_kev > 20]
    assert strongest.min() == pytest.approx(57.98, abs=0.06)  # K-L2
    assert emission_from_grid(69.0, 12.0).line_photons[emission.line_energy_kev > 20].sum() == 0


def test_self_absorption_edge_stays_put():
    """The continuum drops across 69.5 keV at any voltage, between nodes too."""
    for voltage_kv in (100.0, 102.5, 143.0, 331.0):
        continuum = emission_from_grid(voltage_kv, 8.0).continuum
        below, above = continuum[67], continuum[70]  # 68.5 and 71.5 keV
        assert above < 0.8 * below


def test_bins_end_at_the_voltage():
    np.testing.assert_array_equal(bin_edges_kev(12.0), np.arange(1, 13))
    np.testing.assert_array_equal(bin_edges_kev(3.25), [1, 2, 3, 3.25])


def test_without_spekpy_the_extra_is_named(monkeypatch):
    def absent(name):
        raise tube_cache.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(tube_cache.importlib.metadata, "version", absent)
    with pytest.raises(SpectrumError, match=r"xsim\[spectra\]"):
        tube_spectrum(40, target="Mo", model="spekpy")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(tube_cache, "cache_directory", lambda kind: tmp_path / "spectra")
    return tmp_path / "spectra"


@pytest.fixture
def spekpy():
    return pytest.importorskip("spekpy")


@pytest.mark.parametrize(("voltage_kv", "angle_deg"), [(33.3, 11.0), (73.5, 9.0), (112.7, 17.0), (185.0, 7.5)])
def test_grid_is_spekpy_between_its_nodes(spekpy, cache, voltage_kv, angle_deg):
    """What the docstring of ``xsim.tube`` says of the error; here four points."""
    direct = tube_spectrum(voltage_kv, "W", angle_deg, [("Al", 2.0)], model="spekpy")
    grid = tube_spectrum(voltage_kv, "W", angle_deg, [("Al", 2.0)])
    assert grid.fluence == pytest.approx(direct.fluence, rel=1.0e-3)
    assert grid.mean_energy_kev == pytest.approx(direct.mean_energy_kev, rel=0.7e-3)
    hvl_mm = direct.half_value_layer_mm("Al")
    assert grid.half_value_layer_mm("Al") == pytest.approx(hvl_mm, rel=0.7e-3)


def test_other_targets_come_from_spekpy(spekpy, cache):
    beam = tube_spectrum(35, "Mo", filters=[("Mo", 0.03)], model="spekpy")
    assert beam.energy_kev[np.argmax(beam.photons)] == pytest.approx(17.5, abs=0.6)  # Mo K-L3


def test_the_cache_gives_back_the_same_and_survives_damage(spekpy, cache, monkeypatch):
    first = tube_spectrum(20, "Cu", model="spekpy")
    (stored,) = cache.glob("*.npz")
    monkeypatch.setattr(tube_cache, "run_spekpy", None)  # a second run would fail
    np.testing.assert_array_equal(tube_spectrum(20, "Cu", model="spekpy").photons, first.photons)
    monkeypatch.undo()
    monkeypatch.setattr(tube_cache, "cache_directory", lambda kind: cache)
    stored.write_bytes(b"PK half a file")
    np.testing.assert_array_equal(tube_spectrum(20, "Cu", model="spekpy").photons, first.photons)
    tube_spectrum(20, "Cu", anode_angle_deg=15, model="spekpy")
    assert len(list(cache.iterdir())) == 2


def test_a_cache_that_cannot_be_written_costs_only_time(spekpy, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(tube_cache, "cache_directory", lambda kind: tmp_path / "file" / "spectra")
    assert tube_spectrum(20, "Cu", model="spekpy").fluence > 0
