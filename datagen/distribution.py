"""Distributions as a corpus file writes them, and drawing a value from a template that holds some.

A distribution is a table with one of the keys of ``KINDS``. It may stand wherever a scene file has a number, a string,
a vector component or a list; an option of ``choice`` may hold further distributions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from scipy import special

from datagen.problem import first_problem, nearest
from datagen.stream import Stream
from xsim import CorpusError

__all__ = ["KINDS", "Choice", "Distribution", "draw", "numbers_of", "parse", "walk"]

DIGITS = 9


def _settled(value: float, low: float, high: float) -> float:
    """Round to nine digits: libm differs in the last bit between processors, a corpus must not."""
    return min(max(float(f"{value:.{DIGITS}g}"), low), high)


def _rising(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError(f"the first number is above the second ({pair[0]:g} > {pair[1]:g}), swap them")
    return pair


Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Range = Annotated[tuple[Finite, Finite], AfterValidator(_rising)]


class Distribution(BaseModel):
    """Something to draw one value from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def value(self, stream: Stream) -> Any:
        """Draw one value; always consumes the same number of words."""
        raise NotImplementedError

    def ends(self) -> list[Any]:
        """The values that bound what can be drawn, or all of them for a choice."""
        raise NotImplementedError

    def share_below(self, values: np.ndarray) -> np.ndarray | None:
        """Share of the draws at or below each value, where draws are continuous numbers."""
        return None


class Uniform(Distribution):
    """Every value between two numbers, equally likely."""

    uniform: Range

    def value(self, stream: Stream) -> float:
        return _settled(stream.between(*self.uniform), *self.uniform)

    def ends(self) -> list[Any]:
        return list(self.uniform)

    def share_below(self, values: np.ndarray) -> np.ndarray:
        return np.interp(values, self.uniform, (0.0, 1.0))


class LogUniform(Distribution):
    """Every ratio between two positive numbers, equally likely."""

    log_uniform: Annotated[tuple[Positive, Positive], AfterValidator(_rising)]

    def value(self, stream: Stream) -> float:
        low, high = self.log_uniform
        return _settled(math.exp(stream.between(math.log(low), math.log(high))), low, high)

    def ends(self) -> list[Any]:
        return list(self.log_uniform)

    def share_below(self, values: np.ndarray) -> np.ndarray:
        return np.interp(np.log(np.maximum(values, 1e-300)), np.log(self.log_uniform), (0.0, 1.0))


class Integers(Distribution):
    """Every whole number from the first to the last, both included."""

    integers: Annotated[tuple[int, int], AfterValidator(_rising)]

    def value(self, stream: Stream) -> int:
        low, high = self.integers
        return low + stream.below(high - low + 1)

    def ends(self) -> list[Any]:
        return list(self.integers)


class Normal(Distribution):
    """Mean and standard deviation, cut off at ``limits`` when they are given."""

    normal: tuple[Finite, Annotated[float, Field(ge=0, allow_inf_nan=False)]]
    limits: Range | None = None

    def value(self, stream: Stream) -> float:
        mean, sd = self.normal
        low, high = self.limits or (-math.inf, math.inf)
        if sd == 0.0:
            stream.unit()
            return min(max(mean, low), high)
        return _settled(mean + sd * stream.normal((low - mean) / sd, (high - mean) / sd), low, high)

    def ends(self) -> list[Any]:
        return list(self.limits) if self.limits else [self.normal[0]]

    def share_below(self, values: np.ndarray) -> np.ndarray | None:
        mean, sd = self.normal
        if sd == 0.0:
            return None
        low, high = self.limits or (-math.inf, math.inf)
        first, last = special.ndtr((low - mean) / sd), special.ndtr((high - mean) / sd)
        return np.asarray(np.clip((special.ndtr((values - mean) / sd) - first) / (last - first), 0.0, 1.0))


class Choice(Distribution):
    """One of the listed values, equally likely or by ``weights``."""

    choice: Annotated[tuple[Any, ...], Field(min_length=1)]
    weights: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...] | None = None

    def model_post_init(self, _context: Any) -> None:
        if self.weights is None:
            return
        if len(self.weights) != len(self.choice) or sum(self.weights) <= 0:
            raise ValueError(f"{len(self.choice)} options need as many weights, one at least above zero")

    @property
    def shares(self) -> list[float]:
        """Probability of each option."""
        weights = self.weights or (1.0,) * len(self.choice)
        return [weight / sum(weights) for weight in weights]

    def option(self, stream: Stream) -> int:
        """Index of the chosen option."""
        if self.weights is None:
            return stream.below(len(self.choice))
        left = stream.unit() * sum(self.weights)
        for index, weight in enumerate(self.weights):
            left -= weight
            if left < 0:
                return index
        return max(index for index, weight in enumerate(self.weights) if weight > 0)

    def value(self, stream: Stream) -> Any:
        return self.choice[self.option(stream)]

    def ends(self) -> list[Any]:
        return list(self.choice)


KINDS: dict[str, type[Distribution]] = {
    "uniform": Uniform,
    "log_uniform": LogUniform,
    "integers": Integers,
    "normal": Normal,
    "choice": Choice,
}


def parse(value: Any, path: str) -> Any:
    """Replace every distribution table inside ``value`` by its model.

    Raises
    ------
    CorpusError
        Where a distribution is not well formed; ``path`` says where.
    """
    if isinstance(value, Mapping):
        kinds = [key for key in value if key in KINDS]
        if kinds:
            return _distribution(value, kinds[0], path)
        if len(value) == 1 and (close := nearest(next(iter(value)), KINDS, 0.7)):
            raise CorpusError(f"{path}: unknown distribution {next(iter(value))!r} (did you mean {close!r}?)")
        return {key: parse(item, f"{path}.{key}" if path else key) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [parse(item, f"{path}.{index}") for index, item in enumerate(value)]
    return value


def _distribution(value: Mapping[str, Any], kind: str, path: str) -> Distribution:
    options = dict(value)
    if kind == "choice" and isinstance(options["choice"], list):
        options["choice"] = [parse(option, path) for option in options["choice"]]
    try:
        return KINDS[kind].model_validate(options)
    except ValidationError as error:
        raise CorpusError(f"{path}: {first_problem(error, KINDS[kind].model_fields)}") from None


def draw(value: Any, stream: Stream, path: str, drawn: dict[str, float]) -> Any:
    """Draw a plain value from a parsed template, in file order.

    Parameters
    ----------
    value : object
        Result of `parse`.
    stream : Stream
        Where the numbers come from.
    path : str
        Dotted name of ``value``.
    drawn : dict
        Receives {dotted name: drawn number}; of a choice between other things, the index of the option.
    """
    if isinstance(value, Choice):
        index = value.option(stream)
        option = value.choice[index]
        drawn[path] = float(option) if numbers_of(value) else float(index)
        return draw(option, stream, path, drawn)
    if isinstance(value, Distribution):
        number = value.value(stream)
        drawn[path] = float(number)
        return number
    if isinstance(value, dict):
        return {key: draw(item, stream, f"{path}.{key}", drawn) for key, item in value.items()}
    if isinstance(value, list):
        return [draw(item, stream, f"{path}.{index}", drawn) for index, item in enumerate(value)]
    return value


def numbers_of(choice: Choice) -> bool:
    """Whether every option is a plain number, so that the number itself says what was chosen."""
    return all(isinstance(option, (int, float)) and not isinstance(option, bool) for option in choice.choice)


def walk(value: Any, path: str) -> Iterator[tuple[str, Distribution]]:
    """Every distribution of a parsed template with its dotted name, those inside options of a choice included."""
    if isinstance(value, Distribution):
        yield path, value
        if isinstance(value, Choice):
            for option in value.choice:
                yield from walk(option, path)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from walk(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from walk(item, f"{path}.{index}")
