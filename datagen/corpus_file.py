"""The corpus file: a scene file in which values may be distributions, and a [corpus] table.

The scene part is not described again here: what it may hold is what ``xsim.scene_from_dict`` accepts of a drawn scene.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import xsim
from datagen.background import RealImages, read_background, with_state
from datagen.body_rule import BodyRule, read_bodies
from datagen.conditions import CONDITIONS, Conditions, followed_values, read_conditions, with_conditions
from datagen.content_hash import content_hash
from datagen.detector_format import Format, detector_formats
from datagen.distribution import number_options, parse, walk
from datagen.family_table import FamilyRule, family_kinds, read_families
from datagen.header import Header, read_header
from xsim import CorpusError

__all__ = ["CorpusFile", "corpus_from_dict", "load_corpus"]

PHANTOM = "phantom:"
MOST_BODIES = 65535  # labels are 16 bits
OWN_TABLES = ("corpus", "background", "body", "detector", "family", CONDITIONS)


@dataclass(frozen=True, eq=False)  # one is itself alone, so that tables of it can be kept
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
    families : tuple of FamilyRule
        Scene families; a scene is of one of them, its bodies come before those of ``bodies``.
    document : dict
        The file as read, distributions unparsed.
    directory : Path
        What relative names inside the file start from.
    sha256 : str
        Of the content (comments and spacing aside) and of the files it names.
    conditions : tuple of Conditions
        Tables of which each scene takes a row; their columns stand in the templates as ``Joint``.
    followed : tuple of str
        Dotted names of the values that others follow.
    text : str
        The file itself.
    background : RealImages or None
        What bodies are put into, where it is not simulated.
    """

    header: Header
    formats: tuple[Format, ...]
    tables: dict[str, Any]
    bodies: tuple[BodyRule, ...]
    document: dict[str, Any]
    directory: Path
    sha256: str
    families: tuple[FamilyRule, ...] = ()
    conditions: tuple[Conditions, ...] = ()
    followed: tuple[str, ...] = ()
    text: str = ""
    background: RealImages | None = None

    def tables_of(self, format: Format) -> dict[str, Any]:
        """Parsed scene tables of the scenes of a format."""
        return {**self.tables, **format.tables}

    @cached_property
    def greatest_instances(self) -> int:
        """Greatest number of bodies in one scene."""
        of_families = max((rule.family.most_bodies() for rule in self.families), default=0)
        return of_families + sum(rule.most for rule in self.bodies)

    @cached_property
    def groups(self) -> list[str]:
        """What bodies are instances of: the kinds of the families, then the [[body]] tables, by name."""
        return [*family_kinds(self.families), *(rule.name for rule in self.bodies)]


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
        text = where.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise CorpusError(f"cannot read corpus file {where} ({reason})") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise CorpusError(f"{where} is not valid TOML ({reason})") from None
    try:
        return replace(_understand(document, where.resolve().parent), text=text)
    except CorpusError as error:
        raise CorpusError(f"{where.name}: {error}") from None
    except RecursionError:
        raise CorpusError(f"{where.name}: it is nested too deeply (choices in choices?) make it flatter") from None


def corpus_from_dict(document: dict[str, Any], directory: Path) -> CorpusFile:
    """Check a corpus given as the mapping that its file holds.

    Parameters
    ----------
    document : dict
        As ``tomllib`` reads the file, or as a store keeps it in ``Corpus.description["corpus"]``.
    directory : Path
        What relative names in it start from.

    Raises
    ------
    CorpusError
        Where it cannot be understood, or names files that are not there.
    """
    return _understand(document, directory)


def _understand(document: dict[str, Any], directory: Path) -> CorpusFile:
    header = read_header(document)
    if "defect" in document:
        raise CorpusError("a corpus has no [[defect]] (its bodies are placed by rules) write a [[body]] with inside")
    conditions = read_conditions(document.get(CONDITIONS), directory)
    told = with_conditions(with_state(document), conditions)
    tables = {key: parse(value, key) for key, value in told.items() if key not in OWN_TABLES}
    families = read_families(told.get("family"), directory)
    bodies = read_bodies(told.get("body", []), family_kinds(families))
    formats = detector_formats(told.get("detector"), tables, directory)
    sha256 = content_hash(document, directory)
    once, repeated = _drawn_parts(tables, formats, bodies, families)
    followed = followed_values(once, repeated)
    number_options(pair for path, part in (*once, *repeated) for pair in walk(part, path))
    background = read_background(document, directory, header, formats, bodies)
    corpus = CorpusFile(
        header, formats, tables, bodies, document, directory, sha256, families, conditions, followed,
        background=background,
    )  # fmt: skip
    if corpus.greatest_instances > MOST_BODIES:
        raise CorpusError(
            f"a scene may get {corpus.greatest_instances} bodies (labels go to {MOST_BODIES}) lower count"
        )
    return corpus


def _drawn_parts(
    tables: dict[str, Any],
    formats: tuple[Format, ...],
    bodies: tuple[BodyRule, ...],
    families: tuple[FamilyRule, ...],
) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]]:
    """Templates by dotted name: what is drawn once in a scene, and what for each of any number of bodies."""
    once: list[tuple[str, Any]] = [*tables.items()]
    for each in formats:
        once += [*each.tables.items(), ("detector", each.detector)]
    once += [(path, distribution) for rule in families for path, distribution in rule.distributions()]
    once += [(f"body.{rule.name}", rule.template) for rule in bodies if rule.count is None]
    once += [(f"body.{rule.name}.count", rule.count) for rule in bodies if rule.count is not None]
    repeated = [(f"body.{rule.name}", rule.template) for rule in bodies if rule.count is not None]
    repeated += [(f"body.{rule.name}.clearance_mm", rule.clearance_mm) for rule in bodies]
    repeated += [(f"body.{rule.name}.apart_mm", rule.apart_mm) for rule in bodies]
    repeated += [(path, distribution) for rule in families for path, distribution in rule.repeated()]
    return once, repeated
