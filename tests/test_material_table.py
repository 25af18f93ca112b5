"""``xsim materials``: the list, one material, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from xsim.cli import main
from xsim.errors import MaterialError
from xsim.material import attenuation, resolve
from xsim.material_table import describe_material, list_materials, parse_material


@pytest.mark.parametrize("name", ["water", "PMMA", "316L", "polyethylene", "glass", "bone", "pork", "GOS", "air"])
def test_the_list_has_the_names_people_use(name):
    (line,) = [line for line in list_materials().splitlines() if line.startswith(f"{name} ")]
    assert f"{resolve(name).density_g_cm3:.4g}" in line


def test_the_table_says_what_attenuates():
    text = describe_material(resolve("GOS"), (50.0, 60.0))
    assert "7.34 g/cm3" in text
    assert "Gd 0.83077" in text  # 2 * 157.25 / 378.57
    assert "50.239" in text
    row = np.array(text.splitlines()[-1].split(), float)
    mu = float(attenuation("GOS", 60.0))
    np.testing.assert_allclose(row, [60.0, 10 * mu / 7.34, mu, np.log(2) / mu], rtol=5e-4)


def test_pork_is_mostly_water():
    """Lean meat attenuates as water does within a few per cent, per gram."""
    energy = np.array([30.0, 60.0, 120.0])
    np.testing.assert_allclose(attenuation("pork", energy) / 1.06, attenuation("water", energy), rtol=0.02)


def test_text_is_read_as_names_formulas_and_parts_by_weight():
    assert parse_material("316l") == resolve("316L")
    assert parse_material("PMMA", 1.17) == resolve({"name": "PMMA", "density_g_cm3": 1.17})
    assert parse_material("Fe2O3", 5.24) == resolve({"formula": "Fe2O3", "density_g_cm3": 5.24})
    assert parse_material("Al=96, Cu=4", 2.8) == resolve({"mixture": {"Al": 96.0, "Cu": 4.0}, "density_g_cm3": 2.8})


@pytest.mark.parametrize(
    ("text", "density", "says"),
    [
        ("Al=96,Cu", 2.8, "NAME=WEIGHT"),
        ("Al=96,Cu=4", None, "density"),
        ("Fe2O3", None, "density"),
        ("Al", -1.0, "positive"),
        ("Alumnium", None, "nearest: aluminium"),
    ],
)
def test_bad_text_is_one_line_that_helps(text, density, says):
    with pytest.raises(MaterialError, match=says) as caught:
        parse_material(text, density)
    assert "\n" not in str(caught.value)


def test_the_command(capsys):
    assert main(["materials"]) == 0
    assert "\nPMMA " in capsys.readouterr().out
    assert main(["materials", "show", "Al=96,Cu=4", "--density-g-cm3", "2.8", "--energy-kev", "60"]) == 0
    assert "Al 0.96000, Cu 0.04000" in capsys.readouterr().out
    assert main(["materials", "show", "Al", "--energy-kev", "900"]) == 2
    assert "0.1 to 800 keV" in capsys.readouterr().err
