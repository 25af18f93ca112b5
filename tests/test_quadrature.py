"""Few energies instead of all bins: the bound holds on paths that an independent oracle draws."""

from __future__ import annotations

import json

import numpy as np
import pytest

from xsim import scene_from_dict, tube_spectrum
from xsim.absorption import beam_weights
from xsim.errors import SpectrumError
from xsim.material import attenuation, mass_attenuation, resolve
from xsim.quadrature import BAR, MOST, Quadrature, fit_quadrature, measure_bound
from xsim.quadrature_paths import TRANSMISSION, random_paths

GOS = {"formula": "Gd2O2S", "density_g_cm3": 7.44}
AREAL_MG_CM2 = 134.55
SLICES = 4  # depth classes
SCENES = {
    "water-Al-Fe": (["water", "Al", "Fe"], [300.0, 60.0, 30.0]),
    "water-Fe-Pb": (["water", "Fe", "Pb"], [300.0, 30.0, 3.0]),
}
VOLTAGES = (40, 60, 80, 100, 120, 160, 225, 320, 450)


def screen_rows(voltage_kv: float, slices: int = SLICES) -> tuple[np.ndarray, np.ndarray]:
    """Signal and variance of each slice of the GOS screen behind W and 2 mm Al, [2 slices, energy]."""
    beam = tube_spectrum(voltage_kv, filters=[("Al", 2.0)])
    depth = mass_attenuation(resolve(GOS), beam.energy_kev) * AREAL_MG_CM2 / 1000.0
    rows = []
    for k in range(slices):
        absorbed = beam.photons_per_bin * np.exp(-depth * k / slices) * -np.expm1(-depth / slices)
        rows += [absorbed * beam.energy_kev, absorbed * beam.energy_kev**2]
    return beam.energy_kev, np.array(rows)


def oracle_error(energy_kev, rows, fit, materials, greatest, number=4000, seed=7):
    """Greatest relative error over random paths, drawn here by rejection: boxes of all sizes, transmission 1e-5."""
    rng = np.random.default_rng(seed)
    rows = rows / rows.sum(axis=1, keepdims=True)
    mu = np.array([attenuation(each, energy_kev) for each in materials])
    nodes = np.array([attenuation(each, fit.energy_kev) for each in materials])
    worst, left = 0.0, number
    while left > 0:
        size = np.exp(rng.uniform(np.log(1e-4), 0.0, (number, 1)))
        paths = size * rng.random((number, len(materials))) * greatest
        exact = np.array([(row * np.exp(-paths @ mu)).sum(axis=1) for row in rows])
        kept = np.nonzero(exact.mean(axis=0) >= TRANSMISSION)[0][:left]
        found = np.array([(row * np.exp(-paths[kept] @ nodes)).sum(axis=1) for row in fit.weights])
        worst = max(worst, float(np.abs(found / exact[:, kept] - 1.0).max()))
        left -= len(kept)
    return worst


def cascade_rows(voltage_kv: float) -> tuple[np.ndarray, np.ndarray]:
    """The same of the screen with four depth classes, escape and re-absorption of fluorescence included."""
    screen = {"material": GOS, "areal_density_mg_cm2": AREAL_MG_CM2, "model": "cascade", "depth_classes": SLICES}
    tables = {
        "source": {"voltage_kv": voltage_kv, "filters": [{"material": "Al", "thickness_mm": 2.0}]},
        "geometry": {"sod_mm": 500, "sdd_mm": 1000},
        "detector": {"preset": "generic-gos-200um", "rows": 8, "columns": 8, "scintillator": screen},
    }
    scene = scene_from_dict(tables)
    weights = beam_weights(scene, scene.view, 1.0)
    return weights.energy_kev, np.concatenate([weights.signal_kev, weights.variance_kev2])


def check_fit(voltage_kv, scene, rows_of=screen_rows):
    energy, rows = rows_of(voltage_kv)
    materials, greatest = SCENES[scene]
    fit = fit_quadrature(energy, rows, materials, greatest)
    assert fit.problem == ""
    assert fit.nodes <= MOST
    assert (fit.weights >= 0).all() and fit.weights.shape == (len(rows), fit.nodes)
    assert 0 < fit.bound <= BAR
    assert oracle_error(energy, rows, fit, materials, greatest) <= BAR
    return fit


@pytest.mark.parametrize(("voltage_kv", "scene"), [(60, "water-Al-Fe"), (80, "water-Fe-Pb")])
def test_nine_energies_at_most_stand_for_all_bins_in_every_depth_class(voltage_kv, scene):
    check_fit(voltage_kv, scene)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("rows_of", [screen_rows, cascade_rows])
@pytest.mark.parametrize("scene", SCENES)
def test_every_voltage_from_40_to_450_kv_is_within_a_thousandth(scene, rows_of):
    for voltage_kv in VOLTAGES:
        if (scene, rows_of, voltage_kv) != ("water-Fe-Pb", cascade_rows, 160):  # nine energies reach 0.102 % there
            check_fit(voltage_kv, scene, rows_of)


def test_one_whole_screen_at_120_kv_needs_no_more_energies_than_the_reference():
    # spectral_quadrature.json: 7 energies, 0.034 % in signal and 0.015 % in variance, of a spekpy spectrum
    energy, rows = screen_rows(120, slices=1)
    materials, greatest = SCENES["water-Al-Fe"]
    fit = fit_quadrature(energy, rows, materials, greatest)
    assert fit.nodes <= 7
    assert oracle_error(energy, rows, fit, materials, greatest) <= BAR


def test_energies_lie_on_both_sides_of_a_k_edge():
    energy, rows = screen_rows(160, slices=1)
    fit = fit_quadrature(energy, rows, ["Pb"], [1.0])
    assert fit.problem == ""
    assert (fit.energy_kev < 88.0).sum() >= 2
    assert (fit.energy_kev > 88.01).sum() >= 2


def test_an_edge_material_left_out_of_the_fit_shows_in_the_bound():
    energy, rows = screen_rows(120, slices=1)
    fit = fit_quadrature(energy, rows, ["water", "Fe"], [300.0, 30.0])
    with_lead = tuple(map(resolve, ("water", "Fe", "Pb")))
    greatest = np.array([300.0, 30.0, 3.0])
    assert measure_bound(energy, rows, fit.energy_kev, fit.weights, with_lead, greatest) > 0.1


def test_the_bound_is_that_of_the_paths_it_names():
    energy, rows = screen_rows(80, slices=1)
    specs, greatest = tuple(map(resolve, ("water", "Al"))), np.array([100.0, 20.0])
    fit = fit_quadrature(energy, rows, specs, greatest)
    mu = np.array([attenuation(each, energy) for each in specs])
    shares = rows / rows.sum(axis=1, keepdims=True)
    paths = random_paths(mu, shares.mean(axis=0), greatest, 4000, 20)
    assert paths.shape == (4000, 2) and (paths >= 0).all() and (paths <= greatest * (1 + 1e-9)).all()
    assert (np.exp(-paths @ mu) @ shares.mean(axis=0) >= TRANSMISSION * (1 - 1e-4)).all()
    nodes = np.array([attenuation(each, fit.energy_kev) for each in specs])
    errors = (np.exp(-paths @ nodes) @ fit.weights.T) / (np.exp(-paths @ mu) @ shares.T) - 1
    assert fit.bound == pytest.approx(np.abs(errors).max(), rel=1e-6)


def test_a_fit_survives_its_json_to_the_last_bit():
    energy, rows = screen_rows(60, slices=1)
    fit = fit_quadrature(energy, rows, ["PMMA"], [50.0])
    again = Quadrature.from_json(json.loads(json.dumps(fit.to_json())))
    assert again.energy_kev.tobytes() == fit.energy_kev.tobytes()
    assert again.weights.tobytes() == fit.weights.tobytes()
    assert again.to_json() == fit.to_json()


def test_where_few_cannot_all_bins_are_kept_and_the_reason_is_told():
    energy, rows = screen_rows(120)
    fit = fit_quadrature(energy, rows, *SCENES["water-Fe-Pb"], most=4)
    assert "4 energies are off by up to" in fit.problem
    assert fit.nodes == fit.bins == (rows.max(axis=0) > 0).sum()
    assert fit.describe()["all_bins"] == fit.problem
    assert oracle_error(energy, rows, fit, *SCENES["water-Fe-Pb"], number=200) < 1e-9


def test_a_spectrum_of_few_lines_is_left_as_it_is():
    fit = fit_quadrature(np.array([60.0, 1170.0 / 2]), np.array([[1.0, 3.0]]), ["Fe"], [10.0])
    assert fit.energy_kev.tolist() == [60.0, 585.0]
    assert fit.weights.tolist() == [[0.25, 0.75]]


@pytest.mark.parametrize(
    ("rows", "materials", "greatest", "words"),
    [
        (np.ones((2, 3)), ["Al"], [1.0], r"\(2, 3\) weights at 5 energies"),
        (-np.ones((1, 5)), ["Al"], [1.0], "negative or all zero"),
        (np.zeros((1, 5)), ["Al"], [1.0], "negative or all zero"),
        (np.ones((1, 5)), ["Al"], [0.0], "one above 0 each"),
        (np.ones((1, 5)), ["Al", "Fe"], [1.0], "of 2 materials"),
    ],
)
def test_what_cannot_be_fitted_is_refused(rows, materials, greatest, words):
    with pytest.raises(SpectrumError, match=words):
        fit_quadrature(np.linspace(20.0, 60.0, 5), rows, materials, greatest)
