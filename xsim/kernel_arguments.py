"""Argument layouts of the kernels: the NumPy side of the structs in ``kernels/*.h``.

Field order and types repeat the C side; the loader compares the sizes. A pointer is a 64-bit address.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

POINTER = np.dtype("u8")
VEC3D = np.dtype(("f8", 3))
RAYS = np.dtype(("f8", 18))  # source, source_column, source_row, origin, column, row
DIRECTIONS = np.dtype(("f4", 9))  # origin, column, row


def layout(pointers: str, *fields: tuple[str, object]) -> np.dtype:
    """Aligned record: the named pointers, then the fields."""
    return np.dtype([(name, POINTER) for name in pointers.split()] + list(fields), align=True)


HOMOGRAPHY = np.dtype([("m", "f8", 12), ("divides_column", "i4"), ("divides_row", "i4")], align=True)
WINDOW = np.dtype(("i4", 4))  # column0, row0, column1, row1, inclusive
TILING = np.dtype([(name, "i4") for name in
                   ("columns", "rows", "tile_rows", "tile_columns", "tile_grid_columns")])  # fmt: skip
SOLID = layout(
    "",
    ("rays", RAYS), ("size", VEC3D), ("reference_fraction", "f8"), ("window", WINDOW),
    ("kind", "i4"), ("body", "i4"), ("hole", "i4"),
)  # fmt: skip
SURFACE = layout(
    "vertices screen depths faces planes normals offsets spheres windows",
    ("homography", HOMOGRAPHY), ("rays", RAYS),
    ("reference_fraction", "f8"), ("near_fraction", "f8"), ("handedness", "f8"), ("first", "i8"),
    ("first_vertex", "i8"), ("vertex_count", "i8"),
    ("window", WINDOW), ("body", "i4"), ("is_line_scan", "i4"), ("flat_extent", "i4"),
)  # fmt: skip
VOLUME = layout(
    "voxels reaches label_materials hinges densities entry_materials",
    ("rays", RAYS), ("reference_fraction", "f8"), ("size", ("i8", 3)), ("window", WINDOW),
    ("voxel_type", "i4"), ("body", "i4"), ("hinge_count", "i4"), ("entry_count", "i4"),
)  # fmt: skip
RESOLVED = layout("faults faulty_bodies materials any_fault", ("image_columns", "i8"), ("fault_length_mm", "f4"))
DRAWING = layout(
    "surfaces solids cluster_starts cluster_list solid_starts solid_list volumes",
    ("surface_count", "i4"), ("volume_count", "i4"),
)  # fmt: skip
BEAM = layout(
    "attenuation signal_weights variance_weights",
    ("axis_distance_mm", "f4"), ("energies", "i4"), ("materials", "i4"), ("classes", "i4"),
)  # fmt: skip
_BINS = layout(
    "surfaces solids cursors spans list",
    ("primitives", "i8"), ("surface_count", "i4"), ("chunk", "i4"), ("tiles", "i4"), ("tiling", TILING),
)  # fmt: skip

RECORDS = {"solid": SOLID, "surface": SURFACE, "volume": VOLUME}
ARGUMENTS = {
    "project_vertices": layout("surfaces outside", ("vertex_count", "i8"), ("surface_count", "i4")),
    "count_bins": _BINS,
    "fill_bins": _BINS,
    "project_scene": layout(
        "floats integers active",
        ("apart", DRAWING), ("together", DRAWING), ("resolved", RESOLVED), ("beam", BEAM),
        *((name, POINTER) for name in ("labels_of_rank", "lengths", "labels", "signal", "variance", "deepest")),
        ("view", DIRECTIONS), ("stride", "i8"), ("pixels", "i8"), ("slots", "i4"), ("tiling", TILING),
    ),
    "draw_quanta": layout("signal variance light", ("seed", "u8"), ("pixels", "i8"), ("frame", "u4")),
    "draw_photons": layout(
        "light drawn", ("seed", "u8"), ("pixels", "i8"), ("frame", "u4"), ("photons_per_kev", "f4")
    ),
    "spread_light": layout(
        "light kernels radii spread", *((name, "i4") for name in ("rows", "columns", "radius", "margin", "classes"))
    ),
    "spread_mirrored": layout(
        "light quadrants radii spread", *((name, "i4") for name in ("rows", "columns", "radius", "margin", "classes"))
    ),
    "spread_along": layout(
        "light weights spread", ("plane", "i8"),
        *((name, "i4") for name in ("rows", "columns", "radius", "stride", "step", "classes")),
    ),
    "read_out": layout(
        "light mean_light noisy clean noise expected valid",
        ("seed", "u8"), ("pixels", "i8"), ("frame", "u4"),
        ("gain", "f4"), ("offset", "f4"), ("read_noise", "f4"), ("saturation", "f4"),
        ("step", "f4"), ("inverse_step", "f4"), ("clean_step", "f4"), ("inverse_clean_step", "f4"),
        ("clean_limit", "f4"),
    ),
    "read_electrons": layout(
        "light gain_map dark_map offset_map flicker_map row_noise column_noise total valid",
        ("seed", "u8"), ("pixels", "i8"), ("pattern", "i8"), ("columns", "i4"), ("exposures", "i4"), ("frame", "u4"),
        ("is_counted", "i4"), ("is_digitised", "i4"),
        ("electrons_per_kev", "f4"), ("dark", "f4"), ("full_well", "f4"), ("read_noise", "f4"),
        ("adu_per_electron", "f4"), ("offset", "f4"), ("saturation", "f4"),
    ),
    "find_uniform_bricks": layout(
        "voxels uniform values", ("size", ("i8", 3)), ("bytes", "i4"), ("halo", "i4")
    ),
    "random_words": layout("counters words", ("seed", "u8")),
    "evaluate": layout("x y", ("function", "i4")),
}  # fmt: skip


def pack_arguments(kernel: str, values: Mapping[str, Any]) -> np.ndarray:
    """One record of the kernel's argument layout; arrays become their addresses, a mapping fills a nested record."""
    record = np.zeros((), ARGUMENTS[kernel])
    fill_record(record, values, kernel)
    return record


def fill_record(record: np.ndarray, values: Mapping[str, Any], name: str) -> None:
    """Fill every field of a record by name; a pointer field takes an array, or None for a null pointer."""
    names = record.dtype.names or ()
    if set(values) != set(names):
        raise TypeError(f"{name}: missing or unknown arguments {sorted(set(values) ^ set(names))}")
    for field, value in values.items():
        if isinstance(value, Mapping):
            fill_record(record[field], value, f"{name}.{field}")
        elif value is not None:
            is_pointer = record[field].ndim == 0 and getattr(value, "ndim", 0) > 0
            record[field] = address(value) if is_pointer else value


def address(array: Any) -> int:
    """Address of a contiguous NumPy or CuPy array."""
    if not array.flags.c_contiguous:
        raise TypeError("kernel arguments must be contiguous arrays")
    if isinstance(array, np.ndarray):
        return int(array.__array_interface__["data"][0])
    return int(array.data.ptr)
