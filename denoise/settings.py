"""What a training may be told: the trainer's own settings, those of the method, and those of the network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from denoise.methods import Method
from xsim import ModelError

__all__ = ["NETWORK", "Settings", "network_settings", "settings_of"]

NETWORK = "network."  # begins the names of a network's own settings


@dataclass(frozen=True)
class Settings:
    """The trainer's own settings; all of them are kept in the checkpoint.

    Attributes
    ----------
    network : str
        unet, dncnn; "" is the method's choice.
    steps : int
        At most so many.
    minutes : float, optional
        At most so long. The learning rate falls with whichever share of the two is greater.
    batch, crop : int
        Crops per step, of all processes together, and their side in pixels.
    formats : list of str, optional
        Detector formats of the corpus to train on; all of them where it is not given.
    learning_rate, weight_decay : float
        Of AdamW; the rate warms up over ``warm_up`` steps and falls as a cosine.
    betas : (float, float)
        Of AdamW: decay of its averages of the gradient and of its square.
    average : float
        Decay of the exponential average of the weights, which is what is saved; (1 + k) / (10 + k) at step k while that
        is less, so that a short run does not save its beginning.
    clip : float
        Greatest norm of the gradient.
    parts : int
        Pieces a batch is cut into, each differentiated by one thread. On busy cores that is several times faster than
        many threads in one convolution, which wait for each other at every layer; and the sum has one order.
    anchor_px : int
        Half-width of the window over which a restored image keeps the mean of the noisy one; 0: not at all.
    seed : int
    workers : int
        Processes that read the corpus; 0: none of their own.
    """

    network: str = ""
    steps: int = 4000
    minutes: float | None = None
    batch: int = 16
    crop: int = 64
    formats: list[str] | None = None
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    betas: tuple[float, float] = (0.9, 0.999)
    warm_up: int = 50
    average: float = 0.999
    clip: float = 1.0
    parts: int = 4
    anchor_px: int = 64
    seed: int = 0
    workers: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "crop", "learning_rate", "warm_up", "clip", "parts"):
            if not getattr(self, name) > 0:
                raise ModelError(f"{name} must be above 0 (given {getattr(self, name)!r})")
        if self.minutes is not None and not 0 < self.minutes < math.inf:
            raise ModelError(f"minutes must be above 0 (given {self.minutes!r})")
        if self.anchor_px < 0:
            raise ModelError(f"anchor_px must not be negative (given {self.anchor_px!r})")


def settings_of(method: Method, given: Mapping[str, Any]) -> tuple[Settings, dict[str, Any]]:
    """Settings of a run: the defaults, over them those that the method has of its own, over all what is given.

    Parameters
    ----------
    method : Method
    given : mapping
        Settings by name; those of the network are named ``network.NAME``.

    Returns
    -------
    Settings, dict
        The trainer's own, and all of them in one JSON-able mapping.

    Raises
    ------
    ModelError
        An unknown name, or a value that makes no sense.
    """
    own = [field.name for field in fields(Settings)]
    for name in given:
        if name not in own and name not in method.options and not name.startswith(NETWORK):
            known = ", ".join([*own, *(each for each in method.options if each not in own), f"{NETWORK}NAME"])
            raise ModelError(f"unknown setting {name!r} (known: {known})")
    told = {"network": method.network, **method.options, **{k: v for k, v in given.items() if v != "" or k not in own}}
    chosen = Settings(**{name: value for name, value in told.items() if name in own})
    return chosen, {**asdict(chosen), **told}


def network_settings(told: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the network, by its own names."""
    return {name.removeprefix(NETWORK): value for name, value in told.items() if name.startswith(NETWORK)}
