"""Values drawn together: tables of conditions, whose rows fill several places, and values that follow others."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from datagen.distribution import Choice, Continuous, Distribution, Joint, parse, walk
from datagen.problem import first_problem, shortened
from datagen.stream import Stream
from xsim import CorpusError

__all__ = [
    "CONDITIONS",
    "Conditions",
    "ConditionsTable",
    "begin_scene",
    "followed_values",
    "read_conditions",
    "with_conditions",
]

CONDITIONS = "conditions"
WEIGHT = "weight"  # the column of a CSV file that is none of a scene
PLACES = ("source", "geometry", "acquisition", "detector", "second_exposure", "family", "body")
MOST_ROWS = 100_000
MOST_WEIGHT = 1e300


class ConditionsTable(BaseModel):
    """One [conditions] table of a corpus file, as written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1)] | None = None
    table: Annotated[str, Field(min_length=1)] | None = None
    columns: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    rows: Annotated[tuple[tuple[Any, ...], ...], Field(min_length=1, max_length=MOST_ROWS)] | None = None
    weights: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...] | None = None


@dataclass(frozen=True)
class Conditions:
    """A table of which each scene takes one row.

    Attributes
    ----------
    name : str
        Of the parameter that holds the row's number, from 0.
    columns : dict
        {dotted name in a scene file: the values of its rows, parsed}.
    row : Choice
        Draws the number of the row.
    """

    name: str
    columns: dict[str, tuple[Any, ...]]
    row: Choice

    def pinned(self, row: int) -> Conditions:
        """The same with one row certain."""
        weights = tuple(float(k == row) for k in range(len(self.row.choice)))
        return replace(self, row=Choice(choice=self.row.choice, weights=weights))


def read_conditions(raw: Any, directory: Path) -> tuple[Conditions, ...]:
    """The [conditions] table, or several [[conditions]], as read; none where there are none.

    Parameters
    ----------
    raw : object
    directory : Path
        What the names of CSV files start from.

    Raises
    ------
    CorpusError
        One is not understood, or a value stands in two of them.
    """
    listed = [] if raw is None else raw if isinstance(raw, list) else [raw]
    found = tuple(_conditions(item, directory, len(listed) > 1) for item in listed)
    names = [each.name for each in found]
    columns = [column for each in found for column in each.columns]
    for kind, all_names in (("name", names), ("column", columns)):
        if len(set(all_names)) < len(all_names):
            twice = max(all_names, key=all_names.count)
            raise CorpusError(f"conditions: the {kind} {shortened(twice)} is there twice, keep one of each")
    return found


def _conditions(raw: Any, directory: Path, several: bool) -> Conditions:
    if not isinstance(raw, dict):
        raise CorpusError("conditions is not a table, write [conditions]")
    try:
        table = ConditionsTable.model_validate(raw)
    except ValidationError as error:
        raise CorpusError(f"conditions: {first_problem(error, ConditionsTable.model_fields)}") from None
    if several and table.name is None:
        raise CorpusError("each of several [[conditions]] needs a name (it is the parameter of its row) give one")
    name = CONDITIONS if table.name is None else f"{CONDITIONS}.{table.name}"
    if (table.table is None) == (table.rows is None) or (table.columns is None) != (table.rows is None):
        raise CorpusError(f'{name} needs either table = "FILE.csv", or columns and rows')
    if table.table is not None:
        if table.weights is not None:
            raise CorpusError(f"{name}: weights of a CSV file are its column {WEIGHT!r}, leave weights out")
        columns, rows, weights = _read_csv(directory / table.table, name)
    else:
        columns, rows, weights = table.columns or (), table.rows or (), table.weights
    for number, row in enumerate(rows, 1):
        if len(row) != len(columns):
            raise CorpusError(f"{name}: row {number} has {len(row)} values for {len(columns)} columns, make them agree")
    _check_places(columns, name)
    values = zip(*(parse(list(row), name) for row in rows), strict=True)
    try:
        chosen = Choice(choice=tuple(range(len(rows))), weights=weights)
    except ValidationError:
        raise CorpusError(f"{name}: {len(rows)} rows need as many weights, one at least above zero") from None
    return Conditions(name, dict(zip(columns, values, strict=True)), chosen)


def _check_places(columns: tuple[str, ...], name: str) -> None:
    for column in columns:
        parts = column.split(".")
        if parts[0] not in PLACES or len(parts) < (3 if parts[0] == "body" else 2) or not all(parts):
            raise CorpusError(
                f"{name}: {shortened(column)} is no value of a scene (such are source.voltage_kv, body.NAME.material; "
                f"they begin with {', '.join(PLACES)}) mend its name"
            )
        if column == "detector.name":
            raise CorpusError(f"{name}: detector.name cannot be drawn, write several [[detector]]")
    if not columns:
        raise CorpusError(f"{name} has no column but {WEIGHT!r} (there is nothing to fill) add one")
    if len(set(columns)) < len(columns):
        raise CorpusError(
            f"{name}: the column {shortened(max(columns, key=columns.count))} is there twice, keep one of each"
        )


def _read_csv(path: Path, name: str) -> tuple[tuple[str, ...], tuple[tuple[Any, ...], ...], tuple[float, ...] | None]:
    """Names, rows and weights of a CSV file whose first line names its columns."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [[cell.strip() for cell in line] for line in csv.reader(file) if any(map(str.strip, line))]
    except OSError as error:
        raise CorpusError(f"{name}: cannot read {path} ({error.strerror or error}) check table") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorpusError(f"{name}: {path} is no CSV file ({' '.join(str(error).split())}) check table") from None
    if not 2 <= len(lines) <= MOST_ROWS + 1:
        raise CorpusError(f"{name}: {path} needs a line of names and 1 to {MOST_ROWS} rows (it has {len(lines)} lines)")
    head, *body = lines
    for number, line in enumerate(body, 2):
        if len(line) != len(head) or not all(line):
            raise CorpusError(f"{name}: {path} line {number} has not a value for each of {len(head)} columns, fill it")
    columns = tuple(column for column in head if column != WEIGHT)
    rows = [dict(zip(head, map(_cell, line), strict=True)) for line in body]
    weights = [row[WEIGHT] for row in rows] if WEIGHT in head else []
    if not all(type(each) in (int, float) and 0 <= each < MOST_WEIGHT for each in weights):
        raise CorpusError(f"{name}: {path} has a weight that is no number of at least 0, mend it")
    return columns, tuple(tuple(row[column] for column in columns) for row in rows), tuple(map(float, weights)) or None


def _cell(text: str) -> Any:
    """A cell as the corpus file would have it: a number, a list, a table; what is none of these is a word."""
    try:
        return tomllib.loads(f"cell = {text}")["cell"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text


def with_conditions(document: dict[str, Any], tables: tuple[Conditions, ...]) -> dict[str, Any]:
    """The corpus file with the columns of its tables in the places that they name.

    Raises
    ------
    CorpusError
        A place is not there, or has a value already.
    """
    for table in tables:
        for column, values in table.columns.items():
            try:
                joint = Joint(choice=values, table=table.name)
            except ValidationError as error:
                raise CorpusError(f"{column} of a table of conditions {first_problem(error, ())}") from None
            document = _with_value(document, column.split("."), joint, column)
    return document


def _with_value(inside: dict[str, Any], parts: list[str], value: Joint, column: str) -> dict[str, Any]:
    key, *below = parts
    if not below:
        if key in inside:
            raise CorpusError(f"{column} stands in a table of conditions and by itself, keep one")
        return {**inside, key: value}
    held = inside.get(key, {})
    if key == "body" and isinstance(held, list):
        return {**inside, key: _with_body(held, below, value, column)}
    if key == "detector" and isinstance(held, list):
        return {**inside, key: [_with_value(each, below, value, column) for each in held if isinstance(each, dict)]}
    if not isinstance(held, dict) or any(kind in held for kind in ("choice", "uniform", "normal")):
        raise CorpusError(f"{column} of a table of conditions cannot be set ({key} is not a table) leave one out")
    return {**inside, key: _with_value(held, below, value, column)}


def _with_body(bodies: list[Any], parts: list[str], value: Joint, column: str) -> list[Any]:
    named = [isinstance(body, dict) and str(body.get("name")) == parts[0] for body in bodies]
    if sum(named) != 1:
        raise CorpusError(f"{column} of a table of conditions names no [[body]] (name = {parts[0]!r}) mend its name")
    return [
        _with_value(body, parts[1:], value, column) if wanted else body
        for body, wanted in zip(bodies, named, strict=True)
    ]


def followed_values(once: list[tuple[str, Any]], repeated: list[tuple[str, Any]]) -> tuple[str, ...]:
    """Dotted names of the values that others follow (``with``), in file order.

    Parameters
    ----------
    once, repeated : list of (str, object)
        Dotted name and parsed template of what is drawn once in a scene, and any number of times.

    Raises
    ------
    CorpusError
        ``with`` names no continuous value that is drawn once, or one that itself follows another.
    """
    known: dict[str, Continuous] = {}
    for path, distribution in _all(once):
        if isinstance(distribution, Continuous):
            known.setdefault(path, distribution)
    wanted: dict[str, None] = {}
    for path, distribution in _all([*once, *repeated]):
        name = distribution.with_ if isinstance(distribution, Continuous) else None
        if name is None:
            continue
        if name not in known or name == path:
            told = ", ".join(each for each in known if each != path) or "none"
            raise CorpusError(
                f"{path}: with = {shortened(name)} is no number drawn once in a scene (these are: {told}) name one"
            )
        if known[name].with_ is not None:
            raise CorpusError(f"{path}: with = {name!r} follows {known[name].with_!r} itself, name that one")
        wanted[name] = None
    return tuple(wanted)


def _all(parts: list[tuple[str, Any]]) -> Iterator[tuple[str, Distribution]]:
    for path, part in parts:
        yield from walk(part, path)


def begin_scene(stream: Stream, tables: tuple[Conditions, ...], followed: tuple[str, ...]) -> dict[str, float]:
    """Draw what the values of a scene have in common, into its stream; the numbers of the rows by parameter."""
    for table in tables:
        stream.rows[table.name] = table.row.option(stream)
    for name in followed:
        stream.shares[name] = stream.unit()
    return {name: float(row) for name, row in stream.rows.items()}
