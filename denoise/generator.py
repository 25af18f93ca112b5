"""Generator of DNGAN: twelve 3x3 convolutions, narrow between, with skips; it predicts the noise."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from denoise.networks import EntryConv, NoisePredictor
from xsim import ModelError

__all__ = ["Generator"]

#: Channels after each convolution but the last, in units of half of ``features``. The paper tells 64 at first, in the
#: middle and at last, and "narrow between": the 32 are a choice.
WIDTHS = (2, 1, 1, 1, 1, 2, 2, 1, 1, 1, 2)
LAYERS = len(WIDTHS) + 1
SKIPS = {8: 4, 9: 3, 10: 2, 11: 1}  # {layer: earlier layer that is added to it}, equally wide


class Generator(NoisePredictor):
    """64-32-32-32-32-64-64-32-32-32-64-1, each with a ReLU but the last.

    What layer k gives is added to layer 12 - k before its ReLU, k = 1 to 4: the skips. The output is the noise, which
    whoever calls takes off the input: the residual.

    Parameters
    ----------
    features : int
        Channels at first, in the middle and at last, even; half of them between.
    inputs, outputs : int
        Channels of the image.
    level_free : bool
        See `denoise.networks.EntryConv`.

    Raises
    ------
    ModelError
        An odd number of features.
    """

    def __init__(self, features: int = 64, inputs: int = 1, outputs: int = 1, level_free: bool = True) -> None:
        super().__init__()
        if features < 2 or features % 2:
            raise ModelError(f"features of dngan must be even (given {features}), half of them are used between")
        widths = [features // 2 * each for each in WIDTHS]
        self.entry = EntryConv(inputs, widths[0], level_free)
        self.inner = nn.ModuleList(nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(widths))
        self.last = nn.Conv2d(widths[-1], outputs, 3, padding=1)
        self.multiple = 1
        self.radius = LAYERS

    def forward(self, z: Tensor) -> Tensor:
        given = {1: self.entry(z)}
        for number, layer in enumerate(self.inner, 2):
            h = layer(given[number - 1])
            given[number] = functional.relu(h + given[SKIPS[number]] if number in SKIPS else h)
        found: Tensor = self.last(given[LAYERS - 1])
        return found
