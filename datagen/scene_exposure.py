"""A scene of a corpus before its noise: what any number of frames are recorded from."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

import xsim
from datagen.corpus_file import CorpusFile
from datagen.header import SPLITS
from datagen.sample import check_saturation
from datagen.scenes import DrawnScene, first_made, noise_seed, split_numbers

__all__ = ["SceneExposure", "expose_scene", "scenes_of"]


class SceneExposure:
    """A drawn scene and its exposure.

    Attributes
    ----------
    drawn : DrawnScene
    exposure : xsim.Exposure
    """

    def __init__(self, corpus: CorpusFile, drawn: DrawnScene, exposure: xsim.Exposure) -> None:
        self.drawn, self.exposure, self._seed = drawn, exposure, noise_seed(corpus, drawn.index)

    def images(self, frame: int) -> dict[str, Any]:
        """Images of a frame in the memory of the machine that made them: those a store holds of this frame."""
        return self.exposure.images(self._seed, frame)

    def scalar(self, name: str) -> float:
        """A number of the scene as the parameter table of a store has it; NaN where it has none."""
        source = self.drawn.mapping.get("source", {})
        known = {**self.drawn.drawn, "voltage_kv": source.get("voltage_kv"), **self.exposure.derived}
        value = known.get(name)
        return float("nan") if value is None else float(value)


def expose_scene(
    corpus: CorpusFile,
    index: int,
    backend: str = "cpu",
    beams: Mapping[str, xsim.Quadrature] | None = None,
) -> SceneExposure:
    """Draw a scene, again where it cannot be made as `simulate_scene` does, and expose it on one thread.

    Raises
    ------
    CorpusError
        When all the draws that the corpus allows fail.
    XsimError
        When the machine is at fault.
    """

    def expose(drawn: DrawnScene) -> xsim.Exposure:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `datagen generate` tells of them
            exposure = xsim.expose(drawn.scene, backend, beams or {}, threads=1)
            if (limit := corpus.header.saturated_share) is not None:
                check_saturation(exposure.record(noise_seed(corpus, index), 0), limit)
        return exposure

    drawn, exposure, _ = first_made(corpus, index, expose)
    return SceneExposure(corpus, drawn, exposure)


def scenes_of(corpus: CorpusFile, split: str | None, format: str | None, count: int | None) -> np.ndarray:
    """Scenes of a part of a corpus.

    Parameters
    ----------
    corpus : CorpusFile
    split : {"train", "val", "test"} or None
    format : str, optional
    count : int, optional
        Of the corpus's first scenes only this many are looked at.

    Returns
    -------
    int64 [scene]
    """
    scenes = np.arange(min(corpus.header.scenes, count or corpus.header.scenes))
    formats = [each.name for each in corpus.formats]
    if format is not None:
        scenes = scenes[formats.index(format) :: len(formats)]
    if split is not None:
        scenes = scenes[split_numbers(corpus, scenes // len(formats)) == SPLITS.index(split)]
    return scenes
