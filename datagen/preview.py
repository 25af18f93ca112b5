"""Scenes of a corpus to look at before it is generated: a tile each, with what was drawn."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from datagen.corpus_file import CorpusFile
from datagen.sample import Sample, simulate_scene
from datagen.scenes import format_of, split_of
from datagen.table import INSTANCE_COLUMNS, parameter_table
from xsim import CorpusError, XsimError

__all__ = ["SHOWN", "WINDOW_PERCENT", "Tile", "preview_tiles", "scenes_of"]

SHOWN = ("noisy", "clean", "labels", "targets")
WINDOW_PERCENT = (0.5, 99.5)
FRAME_CAPTION = (("voltage_kv", 3, "kV"), ("quanta_per_pixel", 4, "quanta"))  # parameter, its digits, unit


@dataclass(frozen=True)
class Tile:
    """One scene of a contact sheet.

    Attributes
    ----------
    scene : int
    caption : tuple of str
        Lines below the picture.
    picture : float64 [row, column], 0 to 1, or None
        Grey levels; None where the scene cannot be made or its labels are shown.
    labels : uint16 [row, column] or None
        Bodies to colour or to outline.
    reason : str
        Why there is no picture.
    drawn : dict
        {dotted name: number or word} of what was drawn and measured.
    notes : tuple of str
        Warnings.
    """

    scene: int
    caption: tuple[str, ...]
    picture: np.ndarray | None = None
    labels: np.ndarray | None = None
    reason: str = ""
    drawn: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def scenes_of(corpus: CorpusFile, count: int, scenes: Iterable[int] | None = None) -> list[int]:
    """Scenes to show: those asked for, or ``count`` spread over the corpus, each format in turn.

    Raises
    ------
    CorpusError
        A scene that the corpus does not have, or none.
    """
    known, formats = corpus.header.scenes, len(corpus.formats)
    if scenes is None:
        turns = -(-known // formats)
        rounds = -(-min(count, known) // formats)
        return [k // formats * (turns // rounds) * formats + k % formats for k in range(min(count, known))]
    asked = list(scenes)
    for scene in asked:
        if not 0 <= scene < known:
            raise CorpusError(f"no scene {scene} in the corpus (it has 0 to {known - 1}) name others")
    if not asked:
        raise CorpusError("no scene to show (none was named) name some, or leave --scenes out")
    return asked


def preview_tiles(
    corpus: CorpusFile,
    scenes: Iterable[int],
    what: str = "noisy",
    backend: str = "cpu",
    tick: Callable[[], None] = lambda: None,
) -> list[Tile]:
    """Simulate the first frame of scenes as the corpus would hold it; all energy bins, whatever it asks for.

    Parameters
    ----------
    corpus : CorpusFile
    scenes : iterable of int
    what : {"noisy", "clean", "labels", "targets"}
        The last: noisy, with the bodies that an inspection looks for outlined.
    backend : str
    tick : callable
        Called after each scene.

    Raises
    ------
    CorpusError
        None of the scenes can be made; the reason of the first.
    """
    if what not in SHOWN:
        raise CorpusError(f"cannot show {what!r} (known: {', '.join(SHOWN)})")
    tiles = []
    for scene in scenes:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tile = _tile(corpus, scene, what, backend)
        tiles.append(replace(tile, notes=tuple(sorted({str(each.message) for each in caught} | set(tile.notes)))))
        tick()
    if all(tile.reason for tile in tiles):
        raise CorpusError(tiles[0].reason)
    return tiles


def _tile(corpus: CorpusFile, scene: int, what: str, backend: str) -> Tile:
    head = (f"scene {scene}", split_of(corpus, scene))
    try:
        made = simulate_scene(corpus, scene, range(1), backend)
    except CorpusError as error:
        return Tile(scene, (", ".join(head),), reason=str(error))
    except XsimError as error:
        raise CorpusError(f"scene {scene}: {error}") from None
    sample = made.samples[0]
    images, labels = sample.images, sample.images["labels"]
    drawn, notes = _named(corpus, sample), tuple(note["warning"] for note in made.notes)
    first = [*head, *_redrawn(len(made.redrawn))]
    family = [drawn["family"]] if isinstance(drawn.get("family"), str) else []
    second = family + [_number(drawn[name], *told) for name, *told in FRAME_CAPTION if name in drawn]
    third = [format_of(corpus, scene).name] if len(corpus.formats) > 1 else []
    if what == "labels":
        last = [f"{int(drawn['bodies'])} bodies, {len(np.unique(labels[labels > 0]))} of them in sight"]
        return Tile(scene, _lines(first, second, third, last), None, labels, drawn=drawn, notes=notes)
    if what not in images and what == "clean":
        raise CorpusError("cannot show 'clean' (real images without clean_images have none) show noisy")
    image = images["clean" if what == "clean" else "noisy"]
    picture, low, high = windowed(image, drawn.get("offset_adu", 0.0))
    last = [f"{low:.0f} to {high:.0f} ADU, log"]
    outlined = _targets(sample) if what == "targets" else None
    return Tile(scene, _lines(first, second, third, last), picture, outlined, drawn=drawn, notes=notes)


def _lines(*parts: list[str]) -> tuple[str, ...]:
    return tuple(", ".join(part) for part in parts if part)


def _number(value: float, digits: int, unit: str) -> str:
    return f"{float(f'{value:.{digits}g}'):.10g} {unit}"


def _redrawn(times: int) -> list[str]:
    return [f"drawn {times + 1} times"] if times else []


def _named(corpus: CorpusFile, sample: Sample) -> dict[str, Any]:
    """Parameters of a sample that apply to it, words as words."""
    table = parameter_table(corpus)
    found: dict[str, Any] = {}
    for name, value in zip(table.columns, sample.params, strict=True):
        if not np.isnan(value):
            found[name] = table.words[name][int(value)] if name in table.words else value
    return found


def windowed(image: np.ndarray, offset_adu: float) -> tuple[np.ndarray, float, float]:
    """Grey levels as an inspector windows them: logarithm of the signal, from percentile to percentile.

    Returns
    -------
    float64 [row, column] of 0 to 1, and the ADU that are black and white.
    """
    signal = np.log(np.maximum(image.astype(np.float64) - offset_adu, 1.0))
    low, high = np.percentile(signal, WINDOW_PERCENT)
    grey = np.clip((signal - low) / max(high - low, 1e-9), 0.0, 1.0)
    return grey, float(np.exp(low) + offset_adu), float(np.exp(high) + offset_adu)


def _targets(sample: Sample) -> np.ndarray:
    """Labels of the bodies that an inspection looks for, 0 elsewhere."""
    labels = sample.images["labels"]
    wanted = np.array([False, *(sample.instances[:, INSTANCE_COLUMNS.index("target")] == 1)])
    return np.where(wanted[labels], labels, 0).astype(np.uint16)
