"""The corpus file: a scene file in which values may be distributions, and a [corpus] table.

The scene part is not described again here: what it may hold is what ``xsim.scene_from_dict`` accepts of a drawn scene.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, ValidationError, model_validator

import xsim
from datagen.content_hash import content_hash
from datagen.detector_format import COMMITS, Format, detector_formats
from datagen.distribution import Distribution, parse
from datagen.problem import first_problem, nearest
from xsim import CorpusError

__all__ = ["COMMITS", "SPLITS", "BodyRule", "CorpusFile", "Format", "Header", "Split", "load_corpus"]

SPLITS = ("train", "val", "test")
PHANTOM = "phantom:"
# what a [[body]] may say here beyond a scene file, and what each must be
BODY_KEYS = {
    "count": "a whole number of at least 0, or a distribution of them",
    "inside": "the name of an earlier body",
    "clearance_mm": "a number of at least 0, or a distribution",
    "apart_mm": "a number of at least 0, or a distribution",
}
MOST_BODIES = 65535  # labels are 16 bits


Drawn: TypeAlias = InstanceOf[Distribution]
Length: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Split(_Table):
    """Share of the scenes, not of the samples, in each part."""

    train: Annotated[float, Field(ge=0, le=1)] = 0.8
    val: Annotated[float, Field(ge=0, le=1)] = 0.1
    test: Annotated[float, Field(ge=0, le=1)] = 0.1

    @model_validator(mode="after")
    def _whole(self) -> Self:
        total = self.train + self.val + self.test
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"train, val and test add up to {total:g}, they must add up to 1")
        return self


class Header(_Table):
    """The [corpus] table."""

    name: Annotated[str, Field(min_length=1)]
    scenes: Annotated[int, Field(ge=1, le=10**12)]
    seed: Annotated[int, Field(ge=0)] = 0
    shard_samples: Annotated[int, Field(ge=1)] = 64
    frames_per_scene: Annotated[int, Field(ge=1, le=10**6)] = 1
    redraws: Annotated[int, Field(ge=0, le=1000)] = 20
    split: Split = Split()


class BodyRule(_Table):
    """What a [[body]] of a corpus file says beyond a scene file's."""

    name: str
    template: dict[str, Any]
    count: Annotated[int, Field(ge=0, strict=True)] | Drawn | None = None
    inside: str | None = None
    clearance_mm: Length | Drawn = 0.0
    apart_mm: Length | Drawn | None = None

    @property
    def most(self) -> int:
        """Greatest number of instances in one scene."""
        if isinstance(self.count, Distribution):
            return int(max(self.count.ends()))
        return 1 if self.count is None else self.count


@dataclass(frozen=True)
class CorpusFile:
    """A corpus as its file describes it.

    Attributes
    ----------
    header : Header
        The [corpus] table.
    formats : tuple of Format
        Scene i has format ``i % len(formats)``.
    tables : dict
        Parsed [source], [geometry], [acquisition] and further scene tables.
    bodies : tuple of BodyRule
    document : dict
        The file as read, distributions unparsed.
    directory : Path
        What relative names inside the file start from.
    sha256 : str
        Of the content (comments and spacing aside) and of the files it names.
    """

    header: Header
    formats: tuple[Format, ...]
    tables: dict[str, Any]
    bodies: tuple[BodyRule, ...]
    document: dict[str, Any]
    directory: Path
    sha256: str

    @cached_property
    def greatest_instances(self) -> int:
        """Greatest number of bodies in one scene."""
        return sum(rule.most for rule in self.bodies)


def load_corpus(path: str | os.PathLike[str]) -> CorpusFile:
    """Read and check a corpus file.

    Parameters
    ----------
    path : path or "phantom:NAME"

    Raises
    ------
    CorpusError
        Where the file cannot be read, parsed or understood.
    """
    name = os.fspath(path)
    where = xsim.phantom_path(name.removeprefix(PHANTOM)) if name.startswith(PHANTOM) else Path(name)
    try:
        document = tomllib.loads(where.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise CorpusError(f"cannot read corpus file {where} ({reason})") from None
    except tomllib.TOMLDecodeError as error:
        raise CorpusError(f"{where} is not valid TOML ({error})") from None
    try:
        return _understand(document, where.resolve().parent)
    except CorpusError as error:
        raise CorpusError(f"{where.name}: {error}") from None


def _understand(document: dict[str, Any], directory: Path) -> CorpusFile:
    header = _header(document)
    if "defect" in document:
        raise CorpusError("a corpus has no [[defect]] (its bodies are placed by rules) write a [[body]] with inside")
    if "second_exposure" in document:
        raise CorpusError("a corpus stores one image (second_exposure makes a second) leave it out")
    tables = {key: parse(value, key) for key, value in document.items() if key not in ("corpus", "body", "detector")}
    raw_bodies = document.get("body", [])
    if not isinstance(raw_bodies, list) or not all(isinstance(raw, dict) for raw in raw_bodies):
        raise CorpusError("body is not a list of tables, write [[body]]")
    bodies = tuple(_body(raw, number) for number, raw in enumerate(raw_bodies, 1))
    _check_containers(bodies)
    formats = detector_formats(document.get("detector"), tables, directory)
    corpus = CorpusFile(header, formats, tables, bodies, document, directory, content_hash(document, directory))
    if corpus.greatest_instances > MOST_BODIES:
        raise CorpusError(
            f"a scene may get {corpus.greatest_instances} bodies (labels go to {MOST_BODIES}) lower count"
        )
    return corpus


def _header(document: dict[str, Any]) -> Header:
    if "corpus" not in document:
        close = nearest("corpus", document)
        raise CorpusError(f"no [corpus] table ({f'did you mean [{close}]?' if close else 'is this a scene file?'})")
    if not isinstance(document["corpus"], dict):
        raise CorpusError("corpus is not a table, write [corpus]")
    try:
        return Header.model_validate(document["corpus"])
    except ValidationError as error:
        known = Split.model_fields if "split" in error.errors()[0]["loc"][:-1] else Header.model_fields
        raise CorpusError(f"corpus: {first_problem(error, known)}") from None


def _body(raw: dict[str, Any], number: int) -> BodyRule:
    name = str(raw.get("name", f"body-{number}"))
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
        raise CorpusError(f"{where}.{key} must be {BODY_KEYS[key]} (given {raw[key]!r})") from None
    ends = rule.count.ends() if isinstance(rule.count, Distribution) else []
    if not all(isinstance(end, int) and end >= 0 for end in ends):
        raise CorpusError(f"{where}.count must draw whole numbers, use {{ integers = [1, 5] }} or a choice of them")
    return rule


def _check_containers(bodies: tuple[BodyRule, ...]) -> None:
    for number, rule in enumerate(bodies):
        earlier = [other.name for other in bodies[:number]]
        if rule.name in earlier:
            raise CorpusError(f"two bodies are named {rule.name!r}, give each [[body]] its own name")
        if rule.inside is None:
            if rule.apart_mm is not None or rule.clearance_mm != 0.0:
                raise CorpusError(f'body.{rule.name}: clearance_mm and apart_mm need inside = "name"')
            continue
        if rule.inside not in earlier:
            raise CorpusError(f"body.{rule.name}: inside = {rule.inside!r} names no earlier body (earlier: {earlier})")
        if "position_mm" in rule.template:
            raise CorpusError(f"body.{rule.name}: both inside and position_mm given, keep one")
