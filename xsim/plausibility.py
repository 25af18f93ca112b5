"""Warnings of what a scene can say but hardly means: bodies out of view, meshes of another size than the view's."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import numpy as np

from xsim.geometry import View

__all__ = ["warn_of_place", "warn_of_size"]

WIDEST_VIEWS, LEAST_PIXELS = 10.0, 1.0
MOST_TOLD = 3


def warn_of_place(view: View, corners: Iterable[tuple[str, np.ndarray, bool]]) -> None:
    """Warn of bodies that no ray of the detector can meet, and of meshes in the wrong unit.

    Parameters
    ----------
    view : View
    corners : iterable of (name, float64 [point, 3] mm, bool)
        World points whose hull holds the body, and whether it is a mesh.

    """
    beside: list[str] = []
    for name, points, is_mesh in corners:
        if (view.project(points)[..., 0] <= view.near_fraction).any():
            continue
        _, column, row = view.pixels_of(points)
        aside = column.max() < 0 or column.min() > view.columns - 1
        if aside or row.max() < 0 or row.min() > view.rows - 1:
            beside.append(name)
        if is_mesh:
            warn_of_size(view, name, float(np.ptp(column)), float(np.ptp(row)))
    warn_of_view(beside)


def warn_of_view(beside: list[str]) -> None:
    """Warn of bodies beside the detector, of many in one line."""
    if len(beside) > MOST_TOLD:
        first, rest = ", ".join(map(repr, beside[:MOST_TOLD])), len(beside) - MOST_TOLD
        warnings.warn(f"{first} and {rest} more are out of view (beside the detector)", stacklevel=5)
        return
    for name in beside:
        warnings.warn(f"{name!r} is out of view (beside the detector)", stacklevel=5)


def warn_of_size(view: View, name: str, columns: float, rows: float) -> None:
    """Warn of a mesh whose image is ten times wider than the detector, or less than a pixel."""
    views = max(columns / view.columns, rows / view.rows)
    if views > WIDEST_VIEWS:
        warnings.warn(f"mesh {name!r} is {views:.3g} times as wide as the view (is mesh_unit right?)", stacklevel=5)
    elif max(columns, rows) < LEAST_PIXELS:
        warnings.warn(f"mesh {name!r} is {max(columns, rows):.2g} pixels wide (is mesh_unit right?)", stacklevel=5)
