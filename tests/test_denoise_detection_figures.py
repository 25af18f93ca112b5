"""ROC, FROC, smallest sphere, contrast and intervals against theory."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

pytest.importorskip("torch")

from denoise.cases import Case
from denoise.contaminants import FALSE_ALARMS, Contaminants, hunted_cases
from denoise.detection import Region
from denoise.roc import area_under, froc, roc, sites_of
from denoise.smallest_sphere import detection_curve, smallest_sphere, wilson
from denoise.uncertainty import figure_of, mean_figure, ratio_figure

PARAMS = {
    "offset_adu": 100.0, "gain_adu_per_kev": 0.05, "gain_adu_per_quantum": 2.5, "mean_energy_kev": 50.0,
    "quanta_per_pixel": 400.0, "read_noise_adu": 3.0, "a_pixel_adu": 2.5, "b_adu2": 0.0,
}  # fmt: skip


def discs(shape, places, radius):
    y, x = np.mgrid[: shape[0], : shape[1]]
    labels = np.ones(shape, np.uint16)
    for k, (row, column) in enumerate(places, 2):
        labels[(y - row) ** 2 + (x - column) ** 2 <= radius**2] = k
    return labels


def case_of(labels, clean, noisy, sizes=None, sign=1):
    bodies = [{"label": 1, "class": "box", "group": "block", "target": 0}]
    bodies += [
        {"label": k, "class": "sphere", "group": "sphere", "target": 1, **{f"size_{a}_mm": s for a in "xyz"}}
        for k, s in zip(range(2, int(labels.max()) + 1), sizes or [1.0] * 999, strict=False)
    ]
    return Case(noisy.astype(np.float32), clean.astype(np.float32), labels, PARAMS, bodies)


GRID = [(r, c) for r in range(30, 171, 28) for c in range(30, 171, 28)]


def test_area_is_that_of_the_binormal_model():
    random = np.random.default_rng(0)
    for separation in (0.0, 1.0, 2.0):
        found = area_under(random.normal(separation, 1, 8000), random.normal(0, 1, 8000))
        assert found == pytest.approx(stats.norm.cdf(separation / 2**0.5), abs=0.012)
    assert area_under(np.zeros(5), np.zeros(7)) == 0.5
    assert np.isnan(area_under(np.zeros(0), np.zeros(7)))


def test_the_curve_has_the_area_under_it():
    random = np.random.default_rng(1)
    found = roc(random.normal(1.0, 1, 3000), random.normal(0, 1, 5000))
    assert np.trapezoid(found.true_positive_share, found.false_positive_share) == pytest.approx(found.area, abs=0.01)
    assert (np.diff(found.false_positive_share) >= 0).all() and (np.diff(found.true_positive_share) >= 0).all()


@pytest.mark.parametrize("radius", [2, 6])
def test_contaminants_without_contrast_are_found_by_chance_at_any_size(radius):
    """Ratings of a contaminant and its lookalikes are maxima over as many pixels, so the area is one half."""
    labels = discs((200, 200), GRID, radius)
    region = Region(labels == 1, np.where(labels > 1, labels, 0).astype(np.uint16))
    areas = []
    for seed in range(12):
        noise = np.random.default_rng(seed).normal(size=labels.shape)
        sites = sites_of(region, seed)
        own = np.array([noise.ravel()[site.pixels].max() for site in sites])
        others = np.concatenate([noise.ravel()[site.lookalikes].max(axis=1) for site in sites])
        areas.append(area_under(own, others))
    assert np.mean(areas) == pytest.approx(0.5, abs=0.035)


def test_lookalikes_have_the_shape_of_their_contaminant_and_lie_in_free_pixels():
    labels = discs((120, 120), [(40, 40), (80, 90)], 4)
    region = Region(labels == 1, np.where(labels > 1, labels, 0).astype(np.uint16))
    for site in sites_of(region, 3):
        assert (region.targets.ravel()[site.pixels] == site.label).all()
        assert region.free.ravel()[site.lookalikes].all()
        rows = site.lookalikes // 120
        assert (np.ptp(rows, axis=1) == np.ptp(site.pixels // 120)).all()


def test_froc_counts_touching_pixels_once():
    labels = discs((100, 100), [(50, 50)], 4)
    region = Region(labels == 1, np.where(labels > 1, labels, 0).astype(np.uint16))
    scores = np.random.default_rng(0).uniform(0, 0.1, labels.shape)
    scores[10:14, 10:14] += 1.0  # 32 pixels in two groups
    scores[80:84, 80:84] += 1.0
    found = froc([scores, scores], [region, region], np.array([0.9, 0.9]))
    at = np.searchsorted(found.false_alarms_per_image, 2.0)
    assert found.false_alarms_per_image[at] == 2.0
    assert found.true_positive_share[0] == 0.0 and found.true_positive_share[-1] == 1.0


def test_smallest_sphere_is_where_half_are_found():
    random = np.random.default_rng(2)
    radius = np.exp(random.uniform(np.log(0.2), np.log(1.5), 3000))
    image = np.repeat(np.arange(60), 50)
    found = random.uniform(size=3000) < 1 / (1 + np.exp(-6.0 * np.log(radius / 0.45)))
    sphere = smallest_sphere(radius, found, image)
    assert sphere.radius_mm == pytest.approx(0.45, rel=0.05) and sphere.slope == pytest.approx(6.0, rel=0.15)
    assert sphere.low_mm < 0.45 < sphere.high_mm
    curve = detection_curve(radius, found)
    assert curve.found == pytest.approx(1 / (1 + np.exp(-6.0 * np.log(curve.radius_mm / 0.45))), abs=0.07)
    assert curve.spheres.sum() == 3000


def test_a_radius_outside_the_spheres_there_were_is_not_made_up():
    radius, image = np.linspace(0.5, 1.0, 40), np.arange(40) // 4
    every, none = (smallest_sphere(radius, np.full(40, found), image) for found in (True, False))
    assert (every.radius_mm, every.inside, every.nearest_mm) == (None, "below", 0.5)
    assert (none.radius_mm, none.inside, none.nearest_mm) == (None, "above", 1.0)
    assert smallest_sphere(radius[:9], radius[:9] > 0.6, image[:9]) is None
    rarely = smallest_sphere(radius, np.arange(40) % 8 == 7, image)
    assert rarely.radius_mm is None and rarely.inside == "above"


def test_wilson_is_scipys():
    low, high = wilson(np.array([3 / 11]), np.array([11]))
    expected = stats.binomtest(3, 11).proportion_ci(0.95, "wilson")
    assert (low[0], high[0]) == pytest.approx((expected.low, expected.high), abs=1e-4)


def test_intervals_are_those_of_the_mean():
    values = np.random.default_rng(3).normal(5.0, 2.0, 400)
    found = mean_figure(values)
    half = 1.96 * values.std() / 20
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half), abs=0.15 * half)
    ratio = ratio_figure(np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 4.0, 6.0, 8.0]))
    assert (ratio.value, ratio.low, ratio.high) == (0.5, 0.5, 0.5)
    assert mean_figure(np.array([1.0, 2.0])).low is None
    assert mean_figure(np.full(4, np.nan)) is None and figure_of(0, lambda places: places) is None


def noisy_cases(sign, count=4, radius=5, depth=60.0):
    labels = discs((200, 200), GRID, radius)
    clean = np.where(labels > 1, 600.0 - sign * depth, 600.0)
    random = np.random.default_rng(4)
    return [case_of(labels, clean, clean + random.normal(0, 25, clean.shape)) for _ in range(count)]


@pytest.mark.parametrize("sign", [1, -1])
def test_dark_inclusions_and_bright_pores_are_found_alike(sign):
    cases = noisy_cases(sign)
    hunted = hunted_cases(cases)
    assert [case.sign for case in cases] == [sign] * 4
    found = Contaminants.of([case.noisy for case in cases], hunted)
    assert found.count == len(hunted.image) > 40
    assert found.area.value > 0.95 and found.rate.value > 0.5
    free = np.concatenate([case.score(case.noisy)[case.region.free] for case in cases])
    assert (free > found.threshold[0]).mean() == pytest.approx(FALSE_ALARMS, rel=0.05)


def test_contrast_left_is_measured():
    """An image with 70 % of the contrast and half of the noise."""
    cases = noisy_cases(1)
    hunted = hunted_cases(cases)
    images = [600 + 0.7 * (case.clean - 600) + 0.5 * (case.noisy - case.clean) for case in cases]
    found = Contaminants.of(images, hunted)
    assert found.contrast_recovery.value == pytest.approx(0.7, abs=0.02)
    assert found.contrast_to_noise == pytest.approx(0.7 * 60 / (0.5 * 25), rel=0.08)


def test_each_setting_has_its_own_threshold():
    """A noisy setting does not raise the threshold of a quiet one; too few pixels share one."""
    quiet, loud = noisy_cases(1, 2), noisy_cases(1, 2)
    loud = [case_of(c.labels, c.clean, c.clean + 4 * (c.noisy - c.clean)) for c in loud]
    cases = [*quiet, *loud]
    images = [case.noisy for case in cases]
    apart = Contaminants.of(images, hunted_cases(cases, [[0, 1], [2, 3]]))
    together = Contaminants.of(images, hunted_cases(cases))
    assert apart.threshold[0] < 0.5 * apart.threshold[2] and len(set(together.threshold)) == 1
    assert apart.rate.value > together.rate.value


def test_contaminants_are_looked_for_in_the_bodies_that_they_lie_in():
    """Two blocks side by side are inspected, each away from its outline; a rod that crosses neither is not."""
    labels = discs((200, 200), [(60, 45), (60, 150), (130, 45), (130, 150)], 4)
    labels[:, 95:105] = 7
    labels[:, 100:][labels[:, 100:] == 1] = 6
    bodies = [
        {"label": 1, "class": "box", "group": "left", "target": 0},
        {"label": 6, "class": "box", "group": "right", "target": 0},
    ]
    bodies += [{"label": 7, "class": "cylinder", "group": "rod", "target": 0}]
    bodies += [{"label": k, "class": "sphere", "group": "sphere", "target": 1} for k in (2, 3, 4, 5)]
    clean = np.full(labels.shape, 600.0)
    case = Case(clean, clean, labels, PARAMS, bodies)
    assert {k for k in np.unique(case.region.targets) if k} == {2, 3, 4, 5}
    assert case.region.free[90, 40] and case.region.free[90, 160]
    assert not case.region.free[:, 80:120].any()
    bare = Case(clean, clean, labels, PARAMS, [{**body, "target": 0} for body in bodies])
    assert bare.region is None and hunted_cases([bare]) is None
