"""Which pixels an edge crosses: those that need more than one ray."""

from __future__ import annotations

from typing import Any

import numpy as np

from xsim.backend import Backend
from xsim.geometry import View
from xsim.primitive import Solid
from xsim.scene import Scene

__all__ = ["TOLERANCE", "active_tiles", "crossed_pixels"]

#: Second difference of the signal over neighbours that counts as an edge, of the open beam. A pixel without an edge
#: differs from the mean over its area by a 12th of it at the most: the mean of a parabola over a pixel.
TOLERANCE = 1e-3
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
SMALL_PX = 3  # a body narrower than this may slip between the rays of a pixel


def crossed_pixels(scene: Scene, view: View, signal: Any, labels: Any, open_kev: float, backend: Backend) -> Any:
    """Pixels that an edge may cross, seen from one ray a pixel.

    Those whose label differs from one of the eight around them, and the four next to such a one; those where the second
    difference of the signal along a row, a column or a diagonal exceeds ``TOLERANCE`` of the open beam; those between
    two of any of these; and all under a narrow body or part of one. The tip of a needle of triangles, narrower than a
    pixel over more than a pixel, may slip through.

    Parameters
    ----------
    signal : float32 [row, column] keV
    labels : uint16 [row, column]
    open_kev : float
        Signal of the open beam.

    Returns
    -------
    bool [row, column]
    """
    xp = backend.xp
    crossed = xp.asarray(narrow_bodies(scene, view))
    limit = np.float32(TOLERANCE * open_kev)
    named, grey = xp.pad(labels, 1, mode="edge"), xp.pad(signal, 1, mode="edge")
    outline = xp.zeros_like(crossed)
    for dy, dx in DIRECTIONS:
        ahead, behind = neighbours(view, dy, dx), neighbours(view, -dy, -dx)
        outline |= (named[ahead] != labels) | (named[behind] != labels)
        crossed |= xp.abs(grey[ahead] - 2 * signal + grey[behind]) > limit
    crossed |= outline
    drawn = xp.pad(outline, 1)  # a sharp corner may end in the next pixel
    for dy, dx in DIRECTIONS[:2]:
        crossed |= drawn[neighbours(view, dy, dx)] | drawn[neighbours(view, -dy, -dx)]
    # a weak edge may bend the signal up on one side of a pixel and down on the other, and not in it
    found = xp.pad(crossed, 1)
    for dy, dx in DIRECTIONS:
        crossed |= found[neighbours(view, dy, dx)] & found[neighbours(view, -dy, -dx)]
    return crossed


def neighbours(view: View, dy: int, dx: int) -> tuple[slice, slice]:
    """Where the neighbours of an image's pixels lie in the image with a frame of one pixel."""
    return slice(1 + dy, 1 + dy + view.rows), slice(1 + dx, 1 + dx + view.columns)


def narrow_bodies(scene: Scene, view: View) -> np.ndarray:
    """Pixels under a body, or a convex part of one, narrower than ``SMALL_PX``: bool [row, column]."""
    narrow = np.zeros((view.rows, view.columns), bool)
    for body in scene.bodies:
        corners = scene.corners(body)
        for part in corners.reshape(-1, 8, 3) if isinstance(body, Solid) else corners[None]:
            if (view.project(part)[..., 0] > view.near_fraction).all():
                mark_narrow(view, part, narrow)
    return narrow


def mark_narrow(view: View, corners_mm: np.ndarray, narrow: np.ndarray) -> None:
    """Mark the pixels within one of the outline of some points, if that is narrower than ``SMALL_PX``."""
    from scipy.spatial import ConvexHull

    column0, row0, column1, row1 = (int(edge) for edge in view.pixel_windows(corners_mm))
    if column1 < column0 or row1 < row0:
        return
    _, *place = view.pixels_of(corners_mm)
    points = np.stack(place, axis=1)
    sides = ConvexHull(points, qhull_options="QJ").equations  # outward normal and offset of each
    heights = sides[:, :2] @ points.T
    if float(np.ptp(heights, axis=1).min()) >= SMALL_PX:
        return
    rows, columns = slice(max(row0 - 1, 0), row1 + 2), slice(max(column0 - 1, 0), column1 + 2)
    row, column = np.ogrid[: narrow.shape[0], : narrow.shape[1]]
    row, column = row[rows], column[:, columns]
    within = sides[:, :1, None] * column + sides[:, 1:2, None] * row + sides[:, 2:, None] <= 1.0
    narrow[rows, columns] |= within.all(axis=0)


def active_tiles(crossed: Any, subpixels: int, backend: Backend) -> Any:
    """Tiles of the refined view that hold a part of a crossed pixel, ascending, int32 [tile]."""
    xp = backend.xp
    rows, columns = (length * subpixels for length in crossed.shape)
    height, width = backend.tile_shape
    across = -(-columns // width)
    row, column = xp.nonzero(crossed)
    wanted = xp.zeros((-(-rows // height), across), bool)
    for end_row in (row * subpixels, row * subpixels + subpixels - 1):
        for end_column in (column * subpixels, column * subpixels + subpixels - 1):
            wanted[end_row // height, end_column // width] = True
    return xp.flatnonzero(wanted).astype(np.int32)
