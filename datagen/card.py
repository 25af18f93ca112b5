"""The card of a store for people, README.md: what it is, what was asked for, how to open it, what made it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from datagen.beams import asks_for_few
from datagen.corpus_file import CorpusFile
from datagen.detector_format import Format
from datagen.distribution import Distribution, walk
from datagen.header import SPLITS
from datagen.layout import Layout
from datagen.scenes import split_numbers
from datagen.table import ParameterTable

__all__ = ["Totals", "asked_for", "finished", "readme", "scenes_by_split"]

STATE = "| state |"  # what the line of the card begins with that is written anew
MOST_COUNTED = 10**7  # scenes; of more the shares are told
BLOCK = 1 << 14
LONGEST = 160  # characters of a distribution in the table
ABOUT = {
    "noisy": "what the camera records, whole numbers",
    "clean": "the same without noise, saturation and fixed pattern, on a grid of 1/16: the training target",
    "noise": "noisy - clean, exact: noisy == clean + noise bit for bit",
    "labels": "place of the body in the scene, 0 for none; rows of `instances`",
    "valid": "1, or 0 where a pixel is saturated, dead or otherwise bad, or a ray met a faulty mesh",
    "sharp": "clean before the screen spreads its light",
    "thickness": "path of the pixel's middle ray through everything but air",
}
SUFFIXES = {
    "repeat": "the same exposure with other noise",
    "second": "the other image of dual energy",
    "pair": "the same scene and tube charge behind the camera of [detector.pair]",
}
UNITS = {"labels": "-", "valid": "-", "thickness": "mm"}
TABLES = """`FORMAT/params`: {} numbers of each sample; `FORMAT/instances`: a row for each body (class, material, size,
box, contrast to noise, whether it is a target). Names and words are in their attributes."""
OPEN = """```python
import datagen
corpus = datagen.open_corpus("STORE")                # this folder, or its URL
view = corpus.subset(split="train")                  # name a format where there are several
sample = view[0]                                     # dict: the arrays above, params, index
```"""


@dataclass
class Totals:
    """What a finished store holds, from its commit records.

    Attributes
    ----------
    stored_bytes, redrawn, warnings : int
    shards : int
    backends, versions : set of str
    """

    shards: int = 0
    stored_bytes: int = 0
    redrawn: int = 0
    warnings: int = 0
    backends: set[str] = field(default_factory=set)
    versions: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, records: Iterable[dict[str, Any]]) -> Totals:
        """Sums over commit records, read one after the other."""
        found = cls()
        for record in records:
            found.shards += 1
            found.stored_bytes += sum(each["bytes"] for each in record["files"].values())
            found.redrawn += len(record["redrawn"])
            found.warnings += record["warnings"]
            found.backends.add(record["backend"])
            found.versions |= {f"{name} {number}" for name, number in record["versions"].items()}
        return found


def readme(corpus: CorpusFile, versions: dict[str, str]) -> str:
    """The card of a store just made, Markdown.

    Parameters
    ----------
    corpus : CorpusFile
    versions : dict of str to str
        Of the packages that it is made with.
    """
    layout, asked = Layout(corpus), asked_for(corpus)
    drawn = _rows(("value", "asked for"), [(path, _shown(each)) for path, each in asked.items()])
    formats = [_format(corpus, each) for each in corpus.formats]
    parts = [
        *_head(corpus, layout),
        "## Formats",
        _rows(("format", "images", "detector", "state", *SPLITS), formats),
        "Samples by part; a scene, with all its frames, is in one part only.",
        "## Arrays",
        "A zarr v3 group; each format is a subgroup with the axes sample, row, column.",
        _rows(("array", "type", "unit", "what it is"), _arrays(corpus, layout)),
        TABLES.format(len(ParameterTable(corpus).columns)),
        "## Open it",
        OPEN,
        "## What was drawn",
        drawn if asked else "Nothing: every scene has the values of the corpus file.",
        "## Provenance",
        _provenance(corpus, versions),
    ]
    return "\n\n".join(parts) + "\n"


def finished(card: str, totals: Totals) -> str:
    """A card whose line about the state says what a finished store holds; nothing else of it is changed."""
    state = f"complete: {totals.stored_bytes / 1e6:.1f} MB in {totals.shards} shards"
    state += f"; {totals.redrawn} draws gave no scene and were drawn again" if totals.redrawn else ""
    state += f"; {totals.warnings} warnings" if totals.warnings else ""
    state += f"; simulated on {', '.join(sorted(totals.backends))} with {', '.join(sorted(totals.versions))}"
    lines = [f"{STATE} {state} |" if line.startswith(STATE) else line for line in card.split("\n")]
    return "\n".join(lines)


def _head(corpus: CorpusFile, layout: Layout) -> list[str]:
    header = corpus.header
    frames = f", {header.frames_per_scene} frames of each" if header.frames_per_scene > 1 else ""
    state = "being made: `datagen info STORE` counts the shards that are finished"
    rows = [("samples", f"{layout.samples}, of {header.scenes} scenes{frames}"), ("state", state)]
    if corpus.families:
        rows.append(("families", ", ".join(rule.family.family for rule in corpus.families)))
    rows.append(("licence", header.license or "none stated"))
    if header.author:
        rows.append(("author", header.author))
    simulated = "Simulated radiographs with their noise-free images, labels and parameters."
    real = "Real radiographs with simulated bodies in them, labels and parameters."
    about = header.description or (simulated if corpus.background is None else real)
    return [f"# {_line(header.name)}", about, _rows(("", ""), rows)]


def _format(corpus: CorpusFile, each: Format) -> tuple[str, ...]:
    counts = scenes_by_split(corpus, corpus.formats.index(each))
    frames, about = corpus.header.frames_per_scene, "" if corpus.header.scenes <= MOST_COUNTED else "about "
    samples = (f"{about}{counts[name] * frames}" for name in SPLITS)
    return each.name, f"{each.rows} x {each.columns}", str(each.detector.get("preset") or "own"), each.state, *samples


def _arrays(corpus: CorpusFile, layout: Layout) -> list[tuple[str, ...]]:
    held: dict[str, str] = {}
    for each in corpus.formats:
        held |= layout.arrays(each)
    rows = []
    for name, kind in held.items():
        first, _, suffix = name.partition("_")
        about = f"{ABOUT[first]}; {SUFFIXES[suffix]}" if suffix else ABOUT[first]
        rows.append((name, kind, UNITS.get(first, "ADU"), about))
    return rows


def asked_for(corpus: CorpusFile) -> dict[str, list[Distribution]]:
    """Every distribution of a corpus file by its dotted name, those of repeated bodies too; several in a choice."""
    pairs = [pair for rule in corpus.families for pair in rule.distributions()]
    pairs += [pair for table in corpus.conditions for pair in walk(table.row, table.name)]
    for each in corpus.formats:
        for key, value in corpus.tables_of(each).items():
            pairs += walk(value, key)
        pairs += walk(each.detector, "detector" if len(corpus.formats) == 1 else f"detector {each.name}")
    for body in corpus.bodies:
        rules = {name: getattr(body, name) for name in ("count", "clearance_mm", "apart_mm")}
        pairs += walk(body.template | rules, f"body.{body.name}")
    found: dict[str, list[Distribution]] = {}
    for path, distribution in pairs:
        known = found.setdefault(path, [])
        if distribution not in known:
            known.append(distribution)
    return found


def _shown(distributions: list[Distribution]) -> str:
    texts = []
    for each in distributions:
        plain = each.model_dump(exclude_none=True, by_alias=True).items()
        texts.append(", ".join(f"{key} = {json.dumps(value, default=str, ensure_ascii=False)}" for key, value in plain))
    text = "; or ".join(texts)
    return text if len(text) <= LONGEST else text[: LONGEST - 4] + " ..."


def scenes_by_split(corpus: CorpusFile, place: int) -> dict[str, int]:
    """Scenes of the format at a place of the list, by part; of more than 10^7 the shares asked for, rounded."""
    scenes, shares = Layout(corpus).format_scenes(place), corpus.header.split
    if corpus.header.scenes > MOST_COUNTED:
        return {name: round(getattr(shares, name) * scenes) for name in SPLITS}
    counts = np.zeros(len(SPLITS), dtype=np.int64)
    for first in range(0, scenes, BLOCK):
        turns = np.arange(first, min(first + BLOCK, scenes))
        counts += np.bincount(split_numbers(corpus, turns), minlength=len(SPLITS))
    return dict(zip(SPLITS, counts.tolist(), strict=True))


def _provenance(corpus: CorpusFile, versions: dict[str, str]) -> str:
    lines = [
        f"- corpus sha256: `{corpus.sha256}` (content of the corpus file and of the files it names)",
        f"- made with: {', '.join(f'{name} {number}' for name, number in versions.items())}",
        "- the corpus file itself: `provenance` in the attributes of the root, `zarr.json`",
        f"- seed: {corpus.header.seed}; scene i is a function of the file and i alone: "
        "`datagen generate CORPUS STORE` makes the same bytes again",
        "- each shard's commit record, `commits/NNNNNN/zarr.json`, has the sha256 of its files: `datagen verify STORE`",
    ]
    if asks_for_few(corpus):
        lines.append("- few energies: `energies_bound` of each sample is the greatest error in signal and variance")
    return "\n".join(lines)


def _line(text: str) -> str:
    return " ".join(text.split())


def _rows(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(_line(cell).replace("|", "\\|") for cell in row) + " |" for row in lines)
