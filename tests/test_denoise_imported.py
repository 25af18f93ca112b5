"""Networks by the name of their class."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny_corpus import tiny_corpus

import datagen
from xsim import ModelError

torch = pytest.importorskip("torch")

import denoise  # noqa: E402
from denoise.cli import main  # noqa: E402
from denoise.imported_network import measured_multiple, measured_radius  # noqa: E402
from denoise.networks import DnCNN, UNet, make_network  # noqa: E402


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    datagen.generate(tiny_corpus(folder, scenes=12), folder / "tiny.zarr", progress=False)
    return folder / "tiny.zarr"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small convolutions in many threads wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("name", "multiple", "radius"), [("Stack", 1, 4), ("Halving", 2, 2 * 4), ("Padding", 2, 2 * 4), ("Global", 1, None)]
)
def test_reach_and_grid_are_measured(name: str, multiple: int, radius: int | None) -> None:
    state = torch.random.get_rng_state()
    network = make_network(f"own_networks:{name}")
    assert (network.multiple, network.radius) == (multiple, radius)
    assert network.found == {"multiple": multiple, "radius": radius}
    torch.random.set_rng_state(state)
    again = make_network(f"own_networks:{name}", **network.found, features=8)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), again.parameters(), strict=True)), (
        "measuring draws from torch's own random numbers"
    )


@pytest.mark.parametrize(
    ("network", "reach"),
    [(UNet(6, 2, 6), 4 + 2 * 3 + 4 * 2), (UNet(6, 3, 6), 4 + 2 * 3 + 4 * 3 + 8 * 2), (DnCNN(6, 9), 9)],
)
def test_measured_reach_of_known_networks(network: torch.nn.Module, reach: int) -> None:
    """A pixel of its own grid for each convolution of three rows; halving itself stays within a cell."""
    network = network.double()
    assert measured_multiple(network, 1, 1) == network.multiple
    assert measured_radius(network, 1, network.multiple) == reach <= network.radius


def test_channels_and_options_are_told() -> None:
    network = make_network("own_networks:Stack", inputs=2, outputs=3, features=5, layers=2, radius=7)
    assert network.radius == 7 and network.inner.layers[0].weight.shape == (5, 2, 3, 3)
    assert network(torch.zeros(1, 2, 8, 8)).shape == (1, 3, 8, 8)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_such_module:Net", "not found .*no_such_module"),
        ("own_networks:Net", "not found .*'Net'"),
        (":Net", "not found"),
        ("own_networks:function", "is no class of networks"),
        ("subprocess:Popen", "is no class of networks"),
        ("own_networks:Shrinking", "gives no image of the input's size"),
        ("torch.nn:Conv2d", "cannot be made .*kernel_size"),
    ],
)
def test_what_is_no_network_is_told(name: str, words: str) -> None:
    with pytest.raises(ModelError, match=words) as told:
        make_network(name)
    assert "\n" not in str(told.value)


def test_own_network_trains_and_restores_in_bands(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "m.safetensors"
    line = ["train", str(corpus), "-o", str(model), "--network", "own_networks:Halving", "--steps", "3", "--crop", "16"]
    assert main([*line, "--batch", "4", "--set", "network.features=6"]) == 0
    monkeypatch.delenv("DENOISE_NETWORKS", raising=False)
    with pytest.raises(ModelError, match=r"its code would be run.* DENOISE_NETWORKS=own_networks:Halving"):
        denoise.load(model)
    monkeypatch.setenv("DENOISE_NETWORKS", "deepinv.models:DRUNet,own_networks:Halving")
    loaded = denoise.load(model)
    assert loaded.network.radius == 8 and loaded.network.inner.layers[0].weight.shape[0] == 6
    noisy = np.random.default_rng(0).normal(900, 20, (51, 40)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert loaded(noisy, 0.3, -74.0).shape == noisy.shape
    assert main([*line[:-2], "--crop", "15", "--force"]) == 2
    assert "crop 15 must be a multiple of 2" in capsys.readouterr().err
