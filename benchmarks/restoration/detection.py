"""Spheres in a stepped block: what a threshold finds of them before and after the noise-predicting CNN."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import denoise
from denoise.baselines import gaussian, median
from denoise.contaminants import Contaminants, Hunted, hunted_cases
from denoise.evaluation import Case, restored_images
from restoration import Corpora, noise_cnn, setting_of

SIGMAS_PX = (0.65, 1.0, 1.6, 2.5)
SIZES_PX = (3, 5, 9)
GROUPS = 6  # of radii

Images = list[np.ndarray]


def run(corpora: Corpora, seed: int, quick: bool, model: Path | None = None) -> dict[str, Any]:
    """Figures; of a model that is given, or of the one that noise_cnn compares.

    The filter that a smallest sphere is compared with has the width that finds the smallest spheres in these very
    images, not the one of the greatest PSNR.
    """
    cases = corpora.cases(noise_cnn.FORMAT, 1 if quick else None)
    restorer = denoise.load(model or noise_cnn.model(corpora, seed, quick))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ranges: the settings are inside, the levels of single images may not be
        restored = restored_images(restorer, cases)
    images = {
        "noisy": [case.noisy for case in cases],
        **{f"gaussian {width:g}": [gaussian(case.noisy, width) for case in cases] for width in SIGMAS_PX},
        **{f"median {width:g}": [median(case.noisy, width) for case in cases] for width in SIZES_PX},
        "restored": restored,
        "clean": [case.clean for case in cases],
    }
    settings = hunted_settings(cases)  # each has thresholds of its own
    found = {
        name: {s: Contaminants.of([each[k] for k in places], hunted) for s, (places, hunted) in settings.items()}
        for name, each in images.items()
    }
    return {**figures(found), "worst_radius_gain": gain_by_radius(settings, found)}


def hunted_settings(cases: Sequence[Case]) -> dict[str, tuple[list[int], Hunted]]:
    """Places of the cases of each setting, and those of them with spheres in view."""
    found = {}
    for name in sorted({setting_of(case) for case in cases}):
        places = [k for k, case in enumerate(cases) if setting_of(case) == name]
        hunted = hunted_cases([cases[k] for k in places])
        if hunted is not None:
            found[name] = ([places[k] for k in hunted.places], hunted)
    return found


def figures(found: Mapping[str, Mapping[str, Contaminants]]) -> dict[str, Any]:
    """Figures by setting; radii outside those there were are told as the nearest of these."""
    rates = {
        name: {s: each.rate.value for s, each in settings.items() if each.rate} for name, settings in found.items()
    }
    radii = {
        name: {s: each.smallest.nearest_mm for s, each in settings.items() if each.smallest}
        for name, settings in found.items()
    }
    told: dict[str, Any] = {
        "clean_auc": {s: each.area.value for s, each in found["clean"].items() if each.area},
        "true_positive_gain": {s: rate - rates["noisy"][s] for s, rate in rates["restored"].items()},
        "smallest_radius_ratio": ratios(found, radii),
    }
    for name in found:
        told[f"true_positive_rate_{name.replace(' ', '_')}"] = rates[name]
        told[f"smallest_radius_{name.replace(' ', '_')}_mm"] = radii[name]
    return {name: each for name, each in told.items() if each}


def ratios(
    found: Mapping[str, Mapping[str, Contaminants]], radii: Mapping[str, Mapping[str, float]]
) -> dict[str, float]:
    """Smallest radius over that of the best rival, where not both find every sphere there is."""
    rivals = [name for name in found if name not in ("restored", "clean")]
    told = {}
    for setting, radius in radii["restored"].items():
        best = min(rivals, key=lambda name: radii[name].get(setting, np.inf))
        if not all(found[name][setting].found.all() for name in ("restored", best)):
            told[setting] = radius / radii[best][setting]
    return told


def gain_by_radius(
    settings: Mapping[str, tuple[list[int], Hunted]], found: Mapping[str, Mapping[str, Contaminants]]
) -> dict[str, float]:
    """Share of spheres found, restored - noisy, by radius over all settings: as many spheres in each group."""
    radius_mm = np.concatenate([hunted.radius_mm for _, hunted in settings.values()])
    before, after = (np.concatenate([each.found for each in found[name].values()]) for name in ("noisy", "restored"))
    edges = np.quantile(radius_mm, np.linspace(0, 1, GROUPS + 1))
    place = np.clip(np.searchsorted(edges, radius_mm, side="right") - 1, 0, GROUPS - 1)
    groups = {f"{edges[k]:.2f} to {edges[k + 1]:.2f} mm": place == k for k in range(GROUPS)}
    return {name: float(after[part].mean() - before[part].mean()) for name, part in groups.items() if part.any()}
