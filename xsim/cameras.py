"""Named cameras: what a camera file says of itself, and its figures at its own typical exposure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, ValidationInfo, model_validator

from xsim.acquisition import EXPOSURES, Acquisition
from xsim.camera_file import PROVENANCE, numbers_of, preset_names, read_camera_file
from xsim.detector import Detector
from xsim.errors import SceneError
from xsim.scene import Scene
from xsim.scene_file import scene_from_dict
from xsim.schema import StrictModel, first_problem
from xsim.source import Source
from xsim.station import Geometry

__all__ = ["About", "NamedCamera", "Typical", "named_camera", "named_cameras"]

OPEN_BEAM = 64  # rows and columns of an image of the open beam


class Typical(StrictModel):
    """An exposure that a camera is typically used at, in a scene file's own terms."""

    source: Source
    geometry: Geometry
    acquisition: Acquisition


class About(StrictModel):
    """What nobody simulates: a title, where each number comes from, a typical exposure.

    ``provenance`` lists dotted fields by their source; a source begins with "data sheet", "literature" or
    "placeholder".
    """

    title: str = ""
    provenance: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    typical: Typical | None = None

    @model_validator(mode="after")
    def _known_marks(self) -> About:
        for source in self.provenance:
            if not source.startswith(PROVENANCE):
                raise ValueError(f"provenance {source!r} says neither {', '.join(PROVENANCE)} (begin it with one)")
        return self

    @model_validator(mode="after")
    def _of_numbers_there_are(self, info: ValidationInfo) -> About:
        numbers = (info.context or {}).get("numbers")
        named = Counter(field for fields in self.provenance.values() for field in fields)
        for field, times in named.items():
            if times > 1:
                raise ValueError(f"provenance names {field} {times} times (a number has one source) keep one")
            if numbers is not None and field not in numbers:
                raise ValueError(f"provenance names {field} (the file has no such number) take it out")
        return self

    def source_of(self, field: str) -> str:
        """Where a number comes from; empty where the file does not say."""
        return next((source for source, fields in self.provenance.items() if field in fields), "")


@dataclass(frozen=True)
class NamedCamera:
    """A camera file that was read.

    Attributes
    ----------
    name : str
    detector : Detector
    about : About
    numbers : dict of str to number or list
        Numbers of the file by their dotted fields.

    """

    name: str
    detector: Detector
    about: About
    numbers: dict[str, Any]

    def sourced(self) -> dict[str, int]:
        """How many numbers come from a data sheet, from literature, are placeholders, or do not say."""
        found = dict.fromkeys((*PROVENANCE, "not said"), 0)
        for field in self.numbers:
            source = self.about.source_of(field)
            found[next((kind for kind in PROVENANCE if source.startswith(kind)), "not said")] += 1
        return found

    def open_beam(self, rows: int = OPEN_BEAM, columns: int = OPEN_BEAM, **acquisition: Any) -> Scene:
        """Scene of the typical exposure without bodies, on fewer pixels about the middle.

        Parameters
        ----------
        rows, columns : int
            Of the image; of a line camera rows are lines.
        acquisition : fields
            That take the place of the typical ones.

        Raises
        ------
        SceneError
            The file names no typical exposure, or a field does not fit.

        """
        typical = self.about.typical
        if typical is None:
            raise SceneError(f"camera {self.name} names no typical exposure (there is no [about.typical]) add one")
        run = typical.acquisition.model_dump(exclude_none=True, exclude_defaults=True)
        if any(name in acquisition for name in EXPOSURES):
            run = {name: value for name, value in run.items() if name not in EXPOSURES}
        run |= acquisition
        small = {"rows": rows, "columns": columns}
        if self.detector.kind == "line_scan":
            run, small = run | {"lines": rows}, {"rows": 1, "columns": columns}
        tables = {"source": typical.source, "geometry": typical.geometry}
        detector = self.detector.model_dump(exclude={"preset"}, exclude_defaults=True) | small
        return scene_from_dict({**tables, "acquisition": run, "detector": detector})


def named_camera(name: str, directory: str | Path = ".") -> NamedCamera:
    """Camera of a shipped preset, or of a file that ends in ``.toml``.

    Raises
    ------
    SceneError
        There is none, or a field is wrong. One line.

    """
    try:
        fields, about = read_camera_file(name, Path(directory))
        detector = Detector.model_validate(fields)
        numbers = numbers_of(fields)
        told = About.model_validate(about, context={"numbers": numbers})
    except ValidationError as error:
        raise SceneError(f"camera {name}: {first_problem(error)}") from None
    except ValueError as error:
        raise SceneError(str(error)) from None
    return NamedCamera(name.removesuffix(".toml"), detector, told, numbers)


def named_cameras() -> list[NamedCamera]:
    """Every camera that ships, by name."""
    return [named_camera(name) for name in preset_names()]
