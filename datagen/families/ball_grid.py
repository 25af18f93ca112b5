"""Ball grid arrays: solder balls between a board and a package, and what goes wrong with them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from datagen.families.board_part import COPPER_MM, FR4, MOULD, VOID_PRIORITY, Board, add_wires
from datagen.stream import Stream

__all__ = ["BallGrid", "add_ball_grid"]


@dataclass(frozen=True)
class BallGrid:
    """Sizes of a ball grid array [mm]: balls of a pitch, count x count of them, some left out in the middle.

    The standoff is 0.42 of the pitch, balls are 0.6 of it wide, pads 0.48.
    """

    pitch_mm: float
    count: int
    hollow: int = 0

    @property
    def gap_mm(self) -> float:
        """Between the pads of board and package."""
        return 0.42 * self.pitch_mm

    @property
    def radius_mm(self) -> float:
        """Of a ball where it is widest."""
        return 0.3 * self.pitch_mm

    @property
    def size_mm(self) -> float:
        """Edge of the package."""
        return (self.count + 0.5) * self.pitch_mm

    def places(self) -> list[tuple[int, int]]:
        """Rows and columns with a ball."""
        middle = 0.5 * (self.count - 1)
        whole = [(i, j) for i in range(self.count) for j in range(self.count)]
        return [(i, j) for i, j in whole if max(abs(i - middle), abs(j - middle)) >= 0.5 * self.hollow]

    def at(self, place: tuple[int, int]) -> tuple[float, float]:
        """Centre of a ball in the package's frame [mm]."""
        middle = 0.5 * (self.count - 1)
        return (place[1] - middle) * self.pitch_mm, (place[0] - middle) * self.pitch_mm


def add_ball_grid(
    board: Board, stream: Stream, grid: BallGrid, x: float, y: float, faults: dict[str, Any], bonded: bool
) -> None:
    """A package on the source's side: substrate, mould, die, wires, then balls with their faults.

    ``faults``: missing, bridges, oversized (numbers of balls), void_share (of the balls), void_size (diameter over that
    of the ball, at the most).
    """
    side, pads = -1, 0.24 * grid.pitch_mm
    base = grid.gap_mm + COPPER_MM
    size, thick = grid.size_mm, 0.32
    board.parts.add(
        "substrate", "box", FR4, (x, y, board.height(side, base + 0.5 * thick)), size_mm=[size, size, thick]
    )
    copper = (x, y, board.height(side, base + 0.7 * thick))
    board.parts.add("substrate copper", "box", "Cu", copper, size_mm=[0.96 * size, 0.96 * size, 0.018])
    top = base + thick
    mould = (x, y, board.height(side, top + 0.3))
    board.parts.add("mould", "box", MOULD, mould, size_mm=[0.97 * size, 0.97 * size, 0.6])
    die = size * stream.between(0.35, 0.6)
    board.parts.add("die", "box", "Si", (x, y, board.height(side, top + 0.12)), size_mm=[die, die, 0.2])
    if bonded:
        add_wires(board, stream, (x, y), die, top + 0.22, _fingers(stream, x, y, die, size, top))
    states = _states(stream, grid, faults)
    for place, state in states.items():
        dx, dy = grid.at(place)
        at = round(x + dx, 6), round(y + dy, 6)
        board.copper[side].pad(*at, pads)
        _add_ball(board, stream, grid, at, state, faults)
    there = [place for place, state in states.items() if state != "missing"]
    _add_bridges(board, stream, grid, (x, y), there, int(faults["bridges"]))


def _fingers(stream: Stream, x: float, y: float, die: float, size: float, top: float) -> list[np.ndarray]:
    """Ends of the wires around a die."""
    count = min(24, max(6, int(die / 0.12)))
    reach = 0.5 * die + min(0.8, 0.3 * (size - die))
    ends = []
    for edge in range(4):
        for k in range(count):
            along = 1.15 * die * ((k + 0.5) / count - 0.5)
            away = reach + (0.12 if k % 2 else 0.0)
            flat = [(away, along), (along, away), (-away, along), (along, -away)][edge]
            ends.append(np.array([x + flat[0], y + flat[1], top]))
    return ends


def _states(stream: Stream, grid: BallGrid, faults: dict[str, Any]) -> dict[tuple[int, int], str]:
    """What is the matter with each ball: "", "missing", "oversized" or "void"."""
    places = grid.places()
    states = {place: "void" if stream.unit() < faults["void_share"] else "" for place in places}
    for state in ("missing", "oversized"):
        for _ in range(int(faults[state])):
            free = [place for place in places if states[place] not in ("missing", "oversized")]
            if free:
                states[free[stream.below(len(free))]] = state
    return states


def _add_ball(
    board: Board, stream: Stream, grid: BallGrid, at: tuple[float, float], state: str, faults: dict[str, Any]
) -> None:
    wide = grid.radius_mm * (1.35 if state == "oversized" else stream.between(0.96, 1.04))
    # poles reach into the pads, which the ball displaces: a barrel with flat ends, wetted
    tall = 0.5 * grid.gap_mm + 0.6 * COPPER_MM
    middle = board.height(-1, 0.5 * grid.gap_mm)
    radii = [wide, wide, tall]
    if state == "missing":
        board.parts.add(
            "missing ball", "ellipsoid", "air", (*at, middle), target=True, radii_mm=[wide, wide, 0.5 * grid.gap_mm]
        )
        return
    kind = "oversized ball" if state == "oversized" else "ball"
    board.parts.add(kind, "ellipsoid", "solder", (*at, middle), target=state == "oversized", radii_mm=radii)
    if state == "void":
        _add_void(board, stream, (*at, middle), (wide, tall), float(faults["void_size"]))


def _add_void(
    board: Board, stream: Stream, at: tuple[float, float, float], radii: tuple[float, float], most: float
) -> None:
    """A round void wholly inside an ellipsoid: ((r_xy + v) / a)^2 + ((z + v) / c)^2 <= 1 holds for all of it."""
    wide, tall = radii
    radius = min(
        wide * most * math.exp(stream.between(math.log(0.25), 0.0)), 0.95 * wide * tall / math.hypot(wide, tall)
    )
    away = (wide * math.sqrt(1 - (radius / tall) ** 2) - radius) * 0.95 * math.sqrt(stream.unit())
    up = max(0.0, tall * math.sqrt(1 - ((away + radius) / wide) ** 2) - radius) * stream.between(-0.95, 0.95)
    angle = 2 * math.pi * stream.unit()
    place = (at[0] + away * math.cos(angle), at[1] + away * math.sin(angle), at[2] + up)
    board.parts.add("ball void", "sphere", "air", place, priority=VOID_PRIORITY, target=True, radius_mm=radius)


def _add_bridges(
    board: Board, stream: Stream, grid: BallGrid, at: tuple[float, float], places: list[tuple[int, int]], count: int
) -> None:
    """Solder between two neighbours, a pair of balls each."""
    there = set(places)
    ways = [(place, (place[0] + down, place[1] + 1 - down)) for place in places for down in (0, 1)]
    pairs = [pair for pair in ways if pair[1] in there]
    middle = board.height(-1, 0.5 * grid.gap_mm)
    for _ in range(min(count, len(pairs))):
        (row, column), other = pairs.pop(stream.below(len(pairs)))
        (x0, y0), (x1, y1) = grid.at((row, column)), grid.at(other)
        long, short = 0.5 * grid.pitch_mm, grid.radius_mm * stream.between(0.4, 0.75)
        radii = [long, short, 0.4 * grid.gap_mm] if other[0] == row else [short, long, 0.4 * grid.gap_mm]
        place = (at[0] + 0.5 * (x0 + x1), at[1] + 0.5 * (y0 + y1), middle)
        board.parts.add("bridge", "ellipsoid", "solder", place, target=True, radii_mm=radii)
