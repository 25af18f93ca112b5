"""Where source and detector stand, and the rays from one to the other."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from pydantic import model_validator

from xsim.geometry import View, rotation_matrix
from xsim.schema import Number, Positive, StrictModel

__all__ = ["Geometry", "panel"]

Vector: TypeAlias = tuple[Number, Number, Number]
#: Least cosine at which the middle of the detector may be met: 0.6 degree from edge-on.
LEAST_COSINE = 0.01


class Geometry(StrictModel):
    """Source and detector: two distances along z, or their positions; a turn of the detector; the kind of beam.

    With positions, ``sod_mm`` and ``sdd_mm`` are the distances of the source from the world's origin and from the
    detector's middle. The detector's rotation is about its middle and x, then y, then z, fixed axes; unrotated, its
    columns run along x, its rows along y and its back faces z.
    """

    sod_mm: Positive = 500.0
    sdd_mm: Positive = 1000.0
    source_position_mm: Vector | None = None
    detector_position_mm: Vector | None = None
    detector_rotation_deg: Vector = (0.0, 0.0, 0.0)
    beam: Literal["cone", "parallel"] = "cone"
    beam_direction: Vector | None = None

    @model_validator(mode="before")
    @classmethod
    def _distances_from_positions(cls, data: Any) -> Any:
        """Fill in the distances that positions imply; a vector that is none is left for the fields to refuse."""
        if not isinstance(data, dict):
            return data
        try:
            source, detector = (
                None if data.get(key) is None else np.asarray(data[key], np.float64).reshape(3)
                for key in ("source_position_mm", "detector_position_mm")
            )
        except (TypeError, ValueError):
            return data
        if source is None or detector is None or data.get("beam") == "parallel":
            return data
        distances = {"sod_mm": source, "sdd_mm": detector - source}
        for key, way in distances.items():
            follows, given = float(np.linalg.norm(way)), data.get(key)
            if given is not None and isinstance(given, int | float) and abs(given - follows) > 1e-6 * follows:
                raise ValueError(f"{key} = {given:g} does not fit the positions ({follows:.6g} mm apart) leave it out")
            if follows > 0:
                data = {**data, key: follows}
        return data

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> Geometry:
        if self.beam == "parallel":
            if self.source_position_mm is not None:
                raise ValueError("a parallel beam has no source_position_mm (its source is far away) leave it out")
            if self.beam_direction is not None and not any(self.beam_direction):
                raise ValueError("beam_direction has no length (0, 0, 0) give a direction")
        elif self.beam_direction is not None:
            raise ValueError('beam_direction goes with a parallel beam (beam = "cone") say beam = "parallel"')
        elif (self.source_position_mm is None) != (self.detector_position_mm is None):
            raise ValueError("one of source_position_mm and detector_position_mm is missing (they go together) add it")
        return self

    @model_validator(mode="after")
    def _detector_faces_the_beam(self) -> Geometry:
        if self.detector_position_mm is None and self.sdd_mm <= self.sod_mm:
            raise ValueError(
                f"detector is not behind the object (sdd_mm = {self.sdd_mm:g}, sod_mm = {self.sod_mm:g}) "
                "use an sdd_mm greater than sod_mm"
            )
        way = self.direction if self.beam == "parallel" else self.detector_mm - self.source_mm
        length = float(np.linalg.norm(way))
        if length == 0:
            raise ValueError("source and detector are in one place (both positions are the same) move one")
        cosine = float(way @ self.detector_axes[2]) / length
        if cosine < LEAST_COSINE:
            what = "stands edge-on to" if cosine > -LEAST_COSINE else "turns its back on"
            angle = np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))
            raise ValueError(f"the detector {what} the beam (at {angle:.4g} degree) change detector_rotation_deg")
        return self

    @property
    def source_mm(self) -> np.ndarray:
        """Place of the source, float64 [3]; in a parallel beam a plane through it counts as where rays begin."""
        if self.beam == "parallel":
            return self.detector_mm - self.sdd_mm * self.direction
        return np.asarray(self.source_position_mm or (0.0, 0.0, -self.sod_mm), np.float64)

    @property
    def detector_mm(self) -> np.ndarray:
        """Middle of the detector, float64 [3]."""
        return np.asarray(self.detector_position_mm or (0.0, 0.0, self.sdd_mm - self.sod_mm), np.float64)

    @property
    def detector_axes(self) -> np.ndarray:
        """Unit vectors along the detector's columns, along its rows, and away from the beam, float64 [3, 3]."""
        return rotation_matrix(self.detector_rotation_deg).T

    @property
    def direction(self) -> np.ndarray:
        """Unit vector of a parallel beam; by default the detector's normal."""
        if self.beam_direction is None:
            return np.asarray(self.detector_axes[2])
        way = np.asarray(self.beam_direction, np.float64)
        return np.asarray(way / np.linalg.norm(way))


def panel(geometry: Geometry, rows: int, columns: int, pitch_mm: float) -> View:
    """Rays of a flat panel at its pose, from a point source or in a parallel beam.

    In a parallel beam each ray begins ``sdd_mm`` before its pixel, so that inverse square to that distance gives the
    fluence of the whole beam.
    """
    along_column, along_row, _ = pitch_mm * geometry.detector_axes
    corner = geometry.detector_mm - 0.5 * (columns - 1) * along_column - 0.5 * (rows - 1) * along_row
    if geometry.beam == "parallel":
        way, still = geometry.sdd_mm * geometry.direction, np.zeros(3)
        return View(corner - way, way, still, still, rows, columns, along_column, along_row)
    return View(geometry.source_mm, corner - geometry.source_mm, along_column, along_row, rows, columns)
