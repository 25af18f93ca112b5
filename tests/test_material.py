"""Materials: attenuation against NIST, the laws of mixing, and the traps of naming."""

import doctest
import math

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

# Mass attenuation coefficient, cm2/g. NIST SRD 126 / NISTIR 5632 (Hubbell, Seltzer).
NIST_KEV = np.array([10, 20, 40, 60, 80, 100, 200, 400, 800], float)
NIST = {
    "Al": [26.23, 3.441, 0.5685, 0.2778, 0.2018, 0.1704, 0.1223, 0.09276, 0.06841],
    "Fe": [170.6, 25.68, 3.629, 1.205, 0.5952, 0.3717, 0.146, 0.094, 0.06699],
    "Cu": [215.9, 33.79, 4.862, 1.593, 0.763, 0.4584, 0.1559, 0.09413, 0.06605],
    "W": [96.91, 65.73, 10.67, 3.713, 7.81, 4.438, 0.7844, 0.1925, 0.08066],
    "Pb": [130.6, 86.36, 14.36, 5.021, 2.419, 5.549, 0.9985, 0.2323, 0.0887],
    "Ti": [110.7, 15.85, 2.214, 0.7661, 0.4052, 0.2721, 0.1314, 0.09081, 0.06572],
    "graphite": [2.373, 0.442, 0.2076, 0.1753, 0.161, 0.1514, 0.1229, 0.09546, 0.07076],
    "water": [5.329, 0.8096, 0.2683, 0.2059, 0.1837, 0.1707, 0.137, 0.1061, 0.07865],
    "PMMA": [3.357, 0.5714, 0.235, 0.1924, 0.1751, 0.1641, 0.1328, 0.1031, 0.07641],
    "CsI": [171.1, 26.86, 22.97, 7.921, 3.677, 2.035, 0.3805, 0.1237, 0.06769],
    "GOS": [228.5, 36.89, 5.854, 9.815, 4.666, 2.613, 0.4812, 0.1423, 0.07225],
    "air": [5.12, 0.7779, 0.2485, 0.1875, 0.1662, 0.1541, 0.1233, 0.09549, 0.07074],
    "bone": [28.51, 4.001, 0.6655, 0.3148, 0.2229, 0.1855, 0.1309, 0.09908, 0.07308],
    "polyethylene": [2.088, 0.4315, 0.2275, 0.197, 0.1823, 0.1719, 0.1402, 0.1089, 0.08078],
}
# Densities, g/cm3, of NIST's table 2 where our name promises that source; the rest are in the file.
DENSITY = {
    "Al": 2.699, "Fe": 7.874, "Cu": 8.960, "W": 19.30, "Pb": 11.35, "Ti": 4.540, "graphite": 1.70,
    "water": 1.0, "PMMA": 1.19, "CsI": 4.51, "GOS": 7.34, "air": 1.205e-3, "bone": 1.92,
    "polyethylene": 0.93, "316L": 8.0, "steel": 7.82, "glass": 2.4,
}  # fmt: skip


@pytest.mark.parametrize("name", NIST)
def test_attenuation_is_nists_off_the_edges(name):
    found = mass_attenuation(resolve(name), NIST_KEV)
    np.testing.assert_allclose(found, NIST[name], rtol=1e-3)


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
