"""Scene families of parts: valid scenes, flaws inside their hosts, targets named and labelled in the image."""

import warnings
from collections import Counter
from functools import cache

import numpy as np
import pytest

import xsim
from datagen.corpus_file import load_corpus
from datagen.families import FAMILIES
from datagen.families.family import ViewField
from datagen.scenes import draw_scene
from datagen.stream import Stream

SCENES = 20
PARTS = ("casting", "circuit_board", "weldment", "battery", "baggage")


@cache
def corpus(family):
    return load_corpus(f"phantom:{family.replace('_', '-')}-corpus")


@cache
def scenes(family):
    """[(scene, failures)] of the shipped corpus."""
    return [draw_scene(corpus(family), index) for index in range(SCENES)]


def bodies(family):
    """(scene, kind, body, target) of every body."""
    for drawn, _ in scenes(family):
        kinds = [corpus(family).groups[group] for group in drawn.groups]
        yield from ((drawn, *each) for each in zip(kinds, drawn.mapping["body"], drawn.targets, strict=True))


def coarser(drawn):
    """The scene before a camera of half as many rows and columns, for speed."""
    camera = drawn.scene.detector
    fewer = {"rows": camera.rows // 2, "columns": camera.columns // 2, "pitch_mm": 2 * camera.pitch_mm}
    run = dict(drawn.mapping["acquisition"])
    if run.get("lines"):
        run |= {"lines": run["lines"] // 2, "line_rate_hz": run["line_rate_hz"] / 2}
        fewer.pop("rows")
    detector = {**drawn.mapping["detector"], **fewer}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*out of view")
        return xsim.scene_from_dict({**drawn.mapping, "detector": detector, "acquisition": run})


@pytest.mark.parametrize("family", PARTS)
def test_draws_are_valid(family):
    """At most one redraw in twenty scenes; each passes the scene's own check of materials and places."""
    failures = [failure for _, failed in scenes(family) for failure in failed]
    assert len(failures) <= 1, failures
    for drawn, _ in scenes(family):
        drawn.scene.check()
        assert 0 < len(drawn.scene.body) <= FAMILIES[family]().most_bodies()


@pytest.mark.parametrize("family", PARTS)
def test_same_index_same_scene(family):
    for index in (0, 7):
        first, _ = scenes(family)[index]
        again, _ = draw_scene(corpus(family), index)
        assert first.drawn == again.drawn
        for one, other in zip(first.mapping["body"], again.mapping["body"], strict=True):
            assert one.keys() == other.keys()
            for key in one:
                if key == "mesh":
                    assert np.array_equal(one[key].vertices, other[key].vertices)
                    assert np.array_equal(one[key].faces, other[key].faces)
                else:
                    assert np.array_equal(one[key], other[key]), key
    assert scenes(family)[0][0].drawn != scenes(family)[1][0].drawn


@pytest.mark.parametrize("family", PARTS)
def test_every_kind_is_drawn_and_targets_are_told(family):
    """In twenty scenes most kinds are met, and a kind is a target always or never."""
    found = {}
    for _, kind, _, target in bodies(family):
        found.setdefault(kind, set()).add(target)
    kinds = FAMILIES[family].kinds
    assert set(found) <= set(kinds)
    assert len(found) >= 0.8 * len(kinds), set(kinds) - set(found)
    assert all(len(told) == 1 for told in found.values())
    assert sum(told == {True} for told in found.values()) >= 3


@pytest.mark.parametrize("family", PARTS)
def test_targets_have_labels_in_the_image_which_is_filled(family):
    """Eight in ten targets have coarse pixels of their own; bodies cover a tenth of each image, light gets through."""
    seen = total = 0
    for drawn, _ in scenes(family)[:5]:
        image = xsim.simulate(coarser(drawn), 1, "cpu", threads=1)
        there = np.unique(image.labels)
        targets = [label for label, target in enumerate(drawn.targets, 1) if target]
        seen, total = seen + int(np.isin(targets, there).sum()), total + len(targets)
        assert (image.labels > 0).mean() > 0.1
        assert image.valid.mean() > 0.99
        assert np.percentile(image.clean, 95) > 1.08 * np.percentile(image.clean, 1)
    assert total > 1
    assert seen >= 0.8 * total


def winding(vertices, faces, points):
    """How often a closed surface winds around each point (solid angles, van Oosterom and Strackee 1983)."""
    total = np.zeros(len(points))
    for place, point in enumerate(points):
        a, b, c = (vertices[faces[:, k]] - point for k in range(3))
        la, lb, lc = (np.linalg.norm(each, axis=1) for each in (a, b, c))
        volume = np.einsum("ij,ij->i", a, np.cross(b, c))
        dots = [np.einsum("ij,ij->i", *pair) for pair in ((a, b), (b, c), (c, a))]
        total[place] = 2 * np.arctan2(volume, la * lb * lc + dots[0] * lc + dots[1] * la + dots[2] * lb).sum()
    return total / (4 * np.pi)


def shell_points(scene, index, count=5):
    """World points on the surface of a body of a scene."""
    body = scene.body[index]
    if getattr(body, "shape", "") == "sphere":
        axes = np.vstack([np.eye(3), -np.eye(3)])
        return np.asarray(body.position_mm) + body.radius_mm * axes
    vertices = scene.mesh_of(body).vertices
    return body.to_world(vertices[:: max(1, len(vertices) // count)])


def test_flaws_of_castings_lie_in_the_metal():
    """By the winding number of the casting's surface around points of each flaw's surface: 1, whatever drew them."""
    for drawn, _ in scenes("casting")[:4]:
        host = drawn.scene.body[0]
        surface = drawn.scene.mesh_of(host)
        for index in range(1, len(drawn.scene.body)):
            points = host.to_body(shell_points(drawn.scene, index))
            assert np.abs(winding(surface.vertices, surface.faces, points) - 1).max() < 1e-6


def test_balls_have_as_many_faults_as_asked():
    board = FAMILIES["circuit_board"].model_validate(
        {"package": "bga", "ball_pitch_mm": 1.0, "missing_balls": 3, "oversized_balls": 3, "bridges": 3}
    )
    for seed in range(8):
        stream, view = Stream(seed), ViewField(6.0, 6.0, 50.0, 500.0)
        found = board.bodies(board.draw_values(stream, "family", {}), stream, view)
        kinds = Counter(each.kind for each in found)
        assert [kinds[kind] for kind in ("missing ball", "oversized ball", "bridge")] == [3, 3, 3]
        missing = [np.array(each.body["position_mm"]) for each in found if each.kind == "missing ball"]
        bridges = [np.array(each.body["position_mm"]) for each in found if each.kind == "bridge"]
        assert min(np.linalg.norm(a - b) for a in missing for b in bridges) > 0.6, "half a pitch: it ends in the air"


@pytest.mark.parametrize(("metal", "kind"), [("steel", "slag"), ("AlMg4.5", "oxide"), ("Ti-6Al-4V", "oxide")])
def test_welds_under_gas_have_no_slag(metal, kind):
    weld = FAMILIES["weldment"].model_validate({"metal": metal, "slag_lines": 2, "joint": "butt"})
    stream, view = Stream(4), ViewField(80.0, 80.0, 500.0, 700.0)
    kinds = Counter(each.kind for each in weld.bodies(weld.draw_values(stream, "family", {}), stream, view))
    assert kinds[kind] == 2 and kinds["slag"] + kinds["oxide"] == 2


def test_voids_of_balls_lie_in_balls():
    """Points on the sphere of each void lie in one of the ellipsoids of solder."""
    voids = 0
    for drawn, _ in scenes("circuit_board"):
        kinds = [corpus("circuit_board").groups[group] for group in drawn.groups]
        balls = [drawn.scene.body[k] for k, kind in enumerate(kinds) if kind == "ball"]
        for index in (k for k, kind in enumerate(kinds) if kind == "ball void"):
            points = shell_points(drawn.scene, index)
            assert any((((b.to_body(points) / b.radii_mm) ** 2).sum(axis=1) <= 1).all() for b in balls)
            voids += 1
    assert voids > 20


def test_flaws_of_welds_lie_in_the_metal():
    """Every point of a flaw's surface is inside a plate, or a bead winds around it; undercut is open by its nature."""
    for drawn, _ in scenes("weldment"):
        kinds = [corpus("weldment").groups[group] for group in drawn.groups]
        plates = [drawn.scene.body[k] for k, kind in enumerate(kinds) if kind == "plate"]
        beads = [drawn.scene.body[k] for k, kind in enumerate(kinds) if kind == "weld"]
        for index, target in enumerate(drawn.targets):
            if not target or kinds[index] == "undercut":
                continue
            points = shell_points(drawn.scene, index)
            inside = np.array([[plate.contains(point) for plate in plates] for point in points]).any(axis=1)
            for bead in beads:
                surface, rest = drawn.scene.mesh_of(bead), np.flatnonzero(~inside)
                inside[rest] = winding(surface.vertices, surface.faces, bead.to_body(points[rest])) > 0.5
            assert inside.all(), kinds[index]


def test_crumbs_in_cells_lie_in_the_roll():
    """Their corners are between the core and the can, or within the stack of a pouch cell, along the cell too."""
    crumbs = 0
    for drawn, _ in scenes("battery"):
        kinds = [corpus("battery").groups[group] for group in drawn.groups]
        hosts = [drawn.scene.body[k] for k, kind in enumerate(kinds) if kind == "separator"]
        for index in (k for k, kind in enumerate(kinds) if kind == "particle"):
            points = shell_points(drawn.scene, index)
            assert any(all(host.contains(point) for point in points) for host in hosts)
            crumbs += 1
    assert crumbs > 3
