"""How much of each depth class's light bodies leave: the mean over spot, sub-pixels and beams of a heel."""

from __future__ import annotations

from typing import Any

import numpy as np

from xsim import material
from xsim.absorption import BeamWeights
from xsim.backend import Backend
from xsim.background import Hardening
from xsim.foreign_body import Window, cropped
from xsim.geometry import View
from xsim.heel import heel_beams
from xsim.projector import project, report_faults
from xsim.sampling import source_views
from xsim.scene import Scene
from xsim.travel import travel_of

__all__ = ["passage"]

CHUNK = 16384  # rays worked on at a time


def passage(
    scene: Scene, hardening: Hardening, window: Window, thickness_mm: np.ndarray, is_replaced: bool, backend: Backend
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Mean light and its variance behind the bodies over those without, before the spread.

    Parameters
    ----------
    scene : Scene
        With the bodies alone.
    hardening : Hardening
    window : Window
        Rows and columns of the view, over its edges too.
    thickness_mm : float64 [row, column]
        Of the background's material, in the window.
    is_replaced : bool
        Whether the bodies displace the background's material along the ray, as far as there is any.
    backend : Backend

    Returns
    -------
    light, variance : float64 [class, row, column]
        1 where no body is, and never nought.
    labels : uint16 [row, column]

    """
    beams = beams_in(scene, hardening.weights, window)
    travel = travel_of(scene.geometry, scene.acquisition, scene.detector)
    n = scene.acquisition.subpixels
    behind = thickness_mm if travel is None else along_travel(travel, thickness_mm)
    beams = beams if travel is None else [(w, along_travel(travel, s)) for w, s in beams]
    views = source_views(scene, scene.view)
    totals = [np.zeros((len(hardening.weights.signal_kev), *behind.shape)) for _ in range(2)]
    labels: Any = None
    for view in views:
        part = cropped(view, window)
        fine = (part if travel is None else travel.fine(part, 0)).refined(n)
        lengths, materials, seen = lengths_of(scene, fine, backend)
        coefficients = material.attenuation_table(materials, hardening.weights.energy_kev)
        if labels is None and n > 1 and scene.acquisition.subpixel_mode == "adaptive":
            labels = lengths_of(scene, part if travel is None else travel.fine(part, 0), backend)[2]
        labels = np.ascontiguousarray(seen[n // 2 :: n, n // 2 :: n]) if labels is None else labels
        for j, i in np.ndindex(n, n):
            found = shares(lengths[:, j::n, i::n], coefficients, hardening, behind, beams, is_replaced)
            for total, one in zip(totals, found, strict=True):
                total += one
    means = [np.round(total / (len(views) * n * n), 9) for total in totals]
    if travel is not None:
        labels = np.ascontiguousarray(travel.middles(labels))
        means = [np.round(np.array(travel.gather(mean.astype(np.float32)), float), 7) for mean in means]
    light, variance = (np.maximum(mean, 1e-9) for mean in means)
    return (light, variance), labels


def along_travel(travel: Any, image: np.ndarray) -> np.ndarray:
    """An image of lines at the sub-lines of a scan, what lies beyond as the outermost line."""
    fine = np.repeat(image, travel.samples, axis=0)
    return np.pad(fine, ((travel.margin, travel.margin), (0, 0)), mode="edge")


def lengths_of(
    scene: Scene, view: View, backend: Backend
) -> tuple[np.ndarray, tuple[material.Material, ...], np.ndarray]:
    """Lengths [material, row, column] mm, the materials, and labels."""
    found = project(scene, view, backend)
    report_faults(scene, backend.to_numpy(found.faults), backend.to_numpy(found.faulty_bodies))
    return np.asarray(backend.to_numpy(found.lengths_mm)), found.materials, np.asarray(backend.to_numpy(found.labels))


def beams_in(scene: Scene, weights: BeamWeights, window: Window) -> list[tuple[BeamWeights, np.ndarray]]:
    """Beams that add up in each pixel of a window, with their shares [row, column]; one without a heel."""
    view, (row, stop_row, column, stop_column) = scene.view, window
    if not scene.source.heel:
        return [(weights, np.ones((stop_row - row, stop_column - column)))]
    rows = np.clip(np.arange(row, stop_row), 0, view.rows - 1)
    columns = np.clip(np.arange(column, stop_column), 0, view.columns - 1)
    return [(beam, share[np.ix_(rows, columns)].astype(np.float64)) for beam, share in heel_beams(scene, view, weights)]


def shares(
    lengths_mm: np.ndarray, coefficients: np.ndarray, hardening: Hardening, thickness_mm: np.ndarray,
    beams: list[tuple[BeamWeights, np.ndarray]], is_replaced: bool,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Light and variance behind the bodies over those without of one ray a pixel, [class, row, column]."""
    met = (lengths_mm > 0).any(axis=0)
    classes = len(hardening.weights.signal_kev)
    light, variance = np.ones((classes, *met.shape)), np.ones((classes, *met.shape))
    where = np.flatnonzero(met)
    for first in range(0, len(where), CHUNK):
        at = where[first : first + CHUNK]
        lengths = lengths_mm.reshape(len(lengths_mm), -1)[:, at].astype(np.float64)
        behind = thickness_mm.ravel()[at]
        displaced = np.minimum(lengths.sum(axis=0), behind) if is_replaced else np.zeros_like(behind)
        open_depth = np.outer(behind, hardening.attenuation)
        before = np.exp(-open_depth)
        after = np.exp(-(open_depth - np.outer(displaced, hardening.attenuation) + lengths.T @ coefficients))
        shown = [share.ravel()[at] for _, share in beams]
        for image, name in ((light, "signal_kev"), (variance, "variance_kev2")):
            sums = [
                sum(s[:, None] * (passed @ getattr(w, name).T) for (w, _), s in zip(beams, shown, strict=True))
                for passed in (after, before)
            ]
            image.reshape(classes, -1)[:, at] = (sums[0] / np.where(sums[1] > 0, sums[1], 1.0)).T
    return light, variance
