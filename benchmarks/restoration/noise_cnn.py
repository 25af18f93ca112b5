"""The noise-predicting CNN on the camera of drawn conditions, beside BM3D and tuned filters."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import denoise
from denoise.baselines import tuned_gaussian, tuned_median
from denoise.evaluation import Case, bias, psnr_db, ssim
from restoration import Corpora, by_setting, setting_of
from restoration.block_matching import bm3d_images, noise_spectrum

FORMAT = "wide"
STEPS = 2400
QUICK_STEPS = 60
RECIPE = {"learning_rate": 4e-3, "crop": 64, "batch": 16}

Images = list[np.ndarray]


def model(corpora: Corpora, seed: int, quick: bool, format: str = FORMAT) -> Path:
    """The model that is compared, trained where it is not there yet."""
    return corpora.trained("noise_cnn", format, QUICK_STEPS if quick else STEPS, seed, **RECIPE)


def run(corpora: Corpora, seed: int, quick: bool) -> dict[str, Any]:
    cases = corpora.cases(FORMAT, 1 if quick else None)
    restorer = denoise.load(model(corpora, seed, quick))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ranges: the settings are inside, the levels of single images may not be
        restored = [restorer(c.noisy, c.params["a_pixel_adu"], c.params["b_adu2"]) for c in cases]
    images = {
        "noisy": [case.noisy for case in cases],
        "gaussian": of_settings(cases, lambda group: tuned(tuned_gaussian, group)),
        "median": of_settings(cases, lambda group: tuned(tuned_median, group)),
        **block_matched(corpora, cases, quick),
        "restored": restored,
    }
    figures: dict[str, Any] = {}
    for name, each in images.items():
        figures[f"psnr_{name}_db"] = by_setting(cases, [psnr_db(x, c) for x, c in zip(each, cases, strict=True)])
        figures[f"ssim_{name}"] = by_setting(cases, [ssim(x, c) for x, c in zip(each, cases, strict=True)])
    for name in images.keys() - {"restored"}:
        figures[f"gain_over_{name}_db"] = gained(figures["psnr_restored_db"], figures[f"psnr_{name}_db"])
    figures["bias_percent"] = {
        name: abs(100.0 * bias([restored[k] for k in places], [cases[k] for k in places]))
        for name, places in settings(cases).items()
    }
    return figures


def settings(cases: list[Case]) -> dict[str, list[int]]:
    """Places of the images of each setting."""
    found: dict[str, list[int]] = {}
    for place, case in enumerate(cases):
        found.setdefault(setting_of(case), []).append(place)
    return found


def of_settings(cases: list[Case], work: Callable[[list[Case]], Images]) -> Images:
    """What ``work`` makes of the images of each setting, in the order of the cases."""
    images: Images = [np.empty(0)] * len(cases)
    for places in settings(cases).values():
        for place, image in zip(places, work([cases[k] for k in places]), strict=True):
            images[place] = image
    return images


def tuned(filter: Callable[..., Any], cases: list[Case]) -> Images:
    """A filter with the width that is best on these very images."""
    return filter([c.noisy for c in cases], [c.clean for c in cases], [c.valid for c in cases]).images


def block_matched(corpora: Corpora, cases: list[Case], quick: bool) -> dict[str, Images]:
    """BM3D, told that noise is white and told its true spectrum; computed once for all seeds."""
    if corpora.python_bm3d is None:
        return {}
    target = corpora.work / f"bm3d-{FORMAT}{'-quick' if quick else ''}.npy"
    if not target.exists():
        spectra = of_settings(cases, lambda group: [noise_spectrum(group)] * len(group))
        both = [bm3d_images(corpora.python_bm3d, cases, each) for each in (None, spectra)]
        np.save(target, np.array(both, np.float32))
    white, spectrum = np.load(target)
    return {"bm3d_white": list(white), "bm3d_spectrum": list(spectrum)}


def gained(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, float]:
    return {name: value - theirs[name] for name, value in ours.items()}
