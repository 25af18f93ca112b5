"""Populated circuit boards as a microfocus station sees them."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from manifold3d import CrossSection, FillRule
from pydantic import field_validator

from datagen.families.assembly import Assembly
from datagen.families.ball_grid import BallGrid, add_ball_grid
from datagen.families.board_layout import Floor, ring_of
from datagen.families.board_part import (
    COPPER_MM,
    FR4,
    MATERIALS,
    PASSIVES_MM,
    VOIDS_PER_PAD,
    Board,
    add_header,
    add_leaded,
    add_passive,
    fillets,
)
from datagen.families.family import Angle, Count, DrawnBody, Family, Length, Share, ViewField, Word, leaves, most
from datagen.families.layered import Layer, Layered, rectangle
from datagen.laws import Choice, Integers, LogUniform, Uniform
from datagen.stream import Stream

__all__ = ["CircuitBoard"]

PACKAGES = ("bga", "qfn", "qfp")
MOST_BALLS = 16  # along an edge
MOST_LEADS = 16  # along an edge
MOST_PINS = 6


class CircuitBoard(Family):
    """A multilayer board with a large package, passives on both sides, vias, tracks and planes."""

    family: ClassVar[str] = "circuit_board"
    about: ClassVar[str] = """
        Populated circuit boards of FR4 with two to six copper layers (tracks, pads, planes with clearings, plated
        vias), seen by a microfocus station at a magnification of 5 to 20, straight on or at an angle: a ball grid array
        of up to 256 balls of SAC305, or a chip with lands or gull-wing leads, its die, lead frame, gold wires and mould
        compound; capacitors, resistors and tantalum capacitors with fillets on both sides, and pin headers. Balls have
        voids, are missing, bridged or oversized; the solder under a chip has flat voids. A missing ball is labelled by
        a ball of air.
        """
    kinds: ClassVar[tuple[str, ...]] = (
        "board", "copper", "vias", "substrate", "substrate copper", "mould", "die", "lead frame", "lead", "bond wires",
        "ball", "capacitor", "resistor", "tantalum", "pellet", "termination", "solder joint", "plastic", "pin",
        "barrel", "hole", "ball void", "solder void", "missing ball", "oversized ball", "bridge",
    )  # fmt: skip
    materials: ClassVar[tuple[Any, ...]] = MATERIALS

    package: Word = Choice(choice=PACKAGES, weights=(3, 1, 1))
    package_share: Share = Uniform(uniform=(0.5, 0.9))
    board_mm: Length = Choice(choice=(0.8, 1.0, 1.6))
    layers: Count = Choice(choice=(2, 4, 6))
    tilt_deg: Angle = Choice(choice=(0, Uniform(uniform=(0, 45))))
    ball_pitch_mm: Length = Choice(choice=(0.4, 0.5, 0.65, 0.8, 1.0))
    void_share: Share = Uniform(uniform=(0.0, 0.4))
    void_size: Share = Uniform(uniform=(0.2, 0.55))
    missing_balls: Count = Choice(choice=(0, 1, 2), weights=(3, 1, 1))
    bridges: Count = Choice(choice=(0, 1, 2), weights=(3, 1, 1))
    oversized_balls: Count = Choice(choice=(0, 1, 2, 3), weights=(3, 1, 1, 1))
    pad_void_share: Share = LogUniform(log_uniform=(0.05, 0.4))
    passives: Count = Integers(integers=(4, 16))
    back_passives: Count = Integers(integers=(0, 6))
    vias: Count = Integers(integers=(10, 60))
    tracks: Count = Integers(integers=(10, 40))
    header_pins: Count = Choice(choice=(0, 2, 4), weights=(3, 1, 1))
    hole_fill: Share = Uniform(uniform=(0.5, 1.0))

    @field_validator("package")
    @classmethod
    def _known(cls, value: Any) -> Any:
        for each in leaves(value):
            if each not in PACKAGES:
                raise ValueError(f"{each!r} is no package (known: {', '.join(PACKAGES)})")
        return value

    def most_bodies(self) -> int:
        """Greatest number of bodies in a scene."""
        balls = 5 + 2 * MOST_BALLS**2 + int(most(self.bridges))
        leads = 6 + 4 * 4 * MOST_LEADS + VOIDS_PER_PAD
        passives = 4 * int(most(self.passives) + most(self.back_passives))
        return 10 + max(balls, leads) + passives + 5 * int(most(self.header_pins))

    def bodies(self, values: dict[str, Any], stream: Stream, view: ViewField) -> list[DrawnBody]:
        """The board and its copper, then the parts."""
        half = 0.75 * view.smaller_mm
        pose = _pose(stream, values["tilt_deg"])
        board = Board(Assembly((0, 0, 0), pose), float(values["board_mm"]), {-1: Floor(half), 1: Floor(half)})
        _add_package(board, values, stream, view)
        if values["header_pins"]:
            pins = int(values["header_pins"])
            if place := board.floors[-1].find(stream, 2.54 * pins + 0.5, 3.0):
                board.floors[1].take(*place, 2.54 * pins, 3.0)
                add_header(board, stream, *place, pins, float(values["hole_fill"]))
        for side, count in ((-1, values["passives"]), (1, values["back_passives"])):
            _add_passives(board, stream, side, int(count), view)
        _add_tracks(board, stream, int(values["tracks"]), int(values["vias"]), half)
        return [*_bare_board(board, stream, pose, int(values["layers"]), half), *board.parts.bodies]


def _pose(stream: Stream, tilt_deg: float) -> list[float]:
    """Tilted about an axis in the board's plane, edges within 5 degree of the image's or turned by 45."""
    aim = stream.between(0, 2 * math.pi)
    spin = 90.0 * stream.below(4) + stream.between(-5, 5) + (45.0 if stream.unit() < 0.15 else 0.0)
    return [round(tilt_deg * math.cos(aim), 6), round(tilt_deg * math.sin(aim), 6), round(spin, 6)]


def _add_package(board: Board, values: dict[str, Any], stream: Stream, view: ViewField) -> None:
    """The large package near the middle of the view."""
    x, y = (round(stream.between(-0.1, 0.1) * view.smaller_mm, 3) for _ in range(2))
    room = values["package_share"] * view.smaller_mm
    if values["package"] == "bga":
        pitch = float(values["ball_pitch_mm"])
        count = min(MOST_BALLS, max(3, int(room / pitch)))
        grid = BallGrid(pitch, count, 0 if count < 8 or stream.unit() < 0.5 else count // 2)
        faults = {
            "missing": values["missing_balls"], "bridges": values["bridges"], "oversized": values["oversized_balls"],
            "void_share": values["void_share"], "void_size": values["void_size"],
        }  # fmt: skip
        board.floors[-1].take(x, y, grid.size_mm + 0.3, grid.size_mm + 0.3)
        add_ball_grid(board, stream, grid, x, y, faults, stream.unit() < 0.6)
        inner = [grid.at(place) for place in grid.places() if min(*place, *(count - 1 - k for k in place)) >= 2]
        for dx, dy in inner:
            board.vias.append((round(x + dx + 0.5 * pitch, 6), round(y + dy + 0.5 * pitch, 6)))
            board.copper[-1].trace([(x + dx, y + dy), (x + dx + 0.5 * pitch, y + dy + 0.5 * pitch)], 0.2 * pitch)
        return
    size = round(min(max(0.8 * room, 2.5), 8.5 if values["package"] == "qfn" else 7.0), 2)
    board.floors[-1].take(x, y, size + 2.4, size + 2.4)
    add_leaded(board, stream, x, y, size, values["package"] == "qfn", float(values["pad_void_share"]))
    step = 0.18 * size
    board.vias += [(round(x + i * step, 6), round(y + j * step, 6)) for i in (-1, 0, 1) for j in (-1, 0, 1)]


def _add_passives(board: Board, stream: Stream, side: int, count: int, view: ViewField) -> None:
    sizes = [name for name, size in PASSIVES_MM.items() if size[0] < 0.3 * view.smaller_mm]
    for _ in range(count):
        size = sizes[stream.below(len(sizes))]
        upright = stream.unit() < 0.5
        length, width, _ = PASSIVES_MM[size]
        room = (1.3 * width, 1.6 * length) if upright else (1.6 * length, 1.3 * width)
        if place := board.floors[side].find(stream, *room):
            add_passive(board, stream, side, size, *place, upright)


def _add_tracks(board: Board, stream: Stream, tracks: int, vias: int, half: float) -> None:
    """Tracks with bends of 45 degree on the far side, and between parts on the near one; vias where they end."""
    width = 0.1 + 0.05 * stream.below(2)
    for k in range(tracks):
        side = -1 if k % 3 == 0 else 1
        x, y = (round(stream.between(-half, half) / 0.2) * 0.2 for _ in range(2))
        run, bend = stream.between(0.15, 0.9) * half, stream.between(-0.3, 0.3) * half
        along = stream.unit() < 0.5
        first = (x + run, y) if along else (x, y + run)
        second = (first[0] + abs(bend), first[1] + bend) if along else (first[0] + bend, first[1] + abs(bend))
        if board.floors[side].take(first[0], first[1], 0.3, 0.3):
            board.copper[side].trace([(x, y), first, second], width)
            board.vias.append((round(second[0], 6), round(second[1], 6)))
    for _ in range(vias):
        if place := board.floors[-1].find(stream, 0.6, 0.6):
            board.vias.append(place)


def _bare_board(board: Board, stream: Stream, pose: list[float], layers: int, half: float) -> list[DrawnBody]:
    """FR4, plated vias, inner planes and outer copper; the parts' fillets too."""
    thick, edge = board.thickness_mm, 2.6 * half
    bare = Assembly((0, 0, 0), pose)
    bare.add("board", "box", FR4, (0, 0, 0), size_mm=[edge, edge, thick])
    vias = list(dict.fromkeys(at for at in board.vias if max(map(abs, at)) < 1.1 * half))
    for at in vias:
        for side in (-1, 1):
            board.copper[side].pad(*at, 0.2)
    for k in range(1, layers - 1):
        # a via is joined to some planes and clears the others
        holes = [ring_of(*at, 0.32, 12).tolist() for at in vias if stream.unit() < 0.6]
        plane = rectangle(0.98 * edge, 0.98 * edge) - CrossSection(holes, FillRule.Positive)
        middle = thick * (k / (layers - 1) - 0.5)
        flat = Layered([Layer(plane, middle - 0.5 * COPPER_MM, middle + 0.5 * COPPER_MM)])
        bare.add_surface("copper", flat.surface(), "Cu")
    for side in (-1, 1):
        low, high = sorted((side * 0.5 * thick, side * (0.5 * thick + COPPER_MM)))
        outline = board.copper[side].outline()
        if not outline.is_empty():
            bare.add_surface("copper", Layered([Layer(outline, low, high)]).surface(), "Cu")
    if vias:
        rings = [ring_of(*at, 0.1, 12).tolist() for at in vias] + [ring_of(*at, 0.08, 12)[::-1].tolist() for at in vias]
        plated = Layer(CrossSection(rings, FillRule.Positive), -0.5 * thick, 0.5 * thick)
        bare.add_surface("vias", Layered([plated]).surface(), "Cu")
    if (joints := fillets(board)) is not None:
        bare.add_surface("solder joint", joints, "solder")
    return bare.bodies
