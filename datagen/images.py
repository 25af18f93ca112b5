"""The images of a scene's samples: those that each corpus stores, and those that its file asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import xsim
from datagen.layout import Layout, dtype_of
from datagen.scenes import DrawnScene, format_of
from xsim import XsimError

__all__ = ["ExposedScene", "Taken", "check_image", "thickness_mm"]

REPEAT = 1 << 20  # frames between an image and its repeat: a corpus has fewer of a scene, and light is late by fewer
EMPTY = ("air",)  # materials that are no thickness


@dataclass(frozen=True)
class Taken:
    """One frame of a scene.

    Attributes
    ----------
    first : xsim.Radiograph
    others : dict of str to xsim.Radiograph
        By "repeat", "second" and "pair", where the corpus has them.
    images : dict of str to array [row, column]
        By the names, and of the types, of ``Layout.arrays``.
    """

    first: xsim.Radiograph
    others: dict[str, xsim.Radiograph]
    images: dict[str, np.ndarray]


class ExposedScene:
    """All of a scene's images that is not random; frames are taken from it.

    Parameters
    ----------
    layout : Layout
    drawn : DrawnScene
    backend : str
        Of ``xsim.expose``; one thread.
    beams : mapping of str to Quadrature
        Fits of the corpus, for scenes of few energies.
    """

    def __init__(self, layout: Layout, drawn: DrawnScene, backend: str, beams: Mapping[str, xsim.Quadrature]) -> None:
        self._drawn, scene, pair = drawn, drawn.scene, drawn.pair
        self._names = list(layout.arrays(format_of(layout.corpus, drawn.index)))
        self._first = xsim.expose(scene, backend, beams, threads=1)
        self._pair = pair and xsim.expose_paired(self._first, pair.scene, pair.same_quanta, beams)
        self._steady: dict[str, np.ndarray] = {}
        if "sharp" in self._names:
            self._steady["sharp"] = xsim.sharp_image(self._first)
        if "thickness" in self._names:
            self._steady["thickness"] = thickness_mm(scene, backend)

    def take(self, seed: int, frame: int) -> Taken:
        """One frame, checked.

        Raises
        ------
        XsimError
            An image does not keep the promises of the store.
        """
        first = self._first.record(seed, frame)
        others = {}
        if "noisy_repeat" in self._names:
            others["repeat"] = replace(self._first, second=None).record(seed, frame + REPEAT)
        if first.second is not None:
            others["second"] = first.second
        if self._pair is not None:
            others["pair"] = self._pair.record(seed, frame)
        for image in (first, *others.values()):
            check_image(image, self._drawn.index)
        known = {**dict(_named(first)), **self._steady}
        for suffix, image in others.items():
            known |= {f"{name}_{suffix}": array for name, array in _named(image)}
        images = {name: known[name].astype(dtype_of(name), copy=False) for name in self._names}
        return Taken(first, others, images)


def _named(image: xsim.Radiograph) -> Iterator[tuple[str, np.ndarray]]:
    for name in ("noisy", "clean", "noise", "labels", "valid"):
        yield name, getattr(image, name)


def thickness_mm(scene: xsim.Scene, backend: str) -> np.ndarray:
    """Length of each pixel's middle ray in everything but air, all materials together, float32 [row, column] mm."""
    lengths: dict[str, Any] = xsim.path_lengths(scene, backend, threads=1)
    view = scene.view
    total = np.zeros((view.rows, view.columns), np.float32)
    for material, length in lengths.items():  # one fixed order of addition
        if material not in EMPTY:
            total += length
    return total


def check_image(image: xsim.Radiograph, scene: int) -> None:
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
