"""Camera files: those that ship, and a user's own of the same schema.

A file holds the fields of ``[detector]`` and, under ``[about]``, what nobody simulates: a title, where each number
comes from, and an exposure that the camera is typically used at.
"""

from __future__ import annotations

import copy
import functools
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, Final

from xsim.errors import nearest_names

__all__ = ["PROVENANCE", "numbers_of", "overridden", "preset_names", "read_camera_file"]

#: What the source of a number begins with.
PROVENANCE: Final = ("data sheet", "literature", "placeholder")
DEEPEST: Final = 8  # presets of presets


def preset_names() -> list[str]:
    """Cameras that ship with the package."""
    folder = resources.files("xsim") / "detectors"
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))


def read_camera_file(name: str, directory: Path = Path(), depth: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields of the detector, and those of ``[about]``.

    A file may itself begin with a ``preset`` that its fields override.

    Parameters
    ----------
    name : str
        Of a shipped camera, or a file that ends in ``.toml``.
    directory : path
        That a relative file name is relative to.
    depth : int
        Files that name this one.

    Raises
    ------
    ValueError
        There is none, it does not parse, or files name each other without end. One line.

    """
    if not name.endswith(".toml"):
        return copy.deepcopy(_preset(name))  # a corpus asks for it in every scene
    file = directory / name
    if depth > DEEPEST:
        raise ValueError(f"camera file {file} is the preset of too many others (a file may name itself) name another")
    try:
        fields, about = split(file.read_text(encoding="utf-8"), str(file))
    except OSError as error:
        raise ValueError(f"camera file {file} not read ({error.strerror}) check the path") from None
    except UnicodeDecodeError:
        raise ValueError(f"camera file {file} is no TOML (not UTF-8) check the path") from None
    below = fields.pop("preset", None)
    if isinstance(below, str):
        fields = overridden(read_camera_file(below, file.parent, depth + 1)[0], fields)
    return fields, about


def overridden(fields: dict[str, Any], by: dict[str, Any]) -> dict[str, Any]:
    """Fields of nested tables with those of ``by`` in place of the same ones; a material is taken whole."""
    merged = dict(fields)
    for key, value in by.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict) and key != "material"
        merged[key] = overridden(merged[key], value) if both else value
    return merged


def split(text: str, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields of the detector and of ``[about]`` in the text of a camera file; ValueError where it is none."""
    try:
        fields = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"camera file {name} is no TOML ({error}) mend that place") from None
    if "detector" in fields:
        raise ValueError(f"{name} is a scene (it has [detector]) a camera file holds that table's fields by themselves")
    about = fields.pop("about", {})
    return fields, about


def numbers_of(fields: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Numbers and lists of nested tables, by their dotted names."""
    found: dict[str, Any] = {}
    for key, value in fields.items():
        if isinstance(value, dict):
            found |= numbers_of(value, f"{above}{key}.")
        elif isinstance(value, int | float | list) and not isinstance(value, bool):
            found[above + key] = value
    return found


@functools.cache
def _preset(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    return split(_preset_text(name), name)


def _preset_text(name: str) -> str:
    if name not in preset_names():
        near = nearest_names(name, preset_names(), 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(preset_names())}"
        raise ValueError(f"unknown detector preset {name!r} ({hint})")
    return (resources.files("xsim") / "detectors" / f"{name}.toml").read_text(encoding="utf-8")
