"""What many scenes of a corpus draw, without simulating them, beside what its file asks for."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from datagen.corpus_file import CorpusFile
from datagen.distribution import Choice, Distribution, numbers_of, walk
from datagen.scenes import DrawnScene, draw_scene
from datagen.table import ParameterTable
from xsim import CorpusError

__all__ = ["DrawnValues", "draw_values"]

FEWEST = 50  # scenes that a histogram needs


@dataclass
class DrawnValues:
    """Values of the parameters of a corpus.

    Attributes
    ----------
    values : dict
        {dotted name: drawn numbers}; of a choice between other things than numbers, the code of the option.
    asked : dict
        {dotted name: its distribution}; None where several share the name, each for some scenes.
    words : dict
        {dotted name: names of its options}.
    scenes, redrawn, failed : int
        Scenes drawn, draws that gave no valid scene, and scenes of which no draw did.
    reason : str
        Of the first failure.
    """

    values: dict[str, list[float]] = field(default_factory=dict)
    asked: dict[str, Distribution | None] = field(default_factory=dict)
    words: dict[str, list[Any]] = field(default_factory=dict)
    scenes: int = 0
    redrawn: int = 0
    failed: int = 0
    reason: str = ""


def draw_values(corpus: CorpusFile, count: int, seconds: float = math.inf) -> DrawnValues:
    """Draw the first scenes of a corpus.

    Parameters
    ----------
    corpus : CorpusFile
    count : int
        Scenes, at most; a smaller corpus has fewer.
    seconds : float
        After which no more are drawn than there are, once there are fifty.
    """
    result = DrawnValues(asked=_asked(corpus), words=ParameterTable(corpus).words)
    result.values = {name: [] for name in result.asked}
    begun = time.monotonic()
    for index in range(min(count, corpus.header.scenes)):
        if result.scenes >= FEWEST and time.monotonic() - begun > seconds:
            break
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the scenes that are simulated tell theirs
                drawn, failures = draw_scene(corpus, index)
        except CorpusError as error:
            result.failed += 1
            result.reason = result.reason or str(error)
            continue
        result.scenes += 1
        result.redrawn += len(failures)
        result.reason = result.reason or (failures[0]["reason"] if failures else "")
        for name, value in (*drawn.drawn.items(), *_of_repeated(corpus, drawn)):
            result.values.setdefault(name, []).append(value)
    result.values = {name: found for name, found in result.values.items() if found}
    return result


def _asked(corpus: CorpusFile) -> dict[str, Distribution | None]:
    found: dict[str, list[Distribution]] = {}
    parts: list[tuple[str, Any]] = [(table.name, table.row) for table in corpus.conditions]
    for each in corpus.formats:
        parts += [*corpus.tables_of(each).items(), ("detector", each.detector)]
    for rule in corpus.bodies:
        parts += [(f"body.{rule.name}.count", rule.count), (f"body.{rule.name}", rule.template)]
    for path, part in parts:
        for name, distribution in walk(part, path):
            found.setdefault(name, []).append(distribution)
    for family in corpus.families:
        for name, distribution in family.distributions():
            found.setdefault(name, []).append(distribution)
    return {name: each[0] if all(one == each[0] for one in each) else None for name, each in found.items()}


def _of_repeated(corpus: CorpusFile, drawn: DrawnScene) -> Iterator[tuple[str, float]]:
    """Drawn values of bodies that a rule makes any number of, one for each body."""
    rules = {rule.name: rule for rule in corpus.bodies}
    for body, group in zip(drawn.mapping["body"], drawn.groups, strict=True):
        rule = rules.get(corpus.groups[group])
        if rule is not None and rule.count is not None:
            yield from _beside(rule.template, body, f"body.{rule.name}")


def _beside(template: Any, value: Any, path: str) -> Iterator[tuple[str, float]]:
    """Values where the template has distributions, those inside the option that was chosen included."""
    if isinstance(template, Choice):
        if numbers_of(template):
            yield path, float(value)
        elif not any(True for option in template.choice for _ in walk(option, "")):
            yield path, float(template.first_code + template.choice.index(value))
    elif isinstance(template, Distribution):
        yield path, float(value)
    elif isinstance(template, dict):
        for key, item in template.items():
            yield from _beside(item, value[key], f"{path}.{key}")
    elif isinstance(template, list):
        for place, item in enumerate(template):
            yield from _beside(item, value[place], f"{path}.{place}")
