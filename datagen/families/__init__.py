"""Scene families: kinds of scenes that a corpus file asks for by name, each a module."""

from datagen.families.family import Family
from datagen.families.foam import Foam
from datagen.families.food import Food
from datagen.families.step_chart import StepChart

__all__ = ["FAMILIES", "Family"]

#: Every family by its name.
FAMILIES: dict[str, type[Family]] = {
    each.family: each
    for each in (
        Foam,
        Food,
        StepChart,
    )
}
