"""Line scans: a part that a belt carries past one line of pixels, and the aspect of the image that results.

What travel does to the image beside is in ``travel``. Not modelled: light that spreads to the next line.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xsim.geometry import View
from xsim.station import Geometry

__all__ = ["ASPECT_TOLERANCE", "Belt", "aspect_at", "line_scan"]

MM_PER_M = 1000.0
#: Aspect beyond which a scene is warned of: a circle is drawn this much wider than high, or higher than wide.
ASPECT_TOLERANCE = 0.05


@dataclass(frozen=True)
class Belt:
    """A part on a belt along +y, one line of the image at a time.

    Attributes
    ----------
    step_mm : float
        Travel from line to line: speed over line rate.
    lines : int
    """

    step_mm: float
    lines: int

    @classmethod
    def at(cls, speed_m_s: float, line_rate_hz: float, lines: int) -> Belt:
        """Belt of a speed and a line rate."""
        return cls(MM_PER_M * speed_m_s / line_rate_hz, lines)


def line_scan(geometry: Geometry, columns: int, pitch_mm: float, belt: Belt) -> View:
    """Rays of one line of pixels past which a part moves along +y; row 0 is the first line, the part's leading edge.

    The part is where the scene says at the moment of the middle line; seen from it the station moves along -y.
    """
    along_column = pitch_mm * geometry.detector_axes[0]
    first = geometry.detector_mm - 0.5 * (columns - 1) * along_column
    step = np.array([0.0, -belt.step_mm, 0.0])
    back, still = 0.5 * (belt.lines - 1) * step, np.zeros(3)
    if geometry.beam == "parallel":
        way = geometry.sdd_mm * geometry.direction
        return View(first - way - back, way, still, still, belt.lines, columns, along_column, step)
    source = geometry.source_mm
    return View(source - back, first - source, along_column, still, belt.lines, columns, source_row=step)


def aspect_at(view: View, point_mm: np.ndarray) -> float:
    """Size of a pixel at a point of the part, along travel over across: 1 where a circle is drawn as one.

    Along travel it is the belt's step, whatever the height; across it is pitch over magnification, which falls with
    the distance from the source. So at one height only can the aspect be right.

    Parameters
    ----------
    view : View
        Of a line scan.
    point_mm : float64 [3]

    """
    along = float(np.linalg.norm(view.source_row))
    if view.is_parallel:
        return along / float(np.linalg.norm(view.source_column))
    return along / float(np.linalg.norm(view.column) * view.project(point_mm)[0])
