"""What the [[body]] tables of a corpus file say beyond a scene file's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, ValidationError

from datagen.distribution import Distribution, parse
from datagen.problem import nearest, shortened
from xsim import CorpusError

__all__ = ["BodyRule", "read_bodies"]

# what a [[body]] may say here beyond a scene file, and what each must be
BODY_KEYS = {
    "count": "a whole number of at least 0, or a distribution of them",
    "inside": "the name of an earlier body",
    "clearance_mm": "a number of at least 0, or a distribution",
    "apart_mm": "a number of at least 0, or a distribution",
    "target": "true or false",
}


LONGEST_NAME = 100
Drawn: TypeAlias = InstanceOf[Distribution]
Length: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]


class BodyRule(BaseModel):
    """What a [[body]] of a corpus file says beyond a scene file's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    template: dict[str, Any]
    count: Annotated[int, Field(ge=0, strict=True)] | Drawn | None = None
    inside: str | None = None
    clearance_mm: Length | Drawn = 0.0
    apart_mm: Length | Drawn | None = None
    target: Annotated[bool, Field(strict=True)] | None = None

    @property
    def is_target(self) -> bool:
        """Whether an inspection looks for it; where the file says nothing, of what lies inside another body."""
        return self.inside is not None if self.target is None else self.target

    @property
    def most(self) -> int:
        """Greatest number of instances in one scene."""
        if isinstance(self.count, Distribution):
            return int(max(self.count.ends()))
        return 1 if self.count is None else self.count


def read_bodies(raw_bodies: Any, kinds: Sequence[str] = ()) -> tuple[BodyRule, ...]:
    """Rules of the [[body]] tables, as read.

    Parameters
    ----------
    raw_bodies : object
    kinds : sequence of str
        Of the bodies that scene families give, which are there before these.

    Raises
    ------
    CorpusError
        One is not understood.
    """
    if not isinstance(raw_bodies, list) or not all(isinstance(raw, dict) for raw in raw_bodies):
        raise CorpusError("body is not a list of tables, write [[body]]")
    bodies = tuple(_body(raw, number) for number, raw in enumerate(raw_bodies, 1))
    _check_containers(bodies, kinds)
    return bodies


def _body(raw: dict[str, Any], number: int) -> BodyRule:
    name = str(raw.get("name", f"body-{number}"))
    if not name.isprintable() or len(name) > LONGEST_NAME:
        raise CorpusError(f"body.{number}: its name {shortened(name)} is no plain word, give it a short one")
    where = f"body.{name}"
    if "split" in raw:
        raise CorpusError(f"{where}: a corpus splits no mesh (its bodies are counted) write [[body]] with part = 1 ...")
    for key in raw:
        if key not in BODY_KEYS and (close := nearest(key, BODY_KEYS, 0.7)):
            raise CorpusError(f"{where}: unknown key {key!r} (did you mean {close!r}?)")
    template = {key: parse(value, f"{where}.{key}") for key, value in raw.items() if key not in BODY_KEYS}
    for key in ("name", "shape"):
        if isinstance(template.get(key), Distribution):
            raise CorpusError(f"{where}.{key} cannot be drawn, write one [[body]] each with its own count")
    rules = {key: parse(raw[key], f"{where}.{key}") for key in BODY_KEYS if key in raw}
    try:
        rule = BodyRule(name=name, template=template, **rules)
    except ValidationError as error:
        key = str(error.errors()[0]["loc"][0])
        raise CorpusError(f"{where}.{key} must be {BODY_KEYS[key]} (given {shortened(raw[key])})") from None
    ends = rule.count.ends() if isinstance(rule.count, Distribution) else []
    if not all(isinstance(end, int) and end >= 0 for end in ends):
        raise CorpusError(f"{where}.count must draw whole numbers, use {{ integers = [1, 5] }} or a choice of them")
    return rule


def _check_containers(bodies: tuple[BodyRule, ...], kinds: Sequence[str]) -> None:
    for number, rule in enumerate(bodies):
        earlier = [*kinds, *(other.name for other in bodies[:number])]
        if rule.name in kinds:
            raise CorpusError(f"body.{rule.name}: the family has bodies of that kind, give it another name")
        if rule.name in earlier:
            raise CorpusError(f"two bodies are named {rule.name!r}, give each [[body]] its own name")
        if rule.inside is None:
            if rule.apart_mm is not None or rule.clearance_mm != 0.0:
                raise CorpusError(f'body.{rule.name}: clearance_mm and apart_mm need inside = "name"')
            continue
        if rule.inside not in earlier:
            raise CorpusError(
                f"body.{rule.name}: inside = {shortened(rule.inside)} names no earlier body (earlier: {earlier})"
            )
        if "position_mm" in rule.template:
            raise CorpusError(f"body.{rule.name}: both inside and position_mm given, keep one")
