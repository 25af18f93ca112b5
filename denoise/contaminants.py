"""What a threshold finds of the contaminants in restored images: rates, ROC, FROC, contrast, and by size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
LEAST_SCORE = 1e-6  # log transmission: what is less is none, in images without any noise


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
    settings : list of int64 [image]
        Which of ``cases`` are of one setting and have one threshold.
    """

    places: list[int]
    cases: list[Case]
    regions: list[Region]
    sites: list[list[Site]]
    radius_mm: np.ndarray
    image: np.ndarray
    settings: list[np.ndarray]


@dataclass(frozen=True)
class Contaminants:
    """What was found in the images of one restoration.

    Attributes
    ----------
    count : int
        Contaminants looked for.
    threshold : float64 [image]
        Score that 1e-4 of the free pixels of all images of its setting exceed; infinite where these are too few.
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
    threshold: np.ndarray
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
        """Measure restored images, those of ``hunted.cases`` in their order.

        Over all of them a score counts in units of its setting's threshold: settings differ in noise.
        """
        scores = [case.score(image) for case, image in zip(hunted.cases, images, strict=True)]
        threshold = thresholds(scores, hunted)
        told = bool(np.isfinite(threshold).all())
        scaled = [each / limit for each, limit in zip(scores, threshold, strict=True)] if told else scores
        contaminants, lookalikes = ratings(scaled, hunted.sites)
        peaks = np.concatenate(contaminants)
        found = peaks > 1.0 if told else np.zeros(len(peaks), bool)
        known = np.isfinite(hunted.radius_mm)
        by_size = (hunted.radius_mm[known], found[known])
        sized = told and bool(known.any())
        contrasts = contrast_figures(images, hunted)
        return cls(
            count=len(peaks),
            threshold=threshold,
            found=found,
            rate=found_figure(found, hunted) if told else None,
            area=area_figure(contaminants, lookalikes),
            roc=roc(peaks, np.concatenate(lookalikes)),
            froc=froc(scaled, hunted.regions, peaks),
            contrast_to_noise=contrasts[0],
            contrast_recovery=contrasts[1],
            smallest=smallest_sphere(*by_size, hunted.image[known]) if sized else None,
            curve=detection_curve(*by_size) if sized else None,
        )


def hunted_cases(cases: Sequence[Case], settings: Iterable[Sequence[int]] | None = None) -> Hunted | None:
    """Those of the cases in which there are contaminants; None where there are none to look for.

    Parameters
    ----------
    cases : sequence of Case
    settings : places of the cases of each setting, optional
        One threshold is for each of them; for all together where it is left out, or where one has too few free pixels.
    """
    chosen = [(k, case, case.region) for k, case in enumerate(cases)]
    kept = [(k, case, region) for k, case, region in chosen if region is not None and (region.targets > 0).any()]
    if not kept:
        return None
    sites = [sites_of(region, k) for k, _, region in kept]
    radii = [
        case.radii_mm.get(site.label, np.nan) for (_, case, _), found in zip(kept, sites, strict=True) for site in found
    ]
    places = [k for k, _, _ in kept]
    groups = [np.flatnonzero(np.isin(places, list(each))) for each in settings or [places]]
    free = np.array([region.free.sum() for _, _, region in kept])
    if any(FALSE_ALARMS * free[each].sum() < 1.0 for each in groups if len(each)):
        groups = [np.arange(len(kept))]
    return Hunted(
        places,
        [case for _, case, _ in kept],
        [region for _, _, region in kept],
        sites,
        np.array(radii),
        np.repeat(np.arange(len(sites)), [len(found) for found in sites]),
        [each for each in groups if len(each)],
    )


def thresholds(scores: Sequence[np.ndarray], hunted: Hunted) -> np.ndarray:
    """Threshold of each image: that of its setting."""
    found = np.full(len(scores), np.inf)
    for places in hunted.settings:
        found[places] = threshold_at([scores[k] for k in places], [hunted.regions[k] for k in places], FALSE_ALARMS)
    return np.maximum(found, LEAST_SCORE)


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
