"""``datagen families``."""

from __future__ import annotations

import argparse
import json
from typing import Any

from datagen.families import FAMILIES
from datagen.families.family import Family, paragraph
from datagen.problem import nearest
from xsim import CorpusError

__all__ = ["add"]


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
            print(f"{name}\n    {paragraph(FAMILIES[name])}")
        return
    if options.name not in FAMILIES:
        close = nearest(options.name, FAMILIES)
        raise CorpusError(
            f"no family {options.name!r} ({f'did you mean {close!r}?' if close else 'known: ' + ', '.join(FAMILIES)})"
        )
    _describe(FAMILIES[options.name])


def _describe(family: type[Family]) -> None:
    print(paragraph(family))
    print(f"\nbodies: {', '.join(family.kinds)}\n\n[family]\nname = {json.dumps(family.family)}")
    for name, field in family.model_fields.items():
        told = "# required" if field.is_required() else toml(field.default)
        comment = f"   # {field.description}" if field.description else ""
        print(f"{name} = {told}{comment}")


def toml(value: Any) -> str:
    """A field as a corpus file writes it, on one line."""
    if hasattr(value, "model_dump"):
        value = value.model_dump(exclude_none=True)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k) if ' ' in k else k} = {toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return json.dumps(value)
