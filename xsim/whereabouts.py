"""Whether bodies stand where a station can image them: outside the source, before the detector, in view."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from xsim.errors import SceneError
from xsim.geometry import View

__all__ = ["Reach", "check_whereabouts"]


@dataclass(frozen=True)
class Reach:
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
    hint : str
        What to look at where it does not fit.
    """

    name: str
    corners_mm: np.ndarray
    farthest_mm: Callable[[np.ndarray], float]
    contains: Callable[[np.ndarray], bool]
    hint: str = ""


def check_whereabouts(view: View, body: Reach) -> None:
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
            f"move the body or raise sod_mm{body.hint}"
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
            f"{distance:g} mm away) move it or the detector{body.hint}"
        )
