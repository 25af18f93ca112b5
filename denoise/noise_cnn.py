"""Noise-predicting CNN: the network sees a noisy image and says what of it is noise.

In the variance-stabilised domain ("vst") z = T(noisy), the target is n = T(noisy) - T(clean), and the restored image
x = T^-1(z - R(z)): the algebraic inverse, because R regresses T(clean), a value and not a mean. In the "linear" domain,
kept for comparison, z and n are the images themselves in units of the corpus's noise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

import datagen
from denoise import vst
from denoise.conditions import noise_scale_adu
from denoise.methods import Batch, Method, Moment, Settings
from xsim import ModelError

__all__ = ["DOMAINS", "METHOD", "loss", "network_options", "prepare", "restore", "to_domain"]

DOMAINS = ("vst", "linear")


def network_options(settings: Settings) -> dict[str, Any]:
    """What the domain asks of a network: noise in the linear domain grows with the level, so there it must be seen.

    Raises
    ------
    ModelError
        Unknown domain.
    """
    if settings["domain"] not in DOMAINS:
        raise ModelError(f"unknown domain {settings['domain']!r} (known: {', '.join(DOMAINS)})")
    return {"inputs": 1, "outputs": 1, "level_free": settings["domain"] == "vst"}


def prepare(views: list[datagen.CorpusView], settings: Settings) -> dict[str, Any]:
    """Unit of the linear domain."""
    return {"noise_scale_adu": noise_scale_adu(views)} if settings["domain"] == "linear" else {}


def loss(network: nn.Module, batch: Batch, settings: Settings, moment: Moment) -> tuple[Tensor, Tensor]:
    """Squared error of the predicted noise over valid pixels, and their number; without any prediction their mean is 1.

    The others stay in sight of the network, but it is not asked what they were.

    Parameters
    ----------
    network : module
    batch : mapping
        noisy, clean, valid; a, b.
    settings : mapping
        domain, and noise_scale_adu in the linear domain.
    moment : Moment
    """
    noisy, clean = batch["noisy"], batch["clean"]
    z, target = (to_domain(each, batch["a"], batch["b"], settings) for each in (noisy, clean))
    valid = batch["valid"]
    squares = functional.mse_loss(network(z) * valid, (z - target) * valid, reduction="sum")
    return squares, valid.sum()


def restore(
    network: nn.Module,
    noisy: Tensor,
    a: Tensor,
    b: Tensor,
    settings: Settings,
    inverse: Callable[[Tensor, Tensor, Tensor], Tensor] = vst.inverse,
) -> Tensor:
    """Restored images [image, 1, row, column] ADU of noisy ones; ``inverse`` is that of what the network regresses."""
    z = to_domain(noisy, a, b, settings)
    cleaned = z - network(z)
    if settings["domain"] == "linear":
        return cleaned * settings["noise_scale_adu"]
    return inverse(cleaned, a, b)


def to_domain(x: Tensor, a: Tensor, b: Tensor, settings: Settings) -> Tensor:
    """Images as the network sees them."""
    if settings["domain"] == "linear":
        return x / settings["noise_scale_adu"]
    return vst.forward(x, a, b)


METHOD = Method(loss, restore, network_options, options={"domain": "vst"}, prepare=prepare)
