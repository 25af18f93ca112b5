"""How an image is taken: exposure, rays per pixel, and the belt of a line scan."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from xsim.schema import Positive, StrictModel

__all__ = ["Acquisition"]

EXPOSURES = ("exposure_s", "quanta_per_pixel", "target_gv")
BELT = ("belt_speed_m_s", "line_rate_hz", "lines")


class Acquisition(StrictModel):
    """How the image is taken, and how long.

    One of: exposure time; quanta absorbed in an open-beam pixel in the middle of the detector; share of full scale that
    the open beam shall reach there. The last, at 0.7, where none is given; for a line scan the whole time of a line.
    Each pixel is the mean of subpixels x subpixels rays: everywhere, or in the adaptive mode where an edge crosses it.
    ``energies``: all bins of the spectrum, as where it is not given, or few that stand for them; see ``quadrature``.
    """

    exposure_s: Positive | None = None
    quanta_per_pixel: Positive | None = None
    target_gv: Annotated[Positive, Field(le=1)] | None = None
    subpixels: Annotated[int, Field(strict=True, ge=1, le=16)] = 1
    subpixel_mode: Literal["full", "adaptive"] = "full"
    energies: Literal["all", "few"] | None = None
    belt_speed_m_s: Positive | None = None
    line_rate_hz: Positive | None = None
    lines: Annotated[int, Field(strict=True, gt=0, le=65536)] | None = None
    state: Literal["raw"] = "raw"

    @model_validator(mode="before")
    @classmethod
    def _a_line_lasts_its_time(cls, data: Any) -> Any:
        if not isinstance(data, dict) or any(data.get(name) is not None for name in EXPOSURES):
            return data
        rate = data.get("line_rate_hz")
        return {**data, "exposure_s": 1.0 / rate} if isinstance(rate, int | float) and rate > 0 else data

    @model_validator(mode="after")
    def _one_exposure(self) -> Acquisition:
        given = [name for name in EXPOSURES if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"both {given[0]} and {given[1]} given (one follows from the other) keep one")
        return self

    @model_validator(mode="after")
    def _whole_belt(self) -> Acquisition:
        missing = [name for name in BELT if getattr(self, name) is None]
        if missing and len(missing) < len(BELT):
            raise ValueError(f"{missing[0]} is missing (a line scan needs {', '.join(BELT)}) add it")
        if self.line_rate_hz and self.exposure_s and self.exposure_s * self.line_rate_hz > 1 + 1e-9:
            raise ValueError(
                f"exposure_s = {self.exposure_s:g} is longer than a line (line_rate_hz = {self.line_rate_hz:g}: "
                f"{1 / self.line_rate_hz:g} s) shorten it or lower the rate"
            )
        return self
