"""What a part's travel does to a line scan: motion in a line, time delay and integration, jitter, ripple of the tube.

In lines, f in cycles per line and d = 1 the belt's step: the modulation along travel is the product of

- sinc(f r), r the share of a line that is exposed: the motion during it;
- |sin(pi N e f) / (N sin(pi e f))|, N stages past which the image moves 1 + e times as fast as the charge. Beside the
  speed mismatch e holds M / M0 - 1: a part before or behind the plane that the clock is set for moves faster or slower
  on the sensor, and is smeared over N |M / M0 - 1|;
- exp(-2 (pi f s)^2), s the standard deviation of the moment of a line, in lines.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xsim.acquisition import Acquisition
from xsim.backend import Backend
from xsim.detector import Detector
from xsim.geometry import View
from xsim.station import Geometry

__all__ = ["Travel", "ripple_factors", "travel_of"]

RIPPLE = 20  # stream
TAIL = 4.5  # standard deviations of a Gaussian that are kept


@dataclass(frozen=True)
class Travel:
    """Spread along travel, worked out on ``samples`` sub-lines a line.

    Attributes
    ----------
    samples : int
        Odd.
    exposed : float
        Share of a line that is exposed.
    stages : int
    mismatch : float
        Of the image's speed against the charge's.
    jitter : float
        Standard deviation of a line's moment, in lines.

    """

    samples: int
    exposed: float
    stages: int = 1
    mismatch: float = 0.0
    jitter: float = 0.0

    @property
    def variance(self) -> float:
        """Of the spread [line^2]."""
        stages = (self.stages**2 - 1) / 12.0 * self.mismatch**2
        return self.exposed**2 / 12.0 + stages + self.jitter**2

    @property
    def margin(self) -> int:
        """Sub-lines beyond the first and last line that they see."""
        return (len(self.weights) - self.samples) // 2

    @functools.cached_property
    def weights(self) -> np.ndarray:
        """Share of each sub-line, float64, symmetric and summing to 1.

        The spread's integrals over the sub-lines, the spread stretched by the little that makes the variance of the
        shares, which stand for points, the true one.
        """
        low, high = 0.0, 3.0
        for _ in range(60):
            middle = 0.5 * (low + high)
            shares = self.shares(middle)
            at = (np.arange(len(shares)) - len(shares) // 2) / self.samples
            low, high = (middle, high) if float(shares @ at**2) < self.variance else (low, middle)
        return self.shares(high)

    def shares(self, stretch: float) -> np.ndarray:
        """Integrals over the sub-lines of the spread, stretched."""
        reach = stretch * (0.5 * self.exposed + 0.5 * (self.stages - 1) * abs(self.mismatch) + TAIL * self.jitter)
        count = max(math.ceil(reach * self.samples - 0.5), self.samples // 2)
        edges = (np.arange(-count, count + 2) - 0.5) / self.samples
        steps = np.arange(self.stages) - 0.5 * (self.stages - 1)
        below = np.zeros(len(edges))
        for step in steps * self.mismatch * stretch:
            below += smeared_step(edges - step, self.exposed * stretch, self.jitter * stretch)
        shares = np.diff(below)
        shares = shares + shares[::-1]
        return np.asarray(shares / shares.sum())

    def modulation(self, frequency: np.ndarray) -> np.ndarray:
        """Product of the terms at f [cycles per line]."""
        f = np.asarray(frequency, np.float64)
        phase = np.pi * self.mismatch * f
        with np.errstate(invalid="ignore", divide="ignore"):
            stages = np.abs(np.sin(self.stages * phase) / (self.stages * np.sin(phase)))
        stages = np.where(np.sin(phase) == 0, 1.0, stages)
        return np.asarray(np.abs(np.sinc(self.exposed * f)) * stages * np.exp(-2 * (np.pi * f * self.jitter) ** 2))

    def fine(self, view: View, above: int) -> View:
        """The sub-lines of a view with ``above`` lines before and after it, and what the outermost see beside."""
        rows, n = view.rows + 2 * above, self.samples
        step, source_step = view.row / n, view.source_row / n
        back = above * n + 0.5 * (n - 1) + self.margin
        return replace(
            view, source=view.source - back * source_step, origin=view.origin - back * step, row=step,
            source_row=source_step, rows=rows * n + 2 * self.margin,
        )  # fmt: skip

    def gather(self, image: Any) -> Any:
        """Lines of sub-lines: the weighted mean of float32 [..., sub-line, column]."""
        rows = (image.shape[-2] - 2 * self.margin) // self.samples
        total = None
        for k, weight in enumerate(self.weights):  # one fixed order of addition
            part = image[..., k : k + (rows - 1) * self.samples + 1 : self.samples, :] * np.float32(weight)
            total = part if total is None else total + part
        return total

    def middles(self, image: Any) -> Any:
        """The sub-line in the middle of each line."""
        rows = (image.shape[-2] - 2 * self.margin) // self.samples
        first = self.margin + self.samples // 2
        return image[..., first : first + (rows - 1) * self.samples + 1 : self.samples, :]


def smeared_step(x: np.ndarray, width: float, sigma: float) -> np.ndarray:
    """Distribution function of a uniform variable of this width plus a normal one."""
    from scipy.special import ndtr

    if width == 0.0:
        return np.asarray(ndtr(x / sigma)) if sigma > 0 else np.heaviside(x, 0.5)
    if sigma == 0.0:
        return np.clip(x / width + 0.5, 0.0, 1.0)
    ends = []
    for u in ((x + 0.5 * width) / sigma, (x - 0.5 * width) / sigma):
        ends.append(sigma * (u * ndtr(u) + np.exp(-0.5 * u * u) / np.sqrt(2 * np.pi)))
    return np.asarray((ends[0] - ends[1]) / width)


def travel_of(geometry: Geometry, acquisition: Acquisition, detector: Detector) -> Travel | None:
    """Spread of a scene along travel; None where each line is taken at its moment."""
    samples = acquisition.travel_samples
    if samples is None or acquisition.line_rate_hz is None:
        return None
    exposed = 1.0
    if acquisition.exposure_s is not None:
        exposed = min(acquisition.exposure_s * acquisition.line_rate_hz, 1.0)
    depth = 0.0 if geometry.beam == "parallel" else acquisition.tdi_focus_mm / geometry.sod_mm
    mismatch = (1.0 + acquisition.tdi_speed_mismatch) * (1.0 + depth) - 1.0
    stages = detector.sensor.tdi_stages
    return Travel(samples, exposed, stages, mismatch if stages > 1 else 0.0, acquisition.line_jitter_share)


def ripple_factors(acquisition: Acquisition, stages: int, rows: range, seed: int, frame: int, backend: Backend) -> Any:
    """Share of the mean that the tube gives in each line of a frame, float32 [row, 1]; None without ripple.

    A sine of random phase, its mean over a line's exposure and over the lines that the stages see one after the other:
    correlated noise that the pixels of a line have in common. ``rows``: numbers of the lines, 0 the image's first.
    """
    if acquisition.tube_ripple_share == 0.0 or acquisition.line_rate_hz is None:
        return None
    xp = backend.xp
    counters, words = xp.array([[0, frame, RIPPLE, 0]], np.uint32), xp.zeros((1, 4), np.uint32)
    backend.launch("random_words", 1, counters=counters, words=words, seed=seed)
    phase = 2 * math.pi * (int(backend.to_numpy(words)[0, 0]) + 0.5) / 2**32
    turns = acquisition.tube_ripple_hz / acquisition.line_rate_hz
    exposed = 1.0 if acquisition.exposure_s is None else acquisition.exposure_s * acquisition.line_rate_hz
    steps = np.exp(2j * math.pi * turns * np.arange(stages))
    height = math.sqrt(2.0) * acquisition.tube_ripple_share * float(np.sinc(turns * exposed) * np.abs(steps.mean()))
    waves = [1.0 + height * math.sin(2 * math.pi * turns * row + phase) for row in rows]
    return xp.asarray(np.array(waves, np.float32)[:, None])
