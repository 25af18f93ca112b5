"""A corpus with one of its options made certain, for each of them: what `datagen.scenes.check_corpus` draws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from datagen.corpus_file import CorpusFile
from datagen.distribution import Choice, Distribution, Joint, walk

__all__ = ["variants"]


def variants(corpus: CorpusFile) -> Iterator[tuple[str, CorpusFile, int]]:
    """Name of each option of each categorical choice and row of conditions, the corpus with it, and a scene to draw."""
    yield from _of_tables(corpus)
    for place, each in enumerate(corpus.formats[: corpus.header.scenes]):
        yield from _of_format(corpus, place, each.tables, each.detector)
    yield from ((path, variant, 0) for path, variant in _of_families(corpus))
    yield from ((path, variant, 0) for path, variant in _of_bodies(corpus))


def _of_tables(corpus: CorpusFile) -> Iterator[tuple[str, CorpusFile, int]]:
    for place, table in enumerate(corpus.conditions):
        for row in range(len(table.row.choice)):
            pinned = (*corpus.conditions[:place], table.pinned(row), *corpus.conditions[place + 1 :])
            yield f"{table.name} row {row + 1}", replace(corpus, conditions=pinned), 0
    for path, choice in _choices(corpus.tables):
        for option in choice.choice:
            yield path, replace(corpus, tables=_pin(corpus.tables, choice, option)), 0


def _of_format(
    corpus: CorpusFile, place: int, tables: dict[str, Any], detector: dict[str, Any]
) -> Iterator[tuple[str, CorpusFile, int]]:
    for path, choice in _choices({**tables, "detector": detector}):
        for option in choice.choice:
            pinned = replace(
                corpus.formats[place], tables=_pin(tables, choice, option), detector=_pin(detector, choice, option)
            )
            formats = (*corpus.formats[:place], pinned, *corpus.formats[place + 1 :])
            yield path, replace(corpus, formats=formats), place


def _of_families(corpus: CorpusFile) -> Iterator[tuple[str, CorpusFile]]:
    for rule in corpus.families:
        alone = replace(corpus, families=(rule,))
        yield rule.path, alone
        fields = {name: getattr(rule.family, name) for name in type(rule.family).model_fields}
        for path, choice in _choices({f"{rule.path}.{name}": value for name, value in fields.items()}):
            name = path.removeprefix(f"{rule.path}.").split(".")[0]
            for option in choice.choice:
                pinned = rule.family.model_copy(update={name: _pin(fields[name], choice, option)})
                yield path, replace(alone, families=(replace(rule, family=pinned),))


def _of_bodies(corpus: CorpusFile) -> Iterator[tuple[str, CorpusFile]]:
    for number, rule in enumerate(corpus.bodies):
        for path, choice in _choices({f"body.{rule.name}": rule.template}):
            for option in choice.choice:
                pinned = rule.model_copy(update={"template": _pin(rule.template, choice, option)})
                if pinned.count is not None:
                    pinned = pinned.model_copy(update={"count": max(1, rule.most)})
                bodies = (*corpus.bodies[:number], pinned, *corpus.bodies[number + 1 :])
                yield path, replace(corpus, bodies=bodies)


def _choices(parts: dict[str, Any]) -> Iterator[tuple[str, Choice]]:
    """Choices between other things than numbers; a table of conditions is checked by its rows."""
    found = [(path, each) for key, value in parts.items() for path, each in walk(value, key)]
    of_rows = {
        id(inner) for _, each in found if isinstance(each, Joint) for k in each.choice for _, inner in walk(k, "")
    }
    for path, each in found:
        if not isinstance(each, Choice) or isinstance(each, Joint) or id(each) in of_rows:
            continue
        if not all(isinstance(option, (int, float, Distribution)) for option in each.choice):
            yield path, each


def _pin(value: Any, choice: Choice, option: Any) -> Any:
    """A template in which ``choice`` has become ``option``, choices around it included."""
    if value is choice:
        return option
    if isinstance(value, Choice):
        holding = [each for each in value.choice if any(found is choice for _, found in walk(each, ""))]
        return _pin(holding[0], choice, option) if holding else value
    if isinstance(value, dict):
        return {key: _pin(item, choice, option) for key, item in value.items()}
    if isinstance(value, list):
        return [_pin(item, choice, option) for item in value]
    return value
