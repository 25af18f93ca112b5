"""Distributions as a corpus file writes them, and drawing a value from a template that holds some.

A distribution is a table with one of the keys of ``KINDS``. It may stand wherever a scene file has a number, a string,
a vector component or a list; an option of ``choice`` may hold further distributions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from datagen.laws import (
    KINDS,
    Choice,
    Continuous,
    Distribution,
    Integers,
    Joint,
    LogUniform,
    number_options,
    numbers_of,
)
from datagen.problem import first_problem, nearest
from datagen.stream import Stream
from xsim import CorpusError

__all__ = [
    "KINDS",
    "Choice",
    "Continuous",
    "Distribution",
    "Integers",
    "Joint",
    "LogUniform",
    "draw",
    "number_options",
    "numbers_of",
    "parse",
    "walk",
]


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
        known = [field.alias or name for name, field in KINDS[kind].model_fields.items()]
        raise CorpusError(f"{path}: {first_problem(error, known)}") from None


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
        Receives {dotted name: drawn number}; of a choice between other things, the code of the option.
    """
    if isinstance(value, Choice):
        index = value.option(stream)
        option = value.choice[index]
        if not numbers_of(value):
            drawn[path] = float(value.first_code + index)
        elif not isinstance(option, Distribution):
            drawn[path] = float(option)
        return draw(option, stream, path, drawn)
    if isinstance(value, Distribution):
        if isinstance(value, Continuous) and path in stream.shares:
            number = value.at(stream.shares[path])
        else:
            number = value.value(stream)
        drawn[path] = float(number)
        return number
    if isinstance(value, dict):
        return {key: draw(item, stream, f"{path}.{key}", drawn) for key, item in value.items()}
    if isinstance(value, list):
        return [draw(item, stream, f"{path}.{index}", drawn) for index, item in enumerate(value)]
    return value


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
