"""The other of two exposures of dual energy, as data: what differs from the first."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from xsim.acquisition import EXPOSURES, Acquisition
from xsim.detector import Sheets
from xsim.schema import Positive, StrictModel
from xsim.source import Source

__all__ = ["SecondExposure"]

BEAMS = ("voltage_kv", "energy_kev", "spectrum")


class SecondExposure(StrictModel):
    """A second image of the same part by the same camera in another beam; what is not given is as in the first.

    ``filters`` replace those of the first. One of the ways to say how long replaces that of the first.
    """

    voltage_kv: Positive | None = None
    energy_kev: Positive | None = None
    spectrum: str | None = None
    filters: Sheets | None = None
    current_ma: Positive | None = None
    exposure_s: Positive | None = None
    quanta_per_pixel: Positive | None = None
    target_gv: Positive | None = None
    snr: Positive | None = None

    @model_validator(mode="after")
    def _another_beam(self) -> SecondExposure:
        if not any(getattr(self, name) is not None for name in (*BEAMS, "filters")):
            raise ValueError(f"the same beam twice (dual energy needs two) give {', '.join(BEAMS)} or filters")
        return self

    def source(self, first: Source) -> Source:
        """The source of the second exposure."""
        found = Source.model_validate(merged(first, self, (*BEAMS, "filters", "current_ma"), BEAMS))
        found._directory = first._directory
        return found

    def acquisition(self, first: Acquisition) -> Acquisition:
        """How the second image is taken."""
        return Acquisition.model_validate(merged(first, self, EXPOSURES, EXPOSURES))


def merged(first: StrictModel, other: StrictModel, names: tuple[str, ...], one_of: tuple[str, ...]) -> dict[str, Any]:
    """Fields of the first with those that the other gives; of ``one_of`` the first's are dropped if it gives any."""
    given = {name: getattr(other, name) for name in names if getattr(other, name) is not None}
    replaced = one_of if any(name in given for name in one_of) else ()
    return {**{k: v for k, v in first.model_dump(exclude_unset=True).items() if k not in replaced}, **given}
