"""Discriminator of DNGAN: tells crops of clean images from restored ones."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from xsim import ModelError

__all__ = ["HALVINGS", "Discriminator"]

HALVINGS = 4
WIDTHS = (1, 2, 4, 4)  # in units of ``features``
SLOPE = 0.2  # of the leaky rectifiers


class Discriminator(nn.Module):
    """Four blocks of convolution, batch normalisation and leaky ReLU, each halving the crop; two dense layers.

    Normalisation takes mean and variance from the batch at hand alone. Running means would be written by every piece
    of a batch that is differentiated at the same time, in whichever order they come.

    Parameters
    ----------
    crop : int
        Side of the crops, a multiple of 16.
    features : int
        Channels after the first block (64); the others have twice, four and four times as many.
    hidden : int
        Width of the dense layer (1024).

    Raises
    ------
    ModelError
        Crops of another size.
    """

    def __init__(self, crop: int, features: int = 64, hidden: int = 1024) -> None:
        super().__init__()
        if crop < 1 << HALVINGS or crop % (1 << HALVINGS):
            raise ModelError(f"crop {crop} must be a multiple of {1 << HALVINGS} (the discriminator halves it 4 times)")
        widths = [1, *(features * each for each in WIDTHS)]
        blocks: list[nn.Module] = []
        for before, after in pairwise(widths):
            blocks += [
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after, track_running_stats=False),
                nn.LeakyReLU(SLOPE),
            ]
        self.blocks = nn.Sequential(*blocks)
        side = crop >> HALVINGS
        self.dense = nn.Sequential(nn.Linear(widths[-1] * side * side, hidden), nn.LeakyReLU(SLOPE))
        self.logit = nn.Linear(hidden, 1)

    def forward(self, u: Tensor) -> Tensor:
        """Logits [crop, 1] of crops [crop, 1, row, column]: above 0 where they look clean.

        Raises
        ------
        ModelError
            A single crop of the smallest size.
        """
        if u.shape[0] == 1 and u.shape[-1] == 1 << HALVINGS:
            raise ModelError(
                "one crop of 16 x 16 px has a single place after four halvings (nothing to normalise by) give --crop "
                "32, or twice as many --batch as parts"
            )
        found: Tensor = self.logit(self.dense(self.blocks(u).flatten(1)))
        return found
