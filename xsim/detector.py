"""Named cameras: what a detector is, as data. The chain from X-rays to grey values is in scintillator and sensor."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from xsim.electronics import Correction, Sensor
from xsim.schema import Positive, StrictModel
from xsim.screen import Scintillator

__all__ = ["Correction", "Detector", "Scintillator", "Sensor", "preset_names"]

Pixels = Annotated[int, Field(strict=True, gt=0, le=65536)]


class Detector(StrictModel):
    """A camera: a preset by name, or every field; fields beside a preset override it.

    ``kind = "line_scan"`` is one row of pixels, read once a line while the part passes.
    ``response = "ideal"`` gives the energy that reaches each pixel in keV: no blur, no electronics.
    """

    preset: str | None = None
    kind: Literal["flat_panel", "line_scan"] = "flat_panel"
    response: Literal["scintillator", "ideal"] = "scintillator"
    rows: Pixels
    columns: Pixels
    pitch_mm: Positive
    scintillator: Scintillator
    sensor: Sensor
    correction: Correction = Correction()

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        merged = read_preset(data["preset"]) if isinstance(data.get("preset"), str) else {}
        for key, value in data.items():
            both = isinstance(value, dict) and isinstance(merged.get(key), dict)
            merged[key] = {**merged[key], **value} if both else value
        return {"rows": 1, **merged} if merged.get("kind") == "line_scan" else merged

    @model_validator(mode="after")
    def _a_line_is_one_row(self) -> Detector:
        if self.kind == "line_scan" and self.rows != 1:
            raise ValueError(f"a line camera has one row (rows = {self.rows}) give acquisition.lines instead")
        if self.kind == "line_scan" and self.sensor.column_noise_e:
            raise ValueError("column noise belongs to a panel (a line's pixels are read together) give row_noise_e")
        if self.kind != "line_scan" and self.sensor.tdi_stages > 1:
            raise ValueError(f'tdi_stages = {self.sensor.tdi_stages} needs a line camera, use kind = "line_scan"')
        return self


def preset_names() -> list[str]:
    """Cameras that ship with the package."""
    folder = resources.files("xsim") / "detectors"
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))


def read_preset(name: str) -> dict[str, Any]:
    if name not in preset_names():
        raise ValueError(f"unknown detector preset {name!r} (known: {', '.join(preset_names())})")
    return tomllib.loads((resources.files("xsim") / "detectors" / f"{name}.toml").read_text())
