"""Test objects before a corpus's own camera: edges, bars and the open beam, at the noise of one of its samples."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import datagen
import xsim
from denoise.cases import Case
from denoise.sharpness import (
    Chart,
    ContrastTransfer,
    bar_chart,
    chart_bodies,
    ctf,
    edge_bodies,
    frames_of,
    mtf,
    sheet_thickness_mm,
)
from xsim import CorpusError, MeasurementError, XsimError

__all__ = ["CONTRASTS", "Station", "TestObjects", "Transfer", "station_of", "transfer_of"]

CONTRASTS = {"high": 0.5, "low": 0.05}
FRAMES = {"high": 8, "low": 24}  # of an edge or chart; of the open beam as of the first
ROI_PX = 128
SEED = 1_000_003  # of exposures; corpora draw theirs from other numbers


@dataclass(frozen=True)
class Station:
    """Where test objects are put: a scene of a corpus, whose bodies are left out.

    Attributes
    ----------
    scene : xsim.Scene
    quanta_per_pixel : float
    format : str
    """

    scene: xsim.Scene
    quanta_per_pixel: float
    format: str


@dataclass(frozen=True)
class TestObjects:
    """Exposures of the test objects.

    Attributes
    ----------
    edges, charts : {"high" | "low": list of xsim.Radiograph}
        Charts are left out where an image is too small for them.
    chart : Chart or None
    flats : list of xsim.Radiograph
        Of the open beam.
    station : Station
    """

    edges: dict[str, list[xsim.Radiograph]]
    charts: dict[str, list[xsim.Radiograph]]
    chart: Chart | None
    flats: list[xsim.Radiograph]
    station: Station


@dataclass(frozen=True)
class Transfer:
    """What a restoration leaves of sharpness and noise.

    Attributes
    ----------
    mtf : {"high" | "low": xsim.EdgeMtf or None}
        None where no edge is found any more.
    ctf : {"high" | "low": ContrastTransfer}
    noise : xsim.NoisePower
        Of restored images of the open beam.
    taken : xsim.NoisePower or None
        Of what was taken away from them; None for noisy images.
    """

    mtf: dict[str, xsim.EdgeMtf | None]
    ctf: dict[str, ContrastTransfer]
    noise: xsim.NoisePower
    taken: xsim.NoisePower | None


def station_of(corpus: datagen.Corpus, cases: Sequence[Case], place: int) -> Station:
    """Station of a case of a corpus, by drawing its scene again.

    Raises
    ------
    CorpusError
        Its scenes cannot be drawn again: real images, or files that the corpus names are not there.
    """
    if "background" in corpus.description["corpus"]:
        raise CorpusError(f"{corpus.path} is of real images (there is no station to put a test object into)")
    case = cases[place]
    drawn, _ = datagen.draw_scene(
        datagen.corpus_from_dict(corpus.description["corpus"], Path.cwd()), int(case.params["scene"])
    )
    return Station(drawn.scene, float(case.params["quanta_per_pixel"]), case.format)


def test_objects(station: Station, frames: Mapping[str, int] = FRAMES) -> TestObjects:
    """Exposures of edges, charts and the open beam."""
    scene, view = station.scene, station.scene.view
    try:
        chart = bar_chart(view.rows, view.columns)
    except MeasurementError:
        chart = None
    edges, charts = {}, {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*out of view.*")
        for k, (name, contrast) in enumerate(CONTRASTS.items()):
            thickness_mm = sheet_thickness_mm(scene, contrast)
            edges[name] = frames_of(scene, edge_bodies(scene, thickness_mm), frames[name], SEED + 2 * k)
            if chart:
                charts[name] = frames_of(
                    scene, chart_bodies(scene, chart, thickness_mm), frames[name], SEED + 2 * k + 1
                )
        flats = frames_of(scene, [], frames["high"], SEED + 10)
    return TestObjects(edges, charts, chart, flats, station)


def transfer_of(objects: TestObjects, restore: Callable[[xsim.Radiograph], np.ndarray]) -> Transfer:
    """Sharpness and noise of restored test objects.

    Parameters
    ----------
    objects : TestObjects
    restore : from an exposure to the restored image [row, column] ADU
    """
    first = objects.flats[0].metadata
    pitch_mm, offset_adu = first["pitch_mm"], first["offset_adu"]
    modulation = {}
    for name, frames in objects.edges.items():
        try:
            modulation[name] = mtf([restore(frame) for frame in frames], pitch_mm)
        except MeasurementError:
            modulation[name] = None
    contrast = {}
    for name, frames in objects.charts.items():
        assert objects.chart is not None
        contrast[name] = ctf([restore(frame) for frame in frames], objects.chart, pitch_mm, offset_adu)
    flats = np.stack([restore(frame) for frame in objects.flats])
    roi = min(ROI_PX, *flats.shape[1:])
    taken = np.stack([frame.noisy for frame in objects.flats]) - flats
    return Transfer(
        modulation,
        contrast,
        xsim.noise_power(flats, pitch_mm, roi, offset_adu),
        xsim.noise_power(taken, pitch_mm, roi) if taken.any() else None,
    )


def station_or_reason(corpus: datagen.Corpus, cases: Sequence[Case], place: int) -> tuple[TestObjects | None, str]:
    """Test objects, or in words why there are none."""
    try:
        return test_objects(station_of(corpus, cases, place)), ""
    except (XsimError, OSError) as error:
        return None, str(error)
