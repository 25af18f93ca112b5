"""Scene families: kinds of scenes that a corpus file asks for by name, each a module."""

from collections.abc import Iterator, Mapping
from importlib import import_module

from datagen.families.family import Family

__all__ = ["FAMILIES", "Family"]

CLASSES = {
    "baggage": "Baggage",
    "battery": "Battery",
    "cad": "Cad",
    "casting": "Casting",
    "circuit_board": "CircuitBoard",
    "fluidized_bed": "FluidizedBed",
    "foam": "Foam",
    "food": "Food",
    "scan": "Scan",
    "step_chart": "StepChart",
    "weldment": "Weldment",
}


class _Families(Mapping[str, type[Family]]):
    """Imports a family's module when it is asked for: every worker process starts without those of the others."""

    def __getitem__(self, name: str) -> type[Family]:
        family: type[Family] = getattr(import_module(f"datagen.families.{name}"), CLASSES[name])
        return family

    def __contains__(self, name: object) -> bool:
        return name in CLASSES

    def __iter__(self) -> Iterator[str]:
        return iter(CLASSES)

    def __len__(self) -> int:
        return len(CLASSES)


#: Every family by its name.
FAMILIES: Mapping[str, type[Family]] = _Families()
