"""The two screens of a pair corpus: their cameras, and how much more the thick one blurs, M_LR / M_HR.

M_HR is the MTF of the thin, sharp screen and M_LR that of the thick, blurred one, both from the theory of screens
(docs/screens.md) before the pixels sample them; the aperture, which they share, leaves their ratio.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import datagen
import xsim
from denoise.mtf_blur import FREQUENCIES_PER_PX
from xsim import CorpusError

__all__ = ["LEAST_MTF", "ScreenPair", "mtf_ratio", "pair_of"]

LEAST_MTF = 0.05  # of the sharp screen: below it nothing is left that a ratio could be taken of
SCENES_ASKED = 8  # cameras may be drawn: their ratios are averaged


@dataclass(frozen=True)
class ScreenPair:
    """A scene behind the camera of a corpus, the sharp one, and behind that of its [detector.pair], the blurred one.

    Attributes
    ----------
    sharp, blurred : xsim.Scene
    same_quanta : bool
    """

    sharp: xsim.Scene
    blurred: xsim.Scene
    same_quanta: bool


def pair_of(corpus: datagen.Corpus, format: str, number: int = 0) -> ScreenPair:
    """Cameras of the scene ``number`` of a format.

    Raises
    ------
    CorpusError
        The format has no pair, or a sharper one, or the corpus file cannot be understood without the files it names.
    """
    drawn = _drawn(corpus, corpus.formats.index(format) + number * len(corpus.formats))
    if drawn.pair is None:
        raise CorpusError(f"{corpus.path}: {format} has no [detector.pair] (deblurring needs two screens) add one")
    pair = ScreenPair(drawn.scene, drawn.pair.scene, drawn.pair.same_quanta)
    if theory_mtf(pair.blurred).sum() > theory_mtf(pair.sharp).sum():
        raise CorpusError(
            f"{corpus.path}: the pair of {format} is the sharper screen (the pair is what is deblurred) swap them"
        )
    return pair


def mtf_ratio(corpus: datagen.Corpus, format: str) -> np.ndarray:
    """M_LR / M_HR at ``FREQUENCIES_PER_PX``, within [0, 1]; where M_HR is below 0.05 it counts as that.

    Mean over the cameras of some scenes, as they may be drawn.

    Raises
    ------
    CorpusError
        As for `pair_of`.
    """
    count = min(SCENES_ASKED, -(-int(corpus.description["scenes"]) // len(corpus.formats)))
    pairs = [pair_of(corpus, format, number) for number in range(count)]
    return np.mean([ratio_of(pair) for pair in pairs], axis=0)


def ratio_of(pair: ScreenPair) -> np.ndarray:
    """M_LR / M_HR of one pair of cameras."""
    sharp, blurred = theory_mtf(pair.sharp), theory_mtf(pair.blurred)
    return np.clip(blurred / np.maximum(sharp, LEAST_MTF), 0.0, 1.0)


def theory_mtf(scene: xsim.Scene) -> np.ndarray:
    """Presampled MTF of a scene's camera at ``FREQUENCIES_PER_PX``."""
    frequency = FREQUENCIES_PER_PX / scene.detector.pitch_mm
    return xsim.screen_theory(scene.detector, scene.source.photons(), frequency_per_mm=frequency).mtf


def _drawn(corpus: datagen.Corpus, scene: int) -> datagen.DrawnScene:
    """Scene of a store, drawn again."""
    document = corpus.description["corpus"]
    return datagen.draw_scene(datagen.corpus_from_dict(document, Path.cwd()), scene)[0]
