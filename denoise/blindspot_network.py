"""Blind-spot network: it tells the mean and the spread of a pixel from its neighbours and never sees the pixel itself.

A U-Net that looks upwards only sees the image and its three other quarter turns: each 3x3 convolution is moved up by a
row, each pooling by one, so that row i depends on rows up to i; one last move by a row leaves those up to i - 1. Turned
back, the four looks cover every neighbour and miss the pixel, and 1x1 convolutions join them. The derivative of both
outputs by the pixel's own value is exactly 0, whatever the weights.

Source: Laine, Karras, Lehtinen, Aila, High-quality self-supervised deep image denoising, NeurIPS 2019. Unlike theirs
the network is small and adds its answer to the mean of the eight neighbours, so that it need not see the level.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from denoise.networks import NoisePredictor, with_all_digits
from xsim import ModelError

__all__ = ["BlindSpot"]

LEAST_SD = 1e-3**0.5  # in units of the noise's: a floor of 1e-3 of its variance
UNIT_SD = 0.542  # softplus of it is 1: a new network says that all is noise


class UpConv(nn.Conv2d):
    """3x3 convolution and ReLU whose row i sees rows i - 2 to i; beyond the image lie zeros."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=(2, 1))

    def forward(self, h: Tensor) -> Tensor:
        return functional.relu(super().forward(h)[:, :, :-2])


class UpEntry(nn.Conv2d):
    """First of them; the edge is continued. With ``level_free`` its weights add up to zero, and it sees no level.

    Else a second channel brings the level, as the logarithm of what is above 0: noise that grows with it can be told.
    """

    def __init__(self, features: int, level_free: bool) -> None:
        super().__init__(1 if level_free else 2, features, 3)
        self.level_free = level_free

    def forward(self, z: Tensor) -> Tensor:
        weight = self.weight[:, :1] - self.weight[:, :1].mean(dim=(1, 2, 3), keepdim=True)
        if not self.level_free:
            weight = torch.cat([weight, self.weight[:, 1:]], dim=1)
            z = torch.cat([z, torch.log1p(z.clamp(min=0.0))], dim=1)
        padded = functional.pad(z, (1, 1, 2, 0), mode="replicate")
        return functional.relu(with_all_digits(padded, weight, self.bias))


class UpwardUNet(nn.Module):
    """U-Net whose output row i depends on rows up to i."""

    def __init__(self, features: int, levels: int, widest: int, level_free: bool) -> None:
        super().__init__()
        width = [min(features << k, widest) for k in range(levels + 1)]
        steps = range(levels)
        self.entry = UpEntry(width[0], level_free)
        self.first = UpConv(width[0], width[0])
        self.inner = nn.ModuleList(nn.Sequential(UpConv(width[k], c), UpConv(c, c)) for k, c in enumerate(width[1:]))
        self.join = nn.ModuleList(UpConv(width[k + 1] + width[k], width[k]) for k in steps)
        self.width = width[0]
        # entry, first and the last joining one at full resolution; pooling, two inner ones and a joining one below, and
        # a row that shares its coarse one with that above
        self.reach = 6 + sum(2 * (1 << k) + 4 * (2 << k) for k in steps) + sum(2 << k for k in range(1, levels))

    def forward(self, z: Tensor, inside: Tensor | None) -> Tensor:
        h = self.entry(z)
        h = self.first(h if inside is None else h * inside)
        kept = []
        for inner in self.inner:
            kept.append(h)
            h = inner(functional.max_pool2d(moved_down(h), 2))
        for join in reversed(self.join):
            h = join(torch.cat([functional.interpolate(h, scale_factor=2.0, mode="nearest"), kept.pop()], dim=1))
        return h


class BlindSpot(NoisePredictor):
    """Mean and standard deviation of every pixel, told from its neighbours.

    Takes z [image, 1, row, column] of any size and gives [image, 2, row, column]: the mean, and a standard deviation
    of 0.03 at least. Bands that begin at multiples of ``multiple``, with ``radius`` around, give what the image gives.

    Parameters
    ----------
    inputs, outputs : int
        1 and 2.
    features : int
        Channels of a look at full resolution; doubled on each level down, up to ``widest``.
    levels : int
        How often resolution is halved.
    level_free : bool
        Whether z + c gives the mean + c and the same deviation: in variance-stabilised units it has to.

    Raises
    ------
    ModelError
        Other numbers of inputs or outputs.
    """

    def __init__(
        self,
        inputs: int = 1,
        outputs: int = 2,
        features: int = 8,
        levels: int = 2,
        widest: int = 16,
        level_free: bool = True,
    ) -> None:
        super().__init__()
        if (inputs, outputs) != (1, 2):
            raise ModelError(f"blindspot takes 1 image and gives 2 (asked for {inputs}, {outputs}) use another network")
        self.look = UpwardUNet(features, levels, widest, level_free)
        self.join = nn.Conv2d(4 * features, 2 * features, 1)
        self.last = nn.Conv2d(2 * features, 2, 1)
        self.multiple = 1 << levels
        reach = self.look.reach + 1
        self.radius = -(-reach // self.multiple) * self.multiple

    def forward(self, z: Tensor) -> Tensor:
        rows, columns = z.shape[-2:]
        spare = (0, -columns % self.multiple, 0, -rows % self.multiple)
        inside = None
        whole = z
        if any(spare):
            # what is put there repeats pixels, which would see themselves in it: the mask takes it out of all features
            whole = functional.pad(z, spare, mode="replicate")
            inside = functional.pad(torch.ones_like(z[:1]), spare)
        looks = torch.cat([*self.upright(whole, inside), *self.across(whole, inside)], dim=1)[:, :, :rows, :columns]
        mean, spread = self.last(functional.relu(self.join(looks))).unbind(1)
        sd = functional.softplus(spread + UNIT_SD) + LEAST_SD
        return torch.stack([neighbour_mean(z)[:, 0] + mean, sd], dim=1)

    def upright(self, z: Tensor, inside: Tensor | None) -> tuple[Tensor, Tensor]:
        """What is seen above and below, [image, feature, row, column] each."""
        both = self.look(torch.cat([z, z.flip(2, 3)]), None if inside is None else turned(inside, len(z)))
        above, below = moved_down(both).chunk(2)
        return above, below.flip(2, 3)

    def across(self, z: Tensor, inside: Tensor | None) -> tuple[Tensor, Tensor]:
        """What is seen on either side: the image mirrored across its diagonal, looked at as before."""
        other = None if inside is None else inside.transpose(2, 3)
        one, two = self.upright(z.transpose(2, 3), other)
        return one.transpose(2, 3), two.transpose(2, 3)


def moved_down(h: Tensor) -> Tensor:
    """Each row in the place of the next, zeros in the first."""
    return functional.pad(h, (0, 0, 1, 0))[:, :, :-1]


def turned(inside: Tensor, images: int) -> Tensor:
    """Mask of so many images and as many turned by half, [2 image, 1, row, column]."""
    shape = (images, -1, -1, -1)
    return torch.cat([inside.expand(shape), inside.flip(2, 3).expand(shape)])


def neighbour_mean(z: Tensor) -> Tensor:
    """Mean of those of the eight neighbours that lie in the image, [image, 1, row, column]; of a lone pixel 0."""
    ring = z.new_ones(1, 1, 3, 3)
    ring[..., 1, 1] = 0.0
    count = with_all_digits(torch.ones_like(z[:1]), ring, padding=1)
    return with_all_digits(z, ring, padding=1) / count.clamp(min=1.0)
