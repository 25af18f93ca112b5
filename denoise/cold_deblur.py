"""Deblurring by cold diffusion: a network that undoes the blur of any strength, asked T times on the way back.

    D_t(x) = (1 - t / T) x + (t / T) B x,       f(D_t(x0) + n, t) -> x0 in L1

n, the noise of the measurement, is in every image of the way (option ``noise``), as it is in y = x_T. Sampling goes

    x_{s-1} = x_s - D_s(f(x_s, s)) + D_{s-1}(f(x_s, s)),   s = T .. 1.

D_s - D_{s-1} = (B - I) / T whatever it is applied to, so that each step adds (I - B) f / T and

    x_0 = y + (I - B) mean_s f(x_s, s)

for any network and any linear B: what the blur left of the scene (and the noise of y) stays as measured, and the
network adds to it only what the blur took. The mean of y is kept, as B keeps means. Noise in y is not taken out
either. With the option ``residual = "removed"`` it is part of what is degraded, D_t(x) = (1 - t / T) x + (t / T) y,
the steps are those of inversion by direct iteration, and x_0 = mean_s f(x_s, s).

Sources: Bansal et al., Cold diffusion, NeurIPS 36 (2023) 41259; Delbracio and Milanfar, Inversion by direct
iteration, TMLR 2023.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from denoise.deblur import (
    OPTIONS,
    blurred,
    deblurring,
    estimate,
    frame_of,
    network_options,
    training_pair,
)
from denoise.methods import Batch, Moment, Settings
from denoise.mtf_blur import degraded
from xsim import ModelError

__all__ = ["METHOD", "RESIDUALS", "closed_form", "loss", "restore", "sample"]

RESIDUALS = ("kept", "removed")


def options_of(settings: Settings) -> dict[str, Any]:
    """The network's options, once the method's own are sound.

    Raises
    ------
    ModelError
        Unknown residual, or no time steps.
    """
    if settings["residual"] not in RESIDUALS:
        raise ModelError(f"unknown residual {settings['residual']!r} (known: {', '.join(RESIDUALS)})")
    if not settings["time_steps"] >= 1:
        raise ModelError(f"time_steps must be 1 or more (given {settings['time_steps']!r})")
    return network_options(settings)


def loss(network: nn.Module, batch: Batch, settings: Settings, moment: Moment) -> tuple[Tensor, Tensor]:
    """L1 of f(D_t(x0) + n, t) at a random time of each crop, in units of the linear estimate's expected error."""
    frame, noise, target, valid = training_pair(batch, settings, moment)
    steps = int(settings["time_steps"])
    drawn = torch.randint(1, steps + 1, (len(target), 1, 1, 1), generator=moment.generator)
    share = (drawn / steps).to(target)
    if settings["residual"] == "removed":
        image = degraded(target, frame.image, share)
    else:
        image = degraded(target, blurred(target, settings), share) + noise
    found, unit = estimate(network, frame, image, share, settings)
    return ((found - target).abs() / unit)[valid].sum(), valid.sum()


def sample(
    y: Tensor, predict: Callable[[Tensor, float], Tensor], steps: int, settings: Settings
) -> tuple[Tensor, list[Tensor]]:
    """The way back from y, by the steps as they are written.

    Parameters
    ----------
    y : Tensor [image, 1, row, column]
    predict : (x_s, s / T) -> Tensor
        f.
    steps : int
        T.
    settings : mapping
        mtf_ratio, residual.

    Returns
    -------
    x_0, and f(x_s, s) for s = T .. 1
    """
    x, predictions = y, []
    for s in range(steps, 0, -1):
        found = predict(x, s / steps)
        predictions.append(found)
        end = y if settings["residual"] == "removed" else blurred(found, settings)
        x = x - degraded(found, end, s / steps) + degraded(found, end, (s - 1) / steps)
    return x, predictions


def closed_form(y: Tensor, predictions: list[Tensor], settings: Settings) -> Tensor:
    """What `sample` comes to: y + (I - B) mean f, or with ``residual = "removed"`` mean f."""
    mean = torch.stack(predictions).mean(0)
    return mean if settings["residual"] == "removed" else y + mean - blurred(mean, settings)


def restore(network: nn.Module, noisy: Tensor, a: Tensor, b: Tensor, settings: Settings) -> Tensor:
    """Deblurred images [image, 1, row, column] ADU, on the scale of the frames given."""
    frame = frame_of(noisy, a, b, settings["offset_adu"])

    def predict(image: Tensor, share: float) -> Tensor:
        return estimate(network, frame, image, image.new_full((1, 1, 1, 1), share), settings)[0]

    found, _ = sample(frame.image, predict, int(settings["time_steps"]), settings)
    return settings["offset_adu"] + frame.scale_adu * found


METHOD = deblurring(
    loss,
    restore,
    options_of,
    options={**OPTIONS, "time_steps": 20, "residual": "kept"},
    anchored=False,
)
