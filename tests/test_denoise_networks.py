from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from xsim import ModelError

torch = pytest.importorskip("torch")

from denoise.anchor import anchored, mirrored, window  # noqa: E402
from denoise.blindspot_network import BlindSpot  # noqa: E402
from denoise.generator import Generator  # noqa: E402
from denoise.machine import pick_precision  # noqa: E402
from denoise.networks import DnCNN, UNet, make_network  # noqa: E402

NETWORKS = [
    pytest.param(lambda **k: UNet(8, 2, 16, **k), id="unet"),
    pytest.param(lambda **k: UNet(8, 3, 16, **k), id="unet-3"),
    pytest.param(lambda **k: DnCNN(8, 5, **k), id="dncnn"),
    pytest.param(lambda **k: Generator(8, **k), id="dngan"),
]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("make", NETWORKS)
def test_reach_is_no_more_than_the_radius(make) -> None:
    network = make()
    side = 4 * network.radius + network.multiple * 8
    middle = side // 2 // network.multiple * network.multiple
    # every pixel of one cell of the coarsest grid: phases differ in how far they reach
    z = torch.randn(1, 1, side, side, requires_grad=True)
    network(z)[..., middle : middle + network.multiple, middle].sum().backward()
    rows, columns = np.nonzero(z.grad[0, 0].numpy())
    for places in (rows, columns):
        assert middle - places.min() <= network.radius
        assert places.max() - (middle + network.multiple - 1) <= network.radius
    assert rows.max() - rows.min() > network.radius, "a reach that is far below the radius wastes work"


@pytest.mark.parametrize("make", NETWORKS)
def test_level_does_not_matter_unless_asked_for(make) -> None:
    z = torch.randn(2, 1, 32, 32)
    blind, seeing = make(), make(level_free=False)
    assert torch.allclose(blind(z + 100.0), blind(z), atol=1e-4)
    assert not torch.allclose(seeing(z + 100.0), seeing(z), atol=1e-2)


@pytest.mark.parametrize("name", ["unet", "dncnn", "dngan"])
def test_default_networks_keep_the_shape(name: str) -> None:
    network = make_network(name)
    assert network(torch.zeros(1, 1, 24, 40)).shape == (1, 1, 24, 40)


def test_reference_network_is_the_published_one() -> None:
    """17 layers of 64 channels, no batch normalisation."""
    network = make_network("dncnn")
    assert sum(weight.numel() for weight in network.parameters()) == 640 + 15 * (64 * 64 * 9 + 64) + 64 * 9 + 1
    assert not [layer for layer in network.modules() if "BatchNorm" in type(layer).__name__]


def test_unknown_networks_and_options() -> None:
    with pytest.raises(ModelError, match=r"unknown network 'unett' \(known: unet, dncnn, blindspot, dngan, package"):
        make_network("unett")
    with pytest.raises(ModelError, match="cannot be made"):
        make_network("unet", depth=3)


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (64, 64), (130, 37)])
def test_anchor_keeps_the_mean(shape: tuple[int, int]) -> None:
    noisy = 300 + 100 * torch.rand(1, 1, *shape)
    restored = noisy.mean() * 0.99 + torch.linspace(0, 5, shape[1]).expand(1, 1, *shape)
    found = anchored(restored, noisy, 16)
    assert float(found.double().mean()) == pytest.approx(float(noisy.double().mean()), rel=1e-6)


def test_anchor_leaves_details_alone() -> None:
    """What is restored right on a wide average is not changed; a constant error goes away entirely."""
    noisy = torch.full((1, 1, 96, 96), 400.0)
    assert torch.allclose(anchored(noisy - 3.0, noisy, 20), noisy, atol=1e-4)
    spot = noisy.clone()
    spot[..., 48, 48] -= 50.0
    assert abs(float(anchored(spot, noisy, 20)[..., 48, 48]) - 350.0) < 0.3
    assert anchored(spot, noisy, 0) is spot


def test_anchor_window_and_mirror() -> None:
    assert window(8).shape == (17,) and float(window(8).sum()) == pytest.approx(1.0, abs=1e-6)
    assert mirrored(3, 4).tolist() == [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0]


@pytest.mark.parametrize("make", NETWORKS)
def test_each_input_may_be_blind_to_its_level(make) -> None:
    network = make(inputs=3, outputs=2, level_free=[True, False, True])
    z = torch.randn(1, 3, 32, 32)
    found = network(z)
    assert found.shape == (1, 2, 32, 32)
    for channel, blind in enumerate((True, False, True)):
        moved = z.clone()
        moved[:, channel] += 50.0
        assert torch.allclose(network(moved), found, atol=1e-3) == blind
    with pytest.raises(ModelError, match="level_free has 2 entries"):
        make(inputs=3, level_free=[True, False])


@pytest.mark.parametrize("make", [*NETWORKS, pytest.param(lambda: BlindSpot(features=4, widest=8), id="blindspot")])
def test_bfloat16_does_not_round_the_noise_away_with_the_level(make) -> None:
    """At the level 500 of a well-exposed frame bfloat16 counts in twos; noise has a standard deviation of 1."""
    network, z = make(), torch.randn(1, 1, 32, 32)
    with torch.no_grad():
        wanted = network(z)
        with torch.autocast("cpu", torch.bfloat16):
            found = network(z + 500.0).float()
    error, size = (found - wanted)[:, 0], wanted[:, 0]
    error = error - error.mean()  # a blind-spot network gives the level back
    assert error.std() < 0.1 * size.std()


def test_who_sees_the_level_is_not_computed_in_bfloat16_unless_told() -> None:
    gpu = SimpleNamespace(type="cuda")
    assert pick_precision("auto", gpu, sees_level=True) is torch.float32
    assert pick_precision("bfloat16", gpu, sees_level=True) is torch.bfloat16
