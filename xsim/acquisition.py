"""How an image is taken: exposure, rays per pixel, and the belt of a line scan."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from xsim.schema import NonNegative, Number, Positive, StrictModel

__all__ = ["Acquisition"]

EXPOSURES = ("exposure_s", "quanta_per_pixel", "target_gv", "snr")
BELT = ("belt_speed_m_s", "line_rate_hz", "lines")
TRAVEL = ("tdi_speed_mismatch", "tdi_focus_mm", "line_jitter_share")
RIPPLE = ("tube_ripple_share", "tube_ripple_hz")
TRAVEL_SAMPLES = 5


class Acquisition(StrictModel):
    """How the image is taken, and how long.

    One of: exposure time; quanta absorbed in an open-beam pixel in the middle of the detector; share of full scale that
    the open beam shall reach there; signal over noise of a pixel there. A share of 0.7, where none is given; for a line
    scan the whole time of a line.
    Each pixel is the mean of subpixels x subpixels rays: everywhere, or in the adaptive mode where an edge crosses it.
    An image is the mean of ``frames`` exposures, each of that time, in one of three states of correction. Lines of a
    scan are blurred by the part's travel where ``travel_samples`` or one of the terms is given; see ``xsim.travel``.
    ``energies``: all bins of the spectrum, as where it is not given, or few that stand for them; see ``quadrature``.
    """

    exposure_s: Positive | None = None
    quanta_per_pixel: Positive | None = None
    target_gv: Annotated[Positive, Field(le=1)] | None = None
    snr: Annotated[Positive, Field(le=1e6)] | None = None
    subpixels: Annotated[int, Field(strict=True, ge=1, le=16)] = 1
    subpixel_mode: Literal["full", "adaptive"] = "full"
    energies: Literal["all", "few"] | None = None
    belt_speed_m_s: Positive | None = None
    line_rate_hz: Positive | None = None
    lines: Annotated[int, Field(strict=True, gt=0, le=65536)] | None = None
    frames: Annotated[int, Field(strict=True, ge=1, le=256)] = 1
    state: Literal["raw", "offset_corrected", "flat_field_corrected"] = "raw"
    travel_samples: Annotated[int, Field(strict=True, ge=3, le=63)] | None = None
    tdi_speed_mismatch: Annotated[Number, Field(gt=-0.5, lt=0.5)] = 0.0
    tdi_focus_mm: Number = 0.0
    line_jitter_share: Annotated[NonNegative, Field(le=2)] = 0.0
    tube_ripple_share: Annotated[NonNegative, Field(le=0.3)] = 0.0
    tube_ripple_hz: Positive = 100.0

    @model_validator(mode="before")
    @classmethod
    def _a_line_lasts_its_time(cls, data: Any) -> Any:
        if not isinstance(data, dict) or any(data.get(name) is not None for name in EXPOSURES):
            return data
        rate = data.get("line_rate_hz")
        return {**data, "exposure_s": 1.0 / rate} if isinstance(rate, int | float) and rate > 0 else data

    @model_validator(mode="before")
    @classmethod
    def _travel_is_sampled(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("travel_samples") is not None or not any(map(data.get, TRAVEL)):
            return data
        return {**data, "travel_samples": TRAVEL_SAMPLES}

    @model_validator(mode="after")
    def _travel_needs_a_belt(self) -> Acquisition:
        names = ("travel_samples", *TRAVEL, *RIPPLE)
        given = [name for name in names if getattr(self, name) != type(self).model_fields[name].default]
        if given and self.line_rate_hz is None:
            raise ValueError(f"{given[0]} is of a line scan (there is no belt) give {', '.join(BELT)}")
        if self.travel_samples is not None and self.travel_samples % 2 == 0:
            raise ValueError(
                f"travel_samples = {self.travel_samples} is even (one of them is the line's middle) add one"
            )
        return self

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
