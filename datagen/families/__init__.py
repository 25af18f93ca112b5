"""Scene families: kinds of scenes that a corpus file asks for by name, each a module."""

from datagen.families.baggage import Baggage
from datagen.families.battery import Battery
from datagen.families.cad import Cad
from datagen.families.casting import Casting
from datagen.families.circuit_board import CircuitBoard
from datagen.families.family import Family
from datagen.families.fluidized_bed import FluidizedBed
from datagen.families.foam import Foam
from datagen.families.food import Food
from datagen.families.scan import Scan
from datagen.families.step_chart import StepChart
from datagen.families.weldment import Weldment

__all__ = ["FAMILIES", "Family"]

#: Every family by its name.
FAMILIES: dict[str, type[Family]] = {
    each.family: each
    for each in (
        Baggage,
        Battery,
        Cad,
        Casting,
        CircuitBoard,
        FluidizedBed,
        Foam,
        Food,
        Scan,
        StepChart,
        Weldment,
    )
}
