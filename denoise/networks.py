"""Networks that restore: a small U-Net for speed and DnCNN as the reference.

Both take z [image, channel, row, column] and give images of that size. Rows and columns are multiples of `multiple`;
pixels further apart than `radius` do not see each other, so bands of an image with that much around them give what the
whole image gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from xsim import ModelError

__all__ = ["DnCNN", "NoisePredictor", "UNet", "make_network", "with_all_digits"]


class NoisePredictor(nn.Module):
    """What trainer and restorer know of a network.

    Attributes
    ----------
    multiple : int
        Rows and columns are multiples of it.
    radius : int or None
        Reach of a pixel, a multiple of ``multiple``; None: as far as the image goes.
    found : dict
        Options that were not given but found out, to be kept in a checkpoint.
    """

    multiple: int
    radius: int | None
    found: Mapping[str, Any] = MappingProxyType({})


def with_all_digits(images: Tensor, weight: Tensor, bias: Tensor | None = None, padding: int = 0) -> Tensor:
    """Convolution of images whose levels are hundreds of times their noise: in float32, on a GPU in float64.

    The bfloat16 and TF32 that the layers after it are computed in would round the noise away with the level's digits.
    """
    with torch.autocast(images.device.type, enabled=False):
        kind = torch.float64 if images.is_cuda else images.dtype
        wide = (None if each is None else each.to(kind) for each in (images, weight, bias))
        return functional.conv2d(*wide, padding=padding).to(images.dtype)


class EntryConv(nn.Conv2d):
    """First 3x3 convolution. With ``level_free`` its weights add up to zero, for each input channel.

    After the variance-stabilising transform noise is the same at every level, so the level tells nothing, and a network
    that cannot see it serves doses far from those it was trained on. The edge is continued, not filled with zeros,
    which would be a step.

    Parameters
    ----------
    inputs, features : int
    level_free : bool or sequence of bool
        Of every input channel, or of each: one that tells a number by its level must be seen.
    """

    def __init__(self, inputs: int, features: int, level_free: bool | Sequence[bool]) -> None:
        super().__init__(inputs, features, 3)
        free = [level_free] * inputs if isinstance(level_free, bool) else list(level_free)
        if len(free) != inputs:
            raise ModelError(f"level_free has {len(free)} entries (the network has {inputs} inputs) give one each")
        self.level_free = any(free)
        self.register_buffer("free", torch.tensor(free, dtype=torch.float32).view(1, -1, 1, 1), persistent=False)

    def forward(self, z: Tensor) -> Tensor:
        weight = self.weight
        if self.level_free:
            weight = weight - self.free * weight.mean(dim=(2, 3), keepdim=True)
        padded = functional.pad(z, (1, 1, 1, 1), mode="replicate")
        return functional.relu(with_all_digits(padded, weight, self.bias))


def conv(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU())


class UNet(NoisePredictor):
    """U-Net of few channels.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    features : int
        Channels at full resolution; doubled on each level down, up to ``widest``.
    levels : int
        How often resolution is halved.
    """

    def __init__(
        self,
        features: int = 16,
        levels: int = 2,
        widest: int = 32,
        level_free: bool | Sequence[bool] = True,
        inputs: int = 1,
        outputs: int = 1,
    ) -> None:
        super().__init__()
        width = [min(features << k, widest) for k in range(levels + 1)]
        self.entry = EntryConv(inputs, width[0], level_free)
        self.first = conv(width[0], width[0])
        steps = range(levels)
        self.down = nn.ModuleList(nn.Conv2d(width[k], width[k + 1], 2, stride=2) for k in steps)
        self.inner = nn.ModuleList(nn.Sequential(conv(c, c), conv(c, c)) for c in width[1:])
        self.up = nn.ModuleList(nn.ConvTranspose2d(width[k + 1], width[k], 2, stride=2) for k in steps)
        self.join = nn.ModuleList(conv(2 * width[k], width[k]) for k in steps)
        self.last = nn.Conv2d(width[0], outputs, 3, padding=1)
        self.multiple = 1 << levels
        # entry, first, join and last at full resolution; halving, two inner convolutions and a joining one below
        reach = 4 + sum((1 << k) + 2 * (2 << k) for k in steps) + sum(1 << k for k in range(1, levels))
        self.radius = -(-reach // self.multiple) * self.multiple

    def forward(self, z: Tensor) -> Tensor:
        h = self.first(self.entry(z))
        kept = []
        for down, inner in zip(self.down, self.inner, strict=True):
            kept.append(h)
            h = inner(functional.relu(down(h)))
        for up, join in zip(reversed(self.up), reversed(self.join), strict=True):
            h = join(torch.cat([functional.relu(up(h)), kept.pop()], dim=1))
        return self.last(h)


class DnCNN(NoisePredictor):
    """Plain stack of 3x3 convolutions without batch normalisation (Zhang et al., IEEE TIP 26 (2017) 3142)."""

    def __init__(
        self,
        features: int = 64,
        layers: int = 17,
        level_free: bool | Sequence[bool] = True,
        inputs: int = 1,
        outputs: int = 1,
    ) -> None:
        super().__init__()
        self.entry = EntryConv(inputs, features, level_free)
        self.inner = nn.Sequential(*(conv(features, features) for _ in range(layers - 2)))
        self.last = nn.Conv2d(features, outputs, 3, padding=1)
        self.multiple = 1
        self.radius = layers

    def forward(self, z: Tensor) -> Tensor:
        return self.last(self.inner(self.entry(z)))


NETWORKS: dict[str, type[NoisePredictor]] = {"unet": UNet, "dncnn": DnCNN}
HOMES = {
    "blindspot": ("denoise.blindspot_network", "BlindSpot"),
    "dngan": ("denoise.generator", "Generator"),
}  # those of one method, imported when they are asked for


def make_network(
    name: str, inputs: int = 1, outputs: int = 1, level_free: bool | Sequence[bool] = True, **options: Any
) -> NoisePredictor:
    """Network by name, with random weights.

    Parameters
    ----------
    name : str
        unet, dncnn, blindspot, dngan, or "package.module:Class" (see denoise/imported_network.py).
    inputs, outputs : int
        Channels.
    level_free : bool or sequence of bool
        Whether the network is blind to the level, of all input channels or of each.
    **options
        The network's own.

    Raises
    ------
    ModelError
        Unknown name or option, or one that makes no sense.
    """
    channels = {"inputs": inputs, "outputs": outputs, "level_free": level_free}
    if ":" in name:
        from denoise.imported_network import network_named

        return network_named(name, **channels, **options)
    if name not in NETWORKS and name not in HOMES:
        known = ", ".join([*NETWORKS, *HOMES])
        raise ModelError(f"unknown network {name!r} (known: {known}, package.module:Class)")
    kind = NETWORKS[name] if name in NETWORKS else getattr(import_module(HOMES[name][0]), HOMES[name][1])
    for option, value in options.items():
        if isinstance(value, (int, float)) and not value >= 1:
            raise ModelError(f"{option} of network {name!r} must be 1 or more (given {value!r})")
    try:
        return kind(**channels, **options)
    except (TypeError, RuntimeError) as error:
        raise ModelError(f"network {name!r} cannot be made ({' '.join(str(error).split())})") from None
