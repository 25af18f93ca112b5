"""Deblurring by a conditional diffusion model: what the linear estimate W y leaves is drawn out of noise.

The residual r = (x0 - W y) / e, e the error to expect of W y, becomes z_t = sqrt(A) r + sqrt(1 - A) n along Nichol
and Dhariwal's cosine, A(t) = cos^2(pi t / 2) (without its small offset; t stops at 0.998). The network sees z_t, y, W
y, the noise of the measurement and t, and predicts v = sqrt(A) n - sqrt(1 - A) r, which is well scaled at both ends.
It is sampled by DDIM, deterministic, from noise that the seed of the settings alone chooses: the same frame gives the
same image.

Sources: Ho et al., NeurIPS 33 (2020) 6840; Song et al., DDIM, ICLR 2021; Nichol and Dhariwal, ICML 2021; Salimans and
Ho (v), ICLR 2022; Whang et al. (residuals of a deblurred image), CVPR 2022, 16293.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from denoise.deblur import (
    OPTIONS,
    Frame,
    Linear,
    channels,
    deblurring,
    frame_of,
    linear_estimate,
    training_pair,
)
from denoise.methods import Batch, Moment, Settings
from xsim import ModelError

__all__ = ["METHOD", "ddim", "loss", "restore"]

LAST_TIME = 0.998  # where nothing of the residual can be seen any more


def network_options(settings: Settings) -> dict[str, Any]:
    """Five inputs: three images, of which z is seen with its level, and two numbers spread over images.

    Raises
    ------
    ModelError
        No steps to sample by.
    """
    if not settings["ddim_steps"] >= 1:
        raise ModelError(f"ddim_steps must be 1 or more (given {settings['ddim_steps']!r})")
    return {"inputs": 5, "outputs": 1, "level_free": [False, True, True, False, False]}


def velocity(network: nn.Module, z: Tensor, time: Tensor, frame: Frame, linear: Linear) -> Tensor:
    """What the network predicts of z at a time, [image, 1, row, column]."""
    return network(torch.cat([z, channels(frame, frame.image, linear, time)], dim=1))


def loss(network: nn.Module, batch: Batch, settings: Settings, moment: Moment) -> tuple[Tensor, Tensor]:
    """Squared error of v at a random time of each crop."""
    frame, _, target, valid = training_pair(batch, settings, moment)
    linear = linear_estimate(frame, frame.image, torch.ones_like(frame.scale_adu), settings)
    residual = (target - linear.image) / linear.error
    time = LAST_TIME * torch.rand((len(target), 1, 1, 1), generator=moment.generator).to(target)
    noise = torch.randn(target.shape, generator=moment.generator).to(target)
    signal, spread = torch.cos(0.5 * math.pi * time), torch.sin(0.5 * math.pi * time)
    found = velocity(network, signal * residual + spread * noise, time, frame, linear)
    return ((found - (signal * noise - spread * residual)) ** 2)[valid].sum(), valid.sum()


def ddim(network: nn.Module, frame: Frame, linear: Linear, settings: Settings) -> Tensor:
    """Residual [image, 1, row, column] in units of the linear estimate's error, from noise by steps without noise."""
    steps = int(settings["ddim_steps"])
    generator = torch.Generator().manual_seed(int(settings["seed"]))
    # each image starts from the same noise, so that a stack is restored as its images one by one
    z = torch.randn(frame.image.shape[1:], generator=generator).to(frame.image).expand_as(frame.image)
    residual = torch.zeros_like(z)
    for k in range(steps, 0, -1):
        here, there = (LAST_TIME * place / steps for place in (k, k - 1))
        time = z.new_full((1, 1, 1, 1), here)
        v = velocity(network, z, time, frame, linear)
        signal, spread = math.cos(0.5 * math.pi * here), math.sin(0.5 * math.pi * here)
        residual, noise = signal * z - spread * v, spread * z + signal * v
        z = math.cos(0.5 * math.pi * there) * residual + math.sin(0.5 * math.pi * there) * noise
    return residual


def restore(network: nn.Module, noisy: Tensor, a: Tensor, b: Tensor, settings: Settings) -> Tensor:
    """Deblurred images [image, 1, row, column] ADU, on the scale of the frames given."""
    frame = frame_of(noisy, a, b, settings["offset_adu"])
    linear = linear_estimate(frame, frame.image, torch.ones_like(frame.scale_adu), settings)
    found = linear.image + linear.error * ddim(network, frame, linear, settings)
    return settings["offset_adu"] + frame.scale_adu * found


METHOD = deblurring(loss, restore, network_options, options={**OPTIONS, "ddim_steps": 50})
