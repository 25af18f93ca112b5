"""Shapes of castings: levers, housings, hubs and flanges, as layers along the direction in which the die opens."""

from __future__ import annotations

import math
from collections.abc import Callable

from manifold3d import CrossSection, OpType

from datagen.families.layered import Layer, Layered, blend, disc, hull, offset, rectangle, rounded
from datagen.stream import Stream

__all__ = ["SHAPES", "casting_shape"]


def _all(outlines: list[CrossSection]) -> CrossSection:
    return CrossSection.batch_boolean(outlines, OpType.Add)


def _boss(
    x_mm: float, y_mm: float, radius_mm: float, bore_mm: float, low_mm: float, high_mm: float, blind_mm: float = 0.0
) -> list[Layer]:
    """A boss with a bore from above, which stops ``blind_mm`` above its foot."""
    ring = disc(radius_mm, x_mm, y_mm) - disc(bore_mm, x_mm, y_mm)
    layers = [Layer(ring, low_mm, high_mm)]
    if blind_mm > 0:
        layers.append(Layer(disc(radius_mm, x_mm, y_mm), low_mm, low_mm + blind_mm))
    return layers


def lever(stream: Stream, span_mm: float, wall_mm: float) -> Layered:
    """Two to four bosses joined by a web with a flange around it and ribs across."""
    count = 2 + stream.below(3)
    radius = max(span_mm * stream.between(0.09, 0.13), 2.0 * wall_mm)
    around = 0.5 * span_mm - radius
    start = 2 * math.pi * stream.unit()
    places = []
    for k in range(count):
        angle = start + 2 * math.pi * (k + stream.between(-0.12, 0.12)) / count
        away = around * (1.0 if k < 2 else stream.between(0.6, 1.0))
        places.append((away * math.cos(angle), away * math.sin(angle)))
    centre = disc(radius * stream.between(0.7, 1.1))
    arms = rounded(_all([hull(offset(disc(0.75 * radius, *at), 0.0), centre) for at in places]), 0.0, 0.5 * radius)
    height = max(stream.between(2.0, 4.0) * wall_mm, 6.0)
    holes = _all([disc(radius * stream.between(0.4, 0.6), *at) for at in places])
    web, flange = arms - holes, arms - offset(arms, -wall_mm) - holes
    ribs = _all(
        [
            rectangle(radius * 3, 0.7 * wall_mm, 0.55 * x, 0.55 * y, math.degrees(math.atan2(y, x)) + 90)
            for x, y in places
        ]
    )
    bosses = _all([disc(radius, *at) for at in places]) - holes
    layers = [Layer(_all([web, bosses]), 0.0, wall_mm), Layer(_all([flange, bosses]), 0.0, height)]
    layers.append(Layer(bosses, -0.25 * height, height * stream.between(1.1, 1.5)))
    layers.append(Layer((ribs ^ arms) - holes, 0.0, 0.8 * height))
    rises = _all([flange, bosses, (ribs ^ arms) - holes])
    return Layered(layers, blend(rises, wall_mm, min(0.5 * wall_mm, 3.0), web))


def housing(stream: Stream, span_mm: float, wall_mm: float) -> Layered:
    """A tray with walls, bosses with blind holes in its corners, ribs, a bearing seat and lugs outside."""
    width, length = span_mm * stream.between(0.8, 0.92), span_mm * stream.between(0.55, 0.8)
    plan = rounded(rectangle(width, length), min(0.12 * length, 3.0 * wall_mm + 2.0))
    height = min(span_mm * stream.between(0.15, 0.3), 45.0)
    wall = plan - offset(plan, -wall_mm)
    radius = max(1.6 * wall_mm, 0.035 * span_mm)
    aside = (0.5 * width - 1.05 * radius, 0.5 * length - 1.05 * radius)
    corners = [(i * aside[0], j * aside[1]) for i in (-1, 1) for j in (-1, 1)]
    seat = (stream.between(-0.2, 0.2) * width, stream.between(-0.1, 0.1) * length)
    bore = length * stream.between(0.12, 0.2)
    ring = disc(bore + 1.2 * wall_mm, *seat)
    floor = plan - disc(bore, *seat)
    layers = [Layer(floor, 0.0, wall_mm), Layer(wall, 0.0, height)]
    layers.append(Layer(ring - disc(bore, *seat), -0.15 * height, height * stream.between(0.3, 0.7)))
    pillars = _all([disc(radius, *at) for at in corners])
    for at in corners:
        layers += _boss(*at, radius, 0.45 * radius, 0.0, height, 0.3 * height)
    ribs = _ribs(stream, width, length, 0.6 * wall_mm, plan) - disc(bore + 0.2 * wall_mm, *seat)
    layers.append(Layer(ribs, 0.0, wall_mm + (height - wall_mm) * stream.between(0.25, 0.6)))
    layers += _lugs(stream, width, length, radius, wall_mm)
    rises = _all([wall, pillars, ribs, ring])
    return Layered(layers, blend(rises, wall_mm, min(0.6 * wall_mm, 3.0), floor))


def _ribs(stream: Stream, width_mm: float, length_mm: float, rib_mm: float, plan: CrossSection) -> CrossSection:
    across, along = 1 + stream.below(3), stream.below(3)
    found = [
        rectangle(rib_mm, length_mm, width_mm * ((k + stream.between(0.8, 1.2)) / (across + 1) - 0.5))
        for k in range(across)
    ]
    found += [
        rectangle(width_mm, rib_mm, 0.0, length_mm * ((k + stream.between(0.8, 1.2)) / (along + 1) - 0.5))
        for k in range(along)
    ]
    return _all(found) ^ plan


def _lugs(stream: Stream, width_mm: float, length_mm: float, radius_mm: float, wall_mm: float) -> list[Layer]:
    layers = []
    for side in (-1, 1):
        x, y = side * 0.5 * width_mm, stream.between(-0.25, 0.25) * length_mm
        ear = hull(
            disc(1.3 * radius_mm, x + side * 1.1 * radius_mm, y), rectangle(0.5 * radius_mm, 4 * radius_mm, x, y)
        )
        hole = disc(0.6 * radius_mm, x + side * 1.1 * radius_mm, y)
        layers.append(Layer(ear - hole, 0.0, 1.5 * wall_mm))
    return layers


def hub(stream: Stream, span_mm: float, wall_mm: float) -> Layered:
    """A wheel: rim, web with windows or spokes, hub with a bore and a keyway."""
    outer, bore = 0.5 * span_mm, span_mm * stream.between(0.06, 0.1)
    inner = bore + max(1.5 * wall_mm, 0.04 * span_mm)
    rim = disc(outer) - disc(outer - max(1.4 * wall_mm, 0.035 * span_mm))
    hole = _all([disc(bore), rectangle(0.6 * bore, 0.7 * bore, 0.0, bore)])
    count = 3 + stream.below(5)
    middle = 0.5 * (inner + outer)
    start = stream.between(0, 360)
    angles = [math.radians(start + 360.0 * k / count) for k in range(count)]
    room = min(0.5 * (outer - inner) - 1.6 * wall_mm, 0.85 * middle * math.sin(math.pi / count) - 0.4 * wall_mm)
    plate = disc(outer) - hole
    if room > 0.03 * span_mm:
        windows = [disc(room, middle * math.cos(a), middle * math.sin(a)) for a in angles]
        plate = plate - _all(windows)
    spokes = [
        rectangle(outer - inner, 0.9 * wall_mm, middle * math.cos(a), middle * math.sin(a), math.degrees(a))
        for a in [angle + math.pi / count for angle in angles]
    ]
    ribs = _all(spokes) ^ disc(outer)
    height = min(max(2.5 * wall_mm, 0.12 * span_mm), 40.0)
    core = disc(inner) - hole
    layers = [Layer(plate, 0.0, wall_mm), Layer(rim, -0.3 * height, 0.7 * height)]
    layers += [Layer(core, -0.3 * height, height), Layer(ribs - hole, 0.0, 0.6 * height)]
    rises = _all([rim, core, ribs - hole])
    return Layered(layers, blend(rises, wall_mm, min(0.6 * wall_mm, 3.0), plate))


def flange(stream: Stream, span_mm: float, wall_mm: float) -> Layered:
    """A round or square flange with a pipe, bolt holes in bosses, gussets and a groove for a seal."""
    outer, bore = 0.5 * span_mm, span_mm * stream.between(0.14, 0.22)
    square = stream.unit() < 0.4
    plan = rounded(rectangle(1.6 * outer, 1.6 * outer), 0.35 * outer) if square else disc(outer)
    count = 4 if square else 4 + stream.below(5)
    circle = 0.82 * outer
    start = 45.0 if square else stream.between(0, 360)
    bolt = max(0.035 * span_mm, 1.5)
    angles = [math.radians(start + 360.0 * k / count) for k in range(count)]
    places = [(circle * math.cos(a), circle * math.sin(a)) for a in angles]
    holes = _all([disc(bolt, *at) for at in places])
    pipe = disc(bore + wall_mm) - disc(bore)
    groove = disc(bore + 3.2 * wall_mm) - disc(bore + 2.2 * wall_mm)
    base = 1.3 * wall_mm
    plate = plan - disc(bore) - holes
    height = min(span_mm * stream.between(0.2, 0.35), 50.0)
    gussets = _all([
        rectangle(1.4 * wall_mm + 0.25 * span_mm, 0.7 * wall_mm, bore * math.cos(a) * 1.4, bore * math.sin(a) * 1.4,
                  math.degrees(a))
        for a in [angle + math.pi / count for angle in angles]
    ])  # fmt: skip
    gussets = (gussets ^ disc(0.75 * outer)) - disc(bore)
    bosses = (_all([disc(1.9 * bolt, *at) for at in places]) ^ plan) - holes
    layers = [Layer(plate, 0.3 * base, base), Layer(plate - groove, 0.0, base), Layer(pipe, 0.0, height)]
    layers += [Layer(gussets, 0.0, 0.5 * height), Layer(bosses, 0.0, 1.6 * base)]
    rises = _all([pipe, gussets, bosses])
    return Layered(layers, blend(rises, base, min(0.7 * wall_mm, 4.0), plate))


SHAPES: dict[str, Callable[[Stream, float, float], Layered]] = {
    "lever": lever,
    "housing": housing,
    "hub": hub,
    "flange": flange,
}


def casting_shape(name: str, stream: Stream, span_mm: float, wall_mm: float) -> Layered:
    """A casting of a named shape.

    Parameters
    ----------
    name : str
        One of ``SHAPES``.
    stream : Stream
    span_mm : float
        Its greatest extent across the die's direction.
    wall_mm : float
    """
    return SHAPES[name](stream, span_mm, wall_mm)
