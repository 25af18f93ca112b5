"""What a scintillating screen is, as data."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from xsim.schema import NonNegative, Positive, StrictModel

__all__ = ["Scintillator"]

Share = Annotated[float, Field(strict=True, ge=0, lt=1, allow_inf_nan=False)]
Unit = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]


class Scintillator(StrictModel):
    """An absorbing screen and the spread of its light.

    The MTF of the light is one of

    - 1 / (1 + H f^2), f in 1/mm: H = ``light_spread_h_mm2``; 0 for no spread. With ``light_spread_second_h_mm2`` and
      ``light_spread_second_share`` a sum of two such terms;
    - exp(-2 pi^2 s^2 f^2), s = ``light_spread_sigma_mm``;
    - ``light_mtf``, a measured one: pairs of 1/mm and MTF, frequencies ascending, without the aperture of the pixel.

    ``glare_share`` of the light goes into a Gaussian of the standard deviation ``glare_mm`` instead.

    ``model = "single"``: every photon that interacts leaves its whole energy, all light spreads alike. ``"cascade"``:
    ``deposition = "slab"`` takes from the slab Monte Carlo what it leaves ("complete": all of it), and the depth is cut
    into ``depth_classes`` equal slices. X-rays enter far from the sensor (``irradiated = "front"``) or through it
    ("back"). At the distance d from the sensor's side, as a share of the depth, light is collected by a factor of
    1 - ``light_loss`` d (``light_gain = "linear"``) or (1 - ``light_loss``)^d ("exponential"), and is spread as above
    but 1 + ``spread_depth`` (2 d - 1) times as wide: 0 for the same at all depths, 1 in proportion to the distance.
    These fields count in the cascade only.

    ``lag``: pairs of a share of the light and the time in ms in which it decays, without all that is light at once. It
    reaches later frames of a panel under a steady beam, and later lines of a line scan; see ``light_lag``.

    ``light_photons_per_kev``: photons of the light detected per keV, counted by a Poisson draw after the spread; None
    where the sensor's own noise holds it.
    """

    model: Literal["single", "cascade"] = "single"
    material: str | dict[str, object]
    areal_density_mg_cm2: Positive
    light_spread_h_mm2: NonNegative = 0.0
    light_spread_second_h_mm2: NonNegative = 0.0
    light_spread_second_share: Unit = 0.0
    light_spread_sigma_mm: NonNegative = 0.0
    light_mtf: Annotated[tuple[tuple[Positive, Unit], ...], Field(max_length=256)] = ()
    glare_share: Share = 0.0
    glare_mm: NonNegative = 0.0
    light_photons_per_kev: Positive | None = None
    lag: Annotated[tuple[tuple[Share, Positive], ...], Field(max_length=4)] = ()
    depth_classes: Annotated[int, Field(strict=True, ge=1, le=8)] = 4
    irradiated: Literal["front", "back"] = "front"
    deposition: Literal["slab", "complete"] = "slab"
    light_gain: Literal["linear", "exponential"] = "linear"
    light_loss: Share = 0.0
    spread_depth: Unit = 1.0

    @property
    def classes(self) -> int:
        """Number of depth classes: one for the single model."""
        return self.depth_classes if self.model == "cascade" else 1

    def sensor_distance(self, depth: np.ndarray) -> np.ndarray:
        """Distance from the sensor's side, as a share of the depth, of depths 0 to 1 along the X-rays."""
        return 1.0 - depth if self.irradiated == "front" else depth

    def light_gain_at(self, distance: np.ndarray) -> np.ndarray:
        """Light collected at distances 0 to 1 from the sensor's side; 1 at it."""
        if self.model == "single" or self.light_loss == 0.0:
            return np.ones_like(distance)
        if self.light_gain == "linear":
            return 1.0 - self.light_loss * distance
        return np.asarray((1.0 - self.light_loss) ** distance)

    def spread_width_at(self, distance: np.ndarray) -> np.ndarray:
        """Width of the spread at distances 0 to 1 from the sensor's side, over that in the middle."""
        if self.model == "single":
            return np.ones_like(distance)
        return 1.0 + self.spread_depth * (2.0 * distance - 1.0)

    @model_validator(mode="after")
    def _one_spread(self) -> Scintillator:
        names = ("light_spread_h_mm2", "light_spread_sigma_mm", "light_mtf")
        given = [name for name in names if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"the light spreads in two ways ({', '.join(given)}) set the others to 0 or []")
        if self.light_spread_second_share and not self.light_spread_h_mm2:
            raise ValueError("light_spread_second_share without a first term (light_spread_h_mm2 is 0) give it")
        if self.glare_share and not self.glare_mm:
            raise ValueError(f"glare_share {self.glare_share:g} without a width (glare_mm is 0) give glare_mm")
        if (late := sum(share for share, _ in self.lag)) >= 1:
            raise ValueError(f"all light is late (the shares of lag add up to {late:g}) lower them")
        frequencies = [frequency for frequency, _ in self.light_mtf]
        if any(b <= a for a, b in pairwise(frequencies)):
            raise ValueError("light_mtf is not in ascending frequency (each pair is 1/mm, MTF) sort it")
        return self
