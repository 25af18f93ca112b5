"""What a training may be told: the trainer's own settings, those of the method, and those of the network."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from denoise.methods import Method
from xsim import ModelError

__all__ = ["NETWORK", "Settings", "network_settings", "settings_of"]

NETWORK = "network."  # begins the names of a network's own settings
PRECISIONS = ("auto", "float32", "bfloat16")
POSITIVE = ("steps", "batch", "crop", "learning_rate", "warm_up", "clip", "parts")
OPTIONAL = {"minutes": 0.0, "formats": [""], "network_radius": 0}  # a value of the type that None stands for
WHAT = {bool: "true or false", int: "a whole number", float: "a number", str: "a word", list: "a list"}


@dataclass(frozen=True)
class Settings:
    """The trainer's own settings; all of them are kept in the checkpoint.

    Attributes
    ----------
    network : str
        unet, dncnn, or "package.module:Class".
    network_radius : int, optional
        Reach of a pixel in a network of the latter kind; measured where it is not given.
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
    precision : {"auto", "float32", "bfloat16"}
        Of the network's convolutions; auto: bfloat16 on a GPU that has it, unless the network sees the level.
    deterministic : bool
        On a GPU: only algorithms that give the same bits again, slower. A CPU always does.
    parts : int
        Pieces a batch is cut into, each differentiated by one thread. On busy cores that is several times faster than
        many threads in one convolution, which wait for each other at every layer; and the sum has one order. A GPU
        takes the batch whole.
    anchor_px : int
        Half-width of the window over which a restored image keeps the mean of the noisy one; 0: not at all.
    seed : int
    workers : int
        Processes that read the corpus; 0: none of their own.
    save_minutes : float
        How often the state of the run is kept; 0: after every step.
    """

    network: str = "unet"
    network_radius: int | None = None
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
    precision: str = "auto"
    deterministic: bool = False
    parts: int = 4
    anchor_px: int = 64
    seed: int = 0
    workers: int = 0
    save_minutes: float = 2.0

    def __post_init__(self) -> None:
        for name in POSITIVE:
            if not getattr(self, name) > 0:
                raise ModelError(f"{name} must be above 0 (given {getattr(self, name)!r})")
        for name in ("anchor_px", "workers", "save_minutes", "weight_decay", "seed"):
            if not getattr(self, name) >= 0:
                raise ModelError(f"{name} must not be negative (given {getattr(self, name)!r})")
        if self.minutes is not None and not self.minutes > 0:
            raise ModelError(f"minutes must be above 0 (given {self.minutes!r})")
        if len(self.betas) != 2 or not all(0 <= each < 1 for each in (*self.betas, self.average)):
            raise ModelError(f"betas are two numbers, and average one, of 0 to 1 (given {self.betas}, {self.average})")
        if self.precision not in PRECISIONS:
            raise ModelError(f"unknown precision {self.precision!r} (known: {', '.join(PRECISIONS)})")


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
    own = {field.name: field.default for field in fields(Settings)}
    defaults = {**own, "network": method.network, **method.options}
    for name, value in given.items():
        if name.startswith(NETWORK) and name != NETWORK:
            continue
        if name not in defaults:
            raise ModelError(f"unknown setting {name!r} (known: {', '.join(defaults)}, {NETWORK}NAME)")
        if not (name in OPTIONAL and value is None):
            check_kind(name, value, OPTIONAL.get(name, defaults[name]))
    told = {name: list(each) if isinstance(each, tuple) else each for name, each in {**defaults, **given}.items()}
    try:
        json.dumps(told, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ModelError(f"a setting cannot be written down ({error}) give numbers, words or lists of them") from None
    chosen = Settings(**{name: told[name] for name in own})
    return chosen, {**asdict(chosen), **told}


def check_kind(name: str, value: Any, like: Any) -> None:
    """Refuse a value of another kind than the default's; a whole number is a number.

    Raises
    ------
    ModelError
        It is.
    """
    kind = next((each for each in WHAT if isinstance(like, each)), list if isinstance(like, tuple) else None)
    if kind is None:
        return
    if kind is list:
        good = isinstance(value, (list, tuple)) and len(value) > 0
    elif kind is float:
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    else:
        good = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    if not good:
        raise ModelError(f"{name} must be {WHAT[kind]} (given {value!r}, default {like!r})")
    if kind is list and like:
        for each in value:
            check_kind(f"each of {name}", each, like[0])


def network_settings(told: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the network, by its own names."""
    found = {name.removeprefix(NETWORK): value for name, value in told.items() if name.startswith(NETWORK)}
    return found if told["network_radius"] is None else {**found, "radius": told["network_radius"]}
