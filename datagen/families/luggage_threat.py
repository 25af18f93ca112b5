"""What a luggage inspection looks for, as simple solids: knife, scissors, tool, pistol. All of it is a target."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from datagen.families.assembly import ALONG_X, ALONG_Y, Assembly
from datagen.families.layered import Layer, Layered, rounded
from datagen.families.luggage_item import Item, outline_of
from datagen.families.surface import sweep
from datagen.stream import Stream

__all__ = ["THREATS"]


def knife(frame: Assembly, stream: Stream) -> None:
    """A fixed blade with a handle on both sides of its tang, and rivets."""
    long, wide = stream.between(90, 160), stream.between(20, 32)
    tip = stream.between(0.4, 0.9) * wide
    blade = [(0.0, -0.5 * wide), (long - 1.2 * tip, -0.5 * wide), (long, 0.1 * wide), (long - 0.6 * tip, 0.5 * wide)]
    blade += [(0.0, 0.5 * wide), (-105.0, 0.3 * wide), (-105.0, -0.3 * wide)]
    thick = stream.between(1.6, 3.0)
    steel = Layered([Layer(outline_of(blade), -0.5 * thick, 0.5 * thick)]).surface()
    for side in (-1, 1):
        at = (-52.0, 0, side * (0.5 * thick + 4.0))
        frame.add("knife", "box", "ABS", at, target=True, size_mm=[108, 0.8 * wide, 8.0])
    frame.add_surface("knife", steel, "304", target=True)
    for k in range(3):
        frame.add("knife", "cylinder", "brass", (-20.0 - 32 * k, 0, 0), target=True, radius_mm=2.5, height_mm=15)


def scissors(frame: Assembly, stream: Stream) -> None:
    """Two blades that cross, with rings of plastic, and a screw."""
    apart = stream.between(4, 14)
    for side in (-1, 1):
        turn = np.radians(side * apart)
        spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        half = [(95.0, 0.0), (0.0, 7.0 * side), (-35.0, 4.0 - 9 * side), (-35.0, -4.0 - 9 * side), (0.0, -7.0 * side)]
        points = [tuple(round(float(x), 6) for x in spin @ np.array(point)) for point in half]
        low = 0.05 if side > 0 else -1.85
        outline = outline_of([(x, y) for x, y in points])
        frame.add_surface("scissors", Layered([Layer(outline, low, low + 1.8)]).surface(), "304", target=True)
        middle = spin @ np.array([-58.0, -12.0 * side])
        ring = [
            (middle[0] + 24 * math.cos(a), middle[1] + 15 * math.sin(a), low + 0.9) for a in np.linspace(0, 5.8, 48)
        ]
        frame.add_surface("scissors", sweep(np.array(ring), 4.5, 10), "ABS", target=True)
    frame.add("scissors", "cylinder", "steel", (0, 0, 0), target=True, radius_mm=4, height_mm=5)


def pistol(frame: Assembly, stream: Stream) -> None:
    """A pistol's silhouette: slide, barrel, frame, grip with a magazine, guard."""
    long = stream.between(150, 195)
    polymer = "ABS" if stream.unit() < 0.5 else "steel"
    frame.add("pistol", "box", polymer, (0.05 * long, -15, 0), target=True, size_mm=[0.8 * long, 14, 20])
    frame.add("pistol", "box", "steel", (0, 0, 0), target=True, size_mm=[long, 24, 24])
    frame.add("pistol", "box", "air", (0.2 * long, -4, 0), target=True, size_mm=[0.5 * long, 12, 15])
    tube: dict[str, Any] = {"radius_mm": 7.0, "inner_radius_mm": 4.5, "height_mm": 0.62 * long}
    frame.add("pistol", "tube", "steel", (0.19 * long, 2, 0), turn_deg=ALONG_X, target=True, **tube)
    rake = 15.0
    grip = (-0.36 * long, -62.0, 0)
    frame.add("pistol", "box", polymer, grip, turn_deg=(0, 0, -rake), target=True, size_mm=[44, 92, 28])
    frame.add("pistol", "box", "steel", grip, turn_deg=(0, 0, -rake), target=True, size_mm=[32, 92, 20])
    frame.add("pistol", "box", "air", grip, turn_deg=(0, 0, -rake), target=True, size_mm=[30, 90, 18])
    sine, cosine = math.sin(math.radians(rake)), math.cos(math.radians(rake))
    for k in range(7):
        up = 38.0 - 10.5 * k
        at = (grip[0] + up * sine, grip[1] + up * cosine, 0)
        frame.add("pistol", "cylinder", "brass", at, turn_deg=(0, 90, -rake), target=True, radius_mm=4.9, height_mm=27)
    guard = [(0.0 + 24 * math.cos(a), -26 + 20 * math.sin(a), 0.0) for a in np.linspace(math.pi, 2 * math.pi, 30)]
    frame.add_surface("pistol", sweep(np.array(guard), 3.0, 8), polymer, target=True)
    frame.add("pistol", "cylinder", "steel", (-4, -30, 0), turn_deg=ALONG_Y, target=True, radius_mm=2.5, height_mm=16)


def multi_tool(frame: Assembly, stream: Stream) -> None:
    """A bar of steel plates: a folded tool."""
    plan = rounded(outline_of([(-50.0, -13.0), (50.0, -13.0), (50.0, 13.0), (-50.0, 13.0)]), 9.0)
    for k in range(4):
        low = -8.0 + 4.2 * k
        shell = plan if k in (0, 3) else rounded(plan ^ plan.translate((stream.between(4, 30), 0.0)), 3.0)
        layer = Layered([Layer(shell, low, low + 2.6)]).surface()
        frame.add_surface("multi-tool", layer, "304", target=True)
    for side in (-1, 1):
        frame.add("multi-tool", "cylinder", "304", (43 * side, 0, 0), target=True, radius_mm=4, height_mm=18)


#: Kinds by name.
THREATS: dict[str, Item] = {
    "knife": Item((290, 34, 20), knife, 6),
    "scissors": Item((200, 70, 12), scissors, 5),
    "pistol": Item((200, 170, 30), pistol, 16),
    "multi-tool": Item((104, 30, 20), multi_tool, 6),
}
