"""The instance table of a sample: where each body is, and how well it stands out."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

import xsim
from datagen.scenes import DrawnScene
from datagen.table import INSTANCE_COLUMNS, class_of, material_name

__all__ = ["body_sizes_mm", "contrast", "instance_rows", "label_boxes"]

DECIMALS = 6  # of a millimetre
LEAST_MARGIN = 3  # pixels of surroundings that a small body is compared with


def instance_rows(
    drawn: DrawnScene, image: xsim.Radiograph, words: dict[str, list[str]], placed: np.ndarray
) -> np.ndarray:
    """One row per body of the scene.

    Parameters
    ----------
    drawn : DrawnScene
    image : xsim.Radiograph
    words : dict
        From ``instance_words``.
    placed : bool [label]
        Whether the body of a label was placed inside another: then it is nobody's background.

    Returns
    -------
    float64 [body, column], columns ``INSTANCE_COLUMNS``; NaN for what a hidden body does not have.
    """
    rows = np.full((len(drawn.mapping["body"]), len(INSTANCE_COLUMNS)), np.nan)
    boxes = label_boxes(image.labels, len(rows))
    sizes = body_sizes_mm(drawn)
    for index, body in enumerate(drawn.mapping["body"]):
        rows[index, :4] = (
            index + 1,
            drawn.groups[index],
            words["class"].index(class_of(body)),
            words["material"].index(material_name(body.get("material"))),
        )
        rows[index, 4:7] = body.get("position_mm", (0.0, 0.0, 0.0))
        rows[index, 7:10] = sizes[index]
        pixels = boxes[index, 4]
        rows[index, 14] = pixels
        if pixels:
            rows[index, 10:14] = boxes[index, :4]
            rows[index, 15:17] = contrast(image, index + 1, boxes[index, :4], placed)
        rows[index, 17] = drawn.targets[index]
    return rows


def label_boxes(labels: np.ndarray, count: int) -> np.ndarray:
    """Box around the pixels of each label.

    Parameters
    ----------
    labels : uint16 [row, column]
    count : int
        Labels are 1..count.

    Returns
    -------
    int64 [label - 1, (first row, stop row, first column, stop column, pixels)]
    """
    boxes = np.zeros((count, 5), dtype=np.int64)
    pixels = np.bincount(labels.ravel(), minlength=count + 1)
    for place, found in enumerate(ndimage.find_objects(labels, count)):
        if found is not None:
            rows, columns = found
            boxes[place] = rows.start, rows.stop, columns.start, columns.stop, pixels[place + 1]
    return boxes


def contrast(image: xsim.Radiograph, label: int, box: np.ndarray, placed: np.ndarray) -> tuple[float, float]:
    """Contrast [ADU] of a body against its surroundings, and the same over the noise of one pixel there.

    The surroundings are the pixels near its box that show the label most common there, bodies placed inside others
    aside. Both means are those of ``clean`` over valid pixels; the noise is the camera's, sqrt(a x + b) at the
    surroundings' mean x.

    Returns
    -------
    contrast_adu, contrast_to_noise : float
        The first is negative for a body darker than its surroundings, the second never; NaN without valid pixels of
        the body, or of surroundings.
    """
    first_row, stop_row, first_column, stop_column = (int(edge) for edge in box)
    margin = max(LEAST_MARGIN, (max(stop_row - first_row, stop_column - first_column) + 1) // 2)
    window = np.s_[max(0, first_row - margin) : stop_row + margin, max(0, first_column - margin) : stop_column + margin]
    labels, clean, valid = image.labels[window], image.clean[window], image.valid[window]
    body = (labels == label) & valid
    near = (labels != label) & ~placed[labels] & valid
    if not (near.any() and body.any()):
        return float("nan"), float("nan")
    around = near & (labels == np.bincount(labels[near]).argmax())
    level = float(clean[around].mean(dtype=np.float64))
    difference = float(clean[body].mean(dtype=np.float64)) - level
    variance = image.metadata["a_pixel_adu"] * level + image.metadata["b_adu2"]
    return difference, abs(difference) / variance**0.5 if variance > 0 else float("nan")


def body_sizes_mm(drawn: DrawnScene) -> list[tuple[float, float, float]]:
    """Size of each body along its own x, y and z [mm]."""
    return [_size_mm(body, drawn.scene, index) for index, body in enumerate(drawn.mapping["body"])]


def _size_mm(body: dict[str, Any], scene: xsim.Scene, index: int) -> tuple[float, float, float]:
    shape = class_of(body)
    if shape == "ellipsoid":
        x, y, z = body["radii_mm"]
        return 2.0 * x, 2.0 * y, 2.0 * z
    if shape == "box":
        x, y, z = body["size_mm"]
        return x, y, z
    if shape == "sphere":
        return (2.0 * body["radius_mm"],) * 3
    if shape in ("cylinder", "cone", "tube"):
        return 2.0 * body["radius_mm"], 2.0 * body["radius_mm"], body["height_mm"]
    if shape == "step_wedge":
        return body["step_length_mm"] * len(body["steps_mm"]), body["width_mm"], max(body["steps_mm"])
    # a mesh or a volume: the box around it in its own frame; turned there and back, so rounded as lengths are
    corners = scene.body[index].to_body(scene.corners(scene.body[index]))
    x, y, z = (round(float(length), DECIMALS) for length in np.ptp(corners, axis=0))
    return x, y, z
