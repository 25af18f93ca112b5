"""The few energies of a corpus: one fit for each beam that its file draws, made once, when its store is.

They stand in the store's description, so that every process, job and resumed run computes with the same numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import xsim
from datagen.corpus_file import CorpusFile
from datagen.distribution import Choice
from datagen.scenes import draw_scene
from xsim import CorpusError, Quadrature

__all__ = ["asks_for_few", "describe_beams", "fit_beams", "read_beams"]

KEY = "quadratures"
SCENES = 1000  # that are looked at for beams and greatest paths; a beam that only later ones draw keeps all its bins


def asks_for_few(corpus: CorpusFile) -> bool:
    """Whether scenes of the corpus may have ``acquisition.energies = "few"``."""
    runs = [corpus.tables_of(each).get("acquisition") for each in corpus.formats]
    asked = [run.get("energies") for run in runs if isinstance(run, dict)]
    return any("few" in (each.choice if isinstance(each, Choice) else (each,)) for each in asked)


def fit_beams(corpus: CorpusFile) -> dict[str, Quadrature]:
    """Fits for the beams of a corpus; none where it does not ask for few energies.

    Raises
    ------
    CorpusError
        It draws more beams than can be fitted.
    """
    if not asks_for_few(corpus):
        return {}
    try:
        return xsim.shared_quadratures(_scenes(corpus))
    except xsim.SpectrumError as error:
        raise CorpusError(f"acquisition.energies: {error}") from None


def _scenes(corpus: CorpusFile) -> Iterator[xsim.Scene]:
    for index in range(min(corpus.header.scenes, SCENES)):
        drawn = draw_scene(corpus, index)[0]
        yield from filter(None, (drawn.scene, drawn.scene.second, drawn.pair and drawn.pair.scene))


def describe_beams(fits: dict[str, Quadrature]) -> dict[str, Any]:
    """What the description of a store says of them, with a hash; nothing where there are none."""
    if not fits:
        return {}
    plain = {name: fit.to_json() for name, fit in sorted(fits.items())}
    return {KEY: plain, f"{KEY}_sha256": _hash(plain)}


def read_beams(description: dict[str, Any]) -> dict[str, Quadrature]:
    """Fits that the description of a store holds.

    Raises
    ------
    CorpusError
        They are not as they were written.
    """
    plain = description.get(KEY, {})
    if plain and description.get(f"{KEY}_sha256") != _hash(plain):
        raise CorpusError("the few energies of this corpus are damaged (not as they were written) generate it anew")
    return {name: Quadrature.from_json(stored) for name, stored in plain.items()}


def _hash(plain: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
