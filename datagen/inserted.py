"""Frames of a scene whose background is real: bodies inserted into an image of the folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import xsim
from datagen.background import RealImages
from datagen.images import ExposedScene, Taken, check_image
from datagen.layout import Layout, dtype_of
from datagen.scenes import DrawnScene, format_of
from xsim import CorpusError

__all__ = ["InsertedExposure", "taker_of"]

GRID_ADU = 1.0 / 16.0  # of clean images


class InsertedExposure:
    """What frames of a scene are taken from: a real image, and the bodies drawn for it.

    Parameters
    ----------
    layout : Layout
    drawn : DrawnScene
    backend : str
        Of ``xsim.insert``; one thread.

    """

    def __init__(self, layout: Layout, drawn: DrawnScene, backend: str) -> None:
        background = layout.corpus.background
        assert background is not None
        self._real: RealImages = background
        self._drawn, self._backend, self._how = drawn, backend, background.described()
        self._turn = drawn.index  # a background has one format
        self._names = list(layout.arrays(format_of(layout.corpus, drawn.index)))

    def take(self, seed: int, frame: int) -> Taken:
        """One frame, checked.

        Raises
        ------
        XsimError
            The image cannot be used, or does not keep the promises of the store.

        """
        image = self._real.noisy(self._turn, frame)
        if image.dtype not in (np.uint8, np.uint16):
            name = self._real.files[self._real.place(self._turn)]
            raise CorpusError(f"background: {name} holds {image.dtype} (whole grey values are stored) convert it")
        found = xsim.insert(
            image, self._drawn.scene, self._drawn.mapping["body"], self._how, seed=seed, frame=frame,
            backend=self._backend, threads=1,
        )  # fmt: skip
        clean = on_grid(found.clean(self._real.clean(self._turn)) if self._real.has_clean else found.expected)
        noisy = found.image.astype(np.float32)
        radiograph = xsim.Radiograph(
            noisy, clean, noisy - clean, found.expected, found.valid, found.labels, self._metadata(found, seed, frame)
        )
        check_image(radiograph, self._drawn.index)
        images = {name: getattr(radiograph, name).astype(dtype_of(name), copy=False) for name in self._names}
        return Taken(radiograph, {}, images)

    def _metadata(self, found: xsim.Insertion, seed: int, frame: int) -> dict[str, Any]:
        """Numbers of the sample under the names of the parameter table; those of the exposure are not known."""
        detector, invalid = self._drawn.scene.detector, float(1.0 - found.valid.mean())
        return {
            "backend": found.metadata["backend"], "seed": seed, "frame": frame,
            "state": found.metadata["state"],
            "a_pixel_adu": found.metadata["a_pixel_adu"], "b_adu2": found.metadata["b_adu2"],
            "offset_adu": found.metadata["black_adu"], "gain_adu_per_kev": detector.sensor.gain_adu_per_kev,
            "read_noise_adu": detector.sensor.read_noise_adu, "adc_bits": detector.sensor.adc_bits,
            "pitch_mm": detector.pitch_mm, "saturated_share": invalid, "invalid_share": invalid,
        }  # fmt: skip


def taker_of(
    layout: Layout, drawn: DrawnScene, backend: str, beams: Mapping[str, xsim.Quadrature]
) -> ExposedScene | InsertedExposure:
    """What frames of a scene are taken from: its simulation, or a real image with its bodies."""
    if layout.corpus.background is not None:
        return InsertedExposure(layout, drawn, backend)
    return ExposedScene(layout, drawn, backend, beams)


def on_grid(image: np.ndarray) -> np.ndarray:
    """The nearest on the grid of clean images, float32 [row, column]; noisy less it is then exact."""
    scaled = np.floor(np.clip(image, 0.0, 2.0**18).astype(np.float64) / GRID_ADU + 0.5)
    return np.asarray(scaled * GRID_ADU, np.float32)
