from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from denoise import vst  # noqa: E402
from denoise.features import CorpusFeatures, FeatureNet  # noqa: E402
from denoise.perceptual import perceptual_distance_ratio  # noqa: E402

NOISE = (0.5, -20.0)


@pytest.fixture(scope="module")
def features() -> FeatureNet:
    torch.manual_seed(4)
    return FeatureNet("random", "", CorpusFeatures(3, (4, 6, 8)).eval().requires_grad_(False))


@pytest.fixture(scope="module")
def images() -> tuple[np.ndarray, np.ndarray]:
    """Clean image and noise of its own level, ADU."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:150, :140]
    clean = 800.0 + 200.0 * (np.hypot(rows - 60, columns - 70) < 25) + columns
    return clean.astype(np.float32), (random.normal(size=clean.shape) * np.sqrt(NOISE[0] * clean + NOISE[1])).astype(
        np.float32
    )


def test_it_is_nought_for_the_clean_image_and_grows_with_noise(features: FeatureNet, images: Any) -> None:
    clean, noise = images
    found = [perceptual_distance_ratio(features, clean + k * noise, clean, *NOISE) for k in (0.0, 0.25, 0.5, 1.0, 2.0)]
    assert found[0] == 0.0
    assert all(less < more for less, more in pairwise(found))


def test_it_has_no_unit(features: FeatureNet, images: Any) -> None:
    """Another gain and offset of the same frame: x' = 3 x + 100, Var x' = 3 a x' + 9 b - 300 a."""
    clean, noise = images
    a, b = NOISE
    one = perceptual_distance_ratio(features, clean + noise, clean, a, b)
    other = perceptual_distance_ratio(features, 3 * (clean + noise) + 100, 3 * clean + 100, 3 * a, 9 * b - 300 * a)
    assert other == pytest.approx(one, rel=1e-3)


def test_of_a_network_that_passes_its_input_on_it_is_that_of_pixels(images: Any) -> None:
    itself = FeatureNet("itself", "", lambda u: [u])  # type: ignore[arg-type]
    clean, noise = (each[:64, :64] for each in images)
    z, wanted = (vst.forward(each, *NOISE) for each in (clean + noise, clean))
    expected = np.linalg.norm(z - wanted) / np.linalg.norm(wanted - wanted.mean())
    assert perceptual_distance_ratio(itself, clean + noise, clean, *NOISE) == pytest.approx(expected, rel=1e-4)


def test_pixels_that_do_not_count(features: FeatureNet, images: Any) -> None:
    """Those that are not valid, and those that fill no tile."""
    clean, noise = images
    valid = np.ones(clean.shape, bool)
    valid[20:40, 30:50] = False
    whole = perceptual_distance_ratio(features, clean + noise, clean, *NOISE, valid)
    wild = clean + noise
    wild[20:40, 30:50] = 65535.0
    wild[128:] = 0.0
    wild[:, 128:] = 0.0
    assert perceptual_distance_ratio(features, wild, clean, *NOISE, valid) == whole
    small = perceptual_distance_ratio(features, (clean + noise)[:20, :30], clean[:20, :30], *NOISE)
    assert small > 0
    assert perceptual_distance_ratio(features, clean, clean, *NOISE, tile_px=40) == 0.0
