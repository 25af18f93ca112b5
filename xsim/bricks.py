"""What the kernels follow through a volume: its record, and the map of bricks that hold one value.

A brick is 8 x 8 x 8 voxels. Where it and all bricks around it hold one value they are crossed in one step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from scipy.ndimage import distance_transform_cdt, maximum_filter, minimum_filter

from xsim.backend import Backend
from xsim.geometry import View
from xsim.kernel_arguments import address
from xsim.material import Material
from xsim.volume import Densities, Labels, Volume

__all__ = ["BRICK", "VolumeRecord", "brick_reaches", "volume_record"]

BRICK = 8
FARTHEST = 255  # bricks
VOXEL_TYPES = {"uint8": 0, "uint16": 1, "int16": 2, "float16": 3, "float32": 4}


@dataclass(frozen=True)
class VolumeRecord:
    """A volume as the kernels see it. Holds every array that the record points to.

    ``fields`` are those of ``kernel_arguments.VOLUME``.
    """

    fields: dict[str, Any]
    held: tuple[Any, ...]


def volume_record(
    volume: Volume, contents: Labels | Densities, seen: View, materials: Mapping[Material, int], backend: Backend
) -> VolumeRecord:
    """Record of a volume centred on the origin of the frame it is seen in.

    Parameters
    ----------
    volume : Volume
    contents : Labels or Densities
        What its values mean.
    seen : View
        Rays in the volume's own frame, mm.
    materials : mapping of Material to int
        Place of each in the images of path lengths.
    backend : Backend

    Returns
    -------
    VolumeRecord
        Without place among others: rank 0, depths from the start of the ray, the whole image as its window.

    """
    xp = backend.xp
    voxels = backend.constant(volume.voxels)
    reaches = brick_reaches(volume, isinstance(contents, Densities), backend)
    tables: dict[str, Any] = dict.fromkeys(("label_materials", "hinges", "densities", "entry_materials"))
    hinges = entries = 0
    if isinstance(contents, Labels):
        tables["label_materials"] = xp.asarray(contents.table(materials, volume.voxels.dtype))
    else:
        bends, rises = contents.hinges(volume.slope, volume.intercept)
        entries, hinges = rises.shape[0], rises.shape[1] - 1
        places = np.array([materials[m] for m in contents.materials], np.int32)
        named = (("hinges", bends), ("densities", rises), ("entry_materials", places))
        tables |= {name: xp.asarray(np.ascontiguousarray(table)) for name, table in named}
    arrays = {"voxels": voxels, "reaches": reaches, **tables}
    fields = {
        **{name: 0 if array is None else address(array) for name, array in arrays.items()},
        "rays": voxel_rays(seen, volume),
        "reference_fraction": 0.0,
        "size": volume.size,
        "window": (0, 0, seen.columns - 1, seen.rows - 1),
        "voxel_type": VOXEL_TYPES[volume.voxels.dtype.name],
        "body": 0,
        "hinge_count": hinges,
        "entry_count": entries,
    }
    return VolumeRecord(fields, tuple(arrays.values()))


def voxel_rays(seen: View, volume: Volume) -> np.ndarray:
    """Rays in units of voxels from the volume's corner, float64 [18]."""
    rays = seen.rays.reshape(6, 3) / np.asarray(volume.voxel_mm)
    rays[0] += 0.5 * np.asarray(volume.size)
    return np.asarray(rays.reshape(-1))


#: Of each volume: by whether its values are interpolated and by machine; forgotten with the volume.
_REACHES: WeakKeyDictionary[Volume, dict[tuple[bool, str], Any]] = WeakKeyDictionary()


def brick_reaches(volume: Volume, interpolated: bool, backend: Backend) -> Any:
    """Per brick 0 where its voxels differ, else r: all bricks less than r away hold its one value.

    Where voxels are interpolated the voxels around a brick count as its own. Found once a volume.

    Returns
    -------
    uint8 [brick z, brick y, brick x], in the memory of the backend

    """
    kept = _REACHES.setdefault(volume, {})
    key = (interpolated, backend.name)
    if key not in kept:
        xp, shape = backend.xp, tuple(-(-n // BRICK) for n in volume.voxels.shape)
        uniform, values = xp.zeros(shape, np.uint8), xp.zeros(shape, np.uint32)
        backend.launch(
            "find_uniform_bricks", uniform.size, voxels=backend.constant(volume.voxels), uniform=uniform, values=values,
            size=volume.size, bytes=volume.voxels.dtype.itemsize, halo=interpolated,
        )  # fmt: skip
        reaches = reaches_of(backend.to_numpy(uniform) > 0, backend.to_numpy(values))
        kept[key] = backend.xp.asarray(reaches)
    return kept[key]


def reaches_of(uniform: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Chessboard distance to the nearest brick that is mixed or of another value, uint8 [brick z, y, x]."""
    alike = (minimum_filter(values, 3) == maximum_filter(values, 3)) & (minimum_filter(uniform, 3) > 0)
    if alike.all():
        return np.full(uniform.shape, FARTHEST, np.uint8)
    distance = distance_transform_cdt(alike, "chessboard")
    return np.where(uniform, np.minimum(distance + 1, FARTHEST), 0).astype(np.uint8)
