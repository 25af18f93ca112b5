"""Noise2Noise: trained on two exposures of a scene, none of which is clean (Lehtinen et al., ICML 2018).

The network sees z = T(noisy) and learns z - T(noisy_repeat). The noise of the repeat is independent of all it sees, so
what it regresses is the mean of T(noisy_repeat), and the restored image is the unbiased inverse of z - R(z): the
algebraic one would be low by about a/4. Its loss tends to the variance of the repeat's noise, 1, and not to 0. It is
what self-supervised methods, which have one exposure, can at most reach.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

import datagen
from denoise import vst
from denoise.conditions import noise_scale_adu
from denoise.methods import Batch, Method, Moment, Settings
from denoise.noise_cnn import network_options, restore, to_domain

__all__ = ["METHOD", "loss", "prepare"]


def prepare(views: list[datagen.CorpusView], settings: Settings) -> dict[str, Any]:
    """Unit of the linear domain, from the difference of the two exposures."""
    if settings["domain"] != "linear":
        return {}
    return {"noise_scale_adu": noise_scale_adu(views, ("noisy", "noisy_repeat")) / 2**0.5}


def loss(network: nn.Module, batch: Batch, settings: Settings, moment: Moment) -> tuple[Tensor, Tensor]:
    """Squared error against the repeat over pixels valid in both, and their number.

    Parameters
    ----------
    network : module
    batch : mapping
        noisy, noisy_repeat, valid, valid_repeat; a, b, a_repeat, b_repeat.
    settings : mapping
        domain, and noise_scale_adu in the linear domain.
    moment : Moment
    """
    z = to_domain(batch["noisy"], batch["a"], batch["b"], settings)
    target = to_domain(batch["noisy_repeat"], batch["a_repeat"], batch["b_repeat"], settings)
    valid = batch["valid"] & batch["valid_repeat"]
    squares = functional.mse_loss(network(z) * valid, (z - target) * valid, reduction="sum")
    return squares, valid.sum()


METHOD = Method(
    loss,
    partial(restore, inverse=vst.inverse_of_mean),
    network_options,
    images=("noisy", "noisy_repeat", "valid", "valid_repeat"),
    options={"domain": "vst"},
    prepare=prepare,
)
