"""Distributions as pydantic models: what a corpus file may write where a scene file has one value."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr
from scipy import special

from datagen.stream import Stream, normal_at

__all__ = [
    "KINDS",
    "Choice",
    "Continuous",
    "Distribution",
    "Integers",
    "Joint",
    "LogNormal",
    "LogUniform",
    "Normal",
    "Uniform",
    "number_options",
    "numbers_of",
]

DIGITS = 9
LEAST, MOST = 1e-300, 1e300  # of what is drawn, whatever the tail


def _settled(value: float, low: float, high: float) -> float:
    """Round to nine digits: libm differs in the last bit between processors, a corpus must not."""
    return min(max(float(f"{value:.{DIGITS}g}"), low), high)


def _rising(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError(f"the first number is above the second ({pair[0]:g} > {pair[1]:g}), swap them")
    return pair


Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Whole = Annotated[int, Field(ge=-(2**53), le=2**53)]  # exact in a table of float64
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


class Continuous(Distribution):
    """A number, by inversion of one uniform number; it may go with that of another value (a Gaussian copula).

    Attributes
    ----------
    with_ : str or None
        Dotted name of another continuous value that is drawn once in a scene.
    correlation : float
        Between the two as standard normal numbers. Both keep their own distributions; Spearman's rank correlation is
        6 / pi asin(correlation / 2).
    """

    with_: Annotated[str | None, Field(alias="with")] = None
    correlation: Annotated[float, Field(ge=-1, le=1)] | None = None

    def model_post_init(self, _context: Any) -> None:
        if (self.with_ is None) != (self.correlation is None):
            raise ValueError('with = "NAME" and correlation = -1 .. 1 go together, give both or none')

    def value(self, stream: Stream) -> Any:
        if self.with_ is None or self.correlation is None:
            return self.at(stream.unit())
        return self.at(stream.unit_with(self.with_, self.correlation))

    def at(self, share: float) -> Any:
        """The value that a share of the draws lie below, 0 <= share < 1."""
        raise NotImplementedError


class Uniform(Continuous):
    """Every value between two numbers, equally likely."""

    uniform: Range

    def at(self, share: float) -> float:
        low, high = self.uniform
        return _settled(low + (high - low) * share, low, high)

    def ends(self) -> list[Any]:
        return list(self.uniform)

    def share_below(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(np.interp(values, self.uniform, (0.0, 1.0)))


class LogUniform(Continuous):
    """Every ratio between two positive numbers, equally likely."""

    log_uniform: Annotated[tuple[Positive, Positive], AfterValidator(_rising)]

    def at(self, share: float) -> float:
        low, high = self.log_uniform
        first, last = math.log(low), math.log(high)
        return _settled(math.exp(first + (last - first) * share), low, high)

    def ends(self) -> list[Any]:
        return list(self.log_uniform)

    def share_below(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(np.interp(np.log(np.maximum(values, LEAST)), np.log(self.log_uniform), (0.0, 1.0)))


class Integers(Continuous):
    """Every whole number from the first to the last, both included."""

    integers: Annotated[tuple[Whole, Whole], AfterValidator(_rising)]

    def at(self, share: float) -> int:
        low, high = self.integers
        return low + int(share * (high - low + 1))

    def ends(self) -> list[Any]:
        return list(self.integers)


class Normal(Continuous):
    """Mean and standard deviation, cut off at ``limits`` when they are given."""

    normal: tuple[Finite, NonNegative]
    limits: Range | None = None

    def at(self, share: float) -> float:
        mean, sd = self.normal
        low, high = self.limits or (-math.inf, math.inf)
        if sd == 0.0:
            return min(max(mean, low), high)
        return _settled(mean + sd * normal_at(share, (low - mean) / sd, (high - mean) / sd), low, high)

    def ends(self) -> list[Any]:
        return list(self.limits) if self.limits else [self.normal[0]]

    def share_below(self, values: np.ndarray) -> np.ndarray | None:
        mean, sd = self.normal
        return None if sd == 0.0 else _normal_share((values - mean) / sd, self.limits, mean, sd)


class LogNormal(Continuous):
    """Median, and standard deviation of the natural logarithm; cut off at ``limits`` when they are given."""

    log_normal: tuple[Positive, NonNegative]
    limits: Annotated[tuple[Positive, Positive], AfterValidator(_rising)] | None = None

    def at(self, share: float) -> float:
        median, sd = self.log_normal
        low, high = self.limits or (LEAST, MOST)
        middle, reach = math.log(median), max(sd, LEAST)
        steps = normal_at(share, (math.log(low) - middle) / reach, (math.log(high) - middle) / reach)
        exponent = middle + sd * steps
        return _settled(math.exp(min(max(exponent, math.log(LEAST)), math.log(MOST))), low, high)

    def ends(self) -> list[Any]:
        return list(self.limits) if self.limits else [self.log_normal[0]]

    def share_below(self, values: np.ndarray) -> np.ndarray | None:
        median, sd = self.log_normal
        if sd == 0.0:
            return None
        limits = None if self.limits is None else (math.log(self.limits[0]), math.log(self.limits[1]))
        middle = math.log(median)
        return _normal_share((np.log(np.maximum(values, LEAST)) - middle) / sd, limits, middle, sd)


def _normal_share(steps: np.ndarray, limits: tuple[float, float] | None, mean: float, sd: float) -> np.ndarray:
    """Share of a normal distribution between limits that lies below so many standard deviations."""
    low, high = limits or (-math.inf, math.inf)
    first, last = special.ndtr((low - mean) / sd), special.ndtr((high - mean) / sd)
    return np.asarray(np.clip((special.ndtr(steps) - first) / max(last - first, LEAST), 0.0, 1.0))


class Choice(Distribution):
    """One of the listed values, equally likely or by ``weights``."""

    choice: Annotated[tuple[Any, ...], Field(min_length=1)]
    weights: tuple[NonNegative, ...] | None = None
    _first_code: int = PrivateAttr(0)  # of its options, where several choices share a name; see number_options

    def model_post_init(self, _context: Any) -> None:
        if any(isinstance(option, int) and abs(option) > MOST for option in self.choice):
            raise ValueError(f"holds a number above {MOST:g}, write a smaller one")
        if self.weights is None:
            return
        if len(self.weights) != len(self.choice) or not 0 < sum(self.weights) < math.inf:
            raise ValueError(f"{len(self.choice)} options need as many weights, one at least above zero")

    @property
    def shares(self) -> list[float]:
        """Probability of each option."""
        weights = self.weights or (1.0,) * len(self.choice)
        return [weight / sum(weights) for weight in weights]

    @property
    def first_code(self) -> int:
        """What stands for its first option in a table of parameters; the others follow."""
        return self._first_code

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


class Joint(Choice):
    """A column of a table of conditions: its row is that of the whole table."""

    table: str

    def option(self, stream: Stream) -> int:
        return stream.rows[self.table]


def numbers_of(choice: Choice) -> bool:
    """Whether every option is a number or draws one, so that the number itself says what was chosen."""
    return all(
        numbers_of(option) if isinstance(option, Choice)
        else isinstance(option, (int, float, Continuous)) and not isinstance(option, bool)
        for option in choice.choice
    )  # fmt: skip


def number_options(named: Iterable[tuple[str, Distribution]]) -> None:
    """Give the options of choices that share a dotted name codes of their own, so that a code means one option."""
    seen: set[int] = set()
    codes: dict[str, int] = {}
    for name, each in named:
        if isinstance(each, Choice) and not numbers_of(each) and id(each) not in seen:
            seen.add(id(each))
            each._first_code = codes.get(name, 0)
            codes[name] = each._first_code + len(each.choice)


#: By the key that a corpus file writes.
KINDS: dict[str, type[Distribution]] = {
    "uniform": Uniform,
    "log_uniform": LogUniform,
    "integers": Integers,
    "normal": Normal,
    "log_normal": LogNormal,
    "choice": Choice,
}
