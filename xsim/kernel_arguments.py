"""Argument layouts of the kernels: the NumPy side of the structs in ``kernels/*.h``.

Field order and types repeat the C side; the loader compares the sizes. A pointer is a 64-bit address.
"""

from __future__ import annotations

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
                   ("columns", "row_begin", "row_end", "tile_rows", "tile_columns", "tile_grid_columns")])  # fmt: skip
SOLID = layout(
    "",
    ("rays", RAYS), ("size", VEC3D), ("reference_fraction", "f8"), ("window", WINDOW),
    ("kind", "i4"), ("body", "i4"), ("hole", "i4"),
)  # fmt: skip
SURFACE = layout(
    "vertices screen faces planes",
    ("homography", HOMOGRAPHY), ("rays", RAYS),
    ("reference_fraction", "f8"), ("near_fraction", "f8"), ("handedness", "f8"), ("first", "i8"),
    ("window", WINDOW), ("body", "i4"),
)  # fmt: skip
VOLUME = layout(
    "voxels reaches label_materials hinges densities entry_materials",
    ("rays", RAYS), ("reference_fraction", "f8"), ("size", ("i8", 3)), ("window", WINDOW),
    ("voxel_type", "i4"), ("body", "i4"), ("hinge_count", "i4"), ("entry_count", "i4"),
)  # fmt: skip
RESOLVED = layout(
    "lengths highest faults faulty_bodies materials volumes", ("view", DIRECTIONS), ("image_pixels", "i8")
)  # fmt: skip
DRAWING = layout(
    "surfaces solids triangle_starts triangle_list solid_starts solid_list volumes",
    ("surface_count", "i4"), ("volume_count", "i4"),
)  # fmt: skip
_BINS = layout(
    "surfaces solids cursors spans list",
    ("primitives", "i8"), ("surface_count", "i4"), ("chunk", "i4"), ("tiles", "i4"), ("rows", "i4"),
    ("tiling", TILING),
)  # fmt: skip
_CROSSINGS = layout("counts starts depths codes", ("drawing", DRAWING), ("tiling", TILING))

RECORDS = {"solid": SOLID, "surface": SURFACE, "volume": VOLUME}
ARGUMENTS = {
    "project_vertices": layout(
        "vertices screen outside", ("homography", HOMOGRAPHY), ("near_fraction", "f8")
    ),
    "count_bins": _BINS,
    "fill_bins": _BINS,
    "count_crossings": _CROSSINGS,
    "fill_crossings": _CROSSINGS,
    "resolve_overlaps": layout(
        "depths codes starts", ("resolved", RESOLVED), ("first_pixel", "i8"), ("columns", "i4")
    ),
    "sum_lengths": layout(
        "sums balances", ("drawing", DRAWING), ("resolved", RESOLVED), ("tiling", TILING)
    ),
    "integrate_spectrum": layout(
        "lengths attenuation signal_weights variance_weights signal variance",
        ("view", DIRECTIONS), ("axis_distance_mm", "f4"),
        ("energies", "i4"), ("materials", "i4"), ("columns", "i4"), ("pixels", "i8"),
    ),
    "draw_quanta": layout("signal variance light", ("seed", "u8"), ("pixels", "i8"), ("frame", "u4")),
    "spread_light": layout(
        "light kernel spread", ("rows", "i4"), ("columns", "i4"), ("radius", "i4")
    ),
    "read_out": layout(
        "light mean_light noisy clean noise expected valid",
        ("seed", "u8"), ("pixels", "i8"), ("frame", "u4"),
        ("gain", "f4"), ("offset", "f4"), ("read_noise", "f4"), ("saturation", "f4"),
        ("step", "f4"), ("inverse_step", "f4"), ("clean_step", "f4"), ("inverse_clean_step", "f4"),
        ("clean_limit", "f4"),
    ),
    "find_uniform_bricks": layout(
        "voxels uniform values", ("size", ("i8", 3)), ("bytes", "i4"), ("halo", "i4")
    ),
    "project_volume": layout(
        "lengths highest", ("volume", VOLUME), ("view", DIRECTIONS), ("image_pixels", "i8"), ("tiling", TILING)
    ),
    "random_words": layout("counters words", ("seed", "u8")),
    "evaluate": layout("x y", ("function", "i4")),
}  # fmt: skip
