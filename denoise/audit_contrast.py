"""Contrast that a restorer leaves: spheres of known size inserted into real frames, and what of them comes out.

A sphere's shadow s, the noise-free change of the grey values, is known because it was inserted. What the restorer f
makes of it is D = f(frame with the sphere) - f(frame), the same frame twice, so that noise hardly counts; the mean of D
is what differs between the means with and without, however f works. Recovered is the share of the shadow's own shape
that D holds,

    c = sum D s / sum s^2

1 where f leaves it as it is, less where it blurs it, 0 where it erases it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import xsim
from denoise.audit_figures import Estimate

__all__ = ["SIZES_MM", "Recovered", "Restore", "Spheres", "contrast_recovered"]

SIZES_MM = (0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)  # diameters
PLACES = 16  # of each size
FRAMES = 4  # that a place is looked at in
MARGIN_PX = 8  # around a sphere that no other comes near; the light spreads so far
COVERED = 0.35  # of the image by such windows at once
TRIES = 400
SUBPIXELS = 4

Restore = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Spheres:
    """What is inserted to measure contrast by.

    Attributes
    ----------
    station : Scene
        That the frames were taken at; its bodies do not count.
    background : Background
        As for ``xsim.insert``.
    material : str
        Of the spheres.
    sizes_mm : sequence of float
        Diameters.
    places : int
        Of each size; fewer where the image is too small for so many.
    region : two slices, optional
        Rows and columns to insert into.
    """

    station: xsim.Scene
    background: xsim.Background = field(default_factory=xsim.Background)
    material: str = "316L"
    sizes_mm: Sequence[float] = SIZES_MM
    places: int = PLACES
    region: tuple[slice, slice] | None = None


@dataclass(frozen=True)
class Recovered:
    """Spheres of one size.

    Attributes
    ----------
    diameter_mm : float
    contrast : float
        Greatest change of the signal, as a share of it; mean over the places.
    signal_to_noise : float
        Of the shadow in one noisy frame, weighed by its own shape: below 5 nobody finds it there (Rose).
    recovered : Estimate
        c; its interval is of the mean over places like these.
    places : int
    """

    diameter_mm: float
    contrast: float
    signal_to_noise: float
    recovered: Estimate
    places: int


@dataclass
class Tally:
    """What was found of a size so far: of each place c, the noise's variance in units of the shadow, the contrast."""

    recovered: list[float] = field(default_factory=list)
    variance: list[float] = field(default_factory=list)
    contrast: list[float] = field(default_factory=list)

    def result(self, diameter_mm: float) -> Recovered:
        count = len(self.recovered)
        error = float(np.std(self.recovered, ddof=1)) / count**0.5
        ratio = float(np.mean(self.variance)) ** -0.5
        estimate = Estimate.of(float(np.mean(self.recovered)), error, count - 1)
        return Recovered(diameter_mm, float(np.mean(self.contrast)), ratio, estimate, count)


@dataclass(frozen=True)
class Sphere:
    """One to insert: its size, and the window of the image that is looked at."""

    diameter_mm: float
    middle: tuple[float, float]
    window: tuple[slice, slice]


def contrast_recovered(
    noisy: np.ndarray,
    restored: np.ndarray,
    restore: Restore,
    spheres: Spheres,
    seed: int = 0,
    tick: Callable[[], None] = lambda: None,
) -> list[Recovered]:
    """Insert spheres, restore, and compare.

    Parameters
    ----------
    noisy, restored : [frame, row, column] ADU
        Frames as the camera gave them, and what the restorer makes of each.
    restore : callable
        From a frame [row, column] to the restored one.
    spheres : Spheres
    seed : int
    tick : callable
        Called after each restoration.

    Returns
    -------
    list of Recovered, by size; without sizes that fit nowhere

    Raises
    ------
    XsimError
        The frames are not of that station, or the region is not within them.
    """
    check_region(spheres.region, *noisy.shape[1:])
    fine, mean = finely(spheres.station), noisy.mean(axis=0, dtype=np.float64)
    wanted = [size for size in sorted(spheres.sizes_mm, reverse=True) for _ in range(spheres.places)]
    tallies: dict[float, Tally] = {size: Tally() for size in sorted(spheres.sizes_mm)}
    words, turn = np.random.default_rng(seed), 0
    while wanted:
        here, wanted = placed(wanted, fine, spheres.region, words)
        if not here:
            break
        chosen = [(turn * FRAMES + k) % len(noisy) for k in range(min(FRAMES, len(noisy)))]
        bodies = [body(sphere, spheres.material) for sphere in here]
        found = xsim.insert(noisy[chosen], fine, bodies, spheres.background, seed=seed + turn)
        changes = []
        for frame, k in zip(found.image, chosen, strict=True):
            changes.append(restore(frame).astype(np.float64) - restored[k])
            tick()
        shadow = np.where(found.valid.all(axis=0), found.clean(mean) - mean, 0.0)
        for sphere in here:
            take(tallies[sphere.diameter_mm], sphere, shadow, np.stack(changes), noisy, mean, found.black_adu)
        turn += 1
    return [tally.result(size) for size, tally in tallies.items() if len(tally.recovered) > 1]


def check_region(region: tuple[slice, slice] | None, rows: int, columns: int) -> None:
    """Refuse rows and columns that an image has not."""
    for part, count in zip(region or (), (rows, columns), strict=False):
        if not 0 <= part.start < part.stop <= count:
            raise xsim.MeasurementError(
                f"{part.start}:{part.stop} of a region is not within the image ({rows} rows, {columns} columns) mend it"
            )


def finely(station: xsim.Scene) -> xsim.Scene:
    """The station without bodies, with rays enough for spheres of a pixel."""
    told = station.model_dump(exclude_none=True, exclude={"body", "defect", "second_exposure"})
    for key in ("preset", "second_layer"):  # the camera's file need not be here: the fields are
        told["detector"].pop(key, None)
    run = told["acquisition"]
    run["subpixels"] = max(SUBPIXELS, run.get("subpixels", 1))
    return xsim.scene_from_dict(told, station.directory)


def body(sphere: Sphere, material: str) -> dict[str, Any]:
    return {"shape": "sphere", "radius_mm": 0.5 * sphere.diameter_mm, "material": material, "at": list(sphere.middle)}


def placed(
    wanted: Sequence[float], station: xsim.Scene, region: tuple[slice, slice] | None, words: np.random.Generator
) -> tuple[list[Sphere], list[float]]:
    """Spheres at random places that do not come near each other, and the sizes that are still to be placed."""
    view = station.view
    rows, columns = region or (slice(0, view.rows), slice(0, view.columns))
    area, covered, left = (rows.stop - rows.start) * (columns.stop - columns.start), 0, []
    spheres: list[Sphere] = []
    full: set[float] = set()
    for size in wanted:
        down, along = (int(np.ceil(half)) + MARGIN_PX for half in halves_px(station, size))
        need = (2 * down + 1) * (2 * along + 1)
        if 2 * down >= rows.stop - rows.start or 2 * along >= columns.stop - columns.start:
            continue
        sphere = None
        if size not in full and (not spheres or covered + need <= COVERED * area):
            sphere = free_place(size, (down, along), (rows, columns), spheres, words)
        if sphere is None:
            full.add(size)
            left.append(size)
        else:
            spheres.append(sphere)
            covered += need
    return spheres, left


def free_place(
    size: float, reach: tuple[int, int], region: tuple[slice, slice], taken: Sequence[Sphere],
    words: np.random.Generator,
) -> Sphere | None:  # fmt: skip
    """A place for a sphere whose window meets no other; None where none is found."""
    for _ in range(TRIES):
        middle = [words.uniform(part.start + r, part.stop - 1 - r) for part, r in zip(region, reach, strict=True)]
        window = tuple(
            slice(max(round(m) - r, p.start), min(round(m) + r + 1, p.stop))
            for m, r, p in zip(middle, reach, region, strict=True)
        )
        if not any(meet(window, other.window) for other in taken):
            return Sphere(size, (middle[0], middle[1]), (window[0], window[1]))
    return None


def meet(first: Sequence[slice], second: Sequence[slice]) -> bool:
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(first, second, strict=True))


def halves_px(station: xsim.Scene, diameter_mm: float) -> tuple[float, float]:
    """Half the rows and columns that a sphere in the middle covers."""
    corners = 0.5 * diameter_mm * np.vstack([np.eye(3), -np.eye(3)])
    _, columns, rows = station.view.pixels_of(corners)
    return 0.5 * float(np.ptp(rows)), 0.5 * float(np.ptp(columns))


def take(
    tally: Tally, sphere: Sphere, shadow: np.ndarray, changes: np.ndarray, noisy: np.ndarray, mean: np.ndarray,
    black: np.ndarray,
) -> None:  # fmt: skip
    """Add a place to its size's tally; one without a shadow (saturated, hidden) tells nothing."""
    window = sphere.window
    s = shadow[window]
    square = float((s**2).sum())
    if not square > 0.0:
        return
    count = len(noisy)
    noise = np.tensordot(noisy[:, *window].astype(np.float64) - mean[window], s, 2) / square
    tally.recovered.append(float((np.tensordot(changes[:, *window], s, 2) / square).mean()))
    tally.variance.append(max(float((noise**2).sum()) / (count - 1), 1e-30))
    signal = np.maximum(mean[window] - black[window], 1e-9)
    tally.contrast.append(float((np.abs(s) / signal).max()))
