"""Poses and rays: where the source, the part and the detector's pixels are.

World frame: origin at the object, z from source to detector, x along columns, y along rows (row 0 at the top, so
y points down in the image). Lengths in mm, angles in degree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xsim.schema import Positive, StrictModel

#: Nearest to the source that a surface may be met, as a fraction of the way to the detector.
NEAR_FRACTION = 1e-6

__all__ = ["NEAR_FRACTION", "Geometry", "View", "rotation_angles", "rotation_matrix"]


class Geometry(StrictModel):
    """Distances of the station: source to object and source to detector [mm]."""

    sod_mm: Positive = 500.0
    sdd_mm: Positive = 1000.0


def rotation_matrix(rotation_deg: tuple[float, float, float]) -> np.ndarray:
    """Rotation about x, then y, then z, fixed axes, right-handed.

    Returns
    -------
    float64 [3, 3]; body coordinates to world coordinates.

    """
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.deg2rad(rotation_deg)), np.sin(np.deg2rad(rotation_deg))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)


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
    """A pinhole view: the ray of pixel (row j, column i) is origin + i column + j row, from the source.

    Attributes
    ----------
    source : float64 [3] mm
        The focal spot.
    origin, column, row : float64 [3] mm
        Source to the centre of pixel (0, 0), and the steps to the next column and row.
    rows, columns : int

    """

    source: np.ndarray
    origin: np.ndarray
    column: np.ndarray
    row: np.ndarray
    rows: int
    columns: int

    @classmethod
    def flat_panel(cls, geometry: Geometry, rows: int, columns: int, pitch_mm: float) -> View:
        """The panel of a station, its centre on the axis."""
        corner = -0.5 * pitch_mm * np.array([columns - 1, rows - 1])
        return cls(
            source=np.array([0.0, 0.0, -geometry.sod_mm]),
            origin=np.array([*corner, geometry.sdd_mm]),
            column=np.array([pitch_mm, 0.0, 0.0]),
            row=np.array([0.0, pitch_mm, 0.0]),
            rows=rows,
            columns=columns,
        )

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

    def with_margin(self, pixels: int) -> View:
        """The same view with a frame of this many pixels around it."""
        origin = self.origin - pixels * (self.column + self.row)
        return View(
            self.source,
            origin,
            self.column,
            self.row,
            self.rows + 2 * pixels,
            self.columns + 2 * pixels,
        )

    def refined(self, subpixels: int) -> View:
        """The same pixels, each of them cut into subpixels x subpixels smaller ones."""
        column, row = self.column / subpixels, self.row / subpixels
        origin = self.origin - 0.5 * (subpixels - 1) * (column + row)
        return View(self.source, origin, column, row, self.rows * subpixels, self.columns * subpixels)

    @property
    def rays(self) -> np.ndarray:
        """Origin, column and row steps as float64 [9], the kernels' layout."""
        return np.concatenate([self.origin, self.column, self.row])

    @property
    def axis_distance_mm(self) -> float:
        """Distance of the source from the detector plane [mm]."""
        normal = np.cross(self.column, self.row)
        return float(abs(self.origin @ normal) / np.linalg.norm(normal))

    @property
    def pixel_area_mm2(self) -> float:
        return float(np.linalg.norm(np.cross(self.column, self.row)))

    @property
    def homography(self) -> np.ndarray:
        """World point to (fraction, fraction * column, fraction * row), float64 [3, 4].

        The fraction is 0 at the source and 1 on the detector.
        """
        inverse = np.linalg.inv(np.stack([self.origin, self.column, self.row], axis=1))
        return np.concatenate([inverse, -(inverse @ self.source)[:, None]], axis=1)

    @property
    def handedness(self) -> float:
        """Sign of the determinant of (origin, column, row): +1 where columns, rows and rays are right-handed."""
        return float(np.sign(self.origin @ np.cross(self.column, self.row)))

    def project(self, points_mm: np.ndarray) -> np.ndarray:
        """Points [..., 3] mm to (fraction, fraction * column, fraction * row), float64 [..., 3]."""
        h = self.homography
        return np.asarray(np.asarray(points_mm) @ h[:, :3].T + h[:, 3])

    def pixel_window(self, corners_mm: np.ndarray) -> tuple[int, int, int, int]:
        """Pixels that a convex hull of world points may cover: column0, row0, column1, row1, inclusive.

        The whole image where a corner is not in front of the source; empty (the end before the begin) beside it.
        """
        fraction, column, row = self.project(corners_mm).T
        if fraction.min() <= NEAR_FRACTION:
            return 0, 0, self.columns - 1, self.rows - 1
        column, row = column / fraction, row / fraction
        return (
            int(np.clip(np.floor(column.min()), 0, self.columns)),
            int(np.clip(np.floor(row.min()), 0, self.rows)),
            int(np.clip(np.ceil(column.max()), -1, self.columns - 1)),
            int(np.clip(np.ceil(row.max()), -1, self.rows - 1)),
        )

    def seen_from(self, rotation: np.ndarray, position_mm: np.ndarray) -> View:
        """The same rays in the frame of a body with that pose."""
        return View(
            (self.source - position_mm) @ rotation, self.origin @ rotation, self.column @ rotation,
            self.row @ rotation, self.rows, self.columns,
        )  # fmt: skip
