"""Every method that restores windows gives the bits of one call on the whole image; those that do not say so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from xsim import ModelError

torch = pytest.importorskip("torch")

import denoise  # noqa: E402
from denoise.decorrelation import variance_factor, whitening_taps  # noqa: E402
from denoise.methods import METHODS, method_named  # noqa: E402
from denoise.networks import make_network  # noqa: E402
from denoise.restorer import Restorer  # noqa: E402

A, B = 0.3, -74.0
KERNEL = np.outer([0.1, 0.2, 0.4, 0.2, 0.1], [0.1, 0.2, 0.4, 0.2, 0.1])
WHITE = {"kernel": None, "taps": None, "variance_factor": 1.0}
CORRELATED = {
    "kernel": KERNEL.tolist(),
    "taps": whitening_taps(KERNEL).tolist(),
    "variance_factor": variance_factor(KERNEL),
}
CASES = [
    pytest.param("noise2noise", {}, id="noise2noise"),
    pytest.param("blindspot", {}, id="blindspot"),
    pytest.param("dngan", {}, id="dngan", marks=pytest.mark.slow),
    pytest.param("noise2self", WHITE, id="noise2self", marks=pytest.mark.slow),
    pytest.param("noise2self", CORRELATED, id="noise2self-decorrelated", marks=pytest.mark.slow),
]


def made(name: str, **found: object) -> Restorer:
    """Restorer of a method with its own network, of random weights."""
    torch.manual_seed(0)
    method = method_named(name)
    settings = {"network": method.network, "anchor_px": 64, "seed": 0, **method.options, **found}
    network = make_network(method.network, **method.network_options(settings))
    network = network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    configuration = {"method": name, "settings": settings, "states": ["raw"], "conditions": {}}
    return Restorer(network, method, configuration, torch.device("cpu"), "m.safetensors", "0")


def frame(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    noisy = np.random.default_rng(0).normal(900, 14, (rows, columns)).astype(np.float32)
    return noisy, np.full_like(noisy, A), np.full_like(noisy, B)


@pytest.mark.parametrize(("name", "found"), CASES)
def test_streamed_equals_one_call(name: str, found: dict[str, object]) -> None:
    restorer, image = made(name, **found), frame(230, 300)
    whole = restorer.restore_whole(*image, restorer.anchor_px)[0, 0].numpy()
    stream = denoise.Stream(restorer, 300, A, B)
    assert stream.grid.rows_seen < 230, "one window is no test"
    lines = [stream.push(image[0][k : k + 37]) for k in range(0, 230, 37)]
    np.testing.assert_array_equal(np.concatenate([*lines, stream.flush()]), whole)


def test_every_method_of_windows_is_here_or_restores_like_one() -> None:
    """A method whose restore is not yet tried above makes this fail."""
    tried = {case.values[0] for case in CASES} | {"noise_cnn"}
    restores = {METHODS[name].restore for name in tried}
    whole = [name for name in METHODS if METHODS[name].radius.__name__ == "whole_image"]
    assert [name for name in METHODS if name not in whole and METHODS[name].restore not in restores] == []


def test_methods_of_whole_images_do_not_stream_and_get_them_whole() -> None:
    usual, image = made("noise2noise"), frame(90, 110)
    whole = replace(usual, method=replace(usual.method, radius=lambda network, settings: None))
    with pytest.raises(ModelError, match=r"m\.safetensors restores only whole images \(noise2noise\)"):
        denoise.Stream(whole, 110, A, B)
    np.testing.assert_array_equal(whole.restore(*image, 64), usual.restore(*image, 64))
