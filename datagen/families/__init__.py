"""Scene families: kinds of scenes that a corpus file asks for by name, each a module."""

from datagen.families.family import Family

__all__ = ["FAMILIES", "Family"]

#: Every family by its name.
FAMILIES: dict[str, type[Family]] = {each.family: each for each in ()}
