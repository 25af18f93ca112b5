"""The table of what was inserted: class, material, size, place, box, contrast and contrast-to-noise ratio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xsim.body_table import describe_bodies
from xsim.real_image import RealImage
from xsim.scene import Scene

__all__ = ["INSTANCE_COLUMNS", "instance_table"]

INSTANCE_COLUMNS = (
    "label", "name", "class", "material", "size_x_mm", "size_y_mm", "size_z_mm", "x_mm", "y_mm", "z_mm", "row",
    "column", "first_row", "stop_row", "first_column", "stop_column", "pixels", "least_transmission", "contrast",
    "contrast_adu", "contrast_to_noise",
)  # fmt: skip


def instance_table(
    scene: Scene, bodies: Sequence[Mapping[str, Any]], labels: np.ndarray, real: RealImage, transmission: np.ndarray,
    added_adu: np.ndarray,
) -> list[dict[str, Any]]:  # fmt: skip
    """A row per body, columns ``INSTANCE_COLUMNS``; None for what a hidden body does not have.

    ``size`` is along the body's own axes. ``contrast_adu`` is the mean change of the grey values under the label,
    negative for a darker body, ``contrast`` its size over the background's signal there, ``contrast_to_noise`` over
    the noise of a pixel there.
    """
    table = []
    for entry, body, given in zip(describe_bodies(scene), scene.bodies, bodies, strict=True):
        corners = body.to_body(scene.corners(body))
        size = np.round(np.ptp(corners, axis=0), 6)
        _, column, row = scene.view.pixels_of(np.asarray(body.position_mm))
        label = entry["label"]
        row_of: dict[str, Any] = dict.fromkeys(INSTANCE_COLUMNS)
        row_of |= {"label": label, "name": entry["name"], "class": given.get("class", entry["class"])}
        row_of |= {"material": entry["material"] if isinstance(entry["material"], str) else str(entry["material"])}
        row_of |= dict(zip(("size_x_mm", "size_y_mm", "size_z_mm"), map(float, size), strict=True))
        row_of |= dict(zip(("x_mm", "y_mm", "z_mm"), body.position_mm, strict=True))
        row_of |= {"row": round(float(row), 3), "column": round(float(column), 3), "pixels": 0}
        seen = labels == label
        if seen.any():
            row_of |= shown(seen, real, transmission, added_adu)
        table.append(row_of)
    return table


def shown(seen: np.ndarray, real: RealImage, transmission: np.ndarray, added_adu: np.ndarray) -> dict[str, Any]:
    """What a body that is seen shows."""
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    signal = real.signal_adu[seen]
    change = float(((transmission[seen].astype(np.float64) - 1.0) * signal + added_adu[seen]).mean())
    level = float(signal.mean())
    variance = float(max(real.noise_law[0] * level, 0.0) + real.noise_law[1])
    return {
        "first_row": int(rows[0]), "stop_row": int(rows[-1]) + 1, "first_column": int(columns[0]),
        "stop_column": int(columns[-1]) + 1, "pixels": int(seen.sum()),
        "least_transmission": round(float(transmission[seen].min()), 6),
        "contrast": round(abs(change) / level, 6) if level > 0 else None, "contrast_adu": round(change, 3),
        "contrast_to_noise": round(abs(change) / variance**0.5, 4) if variance > 0 else None,
    }  # fmt: skip
