from __future__ import annotations

import numpy as np
import pytest
import tifffile
from tiny_corpus import tiny_corpus

import datagen
import xsim

pytest.importorskip("torch")

from denoise.baselines import tuned_gaussian, tuned_median
from denoise.conditions import check_corpus
from denoise.detection import (
    Region,
    detection_rate,
    hunt,
    inspected_region,
    score,
    threshold_at,
)
from denoise.evaluation import Case, bias, by_dose, corpus_cases, psnr_db, ssim
from denoise.fidelity import bias_uncertainty

PARAMS = {
    "offset_adu": 100.0,
    "gain_adu_per_kev": 0.05,
    "gain_adu_per_quantum": 2.5,
    "mean_energy_kev": 50.0,
    "quanta_per_pixel": 400.0,
    "read_noise_adu": 3.0,
}
FLAT = 1000.0  # ADU: 0.05 x 50 x 400


def case(clean: np.ndarray, noisy: np.ndarray, labels: np.ndarray | None = None, **params: float) -> Case:
    bodies = [{"label": 1, "class": "box"}, {"label": 2, "class": "sphere"}, {"label": 3, "class": "sphere"}]
    labels = np.zeros(clean.shape, np.uint16) if labels is None else labels
    return Case(noisy.astype(np.float32), clean.astype(np.float32), labels, {**PARAMS, **params}, bodies)


def disc(shape: tuple[int, int], row: int, column: int, radius: float) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return (y - row) ** 2 + (x - column) ** 2 <= radius**2


def test_psnr_is_relative_to_the_open_beam() -> None:
    clean = np.full((20, 20), 700.0)
    one = case(clean, clean + 10.0)
    assert one.flat_adu == FLAT
    assert psnr_db(one.noisy, one) == pytest.approx(20 * np.log10(FLAT / 10.0))


def test_bias_is_that_of_all_pixels_over_the_signal() -> None:
    cases = [case(np.full((10, 10), 600.0), np.zeros((10, 10))), case(np.full((10, 30), 200.0), np.zeros((10, 30)))]
    images = [each.clean + add for each, add in zip(cases, (2.0, -1.0), strict=True)]
    assert bias(images, cases) == pytest.approx((100 * 2.0 - 300 * 1.0) / (100 * 500.0 + 300 * 100.0))


def test_bias_uncertainty_is_that_of_the_quanta() -> None:
    random = np.random.default_rng(0)
    quanta = 40.0
    clean = np.full((64, 64), 100.0 + 2.5 * quanta)
    expected = bias_uncertainty([case(clean, clean)])
    draws = []
    for _ in range(300):
        noisy = 100.0 + 2.5 * random.poisson(quanta, clean.shape) + random.normal(0, 3.0, clean.shape)
        draws.append(bias([noisy], [case(clean, noisy)]))
    assert np.std(draws) == pytest.approx(expected, rel=0.15)


def test_filters_are_tuned_to_the_best_setting() -> None:
    """Against every setting of the list: none gives a better mean PSNR."""
    random = np.random.default_rng(1)
    clean = [500.0 + 200.0 * disc((64, 64), 32, 32, r).astype(float) for r in (8, 20)]
    noisy = [each + random.normal(0, 40, each.shape) for each in clean]

    def error(images: list[np.ndarray]) -> float:
        return float(np.mean([np.log(np.mean((x - c) ** 2)) for x, c in zip(images, clean, strict=True)]))

    for tuned, settings in (
        (tuned_gaussian(noisy, clean), (0.4, 1.0, 2.5, 5.0)),
        (tuned_median(noisy, clean), (3, 9, 19)),
    ):
        from scipy import ndimage

        smooth = ndimage.gaussian_filter if tuned.name == "Gaussian" else ndimage.median_filter
        for setting in settings:
            assert error(tuned.images) <= error([smooth(each, setting) for each in noisy]) + 1e-12


def test_score_is_log_transmission_below_the_surroundings() -> None:
    clean = np.full((120, 120), 1100.0)
    clean[disc(clean.shape, 60, 60, 5)] = 100.0 + 1000.0 * np.exp(-0.3)
    found = score(clean, 100.0, 1.0)
    assert found[60, 60] == pytest.approx(0.3, abs=1e-5)
    assert abs(found[20, 20]) < 1e-6 and abs(found[0, 0]) < 1e-6
    assert np.isfinite(score(np.full((9, 7), -50.0), 100.0, 1.0)).all()


def test_threshold_keeps_the_rate_of_false_alarms() -> None:
    random = np.random.default_rng(2)
    scores = [random.normal(size=(200, 200)).astype(np.float32) for _ in range(5)]
    regions = [Region(np.ones((200, 200), bool), np.zeros((200, 200), np.uint16)) for _ in scores]
    limit = threshold_at(scores, regions, 1e-3)
    assert sum(int((each > limit).sum()) for each in scores) == 200
    assert threshold_at(scores[:1], regions[:1], 1e-6) == np.inf


def test_hunt_tells_found_from_missed_and_alarms() -> None:
    spheres = np.zeros((40, 40), np.uint16)
    spheres[disc(spheres.shape, 10, 10, 3)], spheres[disc(spheres.shape, 30, 30, 3)] = 2, 3
    scores = np.zeros((40, 40), np.float32)
    scores[10, 11], scores[5, 35] = 1.0, 1.0
    found = hunt(scores, Region(spheres == 0, spheres), 0.5)
    assert (found.found, found.missed) == ([2], [3])
    assert np.argwhere(found.alarms).tolist() == [[5, 35]]


def test_region_is_the_inside_of_the_host_where_nothing_else_shows() -> None:
    labels = np.zeros((160, 160), np.uint16)
    labels[20:140, 20:140] = 1
    labels[disc(labels.shape, 80, 80, 6)] = 2
    labels[disc(labels.shape, 26, 26, 3)] = 3  # too near the outline
    uneven = np.zeros(labels.shape)
    uneven[100] = 0.5
    region = inspected_region(labels, [2, 3], [1], uneven)
    assert set(np.unique(region.targets)) == {0, 2}
    assert not region.free[80, 80] and not region.free[100].any()
    assert region.free[70, 50] and not region.free[30, 80] and not region.free[5, 5]


def test_noise_hides_spheres_and_smoothing_finds_them() -> None:
    random = np.random.default_rng(3)
    labels = np.zeros((160, 160), np.uint16)
    labels[5:155, 5:155] = 1
    labels[disc(labels.shape, 60, 60, 6)], labels[disc(labels.shape, 100, 100, 6)] = 2, 3
    clean = np.where(labels > 1, 600.0, 700.0)
    noisy = clean + random.normal(0, 60, clean.shape)
    one = case(clean, noisy, labels)
    assert one.region is not None
    rates = []
    for image in (noisy, tuned_gaussian([noisy], [clean]).images[0], clean):
        rates.append(detection_rate([one.score(image)], [one.region], 1e-3))
    assert rates[1:] == [(1.0, 2), (1.0, 2)] and rates[0][0] is not None and rates[0][0] <= 1.0
    assert detection_rate([], [], 1e-3) == (None, 0)


def test_doses_are_grouped_in_order() -> None:
    image = np.full((4, 4), 500.0)
    cases = [case(image, image, quanta_per_pixel=dose) for dose in (900.0, 30.0, 100.0, 2000.0, 50.0, 400.0)]
    groups = by_dose(cases)
    assert list(groups) == ["30 to 50", "100 to 400", "900 to 2000"]
    assert [len(each) for each in groups.values()] == [2, 2, 2]
    few = by_dose([case(image, image, quanta_per_pixel=dose) for dose in (60.0, 900.0, 60.2, 60.1, 903.0)])
    assert {name: len(each) for name, each in few.items()} == {"60": 3, "900": 2}


def test_pixels_that_are_not_valid_count_in_no_figure() -> None:
    """Whatever they read; and the figures of the others are those of the picture cut there."""
    random = np.random.default_rng(1)
    clean = np.full((40, 60), 700.0) + random.normal(0, 30, (40, 60))
    noisy = clean + random.normal(0, 20, clean.shape)
    valid = np.ones(clean.shape, bool)
    valid[:, 40:] = False
    wild = np.where(valid, noisy, 60000.0)
    kept, cut = case(clean, wild), case(clean[:, :40], noisy[:, :40])
    kept = Case(kept.noisy, kept.clean, kept.labels, kept.params, kept.bodies, valid)
    other = np.where(valid, noisy, -5.0).astype(np.float32)
    assert psnr_db(kept.noisy, kept) == pytest.approx(psnr_db(cut.noisy, cut), abs=1e-9)
    assert bias([kept.noisy], [kept]) == pytest.approx(bias([cut.noisy], [cut]) or 0, rel=1e-9)
    assert bias_uncertainty([kept]) == pytest.approx(bias_uncertainty([cut]), rel=1e-9)
    assert ssim(other, kept) == ssim(kept.noisy, kept) and 0.0 < ssim(other, kept) < 1.0
    # away from the seam, where windows see no other pixel, it is that of the picture cut there
    assert ssim(other, kept) == pytest.approx(ssim(cut.noisy, cut), abs=0.05)
    for tuned in (tuned_gaussian, tuned_median):
        found = tuned([cut.noisy], [cut.clean])
        # a wild pixel may still reach its neighbours through a filter, but is not asked for itself
        assert tuned([other], [kept.clean], [valid]).setting <= found.setting


def test_a_loss_is_summed_over_valid_pixels() -> None:
    import torch

    from denoise.methods import Moment
    from denoise.noise_cnn import loss

    generator = torch.Generator().manual_seed(0)
    clean = 500 + 50 * torch.rand((4, 1, 8, 8), generator=generator)
    noisy, one = clean + torch.randn(clean.shape, generator=generator), torch.ones(4, 1, 1, 1)
    batch = {"noisy": noisy, "clean": clean, "valid": torch.ones(clean.shape, dtype=torch.bool), "a": one, "b": one}
    half = {**batch, "valid": batch["valid"].clone()}
    half["valid"][2:] = False
    first = {name: each[:2] for name, each in batch.items()}
    none = {**batch, "valid": torch.zeros_like(batch["valid"])}

    def found(asked):
        total, terms = loss(lambda z: 0 * z, asked, {"domain": "vst"}, Moment(0, 0.0, generator))
        return float(total), int(terms)

    assert found(half) == pytest.approx(found(first), rel=1e-6)
    assert found(first)[1] == 128 and found(none) == (0.0, 0)


@pytest.mark.parametrize(("clean", "words"), [("", "no clean images"), ('clean_images = "bg"', r"dose .* not known")])
def test_a_corpus_that_figures_cannot_be_made_of_is_one_line(tmp_path, clean, words):
    """Real images: without clean ones there is nothing to compare with, and their dose nobody has measured."""
    (tmp_path / "bg").mkdir()
    tifffile.imwrite(tmp_path / "bg" / "0.tif", np.random.default_rng(1).poisson(2000, (32, 32)).astype(np.uint16))
    background = f'[background]\nimages = "bg"\nmaterial = "Al"\nopen_beam_adu = 4000\n{clean}\n'
    corpus = tiny_corpus(tmp_path, scenes=2, more=f"split = {{ train = 0, val = 0, test = 1 }}\n{background}")
    datagen.generate(corpus, tmp_path / "out.zarr", progress=False)
    with pytest.raises(xsim.CorpusError, match=words):
        corpus_cases(datagen.open_corpus(tmp_path / "out.zarr"), "test")
    if not clean:
        corpus = datagen.open_corpus(tmp_path / "out.zarr")
        with pytest.raises(xsim.CorpusError, match="nothing to train towards"):
            check_corpus(corpus, [corpus.subset()], 16)
