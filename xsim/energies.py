"""Which energies an image is computed at: all bins of its spectrum, or the few of a quadrature.

A fit belongs to a spectrum, a screen, the materials in the beam and the greatest path through each. The paths are
bounded by the boxes around the bodies, so that no ray of the scene is outside of what the fit was measured on.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from xsim import material
from xsim.absorption import BeamWeights, beam_weights
from xsim.errors import SpectrumError
from xsim.material import Material
from xsim.quadrature import BAR, Quadrature, measure_bound
from xsim.quadrature_cache import kept_quadrature
from xsim.scene import Scene
from xsim.volume import Densities, Volume, VolumeBody

__all__ = ["few_energies", "greatest_paths", "shared_quadratures"]

#: Ratio of neighbouring lengths that greatest paths are rounded up to: a moved or turned body asks for the same fit.
STEP: Final = 10.0**0.1
CHECKED: Final = 500  # paths on which a fit made for other scenes is measured again
MOST_BEAMS: Final = 128
FAINT: Final = 1e-9  # share of a row below which a bin does not tell beams apart


def few_energies(
    scene: Scene, weights: BeamWeights, given: Mapping[str, Quadrature] | None = None
) -> tuple[BeamWeights, dict[str, Any]]:
    """Weights that an image is computed with, and what its metadata shall say of them.

    Parameters
    ----------
    scene : Scene
    weights : BeamWeights
        Of all bins.
    given : mapping of str to Quadrature, optional
        Fits of `shared_quadratures` to choose from, instead of one of the scene's own. Measured on this scene's paths
        before it is used; all bins where it is off there, or where there is none of the beam.

    Returns
    -------
    BeamWeights
        The same ones where the scene asks for all energies, or where few are off by more than 0.1 %.
    dict
        "energies"; empty where the scene does not ask for few.

    """
    if scene.acquisition.energies != "few":
        return weights, {}
    rows, greatest = _rows(weights), greatest_paths(scene)
    if scene.source.heel:
        kept = _all_bins(weights.energy_kev, rows, greatest, "the spectrum differs from pixel to pixel (heel)")
        return weights, {"energies": kept.describe()}
    if given is None:
        fit = kept_quadrature(weights.energy_kev, rows, greatest)
    else:
        fit = _measured(given.get(_beam_name(weights.energy_kev, rows)), weights.energy_kev, rows, greatest)
    return (weights if fit.problem else _at_nodes(weights, fit)), {"energies": fit.describe()}


def shared_quadratures(scenes: Iterable[Scene], most: int = MOST_BEAMS) -> dict[str, Quadrature]:
    """One fit for each beam of many scenes, for the greatest path through each material that any of them has.

    A beam is a spectrum with what the screen absorbs of it; bodies, distances and doses may differ. For `simulate` and
    `expose` of these and of similar scenes: what is drawn at random need not be fitted image by image.

    Parameters
    ----------
    scenes : iterable of Scene
        Those that do not ask for few energies are passed over, and those with heel, which keep all bins.
    most : int
        Beams at the most.

    Raises
    ------
    SpectrumError
        More beams than that.

    """
    beams: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    greatest: dict[Material, float] = {}
    for scene in scenes:
        if scene.acquisition.energies != "few" or scene.source.heel:
            continue
        weights = beam_weights(scene, scene.view, 1.0)
        rows = _rows(weights)
        beams.setdefault(_beam_name(weights.energy_kev, rows), (weights.energy_kev, rows))
        for found, length in greatest_paths(scene).items():
            greatest[found] = max(length, greatest.get(found, 0.0))
        if len(beams) > most:
            raise SpectrumError(
                f"more than {most} beams (each takes a fit of few energies) draw voltage_kv, filters and screen from "
                'fewer values, by choice or integers, or use energies = "all"'
            )
    ordered = dict(sorted(greatest.items(), key=lambda item: item[0].name))
    return {name: kept_quadrature(energy_kev, rows, ordered) for name, (energy_kev, rows) in beams.items()}


def greatest_paths(scene: Scene) -> dict[Material, float]:
    """A length that no ray's path through each material exceeds, mm, rounded up to a tenth of a decade.

    The lesser of: the sum of the diagonals of the boxes around the bodies that hold it, and the diagonal around all of
    them together. Voxels denser than their material count as so much longer.
    """
    boxes: dict[Material, list[tuple[np.ndarray, float]]] = {}
    for index, body in enumerate(scene.bodies):
        corners = scene.corners(body)
        for found, share in _held(scene, index):
            boxes.setdefault(found, []).append((corners, share))
    lengths = {found: _longest(held) for found, held in boxes.items()}
    return {found: _rounded_up(length) for found, length in lengths.items() if length > 0}


def _held(scene: Scene, index: int) -> Iterator[tuple[Material, float]]:
    """Materials of a body, with the greatest density of each over its usual one."""
    body = scene.bodies[index]
    contents = body.contents() if isinstance(body, VolumeBody) else None
    if not isinstance(contents, Densities):
        yield from ((each, 1.0) for each in dict.fromkeys(map(material.resolve, body.materials())))
        return
    shape = scene.shape_of(index)
    assert isinstance(shape, Volume)
    yield from zip(contents.materials, _greatest_shares(contents, shape), strict=True)


def _greatest_shares(contents: Densities, volume: Volume) -> list[float]:
    """Greatest density of each material of a volume, over its usual one."""
    own = np.array([each.density_g_cm3 for each in contents.materials])
    if contents.values:
        return list((contents.densities_g_cm3.max(axis=1) / own).tolist())
    start, rise = contents.densities_g_cm3[0]
    ends = (volume.slope * float(end) + volume.intercept for end in (volume.voxels.min(), volume.voxels.max()))
    return [max(0.0, *(float(start + rise * end) for end in ends)) / float(own[0])]


def _longest(held: list[tuple[np.ndarray, float]]) -> float:
    """Of boxes [corner, 3] mm with the share of each: their diagonals in a row, or the one around them all."""
    diagonals = (np.linalg.norm(box[:, None] - box[None], axis=-1).max() for box, _ in held)
    apart = math.fsum(float(diagonal) * share for diagonal, (_, share) in zip(diagonals, held, strict=True))
    around = float(np.linalg.norm(np.ptp(np.concatenate([box for box, _ in held]), axis=0)))
    return min(apart, around * max(share for _, share in held))


def _rounded_up(length_mm: float) -> float:
    return float(f"{STEP ** math.ceil(math.log(length_mm, STEP) - 1e-9):.6g}")


def _rows(weights: BeamWeights) -> np.ndarray:
    """Signal and variance of each depth class that absorbs something, float64 [row, energy]."""
    rows = _all_rows(weights)
    return rows[rows.any(axis=1)]


def _all_rows(weights: BeamWeights) -> np.ndarray:
    return np.concatenate([weights.signal_kev, weights.variance_kev2])


def _beam_name(energy_kev: np.ndarray, rows: np.ndarray) -> str:
    """Hash of a beam's shape; five digits of it, which every processor finds alike."""
    shares = rows / rows.sum(axis=1, keepdims=True)
    told = [[f"{value:.5g}" for value in row] for row in (energy_kev, *np.where(shares > FAINT, shares, 0.0))]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def _at_nodes(weights: BeamWeights, fit: Quadrature) -> BeamWeights:
    """The weights of a fit, scaled to the beam; a class that absorbs nothing has no row in it."""
    rows = _all_rows(weights)
    scaled = np.zeros((len(rows), fit.nodes))
    seen = rows.any(axis=1)
    scaled[seen] = fit.weights * rows[seen].sum(axis=1, keepdims=True)
    signal, variance = np.split(scaled, 2)
    return replace(weights, energy_kev=fit.energy_kev, signal_kev=signal, variance_kev2=variance)


def _measured(
    given: Quadrature | None, energy_kev: np.ndarray, rows: np.ndarray, greatest: Mapping[Material, float]
) -> Quadrature:
    """A shared fit with the bound that it has on one scene; with a problem where that is above 0.1 %."""
    if given is None or given.problem:
        problem = "no fit is given for this beam" if given is None else given.problem
        return _all_bins(energy_kev, rows, greatest, problem)
    names, paths, problem = tuple(each.name for each in greatest), tuple(greatest.values()), ""
    if not greatest:
        return replace(given, materials=names, greatest_path_mm=paths, problem="no material in the beam", unseen=0)
    bound = measure_bound(energy_kev, rows, given.energy_kev, given.weights, [*greatest], np.array(paths), CHECKED)
    if bound > BAR:
        problem = f"the fit given is off by {100 * bound:.2g} % (more than {100 * BAR:g} %)"
    return replace(given, bound=bound, materials=names, greatest_path_mm=paths, problem=problem, unseen=CHECKED)


def _all_bins(energy_kev: np.ndarray, rows: np.ndarray, greatest: Mapping[Material, float], problem: str) -> Quadrature:
    """What stands in the place of a fit where there is none, with the reason."""
    names, paths = tuple(each.name for each in greatest), tuple(greatest.values())
    return Quadrature(energy_kev, rows, 0.0, names, paths, int(rows.any(axis=0).sum()), problem, 0)
