"""Drawing scenes: pure in (corpus, index), distributed as asked, bodies inside and apart as asked."""

import math

import numpy as np
import pytest
from scipy import stats
from test_datagen_corpus_file import written

import xsim
from datagen.corpus_file import load_corpus
from datagen.distribution import draw, parse
from datagen.placement import PlacementError, Placer
from datagen.sample import simulate_scene
from datagen.scenes import draw_scene, noise_seed, split_of
from datagen.stream import Stream

DRAWS = 4000


def drawn(distribution, count=DRAWS):
    stream, parsed = Stream(5, 1), parse(distribution, "x")
    return [draw(parsed, stream, "x", {}) for _ in range(count)]


@pytest.mark.parametrize(
    ("distribution", "law"),
    [
        ({"uniform": [-2.0, 6.0]}, stats.uniform(-2.0, 8.0)),
        ({"log_uniform": [0.3, 30.0]}, stats.loguniform(0.3, 30.0)),
        ({"normal": [5.0, 2.0]}, stats.norm(5.0, 2.0)),
        ({"normal": [5.0, 2.0], "limits": [4.0, 6.0]}, stats.truncnorm(-0.5, 0.5, 5.0, 2.0)),
    ],
)
def test_continuous_draws_follow_their_law(distribution, law):
    """Kolmogorov-Smirnov at 1 %."""
    assert stats.kstest(drawn(distribution), law.cdf).pvalue > 0.01


@pytest.mark.parametrize(
    ("distribution", "values", "shares"),
    [
        ({"integers": [2, 5]}, [2, 3, 4, 5], [0.25] * 4),
        ({"choice": ["Al", "Cu"]}, ["Al", "Cu"], [0.5] * 2),
        ({"choice": ["a", "b", "c"], "weights": [1, 0, 3]}, ["a", "b", "c"], [0.25, 0.0, 0.75]),
    ],
)
def test_discrete_draws_follow_their_law(distribution, values, shares):
    """Counts within 4 standard deviations; both ends of integers are drawn."""
    found = drawn(distribution)
    assert set(found) <= set(values)
    for value, share in zip(values, shares, strict=True):
        assert abs(found.count(value) - share * DRAWS) <= 4 * math.sqrt(DRAWS * share * (1 - share))


def test_values_stay_inside_and_have_nine_digits():
    for value in drawn({"uniform": [0.1, 0.3]}, 500):
        assert 0.1 <= value <= 0.3
        assert float(f"{value:.9g}") == value


def test_options_may_hold_distributions():
    found = drawn({"choice": [[{"material": "Al", "thickness_mm": {"uniform": [1, 2]}}], []]}, 50)
    thick = [sheets[0]["thickness_mm"] for sheets in found if sheets]
    assert [] in found and len(set(thick)) == len(thick) and 1 <= min(thick) <= max(thick) <= 2


def test_a_scene_is_a_function_of_corpus_and_index(tmp_path):
    corpus = load_corpus(written(tmp_path))
    forwards = [draw_scene(corpus, index)[0].mapping for index in range(4)]
    backwards = [draw_scene(load_corpus(written(tmp_path)), index)[0].mapping for index in (3, 2, 1, 0)]
    assert forwards == backwards[::-1]
    assert len({str(each) for each in forwards}) == 4
    other = load_corpus(written(tmp_path, ("seed = 20", "seed = 21")))
    assert draw_scene(other, 0)[0].mapping != forwards[0]


def test_spheres_are_inside_the_turned_block_and_apart(tmp_path):
    corpus = load_corpus(written(tmp_path))
    for index in range(12):
        scene, _ = draw_scene(corpus, index)
        block = next(body for body in scene.scene.body if body.name == "block")
        spheres = [body for body in scene.scene.body if body.shape == "sphere"]
        assert 3 <= len(spheres) <= 20
        for k, sphere in enumerate(spheres):
            # radius_mm + clearance_mm below every face, in the block's own frame
            local = block.to_body(np.array(sphere.position_mm))
            assert (np.abs(local) <= np.array(block.size_mm) / 2 - sphere.radius_mm - 0.1).all()
            for other in spheres[:k]:
                distance = math.dist(sphere.position_mm, other.position_mm)
                assert distance >= sphere.radius_mm + other.radius_mm + 0.05


CONTAINERS = [
    {"shape": "box", "size_mm": [10, 20, 30]},
    {"shape": "cylinder", "radius_mm": 8, "height_mm": 20},
    {"shape": "sphere", "radius_mm": 12},
]
CHILDREN = [
    {"shape": "sphere", "radius_mm": 1.0},
    {"shape": "box", "size_mm": [1, 2, 4], "rotation_deg": [10, 40, 70]},
    {"shape": "cylinder", "radius_mm": 1, "height_mm": 5, "rotation_deg": [80, 10, 0]},
]


@pytest.mark.parametrize("container", CONTAINERS, ids=lambda each: each["shape"])
@pytest.mark.parametrize("child", CHILDREN, ids=lambda each: each["shape"])
def test_every_child_is_wholly_inside(container, child):
    """No point of the child's surface sticks out of the container by xsim's own idea of poses and insides."""
    container = {**container, "position_mm": [3, -4, 50], "rotation_deg": [20, -30, 115]}
    points = surface_points(child)
    stream, placer = Stream(9), Placer(40)
    for _ in range(40):
        position = placer.place(child, container, 0, 0.0, None, stream)
        scene = body_scene({**container}, {**child, "position_mm": position})
        outer, inner = scene.body
        assert all(outer.contains(point) for point in inner.to_world(points))


def surface_points(body):
    if body["shape"] == "box":
        return np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * np.array(body["size_mm"]) / 2
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=1) * body["radius_mm"]
    if body["shape"] == "cylinder":
        lift = np.array([0, 0, body["height_mm"] / 2])
        return np.concatenate([ring + lift, ring - lift])
    return np.concatenate([ring, np.roll(ring, 1, axis=1), np.roll(ring, 2, axis=1)])


def body_scene(*bodies):
    return xsim.scene_from_dict(
        {
            "source": {"energy_kev": 60},
            "detector": {"preset": "generic-gos-200um", "rows": 512, "columns": 512},
            "body": [{"material": "Al", **body} for body in bodies],
        }
    )


def test_no_room_is_said():
    placer, stream = Placer(10), Stream(1)
    box = {"name": "box", "shape": "box", "size_mm": [2, 2, 2]}
    with pytest.raises(PlacementError, match="does not fit inside box"):
        placer.place({"name": "ball", "shape": "sphere", "radius_mm": 1.2}, box, 0, 0.0, None, stream)
    ball = {"name": "ball", "shape": "sphere", "radius_mm": 0.9}
    placer.place(ball, box, 0, 0.0, 0.0, stream)
    with pytest.raises(PlacementError, match="no room for ball"):
        placer.place(ball, box, 0, 0.0, 0.0, stream)
    # another container is another matter
    placer.place(ball, box, 1, 0.0, 0.0, stream)


def test_failed_draws_are_recorded_and_the_budget_is_kept(tmp_path):
    tight = written(tmp_path, ("integers = [3, 20]", "integers = [20, 28]"), ("apart_mm = 0.05", "apart_mm = 0.6"))
    corpus = load_corpus(tight)
    found = [draw_scene(corpus, index) for index in range(4)]
    assert any(failures for _, failures in found)
    for scene, failures in found:
        assert scene.attempt == len(failures)
        for attempt, failure in enumerate(failures):
            assert failure["attempt"] == attempt and "no room for sphere" in failure["reason"]
    huge = ("radius_mm = { log_uniform = [0.3, 3]", "radius_mm = { uniform = [19, 29]")
    none = load_corpus(written(tmp_path, ("seed = 20", "seed = 20\nredraws = 0"), huge))
    with pytest.raises(xsim.CorpusError, match="does not fit"):
        draw_scene(none, 0)


def test_splits_have_the_asked_shares_and_do_not_mix(tmp_path):
    corpus = load_corpus(written(tmp_path))
    for scenes in (20, 100, 1000):
        parts = [split_of(corpus, index) for index in range(scenes)]
        for name, share in (("train", 0.75), ("val", 0.1), ("test", 0.15)):
            assert abs(parts.count(name) - share * scenes) <= 2


def test_noise_seeds_differ_and_survive_a_float(tmp_path):
    corpus = load_corpus(written(tmp_path))
    seeds = {noise_seed(corpus, index) for index in (*range(1000), 10**12 - 1)}
    assert len(seeds) == 1001
    assert all(int(float(seed)) == seed for seed in seeds)


def test_dose_is_the_one_asked_for(tmp_path):
    corpus = load_corpus(written(tmp_path, ("rows = 128", "rows = 16"), ("columns = 128", "columns = 16")))
    for index in range(4):
        scene, _ = draw_scene(corpus, index)
        sample = simulate_scene(corpus, index, range(1)).samples[0]
        quanta = xsim.simulate(scene.scene, threads=1).metadata["quanta_per_pixel"]
        assert quanta == pytest.approx(scene.drawn["acquisition.quanta_per_pixel"], rel=1e-8)
        assert quanta * (1 + 1e-8) >= 30 and quanta * (1 - 1e-8) <= 3000
        assert any(value == pytest.approx(quanta, rel=1e-8) for value in sample.params)
