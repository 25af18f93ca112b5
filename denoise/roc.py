"""Receiver operating characteristics of a threshold on the score: ROC over sites, FROC over whole images.

ROC: is a contaminant here? A site is a contaminant's own pixels, or a footprint of the same shape moved to a free
place of the same image; its rating is the greatest score in it. So chance has an area of 0.5 at any size. FROC: where
are they? Groups of touching free pixels above the threshold are false alarms; a contaminant is found where one of its
pixels is above.

Sources: Hanley, McNeil, Radiology 143 (1982) 29; Bunch et al., J. Appl. Photogr. Eng. 4 (1978) 166.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, stats

from denoise.detection import Region

__all__ = ["Froc", "Roc", "Site", "area_under", "froc", "roc", "sites_of"]

LOOKALIKES = 12  # free sites for each contaminant
RATES = tuple(np.geomspace(1e-5, 3e-2, 14))  # of free pixels above the threshold: where the FROC is measured
POINTS = 120  # of an ROC


@dataclass(frozen=True)
class Site:
    """A contaminant's pixels, and the same footprint at free places of its image; flat indices of pixels.

    Attributes
    ----------
    label : int
    pixels : int64 [pixel]
    lookalikes : int64 [place, pixel]
    """

    label: int
    pixels: np.ndarray
    lookalikes: np.ndarray


@dataclass(frozen=True)
class Roc:
    """Shares of lookalikes and of contaminants whose rating exceeds a falling threshold, and the area under that."""

    false_positive_share: np.ndarray
    true_positive_share: np.ndarray
    area: float


@dataclass(frozen=True)
class Froc:
    """False alarms per image and share of contaminants found, at falling thresholds."""

    false_alarms_per_image: np.ndarray
    true_positive_share: np.ndarray


def sites_of(region: Region, seed: int = 0) -> list[Site]:
    """Sites of an image, the same for whatever restores it; contaminants that fit nowhere else have no lookalikes.

    Parameters
    ----------
    region : Region
    seed : int
        Of the places drawn.
    """
    rng = np.random.default_rng(seed)
    columns = region.free.shape[1]
    room = ndimage.distance_transform_edt(np.pad(region.free, 1))[1:-1, 1:-1]
    found = []
    for label in np.unique(region.targets[region.targets > 0]).tolist():
        rows, across = np.nonzero(region.targets == label)
        middle = int(np.rint(rows.mean())), int(np.rint(across.mean()))
        reach = float(np.hypot(rows - middle[0], across - middle[1]).max())
        places = np.flatnonzero(room > reach)
        chosen = rng.choice(places, LOOKALIKES, replace=len(places) < LOOKALIKES) if len(places) else places
        footprint = (rows - middle[0]) * columns + across - middle[1]
        found.append(Site(label, rows * columns + across, chosen[:, None] + footprint))
    return found


def area_under(contaminants: np.ndarray, lookalikes: np.ndarray) -> float:
    """Chance that a contaminant's rating exceeds a lookalike's, ties by half (Mann-Whitney); NaN without either."""
    count = len(contaminants), len(lookalikes)
    if 0 in count:
        return float("nan")
    ranks = stats.rankdata(np.concatenate([contaminants, lookalikes]))[: count[0]]
    return float((ranks.sum() - count[0] * (count[0] + 1) / 2) / (count[0] * count[1]))


def roc(contaminants: np.ndarray, lookalikes: np.ndarray) -> Roc:
    """ROC of ratings, float [site] each."""
    thresholds = np.unique(np.quantile(np.concatenate([contaminants, lookalikes]), np.linspace(0, 1, POINTS)))[::-1]
    shares = [(ratings[:, None] > thresholds).mean(axis=0) for ratings in (lookalikes, contaminants)]
    ends = [np.concatenate([[0.0], share, [1.0]]) for share in shares]
    return Roc(ends[0], ends[1], area_under(contaminants, lookalikes))


def froc(scores: Sequence[np.ndarray], regions: Sequence[Region], contaminants: np.ndarray) -> Froc:
    """FROC of images.

    Parameters
    ----------
    scores : sequence of [row, column]
    regions : sequence of Region
    contaminants : float [site]
        Greatest score in each.
    """
    free = np.sort(np.concatenate([s[r.free] for s, r in zip(scores, regions, strict=True)]))
    rates = [rate for rate in RATES if rate * len(free) >= 1.0]
    thresholds = [free[len(free) - 1 - int(rate * len(free))] for rate in rates]
    touching = np.ones((3, 3))
    alarms = [
        sum(ndimage.label((s > limit) & r.free, touching)[1] for s, r in zip(scores, regions, strict=True))
        for limit in thresholds
    ]
    found = [float((contaminants > limit).mean()) for limit in thresholds]
    return Froc(np.array(alarms, float) / max(len(scores), 1), np.array(found))
