"""From a scene of a corpus to the samples it gives: simulated, checked, described."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import xsim
from datagen.corpus_file import CorpusFile
from datagen.header import SPLITS
from datagen.images import Taken
from datagen.inserted import taker_of
from datagen.instances import instance_rows
from datagen.layout import Layout
from datagen.scenes import DrawnScene, first_made, noise_seed, split_of
from datagen.table import MEASURED_TOO, STATES, instance_words, parameter_table
from xsim import CorpusError

__all__ = ["Sample", "SceneSamples", "check_saturation", "simulate_scene"]


@dataclass(frozen=True)
class Sample:
    """One stored sample.

    Attributes
    ----------
    images : dict of str to array [row, column]
        By the names, and of the types, of ``Layout.arrays``.
    params : list of float
        By the columns of ``ParameterTable``.
    instances : float64 [body, column]
        Columns ``INSTANCE_COLUMNS``.
    """

    images: dict[str, np.ndarray]
    params: list[float]
    instances: np.ndarray


@dataclass
class SceneSamples:
    """Frames of one scene, with what happened on the way."""

    samples: list[Sample] = field(default_factory=list)
    redrawn: list[dict[str, Any]] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)
    backend: str = ""


def simulate_scene(
    corpus: CorpusFile,
    index: int,
    frames: range,
    backend: str = "cpu",
    tick: Callable[[], None] = lambda: None,
    beams: Mapping[str, xsim.Quadrature] | None = None,
) -> SceneSamples:
    """Simulate frames of a scene, drawing it again where it cannot be made.

    Parameters
    ----------
    corpus : CorpusFile
    index : int
        Scene.
    frames : range
    backend : str
        Of ``xsim.simulate``; one thread.
    tick : callable
        Called after each frame.
    beams : mapping of str to Quadrature, optional
        Fits of the corpus, for scenes of few energies.

    Raises
    ------
    CorpusError
        When all the draws that the corpus allows fail.
    XsimError
        When the machine is at fault.
    """

    def take(drawn: DrawnScene) -> tuple[list[Taken], list[warnings.WarningMessage]]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            exposure, taken = taker_of(Layout(corpus), drawn, backend, beams or {}), []
            seed, limit = noise_seed(corpus, index), corpus.header.saturated_share
            for frame in frames:
                taken.append(exposure.take(seed, frame))
                if limit is not None and frame == frames[0]:  # every shard of a series judges by the same frame
                    check_saturation((taken[0] if frame == 0 else exposure.take(seed, 0)).first, limit)
                tick()
        return taken, caught

    drawn, (taken, caught), redrawn = first_made(corpus, index, take)
    notes = [{"scene": index, "warning": text} for text in sorted({str(each.message) for each in caught})]
    samples = [_describe(corpus, drawn, each) for each in taken]
    return SceneSamples(samples, redrawn, notes, str(taken[0].first.metadata["backend"]))


def _describe(corpus: CorpusFile, drawn: DrawnScene, taken: Taken) -> Sample:
    image, scene = taken.first, drawn.scene
    own = {
        "scene": drawn.index,
        "frame": image.metadata["frame"],
        "seed": image.metadata["seed"],
        "split": SPLITS.index(split_of(corpus, drawn.index)),
        "redraws": drawn.attempt,
        "bodies": len(drawn.groups),
        "voltage_kv": drawn.mapping.get("source", {}).get("voltage_kv"),
        "state": STATES.index(image.metadata["state"]),
    }
    if corpus.background is not None:
        own["image"] = corpus.background.place(drawn.index)
    if scene.second_exposure is not None:
        own["voltage_kv_second"] = scene.second_exposure.source(scene.source).voltage_kv
    images = {"": image, **{name: taken.others[name] for name in MEASURED_TOO if name in taken.others}}
    metadata = {name: _with_energies(each.metadata) for name, each in images.items()}
    return Sample(
        taken.images,
        parameter_table(corpus).row(own, metadata, drawn.drawn),
        instance_rows(drawn, image, instance_words(corpus), np.array([False, *drawn.placed])),
    )


def _with_energies(metadata: dict[str, Any]) -> dict[str, Any]:
    """Metadata with what is told of few energies under the names of its columns."""
    told = metadata.get("energies") or {}
    return metadata | {"energies": told.get("nodes"), "energies_bound": told.get("bound")}


def check_saturation(image: xsim.Radiograph, limit: float) -> None:
    """Refuse an image of which more than a share of the pixels saturate.

    Raises
    ------
    CorpusError
        Another draw may have fewer.
    """
    share = image.metadata["saturated_share"]
    if share > limit:
        raise CorpusError(
            f"{100 * share:.3g} % of the pixels saturate (corpus.saturated_share = {limit:g}) lower the dose"
        )
