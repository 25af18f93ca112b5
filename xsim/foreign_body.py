"""Bodies to insert into an image: their tables, their places by pixel or at random, the part of the view they meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xsim.errors import SceneError
from xsim.geometry import View, rotation_angles
from xsim.scene import Scene
from xsim.scene_file import scene_from_dict

__all__ = ["Window", "cropped", "place_bodies", "point_at", "window_of"]

Window = tuple[int, int, int, int]  # first row, stop row, first column, stop column
TRIES = 200
GAP_PX = 2
OWN = ("at", "class", "depth_mm", "rotation_deg")


def place_bodies(
    bodies: Sequence[Mapping[str, Any]], station: Scene, seed: int, region: tuple[slice, slice] | None = None
) -> Scene:
    """The station with these bodies and no others.

    Parameters
    ----------
    bodies : sequence of mapping
        [[body]] tables of a scene file. Besides, ``at = [row, column]`` is the pixel that the body's origin is seen in,
        at ``depth_mm`` along z (0 of the world's origin); without ``at`` and ``position_mm`` a place is drawn, wholly
        in the image and apart from the bodies before. ``rotation_deg = "random"`` is drawn too.
    station : Scene
    seed : int
    region : two slices, optional
        Rows and columns that places are drawn from.

    Raises
    ------
    SceneError
        A table that is none, or no room.

    """
    words, view, taken = np.random.Philox(key=[seed, len(bodies)]), station.view, []
    bare = station.model_dump(exclude_none=True, exclude={"body", "defect", "second_exposure"})
    bare["detector"].pop("second_layer", None)
    bare["detector"].pop("preset", None)
    placed: list[dict[str, Any]] = []
    for number, body in enumerate(bodies):
        table = {key: value for key, value in body.items() if key not in OWN}
        turn = body.get("rotation_deg", (0.0, 0.0, 0.0))
        table["rotation_deg"] = random_turn(words) if isinstance(turn, str) and turn == "random" else turn
        depth = float(body.get("depth_mm", 0.0))
        if "at" in body:
            table["position_mm"] = point_at(view, body["at"], depth)
        if "position_mm" in table:
            placed.append(table)
            taken.append(window_of(one_body(bare, table, station), view))
            continue
        place, window = draw_place(bare, table, station, words, depth, region, taken, number)
        placed.append({**table, "position_mm": place})
        taken.append(window)
    scene = scene_from_dict({**bare, "body": placed}, station.directory)
    return scene


def one_body(bare: Mapping[str, Any], table: Mapping[str, Any], station: Scene) -> Scene:
    """The station with one body."""
    return scene_from_dict({**bare, "body": [dict(table)]}, station.directory)


def draw_place(
    bare: Mapping[str, Any], table: Mapping[str, Any], station: Scene, words: np.random.Philox, depth_mm: float,
    region: tuple[slice, slice] | None, taken: Sequence[Window], number: int,
) -> tuple[tuple[float, float, float], Window]:  # fmt: skip
    """A place for a body, and the window it then takes."""
    view = station.view
    rows, columns = region or (slice(0, view.rows), slice(0, view.columns))
    middle = 0.5 * (rows.start + rows.stop - 1), 0.5 * (columns.start + columns.stop - 1)
    there = point_at(view, middle, depth_mm)
    scene = one_body(bare, {**table, "position_mm": there}, station)
    corners = scene.corners(scene.bodies[0])
    for _ in range(TRIES):
        u, v = uniform(words, 2)
        at = rows.start + u * (rows.stop - rows.start) - 0.5, columns.start + v * (columns.stop - columns.start) - 0.5
        place = point_at(view, at, depth_mm)
        window = window_around(corners + (np.array(place) - np.array(there)), view)
        inside = rows.start <= window[0] and window[1] <= rows.stop
        inside = inside and columns.start <= window[2] and window[3] <= columns.stop
        if inside and not any(overlap(window, other) for other in taken):
            return place, window
    raise SceneError(
        f"no place found for body {number + 1} (none of {TRIES} was wholly in the image and apart from the others) "
        "make it smaller, insert fewer, or say where with at"
    )


def uniform(words: np.random.Philox, count: int) -> np.ndarray:
    """Float64 in [0, 1), 53 bits."""
    return np.asarray((words.random_raw(count) >> np.uint64(11)) * 2.0**-53)


def random_turn(words: np.random.Philox) -> tuple[float, float, float]:
    """Angles of a rotation drawn uniformly (Shoemake 1992) [degree], to 1e-6."""
    u, v, w = uniform(words, 3)
    a, b = np.sqrt(1.0 - u), np.sqrt(u)
    x, y, z, s = (a * np.sin(2 * np.pi * v), a * np.cos(2 * np.pi * v), b * np.sin(2 * np.pi * w),
                  b * np.cos(2 * np.pi * w))  # fmt: skip
    matrix = np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * s), 2 * (x * z + y * s)],
        [2 * (x * y + z * s), 1 - 2 * (x * x + z * z), 2 * (y * z - x * s)],
        [2 * (x * z - y * s), 2 * (y * z + x * s), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip
    angles = rotation_angles(matrix)
    return round(angles[0], 6), round(angles[1], 6), round(angles[2], 6)


def point_at(view: View, at: Sequence[float], depth_mm: float = 0.0) -> tuple[float, float, float]:
    """World point seen in a pixel (row, column), in the plane along the detector at z = ``depth_mm``; to 1e-6 mm."""
    try:
        row, column = (float(number) for number in at)
    except (TypeError, ValueError):
        raise SceneError(f"at = {at!r} is no place (a row and a column of the image) write [row, column]") from None
    if not (-0.5 <= row <= view.rows - 0.5 and -0.5 <= column <= view.columns - 0.5):
        raise SceneError(
            f"at = [{row:g}, {column:g}] lies outside the image ({view.rows} rows, {view.columns} columns) move it"
        )
    fraction = float(view.project(np.array([0.0, 0.0, depth_mm]))[0])
    if not 0.0 < fraction < 1.0 and not view.is_parallel:
        raise SceneError(f"depth_mm = {depth_mm:g} is not between source and detector (z runs to the detector) move it")
    start = view.source + row * view.source_row + column * view.source_column
    x, y, z = start + fraction * (view.origin + row * view.row + column * view.column)
    return round(float(x), 6), round(float(y), 6), round(float(z), 6)


def window_around(corners_mm: np.ndarray, view: View, margin: int = 0) -> Window:
    """Rows and columns of a view that a hull may be seen in, not cut at its edges."""
    wide = max(view.rows, view.columns) + margin
    column0, row0, column1, row1 = (
        int(v) - wide for v in view.with_margin(wide, wide).pixel_windows(np.asarray(corners_mm))
    )
    return row0 - margin, row1 + 1 + margin, column0 - margin, column1 + 1 + margin


def window_of(scene: Scene, view: View, margin: int = 0) -> Window:
    """The same of all bodies of a scene."""
    windows = np.array([window_around(scene.corners(body), view, margin) for body in scene.bodies])
    return (int(windows[:, 0].min()), int(windows[:, 1].max()), int(windows[:, 2].min()), int(windows[:, 3].max()))


def overlap(one: Window, other: Window) -> bool:
    """Whether two windows come nearer than two pixels."""
    return (
        one[0] < other[1] + GAP_PX and other[0] < one[1] + GAP_PX
        and one[2] < other[3] + GAP_PX and other[2] < one[3] + GAP_PX
    )  # fmt: skip


def cropped(view: View, window: Window) -> View:
    """The part of a view in a window, which may reach over its edges."""
    row, stop_row, column, stop_column = window
    return replace(
        view, source=view.source + row * view.source_row + column * view.source_column,
        origin=view.origin + row * view.row + column * view.column, rows=stop_row - row, columns=stop_column - column,
    )  # fmt: skip
