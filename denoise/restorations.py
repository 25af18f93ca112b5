"""Restorations of the same images side by side: what each makes of them, and the figures of that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from denoise.baselines import STABILISED, Tuned, tuned_gaussian, tuned_median, tuned_stabilised
from denoise.cases import Case
from denoise.contaminants import Contaminants, Hunted
from denoise.fidelity import bias_sums, psnr_db, ssim
from denoise.residual import Structure, structure_of
from denoise.restorer import Restorer

__all__ = ["FILTERS", "Restoration", "Restored", "classical", "measured", "restored_images"]

Kind: TypeAlias = Literal["noisy", "filter", "model", "clean"]
FILTERS = ("Gaussian", "median", *STABILISED)


@dataclass(frozen=True)
class Restored:
    """Images that one way of restoring made.

    Attributes
    ----------
    name : str
    kind : {"noisy", "filter", "model", "clean"}
    images : list of [row, column] ADU
    restore : (noisy, a, b) -> image
        The same of other images, at the setting of the middle dose.
    tuning : dict
        Setting of a filter by setting of the corpus.
    outside : int
        Images outside the conditions that a model was trained on.
    """

    name: str
    kind: Kind
    images: list[np.ndarray] = field(repr=False)
    restore: Callable[[np.ndarray, float, float], np.ndarray] = field(repr=False)
    tuning: dict[str, float] = field(default_factory=dict)
    outside: int = 0


@dataclass(frozen=True)
class Restoration:
    """Figures of one way of restoring; per image, float64 [image].

    Attributes
    ----------
    name, kind, tuning
        As of `Restored`.
    psnr_db, ssim : float64 [image]
    error_adu, signal_adu : float64 [image]
        Sums of restored - clean and of clean - offset over valid pixels: bias is the one over the other.
    target_error_adu, target_signal_adu : float64 [image]
        The same over the contaminants' pixels.
    contaminants : Contaminants or None
    structure : dict of Structure
        Of what was taken away; of clean images that is the noise itself. Empty for noisy images.
    shown : {place of an image: [row, column] ADU}
    """

    name: str
    kind: Kind
    tuning: Mapping[str, float]
    psnr_db: np.ndarray
    ssim: np.ndarray
    error_adu: np.ndarray
    signal_adu: np.ndarray
    target_error_adu: np.ndarray
    target_signal_adu: np.ndarray
    contaminants: Contaminants | None
    structure: Mapping[str, Structure]
    shown: Mapping[int, np.ndarray] = field(repr=False)


def measured(
    restored: Restored, cases: Sequence[Case], hunted: Hunted | None, shown: Sequence[int] = ()
) -> Restoration:
    """All figures of restored images.

    Parameters
    ----------
    restored : Restored
    cases : sequence of Case
    hunted : Hunted or None
        Of these cases.
    shown : places of the images to keep
    """
    pairs = list(zip(restored.images, cases, strict=True))
    sums = np.array([bias_sums(*pair) for pair in pairs])
    within = np.array([bias_sums(image, case, np.isin(case.labels, case.targets)) for image, case in pairs])
    clean = restored.kind == "clean"
    return Restoration(
        restored.name,
        restored.kind,
        restored.tuning,
        np.full(len(cases), np.inf) if clean else np.array([psnr_db(*pair) for pair in pairs]),
        np.ones(len(cases)) if clean else np.array([ssim(*pair) for pair in pairs]),
        *sums.T,
        *within.T,
        Contaminants.of([restored.images[k] for k in hunted.places], hunted) if hunted else None,
        structure_of(restored.images, cases) if restored.kind != "noisy" else {},
        {k: np.asarray(restored.images[k], np.float32) for k in shown},
    )


def restored_images(
    restorer: Restorer, cases: Sequence[Case], tick: Callable[[], None] = lambda: None
) -> list[np.ndarray]:
    """What a restorer makes of each case."""
    images = []
    for case in cases:
        images.append(restorer(case.noisy, case.params["a_pixel_adu"], case.params["b_adu2"]))
        tick()
    return images


def classical(
    cases: Sequence[Case], groups: Mapping[str, Sequence[int]], middle: int, names: Sequence[str] = FILTERS
) -> Iterator[Restored]:
    """Images of the classical denoisers, each tuned to each setting's own images.

    Parameters
    ----------
    cases : sequence of Case
    groups : {setting: places of its cases}
    middle : int
        Place of the case whose setting is taken for other images.
    names : of `FILTERS`
    """
    for name in names:
        images: list[np.ndarray | None] = [None] * len(cases)
        tuning, restore = {}, None
        for group, places in groups.items():
            found = tuned(name, [cases[k] for k in places])
            tuning[group] = found.setting
            restore = found.restore if restore is None or middle in places else restore
            for k, image in zip(places, found.images, strict=True):
                images[k] = image
        assert restore is not None
        yield Restored(name, "filter", [image for image in images if image is not None], restore, tuning)


def tuned(name: str, cases: Sequence[Case]) -> Tuned:
    """A classical denoiser by name, tuned on some cases."""
    noisy, clean, valid = [c.noisy for c in cases], [c.clean for c in cases], [c.valid for c in cases]
    if name == "Gaussian":
        return tuned_gaussian(noisy, clean, valid)
    if name == "median":
        return tuned_median(noisy, clean, valid)
    return tuned_stabilised(name, noisy, clean, valid, [(c.params["a_pixel_adu"], c.params["b_adu2"]) for c in cases])
