"""What families promise: volumes as asked, grains at rest that do not overlap, solids that are closed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import trimesh

import xsim
from datagen.families import FAMILIES
from datagen.families.assembly import Assembly
from datagen.families.family import ViewField
from datagen.families.food_volume import food_volume
from datagen.families.foreign_body import foreign_body
from datagen.families.grain_packing import Pile, pour
from datagen.families.luggage_item import ITEMS
from datagen.families.shapes import any_turn_deg, revolved, shard
from datagen.families.sphere_packing import Room, scatter_spheres, spread_radii
from datagen.families.texture import noise, octaves
from datagen.placement import PlacementError, rotation
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
