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
    check_region(region, station.view)
    words, view = np.random.Philox(key=[seed, len(bodies)]), station.view
    bare = station.model_dump(exclude_none=True, exclude={"body", "defect", "second_exposure"})
    for key in ("second_layer", "preset"):
        bare["detector"].pop(key, None)
    middle = 0.5 * (view.rows - 1), 0.5 * (view.columns - 1)
    tables = [{"position_mm": point_at(view, middle, depth_of(body)), **plain(body, view, words)} for body in bodies]
    scene = scene_from_dict({**bare, "body": tables}, station.directory)
    wanting = [k for k, body in enumerate(bodies) if "at" not in body and "position_mm" not in body]
    taken = [window_around(scene.corners(body), view) for k, body in enumerate(scene.bodies) if k not in wanting]
    for k in wanting:
        there = np.array(tables[k]["position_mm"])
        place, window = draw_place(
            scene.corners(scene.bodies[k]) - there, view, words, depth_of(bodies[k]), region, taken
        )
        if place is None:
            raise SceneError(
                f"no place found for body {k + 1} (none of {TRIES} was wholly in the image and apart from the others) "
                "make it smaller, insert fewer, or say where with at"
            )
        tables[k]["position_mm"] = place
        taken.append(window)
    return scene_from_dict({**bare, "body": tables}, station.directory) if wanting else scene


def check_region(region: tuple[slice, slice] | None, view: View) -> None:
    """Refuse rows and columns that the image does not have."""
    for name, part, length in zip(("rows", "columns"), region or (), (view.rows, view.columns), strict=False):
        if not 0 <= part.start < part.stop <= length:
            raise SceneError(
                f"{name} {part.start}:{part.stop} are not in the image (it has {length}) choose from 0:{length}"
            )


def depth_of(body: Mapping[str, Any]) -> float:
    """Where along z a body's origin is that has no position."""
    depth = body.get("depth_mm", 0.0)
    if isinstance(depth, bool) or not isinstance(depth, int | float):
        raise SceneError(f"depth_mm = {depth!r} is no length (a number of mm along z is needed) give one")
    return float(depth)


def plain(body: Mapping[str, Any], view: View, words: np.random.Philox) -> dict[str, Any]:
    """A [[body]] table as a scene file has it; without a position where one is to be drawn."""
    table = {key: value for key, value in body.items() if key not in OWN}
    turn = body.get("rotation_deg", (0.0, 0.0, 0.0))
    table["rotation_deg"] = random_turn(words) if isinstance(turn, str) and turn == "random" else turn
    if "at" in body:
        table["position_mm"] = point_at(view, body["at"], depth_of(body))
    return table


def draw_place(
    corners_mm: np.ndarray, view: View, words: np.random.Philox, depth_mm: float,
    region: tuple[slice, slice] | None, taken: Sequence[Window],
) -> tuple[tuple[float, float, float] | None, Window]:  # fmt: skip
    """A place for a body of these corners around its origin, and the window it then takes; None where none is found."""
    rows, columns = region or (slice(0, view.rows), slice(0, view.columns))
    window = (0, 0, 0, 0)
    for _ in range(TRIES):
        u, v = uniform(words, 2)
        at = rows.start + u * (rows.stop - rows.start) - 0.5, columns.start + v * (columns.stop - columns.start) - 0.5
        place = point_at(view, at, depth_mm)
        window = window_around(corners_mm + np.array(place), view)
        inside = rows.start <= window[0] and window[1] <= rows.stop
        inside = inside and columns.start <= window[2] and window[3] <= columns.stop
        if inside and not any(overlap(window, other) for other in taken):
            return place, window
    return None, window


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
