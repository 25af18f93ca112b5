"""A restoration method for tests: a network and a rival, whose losses draw random numbers."""

from __future__ import annotations

import torch
from torch import nn

from denoise import vst
from denoise.methods import Method, Rival

STOP_AT: list[int] = []  # steps at which the training is interrupted


def judged(rival, image, moment):
    return rival(image + 0.1 * torch.randn(image.shape, generator=moment.generator).to(image.device)).mean(
        dim=(1, 2, 3)
    )


def both(network, batch):
    z, truth = (vst.forward(batch[name], batch["a"], batch["b"]) for name in ("noisy", "clean"))
    return z - network(z), truth


def loss(network, batch, settings, moment):
    if moment.step in STOP_AT:
        raise KeyboardInterrupt
    restored, truth = both(network, batch)
    squares = (restored - truth).square().sum()
    return squares - settings["push"] * judged(moment.rival, restored, moment).sum(), batch["valid"].sum()


def rival_loss(rival, network, batch, settings, moment):
    with torch.no_grad():
        restored, truth = both(network, batch)
    return (judged(rival, restored, moment) - judged(rival, truth, moment)).sum(), torch.tensor(len(truth))


METHOD = Method(
    loss,
    lambda network, noisy, a, b, settings: vst.inverse(
        both(network, {"noisy": noisy, "clean": noisy, "a": a, "b": b})[0], a, b
    ),
    lambda settings: {"inputs": 1, "outputs": 1, "level_free": True},
    options={"push": 0.5, "betas": (0.5, 0.9)},
    rival=Rival(
        lambda settings: nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Conv2d(4, 1, 3)), rival_loss
    ),
)
