"""Noise-predicting CNN: the network sees a noisy image and says what of it is noise.

In the variance-stabilised domain ("vst") z = T(noisy), the target is n = T(noisy) - T(clean), and the restored image
x = T^-1(z - R(z)): the algebraic inverse, because R regresses T(clean), a value and not a mean. In the "linear" domain,
kept for comparison, z and n are the images themselves in units of the corpus's noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from denoise import vst
from xsim import ModelError

__all__ = ["DOMAINS", "loss", "network_options", "restore"]

DOMAINS = ("vst", "linear")


def network_options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the domain asks of a network: noise in the linear domain grows with the level, so there it must be seen.

    Raises
    ------
    ModelError
        Unknown domain.
    """
    if settings["domain"] not in DOMAINS:
        raise ModelError(f"unknown domain {settings['domain']!r} (known: {', '.join(DOMAINS)})")
    return {"level_free": settings["domain"] == "vst"}


def loss(network: nn.Module, batch: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Tensor:
    """Mean squared error of the predicted noise over valid pixels; 1 is what a network scores that predicts none.

    The others stay in sight of the network, but it is not asked what they were; 0 where no pixel is valid.

    Parameters
    ----------
    network : module
    batch : dict
        noisy, clean [crop, 1, row, column] ADU; valid, bool of that shape; a, b [crop, 1, 1, 1].
    settings : mapping
        domain, and noise_scale_adu in the linear domain.
    """
    noisy, clean = batch["noisy"], batch["clean"]
    z, target = _domain(noisy, batch["a"], batch["b"], settings), _domain(clean, batch["a"], batch["b"], settings)
    valid = batch["valid"]
    squares = functional.mse_loss(network(z) * valid, (z - target) * valid, reduction="sum")
    return squares / valid.sum().clamp(min=1)


def restore(network: nn.Module, noisy: Tensor, a: Tensor, b: Tensor, settings: Mapping[str, Any]) -> Tensor:
    """Restored images [image, 1, row, column] ADU of noisy ones."""
    z = _domain(noisy, a, b, settings)
    cleaned = z - network(z)
    if settings["domain"] == "linear":
        return cleaned * settings["noise_scale_adu"]
    return vst.inverse(cleaned, a, b)


def _domain(x: Tensor, a: Tensor, b: Tensor, settings: Mapping[str, Any]) -> Tensor:
    if settings["domain"] == "linear":
        return x / settings["noise_scale_adu"]
    return vst.forward(x, a, b)
