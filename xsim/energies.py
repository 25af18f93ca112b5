"""Which energies an image is computed at: all bins of its spectrum, or the few of a quadrature.

A fit belongs to a spectrum, a screen, the materials in the beam and the greatest path through each. The paths are
bounded by the boxes around the bodies, so that no ray of the scene is outside of what the fit was measured on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import numpy as np

from xsim import material
from xsim.absorption import BeamWeights
from xsim.material import Material
from xsim.quadrature import BAR, Quadrature, measure_bound
from xsim.quadrature_cache import kept_quadrature
from xsim.scene import Scene
from xsim.volume import Densities, Volume, VolumeBody

__all__ = ["few_energies", "greatest_paths", "scene_quadrature"]

#: Ratio of neighbouring lengths that greatest paths are rounded up to: a moved or turned body asks for the same fit.
STEP: Final = 10.0**0.1
CHECKED: Final = 500  # paths on which a fit made for other scenes is measured again


def few_energies(
    scene: Scene, weights: BeamWeights, given: Quadrature | None = None
) -> tuple[BeamWeights, dict[str, Any]]:
    """Weights that an image is computed with, and what its metadata shall say of them.

    Parameters
    ----------
    scene : Scene
    weights : BeamWeights
        Of all bins.
    given : Quadrature, optional
        A fit to use instead of the scene's own: of this beam, for greater ranges. Measured on this scene's paths
        before it is used.

    Returns
    -------
    BeamWeights
        The same ones where the scene asks for all energies, or where few are off by more than 0.1 %.
    dict
        "energies"; empty where the scene does not ask for few.

    """
    if scene.acquisition.energies != "few":
        return weights, {}
    fit = scene_quadrature(scene, weights) if given is None else _measured(scene, weights, given)
    told = {"energies": fit.describe()}
    return (weights if fit.problem else _at_nodes(weights, fit)), told


def scene_quadrature(scene: Scene, weights: BeamWeights, greatest: dict[Material, float] | None = None) -> Quadrature:
    """The fit of a scene's beam for its own bodies, or for greater paths.

    Parameters
    ----------
    scene : Scene
    weights : BeamWeights
    greatest : dict of Material to float, optional
        Greatest path through each material, mm; those of the scene by default.

    """
    rows = _rows(weights)
    return kept_quadrature(weights.energy_kev, rows[rows.any(axis=1)], greatest or greatest_paths(scene))


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
    """Signal of each depth class, then variance of each, float64 [row, energy]."""
    return np.concatenate([np.atleast_2d(weights.signal_kev), np.atleast_2d(weights.variance_kev2)])


def _at_nodes(weights: BeamWeights, fit: Quadrature) -> BeamWeights:
    """The weights of a fit, scaled to the beam; a class that absorbs nothing has no row in it."""
    rows = _rows(weights)
    scaled = np.zeros((len(rows), fit.nodes))
    seen = rows.any(axis=1)
    scaled[seen] = fit.weights * rows[seen].sum(axis=1, keepdims=True)
    signal, variance = np.split(scaled, 2)
    if weights.signal_kev.ndim == 1:
        signal, variance = signal[0], variance[0]
    return replace(weights, energy_kev=fit.energy_kev, signal_kev=signal, variance_kev2=variance)


def _measured(scene: Scene, weights: BeamWeights, given: Quadrature) -> Quadrature:
    """A fit with the bound that it has on this scene; with a problem where that is above 0.1 %."""
    greatest = greatest_paths(scene)
    if given.problem or not greatest:
        return replace(given, problem=given.problem or "no material in the beam")
    rows = _rows(weights)
    rows = rows[rows.any(axis=1)]
    paths = np.array([*greatest.values()])
    bound = measure_bound(weights.energy_kev, rows, given.energy_kev, given.weights, [*greatest], paths, CHECKED)
    problem = "" if bound <= BAR else f"the energies given are off by {100 * bound:.2g} % (more than {100 * BAR:g} %)"
    names = tuple(each.name for each in greatest)
    return replace(given, bound=bound, unseen=CHECKED, materials=names, greatest_path_mm=tuple(paths), problem=problem)
