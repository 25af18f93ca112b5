"""Named cameras: what a detector is, as data. The chain from X-rays to grey values is in scintillator and sensor."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from xsim.schema import NonNegative, Positive, StrictModel

__all__ = ["Detector", "Scintillator", "Sensor", "preset_names"]

Pixels = Annotated[int, Field(strict=True, gt=0, le=65536)]


class Scintillator(StrictModel):
    """An absorbing screen and the spread of its light.

    The MTF of the light is 1 / (1 + H f^2), f in 1/mm: H = ``light_spread_h_mm2``; 0 for no spread.
    """

    material: str | dict[str, object]
    areal_density_mg_cm2: Positive
    light_spread_h_mm2: NonNegative = 0.0


class Sensor(StrictModel):
    """Light to grey values: gain per keV absorbed, offset, read noise, saturation, ADC."""

    adc_bits: Annotated[int, Field(strict=True, ge=1, le=16)] = 16
    gain_adu_per_kev: Positive
    offset_adu: NonNegative = 0.0
    read_noise_adu: NonNegative = 0.0
    saturation_adu: Positive | None = None  # full well; None where the ADC ends first


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
        return self


def preset_names() -> list[str]:
    """Cameras that ship with the package."""
    folder = resources.files("xsim") / "detectors"
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))


def read_preset(name: str) -> dict[str, Any]:
    if name not in preset_names():
        raise ValueError(f"unknown detector preset {name!r} (known: {', '.join(preset_names())})")
    return tomllib.loads((resources.files("xsim") / "detectors" / f"{name}.toml").read_text())
