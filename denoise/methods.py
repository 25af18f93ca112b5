"""Restoration methods by name: a loss to train by, and the way to restore that goes with it.

A method is a module of its own that names its `Method` as METHOD; it is imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

import datagen
from xsim import ModelError

__all__ = ["METHODS", "Batch", "Method", "Moment", "Rival", "Settings", "method_named"]

Settings: TypeAlias = Mapping[str, Any]
Batch: TypeAlias = Mapping[str, Tensor]

HOMES = {
    "blindspot": "denoise.blindspot",
    "cold_deblur": "denoise.cold_deblur",
    "diffusion_deblur": "denoise.diffusion_deblur",
    "dngan": "denoise.dngan",
    "dngan_dose": "denoise.dngan_dose",
    "noise2noise": "denoise.noise2noise",
    "noise2self": "denoise.noise2self",
    "noise_cnn": "denoise.noise_cnn",
    "regression_deblur": "denoise.regression_deblur",
}


@dataclass(frozen=True)
class Moment:
    """Where a training is. All that is random in a step comes from here, so that a resumed run repeats it.

    Attributes
    ----------
    step : int
    share : float
        Of the run that is done, 0 to 1.
    generator : torch.Generator
        On the CPU; seeded by seed, step, rank and piece of the batch.
    rival : module, optional
        The opponent of an adversarial method.
    """

    step: int
    share: float
    generator: torch.Generator
    rival: nn.Module | None = None


@dataclass(frozen=True)
class Rival:
    """A network trained in turns with the restoring one: first its step, then the other's.

    Attributes
    ----------
    make : settings -> module
    loss : (rival, network, batch, settings, moment) -> (Tensor, Tensor)
        Sum of its loss, and number of terms; no step is taken where that is 0.
    """

    make: Callable[[Settings], nn.Module]
    loss: Callable[[nn.Module, nn.Module, Batch, Settings, Moment], tuple[Tensor, Tensor]]


def network_radius(network: nn.Module, settings: Settings) -> int | None:
    """Reach of a restored pixel where a method looks no further than its network."""
    return network.radius  # type: ignore[return-value]


def nothing(views: list[datagen.CorpusView], settings: Settings) -> dict[str, Any]:
    """For methods that measure nothing beforehand."""
    return {}


def nothing_doubted(outcome: Mapping[str, Any], settings: Settings) -> None:
    """For methods whose loss gives nothing away."""


@dataclass(frozen=True)
class Method:
    """One method.

    A batch has every image of ``images``, float32 [crop, 1, row, column] ADU (names that begin with valid: bool; labels
    int32 [crop, row, column]); a, b [crop, 1, 1, 1], the noise Var x = a x + b of noisy, and a_repeat, b_second, ... of
    noisy_repeat, noisy_second, ... where these are read; the ``scalars``, [crop, 1, 1, 1]; index int64 [crop].
    Settings are the trainer's, the method's own and what ``prepare`` found, in one mapping.

    Attributes
    ----------
    loss : (network, batch, settings, moment) -> (Tensor, Tensor)
        Sum of the loss over what it asks, and the number of these terms; the trainer divides, over all pieces of a
        batch and all processes.
    restore : (network, noisy, a, b, settings) -> Tensor
        All [image, 1, row, column]; ADU.
    network_options : settings -> dict
        What the method asks of any network: inputs, outputs (channels), level_free.
    images, scalars : tuple of str
        Stored arrays, and columns of the parameter table, that a batch needs.
    options : mapping
        Settings of its own with their defaults, and other defaults of the trainer's.
    network : str
        The one it takes where none is named.
    prepare : (views, settings) -> dict
        What it measures on the training samples before the first step; JSON-able, added to the settings.
    radius : (network, settings) -> int or None
        How far a restored pixel sees; None: as far as the image goes.
    rival : Rival, optional
    anchored : bool
        Whether a restored image is given back the regional mean of the noisy one (denoise/anchor.py).
    source : str
        Stored image that is restored.
    target : str
        Stored image that the output is to be compared with.
    white : bool
        Whether noise has to be white: a frame of `denoise decorrelate` is then as good as a camera's.
    doubt : (outcome, settings) -> str or None
        What to warn of after a training; its outcome has train_loss, and val_loss or None.
    """

    loss: Callable[[nn.Module, Batch, Settings, Moment], tuple[Tensor, Tensor]]
    restore: Callable[[nn.Module, Tensor, Tensor, Tensor, Settings], Tensor]
    network_options: Callable[[Settings], dict[str, Any]]
    images: tuple[str, ...] = ("noisy", "clean", "valid")
    scalars: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    network: str = "unet"
    prepare: Callable[[list[datagen.CorpusView], Settings], dict[str, Any]] = nothing
    radius: Callable[[nn.Module, Settings], int | None] = network_radius
    rival: Rival | None = None
    anchored: bool = True
    source: str = "noisy"
    target: str = "clean"
    white: bool = False
    doubt: Callable[[Mapping[str, Any], Settings], str | None] = nothing_doubted


class _Methods(Mapping[str, Method]):
    """Methods by name, each imported when it is first asked for."""

    def __getitem__(self, name: str) -> Method:
        found: Method = import_module(HOMES[name]).METHOD
        return found

    def __contains__(self, name: object) -> bool:
        return name in HOMES

    def __iter__(self) -> Iterator[str]:
        return iter(HOMES)

    def __len__(self) -> int:
        return len(HOMES)


METHODS: Mapping[str, Method] = _Methods()


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
