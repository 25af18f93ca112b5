"""Drawing the bodies that a scene family gives."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xsim
from datagen.families.family import DrawnBody, ViewField
from datagen.family_table import FamilyRule, pick_family
from datagen.placement import PlacementError
from datagen.stream import Stream
from xsim import XsimError

__all__ = ["FAMILY", "draw_family", "view_field"]

FAMILY = "family"  # the parameter that says which family a scene is of


def draw_family(
    rules: tuple[FamilyRule, ...],
    mapping: Mapping[str, Any],
    directory: Path,
    stream: Stream,
    drawn: dict[str, float],
) -> list[DrawnBody]:
    """Bodies of a scene of one of the families, each with its name: its kind and number.

    Parameters
    ----------
    rules : tuple of FamilyRule
    mapping : mapping
        The drawn scene without bodies.
    directory : Path
        Of the corpus file.
    stream : Stream
    drawn : dict
        Receives the drawn parameters.

    Raises
    ------
    PlacementError
        This draw makes no scene.
    """
    place, rule = pick_family(rules, stream)
    drawn[FAMILY] = float(place)
    try:
        values = rule.family.draw_values(stream, rule.path, drawn)
    except ValueError as error:
        raise PlacementError(str(error)) from None
    view = view_field(mapping, directory)
    try:
        bodies = rule.family.bodies(values, stream, view)
    except (PlacementError, XsimError):
        raise
    except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
        # of values that no limit of a field keeps out: their lengths do not fit each other, or not this frame
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise PlacementError(f"{rule.path}: these values make no scene ({what}) change its ranges") from None
    if len(bodies) > rule.family.most_bodies():
        raise PlacementError(f"{rule.path}: {len(bodies)} bodies, {rule.family.most_bodies()} at most were announced")
    numbers: Counter[str] = Counter()
    for each in bodies:
        numbers[each.kind] += 1
        each.body["name"] = f"{each.kind} {numbers[each.kind]}"
    return bodies


def view_field(mapping: Mapping[str, Any], directory: Path) -> ViewField:
    """What the detector of a drawn scene sees of the plane through the origin.

    Raises
    ------
    XsimError
        There is no such station.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the scene itself tells of them
        scene = xsim.scene_from_dict({**mapping, "body": []}, directory)
    camera, station, belt = scene.detector, scene.geometry, scene.belt
    share = station.sod_mm / station.sdd_mm if station.beam == "cone" else 1.0
    height = camera.rows * camera.pitch_mm * share if belt is None else belt.lines * belt.step_mm
    return ViewField(camera.columns * camera.pitch_mm * share, height, station.sod_mm, station.sdd_mm)
