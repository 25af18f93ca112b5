"""Voxel volumes: what a scene file can say of them, and what their values mean."""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike
from pydantic import ConfigDict, Field, PrivateAttr, field_serializer, field_validator, model_validator

from xsim import material
from xsim.errors import VolumeError
from xsim.material import Material
from xsim.primitive import PosedBody
from xsim.schema import NonNegative, Number, Positive, StrictModel

__all__ = ["Densities", "Labels", "MixtureRow", "Volume", "VolumeBody"]

NOTHING = "nothing"
HIGHEST_LABEL = 65535
MOST_ROWS = 16  # of a table of mixtures, as MOST_HINGES + 1 of the kernels
Spec: TypeAlias = str | dict[str, object]
Whole = Annotated[int, Field(strict=True, gt=0)]


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels on a regular grid.

    Attributes
    ----------
    voxels : array [slice, row, column]
        uint8, uint16, int16, float16 or float32, C order; z, y, x of the body.
    voxel_mm : tuple of float
        Edges of a voxel along x, y, z.
    slope, intercept : float
        A voxel's value is slope * voxel + intercept.
    name : str
        For messages.
    path : Path or None
        Of the file.

    """

    voxels: np.ndarray
    voxel_mm: tuple[float, float, float]
    slope: float = 1.0
    intercept: float = 0.0
    name: str = "array"
    path: Path | None = None

    @property
    def size(self) -> tuple[int, int, int]:
        """Voxels along x, y, z."""
        slices, rows, columns = self.voxels.shape
        return columns, rows, slices

    @functools.cached_property
    def corners(self) -> np.ndarray:
        """Corners of its box, centred on the origin, float64 [8, 3] mm."""
        half = 0.5 * np.asarray(self.size) * np.asarray(self.voxel_mm)
        return np.asarray(np.where(np.array(list(np.ndindex(2, 2, 2))), half, -half))

    def contains(self, point_mm: np.ndarray) -> bool:
        """Whether a point of its frame lies strictly inside the box."""
        return bool((np.abs(point_mm) < self.corners[-1]).all())

    @functools.cached_property
    def labels_present(self) -> np.ndarray:
        """Every label that some voxel has, ascending, int64."""
        present = np.zeros(HIGHEST_LABEL + 1, bool)
        for page in self._pages():
            low, high = int(page.min()), int(page.max())
            if low < 0:
                raise VolumeError(f"volume {self.name} has the label {low} (labels count from 0) shift them")
            if low == high:
                present[low] = True
            else:
                present[page.ravel()] = True
        return np.flatnonzero(present)

    def check_finite(self) -> None:
        """Refuse NaN and infinities.

        Raises
        ------
        VolumeError
            Where the first of them is.

        """
        if self.voxels.dtype.kind != "f":
            return
        for z, page in enumerate(self._pages()):
            if not math.isfinite(float(page.max()) - float(page.min())):
                y, x = (int(k) for k in np.argwhere(~np.isfinite(page))[0])
                raise VolumeError(
                    f"volume {self.name} has a value that is no number (x, y, z = {x}, {y}, {z}) replace it"
                )

    @functools.cached_property
    def sha256(self) -> str:
        """Of its file, or of the voxels where there is no single file."""
        if self.path is not None and self.path.is_file():
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256()
        for page in self._pages():
            digest.update(page.tobytes())
        return digest.hexdigest()

    def _pages(self) -> Iterator[np.ndarray]:
        return iter(self.voxels)


@dataclass(frozen=True)
class Labels:
    """A material per label, or None for nothing."""

    by_label: Mapping[int, Material | None]

    @property
    def materials(self) -> tuple[Material, ...]:
        """Materials named, each once."""
        return tuple(dict.fromkeys(m for m in self.by_label.values() if m is not None))

    def table(self, places: Mapping[Material, int], dtype: DTypeLike) -> np.ndarray:
        """Place of each label's material, int32 [label]; -1 for nothing."""
        table = np.full(256 if np.dtype(dtype).itemsize == 1 else HIGHEST_LABEL + 1, -1, np.int32)
        for label, found in self.by_label.items():
            if found is not None and label < table.size:
                table[label] = places[found]
        return table

    def check(self, volume: Volume) -> None:
        """Refuse a volume with a label that is not listed.

        Raises
        ------
        VolumeError
            Names the label.

        """
        missing = [int(k) for k in volume.labels_present if int(k) not in self.by_label]
        if missing:
            raise VolumeError(
                f"volume {volume.name} has voxels of label {missing[0]} ({len(missing)} labels are not in labels) "
                f'add {missing[0]} = "a material", or "{NOTHING}"'
            )


@dataclass(frozen=True)
class Densities:
    """Partial densities of some materials by value: piecewise linear between nodes, or one straight line.

    Attributes
    ----------
    materials : tuple of Material
    values : tuple of float
        Nodes, ascending; below the first and above the last the densities stay. Empty for a line.
    densities_g_cm3 : float64 [material, node], or [1, 2] for a line: its density at 0 and its rise per unit of value.
        Below 0 it counts as 0.

    """

    materials: tuple[Material, ...]
    values: tuple[float, ...]
    densities_g_cm3: np.ndarray

    def hinges(self, slope: float, intercept: float) -> tuple[np.ndarray, np.ndarray]:
        """The kernels' tables, for voxels whose value is slope * voxel + intercept.

        Returns
        -------
        hinges : float32 [hinge, 3]
            low, 1 / width, cap: the share of a hinge is min(max((voxel - low) / width, 0), cap).
        densities : float32 [material, 1 + hinge]
            Below the first hinge, then the rise over each, over the material's own density.

        """
        own = np.array([[m.density_g_cm3] for m in self.materials])
        if not self.values:
            start, rise = self.densities_g_cm3[0]
            start, rise = start + rise * intercept, rise * slope
            return np.array([[-start / rise, rise, np.inf]], np.float32), np.array([[0, 1 / own[0, 0]]], np.float32)
        nodes, table = (np.asarray(self.values) - intercept) / slope, self.densities_g_cm3 / own
        if slope < 0:
            nodes, table = nodes[::-1], table[:, ::-1]
        bends = np.stack([nodes[:-1], 1 / np.diff(nodes), np.ones(len(nodes) - 1)], axis=1)
        return bends.astype(np.float32), np.concatenate([table[:, :1], np.diff(table)], axis=1).astype(np.float32)

    def check(self, volume: Volume) -> None:
        """Refuse a volume with values that are no numbers."""
        volume.check_finite()


class MixtureRow(StrictModel):
    """A value, and how much of each material a voxel of that value holds."""

    value: Number
    densities_g_cm3: dict[str, NonNegative]


class VolumeBody(PosedBody):
    """A body of voxels, from a file or an array.

    One of: ``labels`` with a material per label; ``material`` with a density that is a straight line of the value (by
    default the value is the share of the material's own density); ``mixtures``, partial densities by value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    volume: str | np.ndarray
    voxel_mm: Positive | tuple[Positive, Positive, Positive] | None = None
    labels: dict[str, Spec] | None = None
    material: Spec | None = None
    density_scale_g_cm3: Number | None = None
    density_offset_g_cm3: Number = 0.0
    mixtures: Annotated[tuple[MixtureRow, ...], Field(min_length=2, max_length=MOST_ROWS)] | None = None
    size_voxels: tuple[Whole, Whole, Whole] | None = None
    voxel_type: str | None = None
    offset_bytes: Annotated[int, Field(strict=True, ge=0)] = 0
    _volume: Volume | None = PrivateAttr(default=None)

    @field_validator("labels", mode="before")
    @classmethod
    def _whole_labels(cls, labels: Any) -> Any:
        if not isinstance(labels, dict):
            return labels
        for key in labels:
            if not (str(key).isdecimal() and int(key) <= HIGHEST_LABEL):
                raise ValueError(f'label {key!r} (labels are 0 to {HIGHEST_LABEL}) write 1 = "water"')
        return {str(int(key)): value for key, value in labels.items()}

    @model_validator(mode="after")
    def _one_meaning(self) -> VolumeBody:
        given = [name for name in ("labels", "material", "mixtures") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"volume has {' and '.join(given) or 'no material'} (its values need one meaning) "
                "give labels, or material, or mixtures"
            )
        line = self.density_scale_g_cm3 is not None or self.density_offset_g_cm3 != 0
        if line and self.material is None:
            raise ValueError("density_scale_g_cm3 and density_offset_g_cm3 go with material (alone) drop them")
        if self.density_scale_g_cm3 == 0 or (self.density_offset_g_cm3 and self.density_scale_g_cm3 is None):
            raise ValueError("density_scale_g_cm3 is missing or 0 (density per unit of value) give the rise")
        values = [row.value for row in self.mixtures or ()]
        if any(b <= a for a, b in itertools.pairwise(values)):
            raise ValueError(f"values of mixtures do not ascend ({values}) put the rows in order")
        return self

    @field_serializer("volume", when_used="json")
    def _name_of_volume(self, volume: str | np.ndarray) -> str:
        return volume if isinstance(volume, str) else f"array {list(volume.shape)} {volume.dtype}"

    @property
    def title(self) -> str:
        """Its file's name, or "array"."""
        return self.volume if isinstance(self.volume, str) else "array"

    def materials(self) -> tuple[Spec, ...]:
        """Materials its voxels may hold."""
        if self.material is not None:
            return (self.material,)
        if self.labels is not None:
            return tuple(spec for spec in self.labels.values() if spec != NOTHING)
        return tuple(dict.fromkeys(name for row in self.mixtures or () for name in row.densities_g_cm3))

    def contents(self) -> Labels | Densities:
        """What its values mean.

        Raises
        ------
        MaterialError
            An unknown material.

        """
        if self.labels is not None:
            kinds = {int(k): None if v == NOTHING else material.resolve(v) for k, v in self.labels.items()}
            return Labels(kinds)
        found = tuple(material.resolve(spec) for spec in self.materials())
        if self.mixtures is None:
            rise = found[0].density_g_cm3 if self.density_scale_g_cm3 is None else self.density_scale_g_cm3
            return Densities(found, (), np.array([[self.density_offset_g_cm3, rise]]))
        rows = [[row.densities_g_cm3.get(str(name), 0.0) for row in self.mixtures] for name in self.materials()]
        return Densities(found, tuple(row.value for row in self.mixtures), np.array(rows))
