"""The smallest sphere that is found: where the probability of detection crosses one half.

That probability is a logistic function of the logarithm of the radius, fitted to what was found and what was missed by
maximum likelihood (Finney, Probit Analysis, 1971; MIL-HDBK-1823A for the same in nondestructive evaluation). A weak
prior on the slope keeps it finite where found and missed do not overlap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["DetectionCurve", "SmallestSphere", "detection_curve", "smallest_sphere"]

STEPS = 40
PRIOR = 0.05  # precision of the slope: 1 / (4.5)^2 per unit of log radius over its own spread
RESAMPLES = 200
FAR = 20.0  # log of a radius that lies beyond all there are
MOST_RADII = 12  # that are shown one by one


@dataclass(frozen=True)
class SmallestSphere:
    """Radius at which half of the spheres are found.

    Attributes
    ----------
    radius_mm : float or None
        None where it lies outside the radii that there were.
    low_mm, high_mm : float or None
        Its 95 % interval over images; None where an end lies outside.
    slope : float
        Of the log odds per factor e in radius.
    least_mm, greatest_mm : float
        Radii of the smallest and the greatest sphere there was.
    inside : {"", "below", "above"}
        Where the radius lies that is None: below the smallest sphere there was, or above the greatest.
    """

    radius_mm: float | None
    low_mm: float | None
    high_mm: float | None
    slope: float
    least_mm: float
    greatest_mm: float
    inside: str = ""

    @property
    def nearest_mm(self) -> float:
        """The radius, or that of the sphere there was that is nearest to it."""
        return self.radius_mm or (self.least_mm if self.inside == "below" else self.greatest_mm)


@dataclass(frozen=True)
class DetectionCurve:
    """Share of spheres found by radius, float64 [group]; low and high are Wilson's 95 % interval."""

    radius_mm: np.ndarray
    found: np.ndarray
    low: np.ndarray
    high: np.ndarray
    spheres: np.ndarray


def logistic_fit(radius_mm: np.ndarray, found: np.ndarray) -> tuple[float, float]:
    """log(radius at one half) and slope, by Newton's method."""
    x = np.log(radius_mm)
    middle, spread = float(x.mean()), float(x.std()) or 1.0
    design = np.stack([np.ones_like(x), (x - middle) / spread], axis=1)
    prior = np.diag([1e-6, PRIOR])
    weights = np.array([0.0, 1.0])
    for _ in range(STEPS):
        chance = 1.0 / (1.0 + np.exp(-np.clip(design @ weights, -30, 30)))
        gradient = design.T @ (found - chance) - prior @ weights
        curvature = (design * (chance * (1 - chance))[:, None]).T @ design + prior
        step = np.linalg.solve(curvature, gradient)
        weights = weights + step * min(1.0, 3.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-8:
            break
    slope = float(weights[1] / spread)
    if slope <= 0.0:  # none is found the rather for being larger: all of them, or hardly any
        return (-FAR if found.mean() > 0.5 else FAR), slope
    return float(np.clip(middle - float(weights[0]) / slope, -FAR, FAR)), slope


def smallest_sphere(
    radius_mm: np.ndarray, found: np.ndarray, image: np.ndarray, seed: int = 0
) -> SmallestSphere | None:
    """Fit with its interval; None where fewer than 10 spheres were looked for.

    Parameters
    ----------
    radius_mm : float64 [sphere]
    found : bool [sphere]
    image : int64 [sphere]
        Which image each is in: images are drawn again for the interval, not spheres.
    seed : int
    """
    if len(radius_mm) < 10:
        return None
    least, greatest = float(radius_mm.min()), float(radius_mm.max())
    if found.mean() in (0.0, 1.0):
        return SmallestSphere(None, None, None, 0.0, least, greatest, "below" if found.all() else "above")
    middle, slope = logistic_fit(radius_mm, found.astype(float))
    rng, names = np.random.default_rng(seed), np.unique(image)
    members = [np.flatnonzero(image == name) for name in names]
    draws = []
    for _ in range(RESAMPLES):
        chosen = np.concatenate([members[k] for k in rng.integers(0, len(names), len(names))])
        draws.append(logistic_fit(radius_mm[chosen], found[chosen].astype(float))[0])
    ends = np.exp(np.quantile(draws, [0.025, 0.975]))
    inside = [float(r) if least <= r <= greatest else None for r in (np.exp(middle), *ends)]
    where = "" if inside[0] is not None else ("below" if middle < np.log(least) else "above")
    return SmallestSphere(*inside, slope, least, greatest, where)


def detection_curve(radius_mm: np.ndarray, found: np.ndarray, groups: int = 7) -> DetectionCurve:
    """Share found by radius: at each where they are few, else in groups of as many spheres."""
    radii = np.unique(radius_mm)
    edges = radii if len(radii) <= MOST_RADII else np.quantile(radius_mm, np.linspace(0, 1, groups + 1)[:-1])
    place = np.searchsorted(edges, radius_mm, side="right")
    parts = [np.flatnonzero(place == k) for k in np.unique(place)]
    count = np.array([len(part) for part in parts])
    share = np.array([found[part].mean() for part in parts])
    low, high = wilson(share, count)
    return DetectionCurve(np.array([np.exp(np.log(radius_mm[p]).mean()) for p in parts]), share, low, high, count)


def wilson(share: np.ndarray, count: np.ndarray, z: float = 1.96) -> tuple[np.ndarray, np.ndarray]:
    """Interval of a share of a count (Wilson 1927)."""
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)
