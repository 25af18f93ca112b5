"""Poses and rays: where the source, the part and the detector's pixels are.

World frame: origin at the object, z from source to detector, x along columns, y along rows (row 0 at the top, so
y points down in the image). Lengths in mm, angles in degree.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace

import numpy as np

#: Nearest to the source that a surface may be met, as a fraction of the way to the detector.
NEAR_FRACTION = 1e-6

__all__ = ["NEAR_FRACTION", "View", "rotation_angles", "rotation_matrix", "turned"]


def rotation_matrix(rotation_deg: tuple[float, float, float] | np.ndarray) -> np.ndarray:
    """Rotations about x, then y, then z, fixed axes, right-handed, by angles [..., 3].

    Returns
    -------
    float64 [..., 3, 3]; body coordinates to world coordinates.

    """
    if isinstance(rotation_deg, tuple):  # of a body: asked for again and again
        return body_rotation(rotation_deg)
    return rotations(np.asarray(rotation_deg))


@functools.lru_cache(4096)
def body_rotation(rotation_deg: tuple[float, float, float]) -> np.ndarray:
    matrix = rotations(np.array(rotation_deg))
    matrix.flags.writeable = False
    return matrix


def rotations(rotation_deg: np.ndarray) -> np.ndarray:
    angles = np.deg2rad(rotation_deg)
    (cx, cy, cz), (sx, sy, sz) = (np.moveaxis(function(angles), -1, 0) for function in (np.cos, np.sin))
    rows = (
        (cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx),
        (sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx),
        (-sy, cy * sx, cy * cx),
    )
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


ZERO = np.zeros(3)


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Vector product of two vectors [3]."""
    return np.asarray(a[[1, 2, 0]] * b[[2, 0, 1]] - a[[2, 0, 1]] * b[[1, 2, 0]])


def turned(vectors: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Vectors [..., 3] times a matrix [..., 3, 3]; the same bits on every machine, unlike a BLAS product."""
    parts = [vectors[..., k, None] * rotation[..., k, :] for k in range(3)]
    return np.asarray(parts[0] + parts[1] + parts[2])


def rotation_angles(matrix: np.ndarray) -> tuple[float, float, float]:
    """Angles of a rotation about x, then y, then z [degree]: ``rotation_matrix`` of them is the matrix again."""
    across = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    y = np.arctan2(-matrix[2, 0], across)
    if across < 1e-12:  # x and z turn about one line: all of it is given to x
        x, z = np.arctan2(-matrix[1, 2], matrix[1, 1]), 0.0
    else:
        x, z = np.arctan2(matrix[2, 1], matrix[2, 2]), np.arctan2(matrix[1, 0], matrix[0, 0])
    angles = np.rad2deg([x, y, z])
    return float(angles[0]), float(angles[1]), float(angles[2])


@dataclass(frozen=True)
class View:
    """The rays of an image: that of pixel (row j, column i) starts at source + i source_column + j source_row.

    It goes to the pixel's centre along origin + i column + j row. A flat panel has one start, a parallel beam one
    direction, and along a line scan the start moves from row to row while the direction depends on the column alone.

    Attributes
    ----------
    source : float64 [3] mm
        The focal spot, for pixel (0, 0).
    origin, column, row : float64 [3] mm
        Source to the centre of pixel (0, 0), and how that changes with the column and the row.
    rows, columns : int
    source_column, source_row : float64 [3] mm
        How the start changes with the column and the row.

    """

    source: np.ndarray
    origin: np.ndarray
    column: np.ndarray
    row: np.ndarray
    rows: int
    columns: int
    source_column: np.ndarray = field(default_factory=lambda: ZERO)
    source_row: np.ndarray = field(default_factory=lambda: ZERO)

    @classmethod
    def around(cls, corners_mm: np.ndarray, pixels: int) -> View:
        """A square view that holds some points, from a direction along no axis, ten of their sizes away."""
        centre = 0.5 * (corners_mm.min(axis=0) + corners_mm.max(axis=0))
        size = float(np.linalg.norm(corners_mm.max(axis=0) - corners_mm.min(axis=0))) or 1.0
        turn = rotation_matrix((33.0, 21.0, 11.0))
        step = 1.3 * size / pixels
        origin = np.array([-0.5 * step * (pixels - 1), -0.5 * step * (pixels - 1), 11 * size])
        source = centre - turn @ np.array([0.0, 0.0, 10 * size])
        return cls(source, turn @ origin, step * turn[:, 0], step * turn[:, 1], pixels, pixels)

    @property
    def is_parallel(self) -> bool:
        """Whether every ray has the same direction."""
        return not (self.column.any() or self.row.any())

    @property
    def is_line_scan(self) -> bool:
        """Whether the source moves from row to row, and the direction depends on the column alone."""
        return bool(self.column.any()) and not self.row.any()

    def with_margin(self, rows: int, columns: int) -> View:
        """The same view with a frame of so many rows and columns around it."""
        return replace(
            self,
            source=self.source - columns * self.source_column - rows * self.source_row,
            origin=self.origin - columns * self.column - rows * self.row,
            rows=self.rows + 2 * rows,
            columns=self.columns + 2 * columns,
        )

    def from_point(self, shift_mm: np.ndarray) -> View:
        """The same pixels seen from a point beside the source, float64 [3] mm away from it."""
        return replace(self, source=self.source + shift_mm, origin=self.origin - shift_mm)

    def refined(self, subpixels: int) -> View:
        """The same pixels, each of them cut into subpixels x subpixels smaller ones."""
        column, row = self.column / subpixels, self.row / subpixels
        source_column, source_row = self.source_column / subpixels, self.source_row / subpixels
        back = 0.5 * (subpixels - 1)
        return View(
            self.source - back * (source_column + source_row), self.origin - back * (column + row), column, row,
            self.rows * subpixels, self.columns * subpixels, source_column, source_row,
        )  # fmt: skip

    @property
    def directions(self) -> np.ndarray:
        """Origin, column and row steps of the direction as float64 [9], the kernels' layout."""
        return np.concatenate([self.origin, self.column, self.row])

    @property
    def rays(self) -> np.ndarray:
        """Source and its steps, origin and its steps as float64 [18], the kernels' layout."""
        return np.concatenate([self.source, self.source_column, self.source_row, self.directions])

    @property
    def _frame(self) -> np.ndarray:
        """Float64 [3, 3]: how a point moves with the way along the ray, the column and the row."""
        column = self.source_column if self.is_parallel else self.column
        return np.stack([self.origin, column, self.source_row if self.row_is_affine else self.row], axis=1)

    @property
    def row_is_affine(self) -> bool:
        """Whether the row of a point does not depend on its distance from the source."""
        return self.is_parallel or self.is_line_scan

    @functools.cached_property
    def normal(self) -> np.ndarray:
        """Unit vector across the detector plane, away from the source, float64 [3]."""
        _, column, row = self._frame.T
        normal = cross(column, row)
        return np.asarray(normal * np.sign(self.origin @ normal) / np.linalg.norm(normal))

    @functools.cached_property
    def axis_distance_mm(self) -> float:
        """Distance of the source from the detector plane [mm]."""
        _, column, row = self._frame.T
        normal = cross(column, row)
        return float(abs(self.origin @ normal) / np.linalg.norm(normal))

    @property
    def to_middle(self) -> np.ndarray:
        """From the source to the middle of the image, float64 [3] mm."""
        return self.origin + 0.5 * (self.columns - 1) * self.column + 0.5 * (self.rows - 1) * self.row

    @property
    def middle_share(self) -> float:
        """Fluence in the middle of the image, of that where the detector plane is nearest: cos(a) / r^2."""
        return float(self.axis_distance_mm / np.linalg.norm(self.to_middle)) ** 3

    @functools.cached_property
    def homography(self) -> np.ndarray:
        """World point to (fraction, u, v), float64 [3, 4].

        The fraction is 0 at the source and 1 on the detector. The column is u / fraction, or u in a parallel beam; the
        row is v / fraction, or v in a parallel beam and along a line scan.
        """
        a, b, c = self._frame.T
        inverse = np.stack([cross(b, c), cross(c, a), cross(a, b)]) / (a * cross(b, c)).sum()
        return np.concatenate([inverse, -(inverse * self.source).sum(axis=1)[:, None]], axis=1)

    @property
    def handedness(self) -> float:
        """Sign of the determinant of the homography: +1 where columns, rows and rays are right-handed."""
        a, b, c = self._frame.T
        return float(np.sign((a * cross(b, c)).sum()))

    def project(self, points_mm: np.ndarray) -> np.ndarray:
        """Points [..., 3] mm to (fraction, u, v), float64 [..., 3]; see ``homography``."""
        h = self.homography
        return np.asarray(turned(np.asarray(points_mm), h[:, :3].T) + h[:, 3])

    def homogeneous(self, points_mm: np.ndarray) -> np.ndarray:
        """Points [..., 3] mm to (w, w column, w row), float64 [..., 3]; w is the fraction, or 1 in a parallel beam."""
        points = self.project(points_mm)
        if self.is_parallel:
            points[..., 0] = 1.0
        return points

    @property
    def near_fraction(self) -> float:
        """Nearest to the source that a surface is met; a parallel beam has no nearest."""
        return -1e9 if self.is_parallel else NEAR_FRACTION

    def pixels_of(self, points_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Fraction, column and row of points [..., 3] mm in front of the source."""
        fraction, u, v = np.moveaxis(self.project(points_mm), -1, 0)
        return fraction, u if self.is_parallel else u / fraction, v if self.row_is_affine else v / fraction

    def pixel_windows(self, corners_mm: np.ndarray) -> np.ndarray:
        """Pixels that convex hulls of world points [..., point, 3] may cover, int32 [..., 4].

        column0, row0, column1, row1, inclusive. The whole image where a corner is not in front of the source; empty
        (the end before the begin) beside it.
        """
        fraction, u, v = np.moveaxis(self.project(corners_mm), -1, 0)
        behind = fraction.min(axis=-1) <= self.near_fraction
        safe = np.where(behind[..., None], 1.0, fraction)
        column, row = u if self.is_parallel else u / safe, v if self.row_is_affine else v / safe
        windows = np.stack([
            np.clip(np.floor(column.min(axis=-1)), 0, self.columns), np.clip(np.floor(row.min(axis=-1)), 0, self.rows),
            np.clip(np.ceil(column.max(axis=-1)), -1, self.columns - 1),
            np.clip(np.ceil(row.max(axis=-1)), -1, self.rows - 1),
        ], axis=-1)  # fmt: skip
        windows[behind] = (0, 0, self.columns - 1, self.rows - 1)
        return windows.astype(np.int32)

    def seen_from(self, rotation: np.ndarray, position_mm: np.ndarray) -> View:
        """The same rays in the frame of a body with that pose."""
        vectors = self.rays.reshape(6, 3).copy()
        vectors[0] -= position_mm
        source, source_column, source_row, origin, column, row = turned(vectors, rotation)
        return View(source, origin, column, row, self.rows, self.columns, source_column, source_row)
