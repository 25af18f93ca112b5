"""Networks that are named by an import string in tests."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional


class Stack(nn.Module):
    """Plain convolutions, with the options that libraries usually have."""

    def __init__(self, in_channels: int, out_channels: int, features: int = 8, layers: int = 4) -> None:
        super().__init__()
        width = [in_channels, *[features] * (layers - 1), out_channels]
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers[:-1]:
            x = functional.relu(layer(x))
        return self.layers[-1](x)


class Halving(Stack):
    """Works on a grid of half the resolution, and asks for the noise's standard deviation."""

    def forward(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        inner = super().forward(functional.avg_pool2d(x, 2) / sigma)
        return x - functional.interpolate(inner, scale_factor=2) if x.shape[2] % 2 == 0 else inner


class Padding(Halving):
    """Takes any size, as it pads and crops inside itself."""

    def forward(self, x: torch.Tensor, sigma: float = 1.0) -> torch.Tensor:
        rows, columns = x.shape[2:]
        return super().forward(functional.pad(x, (0, columns % 2, 0, rows % 2)), sigma)[..., :rows, :columns]


class Global(Stack):
    """Every pixel sees the whole image."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + x.mean(dim=(2, 3), keepdim=True)


class Shrinking(nn.Conv2d):
    """No network from images to images of the same size."""

    def __init__(self) -> None:
        super().__init__(1, 1, 3)


def function() -> None:
    raise AssertionError("only classes are called")
