"""Restoration methods by name: a loss to train by, and the way to restore that goes with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from denoise import noise_cnn
from xsim import ModelError

__all__ = ["METHODS", "Method", "method_named"]

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Method:
    """One method.

    Attributes
    ----------
    loss : (network, batch, settings) -> Tensor
    restore : (network, noisy, a, b, settings) -> Tensor
    network_options : settings -> dict
        What the method asks of any network.
    """

    loss: Callable[[nn.Module, Mapping[str, Tensor], Settings], Tensor]
    restore: Callable[[nn.Module, Tensor, Tensor, Tensor, Settings], Tensor]
    network_options: Callable[[Settings], dict[str, Any]]


METHODS = {
    "noise_cnn": Method(noise_cnn.loss, noise_cnn.restore, noise_cnn.network_options),
}


def method_named(name: str) -> Method:
    """Method by name.

    Raises
    ------
    ModelError
        Unknown name.
    """
    if name not in METHODS:
        raise ModelError(f"unknown method {name!r} (known: {', '.join(METHODS)})")
    return METHODS[name]
