"""Audit of restorers on simulated repeats: what it says without clean images against the truth, which uses them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from audit_scenes import BACKGROUND, BLACK, BLOCK, PART, exposed, frames_of, gaussian, law_of, median, scene
from scipy import ndimage

from denoise.audit import Audit, audit_repeats
from denoise.audit_contrast import Spheres, contrast_recovered, placed
from denoise.audit_figures import bias_of, error_of, pair_products, structure_share
from denoise.audit_verdict import Limits, overall, verdict
from denoise.noise_facts import NoiseLaw
from denoise.repeats import steadiness
from xsim import Exposure, MeasurementError, expose


@pytest.fixture(scope="module")
def part() -> Exposure:
    return exposed(*PART)


@pytest.fixture(scope="module")
def repeats(part: Exposure) -> np.ndarray:
    return frames_of(part, 12)


@pytest.fixture(scope="module")
def block() -> Exposure:
    return exposed(BLOCK, side=160)


def words(audit: Audit, limits: Limits | None = None) -> dict[str, str]:
    return {line.question: line.word for line in verdict(audit, limits)}


# error, against the truth


@pytest.mark.parametrize("restore", [gaussian(1.0), gaussian(2.0), median(5), median(9)], ids=["g1", "g2", "m5", "m9"])
def test_the_error_is_that_to_the_clean_image(part: Exposure, repeats: np.ndarray, restore: Any) -> None:
    """Asked: 5 %. Mean square over 12 frames to the noise-free image, which the audit does not see."""
    found = audit_repeats(repeats, restore, law_of(part), BLACK)
    clean = part.record(1).expected.astype(np.float64)
    truth = float(np.mean([(restore(frame) - clean) ** 2 for frame in repeats]))
    assert found.squared_error_adu2.value == pytest.approx(truth, rel=0.05)
    noise = float(np.mean((repeats - clean) ** 2))
    assert found.noise_variance_adu2.value == pytest.approx(noise, rel=0.02)
    assert found.gain_db is not None
    assert found.gain_db.value == pytest.approx(10 * np.log10(noise / truth), abs=0.2)
    assert found.gain_db.low < found.gain_db.value < found.gain_db.high


def white_frames(generator: np.random.Generator, count: int = 6, side: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """A wavy scene, and frames of it with white noise of sd 10."""
    y, x = np.mgrid[:side, :side] / side
    clean = 1000 + 80 * np.sin(9 * x + 4 * y) + 40 * np.sin(40 * x)
    return clean, clean + 10 * generator.standard_normal((count, side, side))


def test_the_error_has_no_bias_and_its_interval_holds_the_truth_as_often_as_it_says() -> None:
    """300 sets of six frames: mean of the estimates within 3 standard errors of the truth; the 95 % interval, a
    jackknife's of six, holds it in 90 % of the sets at least."""
    generator, restore, every = np.random.default_rng(0), gaussian(0.8), np.ones((32, 32), bool)
    estimates, truths = [], []
    for _ in range(300):
        clean, frames = white_frames(generator)
        restored = np.stack([restore(frame) for frame in frames])
        found = error_of(pair_products(frames, restored, np.ones(6), 0.0, every))["squared_error_adu2"]
        assert found is not None
        estimates.append(found)
        truths.append(float(((restored - clean) ** 2).mean()))
    expected, values = float(np.mean(truths)), [each.value for each in estimates]
    assert np.mean(values) == pytest.approx(expected, abs=3 * np.std(values) / 300**0.5)
    assert np.mean([each.low <= expected <= each.high for each in estimates]) > 0.9


def test_the_noisy_image_itself_gains_nothing_and_a_perfect_restorer_shows_no_error() -> None:
    clean, frames = white_frames(np.random.default_rng(3), side=64)
    every = np.ones(clean.shape, bool)
    same = error_of(pair_products(frames, frames, np.ones(6), 0.0, every))
    assert same["gain_db"] is not None and abs(same["gain_db"].value) < 1e-9
    perfect = error_of(pair_products(frames, np.stack([clean] * 6), np.ones(6), 0.0, every))
    squared, noise = perfect["squared_error_adu2"], perfect["noise_variance_adu2"]
    assert squared is not None and noise is not None
    assert squared.low < 0.0 < squared.high < 0.1 * noise.value
    assert perfect["gain_db"] is None


# bias, and what was taken away


def test_bias_is_found_and_no_other() -> None:
    """A restorer that takes 0.2 % off everything and 2 % off one tile."""
    clean, frames = white_frames(np.random.default_rng(4), 8, 96)
    restored = frames - 0.002 * frames
    restored[:, :32, :32] -= 0.018 * clean[:32, :32]
    whole, levels, tiles = bias_of(frames, restored, np.ones(8), 0.0, np.ones(clean.shape, bool))
    assert whole.share == pytest.approx(-0.002 - 0.018 / 9, rel=0.03)
    assert len(levels) == 6 and len(tiles) == 9
    assert tiles[0].share == pytest.approx(-0.02, rel=0.01) and tiles[0].region == "rows 0:32, columns 0:32"
    assert all(tile.share == pytest.approx(-0.002, rel=0.01) for tile in tiles[1:])


def test_regions_of_an_unbiased_restorer_show_none() -> None:
    """Levels are chosen so that noise does not choose: 200 sets, false alarms at 5 % as asked."""
    generator, alarms = np.random.default_rng(5), 0
    for _ in range(200):
        clean, frames = white_frames(generator, 6, 64)
        restored = clean + 0.3 * (frames - clean)
        _, levels, tiles = bias_of(frames, restored, np.ones(6), 0.0, np.ones(clean.shape, bool))
        alarms += sum(any(region.sure_share > 0 for region in regions) for regions in (levels, tiles))
    assert 0 < alarms <= 36  # of 400, 20 expected


def test_structure_taken_away_is_told_from_noise_taken_away() -> None:
    clean, frames = white_frames(np.random.default_rng(6), 10, 64)
    every = np.ones(clean.shape, bool)
    only_noise = clean + 0.3 * (frames - clean)
    share = structure_share(pair_products(frames, only_noise, np.ones(10), 0.0, every))
    assert share.low < 0.002 and abs(share.value) < 0.01
    wave = 5.0 * np.sin(0.8 * np.arange(64))
    share = structure_share(pair_products(frames, only_noise - wave, np.ones(10), 0.0, every))
    assert share.value == pytest.approx(12.5 / (12.5 + 49.0), rel=0.05)


# contrast


def truth_of_contrast(
    restore: Any, sizes: tuple[float, ...], places: int, seed: int, frames: int
) -> dict[float, float]:
    """The same spheres simulated with the scene: means of restored frames with and without, by the clean images."""
    side, words = 160, np.random.default_rng(seed)
    found: dict[float, list[float]] = {size: [] for size in sizes}
    wanted = [size for size in sorted(sizes, reverse=True) for _ in range(places)]
    empty = exposed(BLOCK, side=side)
    base = np.mean([restore(frame) for frame in frames_of(empty, frames, seed=71)], axis=0)
    while wanted:
        spheres, wanted = placed(wanted, scene(side=side), None, words)
        tables = [
            {"shape": "sphere", "radius_mm": 0.5 * s.diameter_mm, "material": "316L", "at": list(s.middle)}
            for s in spheres
        ]
        bodies = [
            {"shape": "sphere", "radius_mm": table["radius_mm"], "material": "316L", "priority": 1,
             "position_mm": list(body.position_mm)}
            for table, body in zip(tables, place_bodies_of(tables, side), strict=True)
        ]  # fmt: skip
        full = expose(scene(BLOCK, *bodies, side=side), "cpu")
        change = np.mean([restore(frame) for frame in frames_of(full, frames, seed=72)], axis=0) - base
        shadow = full.record(0).expected.astype(np.float64) - empty.record(0).expected
        for sphere in spheres:
            s = shadow[sphere.window]
            found[sphere.diameter_mm].append(float((change[sphere.window] * s).sum() / (s * s).sum()))
    return {size: float(np.mean(each)) for size, each in found.items()}


def place_bodies_of(tables: list[dict[str, Any]], side: int) -> Any:
    from xsim.foreign_body import place_bodies

    return place_bodies(tables, scene(side=side), 0).bodies


@pytest.mark.parametrize("restore", [gaussian(1.5), median(5)], ids=["gaussian", "median"])
def test_contrast_recovered_is_that_of_scenes_simulated_with_the_spheres(block: Exposure, restore: Any) -> None:
    """Asked: 3 %, of the contrast inserted."""
    sizes, places, seed = (0.4, 0.8, 1.6), 6, 3
    frames = frames_of(block, 8)
    restored = np.stack([restore(frame) for frame in frames])
    spheres = Spheres(scene(side=160), BACKGROUND, sizes_mm=sizes, places=places)
    found = contrast_recovered(frames, restored, restore, spheres, seed)
    truth = truth_of_contrast(restore, sizes, places, seed, 24)
    assert [each.diameter_mm for each in found] == list(sizes)
    for each in found:
        assert each.places == places
        assert each.recovered.value == pytest.approx(truth[each.diameter_mm], abs=0.03)


def test_what_leaves_everything_recovers_everything(block: Exposure) -> None:
    frames = frames_of(block, 4)
    same = lambda frame: frame.astype(np.float32)  # noqa: E731
    spheres = Spheres(scene(side=160), BACKGROUND, sizes_mm=(0.5, 1.0), places=6)
    found = contrast_recovered(frames, frames, same, spheres)
    for each in found:
        assert each.recovered.value == pytest.approx(1.0, abs=0.02)
        assert each.signal_to_noise > 10


def test_a_restorer_that_erases_half_a_millimetre_is_flagged(block: Exposure) -> None:
    """A median of 9 x 9 pixels takes spheres of 0.5 mm (4 pixels) away and leaves those of 3 mm; a narrow Gaussian
    keeps both. Noise falls and the whole image keeps its mean: the other questions do not see it."""
    frames, station = frames_of(block, 6), scene(side=160)
    spheres = Spheres(station, BACKGROUND, sizes_mm=(0.5, 3.0), places=4)
    erasing = audit_repeats(frames, median(9), law_of(block), BLACK, spheres=spheres)
    assert erasing.contrast is not None
    half, whole = erasing.contrast
    assert half.signal_to_noise > 5 and half.recovered.high < 0.2 and whole.recovered.low > 0.8
    found = {line.question: line for line in verdict(erasing)}
    assert found["contrast is kept"].word == "fail" and found["contrast is kept"].why.endswith(": 0.5 mm")
    assert found["error"].word == "pass" and found["bias of the whole image"].word == "pass"
    assert overall(list(found.values())) == "fail"
    keeping = audit_repeats(frames, gaussian(0.6), law_of(block), BLACK, spheres=spheres)
    assert words(keeping)["contrast is kept"] == "pass"
    asked = words(erasing, Limits(smallest_mm=3.0))
    assert asked["contrast is kept"] == "pass"


# frames that are no repeats, noise that is not as told


def test_still_frames_are_found_still(part: Exposure, repeats: np.ndarray) -> None:
    found = steadiness(repeats, BLACK)
    assert not (found.flickers or found.moves or found.remembers)


def test_flicker_is_told_and_taken_out(part: Exposure, repeats: np.ndarray) -> None:
    generator = np.random.default_rng(7)
    factors = 1 + 0.005 * generator.standard_normal(len(repeats))
    flickering = (repeats - BLACK) * factors[:, None, None] + BLACK
    found = steadiness(flickering, BLACK)
    assert found.flickers and not found.moves
    np.testing.assert_allclose(found.brightness, factors / factors.mean(), atol=5 * found.brightness_error)
    restore = gaussian(1.0)
    still, audit = (audit_repeats(each, restore, law_of(part), BLACK) for each in (repeats, flickering))
    assert audit.squared_error_adu2.value == pytest.approx(still.squared_error_adu2.value, rel=0.02)
    lines = {line.question: line for line in verdict(audit)}
    assert lines["frames are repeats"].word == "pass" and "flickers" in lines["frames are repeats"].why


def test_motion_fails(part: Exposure, repeats: np.ndarray) -> None:
    moved = np.stack([ndimage.shift(f.astype(float), (0.04 * k, 0), mode="nearest") for k, f in enumerate(repeats)])
    found = steadiness(moved, BLACK)
    assert found.moves
    np.testing.assert_allclose(np.diff(found.shift_px[:, 0]).mean(), 0.04, rtol=0.2)
    audit = audit_repeats(moved, gaussian(1.0), law_of(part), BLACK)
    assert words(audit)["frames are repeats"] == "fail"


def test_lag_fails(part: Exposure, repeats: np.ndarray) -> None:
    lagging = repeats.astype(np.float64)
    for k in range(1, len(lagging)):
        lagging[k] = 0.9 * lagging[k] + 0.1 * lagging[k - 1]
    found = steadiness(lagging, BLACK)
    assert found.remembers and found.memory == pytest.approx(0.11, abs=0.04)
    assert words(audit_repeats(lagging, gaussian(1.0), law_of(part), BLACK))["frames are repeats"] == "fail"


def test_noise_that_is_not_as_told_fails(part: Exposure, repeats: np.ndarray) -> None:
    law = law_of(part)
    right = audit_repeats(repeats, gaussian(1.0), law, BLACK)
    assert words(right)["noise is as told"] == "pass"
    assert right.range.noise_sd.value == pytest.approx(1.0, abs=0.02)
    wrong = audit_repeats(repeats, gaussian(1.0), NoiseLaw(1.3 * law.a_pixel_adu, 1.3 * law.b_adu2), BLACK)
    assert words(wrong)["noise is as told"] == "fail"
    assert wrong.range.noise_sd.value == pytest.approx(1.3**-0.5, abs=0.02)


def test_what_is_outside_the_trained_range_is_mapped(part: Exposure, repeats: np.ndarray) -> None:
    """Trained on levels below that of the open beam: the pixels beside the part are outside."""
    law = law_of(part)
    dark = part.record(1).labels > 0
    edge = 0.5 * (np.sqrt(np.median(repeats[0][dark])) + np.sqrt(np.median(repeats[0][~dark])))
    level = 2 / law.a_pixel_adu * np.sqrt(law.a_pixel_adu * edge**2 + 0.375 * law.a_pixel_adu**2 + law.b_adu2)
    audit = audit_repeats(
        repeats, gaussian(1.0), law, BLACK, trained={"pixel_levels": [1.0, level / 1.05], "conditions": {}}
    )
    assert (audit.range.outside == ~dark).mean() > 0.97
    assert words(audit)["inside the trained range"] == "fail"
    wide = {"pixel_levels": [1.0, 1e6], "conditions": {"voltage_kv": [50, 80], "kernel_sum_squares": [0.5, 1.0]}}
    told = audit_repeats(repeats, gaussian(1.0), law, BLACK, trained=wide, metadata=part.record(1).metadata)
    assert told.range.outside_share == 0.0
    assert [text.split(" ")[0] for text in told.range.conditions] == ["tube", "noise"]
    assert words(told)["inside the trained range"] == "fail"


def test_saturated_pixels_do_not_count(part: Exposure, repeats: np.ndarray) -> None:
    top = float(np.percentile(repeats, 60))
    cut = np.minimum(repeats, np.uint16(top))
    audit = audit_repeats(cut, gaussian(1.0), law_of(part), BLACK, saturation_adu=top)
    assert 0.02 < audit.counted_share < 0.7
    with pytest.raises(MeasurementError, match="no pixel of the frames counts"):
        audit_repeats(np.full((4, 32, 32), 65535, np.uint16), gaussian(1.0), law_of(part), BLACK)
