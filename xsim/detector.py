"""Named cameras: what a detector is, as data. The chain from X-rays to grey values is in scintillator and sensor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, model_validator

from xsim import material
from xsim.camera_file import overridden, preset_names, read_camera_file
from xsim.electronics import Correction, Sensor
from xsim.schema import Positive, StrictModel
from xsim.screen import Scintillator
from xsim.source import Filter

__all__ = ["Correction", "Detector", "Scintillator", "SecondLayer", "Sensor", "Sheets", "preset_names"]

Pixels = Annotated[int, Field(strict=True, gt=0, le=65536)]


OTHER_SERIAL = 1 << 62  # bit that tells the second layer's serial number from the first's
Sheets = Annotated[tuple[Filter, ...], Field(max_length=32)]


class SecondLayer(StrictModel):
    """The back half of a sandwich: filters behind the first screen, then a screen and a sensor of its own.

    Its pixels lie behind those of the first layer. Without ``sensor`` it has the electronics of the first. Its fixed
    pattern is its own, of the same ``serial`` too.
    """

    scintillator: Scintillator
    filters: Sheets = ()
    sensor: Sensor | None = None


class Detector(StrictModel):
    """A camera: a preset by name or file, or every field; fields beside a preset override it.

    ``kind = "line_scan"`` is one row of pixels, read once a line while the part passes.
    ``response = "ideal"`` gives the energy that reaches each pixel in keV: no blur, no electronics.
    ``filters`` are sheets before the screen, such as its cover.
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
    filters: Sheets = ()
    second_layer: SecondLayer | None = None

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, dict):
            return data
        directory = (info.context or {}).get("directory", Path())
        named = isinstance(data.get("preset"), str)
        merged = overridden(read_camera_file(data["preset"], directory)[0] if named else {}, data)
        return {"rows": 1, **merged} if merged.get("kind") == "line_scan" else merged

    @model_validator(mode="after")
    def _a_line_is_one_row(self) -> Detector:
        if self.kind == "line_scan" and self.rows != 1:
            raise ValueError(f"a line camera has one row (rows = {self.rows}) give acquisition.lines instead")
        for sensor, _ in self._layers:
            if self.kind == "line_scan" and sensor.column_noise_e:
                raise ValueError("column noise belongs to a panel (a line's pixels are read together) give row_noise_e")
            if self.kind != "line_scan" and sensor.tdi_stages > 1:
                raise ValueError(f'tdi_stages = {sensor.tdi_stages} needs a line camera, use kind = "line_scan"')
        if self.second_layer is not None and self.response == "ideal":
            raise ValueError('an ideal response has no screen to stand behind (response = "ideal") drop second_layer')
        return self

    @model_validator(mode="after")
    def _light_is_counted_once(self) -> Detector:
        if any(sensor.has_electrons and screen.light_photons_per_kev is not None for sensor, screen in self._layers):
            raise ValueError("the light is counted twice (light_photons_per_kev, electrons_per_kev) leave one out")
        return self

    @property
    def _layers(self) -> list[tuple[Sensor, Scintillator]]:
        """Sensor and screen of the camera, then of its second layer."""
        layers, second = [(self.sensor, self.scintillator)], self.second_layer
        return layers if second is None else [*layers, (second.sensor or self.sensor, second.scintillator)]

    @property
    def sheets(self) -> list[tuple[material.Material, float]]:
        """Material and thickness [mm] of what the beam crosses before the screen."""
        return [(material.resolve(sheet.material), sheet.thickness_mm) for sheet in self.filters]

    @property
    def behind(self) -> Detector | None:
        """The second layer as a camera: before its screen lie the filters, the first screen, and those between."""
        layer, screen = self.second_layer, self.scintillator
        if layer is None:
            return None
        thickness_mm = screen.areal_density_mg_cm2 / (100.0 * material.resolve(screen.material).density_g_cm3)
        first = Filter(material=screen.material, thickness_mm=thickness_mm)
        sensor = layer.sensor or self.sensor
        if sensor.serial == self.sensor.serial:
            sensor = sensor.model_copy(update={"serial": sensor.serial ^ OTHER_SERIAL})
        return self.model_copy(update={
            "filters": (*self.filters, first, *layer.filters), "scintillator": layer.scintillator, "sensor": sensor,
            "second_layer": None,
        })  # fmt: skip
