"""The [family] or [[family]] tables of a corpus file: which scene families it draws, and their ranges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from datagen.distribution import Choice, Distribution, walk
from datagen.families import FAMILIES, Family
from datagen.families.family import EACH
from datagen.problem import first_problem, nearest, shortened
from datagen.stream import Stream
from xsim import CorpusError

__all__ = ["FamilyRule", "family_kinds", "pick_family", "read_families"]


@dataclass(frozen=True)
class FamilyRule:
    """One [family] table.

    Attributes
    ----------
    family : Family
    path : str
        Dotted name of its parameters: "family", or with several families "family.NAME".
    weight : float
        Share of the scenes, over the sum of the weights.
    """

    family: Family
    path: str
    weight: float = 1.0

    @property
    def name(self) -> str:
        """Name of the family."""
        return self.family.family

    def distributions(self) -> Iterator[tuple[str, Distribution]]:
        """Everything that is drawn of it once a scene, by dotted name."""
        for name, field in type(self.family).model_fields.items():
            if EACH not in field.metadata:
                yield from walk(getattr(self.family, name), f"{self.path}.{name}")

    def repeated(self) -> Iterator[tuple[str, Distribution]]:
        """What is drawn of it for each body."""
        for name, field in type(self.family).model_fields.items():
            if EACH in field.metadata:
                yield from walk(getattr(self.family, name), f"{self.path}.{name}")


def read_families(raw: Any, directory: Path) -> tuple[FamilyRule, ...]:
    """Families of a corpus file; none where it names none.

    Parameters
    ----------
    raw : object
        As read.
    directory : Path
        What relative names of files and folders start from.

    Raises
    ------
    CorpusError
        One is not understood.
    """
    listed = raw if isinstance(raw, list) else [] if raw is None else [raw]
    if not all(isinstance(item, dict) for item in listed):
        raise CorpusError('family is no table, write [family] with name = "food"')
    names = [item.get("name") for item in listed]
    for name in names:
        if not isinstance(name, str) or name not in FAMILIES:
            close = nearest(str(name), FAMILIES)
            hint = f"did you mean {close!r}?" if close else f"known: {', '.join(FAMILIES)}"
            raise CorpusError(f"family.name: no family {shortened(name)} ({hint})")
        if names.count(name) > 1:
            raise CorpusError(f"two [[family]] tables are named {name!r}, keep one with the ranges of both")
    rules = tuple(_rule(item, len(listed) > 1, directory) for item in listed)
    if rules and not sum(rule.weight for rule in rules) > 0:
        raise CorpusError("family.weight: all weights are 0, one at least must be above")
    return rules


def _rule(item: dict[str, Any], several: bool, directory: Path) -> FamilyRule:
    fields = {key: value for key, value in item.items() if key not in ("name", "weight")}
    path = f"family.{item['name']}" if several else "family"
    weight = item.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight < float("inf"):
        raise CorpusError(f"{path}.weight must be a number of at least 0 (given {shortened(weight)})")
    model = FAMILIES[item["name"]]
    try:
        family = model.model_validate(fields, context={"directory": directory})
    except ValidationError as error:
        raise CorpusError(f"{path}: {first_problem(error, model.model_fields)}") from None
    except CorpusError as error:
        raise CorpusError(f"{path}: {str(error).removeprefix(': ')}") from None
    for name in model.model_fields:
        if _may_be_list(getattr(family, name)) and not _may_be_list(model.model_fields[name].default):
            raise CorpusError(f"{path}.{name} must be one value (given {shortened(item[name])})")
        default = model.model_fields[name].default
        if isinstance(default, (list, tuple)) and _lengths(getattr(family, name)) != {len(default)}:
            raise CorpusError(f"{path}.{name} must be a list of {len(default)} values (given {shortened(item[name])})")
    return FamilyRule(family, path, float(weight))


def _may_be_list(value: Any) -> bool:
    """Whether a field becomes a list, in some scenes or in all."""
    if isinstance(value, Choice):
        return any(map(_may_be_list, value.choice))
    return isinstance(value, (list, tuple))


def _lengths(value: Any) -> set[int]:
    """Lengths of the lists that a field may become, 0 of a plain value."""
    if isinstance(value, Choice):
        return set().union(*map(_lengths, value.choice))
    return {len(value) if isinstance(value, (list, tuple)) else 0}


def family_kinds(rules: tuple[FamilyRule, ...]) -> list[str]:
    """Kinds of bodies of all families, each once."""
    return list(dict.fromkeys(kind for rule in rules for kind in rule.family.kinds))


def pick_family(rules: tuple[FamilyRule, ...], stream: Stream) -> tuple[int, FamilyRule]:
    """One of several families by its weight, and its place; always draws one number."""
    left = stream.unit() * sum(rule.weight for rule in rules)
    for place, rule in enumerate(rules):
        left -= rule.weight
        if left < 0:
            return place, rule
    place = max(place for place, rule in enumerate(rules) if rule.weight > 0)
    return place, rules[place]
