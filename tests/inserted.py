"""Stations for insertion, and how images with inserted bodies compare with images simulated with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xsim import Background, Exposure, Scene, expose, scene_from_dict
from xsim.backend import get_backend
from xsim.insertion import Prepared, prepare

LAGS = ((0, 1), (1, 0), (1, 1))
SCREENS: dict[str, dict[str, Any]] = {
    "single": {},
    "cascade": {"model": "cascade", "depth_classes": 4, "spread_depth": 1.0, "deposition": "slab"},
}
BODIES: dict[str, dict[str, Any]] = {
    "steel 0.8 mm": {"shape": "sphere", "radius_mm": 0.4, "material": "316L"},
    "glass 3 mm": {"shape": "sphere", "radius_mm": 1.5, "material": "glass"},
    "pore 3 mm": {"shape": "sphere", "radius_mm": 1.5, "material": "air"},
}
PLACE = (0.03, 0.05, 0.0)


@dataclass(frozen=True)
class Case:
    """An empty image, a body for it, and the same scene simulated with the body."""

    screen: str = "single"
    state: str = "raw"
    body: str = "steel 0.8 mm"
    block: tuple[float, str] | None = (30.0, "PMMA")
    side: int = 64
    sensor: tuple[tuple[str, float], ...] = ()
    frames: int = 1

    @property
    def tables(self) -> list[dict[str, Any]]:
        return [{**BODIES[self.body], "position_mm": PLACE, "priority": 1}]

    @property
    def background(self) -> Background:
        return Background(None if self.block is None else self.block[1])

    def scene(self, *bodies: dict[str, Any]) -> Scene:
        """The station with a block across all of the beam, if there is one, and these bodies."""
        block = [] if self.block is None else [
            {"shape": "box", "size_mm": [400.0, 400.0, self.block[0]], "material": self.block[1]}
        ]  # fmt: skip
        camera = {"preset": "generic-gos-200um", "rows": self.side, "columns": self.side}
        return scene_from_dict({
            "source": {"voltage_kv": 100, "current_ma": 1.0, "filters": [{"material": "Al", "thickness_mm": 2.0}]},
            "geometry": {"sod_mm": 500.0, "sdd_mm": 800.0},
            "acquisition": {"quanta_per_pixel": 2000.0, "subpixels": 4, "subpixel_mode": "adaptive",
                            "state": self.state, "frames": self.frames},
            "detector": {**camera, "scintillator": SCREENS[self.screen], "sensor": dict(self.sensor),
                         "correction": {"pedestal_adu": 100.0}},
            "body": block + list(bodies),
        })  # fmt: skip

    def prepared(self, stack: np.ndarray, seed: int = 0) -> Prepared:
        station = self.scene()
        return prepare(stack, station, self.tables, self.background, seed, None, get_backend("cpu"))

    def exposures(self) -> tuple[Exposure, Exposure]:
        """Without and with the body."""
        return expose(self.scene(), "cpu"), expose(self.scene(*self.tables), "cpu")


class Moments:
    """Mean, variance and covariance with neighbours of frames, pixel by pixel, one frame at a time."""

    def __init__(self, shape: tuple[int, int], guess: np.ndarray) -> None:
        self.count, self.guess = 0, guess.astype(np.float64)
        self.total = np.zeros(shape)
        self.products = {lag: np.zeros(shape) for lag in ((0, 0), *LAGS)}

    def add(self, frame: np.ndarray) -> None:
        x = frame - self.guess
        self.count += 1
        self.total += x
        for lag, sums in self.products.items():
            sums += x * neighbour(x, lag)

    @property
    def mean(self) -> np.ndarray:
        return np.asarray(self.guess + self.total / self.count)

    def covariance(self, lag: tuple[int, int] = (0, 0)) -> np.ndarray:
        x = self.total / self.count
        return np.asarray((self.products[lag] / self.count - x * neighbour(x, lag)) * self.count / (self.count - 1))


def neighbour(image: np.ndarray, lag: tuple[int, int]) -> np.ndarray:
    """Image whose pixel is the neighbour below and to the right by a lag."""
    return np.roll(image, (-lag[0], -lag[1]), axis=(0, 1))


def correlation(variance: np.ndarray, covariance: np.ndarray, lag: tuple[int, int], zone: np.ndarray) -> float:
    """Correlation of the pixels of a zone with their neighbours."""
    return float(covariance[zone].sum() / np.sqrt(variance * neighbour(variance, lag))[zone].sum())


@dataclass(frozen=True)
class Comparison:
    """Inserted against simulated: greatest error of the mean; of the variance and the correlations, by zone."""

    mean: float
    mean_z: float
    variance: dict[str, float]
    correlation: dict[str, float]
    pixels: dict[str, int]


def compare(case: Case, frames: int, seed: int = 1) -> Comparison:
    """Insert into frames of the empty scene, and hold them against as many of the scene with the body."""
    empty, full = case.exposures()
    first = empty.record(seed, 0).noisy.astype(np.uint16)
    prepared = case.prepared(first[None], seed)
    black = prepared.real.black_adu
    shape = first.shape
    guess = full.record(seed, 0).expected
    ours, theirs = Moments(shape, guess), Moments(shape, guess)
    for k in range(frames):
        ours.add(prepared.record(empty.record(seed, k).noisy.astype(np.uint16), seed, k))
        theirs.add(full.record(seed + 1, k).noisy)
    t = prepared.whole(prepared.thinning.transmission, 1.0)
    under = prepared.labels > 0
    zones = {"under the body": under, "beside it": ~under & (np.abs(t - 1) > 0.005)}
    variance = ours.covariance(), theirs.covariance()
    difference = ours.mean - theirs.mean
    inside = zones["under the body"] | zones["beside it"]
    return Comparison(
        float(np.abs(difference / (theirs.mean - black))[inside].max()),
        float(np.abs(difference / np.sqrt((variance[0] + variance[1]) / frames))[inside].max()),
        {name: float(variance[0][zone].sum() / variance[1][zone].sum() - 1) for name, zone in zones.items()},
        {name: max((correlation(variance[0], ours.covariance(lag), lag, zone)
                    - correlation(variance[1], theirs.covariance(lag), lag, zone) for lag in LAGS), key=abs)
         for name, zone in zones.items()},
        {name: int(zone.sum()) for name, zone in zones.items()},
    )  # fmt: skip
