"""Families that draw from a user's own files: pictures, CAD files, voxel scans; what cannot be used is told by name."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

import xsim
from datagen.corpus_file import load_corpus
from datagen.families.food_volume import picture_volume
from datagen.scenes import check_corpus, draw_scene

DATA = Path(__file__).parent / "data"

CORPUS = """
[corpus]
name = "own"
scenes = 4
[source]
voltage_kv = 80
[geometry]
sod_mm = 500
sdd_mm = 600
[acquisition]
quanta_per_pixel = 300
[detector]
preset = "generic-gos-200um"
rows = 96
columns = 96
pitch_mm = 1.0
[family]
"""


@pytest.fixture
def own(tmp_path):
    def write(text):
        (tmp_path / "own.toml").write_text(CORPUS + text)
        return tmp_path / "own.toml"

    return write


def test_pictures_of_ones_own_become_the_thickness_of_a_slab(own, tmp_path):
    (tmp_path / "mine").mkdir()
    ramp = np.tile(np.linspace(0, 255, 200, dtype=np.uint8), (100, 1))
    Image.fromarray(ramp).save(tmp_path / "mine" / "ramp.png")
    given = "pack = 'none'\nturn_deg = 0.0\nforeign_bodies = 0\nthickness_mm = 20.0\n"
    path = own(f'name = "food"\ntexture_from = "mine"\n{given}')
    scene = draw_scene(load_corpus(path), 0)[0]
    lengths = next(iter(xsim.path_lengths(scene.scene, "cpu", 1).values()))
    row = lengths[48][lengths[48] > 3]
    assert (np.diff(row[2:-2]) > -0.3).all()
    assert row[3] / row[-3] == pytest.approx(0.3, abs=0.06)
    assert scene.drawn.get("family.product") is None, "no product was drawn that is not there"
    deep = Image.fromarray((ramp.astype(np.uint16) + 20) * 200)
    for name, picture in (("deep.png", deep), ("real.tif", Image.fromarray(ramp.astype(np.float32) / 255))):
        picture.save(tmp_path / name)
        assert (picture_volume(tmp_path / name, (40.0, 20.0, 20.0), 0.3)[0]
                == picture_volume(tmp_path / "mine" / "ramp.png", (40.0, 20.0, 20.0), 0.3)[0]).all()  # fmt: skip
    with pytest.raises(xsim.CorpusError, match="keep one"):
        load_corpus(own(f'name = "food"\nproduct = "meat"\ntexture_from = "mine"\n{given}'))
    before = load_corpus(own(f'name = "food"\ntexture_from = "mine"\n{given}')).sha256
    Image.fromarray(ramp[:, ::-1]).save(tmp_path / "mine" / "ramp.png")
    assert load_corpus(path).sha256 != before
    (tmp_path / "mine" / "bad.png").write_bytes(b"no picture")
    with pytest.raises(xsim.CorpusError, match=r"picture bad.png not read"):
        load_corpus(path)


def test_cad_files_are_turned_never_scaled_and_told_by_name(own, tmp_path):
    (tmp_path / "parts").mkdir()
    for name, size in (("small.stl", (10, 14, 18)), ("long.ply", (8, 8, 40)), ("b.obj", (20, 5, 5))):
        trimesh.creation.box(size).apply_translation((50, 7, -3)).export(tmp_path / "parts" / name)
    corpus = load_corpus(own('name = "cad"\nfolder = "parts"\npose = "any"\n'))
    check_corpus(corpus)
    sizes = {"small.stl": (10, 14, 18), "long.ply": (8, 8, 40), "b.obj": (20, 5, 5)}
    names = sorted(sizes)
    for index in range(12):
        scene = draw_scene(corpus, index)[0]
        body = scene.scene.body[0]
        name = names[int(scene.drawn["family.file"])]
        assert body.mesh.endswith(name)
        extent = np.ptp(body.to_body(scene.scene.corners(body)), axis=0)
        assert extent == pytest.approx(sizes[name], rel=1e-6)
        middle = scene.scene.corners(body).mean(axis=0)
        assert np.abs(middle).max() < 0.04 * 80


def test_an_assembly_stands_as_in_its_step_file(own, tmp_path):
    pytest.importorskip("cascadio")
    (tmp_path / "asm.step").write_bytes((DATA / "plate-and-pins-mm.step").read_bytes())
    scene = draw_scene(load_corpus(own('name = "cad"\nfolder = "asm.step"\nmaterial = "Al"\n')), 0)[0]
    assert len(scene.mapping["body"]) == 3
    volumes = sorted(trimesh.Trimesh(*body["mesh"]).volume for body in scene.mapping["body"])
    assert volumes == pytest.approx([math.pi * 4 * 12] * 2 + [30 * 20 * 8 - math.pi * 25 * 8], rel=0.02)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('name = "cad"\n', "folder is missing"),
        ('name = "food"\npack = "trya"\n', "'trya' is not known .known: none, tray, carton"),
        ('name = "food"\nforeign_shape = { choice = ["wire", "ball"] }\n', "'ball' is not known"),
        ('name = "food"\nproduct = "picture"\n', "needs texture_from"),
        ('name = "foam"\noutline = "square"\n', "'square' is not known"),
        ('name = "foam"\ntilt_deg = 5.0\n', "family.tilt_deg must be a list of 3 values"),
        ('name = "foam"\ntilt_deg = { choice = [[0, 0, 0], [1, 2]] }\n', "must be a list of 3 values"),
        ('name = "step_chart"\nprogression = "log"\n', "'log' is not known"),
        ('name = "fluidized_bed"\npowder_material = "salt"\n', "'salt' is not known"),
        ('name = "cad"\nfolder = "nowhere"\n', "no folder 'nowhere'"),
        ('name = "cad"\nfolder = "empty"\n', "no file in empty ends in .stl"),
        ('name = "cad"\nfolder = "bad"\n', "open.stl: .* is open"),
        ('name = "cad"\nfolder = "bad/text.stl"\n', "text.stl: "),
        ('name = "cad"\nfolder = "bad/open.stl"\nmesh_unit = "parsec"\n', "mesh_unit"),
        ('name = "scan"\nfolder = "empty"\n[family.meaning]\nmaterial = "water"\n', "no file in empty ends in .nii"),
        ('name = "scan"\nfolder = "a.npy"\nmeaning = { material = "water" }\n', "a.npy: .*no voxel size"),
    ],
)
def test_files_that_cannot_be_used_are_told_in_one_line(own, tmp_path, text, told):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    box = trimesh.creation.box((10, 10, 10))
    trimesh.Trimesh(box.vertices, box.faces[:-1]).export(tmp_path / "bad" / "open.stl")
    (tmp_path / "bad" / "text.stl").write_text("nothing")
    np.save(tmp_path / "a.npy", np.ones((4, 4, 4), np.uint8))
    with pytest.raises(xsim.CorpusError, match=told) as error:
        load_corpus(own(text))
    assert "\n" not in str(error.value)


def test_foreign_bodies_lie_in_a_scan_and_displace_its_voxels(own, tmp_path):
    z, y, x = np.indices((30, 40, 50))
    voxels = ((((z - 15) / 13) ** 2 + ((y - 20) / 18) ** 2 + ((x - 25) / 23) ** 2) < 1).astype(np.uint8)
    np.save(tmp_path / "ball.npy", voxels)
    text = 'name = "scan"\nfolder = "ball.npy"\nvoxel_mm = 1.0\nforeign_bodies = 2\nforeign_shape = "sphere"\n'
    text += (
        'foreign_size_mm = 3.0\nforeign_material = "steel"\n[family.meaning]\nlabels = { 0 = "nothing", 1 = "water" }\n'
    )
    corpus = load_corpus(own(text))
    for index in range(4):
        scene = draw_scene(corpus, index)[0].scene
        inside = [scene.body[0].to_body(np.array(body.position_mm)) for body in scene.body[1:]]
        shape = voxels.shape[::-1]
        assert all(voxels[tuple(int(v) for v in (at + np.array(shape) / 2)[::-1])] for at in inside)
        full = xsim.path_lengths(scene, "cpu", 1)
        bare = xsim.path_lengths(scene.model_copy(update={"body": scene.body[:1]}), "cpu", 1)
        assert full["steel"].max() > 2
        # where a sphere is wholly inside, its length is what water lost; nowhere is there more than before
        assert (full["water"] <= bare["water"] + 1e-3).all()
        assert float((bare["water"] - full["water"]).sum()) == pytest.approx(float(full["steel"].sum()), rel=0.15)


def test_a_part_that_does_not_fit_is_told(own, tmp_path):
    trimesh.creation.box((300, 20, 20)).export(tmp_path / "beam.stl")
    with pytest.raises(xsim.CorpusError, match=r"beam.stl does not fit into the view"):
        check_corpus(load_corpus(own('name = "cad"\nfolder = "beam.stl"\npose = "flat"\n')))


def test_foreign_bodies_do_not_stick_out_of_a_scan_that_fills_its_box(own, tmp_path):
    np.save(tmp_path / "block.npy", np.ones((20, 20, 20), np.uint8))
    text = 'name = "scan"\nfolder = "block.npy"\nvoxel_mm = 1.0\nforeign_bodies = 3\nforeign_shape = "sphere"\n'
    text += 'foreign_size_mm = 8.0\n[family.meaning]\nlabels = { 0 = "nothing", 1 = "water" }\n'
    corpus = load_corpus(own(text))
    for index in range(6):
        scan, *balls = draw_scene(corpus, index)[0].scene.body
        places = [np.abs(scan.to_body(np.array(ball.position_mm))).max() for ball in balls]
        assert max(places) <= 10.0 - 4.0 + 1e-6, "the box is 10 mm to each side, a sphere 4"
