"""What a threshold finds of the contaminants in restored images: rates, ROC, FROC, contrast, and by size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from denoise.cases import Case
from denoise.detection import Region, detection_rate, threshold_at
from denoise.roc import Froc, Roc, Site, area_under, froc, roc, sites_of
from denoise.smallest_sphere import DetectionCurve, SmallestSphere, detection_curve, smallest_sphere
from denoise.uncertainty import Figure, figure_of, ratio_figure

__all__ = ["FALSE_ALARMS", "Contaminants", "Hunted", "found_share", "hunted_cases"]

FALSE_ALARMS = 1e-4  # per target-free pixel
RING_PX = 6  # the surroundings that a contaminant's contrast is measured against
LEAST_PIXELS = 12


@dataclass(frozen=True)
class Hunted:
    """Images in which contaminants are looked for, with the sites of each; made once for all restorations.

    Attributes
    ----------
    places : list of int
        Of the images among all cases.
    cases, regions, sites : list
    radius_mm : float64 [contaminant]
        NaN where a corpus does not tell it.
    image : int64 [contaminant]
        Which of ``cases`` it is in.
    """

    places: list[int]
    cases: list[Case]
    regions: list[Region]
    sites: list[list[Site]]
    radius_mm: np.ndarray
    image: np.ndarray


@dataclass(frozen=True)
class Contaminants:
    """What was found in the images of one restoration.

    Attributes
    ----------
    count : int
        Contaminants looked for.
    threshold : float
        Score that 1e-4 of the free pixels exceed; infinite where there are too few of these.
    found : bool [contaminant]
    rate : Figure or None
        Share found at that threshold.
    area : Figure or None
        Under the ROC.
    roc : Roc
    froc : Froc
    contrast_to_noise : float
        Median over the contaminants: contrast with their surroundings over what noise is left there.
    contrast_recovery : Figure or None
        Their contrast over that in the clean image.
    smallest : SmallestSphere or None
    curve : DetectionCurve or None
    """

    count: int
    threshold: float
    found: np.ndarray
    rate: Figure | None
    area: Figure | None
    roc: Roc
    froc: Froc
    contrast_to_noise: float
    contrast_recovery: Figure | None
    smallest: SmallestSphere | None
    curve: DetectionCurve | None

    @classmethod
    def of(cls, images: Sequence[np.ndarray], hunted: Hunted) -> Contaminants:
        """Measure restored images, those of ``hunted.cases`` in their order."""
        scores = [case.score(image) for case, image in zip(hunted.cases, images, strict=True)]
        threshold = threshold_at(scores, hunted.regions, FALSE_ALARMS)
        contaminants, lookalikes = ratings(scores, hunted.sites)
        peaks = np.concatenate(contaminants)
        found = peaks > threshold
        known = np.isfinite(hunted.radius_mm)
        by_size = (hunted.radius_mm[known], found[known])
        told = bool(known.any()) and np.isfinite(threshold)
        contrasts = contrast_figures(images, hunted)
        return cls(
            count=len(peaks),
            threshold=threshold,
            found=found,
            rate=found_figure(found, hunted) if np.isfinite(threshold) else None,
            area=area_figure(contaminants, lookalikes),
            roc=roc(peaks, np.concatenate(lookalikes)),
            froc=froc(scores, hunted.regions, peaks),
            contrast_to_noise=contrasts[0],
            contrast_recovery=contrasts[1],
            smallest=smallest_sphere(*by_size, hunted.image[known]) if told else None,
            curve=detection_curve(*by_size) if told else None,
        )


def hunted_cases(cases: Sequence[Case]) -> Hunted | None:
    """Those of the cases in which there are contaminants; None where there are none to look for."""
    chosen = [(k, case, case.region) for k, case in enumerate(cases)]
    kept = [(k, case, region) for k, case, region in chosen if region is not None and (region.targets > 0).any()]
    if not kept:
        return None
    sites = [sites_of(region, k) for k, _, region in kept]
    radii = [
        case.radii_mm.get(site.label, np.nan) for (_, case, _), found in zip(kept, sites, strict=True) for site in found
    ]
    return Hunted(
        [k for k, _, _ in kept],
        [case for _, case, _ in kept],
        [region for _, _, region in kept],
        sites,
        np.array(radii),
        np.repeat(np.arange(len(sites)), [len(found) for found in sites]),
    )


def found_share(images: Sequence[np.ndarray], cases: Sequence[Case]) -> tuple[float | None, int]:
    """Share of the contaminants found at the fixed rate of false alarms, and their number; None without any."""
    pairs = [(case.score(image), case.region) for image, case in zip(images, cases, strict=True) if case.region]
    return detection_rate([scores for scores, _ in pairs], [region for _, region in pairs], FALSE_ALARMS)


def ratings(scores: Sequence[np.ndarray], sites: Sequence[Sequence[Site]]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Greatest score in each contaminant and in each lookalike, per image."""
    contaminants, lookalikes = [], []
    for image, here in zip(scores, sites, strict=True):
        flat = image.ravel()
        contaminants.append(np.array([flat[site.pixels].max() for site in here]))
        others = [flat[site.lookalikes].max(axis=1) for site in here if site.lookalikes.size]
        lookalikes.append(np.concatenate(others) if others else np.zeros(0))
    return contaminants, lookalikes


def found_figure(found: np.ndarray, hunted: Hunted) -> Figure | None:
    """Share found, with its interval over images at this threshold."""
    images = len(hunted.cases)
    counts = [np.bincount(hunted.image, weights, images) for weights in (found.astype(float), None)]
    return ratio_figure(*counts)


def area_figure(contaminants: Sequence[np.ndarray], lookalikes: Sequence[np.ndarray]) -> Figure | None:
    """Area under the ROC, with its interval over images."""

    def areas(places: np.ndarray) -> np.ndarray:
        drawn = [
            (np.concatenate([part[k] for k in row]) for part in (contaminants, lookalikes)) for row in places[:200]
        ]
        return np.array([area_under(*pair) for pair in drawn])

    return figure_of(len(contaminants), areas)


def contrast_figures(images: Sequence[np.ndarray], hunted: Hunted) -> tuple[float, Figure | None]:
    """Median contrast-to-noise ratio, and the share of the clean contrast that is left (weighted by its square)."""
    ratios: list[float] = []
    products = np.zeros((len(images), 2))
    for k, (image, case, region) in enumerate(zip(images, hunted.cases, hunted.regions, strict=True)):
        for site in hunted.sites[k]:
            inside, ring = surroundings(region, site)
            if ring.sum() < LEAST_PIXELS or len(site.pixels) < 4:
                continue
            window = ring_window(site, region.free.shape)
            error = (image[window] - case.clean[window])[ring]
            shown, true = (
                float(each[window][ring].mean() - each[window][inside].mean()) for each in (image, case.clean)
            )
            ratios.append(case.sign * shown / max(float(error.std()), 1e-9))
            products[k] += len(site.pixels) * np.array([shown * true, true * true])
    ratio = float(np.median(ratios)) if ratios else float("nan")
    return ratio, ratio_figure(products[:, 0], products[:, 1])


def ring_window(site: Site, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns around a contaminant that hold its ring."""
    places = np.unravel_index(site.pixels, shape)
    return tuple(slice(max(int(p.min()) - RING_PX, 0), int(p.max()) + RING_PX + 1) for p in places)  # type: ignore[return-value]


def surroundings(region: Region, site: Site) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of a contaminant and of the free ring around it, bool, within `ring_window`."""
    window = ring_window(site, region.free.shape)
    inside = region.targets[window] == site.label
    near = ndimage.binary_dilation(inside, np.ones((3, 3)), iterations=RING_PX)
    return inside, near & region.free[window]
