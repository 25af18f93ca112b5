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
from datagen.instances import instance_rows
from datagen.scenes import DrawnScene, draw_scene, failed_draw, noise_seed, redrawable, split_of, unmakeable
from datagen.table import ParameterTable, instance_words
from xsim import XsimError

__all__ = ["Sample", "SceneSamples", "check_sample", "simulate_scene"]


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
    result = SceneSamples()
    attempt = 0
    while True:
        drawn, failures = draw_scene(corpus, index, attempt)
        result.redrawn += failures
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                images = []
                for frame in frames:
                    seed = noise_seed(corpus, index)
                    image = xsim.simulate(drawn.scene, seed, backend, frame, threads=1, quadratures=beams or {})
                    images.append(image)
                    tick()
        except XsimError as error:
            if not redrawable(error):
                raise
            result.redrawn.append(failed_draw(corpus, index, drawn.attempt, error))
            attempt = drawn.attempt + 1
            if attempt > corpus.header.redraws:
                raise unmakeable(index, result.redrawn) from None
            continue
        break
    result.notes = [{"scene": index, "warning": text} for text in sorted({str(each.message) for each in caught})]
    result.backend = str(images[0].metadata["backend"])
    result.samples = [_describe(corpus, drawn, image) for image in images]
    return result


def _describe(corpus: CorpusFile, drawn: DrawnScene, image: xsim.Radiograph) -> Sample:
    check_sample(image, drawn.index)
    own = {
        "scene": drawn.index,
        "frame": image.metadata["frame"],
        "seed": image.metadata["seed"],
        "split": SPLITS.index(split_of(corpus, drawn.index)),
        "redraws": drawn.attempt,
        "bodies": len(drawn.groups),
        "voltage_kv": drawn.mapping.get("source", {}).get("voltage_kv"),
    }
    if told := image.metadata.get("energies"):
        own |= {"energies": told["nodes"], "energies_bound": told["bound"]}
    return Sample(
        {
            "noisy": image.noisy.astype(np.uint16),
            "clean": image.clean,
            "noise": image.noise,
            "labels": image.labels,
            "valid": image.valid.astype(np.uint8),
        },
        ParameterTable(corpus).row(own, image.metadata, drawn.drawn),
        instance_rows(drawn, image, instance_words(corpus), np.array([False, *drawn.placed])),
    )


def check_sample(image: xsim.Radiograph, scene: int) -> None:
    """Refuse an image that does not keep the promises of the store.

    Raises
    ------
    XsimError
        Where noisy is not clean + noise bit for bit in float32, or holds anything but whole numbers of 16 bits.
    """
    total = image.clean + image.noise
    if total.dtype != np.float32 or not np.array_equal(total, image.noisy):
        raise XsimError(f"scene {scene}: noisy differs from clean + noise (a fault of the simulator) please report it")
    if not np.array_equal(image.noisy.astype(np.uint16).astype(np.float32), image.noisy):
        raise XsimError(f"scene {scene}: noisy holds other than whole numbers 0..65535 (a fault of the simulator)")
