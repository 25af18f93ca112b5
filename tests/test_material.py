"""Materials: attenuation against NIST, the laws of mixing, and the traps of naming."""

import doctest
import math
from pathlib import Path

import numpy as np
import pytest

import xsim.material
from xsim.errors import MaterialError
from xsim.material import (
    Material,
    attenuation,
    attenuation_table,
    edges_kev,
    mass_attenuation,
    resolve,
)

# Mass attenuation coefficients of NIST SRD 126 / NISTIR 5632 (Hubbell, Seltzer): {material: (keV, cm2/g)}.
NIST_FILE = Path(__file__).parent / "data" / "nist_xaamdi.csv"
NIST_ROWS = [row.split(",") for row in NIST_FILE.read_text().splitlines() if not row.startswith("#")]
NIST = {
    name: np.array([row[1:] for row in NIST_ROWS if row[0] == name], float).T for name in {row[0] for row in NIST_ROWS}
}
# Densities, g/cm3, of NIST's table 2 where our name promises that source; the rest are in the file.
DENSITY = {
    "Al": 2.699, "Fe": 7.874, "Cu": 8.960, "W": 19.30, "Pb": 11.35, "Ti": 4.540, "graphite": 1.70,
    "water": 1.0, "PMMA": 1.19, "CsI": 4.51, "GOS": 7.34, "air": 1.205e-3, "bone": 1.92,
    "polyethylene": 0.93, "316L": 8.0, "steel": 7.82, "glass": 2.4,
}  # fmt: skip


def test_the_table_of_nist_is_whole():
    assert len(NIST) >= 14
    assert all({10.0, 20.0, 60.0, 100.0, 800.0} <= set(energy) for energy, _ in NIST.values())


@pytest.mark.parametrize("name", sorted(NIST))
def test_attenuation_is_nists_off_the_edges(name):
    energy, expected = NIST[name]
    np.testing.assert_allclose(mass_attenuation(resolve(name), energy), expected, rtol=1e-3)


@pytest.mark.parametrize(("name", "density"), DENSITY.items())
def test_densities(name, density):
    assert resolve(name).density_g_cm3 == pytest.approx(density, rel=2e-4)


def test_linear_attenuation_is_mass_attenuation_times_density():
    # 1/cm = cm2/g * g/cm3, and a tenth of it per mm
    found = attenuation("Al", 60.0)
    assert found.shape == ()
    assert float(found) == pytest.approx(0.2778 * 2.699 / 10, rel=1e-3)


def test_shape_follows_the_energies():
    energy = np.linspace(20, 100, 12).reshape(3, 4)
    assert attenuation("PMMA", energy).shape == (3, 4)
    assert attenuation("PMMA", [30, 40]).dtype == np.float64
    table = attenuation_table(["Al", "PMMA"], energy.ravel())
    np.testing.assert_array_equal(table[1], attenuation("PMMA", energy).ravel())


def test_a_mixture_adds_by_weight():
    energy = np.array([15.0, 60.0, 300.0])
    alloy = resolve({"mixture": {"Al": 0.96, "Cu": 0.04}, "density_g_cm3": 2.8})
    by_hand = 0.96 * mass_attenuation(resolve("Al"), energy)
    by_hand += 0.04 * mass_attenuation(resolve("Cu"), energy)
    np.testing.assert_allclose(mass_attenuation(alloy, energy), by_hand, rtol=1e-12)
    assert attenuation(alloy, 60.0) == pytest.approx(float(by_hand[1]) * 0.28)


def test_a_mixture_takes_named_parts_in_any_total():
    wet = {"mixture": {"PMMA": 3, "water": 1}, "density_g_cm3": 1.1}
    dry = {"mixture": {"water": 25.0, "PMMA": 75.0}, "density_g_cm3": 1.1}
    assert resolve(wet).weight_fractions == pytest.approx(np.array(resolve(dry).weight_fractions))


def test_attenuation_goes_with_density_and_nothing_else_changes():
    thin, usual = resolve({"name": "PMMA", "density_g_cm3": 0.595}), resolve("PMMA")
    assert attenuation(thin, 50.0) == pytest.approx(attenuation(usual, 50.0) / 2)
    assert thin.weight_fractions == usual.weight_fractions
    assert thin.name != usual.name
    assert resolve({"name": "PMMA", "density_g_cm3": 1.19}) == usual


@pytest.mark.parametrize(
    ("spellings", "name"),
    [
        (["Al", "aluminium", "Aluminum", "ALUMINIUM"], "Al"),
        (["PMMA", "pmma", "acrylic", "Plexiglas", "perspex"], "PMMA"),
        (["316L", "316l", "AISI 316L", "stainless steel", "1.4404"], "316L"),
        (["air", "Air", "dry air"], "air"),
        (["GOS", "gos", "Gd2O2S"], "GOS"),
        (["Water, Liquid", "WATER, LIQUID", "water liquid", "H2O"], "water"),
        (["Viton Fluoroelastomer", "viton fluoroelastomer"], "Viton Fluoroelastomer"),
    ],
)
def test_names_in_any_spelling(spellings, name):
    assert {resolve(s).name for s in spellings} == {name}
    assert len({resolve(s) for s in spellings}) == 1


def test_every_common_name_resolves():
    from xsim.catalogue import _common, _display_names

    for name in _display_names():
        material = resolve(name)
        assert math.isclose(sum(w for _, w in material.weight_fractions), 1.0, abs_tol=1e-9)
    assert all(entry["source"] for entry in _common()["material"])


def test_gadolinium_oxysulfide_density_is_its_crystals():
    # Trigonal cell, one formula unit: a = 3.852, c = 6.667 angstrom; 378.57 g/mol.
    volume_cm3 = 3.852e-8**2 * 6.667e-8 * math.sin(math.radians(120))
    crystal = 378.57 / 6.02214076e23 / volume_cm3
    assert resolve("GOS").density_g_cm3 == pytest.approx(crystal, rel=2e-3)


def test_cobalt_is_not_carbon_monoxide():
    assert resolve("Co").weight_fractions == ((27, 1.0),)
    with pytest.raises(MaterialError, match="'Co' for the element"):
        resolve("CO")
    with pytest.raises(MaterialError, match="write 'Co'"):
        resolve({"formula": "CO", "density_g_cm3": 8.9})
    gas = resolve({"formula": "CO", "density_g_cm3": 1.165e-3})
    assert [z for z, _ in gas.weight_fractions] == [6, 8]


def test_fractional_subscripts_count_atoms_and_say_so():
    with pytest.warns(UserWarning, match="atom ratios"):
        alloy = resolve({"formula": "Fe0.7Cr0.3", "density_g_cm3": 7.7})
    assert dict(alloy.weight_fractions)[24] == pytest.approx(0.2852, abs=1e-4)
    assert resolve({"formula": "Cd0.9Zn0.1Te", "density_g_cm3": 5.8}).density_g_cm3 == 5.8


def test_edges_are_where_attenuation_jumps():
    assert edges_kev("GOS", 10, 160) == pytest.approx([50.239], abs=0.01)
    assert edges_kev("CsI", 10, 160) == pytest.approx([33.169, 35.985], abs=0.01)
    assert edges_kev("Al", 10, 160) == []
    (edge,) = edges_kev("W", 20, 160)
    below, above = attenuation("W", [edge * 0.9999, edge * 1.0001])
    assert above > 3 * below


@pytest.mark.parametrize("energy", [0.0999, 800.1, 900.0, 0.0, -5.0, math.nan, math.inf])
def test_energies_outside_the_tables_are_refused(energy):
    with pytest.raises(MaterialError, match=r"0.1 to 800 keV") as caught:
        attenuation("Al", [60.0, energy])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("Alumnium", "nearest: aluminium"),
        ("al", "Al"),
        ("stel", "steel"),
        ("unobtainium", "unknown material 'unobtainium'"),
        ("", "unknown material"),
        ("H2O:", "H2O"),
        ("Fe\n", "iron|Fe"),
        ("Fe2O3", "density"),
        ("Al2O3é", "unknown"),
        ({"formula": "Gd2O2S"}, "density"),
        ({"formula": "gd2o2s", "density_g_cm3": 7.3}, "cannot be read"),
        ({"name": "PMMA", "density": 1.2}, "density_g_cm3"),
        ({"name": "PMMA", "density_g_cm3": -1}, "positive"),
        ({"name": "PMMA", "density_g_cm3": 0}, "positive"),
        ({"name": "PMMA", "density_g_cm3": math.nan}, "positive"),
        ({"name": "PMMA", "density_g_cm3": math.inf}, "positive"),
        ({"name": "PMMA", "density_g_cm3": "1.2"}, "not a number"),
        ({"name": "PMMA", "density_g_cm3": True}, "not a number"),
        ({"mixture": {"Al": 1.0}}, "density"),
        ({"mixture": {"Al": -1.0, "Cu": 2}, "density_g_cm3": 2.8}, "positive"),
        ({"mixture": {}, "density_g_cm3": 2.8}, "mixture"),
        ({"mixture": {"Al": 1.0}, "formula": "Al", "density_g_cm3": 2.8}, "keep one"),
        ({"density_g_cm3": 2.8}, "names nothing"),
        ({}, "names nothing"),
        (7, "int"),
        (None, "NoneType"),
    ],
)
def test_bad_materials_are_one_line_that_helps(spec, says):
    with pytest.raises(MaterialError, match=says) as caught:
        resolve(spec)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        ("x", ((13, 0.5),), 1.0),
        ("x", ((0, 1.0),), 1.0),
        ("x", ((99, 1.0),), 1.0),
        ("x", ((13, 1.5), (29, -0.5)), 1.0),
        ("x", ((13, 1.0),), math.nan),
    ],
)
def test_impossible_materials_cannot_be_built(fields):
    with pytest.raises(MaterialError):
        Material(*fields)


def test_materials_are_values():
    assert len({resolve("Al"), resolve("aluminium"), resolve(resolve("Al"))}) == 1


def test_examples_of_the_docstrings():
    assert doctest.testmod(xsim.material).failed == 0
