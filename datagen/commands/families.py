"""``datagen families``."""

from __future__ import annotations

import argparse
import json
import textwrap
from typing import Any

from datagen.families import FAMILIES
from datagen.families.family import Family, paragraph
from datagen.problem import nearest
from xsim import CorpusError

__all__ = ["add"]

WIDTH = 100


def add(commands: Any) -> None:
    """Add the command to the subparsers."""
    families = commands.add_parser(
        "families",
        help="list the scene families, or say what one of them draws",
        description="List the scene families that a corpus file may name under [family], or what one of them draws: "
        "its fields with the ranges they have by default.",
        epilog="example: datagen families food",
    )
    families.add_argument("name", metavar="NAME", nargs="?", help="one of them (default: all, without their fields)")
    families.set_defaults(run=_families)


def _families(options: argparse.Namespace) -> None:
    if options.name is None:
        for name in sorted(FAMILIES):
            print(f"{name}\n{told(FAMILIES[name], '    ')}")
        return
    if options.name not in FAMILIES:
        close = nearest(options.name, FAMILIES)
        raise CorpusError(
            f"no family {options.name!r} ({f'did you mean {close!r}?' if close else 'known: ' + ', '.join(FAMILIES)})"
        )
    _describe(FAMILIES[options.name])


def _describe(family: type[Family]) -> None:
    print(told(family))
    print(f"\nbodies: {', '.join(family.kinds)}\n\n[family]\nname = {json.dumps(family.family)}")
    for name, field in family.model_fields.items():
        if field.is_required():
            print(f"# {name} = ...   (required)")
        elif field.default is None:
            print(f"# {name} = ...")
        else:
            print(f"{name} = {toml(field.default)}")


def told(family: type[Family], indent: str = "") -> str:
    """What a family says of itself, in lines for a terminal."""
    return textwrap.fill(paragraph(family), WIDTH, initial_indent=indent, subsequent_indent=indent)


def toml(value: Any) -> str:
    """A field as a corpus file writes it, on one line."""
    if hasattr(value, "model_dump"):
        value = value.model_dump(exclude_none=True)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k) if ' ' in k else k} = {toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return json.dumps(value)
