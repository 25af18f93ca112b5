"""Spectra: measured beams, the laws of filtering, tables, and bad input."""

import doctest
import math

import numpy as np
import pytest

import xsim.spectrum
from xsim.errors import MaterialError, SpectrumError
from xsim.kerma import air_kerma_ugy
from xsim.material import attenuation
from xsim.spectrum import Spectrum, monoenergetic, read_spectrum, tube_spectrum

MEDIUM_ENERGY = [("Be", 3.0), ("air", 1200.0)]  # window and path of the reference beams below
LOW_ENERGY = [("Be", 3.0), ("air", 500.0)]


# --- against measurements ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("voltage_kv", "filters", "material", "reference_mm"),
    [
        (25, [*LOW_ENERGY, ("Al", 0.372)], "Al", 0.242),
        (100, [*MEDIUM_ENERGY, ("Al", 3.431)], "Al", 4.030),
        (180, [*MEDIUM_ENERGY, ("Al", 3.847), ("Cu", 0.485)], "Cu", 0.977),
        (250, [*MEDIUM_ENERGY, ("Al", 3.847), ("Cu", 1.570)], "Cu", 2.484),
    ],
)
def test_half_value_layers_of_the_bipm_qualities(voltage_kv, filters, material, reference_mm):
    """Half-value layers of the BIPM's reference beams, from memory; ours are 2-3 % off."""
    beam = tube_spectrum(voltage_kv, anode_angle_deg=20, filters=filters)
    assert beam.half_value_layer_mm(material) == pytest.approx(reference_mm, rel=0.035)


# Narrow series of ISO 4037-1: voltage, added filters, mean energy keV of the standard (from memory); half-value
# layer mm Cu as NIST measures its own beams (Ionizing Radiation Division, table VIII.6, filters too).
NARROW = [
    (40, [("Cu", 0.21)], 33.3, 0.082),
    (60, [("Cu", 0.6)], 47.9, 0.241),
    (80, [("Cu", 2.0)], 65.2, 0.59),
    (100, [("Cu", 5.0)], 83.3, 1.14),
    (120, [("Cu", 4.99), ("Sn", 1.04)], 100.0, 1.76),
    (150, [("Sn", 2.5)], 118.0, 2.41),
    (200, [("Cu", 2.04), ("Sn", 2.98), ("Pb", 1.0)], 165.0, 4.09),
    (250, [("Sn", 2.01), ("Pb", 2.97)], 207.0, 5.34),
    (300, [("Sn", 2.99), ("Pb", 4.99)], 248.0, 6.17),
]


@pytest.mark.parametrize(("voltage_kv", "filters", "mean_kev", "hvl_mm"), NARROW)
def test_iso_4037_narrow_series(voltage_kv, filters, mean_kev, hvl_mm):
    inherent = [("Be", 3.0), ("Al", 4.0), ("air", 1000.0)]
    beam = tube_spectrum(voltage_kv, anode_angle_deg=20, filters=[*inherent, *filters])
    assert beam.mean_energy_kev == pytest.approx(mean_kev, rel=0.01)
    assert beam.half_value_layer_mm("Cu") == pytest.approx(hvl_mm, rel=0.05)


def test_two_numbers_fix_a_beam():
    """Aluminium until HVL1 is 3.950 mm at 100 kV: HVL2 and mean energy are then 5.890 mm, 50.6 keV."""
    thin, thick = 0.0, 20.0
    for _ in range(40):
        aluminium_mm = 0.5 * (thin + thick)
        beam = tube_spectrum(100, anode_angle_deg=11, filters=[("Al", aluminium_mm)])
        hvl_mm = beam.half_value_layer_mm("Al")
        thin, thick = (aluminium_mm, thick) if hvl_mm < 3.950 else (thin, aluminium_mm)
    assert beam.half_value_layer_mm("Al", 0.25) - hvl_mm == pytest.approx(5.890, rel=0.005)
    assert beam.mean_energy_kev == pytest.approx(50.6, rel=0.005)


def test_output_at_120_kv():
    """spekpy 2.5.4 itself (casim, 0.1 keV, 12 degrees, 2 mm Al): 390.54 M/cm2/mAs, 53.34 keV."""
    beam = tube_spectrum(120, filters=[("Al", 2.0)])
    assert beam.fluence == pytest.approx(390.54e6 / 100, rel=0.003)
    assert beam.mean_energy_kev == pytest.approx(53.34, rel=0.002)
    assert beam.half_value_layer_mm("Al") == pytest.approx(3.769, rel=0.01)  # other mu_en tables
    assert beam.air_kerma_ugy == pytest.approx(179.9, rel=0.01)


def test_kerma_coefficient_is_nists():
    """Rows of the table are met; 30 keV: 0.1537 cm2/g is 7.388e-8 uGy mm2."""
    per_photon = air_kerma_ugy(np.array([1.0, 3.0, 30.0, 100.0, 600.0]))
    energy, mu_en = [1, 3, 30, 100, 600], [3599, 161.4, 0.1537, 0.02325, 0.02953]
    by_hand = np.array(energy) * np.array(mu_en) * 1.602176634e-16 * 1e3 * 1e2 * 1e6
    np.testing.assert_allclose(per_photon, by_hand, rtol=1e-9)
    with pytest.raises(SpectrumError, match="1 to 1000 keV"):
        monoenergetic(0.5).half_value_layer_mm("Al")


# --- laws -------------------------------------------------------------------------------------


def test_filters_add_up_in_any_order():
    bare = tube_spectrum(90)
    once = bare.filtered([("Al", 1.0), ("Cu", 0.2), ("Al", 1.5)])
    again = bare.filtered([("Cu", 0.2)]).filtered([("Al", 2.5)])
    np.testing.assert_allclose(once.photons, again.photons, rtol=1e-12)
    np.testing.assert_array_equal(bare.filtered([("Al", 0.0)]).photons, bare.photons)


def test_a_filter_hardens_and_weakens():
    beams = [tube_spectrum(150, filters=[("Al", t)]) for t in (0.5, 2.0, 8.0, 32.0)]
    assert np.all(np.diff([b.mean_energy_kev for b in beams]) > 0)
    assert np.all(np.diff([b.fluence for b in beams]) < 0)
    assert np.all(np.diff([b.half_value_layer_mm("Al") for b in beams]) > 0)


def test_half_value_layer_halves_the_kerma():
    beam = tube_spectrum(120, filters=[("Al", 2.0)])
    for share in (0.5, 0.1):
        behind = beam.filtered([("Cu", beam.half_value_layer_mm("Cu", share))])
        assert behind.air_kerma_ugy / beam.air_kerma_ugy == pytest.approx(share, rel=1e-9)


def test_half_value_layer_of_one_energy_is_ln_2_over_mu():
    beam = monoenergetic(80.0)
    expected = math.log(2) / float(attenuation("Al", 80.0))
    assert beam.half_value_layer_mm("Al") == pytest.approx(expected, rel=1e-12)
    assert beam.mean_energy_kev == 80.0


def test_spectra_are_read_only_values():
    beam = monoenergetic(60.0, 5.0)
    with pytest.raises(ValueError, match="read-only"):
        beam.photons[0] = 1.0
    assert beam.fluence == 5.0
    assert Spectrum([1, 2, 3], [1, 1, 1], 0.5).bin_width_kev.tolist() == [0.5] * 3


# --- tables -----------------------------------------------------------------------------------


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "20,1\n21,2\n22,4\n",
        "# a comment\nenergy_kev,photons\n20,1\n21,2\n22,4\n",
        "20;1\n21;2\n22;4\n",
        "\ufeffkeV\tphotons_per_kev\n20\t1\n21\t2\n\n22\t4\n",
        "20 1\n21 2\n22 4",
    ],
)
def test_tables_in_common_dialects(tmp_path, text):
    beam = read_spectrum(write(tmp_path / "s.csv", text))
    assert beam.energy_kev.tolist() == [20, 21, 22]
    assert beam.photons.tolist() == [1, 2, 4]
    assert beam.fluence == 7


def test_bins_of_an_uneven_table_meet_half_way(tmp_path):
    beam = read_spectrum(write(tmp_path / "s.csv", "keV,photons_per_kev\n10,1\n12,1\n20,1\n"))
    assert beam.bin_width_kev.tolist() == [2, 5, 8]


def test_lines_of_an_isotope_count_as_they_stand(tmp_path):
    table = "keV,photons_per_line\n295.96,28.7\n308.46,29.7\n316.51,82.9\n468.07,47.8\n"
    beam = read_spectrum(write(tmp_path / "ir192.csv", table))
    assert beam.photons_per_bin.tolist() == [28.7, 29.7, 82.9, 47.8]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("keV,photons\n", "empty"),
        ("20,1\n21,x\n", "not two numbers"),
        ("20,1,5\n", "not two numbers"),
        ("20\n", "not two numbers"),
        ("20,1\n21,nan\n", "not finite"),
        ("21,1\n20,1\n", "ascend"),
        ("20,1\n20,1\n", "ascend"),
        ("20,1\n21,-1\n", "negative"),
        ("20,0\n21,0\n", "no photons"),
        ("0.05,1\n", "0.1 to 800 keV"),
        ("1173,1\n1332,1\n", "0.1 to 800 keV"),
        ("295,28\n308,29\n468,47\n", "photons_per_line"),
        ("keV,fotons\n20,1\n", "photons"),
    ],
)
def test_bad_tables_are_one_line_that_helps(tmp_path, text, says):
    with pytest.raises(SpectrumError, match=says) as caught:
        read_spectrum(write(tmp_path / "s.csv", text))
    assert "\n" not in str(caught.value)


def test_tables_that_are_not_there_or_not_text(tmp_path):
    with pytest.raises(SpectrumError, match="No such file"):
        read_spectrum(tmp_path / "absent.csv")
    (tmp_path / "image.png").write_bytes(bytes(range(128, 256)))
    with pytest.raises(SpectrumError, match="not text"):
        read_spectrum(tmp_path / "image.png")
    with pytest.raises(SpectrumError, match="cannot be read"):
        read_spectrum(tmp_path)


# --- bad settings -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"voltage_kv": 9.99}, "10 to 500"),
        ({"voltage_kv": 501}, "10 to 500"),
        ({"voltage_kv": -120}, "10 to 500"),
        ({"voltage_kv": math.nan}, "finite"),
        ({"voltage_kv": "120"}, "not a number"),
        ({"voltage_kv": None}, "not a number"),
        ({"anode_angle_deg": 5}, "6 to 30"),
        ({"anode_angle_deg": 90}, "6 to 30"),
        ({"anode_angle_deg": math.inf}, "finite"),
        ({"target": "Mo"}, "the Mo grid holds 10 to 50"),
        ({"target": "Fe"}, "the grids hold W, Cr"),
        ({"target": "Xx", "model": "spekpy"}, "spekpy models W, Cr"),
        ({"target": "Mo", "model": "spekpy"}, "10 to 50"),
        ({"model": "spekpy", "anode_angle_deg": 0.0}, "1 to 89"),
        ({"model": "tasmip"}, "known: grid, spekpy"),
        ({"filters": [("Al", -1.0)]}, "negative"),
        ({"filters": [("Al", math.nan)]}, "finite"),
        ({"filters": [("Al", "2 mm")]}, "not a number"),
        ({"filters": [("Al",)]}, "pair"),
        ({"filters": ("Al", 2.0)}, "pair"),
        ({"filters": [("Pb", 1e4)]}, "nothing through"),
    ],
)
def test_bad_settings_are_one_line_that_helps(setting, says):
    with pytest.raises(SpectrumError, match=says) as caught:
        tube_spectrum(**{"voltage_kv": 120, **setting})
    assert "\n" not in str(caught.value)


def test_filters_of_unknown_material():
    with pytest.raises(MaterialError, match="Alu"):
        tube_spectrum(120, filters=[("Alu", 1.0)])
    with pytest.raises(MaterialError, match="density"):
        tube_spectrum(120, filters=[({"formula": "Fe2O3"}, 1.0)])


@pytest.mark.parametrize("energy_kev", [0.05, 900.0, -1.0, math.nan])
def test_single_energies_outside_the_tables(energy_kev):
    with pytest.raises(SpectrumError):
        monoenergetic(energy_kev)
    with pytest.raises(SpectrumError):
        monoenergetic(60.0, photons_per_mm2_mas=-energy_kev if energy_kev > 0 else math.nan)


def test_shares_outside_0_to_1():
    with pytest.raises(SpectrumError, match="between 0 and 1"):
        monoenergetic(60.0).half_value_layer_mm("Al", share=1.0)


def test_examples_of_the_docstrings():
    assert doctest.testmod(xsim.spectrum).failed == 0
