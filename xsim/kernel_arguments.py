"""Argument layouts of the kernels: the NumPy side of the structs in ``kernels/*.h``.

Field order and types repeat the C side; the loader compares the sizes. A pointer is a 64-bit address.
"""

from __future__ import annotations

import numpy as np

POINTER = np.dtype("u8")
VEC3D = np.dtype(("f8", 3))
PINHOLE_D = np.dtype(("f8", 9))  # origin, column, row
PINHOLE_F = np.dtype(("f4", 9))
HOMOGRAPHY = np.dtype(("f8", 12))


def layout(pointers: str, *fields: tuple[str, object]) -> np.dtype:
    """Aligned record: the named pointers, then the fields."""
    return np.dtype([(name, POINTER) for name in pointers.split()] + list(fields), align=True)


SOLID = layout(
    "",
    ("view", PINHOLE_D), ("source", VEC3D), ("size", VEC3D), ("kind", "i4"), ("body", "i4"),
    ("bounds", ("i4", 4)),
)  # fmt: skip
TRIANGLE = layout(
    "",
    ("x", ("i4", 3)), ("y", ("i4", 3)), ("numerator", ("f4", 3)), ("denominator", ("f4", 3)),
    ("nearest", "f4"), ("farthest", "f4"), ("bounds", ("i4", 4)), ("code", "i4"),
)  # fmt: skip

_CROSSINGS = layout(
    "triangles solids triangle_starts triangle_list solid_starts solid_list counts starts depths codes",
    ("reference_fraction", "f8"), ("columns", "i4"), ("row_begin", "i4"), ("row_end", "i4"),
    ("tile_rows", "i4"), ("tile_columns", "i4"), ("tile_grid_columns", "i4"),
)  # fmt: skip

RECORDS = {"solid": SOLID, "triangle": TRIANGLE}
ARGUMENTS = {
    "project_vertices": layout(
        "vertices screen outside", ("homography", HOMOGRAPHY), ("near_fraction", "f8")
    ),
    "setup_triangles": layout(
        "vertices screen faces planes bodies triangles bounds",
        ("homography", HOMOGRAPHY), ("view", PINHOLE_D), ("source", VEC3D),
        ("reference_fraction", "f8"), ("near_fraction", "f8"), ("handedness", "f8"),
        ("rows", "i4"), ("columns", "i4"),
    ),
    "count_crossings": _CROSSINGS,
    "fill_crossings": _CROSSINGS,
    "resolve_overlaps": layout(
        "depths codes starts materials body_labels lengths labels faults faulty_bodies",
        ("view", PINHOLE_F), ("image_pixels", "i8"), ("first_pixel", "i8"), ("columns", "i4"),
    ),
    "integrate_spectrum": layout(
        "lengths attenuation signal_weights variance_weights signal variance",
        ("view", PINHOLE_F), ("axis_distance_mm", "f4"),
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
    "random_words": layout("counters words", ("seed", "u8")),
    "evaluate": layout("x y", ("function", "i4")),
}  # fmt: skip
