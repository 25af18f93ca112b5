"""Generator and discriminator of DNGAN."""

from __future__ import annotations

import pytest

from xsim import ModelError

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from denoise.discriminator import Discriminator  # noqa: E402
from denoise.generator import Generator  # noqa: E402


def test_generator_is_the_published_one_as_far_as_it_is_told() -> None:
    """Twelve layers, 64 features at first, in the middle and at last, one image out; 32 between are ours."""
    layers = [each for each in Generator().modules() if isinstance(each, nn.Conv2d)]
    assert [each.out_channels for each in layers] == [64, 32, 32, 32, 32, 64, 64, 32, 32, 32, 64, 1]
    assert {each.kernel_size for each in layers} == {(3, 3)}
    assert Generator(16)(torch.zeros(2, 1, 9, 7)).shape == (2, 1, 9, 7)
    with pytest.raises(ModelError, match="must be even"):
        Generator(15)


def test_skips_carry_past_the_middle() -> None:
    """With the middle cut out, an early layer still reaches the output; without skips it would not."""
    torch.manual_seed(0)
    network, z = Generator(8), torch.randn(1, 1, 24, 24)
    with torch.no_grad():
        network.inner[5].weight.zero_()
    one = network(z)
    with torch.no_grad():
        network.inner[5].bias.copy_(network.inner[5].bias.abs() + 1.0)
    assert network(z).std() > 0 and not torch.equal(network(z), one)
    assert (one - one.mean()).abs().max() > 1e-4


def test_discriminator_is_the_published_one() -> None:
    """Four blocks of 64, 128, 256, 256 channels with normalisation, 1024 dense, one logit."""
    rival = Discriminator(64)
    convolutions = [each for each in rival.modules() if isinstance(each, nn.Conv2d)]
    assert [each.out_channels for each in convolutions] == [64, 128, 256, 256]
    assert [each.out_features for each in rival.modules() if isinstance(each, nn.Linear)] == [1024, 1]
    assert sum(isinstance(each, nn.BatchNorm2d) for each in rival.modules()) == 4
    assert rival(torch.randn(3, 1, 64, 64)).shape == (3, 1)
    with pytest.raises(ModelError, match="multiple of 16"):
        Discriminator(40)
    with pytest.raises(ModelError, match="nothing to normalise by"):
        Discriminator(16, 4, 8)(torch.randn(1, 1, 16, 16))


def test_discriminator_remembers_nothing_between_batches() -> None:
    """So that pieces of a batch, differentiated side by side, give what they give one after the other."""
    rival, crops = Discriminator(16, 4, 8), torch.randn(4, 1, 16, 16)
    assert list(rival.buffers()) == []
    before = rival(crops)
    rival(torch.randn(8, 1, 16, 16) + 9.0)
    assert torch.equal(rival(crops), before)
    assert torch.equal(rival.train(False)(crops), before)
