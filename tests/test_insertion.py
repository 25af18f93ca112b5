"""Bodies in real images: mean, variance and correlation of the same scene simulated with them."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from inserted import BODIES, LAGS, Case, compare, correlation, neighbour
from scipy.signal import fftconvolve

from xsim import Background, MeasurementError, SceneError, expose, insert, scene_from_dict
from xsim.insertion import Prepared
from xsim.radiograph import Exposure

OPEN, BLOCK = None, (30.0, "PMMA")
STATES = ("raw", "flat_field_corrected")


def product(kernels: np.ndarray, lag: tuple[int, int]) -> np.ndarray:
    """h(u) h(u + lag) of each class: spread by it, a variance gives the covariance of neighbours."""
    return kernels * np.roll(kernels, (-lag[0], -lag[1]), axis=(1, 2))


def spread_of(images: np.ndarray, kernels: np.ndarray) -> np.ndarray:
    """Sum over the classes of images [class, row + margin, column + margin] spread by kernels; float64."""
    pairs = zip(images.astype(np.float64), kernels, strict=True)
    return np.asarray(sum(fftconvolve(image, kernel, mode="valid") for image, kernel in pairs))


def classes(image: np.ndarray) -> np.ndarray:
    return image.reshape(-1, *image.shape[-2:])


def covariances(case: Case, prepared: Prepared, empty: Exposure, full: Exposure) -> dict[Any, Any]:
    """Covariance of neighbours in the window, inserted and simulated, by lag: of quanta in theory, without drawing."""
    part, gain = prepared.part, empty.readout.gain_adu_per_kev
    t, thinning = prepared.thinning.transmission, prepared.thinning
    found = {}
    for lag in ((0, 0), *LAGS):
        kernels = product(empty.spread.whole, lag)  # nought at their ends: what wraps is nothing
        before, after = (gain**2 * spread_of(classes(e.variance), kernels)[part] for e in (empty, full))
        drawn = gain**2 * spread_of(thinning.thinned[1], kernels)
        if thinning.added is not None:
            drawn = drawn + gain**2 * spread_of(thinning.added[1], kernels)
        own = 0.0
        if lag == (0, 0):
            rounding, noise = 1 / 12, empty.readout.read_noise_adu**2
            after, own = after + noise + rounding, thinning.sensor_sd_adu**2 + rounding
            before = before + noise + rounding
        found[lag] = t * neighbour(t, lag) * before + drawn + own, after
    return found


@pytest.mark.parametrize("block", [BLOCK, OPEN], ids=["PMMA", "open beam"])
@pytest.mark.parametrize("body", ["steel 0.8 mm", "glass 3 mm", "pore 3 mm"])
@pytest.mark.parametrize("screen", ["single", "cascade"])
def test_moments_are_those_of_the_scene_with_the_body(screen: str, body: str, block: tuple[float, str] | None) -> None:
    """In theory, from one noisy image: mean to 0.5 % and variance to 1 % in every pixel, correlations to 1.3 points
    over the body and 3.5 in any pixel. Scaling by t keeps too little of the covariance where t bends within a
    kernel: a steel sphere of six pixels is the hard case, the others keep their correlations to 0.1 points."""
    if body.startswith("pore"):
        block = (20.0, "Al") if block else (30.0, "PMMA")
    case = Case(screen, body=body, block=block, side=56)
    empty, full = case.exposures()
    prepared = case.prepared(empty.record(3).noisy.astype(np.uint16)[None])
    part = prepared.part
    gain = empty.readout.gain_adu_per_kev
    signal, wanted = (gain * e.mean_light[part].astype(np.float64) for e in (empty, full))
    mean = prepared.thinning.transmission * signal + prepared.thinning.added_adu
    assert np.abs(mean / wanted - 1).max() < 0.005
    found = covariances(case, prepared, empty, full)
    ours, theirs = found[0, 0]
    inner = np.s_[2:-2, 2:-2]
    assert np.abs(ours / theirs - 1)[inner].max() < 0.01
    under = prepared.labels[part] > 0
    for lag in LAGS:
        a, b = found[lag]
        assert abs(correlation(ours, a, lag, under) - correlation(theirs, b, lag, under)) < (
            0.013 if body.startswith("steel") else 0.003
        )
        each = a / np.sqrt(ours * neighbour(ours, lag)) - b / np.sqrt(theirs * neighbour(theirs, lag))
        assert np.abs(each[inner]).max() < 0.035


def test_pixels_apart_from_the_body_keep_their_values() -> None:
    case = Case(side=96)
    image = case.exposures()[0].record(1).noisy.astype(np.uint16)
    before = image.copy()
    found = insert(image, case.scene(), case.tables, case.background, seed=2)
    away = found.transmission == 1.0
    assert 0.4 < away.mean() < 0.98
    assert (found.image[away] == image[away]).all()
    assert (found.image[found.labels > 0] < image[found.labels > 0]).all()
    assert (image == before).all()
    assert found.image.dtype == np.uint16
    assert set(np.unique(found.labels)) == {0, 1}


def test_the_same_seed_gives_the_same_bytes() -> None:
    case = Case()
    stack = np.stack([case.exposures()[0].record(1).noisy] * 2).astype(np.uint16)
    table = {k: v for k, v in case.tables[0].items() if k != "position_mm"}
    one, same, other = (insert(stack, case.scene(), [table], case.background, seed=s) for s in (5, 5, 6))
    digests = [hashlib.sha256(found.image.tobytes() + found.labels.tobytes()).digest() for found in (one, same, other)]
    assert digests[0] == digests[1] != digests[2]
    assert one.instances == same.instances
    assert one.instances[0]["x_mm"] != other.instances[0]["x_mm"], "a place that is drawn follows the seed"
    alike = (one.image[0] == one.image[1])[one.labels > 0]
    assert alike.mean() < 0.2, "frames of a series have noise of their own"


def test_a_clean_image_gets_the_bodies_without_noise() -> None:
    """Of the expected image of the empty scene, that of the scene with the body, to 0.5 %; the estimate too."""
    case = Case(body="pore 3 mm")
    empty, full = (exposure.record(1) for exposure in case.exposures())
    found = insert(empty.noisy.astype(np.uint16), case.scene(), case.tables, case.background)
    signal = full.expected - found.black_adu
    assert np.abs((found.clean(empty.expected) - full.expected) / signal).max() < 0.005
    assert np.abs((found.expected - full.expected) / signal).max() < 0.01


def test_noise_is_not_that_of_the_image() -> None:
    """An image simulated by a seed and an insertion by the same one share no quanta."""
    case = Case()
    empty = case.exposures()[0]
    noise = np.stack([empty.record(7, k).noise for k in range(40)])
    prepared = case.prepared(empty.record(7).noisy.astype(np.uint16)[None])
    drawn = np.stack([prepared.whole(prepared.thinning.noise(7, k), 0.0) for k in range(40)])
    at = prepared.labels > 0
    shared = np.corrcoef(noise[:, at].ravel(), drawn[:, at].ravel())[0, 1]
    assert abs(shared) < 4 * 2 / np.sqrt(40 * at.sum())


def test_third_moment_is_that_of_thinned_quanta() -> None:
    """Few quanta, no blur: the skewness of Poisson quanta of the mean that is left, to the error of 4e5 draws."""
    sharp = {"light_spread_h_mm2": 1e-6}
    base = Case(side=48, body="glass 3 mm", block=None)
    mapping = base.scene(*base.tables).model_dump(exclude_none=True)
    mapping["source"] = {"energy_kev": 60.0, "current_ma": 1.0}
    mapping["acquisition"]["quanta_per_pixel"] = 12.0
    mapping["detector"]["scintillator"] |= sharp
    mapping["detector"]["sensor"] |= {"gain_adu_per_kev": 10.0, "read_noise_adu": 0.0}
    full = scene_from_dict(mapping)
    empty = scene_from_dict({**mapping, "body": []})
    exposure = expose(empty, "cpu")
    frames = np.stack([exposure.record(3, k).noisy for k in range(1500)]).astype(np.uint16)
    found = insert(frames, empty, base.tables, seed=4)
    middle = found.labels > 0
    quanta = (found.image[:, middle] - found.metadata["black_adu"]) / 600.0
    mean = expose(full, "cpu").mean_light[middle] / 60.0
    centred = quanta - mean
    assert abs(centred.mean()) < 0.02 * mean.mean()
    assert abs((centred**2).mean() / mean.mean() - 1) < 0.03
    assert abs((centred**3).mean() / mean.mean() - 1) < 0.15


def test_saturated_pixels_stay_saturated() -> None:
    whole = Case().exposures()[0].record(1).noisy
    end = int(np.percentile(whole, 99.0))
    case = Case(sensor=(("saturation_adu", float(end)),))
    image = np.minimum(whole, end).astype(np.uint16)
    image[30:33, 30:34] = end
    found = insert(image, case.scene(), case.tables, case.background)
    full = image >= end
    assert full.sum() > 30
    assert (found.image[full] == end).all()
    assert (found.valid == ~full).all()
    assert found.image.max() == end


def test_eight_bits_are_full_at_their_end() -> None:
    """Whatever the camera's converter has: an image that was saved in 8 bits holds no more."""
    case = Case(state="flat_field_corrected", block=None)
    whole = case.exposures()[0].record(1).noisy
    image = np.minimum(whole / whole.mean() * 200.0, 255.0).astype(np.uint8)
    image[30:33, 30:34] = 255
    found = insert(image, case.scene(), case.tables, Background(black_adu=0.0, open_beam_percent=50.0))
    assert (found.valid == (image < 255)).all()
    assert (found.image[image == 255] == 255).all()


@pytest.mark.parametrize(
    "sensor, frames",
    [((("electrons_per_kev", 0.1), ("gain_adu_per_kev", 0.05), ("read_noise_adu", 6.0)), 1), ((), 4)],
    ids=["electrons", "mean of four frames"],
)
def test_noise_that_no_light_spreads(sensor: tuple[tuple[str, float], ...], frames: int) -> None:
    """Measured against the law in the metadata of the same scene with the body; 4.5 standard errors."""
    case = Case(body="glass 3 mm", block=None, sensor=sensor, frames=frames, side=48)
    result = compare(case, 120)
    assert result.mean_z < 5.0
    blocks = result.pixels["under the body"] / 3.5
    assert abs(result.variance["under the body"]) < 4.5 * np.sqrt(2 * 2 / (120 * blocks))


@pytest.mark.parametrize("state", STATES)
def test_inserted_against_simulated(state: str) -> None:
    """Mean, variance and correlation over 150 frames, within 4.5 standard errors of the measurement."""
    result = compare(Case("single", state, "glass 3 mm"), 150)
    blocks = result.pixels["under the body"] / 3.5  # pixels over the sum of their squared correlations
    assert result.mean_z < 5.0
    assert abs(result.variance["under the body"]) < 4.5 * np.sqrt(2 * 2 / (150 * blocks))
    assert abs(result.correlation["under the body"]) < 4.5 * np.sqrt(2 / (150 * blocks))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("block", [BLOCK, OPEN], ids=["PMMA", "open beam"])
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("screen", ["single", "cascade"])
@pytest.mark.parametrize("body, frames", [("steel 0.8 mm", 12000), ("glass 3 mm", 4000)])
def test_inserted_against_simulated_to_the_tolerance(
    body: str, frames: int, screen: str, state: str, block: tuple[float, str] | None
) -> None:
    """1 % of the mean in every pixel, 2 % of the variance and 2 points of correlation under and beside the body."""
    result = compare(Case(screen, state, body, block), frames)
    assert result.mean < 0.01
    assert max(map(abs, result.variance.values())) < 0.02
    assert max(map(abs, result.correlation.values())) < 0.02


def test_what_cannot_be_is_said() -> None:
    case = Case()
    image = np.full((64, 64), 1000, np.uint16)
    scene = case.scene()
    with pytest.raises(MeasurementError, match="has 32 x 64 pixels"):
        insert(image[:32], scene, case.tables)
    assert (insert(image, scene, []).image == image).all()
    with pytest.raises(SceneError, match="lies outside the image"):
        insert(image, scene, [{**BODIES["glass 3 mm"], "at": [70, 3]}])
    with pytest.raises(SceneError, match="no place found"):
        insert(image, scene, [{"shape": "sphere", "radius_mm": 9.0, "material": "Al"}])
    with pytest.raises(SceneError, match="no body is seen"), pytest.warns(UserWarning, match="out of view"):
        insert(image, scene, [{**BODIES["glass 3 mm"], "position_mm": [200.0, 0.0, 0.0]}])
    with pytest.raises(MeasurementError, match="one level"):
        Background("PMMA", open_beam_adu=1.0, open_beam_percent=3.0)
    with pytest.raises(MeasurementError, match="no numbers"):
        insert(np.full((64, 64), np.nan), scene, case.tables)
    with pytest.warns(UserWarning, match="brighter than the open beam"):
        insert(image * 40, scene, case.tables, case.background)
