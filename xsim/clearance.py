"""Whether bodies stand where a station can image them: outside the source, before the detector, in view."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from xsim.errors import SceneError
from xsim.geometry import View

__all__ = ["Outline", "check_clearance", "warn_out_of_view"]


@dataclass(frozen=True)
class Outline:
    """How far a body reaches.

    Attributes
    ----------
    name : str
    corners_mm : float64 [point, 3]
        World points whose hull holds it.
    farthest_mm : callable
        Greatest component of the body along a world unit vector.
    contains : callable
        Whether a world point lies inside.
    """

    name: str
    corners_mm: np.ndarray
    farthest_mm: Callable[[np.ndarray], float]
    contains: Callable[[np.ndarray], bool]


def check_clearance(view: View, body: Outline) -> None:
    """Refuse a body around the source or through the detector's plane; on a belt, also one beside the source.

    Raises
    ------
    SceneError
        One line that names the body and how far it reaches.

    """
    normal, distance = view.normal, view.axis_distance_mm
    before = float(view.source @ normal)
    if not view.is_parallel and not view.is_line_scan and body.contains(view.source):
        raise SceneError(
            f"the source is inside {body.name!r} ({float(np.linalg.norm(view.source)):g} mm from the object) "
            "move the body or raise sod_mm"
        )
    if view.is_line_scan and -body.farthest_mm(-normal) <= before:
        raise SceneError(
            f"{body.name!r} does not pass between source and detector (it reaches {-body.farthest_mm(-normal):g} mm "
            f"along z, the source is at {before:g} mm) move it or raise sod_mm"
        )
    reach = body.farthest_mm(normal) - before
    if reach > distance * (1 + 1e-12):
        raise SceneError(
            f"{body.name!r} reaches behind the detector (to {reach:g} mm from the source across its plane, which is "
            f"{distance:g} mm away) move it or the detector"
        )


def warn_out_of_view(view: View, body: Outline) -> None:
    """Warn of a body that no ray of the detector can meet."""
    if (view.project(body.corners_mm)[..., 0] <= view.near_fraction).any():
        return
    _, column, row = view.pixels_of(body.corners_mm)
    beside = column.max() < 0 or column.min() > view.columns - 1
    if beside or row.max() < 0 or row.min() > view.rows - 1:
        warnings.warn(f"{body.name!r} is out of view (beside the detector)", stacklevel=4)
