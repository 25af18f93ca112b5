"""Spread of a screen's light: point responses per pixel of the MTF forms, per depth class, with glare."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from xsim.detector import Detector
from xsim.errors import SceneError
from xsim.light_lag import Lag, lag_of
from xsim.screen import Scintillator

__all__ = ["LightSpread", "class_distances", "gaussians_of", "light_spread", "transfer"]

FORMS = (
    "light_spread_h_mm2",
    "light_spread_second_h_mm2",
    "light_spread_second_share",
    "light_spread_sigma_mm",
    "light_mtf",
)
LIGHT_LOST = 0.001  # of a kernel that is cut off and scaled back to a sum of 1
MTF_ERROR = 0.004
PERIODS_PX = (256, 1024)  # of the transform that a kernel is taken from
GLARE_ENERGY = 0.995
GREATEST_REACH_PX = 4096
MTF_MISFIT = 0.02


@dataclass(frozen=True, eq=False)
class LightSpread:
    """How the light of each depth class reaches the pixels.

    Attributes
    ----------
    kernels : float32 [class, 2 n + 1, 2 m + 1]
        Without the glare: a class's sum is 1 - glare share. Of a line camera n = 0, and with its glare.
    radii : int32 [class]
        Beyond which a class's kernel is nought.
    glare : float32 [2 g + 1] or None
        Glare along a row or column, the square of its sum the share of glare.
    lag : Lag or None
        From frame to frame, of a line camera from line to line.
    is_line : bool
    """

    kernels: np.ndarray
    radii: np.ndarray
    glare: np.ndarray | None = None
    lag: Lag | None = None
    is_line: bool = False

    @property
    def late_lines(self) -> int:
        """Lines before the first one that shine into it."""
        return self.lag.lines if self.is_line and self.lag is not None else 0

    @property
    def margin(self) -> tuple[int, int]:
        """Rows and columns of light that an image needs around it."""
        wide = 0 if self.glare is None else len(self.glare) // 2
        above, beside = (max(length // 2, wide) for length in self.kernels.shape[1:])
        return max(above, self.late_lines), beside

    @functools.cached_property
    def whole(self) -> np.ndarray:
        """Kernels with their glare, float64 [class, 2 n + 1, 2 m + 1] of the margin, each of sum 1."""
        margin = (0, self.margin[1]) if self.is_line else self.margin
        lacking = [m - length // 2 for m, length in zip(margin, self.kernels.shape[1:], strict=True)]
        whole = np.pad(self.kernels.astype(np.float64), ((0, 0), *((m, m) for m in lacking)))
        if self.glare is not None:
            g = self.glare.astype(np.float64)
            g = np.pad(g, self.margin[0] - len(g) // 2)
            whole = whole + np.outer(g, g)
        return whole

    def mean_kernel(self, shares: np.ndarray) -> np.ndarray:
        """Point response of light of which the classes have these shares, any sum; [2 n + 1, 2 m + 1], sum 1."""
        if len(self.kernels) == 1 and self.glare is None:
            return np.asarray(self.kernels[0])
        shares = shares if shares.sum() > 0 else np.ones(len(shares))
        return np.asarray(np.tensordot(shares / shares.sum(), self.whole, axes=1))

    def sum_squares(self, shares: np.ndarray) -> float:
        """Sum of the squares of a class's point response, mean over the classes by these shares."""
        squares = (self.whole**2).sum(axis=(1, 2))
        shares = shares if shares.sum() > 0 else np.ones(len(shares))
        return float(squares[0]) if len(squares) == 1 else float(squares @ shares / shares.sum())


def light_spread(detector: Detector, period_s: float | None = None) -> LightSpread:
    """Spread of every depth class of a detector's screen, from the side that the X-rays enter by.

    With ``period_s``, the time from frame to frame or from line to line, its lag as well. A line camera reads each line
    by itself: its light spreads along the line alone, by the sum over the other one; the MTF along it is the same.

    The width of a class is that at its middle: proportional to the distance from the sensor for ``spread_depth = 1``,
    as light that leaves a layer of a clear or weakly scattering screen spreads (Lubberts, J. Opt. Soc. Am. 58 (1968)
    1475; Nishikawa and Yaffe, Med. Phys. 17 (1990) 894).
    """
    screen = detector.scintillator
    if detector.response == "ideal":
        return LightSpread(np.ones((1, 1, 1), np.float32), np.zeros(1, np.int32))
    line = detector.kind == "line_scan"
    widths = screen.spread_width_at(class_distances(screen))
    kernels = [point_kernel(screen, float(width), detector.pitch_mm) for width in widths]
    if line:
        kernels = [np.asarray(kernel.sum(axis=0, dtype=np.float64)[None], np.float32) for kernel in kernels]
    glare = glare_weights(screen.glare_mm / detector.pitch_mm) if screen.glare_share else None
    if glare is not None:
        kernels = [np.asarray(kernel * np.float32(1.0 - screen.glare_share), np.float32) for kernel in kernels]
    if glare is not None and line:
        kernels = [np.asarray(add_centred(k, screen.glare_share * glare[None]), np.float32) for k in kernels]
    radii = np.array([kernel.shape[1] // 2 for kernel in kernels], np.int32)
    widest = np.zeros(kernels[int(radii.argmax())].shape, np.float32)
    stack = np.stack([add_centred(widest, kernel) for kernel in kernels])
    lag = None if period_s is None else lag_of(screen, period_s)
    wide = None if glare is None or line else np.asarray(np.sqrt(screen.glare_share) * glare, np.float32)
    return LightSpread(stack, radii, wide, lag, line)


def class_distances(screen: Scintillator) -> np.ndarray:
    """Distance of the middle of each depth class from the sensor's side, 0 to 1, float64 [class]."""
    return screen.sensor_distance((np.arange(screen.classes) + 0.5) / screen.classes)


def transfer(screen: Scintillator, frequency_per_mm: np.ndarray, width: float = 1.0) -> np.ndarray:
    """MTF of the light T(f) of a spread ``width`` times as wide, glare included; without the pixel's aperture."""
    square = (np.asarray(frequency_per_mm, np.float64) * width) ** 2
    if screen.light_spread_sigma_mm:
        light = np.exp(-2 * (np.pi * screen.light_spread_sigma_mm) ** 2 * square)
    elif screen.light_mtf:
        sigmas, shares = gaussians_of(screen.light_mtf)
        light = np.exp(-2 * (np.pi * sigmas) ** 2 * square[..., None]) @ shares
    else:
        second = screen.light_spread_second_share
        light = (1 - second) / (1 + screen.light_spread_h_mm2 * square)
        light = light + second / (1 + screen.light_spread_second_h_mm2 * square)
    glare = np.exp(-2 * (np.pi * screen.glare_mm * np.asarray(frequency_per_mm)) ** 2)
    return np.asarray((1 - screen.glare_share) * light + screen.glare_share * glare)


def point_kernel(screen: Scintillator, width: float, pitch_mm: float) -> np.ndarray:
    """Point response of a spread ``width`` times as wide, without glare: float32 [2 n + 1, 2 n + 1], sum 1.

    Its transform is T(f) up to the Nyquist frequency in both directions. The aperture of the pixels is in the quanta
    that each gets, by the mean over its sub-pixel rays, so that the MTF of an image is T(f) sinc(f a); with one ray a
    pixel it is T(f). Where T is above nought at the Nyquist frequency that takes entries below nought, of 1 % of the
    light at the most.

    Raises
    ------
    SceneError
        The light spreads over more pixels than 384.

    """
    forms = screen.model_dump(include=set(FORMS))
    return _kernel(tuple(sorted(forms.items())), width, pitch_mm)


@functools.lru_cache(maxsize=64)
def _kernel(forms: tuple[tuple[str, Any], ...], width: float, pitch_mm: float) -> np.ndarray:
    """The kernel of T to the Nyquist frequency, cut where little is lost of its light and of T."""
    screen = Scintillator(material="Al", areal_density_mg_cm2=1.0, **dict(forms))
    for period in PERIODS_PX:
        frequency = np.fft.fftfreq(period, pitch_mm)
        wanted = transfer(screen, np.hypot(frequency[:, None], frequency[None, :]), width)
        whole = np.fft.fftshift(np.fft.ifft2(wanted).real)
        middle, axis = period // 2, wanted[0, : period // 2]
        phase = 2 * np.pi * frequency[: period // 2] * pitch_mm
        for radius in range(period * 3 // 8):
            part = whole[middle - radius : middle + radius + 1, middle - radius : middle + radius + 1]
            light = part.sum()
            if abs(light - 1.0) > LIGHT_LOST:
                continue
            line = part.sum(axis=0) / light
            if np.abs(np.cos(np.outer(phase, np.arange(-radius, radius + 1))) @ line - axis).max() <= MTF_ERROR:
                kernel = np.asarray(part / light, np.float32)
                kernel.setflags(write=False)
                return kernel
    raise SceneError(
        f"the light spreads over more than {radius} pixels of {pitch_mm:g} mm (no image holds it) check its numbers"
    )


def add_centred(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Sum of two kernels about their middles, of the size of the larger."""
    wide, narrow = (one, other) if one.shape[1] >= other.shape[1] else (other, one)
    lacking = [(a - b) // 2 for a, b in zip(wide.shape, narrow.shape, strict=True)]
    return np.asarray(wide + np.pad(narrow, [(m, m) for m in lacking]))


def gaussian_weights(sigma_px: float, kept: float) -> np.ndarray:
    """Integral of a Gaussian over each pixel of a row, to the radius that keeps a share of it in the plane; sum 1.

    Raises
    ------
    SceneError
        The radius exceeds 4096 pixels.

    """
    from scipy.special import ndtr

    if sigma_px == 0.0:
        return np.ones(1)
    reach_px = np.ceil(sigma_px * np.sqrt(-2.0 * np.log1p(-kept)))
    if reach_px > GREATEST_REACH_PX:
        raise SceneError(
            f"the glare reaches {reach_px:.4g} pixels far ({GREATEST_REACH_PX} at the most) lower glare_mm, or leave "
            "glare_share out"
        )
    radius = int(reach_px)
    edges = ndtr((np.arange(-radius, radius + 2) - 0.5) / sigma_px)
    weights = np.diff(edges)
    return np.asarray(weights / weights.sum())


def glare_weights(sigma_px: float) -> np.ndarray:
    """Glare along one direction, sum 1."""
    return gaussian_weights(sigma_px, GLARE_ENERGY)


@functools.lru_cache(maxsize=64)
def gaussians_of(light_mtf: tuple[tuple[float, float], ...]) -> tuple[np.ndarray, np.ndarray]:
    """A measured MTF as a sum of Gaussians that are nowhere negative: standard deviations in mm and shares, sum 1.

    Raises
    ------
    SceneError
        No such sum comes within 0.02 of the table: it has a bump or rises.

    """
    from scipy.optimize import nnls

    frequency, mtf = np.array(light_mtf).T
    sigmas = np.concatenate(([0.0], np.geomspace(0.02 / frequency[-1], 2.0 / frequency[0], 60)))
    terms = np.exp(-2 * (np.pi * np.outer(frequency, sigmas)) ** 2)
    shares, _ = nnls(np.vstack([terms, np.full((1, len(sigmas)), 100.0)]), np.append(mtf, 100.0))
    shares /= shares.sum()
    misfit = float(np.abs(terms @ shares - mtf).max())
    if misfit > MTF_MISFIT:
        raise SceneError(
            f"light_mtf cannot be the MTF of spread light (off by {misfit:.3f}) check for a bump or a rise"
        )
    used = shares > 1e-6
    return sigmas[used], shares[used] / shares[used].sum()
