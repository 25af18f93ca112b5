"""Trunk of ResNet-34 with the parameter names of the usual weight files, for features to compare images by.

He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016. Written for the names and shapes that
torchvision's files have (``conv1.weight``, ``layer1.0.bn1.running_mean`` ...); the classifier ``fc`` is not used.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ResNet34"]

BLOCKS = (3, 4, 6, 3)
WIDTHS = (64, 128, 256, 512)
TAPS = 3  # stages whose output is compared: the last has 2 x 2 places of a crop of 64 x 64


class Block(nn.Module):
    """Two 3x3 convolutions beside a way round them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        h = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(h + self.downsample(x))


class ResNet34(nn.Module):
    """Features [image, channel, row, column] after each of the first three stages."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        before = 64
        for number, (count, width) in enumerate(zip(BLOCKS, WIDTHS, strict=True), 1):
            first = Block(before, width, 1 if number == 1 else 2)
            self.add_module(f"layer{number}", nn.Sequential(first, *(Block(width, width, 1) for _ in range(count - 1))))
            before = width

    def forward(self, u: Tensor) -> list[Tensor]:
        """Of grey images [image, 1, row, column] of about mean 0 and standard deviation 1, as colours are given it."""
        h = functional.relu(self.bn1(self.conv1(u.expand(-1, 3, -1, -1))))
        h = functional.max_pool2d(h, 3, stride=2, padding=1)
        taps = []
        for number in range(1, TAPS + 1):
            h = self.get_submodule(f"layer{number}")(h)
            taps.append(h)
        return taps
