"""What families promise: volumes as asked, grains at rest that do not overlap, scans displaced, bad files told."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

import xsim
from datagen.corpus_file import load_corpus
from datagen.families import FAMILIES
from datagen.families.assembly import Assembly
from datagen.families.family import ViewField
from datagen.families.food_volume import food_volume, picture_volume
from datagen.families.foreign_body import foreign_body
from datagen.families.grain_packing import Pile, pour
from datagen.families.luggage_item import ITEMS
from datagen.families.shapes import any_turn_deg, revolved, shard
from datagen.families.sphere_packing import Room, scatter_spheres, spread_radii
from datagen.families.texture import noise, octaves
from datagen.placement import PlacementError, rotation
from datagen.scenes import check_corpus, draw_scene
from datagen.stream import Stream

VIEW = ViewField(80.0, 80.0, 500.0, 700.0)
STATION = {
    "source": {"energy_kev": 60.0},
    "geometry": {"beam": "parallel", "sod_mm": 500.0, "sdd_mm": 700.0},
    "acquisition": {"exposure_s": 1.0},
    "detector": {"preset": "generic-gos-200um", "rows": 200, "columns": 200, "pitch_mm": 0.5},
}
DATA = Path(__file__).parent / "data"


def drawn_bodies(name, stream, view=VIEW, **fields):
    """Bodies of a family with some fields set."""
    family = FAMILIES[name].model_validate(fields, context={"directory": "."})
    bodies = family.bodies(family.draw_values(stream, "family", {}), stream, view)
    for number, each in enumerate(bodies):
        each.body["name"] = str(number)
    return bodies


def lengths_of(bodies):
    return xsim.path_lengths(xsim.scene_from_dict({**STATION, "body": [each.body for each in bodies]}), "cpu", 1)


@pytest.mark.parametrize("outline", ["plate", "round"])
@pytest.mark.parametrize("blow_holes", [0, 2])
def test_foam_has_the_porosity_asked_for(outline, blow_holes):
    """Exactly by its radii; within 0.5 % by the lengths of a parallel beam's rays through air and foam."""
    given = {"outline": outline, "blow_holes": blow_holes, "inclusions": 0, "porosity": 0.2, "material": "PMMA"}
    bodies = drawn_bodies("foam", Stream(3, 1), pores=2500, tilt_deg=[0.0, 0.0, 30.0], **given)
    block = bodies[0].body
    size = block.get("size_mm") or [0.0, 0.0, 0.0]
    whole = math.prod(size) or math.pi * block["radius_mm"] ** 2 * block["height_mm"]
    radii = bodies[1].body["radii_mm"] + [each.body["radius_mm"] for each in bodies[2:]]
    assert len(bodies) == 2 + blow_holes
    assert 4 / 3 * math.pi * sum(r**3 for r in radii) / whole == pytest.approx(0.2, rel=1e-5)
    lengths = {name: float(image.sum(dtype=np.float64)) for name, image in lengths_of(bodies).items()}
    assert lengths["air"] / (lengths["air"] + lengths["PMMA"]) == pytest.approx(0.2, rel=5e-3)


def test_scattered_spheres_are_inside_apart_and_clear_of_what_is_taken():
    room, stream = Room((40.0, 40.0, 15.0), is_round=True), Stream(4, 1)
    radii = spread_radii(1500, 0.35, 0.25 * room.volume_mm3, stream)
    taken = np.array([[0.0, 0.0, 0.0], [9.0, 5.0, 1.0]]), np.array([5.0, 4.0])
    centres = scatter_spheres(radii, room, stream, 0.01, taken)
    assert (np.hypot(*centres[:, :2].T) + radii <= 20 + 1e-5).all()
    assert (np.abs(centres[:, 2]) + radii <= 7.5 + 1e-5).all()
    places, sizes = np.concatenate([centres, taken[0]]), np.concatenate([radii, taken[1]])
    far = np.linalg.norm(places[:, None] - places[None], axis=2) - sizes[:, None] - sizes[None]
    assert far[np.triu_indices(len(far), 1)].min() > 0.01 - 1e-5


def test_too_many_spheres_are_refused():
    room = Room((10.0, 10.0, 10.0))
    with pytest.raises(PlacementError, match=r"found no room .they fill 0.6"):
        scatter_spheres(spread_radii(200, 0.1, 600.0, Stream(1, 1)), room, Stream(1, 2))
    with pytest.raises(PlacementError, match="larger than its body"):
        scatter_spheres(np.array([6.0]), room, Stream(1, 2))


@pytest.mark.parametrize("radii", [(4.0, 4.0, 4.0), (8.0, 4.2, 3.6), (5.0, 1.7, 1.7)])
def test_poured_grains_rest_on_each_other_and_do_not_overlap(radii):
    """No point of a grain's surface lies in another by more than a tenth of a cell, and each grain has another, or the
    floor, within two cells of it. A cell is a quarter of the smallest radius.
    """
    pile, stream = Pile(70.0, 50.0, min(radii) / 4), Stream(6, 3)
    grains = pour(80, radii, 0.12, pile, stream)
    assert len(grains) == 80
    unit = trimesh.creation.icosphere(3).vertices
    turns = [np.array(rotation(grain.rotation_deg)) for grain in grains]
    skins = [unit * g.radii_mm @ turn.T + g.centre_mm for g, turn in zip(grains, turns, strict=True)]
    cell = pile.cell_mm

    def met(points, but, within):
        for k, (grain, turn) in enumerate(zip(grains, turns, strict=True)):
            if k != but:
                inner = (points - grain.centre_mm) @ turn / (np.array(grain.radii_mm) + within)
                if ((inner * inner).sum(axis=1) < 1).any():
                    return True
        return bool((points[:, 2] < within).any())

    for k, skin in enumerate(skins):
        assert not met(skin, k, -0.1 * cell), k
        assert met(skin, k, 2 * cell), k
        assert (np.abs(skin[:, :2]) <= [35 + cell, 25 + cell]).all()


def test_noise_is_smooth_centred_and_in_range():
    field = noise((40, 50, 60), (8.0, 8.0, 8.0), Stream(2, 2))
    assert field.shape == (40, 50, 60) and field.dtype == np.float32
    assert 0 <= field.min() < field.max() < 1
    assert abs(field.mean() - 0.5) < 0.05
    assert np.abs(np.diff(field, axis=1)).max() < 1.5 / 8 * 1.05  # the steepest smooth step of height 1
    assert octaves((16, 16), (4.0, 4.0), Stream(2, 3)).max() < 1


@pytest.mark.parametrize(("product", "low", "high"), [("meat", 0.9, 1.12), ("bread", 0.1, 0.55), ("cheese", 0.9, 1.1)])
def test_food_is_as_dense_as_it_is(product, low, high):
    """Mean density of what is inside [g/cm3]; the last slice lies flat on the belt, the first is nearly empty."""
    voxels, keys = food_volume(product, (100.0, 70.0, 25.0), 8.0, Stream(9, 1))
    assert voxels.dtype == np.uint8 and keys["volume"] is voxels
    inside = voxels[-12:-2, 30:-30, 40:-40]
    assert low < inside.mean() / 100 < high
    assert (voxels[-1] > 0).mean() > 0.3 > (voxels[0] > 0).mean()


def test_foreign_bodies_are_as_large_as_asked_for():
    stream = Stream(7, 1)
    for shape in ("sphere", "wire", "shard"):
        values = {"foreign_material": "steel", "foreign_shape": shape, "foreign_size_mm": 3.0}
        for _ in range(10):
            body, reach = foreign_body(values, stream)
            scene = xsim.scene_from_dict({**STATION, "body": [body.body]})
            extent = np.ptp(scene.body[0].to_body(scene.corners(scene.body[0])), axis=0)
            assert reach == 1.5 and body.target
            assert extent.max() == pytest.approx(3.0, rel=1e-4) if shape != "wire" else extent.max() > 2.9999


def test_shards_and_vessels_are_closed_and_turn_outwards():
    stream = Stream(8, 1)
    for _ in range(50):
        piece = shard(5.0, stream.between(0.25, 0.7), stream.between(0.15, 0.4), stream)
        assert piece.is_watertight and piece.is_winding_consistent and piece.volume > 0
    solid = revolved([(0, -10), (4, -10), (6, 0), (6, 8), (0, 8)])
    assert solid.is_watertight and solid.is_winding_consistent
    frustum = math.pi * 10 / 3 * (16 + 24 + 36) + math.pi * 36 * 8
    assert solid.volume == pytest.approx(frustum, rel=1e-3)


def test_turns_in_any_direction_favour_none():
    """Where an axis goes is uniform on the sphere: each component has mean 0 and mean square 1/3, within 4 sigma."""
    stream = Stream(12, 1)
    axes = np.array([np.array(rotation(any_turn_deg(stream)))[:, 2] for _ in range(3000)])
    assert np.abs(axes.mean(axis=0)).max() < 4 * math.sqrt(1 / 3 / 3000)
    assert np.abs((axes * axes).mean(axis=0) - 1 / 3).max() < 4 * math.sqrt(4 / 45 / 3000)


def test_steps_are_as_thick_as_they_are_long_in_the_beam():
    given = {"wedges": 1, "gauges": 0, "steps": 8, "progression": "linear", "first_material": "Al", "thickest": 1.0}
    bodies = drawn_bodies("step_chart", Stream(1, 5), turn_deg=0.0, carrier_mm=2.0, carrier_material="PMMA", **given)
    lengths = lengths_of(bodies)
    found = np.unique(np.round(lengths["Al"], 3))
    assert found == pytest.approx([0, *(18.0 * np.arange(1, 9) / 8)], abs=2e-3)


def test_parts_of_a_chart_do_not_overlap():
    """But holes in their plates: what the bodies are alone adds up to what they are together."""
    for seed in range(3):
        bodies = [each for each in drawn_bodies("step_chart", Stream(1, seed), gauges=3) if "priority" not in each.body]
        together = sum(image.sum(dtype=np.float64) for image in lengths_of(bodies).values())
        alone = sum(image.sum(dtype=np.float64) for each in bodies for image in lengths_of([each]).values())
        assert together == pytest.approx(alone, rel=1e-6)


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


def test_foreign_bodies_do_not_stick_out_of_a_scan_that_fills_its_box(own, tmp_path):
    np.save(tmp_path / "block.npy", np.ones((20, 20, 20), np.uint8))
    text = 'name = "scan"\nfolder = "block.npy"\nvoxel_mm = 1.0\nforeign_bodies = 3\nforeign_shape = "sphere"\n'
    text += 'foreign_size_mm = 8.0\n[family.meaning]\nlabels = { 0 = "nothing", 1 = "water" }\n'
    corpus = load_corpus(own(text))
    for index in range(6):
        scan, *balls = draw_scene(corpus, index)[0].scene.body
        places = [np.abs(scan.to_body(np.array(ball.position_mm))).max() for ball in balls]
        assert max(places) <= 10.0 - 4.0 + 1e-6, "the box is 10 mm to each side, a sphere 4"


def test_wakes_of_bubbles_stay_above_the_plate():
    for seed in range(12):
        bodies = drawn_bodies("fluidized_bed", Stream(seed), particles="powder", bubbles=8)
        plate = bodies[1].body["position_mm"][1] - 0.5 * bodies[1].body["height_mm"]
        wakes = [each.body for each in bodies[3:] if each.kind == "bed"]
        assert len(wakes) == 8
        assert max(each["position_mm"][1] + each["radius_mm"] for each in wakes) <= plate + 1e-6


def test_cans_have_thin_ends():
    """Seen from the side a can is metal through and through in the two columns of its ends at the most."""
    for seed in range(4):
        frame = Assembly()
        ITEMS["can"].make(frame, Stream(seed))
        for number, each in enumerate(frame.bodies):
            each.body["name"] = str(number)
        metal = next(length for name, length in lengths_of(frame.bodies).items() if name in ("Al", "steel"))
        assert (metal.max(axis=0) > 20.0).sum() <= 2
        assert len(frame.bodies) <= ITEMS["can"].bodies


def test_a_part_that_does_not_fit_is_told(own, tmp_path):
    trimesh.creation.box((300, 20, 20)).export(tmp_path / "beam.stl")
    with pytest.raises(xsim.CorpusError, match=r"beam.stl does not fit into the view"):
        check_corpus(load_corpus(own('name = "cad"\nfolder = "beam.stl"\npose = "flat"\n')))
