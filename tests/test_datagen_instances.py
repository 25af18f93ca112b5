"""The instance table: sizes of every shape, what an inspection looks for, contrasts of valid pixels alone."""

import math
import shutil

import numpy as np
import pytest
from test_datagen_contents import PAIR, saved

import datagen
import xsim
from datagen import store
from datagen.corpus_file import load_corpus
from datagen.instances import body_sizes_mm, contrast, label_boxes
from datagen.scenes import draw_scene
from datagen.table import CLASSES, INSTANCE_COLUMNS, class_of
from xsim.body import SHAPES

TURNED = """
[corpus]
name = "turned"
scenes = 1
[source]
voltage_kv = 60
[acquisition]
quanta_per_pixel = 200
[geometry]
sod_mm = 400
sdd_mm = 500
[detector]
preset = "generic-gos-200um"
rows = 24
columns = 20
"""
BODIES = {
    "box": ("size_mm = [1, 2, 3]", (1, 2, 3)),
    "sphere": ("radius_mm = 1.5", (3, 3, 3)),
    "ellipsoid": ("radii_mm = [1, 2, 3]", (2, 4, 6)),
    "cylinder": ("radius_mm = 1\nheight_mm = 5", (2, 2, 5)),
    "cone": ("radius_mm = 1.5\nheight_mm = 4", (3, 3, 4)),
    "tube": ("radius_mm = 2\ninner_radius_mm = 1\nheight_mm = 7", (4, 4, 7)),
    "spheres": ("centres_mm = [[-2, 0, 0], [2, 0, 1]]\nradii_mm = [1, 0.5]", (5.5, 2, 2.5)),
    "step_wedge": ("steps_mm = [1, 2, 3]\nstep_length_mm = 2\nwidth_mm = 4", (6, 4, 3)),
}


def test_every_shape_has_its_class_and_its_size_however_it_is_turned(tmp_path):
    assert set(SHAPES) == set(BODIES) and set(CLASSES) == {*SHAPES, "mesh", "volume"}
    text = TURNED
    for shape, (fields, _) in BODIES.items():
        text += f'[[body]]\nname = "{shape}"\nshape = "{shape}"\n{fields}\nmaterial = "Al"\n'
        text += "rotation_deg = [31, 47, 73]\n"
    mesh = xsim.phantom_path("bearing-bracket").with_suffix(".stl")
    shutil.copy(mesh, tmp_path / "part.stl")
    text += '[[body]]\nname = "part"\nmesh = "part.stl"\nmesh_unit = "mm"\nmaterial = "Al"\n'
    text += "rotation_deg = [31, 47, 73]\n"
    text = text.replace("sdd_mm = 500", "sdd_mm = 800").replace("rows = 24", "rows = 24\npitch_mm = 5.0")
    corpus = load_corpus(saved(tmp_path, text))
    drawn, _ = draw_scene(corpus, 0)
    sizes = body_sizes_mm(drawn)
    for size, (shape, (_, wanted)), body in zip(sizes, BODIES.items(), drawn.mapping["body"], strict=False):
        assert size == wanted and class_of(body) == shape
    part = drawn.scene.mesh_of(drawn.scene.body[-1])
    assert class_of(drawn.mapping["body"][-1]) == "mesh"
    assert sizes[-1] == pytest.approx(np.ptp(part.vertices, axis=0), abs=1e-6)
    assert all(length == round(length, 6) for length in sizes[-1])


def test_targets_are_what_lies_inside_or_what_the_file_says(tmp_path):
    few = ("scenes = 5", "scenes = 1")
    for name, changes, wanted in (
        ("plain", (), {"block": 0, "hole": 1}),
        ("said", (("priority = 1", "priority = 1\ntarget = false"),), {"block": 0, "hole": 0}),
        ("other", (('name = "block"', 'name = "block"\ntarget = true'),), {"block": 1, "hole": 1}),
    ):
        corpus = saved(tmp_path, PAIR, few, *changes, name=f"{name}.toml")
        datagen.generate(corpus, tmp_path / f"{name}.zarr", progress=False)
        rows = datagen.open_corpus(tmp_path / f"{name}.zarr").instances(0)
        assert {row["group"]: row["target"] for row in rows} == wanted
        # what is no target still lies inside another and is nobody's background
        assert rows[1]["contrast_adu"] > 0
    with pytest.raises(xsim.CorpusError, match="target must be true or false"):
        load_corpus(saved(tmp_path, PAIR, ("priority = 1", "priority = 1\ntarget = 1")))


def test_contrasts_leave_out_what_is_not_valid():
    """Dead pixels in a disc and around it, whatever they read, change no contrast."""
    row, column = np.mgrid[:40, :40]
    disc = (row - 20) ** 2 + (column - 18) ** 2 <= 25
    labels, clean = np.where(disc, 2, 1).astype(np.uint16), np.where(disc, 850.0, 900.0).astype(np.float32)
    valid = np.ones((40, 40), bool)
    valid[18:22, 16:20] = valid[10:13, 10:30] = False
    clean[~valid] = 60000.0
    told = {"a_pixel_adu": 2.0, "b_adu2": 25.0}
    image = xsim.Radiograph(clean, clean, 0 * clean, clean, valid, labels, told)
    box, placed = label_boxes(labels, 2)[1, :4], np.array([False, False, True])
    assert contrast(image, 2, box, placed) == (-50.0, pytest.approx(50 / (2 * 900 + 25) ** 0.5))
    none = xsim.Radiograph(clean, clean, 0 * clean, clean, ~disc, labels, told)
    assert all(math.isnan(each) for each in contrast(none, 2, box, placed))


def test_a_store_without_the_column_is_not_added_to(tmp_path, monkeypatch):
    """An earlier version described the table without it."""
    corpus, out = saved(tmp_path, PAIR, ("scenes = 5", "scenes = 1")), tmp_path / "out.zarr"
    with monkeypatch.context() as earlier:
        earlier.setattr(store, "INSTANCE_COLUMNS", tuple(each for each in INSTANCE_COLUMNS if each != "target"))
        store.create_store(datagen.load_corpus(corpus), out)
    with pytest.raises(xsim.CorpusError, match="no instance column target"):
        datagen.generate(corpus, out, progress=False)
