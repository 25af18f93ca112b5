"""Components of a circuit board: ball grid arrays, chips with leads or lands, passives, pin headers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import trimesh
from manifold3d import Manifold

from datagen.families.assembly import Assembly
from datagen.families.board_layout import Copper, Floor
from datagen.families.surface import sweep, together
from datagen.stream import Stream

__all__ = [
    "COPPER_MM", "MATERIALS", "VOIDS_PER_PAD", "VOID_PRIORITY", "Board", "add_header", "add_leaded", "add_passive",
    "add_wires", "fillets",
]  # fmt: skip

COPPER_MM = 0.035
VOIDS_PER_PAD = 30
VOID_PRIORITY = 100
# epoxy with 85 % of silica by weight; FR4: E glass 60 %, epoxy 40 %, by weight (data sheets: 1.85 to 1.95 g/cm3)
EPOXY = {"C": 72.0, "H": 7.0, "O": 18.0, "Br": 3.0}
FR4: dict[str, Any] = {
    "name": "FR4",
    "mixture": {"SiO2": 33, "CaO": 13, "Al2O3": 9, "B2O3": 5, **{key: 0.4 * part for key, part in EPOXY.items()}},
    "density_g_cm3": 1.9,
}
MOULD: dict[str, Any] = {
    "name": "mould compound",
    "mixture": {"SiO2": 85, **{key: 0.15 * part for key, part in EPOXY.items()}},
    "density_g_cm3": 1.95,
}
CERAMIC: dict[str, Any] = {"name": "MLCC ceramic", "mixture": {"BaTiO3": 85, "Ni": 15}, "density_g_cm3": 6.0}
TANTALUM: dict[str, Any] = {"name": "Ta pellet", "formula": "Ta", "density_g_cm3": 8.0}
MATERIALS: tuple[Any, ...] = (
    "air", FR4, MOULD, CERAMIC, TANTALUM, "alumina", "Cu", "solder", "Si", "Au", "brass", "nylon",
)  # fmt: skip
PASSIVES_MM = {"0201": (0.6, 0.3, 0.3), "0402": (1.0, 0.5, 0.5), "0603": (1.6, 0.8, 0.8), "0805": (2.0, 1.25, 1.0)}


@dataclass
class Board:
    """A board that is being filled; its frame has z away from the source, its middle at 0.

    Attributes
    ----------
    parts : Assembly
        Components so far.
    thickness_mm : float
    copper, floors : dict
        Outer copper and free places of the sides -1 (towards the source) and 1.
    vias : list of (x, y)
    joints : list of Manifold
        Fillets of solder.
    """

    parts: Assembly
    thickness_mm: float
    floors: dict[int, Floor]
    copper: dict[int, Copper] = field(default_factory=lambda: {-1: Copper(), 1: Copper()})
    vias: list[tuple[float, float]] = field(default_factory=list)
    joints: list[Manifold] = field(default_factory=list)

    def height(self, side: int, above_mm: float) -> float:
        """Coordinate z of what stands so high above the copper of a side."""
        return side * (0.5 * self.thickness_mm + COPPER_MM + above_mm)


def add_passive(board: Board, stream: Stream, side: int, size: str, x: float, y: float, upright: bool) -> None:
    """A ceramic capacitor, a resistor or a tantalum capacitor with caps of metal and fillets of solder.

    ``upright``: along y instead of x.
    """
    length, width, height = PASSIVES_MM[size]
    kind = ("capacitor", "capacitor", "resistor", "tantalum")[stream.below(4 if size == "0805" else 3)]
    height = 0.4 * width if kind == "resistor" else height
    cap, skin, gap = 0.22 * length, 0.025, 0.03
    middle = board.height(side, gap + 0.5 * height)

    def box(what: str, material: Any, along: float, size_mm: tuple[float, float, float]) -> None:
        at = (x, y + along, middle) if upright else (x + along, y, middle)
        lengths = (size_mm[1], size_mm[0], size_mm[2]) if upright else size_mm
        board.parts.add(what, "box", material, at, size_mm=lengths)

    for end in (-1, 1):
        box("termination", "Cu", end * 0.5 * (length - cap), (cap, width, height))
        pad = 0.5 * length - 0.3 * cap
        wide, deep = 1.7 * cap, 1.1 * width
        land = (x, y + end * pad, deep, wide) if upright else (x + end * pad, y, wide, deep)
        board.copper[side].land(*land)
        board.joints.append(_fillet(board, side, (x, y, upright, end), (length, width, 0.7 * height, 1.1 * cap)))
    # the body comes after its caps and leaves a skin of them
    inside = (length - 2 * skin, width - 2 * skin, height - 2 * skin)
    box(kind, "alumina" if kind == "resistor" else MOULD if kind == "tantalum" else CERAMIC, 0.0, inside)
    if kind == "tantalum":
        box("pellet", TANTALUM, 0.0, (0.55 * length, 0.7 * width, 0.6 * height))


def _fillet(
    board: Board, side: int, pose: tuple[float, float, bool, int], size: tuple[float, float, float, float]
) -> Manifold:
    """A wedge of solder at one end of a part ``length`` long: as wide as it, its height and reach."""
    x, y, upright, end = pose
    length, width, high, reach = size
    low = board.height(side, 0.0)
    inner, outer, tip = 0.5 * length - 0.6 * reach, 0.5 * length, 0.5 * length + 0.7 * reach
    corners = []
    for across in (-0.5 * width, 0.5 * width):
        for along, above in (
            (inner, 0.0),
            (inner, 0.028),
            (outer, high),
            (tip, 0.0),
            (outer + 0.25 * reach, 0.4 * high),
        ):
            flat = (x + across, y + end * along) if upright else (x + end * along, y + across)
            corners.append((*flat, low + side * above))
    return Manifold.hull_points(np.round(np.array(corners), 6))


def add_leaded(board: Board, stream: Stream, x: float, y: float, size_mm: float, flat: bool, void_share: float) -> None:
    """A chip on the source's side: ``flat``, with lands and a pad of solder with voids, or with gull-wing leads."""
    side, pitch = -1, 0.5
    count = max(3, int((0.8 * size_mm) / pitch))
    thick, raised = (0.8, 0.06) if flat else (1.1, 0.15)
    paddle = 0.55 * size_mm
    board.parts.add(
        "mould", "box", MOULD, (x, y, board.height(side, raised + 0.5 * thick)), size_mm=[size_mm, size_mm, thick]
    )
    lift = raised + (0.1 if flat else 0.35)
    board.parts.add("lead frame", "box", "Cu", (x, y, board.height(side, lift)), size_mm=[paddle, paddle, 0.2])
    die = paddle * stream.between(0.55, 0.85)
    board.parts.add("die", "box", "Si", (x, y, board.height(side, lift + 0.2)), size_mm=[die, die, 0.2])
    ends = []
    for edge in range(4):
        for k in range(count):
            along = (k - 0.5 * (count - 1)) * pitch
            ends.append(_lead(board, (x, y, edge, along), size_mm, flat, lift))
    add_wires(board, stream, (x, y), die, lift + 0.3, ends)
    if flat:
        _pad_with_voids(board, stream, x, y, paddle, raised, void_share)


def _lead(board: Board, pose: tuple[float, float, int, float], size_mm: float, flat: bool, lift: float) -> np.ndarray:
    """One lead with its land and solder; the point of its inner end, in the board's frame."""
    x, y, edge, along = pose
    side = -1
    outward = [(1, 0), (0, 1), (-1, 0), (0, -1)][edge]

    def box(
        what: str, material: Any, away: float, above: float, size: tuple[float, float, float]
    ) -> tuple[float, float]:
        at = (x + outward[0] * away - outward[1] * along, y + outward[1] * away + outward[0] * along)
        lengths = size if outward[0] else (size[1], size[0], size[2])
        board.parts.add(what, "box", material, (*at, board.height(side, above)), size_mm=list(lengths))
        return at

    half = 0.5 * size_mm
    if flat:
        at = box("lead", "Cu", half - 0.2, lift, (0.4, 0.25, 0.2))
        box("solder joint", "solder", half - 0.15, 0.5 * (lift - 0.1), (0.5, 0.25, lift - 0.1))
        inner = half - 0.4
    else:
        at = box("lead", "Cu", half + 0.75, 0.09, (0.6, 0.22, 0.12))
        box("lead", "Cu", half + 0.4, 0.5 * (lift + 0.1) + 0.05, (0.12, 0.22, lift + 0.05))
        box("lead", "Cu", half - 0.15, lift + 0.06, (1.1, 0.22, 0.12))
        box("solder joint", "solder", half + 0.75, 0.015, (0.75, 0.26, 0.03))
        inner = half - 0.7
    wide = (0.7, 0.28) if outward[0] else (0.28, 0.7)
    board.copper[side].land(*at, *wide)
    end = (x + outward[0] * inner - outward[1] * along, y + outward[1] * inner + outward[0] * along)
    return np.array([*end, lift + (0.1 if flat else 0.12)])


def add_wires(
    board: Board, stream: Stream, at: tuple[float, float], die_mm: float, above_mm: float, ends: list[np.ndarray]
) -> None:
    """Gold wires, 25 um, in arcs from the edge of the die to the leads, in one body."""
    share = np.linspace(0.0, 1.0, 7)[:, None]
    loop = 0.15 + 0.1 * stream.unit()
    meshes = []
    for end in ends:
        aim = end[:2] - at
        reach = 0.46 * die_mm / max(abs(aim[0]), abs(aim[1]))
        start = np.array([*(np.asarray(at) + reach * aim), above_mm])
        line = start + share * (end - start)
        line[:, 2:] += loop * 4 * share * (1 - share)
        line[:, 2] = [board.height(-1, float(z)) for z in line[:, 2]]
        meshes.append(sweep(line, 0.0125, 6))
    board.parts.add_surface("bond wires", _joined(meshes), "Au")


def _joined(meshes: list[trimesh.Trimesh]) -> trimesh.Trimesh:
    """Surfaces that do not overlap, as one."""
    before = np.cumsum([0, *(len(each.vertices) for each in meshes)])
    vertices = np.concatenate([np.asarray(each.vertices) for each in meshes])
    faces = np.concatenate([np.asarray(each.faces) + n for each, n in zip(meshes, before, strict=False)])
    return trimesh.Trimesh(vertices, faces, process=False, validate=False)


def _pad_with_voids(
    board: Board, stream: Stream, x: float, y: float, paddle_mm: float, thick_mm: float, share: float
) -> None:
    """Solder under the paddle; flat voids until they cover about a share of it."""
    middle = board.height(-1, 0.5 * thick_mm)
    board.copper[-1].land(x, y, paddle_mm, paddle_mm)
    board.parts.add("solder joint", "box", "solder", (x, y, middle), size_mm=[paddle_mm, paddle_mm, thick_mm])
    covered = 0.0
    for _ in range(VOIDS_PER_PAD):
        radius = paddle_mm * math.exp(stream.between(math.log(0.02), math.log(0.13)))
        radii = [radius, radius * stream.between(0.6, 1.0), 0.48 * thick_mm]
        room = 0.48 * paddle_mm - radius
        place = (x + stream.between(-room, room), y + stream.between(-room, room), middle)
        covered += math.pi * radii[0] * radii[1] / paddle_mm**2
        if covered > share:
            return
        board.parts.add("solder void", "ellipsoid", "air", place, priority=VOID_PRIORITY, target=True, radii_mm=radii)


def add_header(board: Board, stream: Stream, x: float, y: float, pins: int, fill: float) -> None:
    """A row of square pins through plated holes, soldered: each hole filled to a share of about ``fill``."""
    thick = board.thickness_mm
    board.parts.add("plastic", "box", "nylon", (x, y, board.height(-1, 1.25)), size_mm=[2.54 * pins, 2.5, 2.5])
    for k in range(pins):
        at = x + 2.54 * (k - 0.5 * (pins - 1))
        share = min(1.0, max(0.2, fill + stream.between(-0.15, 0.15)))
        filled = thick * share
        board.parts.add("barrel", "tube", "Cu", (at, y, 0.0), radius_mm=0.53, inner_radius_mm=0.5, height_mm=thick)
        for side in (-1, 1):
            board.copper[side].pad(at, y, 0.85)
        # the hole is free of board, then solder from the far side, then the pin
        board.parts.add("hole", "cylinder", "air", (at, y, 0.0), radius_mm=0.5, height_mm=thick + 2 * COPPER_MM)
        low = 0.5 * (thick - filled)
        board.parts.add("solder joint", "cylinder", "solder", (at, y, low), radius_mm=0.5, height_mm=filled)
        board.parts.add("pin", "box", "brass", (at, y, board.height(-1, 2.0)), size_mm=[0.64, 0.64, 11.0])


def fillets(board: Board) -> trimesh.Trimesh | None:
    """All fillets of solder in one surface."""
    return together(board.joints) if board.joints else None
