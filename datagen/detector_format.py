"""Detector formats of a corpus: the shape of the images each [[detector]] table gives, and what cannot be stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datagen.distribution import Distribution, parse
from datagen.pair import check_pair
from datagen.problem import shortened
from xsim import CorpusError, read_camera_file

__all__ = ["COMMITS", "Format", "detector_formats"]

STATION = ("source", "geometry", "acquisition")  # tables that a [[detector]] may say more of
COMMITS = "commits"  # folder of the commit records in a store, which no format may be named


@dataclass(frozen=True)
class Format:
    """One detector format: the samples that share an array shape and a camera.

    Attributes
    ----------
    name : str
    rows, columns : int
        Of the images; those of a line camera have a row for each line of the scan.
    state : str
    detector : dict
        The table, parsed.
    others : tuple of {"second", "pair"}
        Other images of a sample: of a second exposure or layer, and of a [detector.pair].
    tables : dict
        Parsed [source], [geometry] and [acquisition] where the scenes of this format have their own.
    """

    name: str
    rows: int
    columns: int
    state: str
    detector: dict[str, Any]
    others: tuple[str, ...] = ()
    tables: dict[str, Any] = field(default_factory=dict)


def detector_formats(raw: Any, tables: dict[str, Any], directory: Path) -> tuple[Format, ...]:
    """Formats of the [detector] or [[detector]] tables of a corpus file.

    Parameters
    ----------
    raw : object
        As read.
    tables : dict
        The other tables, parsed.
    directory : Path
        What relative names of camera files start from.

    Raises
    ------
    CorpusError
        Where a table is not understood, or its images cannot be stored.
    """
    listed = raw if isinstance(raw, list) else [raw]
    if not listed or not all(isinstance(item, dict) for item in listed):
        raise CorpusError("no [detector] table (a corpus needs at least one detector)")
    if isinstance(tables.get("acquisition"), Distribution):
        raise CorpusError("acquisition cannot be drawn as a whole, draw values in it")
    formats = tuple(_format(item, tables, directory) for item in listed)
    names = [each.name for each in formats]
    if len(set(names)) < len(names) or COMMITS in names:
        twice = max(names, key=names.count) if COMMITS not in names else COMMITS
        raise CorpusError(f"the format name {shortened(twice)} is taken, give each [[detector]] a name of its own")
    return formats


def _format(item: dict[str, Any], tables: dict[str, Any], directory: Path) -> Format:
    detector = {key: parse(value, f"detector.{key}") for key, value in item.items() if key not in ("name", *STATION)}
    own = {key: _merged(tables.get(key, {}), item[key], key) for key in STATION if key in item}
    run = {**tables, **own}.get("acquisition")
    run = run if isinstance(run, dict) else {}
    state = run.get("state", "raw")
    if not isinstance(state, str):
        raise CorpusError(
            "acquisition.state cannot be drawn (the images of a format are alike) write several [[detector]], "
            'each with its own acquisition = { state = "..." }'
        )
    for key in ("preset", "kind", "response"):
        if isinstance(detector.get(key), Distribution):
            raise CorpusError(f"detector.{key} cannot be drawn, write several [[detector]] tables")
    camera = _camera(detector.get("preset"), directory) | detector
    others = ["second"] if "second_layer" in camera or "second_exposure" in tables else []
    if "pair" in item:
        check_pair(item["pair"])
        others.append("pair")
    if camera.get("response") == "ideal":
        raise CorpusError("detector.response 'ideal' has no grey values to store, leave it out")
    rows, columns = _size(item, detector, _lines(item, run) if camera.get("kind") == "line_scan" else None)
    name = item.get("name") or f"{str(detector.get('preset') or 'detector').removesuffix('.toml')}-{rows}x{columns}"
    return Format(_plain(str(name)), rows, columns, state, detector, tuple(others), own)


def _merged(common: Any, own: Any, key: str) -> dict[str, Any]:
    """A table of the scene with what a [[detector]] says more of it."""
    if not isinstance(common, dict) or not isinstance(own, dict) or isinstance(parse(own, key), Distribution):
        raise CorpusError(f"detector.{key} and [{key}] must both be tables of values to be one table, write them out")
    return {**common, **parse(own, key)}


def _camera(preset: Any, directory: Path) -> dict[str, Any]:
    """Fields of a named camera or camera file; what is no name is for the scene to refuse."""
    if not isinstance(preset, str):
        return {}
    try:
        return read_camera_file(preset, directory)[0]
    except ValueError as error:
        raise CorpusError(f"detector: {error}") from None


def _lines(item: dict[str, Any], run: dict[str, Any]) -> int:
    """Rows of the images of a line camera."""
    lines = run.get("lines")
    if isinstance(lines, Distribution):
        raise CorpusError("acquisition.lines cannot be drawn (images of a corpus are alike) write one corpus each")
    if type(lines) is not int or lines < 1:
        raise CorpusError(f"a line camera needs acquisition.lines, a whole number above 0 (given {shortened(lines)})")
    if item.get("rows", 1) != 1:
        raise CorpusError(f"a line camera has one row (detector.rows = {shortened(item['rows'])}) leave rows out")
    return lines


def _size(item: dict[str, Any], detector: dict[str, Any], lines: int | None) -> tuple[int, int]:
    rows, columns = lines or detector.get("rows"), detector.get("columns")
    if type(rows) is not int or type(columns) is not int or min(rows, columns) < 1:
        told = [shortened(item.get(key)) for key in ("rows", "columns")]
        given = f"columns must be a whole number above 0 (given {told[1]})"
        if lines is None:
            given = f"rows and columns must be whole numbers above 0 (given {', '.join(told)})"
        raise CorpusError(f"detector {given} for several sizes write several [[detector]]")
    return rows, columns


def _plain(name: str) -> str:
    """A name fit for a folder: the store keeps each format in one."""
    return "".join(letter if letter.isalnum() or letter in "-_.+" else "-" for letter in name).lstrip(".") or "format"
