"""CTSimU 2D-SW-1 on aluminium and 2D-FB-1: step wedges against two Monte Carlo codes, noise of the open beam.

``data/ctsimu_sw1_al.json`` has the grey values that ROSI and McRay found, primary radiation, with their standard
deviations; references are the two weighted by those. The wedge's steps are shells about the source: here plates in a
parallel beam. The tube's spectrum is not published with the tables: tungsten at 12 degrees behind FITTED_AL_MM of
aluminium is fitted to the ideal detector.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from station import station

from xsim import simulate
from xsim.radiograph import expose

FILE = json.loads((Path(__file__).parent / "data" / "ctsimu_sw1_al.json").read_text())
STEPS_MM = FILE["al_thickness_mm"]
FITTED_AL_MM = 3.75
MONO = {"energy_kev": 50.0}
SCREEN = {"material": "CsI", "areal_density_mg_cm2": 90.2}  # 200 um of 4.51 g/cm3


def tube(al_mm: float = FITTED_AL_MM) -> dict[str, Any]:
    return {"voltage_kv": 120.0, "filters": [{"material": "Al", "thickness_mm": al_mm}]}


def reference(spectrum: str, detector: str) -> np.ndarray:
    """Primary grey values, open beam (step 10) 1, float64 [step]."""
    (table,) = [t for name, t in FILE["tests"].items() if spectrum in name and name.endswith(detector)]
    columns = dict(zip(table["columns"], np.array(table["rows"]).T, strict=True))
    codes = np.array([columns["rosi_primary"], columns["mcray_primary"]])
    weights = 1 / np.array([columns["rosi_primary_sd"], columns["mcray_primary_sd"]]) ** 2
    mean = (codes * weights).sum(axis=0) / weights.sum(axis=0)
    return np.asarray(mean / mean[-1])


def grey_values(source: dict[str, Any], **detector: Any) -> np.ndarray:
    """Light behind each step, open beam 1, float64 [step]."""
    found = []
    for thickness in STEPS_MM:
        plate = {"shape": "box", "size_mm": [20.0, 20.0, thickness], "material": "Al"}
        scene = station(*([plate] if thickness else []), shape=(1, 1), source=source, **detector)
        parallel = scene.geometry.model_copy(update={"beam": "parallel"})
        found.append(float(expose(scene.model_copy(update={"geometry": parallel}), "cpu").mean_light[0, 0]))
    return np.array(found) / found[-1]


def test_one_energy():
    """50 keV within 1 %; the codes' own standard deviation is 0.95 % on the thickest step."""
    np.testing.assert_allclose(grey_values(MONO, response="ideal"), reference("050keV", "Ideal"), rtol=0.01)


def test_the_tube_with_its_fitted_filter():
    """120 kV within 1.5 %; a quarter of a millimetre of aluminium more moves the thickest step by 1.0 %."""
    expected = reference("120kV", "Ideal")
    np.testing.assert_allclose(grey_values(tube(), response="ideal"), expected, rtol=0.015)
    worst = [np.abs(grey_values(tube(mm), response="ideal") / expected - 1).max() for mm in (3.0, 3.75, 4.5)]
    assert worst[1] == min(worst)
    assert min(worst[0], worst[2]) > 0.02


def test_one_energy_on_caesium_iodide():
    """A screen weighs one energy by one factor: the ratio to the ideal detector is 1 on every step."""
    found = grey_values(MONO, scintillator=SCREEN) / grey_values(MONO, response="ideal")
    np.testing.assert_allclose(found, 1.0, rtol=1e-5)
    expected = reference("050keV", "CsI") / reference("050keV", "Ideal")
    np.testing.assert_allclose(found, expected, rtol=0.02)  # the codes' own spread, 1.5 % on the thickest step


def error_on_caesium_iodide(**screen: Any) -> np.ndarray:
    """Ratio of 200 um CsI to ideal over that of the codes, less 1, [step]."""
    found = grey_values(tube(), scintillator={**SCREEN, **screen}) / grey_values(tube(), response="ideal")
    return np.asarray(found / (reference("120kV", "CsI") / reference("120kV", "Ideal")) - 1)


def test_the_tube_on_caesium_iodide():
    """The ratio within 3 % on steps 4 to 9, 6 % on 2 and 3; step 1 misses 6 % with a screen of one class.

    That screen keeps all energy of what it absorbs; fluorescence that escapes costs more at the energies of thin steps.
    """
    error = error_on_caesium_iodide()
    assert np.abs(error[3:]).max() < 0.03
    assert np.abs(error[1:3]).max() < 0.06
    assert -0.07 < error[0] < 0.0


def test_the_tube_on_caesium_iodide_that_lets_fluorescence_go():
    """The ratio within 3 % on steps 4 to 9, 6 % on 1 to 3, with the energy that a quantum leaves in depth classes."""
    error = error_on_caesium_iodide(model="cascade")
    assert np.abs(error[3:]).max() < 0.03
    assert np.abs(error[:3]).max() < 0.06


@pytest.mark.parametrize("wanted", [100.0, 250.0])
def test_fb_1_signal_to_noise(wanted):
    """2D-FB-1: SNR 100 and 250 within 2 % over a million pixels; 150 kV, 4 mm Al, 0.1 mm pixels, 10 m.

    An energy-integrating detector with N quanta a pixel has SNR^2 = N <E>^2 / <E^2>. The evaluation is the toolbox's:
    mean over standard deviation of the image over a noise-free one.
    """
    source = {"voltage_kv": 150.0, "filters": [{"material": "Al", "thickness_mm": 4.0}]}
    geometry = {"sod_mm": 250.0, "sdd_mm": 10000.0, "pitch_mm": 0.1}
    bare = station(shape=(2, 2), source=source, **geometry, response="ideal").source.photons()
    shares = bare.photons_per_bin / bare.fluence
    energy = bare.energy_kev
    quanta = wanted**2 * (shares @ energy**2) / (shares @ energy) ** 2
    run = {"quanta_per_pixel": float(quanta)}
    scene = station(shape=(1000, 1000), source=source, acquisition=run, **geometry, response="ideal")
    image = simulate(scene, seed=1, backend="cpu")
    corrected = image.noisy.astype(np.float64) / image.expected
    assert corrected.mean() / corrected.std() == pytest.approx(wanted, rel=0.02)
    assert corrected.mean() == pytest.approx(1.0, rel=1e-4)
