"""Deblurring by regression: the network of `cold_deblur` asked once, f(y, 1) -> x0 in L1."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from denoise.deblur import deblurring, estimate, frame_of, network_options, training_pair
from denoise.methods import Batch, Moment, Settings

__all__ = ["METHOD", "loss", "restore"]


def loss(network: nn.Module, batch: Batch, settings: Settings, moment: Moment) -> tuple[Tensor, Tensor]:
    """L1 of f(y, 1), in units of the linear estimate's expected error."""
    frame, _, target, valid = training_pair(batch, settings, moment)
    found, unit = estimate(network, frame, frame.image, torch.ones_like(frame.scale_adu), settings)
    return ((found - target).abs() / unit)[valid].sum(), valid.sum()


def restore(network: nn.Module, noisy: Tensor, a: Tensor, b: Tensor, settings: Settings) -> Tensor:
    """Deblurred images [image, 1, row, column] ADU, on the scale of the frames given."""
    frame = frame_of(noisy, a, b, settings["offset_adu"])
    found, _ = estimate(network, frame, frame.image, torch.ones_like(frame.scale_adu), settings)
    return settings["offset_adu"] + frame.scale_adu * found


METHOD = deblurring(loss, restore, network_options)
