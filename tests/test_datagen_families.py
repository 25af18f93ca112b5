"""The framework of scene families: read, drawn, stored and described; the families have tests of their own."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

import datagen
import xsim
from datagen import families, family_table
from datagen.cli import main
from datagen.content_hash import content_hash
from datagen.corpus_file import load_corpus
from datagen.families.family import (
    Count,
    DrawnBody,
    Family,
    Length,
    MaterialName,
    Number,
    Word,
    choice,
    integers,
    uniform,
)
from datagen.family_scene import view_field
from datagen.scenes import check_corpus, draw_scene

STATION = """
[corpus]
name = "toy"
scenes = 6
shard_samples = 2
[source]
voltage_kv = 100
[geometry]
sod_mm = 500
sdd_mm = 1000
[acquisition]
quanta_per_pixel = 300
[detector]
preset = "generic-gos-200um"
rows = 48
columns = 64
"""


class Shelf(Family):
    """A plate with beads in it."""

    family = "shelf"
    about = """A plate
    with beads."""
    kinds = ("plate", "bead", "stud")
    materials = ("PMMA",)

    thickness_mm: Length = uniform(2.0, 4.0)
    beads: Count = integers(1, 3)
    bead_material: MaterialName = choice("Al", "steel")
    layout: Word = choice("row", "column")
    shift_mm: Number = (0.0, uniform(-0.1, 0.1))

    def most_bodies(self):
        return 5

    def bodies(self, values, stream, view):
        size = [0.5 * view.width_mm, 0.5 * view.height_mm, values["thickness_mm"]]
        found = [DrawnBody("plate", {"shape": "box", "size_mm": size, "material": "PMMA"})]
        for k in range(values["beads"]):
            place = [1.0 * k, stream.between(-1, 1), 0.0][:: 1 if values["layout"] == "row" else -1]
            body = {"shape": "sphere", "radius_mm": 0.4, "material": values["bead_material"], "position_mm": place}
            found.append(DrawnBody("bead", body | {"priority": 1}, target=True))
        stud = trimesh.creation.icosphere(1, 0.6).apply_translation((-2, 2, 0))
        found.append(DrawnBody("stud", {"mesh": stud, "material": "PMMA"}))
        return found


class Empty(Shelf):
    """Nothing but a stud."""

    family = "empty"

    def bodies(self, values, stream, view):
        return super().bodies(values, stream, view)[-1:]


@pytest.fixture(autouse=True)
def known(monkeypatch):
    toys = {"shelf": Shelf, "empty": Empty}
    monkeypatch.setattr(family_table, "FAMILIES", toys)
    monkeypatch.setattr(families, "FAMILIES", toys)


@pytest.fixture
def corpus_of(tmp_path):
    def write(text):
        path = tmp_path / "toy.toml"
        path.write_text(STATION + text)
        return path

    return write


def plain(mapping):
    """A drawn scene without its meshes."""
    return str([{k: v for k, v in body.items() if k != "mesh"} for body in mapping["body"]])


def test_a_scene_is_a_function_of_file_and_index(corpus_of):
    corpus = load_corpus(corpus_of('[family]\nname = "shelf"\n'))
    scenes = [draw_scene(corpus, index)[0] for index in range(6)]
    again = [draw_scene(corpus, index)[0] for index in reversed(range(6))][::-1]
    assert [plain(each.mapping) for each in scenes] == [plain(each.mapping) for each in again]
    assert len({plain(each.mapping) for each in scenes}) == 6
    first = scenes[0].mapping["body"]
    assert [body["name"] for body in first[:2]] == ["plate 1", "bead 1"]
    assert first[0]["size_mm"][:2] == [0.5 * 64 * 0.1, 0.5 * 48 * 0.1]  # pixels of 0.2 mm at magnification 2


def test_drawn_fields_are_parameters_and_kinds_are_groups(corpus_of, tmp_path):
    path = corpus_of('[family]\nname = "shelf"\nthickness_mm = 3.0\n')
    datagen.generate(path, tmp_path / "out.zarr", workers=1)
    opened = datagen.open_corpus(tmp_path / "out.zarr")
    for sample in opened.subset():
        own = {k: v for k, v in sample["params"].items() if k.startswith("family")}
        assert set(own) == {"family", "family.beads", "family.bead_material", "family.layout", "family.shift_mm.1"}
        assert own["family"] == "shelf" and own["family.layout"] in ("row", "column")
        rows = opened.instances(sample["index"])
        assert [row["group"] for row in rows] == ["plate", *["bead"] * int(own["family.beads"]), "stud"]
        assert [row["target"] for row in rows] == [row["group"] == "bead" for row in rows]
        assert {row["material"] for row in rows if row["group"] == "bead"} == {own["family.bead_material"]}
        assert rows[0]["size_z_mm"] == 3.0 and rows[-1]["class"] == "mesh"


def test_several_families_mix_by_weight(corpus_of):
    text = '[[family]]\nname = "shelf"\nweight = 3\n[[family]]\nname = "empty"\n'
    corpus = load_corpus(corpus_of(text.replace("weight = 3", "weight = 3\nthickness_mm = 2.5")))
    drawn = [draw_scene(corpus, index)[0].drawn for index in range(200)]
    shelves = sum(each["family"] == 0 for each in drawn)
    assert abs(shelves - 150) < 4 * np.sqrt(200 * 0.75 * 0.25)
    assert all(("family.shelf.beads" in each) == (each["family"] == 0) for each in drawn)
    assert all(("family.empty.beads" in each) == (each["family"] == 1) for each in drawn)
    assert corpus.groups == ["plate", "bead", "stud"]


def test_bodies_beside_a_family_may_lie_in_its_bodies(corpus_of):
    ball = '[[body]]\nname = "ball"\nshape = "sphere"\nradius_mm = 0.3\nmaterial = "Cu"\ninside = "plate"\ncount = 2\n'
    corpus = load_corpus(corpus_of('[family]\nname = "shelf"\n' + ball))
    for index in range(6):
        scene = draw_scene(corpus, index)[0]
        names = [corpus.groups[group] for group in scene.groups]
        assert names[0] == "plate" and names[-2:] == ["ball", "ball"]
        reach = np.array(scene.mapping["body"][0]["size_mm"]) / 2 - 0.3
        assert all((np.abs(body["position_mm"]) <= reach).all() for body in scene.mapping["body"][-2:])
    with pytest.raises(xsim.CorpusError, match=r"cannot be placed|nothing can be placed inside a mesh"):
        check_corpus(load_corpus(corpus_of('[family]\nname = "shelf"\n' + ball.replace("plate", "stud"))))


def test_the_view_of_a_line_scan_and_of_a_parallel_beam():
    geometry = {"sod_mm": 600, "sdd_mm": 800}
    belt = {"belt_speed_m_s": 0.5, "line_rate_hz": 1000, "lines": 300, "quanta_per_pixel": 100}
    camera = {"preset": "generic-line-400um", "columns": 100}
    scan = view_field(
        {"source": {"voltage_kv": 60}, "geometry": geometry, "acquisition": belt, "detector": camera}, "."
    )
    assert (scan.width_mm, scan.height_mm) == pytest.approx((100 * 0.4 * 0.75, 300 * 0.5))
    panel = {"preset": "generic-gos-200um", "rows": 50, "columns": 100}
    beam = {**geometry, "beam": "parallel"}
    flat = view_field({"source": {"voltage_kv": 60}, "geometry": beam, "detector": panel}, ".")
    assert (flat.width_mm, flat.height_mm) == pytest.approx((20, 10))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[family]\nname = "shelv"', "no family 'shelv' .did you mean 'shelf'"),
        ("[family]\nbeads = 2", "no family None"),
        ("family = 3", "family is no table"),
        ('[family]\nname = "shelf"\nbaeds = 2', "unknown key 'baeds' .did you mean 'beads'"),
        ('[family]\nname = "shelf"\nbeads = 2.5', "beads: must be a whole number .given 2.5"),
        ('[family]\nname = "shelf"\nthickness_mm = { uniform = [0, 4] }', "thickness_mm: must be above 0"),
        ('[family]\nname = "shelf"\nthickness_mm = { unifrom = [1, 4] }', "did you mean 'uniform'"),
        ('[family]\nname = "shelf"\nlayout = { choice = ["row", 3] }', "layout: must be a name .given 3"),
        ('[family]\nname = "shelf"\nbead_material = 3', "bead_material: must be a material"),
        ('[family]\nname = "shelf"\nweight = -1', "weight must be a number of at least 0"),
        ('[[family]]\nname = "shelf"\n[[family]]\nname = "shelf"', "two .* named 'shelf'"),
        ('[family]\nname = "shelf"\nweight = 0', "all weights are 0"),
        ('[family]\nname = "shelf"\n[[body]]\nname = "bead"\nshape = "sphere"', "family has bodies of that kind"),
    ],
)
def test_what_cannot_be_understood_is_told_in_one_line(corpus_of, text, told):
    path = corpus_of("")
    path.write_text(text + "\n" + STATION if text == "family = 3" else STATION + text)
    with pytest.raises(xsim.CorpusError, match=told) as error:
        load_corpus(path)
    assert "\n" not in str(error.value)


def test_a_draw_outside_the_range_of_its_field_is_drawn_again(corpus_of):
    corpus = load_corpus(corpus_of('[family]\nname = "shelf"\nthickness_mm = { normal = [1.0, 1.0] }\n'))
    failures = [failure for index in range(30) for failure in draw_scene(corpus, index)[1]]
    assert failures and all("family.thickness_mm must be above 0" in each["reason"] for each in failures)


def test_every_option_of_a_family_is_tried_before_a_corpus_is_made(corpus_of):
    text = '[family]\nname = "shelf"\nbead_material = { choice = ["Al", "unobtainium"], weights = [1, 1e-9] }\n'
    with pytest.raises(xsim.CorpusError, match=r"family.bead_material: .*unobtainium"):
        check_corpus(load_corpus(corpus_of(text)))


def test_the_hash_covers_folders_that_a_family_names(tmp_path):
    """Their files and the voxels of zarr scans among them, but neither folders below nor, without a name, any."""
    for name in ("parts/scan.zarr", "parts/other"):
        (tmp_path / name).mkdir(parents=True)

    def hash_with(file, text, folder="parts"):
        (tmp_path / file).write_text(text)
        return content_hash({"corpus": {}, "family": {"folder": folder}}, tmp_path)

    for file in ("parts/a.stl", "parts/scan.zarr/c"):
        assert hash_with(file, "a") == hash_with(file, "a") != hash_with(file, "b")
    assert hash_with("parts/other/b.stl", "a") == hash_with("parts/other/b.stl", "b")
    assert hash_with("b.stl", "a", "") == hash_with("b.stl", "b", "")


def test_the_command_lists_families_and_describes_one_as_a_corpus_file_has_it(capsys, monkeypatch, corpus_of):
    from datagen.commands import families as command

    monkeypatch.setattr(command, "FAMILIES", {"shelf": Shelf, "empty": Empty})
    assert main(["families"]) == 0
    assert "shelf\n    A plate with beads.\n" in capsys.readouterr().out
    assert main(["families", "shelf"]) == 0
    told = capsys.readouterr().out
    check_corpus(load_corpus(corpus_of(told[told.index("[family]") :])))
    assert main(["families", "shelv"]) == 2
    assert "did you mean 'shelf'" in capsys.readouterr().err
