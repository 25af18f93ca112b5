"""What turns light into grey values, as data."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from xsim.schema import NonNegative, Positive, StrictModel

__all__ = ["Sensor"]


class Sensor(StrictModel):
    """Light to grey values: gain per keV absorbed, offset, read noise, saturation, ADC."""

    adc_bits: Annotated[int, Field(strict=True, ge=1, le=16)] = 16
    gain_adu_per_kev: Positive
    offset_adu: NonNegative = 0.0
    read_noise_adu: NonNegative = 0.0
    saturation_adu: Positive | None = None  # full well; None where the ADC ends first
