"""Drawing scene i of a corpus: a pure function of the corpus file and i."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

import xsim
from datagen.background import place_over
from datagen.body_rule import BodyRule
from datagen.conditions import begin_scene
from datagen.corpus_file import CorpusFile
from datagen.detector_format import Format
from datagen.distribution import draw
from datagen.families.family import DrawnBody
from datagen.family_scene import draw_family
from datagen.header import SPLITS
from datagen.pair import Pair
from datagen.placement import PlacementError, Placer
from datagen.stream import Stream
from datagen.variants import variants
from xsim import BackendError, CorpusError, OutputError, SceneError, XsimError

__all__ = [
    "DrawnScene",
    "check_corpus",
    "draw_scene",
    "first_made",
    "format_of",
    "make_scene",
    "noise_seed",
    "split_numbers",
    "split_of",
]

# first words of the substream keys; scenes use theirs below SCENES
SCENES, SEEDS, SPLIT = 0, 1, 2
SEED_BITS = 52
GOLDEN = 0.6180339887498949
MOST_OPTIONS_CHECKED = 256
Made = TypeVar("Made")


@dataclass(frozen=True)
class DrawnScene:
    """One scene without its noise.

    Attributes
    ----------
    index : int
        Of the scene in its corpus.
    attempt : int
        How many draws before this one failed.
    mapping : dict
        The scene file, as plain values.
    scene : xsim.Scene
    drawn : dict
        {dotted name: number} of every value that was drawn outside repeated bodies.
    groups : tuple of int
        Per body of the scene: which of ``CorpusFile.groups`` it is of.
    placed : tuple of bool
        Per body: whether it lies in or among others and is nobody's background.
    targets : tuple of bool
        Per body: whether an inspection looks for it.
    pair : Pair or None
        The same scene behind the camera of [detector.pair].
    """

    index: int
    attempt: int
    mapping: dict[str, Any]
    scene: xsim.Scene
    drawn: dict[str, float] = field(default_factory=dict)
    groups: tuple[int, ...] = ()
    placed: tuple[bool, ...] = ()
    targets: tuple[bool, ...] = ()
    pair: Pair | None = None


def format_of(corpus: CorpusFile, index: int) -> Format:
    """Detector format of a scene: the formats take turns."""
    return corpus.formats[index % len(corpus.formats)]


def noise_seed(corpus: CorpusFile, index: int) -> int:
    """Seed of a scene's noise; distinct for every scene of a corpus, exact in a float64."""
    base = Stream(corpus.header.seed, SEEDS).word() >> (64 - SEED_BITS)
    return base + index


def split_of(corpus: CorpusFile, index: int) -> str:
    """Part of a scene.

    The golden-ratio sequence spreads each part evenly over a format's scenes, so that small corpora hold the asked
    shares too; the draw of a scene does not depend on it.
    """
    return SPLITS[int(split_numbers(corpus, index // len(corpus.formats)))]


def split_numbers(corpus: CorpusFile, turns: Any) -> Any:
    """Number in ``SPLITS`` of the part of scenes, by their place among those of their format; of one or of many."""
    if corpus.background is not None:
        turns = turns % len(corpus.background.files)  # by image: one that several scenes have is in one part
    place = (Stream(corpus.header.seed, SPLIT).unit() + GOLDEN * turns) % 1.0
    shares = corpus.header.split
    return 0 + (place >= shares.train) + (place >= shares.train + shares.val)


def _checked(mapping: dict[str, Any], corpus: CorpusFile) -> xsim.Scene:
    """The scene of a mapping; a fault in a body is told with its name, its number means nothing to the user."""
    try:
        return xsim.scene_from_dict(mapping, corpus.directory)
    except SceneError as error:
        place = re.match(r"body\.(\d+)(\.\w+)?", str(error))
        if place is None or int(place[1]) >= len(mapping["body"]):
            raise
        name = mapping["body"][int(place[1])]["name"]
        raise SceneError(f"body {name!r}{str(error)[place.end() :]}") from None


def redrawable(error: Exception) -> bool:
    """Whether another draw may mend it: the scene is at fault, not the machine."""
    return isinstance(error, (PlacementError, XsimError)) and not isinstance(error, (BackendError, OutputError))


def make_scene(corpus: CorpusFile, index: int, attempt: int) -> DrawnScene:
    """One attempt at scene ``index``.

    Raises
    ------
    PlacementError, XsimError
        Where this draw cannot be made.
    """
    stream = Stream(corpus.header.seed, SCENES, index, attempt)
    drawn = begin_scene(stream, corpus.conditions, corpus.followed)
    tables = corpus.tables_of(format_of(corpus, index))
    mapping = {key: draw(value, stream, key, drawn) for key, value in tables.items()}
    mapping["detector"] = draw(format_of(corpus, index).detector, stream, "detector", drawn)
    families = draw_family(corpus.families, mapping, corpus.directory, stream, drawn) if corpus.families else []
    found = _draw_bodies(corpus, mapping, families, stream, drawn)
    mapping["body"] = [each.body for each in found]
    if corpus.background is not None:
        mapping["body"] = place_over(corpus.background, mapping["body"], mapping, corpus.directory, stream)
    other = mapping["detector"].pop("pair", None)
    scene = _checked(mapping, corpus)
    pair = other and Pair.of(scene, other)
    groups = tuple(corpus.groups.index(each.kind) for each in found)
    targets = tuple(each.target for each in found)
    above = [each.target or each.body.get("priority", 0) > 0 for each in families]
    inside = {rule.name for rule in corpus.bodies if rule.inside is not None or corpus.background is not None}
    placed = tuple(above[k] if k < len(above) else each.kind in inside for k, each in enumerate(found))
    return DrawnScene(index, attempt, mapping, scene, drawn, groups, placed, targets, pair)


def draw_scene(corpus: CorpusFile, index: int, start: int = 0) -> tuple[DrawnScene, list[dict[str, Any]]]:
    """First attempt from ``start`` on that makes a valid scene.

    Returns
    -------
    DrawnScene, and one record {scene, attempt, seed, reason} per failed attempt.

    Raises
    ------
    CorpusError
        When the first attempt and all of the redraws that the corpus allows fail.
    """
    failures: list[dict[str, Any]] = []
    for attempt in range(start, corpus.header.redraws + 1):
        try:
            with warnings.catch_warnings():
                # a body beside the detector is the corpus file's choice; SceneSamples.notes has other warnings
                warnings.filterwarnings("ignore", message=".*out of view")
                return make_scene(corpus, index, attempt), failures
        except (PlacementError, XsimError) as error:
            if not redrawable(error):
                raise
            failures.append(failed_draw(corpus, index, attempt, error))
    raise unmakeable(index, failures)


def first_made(
    corpus: CorpusFile, index: int, make: Callable[[DrawnScene], Made]
) -> tuple[DrawnScene, Made, list[dict[str, Any]]]:
    """First draw of a scene that ``make`` makes something of.

    Returns
    -------
    DrawnScene, what was made, and the records of failed attempts as of `draw_scene`.

    Raises
    ------
    CorpusError
        When all the draws that the corpus allows fail.
    XsimError
        When the machine is at fault.
    """
    failures: list[dict[str, Any]] = []
    attempt = 0
    while True:
        drawn, failed = draw_scene(corpus, index, attempt)
        failures += failed
        try:
            return drawn, make(drawn), failures
        except XsimError as error:
            if not redrawable(error):
                raise
            failures.append(failed_draw(corpus, index, drawn.attempt, error))
        attempt = drawn.attempt + 1
        if attempt > corpus.header.redraws:
            raise unmakeable(index, failures)


def failed_draw(corpus: CorpusFile, index: int, attempt: int, error: Exception) -> dict[str, Any]:
    """Record of a draw that gave no valid scene: it is that of stream (seed, scene, attempt)."""
    return {"scene": index, "attempt": attempt, "seed": corpus.header.seed, "reason": str(error)}


def unmakeable(index: int, failures: list[dict[str, Any]]) -> CorpusError:
    """The error of a scene whose every draw failed: the reason alone where most of them share it."""
    reasons = Counter(failure["reason"] for failure in failures)
    reason, times = reasons.most_common(1)[0]
    if 2 * times >= len(failures):
        return CorpusError(reason)
    return CorpusError(f"scene {index} cannot be made in {len(failures)} draws (one was: {reason}) change its ranges")


def _draw_bodies(
    corpus: CorpusFile, mapping: dict[str, Any], first: list[DrawnBody], stream: Stream, drawn: dict[str, float]
) -> list[DrawnBody]:
    """Bodies of the families, ``first``, then those of the [[body]] rules."""
    found = list(first)
    placer = Placer(corpus.greatest_instances)
    for rule in corpus.bodies:
        where = f"body.{rule.name}"
        count = 1 if rule.count is None else int(draw(rule.count, stream, f"{where}.count", drawn))
        hosts = [k for k, each in enumerate(found) if each.kind == rule.inside]
        if rule.inside is not None and not hosts:
            continue
        for number in range(count):
            # values of a repeated body are in the instance table, one row each, not among the drawn ones
            kept = drawn if rule.count is None else {}
            body = draw(rule.template, stream, where, kept)
            body["name"] = rule.name if rule.count is None else f"{rule.name} {number + 1}"
            if hosts:
                host = hosts[stream.below(len(hosts))]
                _place(rule, body, (found[host].body, host), placer, stream, mapping, corpus)
            target = rule.is_target or (corpus.background is not None and rule.target is None)
            found.append(DrawnBody(rule.name, body, target))
    return found


def _place(
    rule: BodyRule,
    body: dict[str, Any],
    host: tuple[dict[str, Any], int],
    placer: Placer,
    stream: Stream,
    mapping: dict[str, Any],
    corpus: CorpusFile,
) -> None:
    clearance = draw(rule.clearance_mm, stream, "", {})
    apart = None if rule.apart_mm is None else draw(rule.apart_mm, stream, "", {})
    try:
        body["position_mm"] = placer.place(body, *host, clearance, apart, stream)
    except (KeyError, TypeError, ValueError, IndexError):
        # a size that is missing or no number: the scene's own check says which, in its words
        _checked({**mapping, "acquisition": {}, "body": [host[0], body]}, corpus)
        raise PlacementError(f"{rule.name}: its size cannot be understood, so it cannot be placed") from None


def check_corpus(corpus: CorpusFile) -> None:
    """Draw a scene per format, option of a choice, row of conditions: what is wrong shows before anything is written.

    Raises
    ------
    CorpusError
        Where no draw of them works.
    """
    for index in range(min(len(corpus.formats), corpus.header.scenes)):
        draw_scene(corpus, index)
    for path, variant, index in islice(variants(corpus), MOST_OPTIONS_CHECKED):
        try:
            draw_scene(variant, index)
        except CorpusError as error:
            raise CorpusError(f"{path}: {error}") from None
