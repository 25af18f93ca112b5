"""The tables of docs/restoration.md, from the saved results; no number between the marks is written by hand."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from store import load

from restoration.bars import Judged, asked, judge

DOCUMENT = Path(__file__).parents[2] / "docs" / "restoration.md"
MARKED = re.compile(r"(<!-- benchmarks/restoration.py (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def write_document() -> None:
    """Fill every marked table anew."""
    tables = {"bars": bars_table, "figures": figures_table}
    text = DOCUMENT.read_text()
    DOCUMENT.write_text(MARKED.sub(lambda found: f"{found[1]}{tables[found[2]]()}{found[3]}", text))


def bars_table() -> str:
    """Each bar with what was found."""
    parts = []
    for result in load("restoration"):
        rows = []
        for verdict in judge(result["systems"], result.get("gpu", False)):
            word = {True: "holds", False: "**fails**", None: "not measured"}[verdict.holds]
            found = verdict.found
            told = ("", "") if found is None else (spread(found), f"{number(found.least)} to {number(found.greatest)}")
            rows.append((verdict.bar["system"], verdict.bar["says"], asked(verdict.bar), *told, word))
        head = ("system", "what", "bar", "mean ± 95 %", "least to greatest of settings and seeds", "")
        parts += [f"{result['machine']}{', quick runs' if result['quick'] else ''}:", "", *lines(head, rows), ""]
    return "\n".join(parts) or "Not measured.\n"


def figures_table() -> str:
    """All figures of every system."""
    parts = []
    for result in load("restoration"):
        for system, seeds in result["systems"].items():
            runs = list(seeds.values())
            shared = [name for name in runs[0] if all(measurable(run.get(name)) for run in runs)]
            found = {name: Judged.of([run[name] for run in runs]) for name in shared}
            rows = [
                (f"`{name}`", spread(each), number(each.least), number(each.greatest)) for name, each in found.items()
            ]
            head = (f"{system}, {len(runs)} seeds", "mean ± 95 %", "least", "greatest")
            parts += [*lines(head, rows), ""]
    return "\n".join(parts) or "Not measured.\n"


def measurable(figure: Any) -> bool:
    """Whether a figure is a number, or one for each setting."""
    values = list(figure.values()) if isinstance(figure, dict) else [figure]
    numbers = (isinstance(each, (int, float)) and not isinstance(each, bool) for each in values)
    return bool(values) and all(numbers)


def spread(found: Judged) -> str:
    return number(found.mean) + ("" if math.isnan(found.interval) else f" ± {number(found.interval)}")


def number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def lines(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    head = list(head)
    table = [head, ["---"] * len(head), *map(list, rows)]
    return [f"| {' | '.join(each)} |" for each in table]
