"""Things that people carry: each lies flat about the origin of its frame, its thickness along z."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from manifold3d import CrossSection

from datagen.families.assembly import ALONG_X, ALONG_Y, Assembly
from datagen.families.board_part import FR4
from datagen.families.layered import Layer, Layered, disc, hull
from datagen.families.surface import sweep
from datagen.stream import Stream

__all__ = ["ITEMS", "MATERIALS", "Item"]

COTTON: dict[str, Any] = {"name": "clothes", "formula": "C6H10O5", "density_g_cm3": 0.25}
PAPER: dict[str, Any] = {"name": "paper", "mixture": {"C6H10O5": 80, "CaCO3": 20}, "density_g_cm3": 0.85}
SOAP: dict[str, Any] = {"name": "shampoo", "mixture": {"H2O": 85, "C12H26O": 13, "NaCl": 2}, "density_g_cm3": 1.03}
DRINK: dict[str, Any] = {"name": "soft drink", "mixture": {"H2O": 89, "C12H22O11": 11}, "density_g_cm3": 1.04}
SPIRIT: dict[str, Any] = {"name": "spirit", "mixture": {"H2O": 65, "C2H6O": 35}, "density_g_cm3": 0.95}
LEATHER: dict[str, Any] = {"name": "leather", "mixture": {"C": 50, "H": 7, "N": 17, "O": 26}, "density_g_cm3": 0.9}
ACCUMULATOR: dict[str, Any] = {
    "name": "lithium-ion cell",
    "mixture": {"LiCoO2": 40, "C": 22, "Cu": 13, "Al": 10, "O": 12, "H": 3},
    "density_g_cm3": 2.4,
}
CUPRONICKEL: dict[str, Any] = {"name": "cupronickel", "mixture": {"Cu": 75, "Ni": 25}, "density_g_cm3": 8.9}
MAGNET: dict[str, Any] = {"name": "NdFeB", "formula": "Nd2Fe14B", "density_g_cm3": 7.5}
MATERIALS: tuple[Any, ...] = (
    "air", "water", "ABS", "PET", "polyethylene", "polypropylene", "PVC", "nylon", "rubber", "glass", "steel", "304",
    "Al", "Cu", "brass", "Si", "polycarbonate", FR4, COTTON, PAPER, SOAP, DRINK, SPIRIT, LEATHER, ACCUMULATOR,
    CUPRONICKEL, MAGNET,
)  # fmt: skip


@dataclass(frozen=True)
class Item:
    """A kind of thing.

    Attributes
    ----------
    size_mm : (x, y, z)
        Of the box that it keeps within.
    make : callable
        (frame, stream, kind, target): adds it to a frame.
    bodies : int
        How many bodies it is at the most.
    """

    size_mm: tuple[float, float, float]
    make: Callable[[Assembly, Stream], None]
    bodies: int


def bottle(frame: Assembly, stream: Stream) -> None:
    """A bottle of PET or glass with a drink, along x, lying on its side."""
    radius, length = stream.between(28, 34), stream.between(150, 190)
    glass = stream.unit() < 0.3
    wall, shell = (2.5, "glass") if glass else (0.4, "PET")
    liquid = ("water", DRINK, SPIRIT)[stream.below(3)]
    frame.add("bottle", "cylinder", shell, (0, 0, 0), turn_deg=ALONG_X, radius_mm=radius, height_mm=length)
    room: dict[str, Any] = {"radius_mm": radius - wall, "height_mm": length - 2 * wall}
    frame.add("bottle", "cylinder", "air", (0, 0, 0), turn_deg=ALONG_X, **room)
    share = stream.between(0.5, 1.0)
    low = -0.5 * (1 - share) * (length - 2 * wall)
    frame.add(
        "bottle", "cylinder", liquid, (low, 0, 0), turn_deg=ALONG_X,
        radius_mm=radius - wall, height_mm=share * (length - 2 * wall),
    )  # fmt: skip
    neck = 0.5 * length + 15.0
    frame.add(
        "bottle", "tube", shell, (neck, 0, 0), turn_deg=ALONG_X, radius_mm=12, inner_radius_mm=12 - wall, height_mm=30
    )
    cap: dict[str, Any] = {"radius_mm": 14.0, "inner_radius_mm": 12.5, "height_mm": 16.0}
    frame.add("bottle", "tube", "polypropylene", (neck + 9, 0, 0), turn_deg=ALONG_X, **cap)


def can(frame: Assembly, stream: Stream) -> None:
    """A drink's can of aluminium, or a tin of steel."""
    radius, length = 33.0, stream.between(90, 120)
    shell, wall = ("Al", 0.15) if stream.unit() < 0.5 else ("steel", 0.25)
    frame.add("can", "cylinder", shell, (0, 0, 0), turn_deg=ALONG_X, radius_mm=radius, height_mm=length)
    room: dict[str, Any] = {"radius_mm": radius - wall, "height_mm": length - 2 * wall}
    frame.add("can", "cylinder", "air", (0, 0, 0), turn_deg=ALONG_X, **room)
    drink, headspace = DRINK if shell == "Al" else "water", 5.0
    size: dict[str, Any] = {"radius_mm": radius - wall, "height_mm": length - wall - headspace}
    frame.add("can", "cylinder", drink, (0.5 * (wall - headspace), 0, 0), turn_deg=ALONG_X, **size)


def laptop(frame: Assembly, stream: Stream) -> None:
    """Base and lid: case, board with chips, cells, a fan with its heat pipe, keys' plate, display."""
    wide, deep = 320.0, 220.0
    case = "Al" if stream.unit() < 0.5 else "ABS"
    frame.add("laptop", "box", case, (0, 0, 0), size_mm=[wide, deep, 14])
    frame.add("laptop", "box", "air", (0, 0, 0), size_mm=[wide - 3, deep - 3, 12])
    frame.add("laptop", "box", case, (0, 0, 9.5), size_mm=[wide, deep, 5])
    frame.add("laptop", "box", "glass", (0, 0, 9.0), size_mm=[wide - 14, deep - 14, 1.4])
    frame.add("laptop", "box", FR4, (20, -45, -1), size_mm=[230, 95, 1.4])
    frame.add("laptop", "box", "Cu", (20, -45, -1.9), size_mm=[228, 93, 0.14])
    for _ in range(10):
        x, y = stream.between(-80, 120), stream.between(-85, -5)
        size = [stream.between(6, 16), stream.between(6, 16), stream.between(1.0, 1.8)]
        frame.add("laptop", "box", "Si" if stream.unit() < 0.6 else "Cu", (x, y, 0.7), size_mm=size)
    fan = stream.between(-120, -105)
    frame.add("laptop", "cylinder", "ABS", (fan, -55, -1), radius_mm=26, height_mm=6)
    frame.add("laptop", "cylinder", "Cu", (fan + 70, -70, 2), turn_deg=ALONG_X, radius_mm=2.5, height_mm=120)
    frame.add("laptop", "box", "304", (0, 20, 5.2), size_mm=[270, 95, 0.4])
    for k in range(4):
        frame.add("laptop", "box", ACCUMULATOR, (-96 + 64 * k, 72, -1), size_mm=[60, 58, 7])
    for side in (-1, 1):
        frame.add("laptop", "cylinder", "304", (110 * side, -107, 6), turn_deg=ALONG_X, radius_mm=3, height_mm=40)


def phone(frame: Assembly, stream: Stream) -> None:
    """A phone: frame, glass, cell, board, camera."""
    frame.add("phone", "box", "Al", (0, 0, 0), size_mm=[146, 71, 7.5])
    frame.add("phone", "box", "air", (0, 0, 0), size_mm=[142, 67, 6.0])
    frame.add("phone", "box", "glass", (0, 0, 3.3), size_mm=[142, 67, 0.7])
    frame.add("phone", "box", ACCUMULATOR, (-14, -9, 0), size_mm=[84, 44, 4.5])
    frame.add("phone", "box", FR4, (-5, 23, 0), size_mm=[120, 17, 1.2])
    frame.add("phone", "box", "Cu", (48, 2, 0), size_mm=[30, 50, 0.6])
    for x in (50.0, 30.0, 10.0):
        frame.add("phone", "box", "Si", (x, 23, 1.2), size_mm=[12, 12, 1.0])
    frame.add("phone", "cylinder", "304", (58, -20 + 4 * stream.unit(), 0), radius_mm=6, height_mm=5)


def book(frame: Assembly, stream: Stream) -> None:
    """A book with stiff covers."""
    wide, high, thick = stream.between(150, 210), stream.between(110, 150), stream.between(15, 34)
    frame.add("book", "box", PAPER, (0, 0, 0), size_mm=[wide, high, thick])
    for side in (-1, 1):
        frame.add("book", "box", PAPER, (0, 0, side * (0.5 * thick + 1.2)), size_mm=[wide + 6, high + 6, 2.4])


def shoe(frame: Assembly, stream: Stream) -> None:
    """A shoe on its side: sole with a heel and a shank of steel, upper of leather, eyelets."""
    toe, heel = disc(45, 85, 0), disc(34, -100, 0)
    sole = hull(toe, heel)
    frame.add_surface("shoe", Layered([Layer(sole, -45.0, -30.0)]).surface(), "rubber")
    frame.add_surface("shoe", Layered([Layer(heel ^ sole, -30.0, -18.0)]).surface(), "rubber")
    frame.add("shoe", "ellipsoid", LEATHER, (40, 0, -22), radii_mm=[85, 40, 30])
    frame.add("shoe", "ellipsoid", "air", (38, 0, -22), radii_mm=[80, 36, 26])
    frame.add("shoe", "box", "steel", (-25, 0, -32), size_mm=[110, 14, 1.2])
    for k in range(5):
        for side in (-1, 1):
            at = (-20 + 14 * k, side * 12, 9 - 1.2 * k)
            frame.add("shoe", "tube", "brass", at, radius_mm=3.2, inner_radius_mm=2.0, height_mm=1.0)
    _ = stream.unit()


def keys(frame: Assembly, stream: Stream) -> None:
    """Keys of brass and steel on a ring."""
    ring = [(12 * math.cos(a), 12 * math.sin(a), 0.0) for a in np.linspace(0, 1.94 * math.pi, 40)]
    frame.add_surface("keys", sweep(np.array(ring), 0.9, 8), "steel")
    count = 3 + stream.below(3)
    for k in range(count):
        turn = 360.0 * (k + stream.between(-0.2, 0.2)) / count
        aim = (math.cos(math.radians(turn)), math.sin(math.radians(turn)))
        z = 2.4 * (k - 0.5 * (count - 1))
        material = "brass" if stream.unit() < 0.6 else "steel"
        bow: dict[str, Any] = {"radius_mm": 11.0, "inner_radius_mm": 3.5, "height_mm": 2.2}
        frame.add("keys", "tube", material, (22 * aim[0], 22 * aim[1], z), **bow)
        size = [stream.between(22, 34), 7.5, 2.0]
        away = 32 + 0.5 * size[0]
        frame.add("keys", "box", material, (away * aim[0], away * aim[1], z), turn_deg=(0, 0, turn), size_mm=size)


def coins(frame: Assembly, stream: Stream) -> None:
    """A few coins that overlap, each in its plane."""
    for k in range(3 + stream.below(6)):
        at = (stream.between(-28, 28), stream.between(-22, 22), 2.2 * (k - 3))
        material = CUPRONICKEL if stream.unit() < 0.6 else "brass"
        frame.add("coins", "cylinder", material, at, radius_mm=stream.between(8, 13), height_mm=2.0)


def umbrella(frame: Assembly, stream: Stream) -> None:
    """A folding umbrella: shaft, ribs, cloth, handle."""
    frame.add("umbrella", "cylinder", COTTON, (20, 0, 0), turn_deg=ALONG_X, radius_mm=24, height_mm=190)
    frame.add("umbrella", "tube", "steel", (10, 0, 0), turn_deg=ALONG_X, radius_mm=5, inner_radius_mm=4, height_mm=220)
    for k in range(8):
        angle = 2 * math.pi * k / 8 + 0.3
        radius = stream.between(10, 19)
        at = (20, radius * math.cos(angle), radius * math.sin(angle))
        frame.add("umbrella", "cylinder", "steel", at, turn_deg=ALONG_X, radius_mm=1.1, height_mm=180)
    frame.add("umbrella", "cylinder", "ABS", (-110, 0, 0), turn_deg=ALONG_X, radius_mm=17, height_mm=60)


def cable(frame: Assembly, stream: Stream) -> None:
    """A coil of cable with plugs: sheath and copper."""
    turns, radius = 3, stream.between(32, 42)
    angle = np.linspace(0, 2 * math.pi * turns, 90)
    grow = radius + 3.2 * angle / math.pi
    drift = np.interp(angle, np.linspace(0, angle[-1], 12), (stream.units(12) - 0.5) * 2.0)
    away = grow + drift
    line = np.column_stack([away * np.cos(angle), away * np.sin(angle), 0.9 * angle / math.pi])
    frame.add_surface("cable", sweep(line, 2.0, 8), "PVC")
    frame.add_surface("cable", sweep(line, 0.8, 6), "Cu")
    for end in (line[0], line[-1]):
        at = (float(end[0]), float(end[1]), float(end[2]))
        frame.add("cable", "box", "ABS", at, size_mm=[12, 24, 7])
        frame.add("cable", "box", "steel", at, size_mm=[10, 14, 4])


def charger(frame: Assembly, stream: Stream) -> None:
    """A plug-in charger: shell, board, transformer, capacitors, pins."""
    frame.add("charger", "box", "ABS", (0, 0, 0), size_mm=[70, 45, 28])
    frame.add("charger", "box", "air", (0, 0, 0), size_mm=[66, 41, 24])
    frame.add("charger", "box", FR4, (0, 0, -8), size_mm=[62, 38, 1.6])
    frame.add("charger", "box", "steel", (-6, 2, 1), size_mm=[22, 20, 14])
    frame.add("charger", "box", "Cu", (-6, 2, 1), size_mm=[14, 26, 9])
    for k in range(3):
        at = (16 + 0.0 * k, -12 + 11 * k, -1)
        frame.add("charger", "cylinder", "Al", at, radius_mm=stream.between(3, 4.5), height_mm=12)
    for side in (-1, 1):
        frame.add("charger", "cylinder", "brass", (44, 9.5 * side, 0), turn_deg=ALONG_X, radius_mm=2.4, height_mm=19)


def toiletries(frame: Assembly, stream: Stream) -> None:
    """A bottle of shampoo and a spray can side by side."""
    frame.add("toiletries", "ellipsoid", "polyethylene", (-5, -26, 0), radii_mm=[75, 24, 17])
    frame.add("toiletries", "ellipsoid", SOAP, (-5, -26, 0), radii_mm=[73, 22.5, 15.5])
    frame.add("toiletries", "cylinder", "polypropylene", (72, -26, 0), turn_deg=ALONG_X, radius_mm=11, height_mm=22)
    length = stream.between(110, 140)
    frame.add("toiletries", "cylinder", "steel", (0, 26, 0), turn_deg=ALONG_X, radius_mm=21, height_mm=length)
    frame.add("toiletries", "cylinder", "air", (0, 26, 0), turn_deg=ALONG_X, radius_mm=20.75, height_mm=length - 1)
    fill = 0.6 * length
    at = (-0.5 * (length - fill) + 0.5, 26, 0)
    frame.add("toiletries", "cylinder", SPIRIT, at, turn_deg=ALONG_X, radius_mm=20.75, height_mm=fill)


def headphones(frame: Assembly, stream: Stream) -> None:
    """Two cups with magnets and coils on a band of spring steel."""
    band = [(70 * math.cos(a), 78 * math.sin(a), 0.0) for a in np.linspace(0.05, math.pi - 0.05, 40)]
    frame.add_surface("headphones", sweep(np.array(band), 3.0, 8), "ABS")
    frame.add_surface("headphones", sweep(np.array(band), 1.0, 6), "steel")
    for side in (-1, 1):
        at = (70 * side, -6, 0)
        frame.add("headphones", "cylinder", "ABS", at, turn_deg=ALONG_Y, radius_mm=12, height_mm=62)
        frame.add("headphones", "cylinder", "air", at, turn_deg=ALONG_Y, radius_mm=10, height_mm=58)
        frame.add("headphones", "cylinder", MAGNET, at, turn_deg=ALONG_X, radius_mm=8, height_mm=6)
        size: dict[str, Any] = {"radius_mm": 9.5, "inner_radius_mm": 8.1, "height_mm": 3.0}
        frame.add("headphones", "tube", "Cu", at, turn_deg=ALONG_X, **size)
    _ = stream.unit()


def outline_of(points: list[tuple[float, float]]) -> CrossSection:
    """A polygon, whichever way round it is given."""
    found = CrossSection([points])
    return found if found.area() > 0 else CrossSection([points[::-1]])


#: Kinds by name.
ITEMS: dict[str, Item] = {
    "bottle": Item((250, 68, 68), bottle, 5),
    "can": Item((120, 66, 66), can, 3),
    "laptop": Item((320, 220, 26), laptop, 26),
    "phone": Item((146, 71, 8), phone, 10),
    "book": Item((216, 156, 39), book, 3),
    "shoe": Item((270, 95, 92), shoe, 16),
    "keys": Item((136, 136, 16), keys, 12),
    "coins": Item((82, 70, 20), coins, 9),
    "umbrella": Item((280, 50, 50), umbrella, 11),
    "cable": Item((142, 142, 16), cable, 6),
    "charger": Item((108, 46, 28), charger, 10),
    "toiletries": Item((170, 102, 44), toiletries, 6),
    "headphones": Item((166, 150, 25), headphones, 10),
}
