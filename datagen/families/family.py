"""What a scene family is: parameters with ranges, and a way from drawn parameters to bodies.

A family is a pydantic model. Each field is one of its parameters, a value or a distribution, with the range it has by
default; a corpus file states any of them under [family]. ``bodies`` makes a scene of the drawn values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from datagen.distribution import KINDS, Choice, Distribution, draw, parse
from datagen.problem import shortened
from datagen.stream import Stream

__all__ = [
    "EACH",
    "Angle",
    "Count",
    "DrawnBody",
    "Family",
    "Length",
    "MaterialName",
    "NonNegative",
    "Number",
    "Share",
    "ViewField",
    "Word",
    "choice",
    "integers",
    "leaves",
    "log_uniform",
    "most",
    "one_of",
    "paragraph",
    "uniform",
]


@dataclass(frozen=True)
class DrawnBody:
    """One body of a family's scene.

    Attributes
    ----------
    kind : str
        One of the family's kinds; the "group" of the instance table.
    body : dict
        A [[body]] table of a scene file, but for its name. "mesh" may be a ``trimesh.Trimesh`` in mm, "volume" an
        array [slice, row, column].
    target : bool
        Whether it is what an inspection looks for: a contaminant, a pore, a crack.
    """

    kind: str
    body: dict[str, Any]
    target: bool = False


@dataclass(frozen=True)
class ViewField:
    """What the detector sees of the plane through the origin, where a family puts its scene.

    Attributes
    ----------
    width_mm, height_mm : float
        Along the detector's columns (x) and rows (y).
    sod_mm, sdd_mm : float
        Source to the origin, source to detector.
    """

    width_mm: float
    height_mm: float
    sod_mm: float
    sdd_mm: float

    @property
    def smaller_mm(self) -> float:
        """The smaller of width and height."""
        return min(self.width_mm, self.height_mm)


def leaves(value: Any) -> Iterator[Any]:
    """Plain values that a template may become; a continuous distribution gives its ends."""
    if isinstance(value, Distribution):
        for end in value.ends():
            yield from leaves(end)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def most(value: Any) -> float:
    """Greatest number that a field may become."""
    return float(max(leaves(value)))


def uniform(low: float, high: float) -> Distribution:
    """Every value between two numbers, equally likely; as a corpus file's ``{ uniform = [low, high] }``."""
    return KINDS["uniform"].model_validate({"uniform": [low, high]})


def log_uniform(low: float, high: float) -> Distribution:
    """Every ratio between two positive numbers, equally likely."""
    return KINDS["log_uniform"].model_validate({"log_uniform": [low, high]})


def integers(low: int, high: int) -> Distribution:
    """Every whole number from the first to the last."""
    return KINDS["integers"].model_validate({"integers": [low, high]})


def choice(*options: Any, weights: tuple[float, ...] | None = None) -> Distribution:
    """One of the options."""
    return KINDS["choice"].model_validate({"choice": options, "weights": weights})


@dataclass(frozen=True)
class NumberIn:
    """Refuses what may become a number outside its limits."""

    low: float = -float("inf")
    high: float = float("inf")
    above: bool = False
    whole: bool = False

    def __call__(self, value: Any) -> Any:
        for each in leaves(value):
            if isinstance(each, bool) or not isinstance(each, int if self.whole else (int, float)):
                raise ValueError(f"must be a {'whole ' if self.whole else ''}number (given {shortened(each)})")
            if not self.low <= each <= self.high or (self.above and each == self.low):
                raise ValueError(f"must be {self.text} (given {shortened(each)})")
        return value

    @property
    def text(self) -> str:
        """The limits in words."""
        least = f"above {self.low:g}" if self.above else f"at least {self.low:g}"
        return least if self.high == float("inf") else f"{least} and at most {self.high:g}"


def words_only(value: Any) -> Any:
    """Refuses what may become anything but a string."""
    for each in leaves(value):
        if not isinstance(each, str):
            raise ValueError(f"must be a name (given {shortened(each)})")
    return value


def one_of(*words: str) -> AfterValidator:
    """Of a `Word` that may be one of these alone, so that a slip of the pen is told and not taken for another."""

    def known(value: Any) -> Any:
        for each in leaves(value):
            if each not in words:
                raise ValueError(f"{shortened(each)} is not known (known: {', '.join(words)})")
        return value

    return AfterValidator(known)


def materials_only(value: Any) -> Any:
    """Refuses what may become anything but a material: a name, or a table with a density."""
    for each in leaves(value):
        if not isinstance(each, (str, dict)):
            raise ValueError(f"must be a material (given {shortened(each)})")
    return value


def parsed(value: Any) -> Any:
    """A field with its distributions read; a fault is told by whoever reads the corpus file."""
    return parse(value, "")


_READ = BeforeValidator(parsed)
#: Mark of a field that is drawn for each body, by the family: ``Annotated[Length, EACH]``. ``values`` has it undrawn,
#: what was drawn is in the instance table.
EACH = "drawn for each body"
# one value, a distribution, or a list of these where a field is a vector
Number: TypeAlias = Annotated[Any, _READ, AfterValidator(NumberIn())]
Angle: TypeAlias = Annotated[Any, _READ, AfterValidator(NumberIn())]
Length: TypeAlias = Annotated[Any, _READ, AfterValidator(NumberIn(0, above=True))]
NonNegative: TypeAlias = Annotated[Any, _READ, AfterValidator(NumberIn(0))]
Share: TypeAlias = Annotated[Any, _READ, AfterValidator(NumberIn(0, 1))]
Count: TypeAlias = Annotated[Any, _READ, AfterValidator(NumberIn(0, whole=True))]
Word: TypeAlias = Annotated[Any, _READ, AfterValidator(words_only)]
MaterialName: TypeAlias = Annotated[Any, _READ, AfterValidator(materials_only)]


class Family(BaseModel):
    """Base of all families.

    Attributes
    ----------
    family : str
        Name in a corpus file.
    about : str
        One paragraph.
    kinds : tuple of str
        Of its bodies, in the order in which a reader meets them.
    materials : tuple
        Those it may use beyond the options of its fields with "material" in their name.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, arbitrary_types_allowed=True, validate_default=True, ser_json_inf_nan="strings"
    )

    family: ClassVar[str]
    about: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]
    materials: ClassVar[tuple[Any, ...]] = ()

    def most_bodies(self) -> int:
        """Greatest number of bodies in a scene."""
        raise NotImplementedError

    def bodies(self, values: dict[str, Any], stream: Stream, view: ViewField) -> list[DrawnBody]:
        """Bodies of a scene.

        Parameters
        ----------
        values : dict
            {field: drawn plain value}; of a field marked `EACH` what to draw from.
        stream : Stream
            For all that the fields do not say.
        view : ViewField

        Raises
        ------
        PlacementError
            Where these values make no scene; it is drawn again.
        """
        raise NotImplementedError

    def draw_values(self, stream: Stream, path: str, drawn: dict[str, float]) -> dict[str, Any]:
        """Draw every field, in the order of the class.

        Parameters
        ----------
        stream : Stream
        path : str
            Dotted name of the family.
        drawn : dict
            Receives the numbers, as ``datagen.distribution.draw`` writes them.

        Raises
        ------
        ValueError
            A draw without limits left the range of its field.
        """
        values: dict[str, Any] = {}
        for name, field in type(self).model_fields.items():
            if EACH in field.metadata:
                values[name] = getattr(self, name)
                continue
            values[name] = draw(getattr(self, name), stream, f"{path}.{name}", drawn)
            for check in field.metadata:
                if isinstance(check, AfterValidator):
                    try:
                        check.func(values[name])  # type: ignore[call-arg]
                    except ValueError as error:
                        raise ValueError(f"{path}.{name} {error}") from None
        return values

    def material_options(self) -> list[Any]:
        """Every material that a body of the family may have, as a name or a template."""
        found: list[Any] = list(self.materials)
        for name in type(self).model_fields:
            if "material" in name:
                found += _options(getattr(self, name))
        return found


def _options(value: Any) -> list[Any]:
    if isinstance(value, Choice):
        return [found for option in value.choice for found in _options(option)]
    if isinstance(value, list):
        return [found for item in value for found in _options(item)]
    return [] if value is None else [value]


def paragraph(family: type[Family]) -> str:
    """What a family says of itself, on one line."""
    return re.sub(r"\s+", " ", family.about).strip()
