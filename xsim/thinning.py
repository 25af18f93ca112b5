"""Quanta taken from an image that is there: the noise that is lacking after its light has been scaled.

The light of an image is I = sum_c h_c * q_c, q_c compound Poisson of mean S_c and variance V_c. A body leaves each
quantum of energy E with probability T(E), so that the classes' means and variances become S'_c and V'_c. The image is
scaled by t = sum_c h_c * S'_c / sum_c h_c * S_c: its mean is then right. Its quantum noise has the variance t^2 V
where V' is due, so that quanta of mean 0 and variance W_c are drawn and spread by the same kernels: W = V' - t^2 V
where t varies slowly, corrected until sum_c h_c^2 * W_c is what every pixel lacks. So the variance of each pixel is
right, and the covariance up to the change of t within a kernel. A drawn quantum weighs w (1 + t), w the
weight of a quantum behind the body: the third moment is then that of thinned quanta, too. Where a body lets more light
through than what it displaces (a pore), nothing is thinned and the quanta that it adds are drawn as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xsim.backend import Backend
from xsim.fixed_pattern import camera_key, draw_words, normals
from xsim.light_spread import LightSpread
from xsim.scintillator import convolved, draw_light

__all__ = ["Pixels", "Thinning", "spread_over", "thin"]

OF_THINNED, OF_ADDED, OF_SENSOR = 33, 34, 35  # purposes of keys, none of a camera's
WHITE = 20  # stream
TURNS = 10  # corrections of the variance drawn


@dataclass(frozen=True)
class Pixels:
    """What pixels do with light, in ADU of the image: gain [ADU/keV], noise that no light spreads.

    Attributes
    ----------
    gain : float64 [row, column] ADU/keV
        That of the camera times the factor of the flat field.
    slope_adu : float64 [row, column]
        Variance per signal of electrons or photons that are counted pixel by pixel.
    constant_adu2 : float64 [row, column]
        Read noise, dark noise and rounding before the last.
    rounding_adu2 : float
        That of the image's own values; 0 where they are no whole numbers.
    share : float
        Variance of an image's quanta over that of one exposure: lag and the mean of several frames.

    """

    gain: np.ndarray
    slope_adu: np.ndarray
    constant_adu2: np.ndarray
    rounding_adu2: float
    share: float

    def within(self, part: tuple[slice, slice]) -> Pixels:
        """Those of a part of the image."""
        return replace(
            self, gain=self.gain[part], slope_adu=self.slope_adu[part], constant_adu2=self.constant_adu2[part]
        )


@dataclass(frozen=True)
class Thinning:
    """What becomes of an image: x' = black + t (x - black) + noise, away from body and kernel nothing.

    Attributes
    ----------
    transmission : float64 [row, column]
        t, 1 at the most.
    added_adu : float64 [row, column]
        Mean of the light that bodies add by what they displace.

    """

    transmission: np.ndarray
    added_adu: np.ndarray
    spread: LightSpread
    backend: Backend
    gain: np.ndarray
    thinned: tuple[np.ndarray, np.ndarray]
    added: tuple[np.ndarray, np.ndarray] | None
    sensor_sd_adu: np.ndarray

    def noise(self, seed: int, frame: int) -> np.ndarray:
        """Noise of one image and the quanta added to it, float64 [row, column] ADU."""
        mean, variance = (self.backend.xp.asarray(part) for part in self.thinned)
        light = draw_light(mean, variance, camera_key(seed, OF_THINNED), frame, self.backend) - mean
        if self.added is not None:
            more = [self.backend.xp.asarray(part) for part in self.added]
            light = light + draw_light(more[0], more[1], camera_key(seed, OF_ADDED), frame, self.backend)
        grey = self.gain * spread_over(light, self.spread, self.backend)
        rows, columns = (np.arange(n) for n in grey.shape)
        key = (camera_key(seed, OF_SENSOR) + frame) % 2**64
        white = normals(draw_words(rows, columns, WHITE, key, self.backend)[..., 0], self.backend)
        return np.asarray(grey + self.sensor_sd_adu * self.backend.to_numpy(white))


def spread_over(light: Any, spread: LightSpread, backend: Backend) -> np.ndarray:
    """Light of either sign after its spread, float64 [row, column] on the host; the margin is cropped."""
    given = backend.xp.ascontiguousarray(backend.xp.asarray(light, dtype=np.float32))
    return np.asarray(backend.to_numpy(convolved(given, spread, backend)), np.float64)


def thin(
    light_kev: np.ndarray, weight_kev: np.ndarray, passed: tuple[np.ndarray, np.ndarray], pixels: Pixels,
    signal_adu: np.ndarray, spread: LightSpread, backend: Backend,
) -> Thinning:  # fmt: skip
    """Prepare the noise of an image with bodies from what is known of the one without.

    Parameters
    ----------
    light_kev : float64 [class, row + margin, column + margin]
        Mean light of the image's quanta before its spread, S_c.
    weight_kev : float64, the same shape
        Energy that a quantum weighs, V_c / S_c.
    passed : two of the same shape
        S'_c / S_c and V'_c / V_c.
    pixels : Pixels
        [row, column].
    signal_adu : float64 [row, column]
        Mean signal of the image above black.
    spread : LightSpread
        Without lag.
    backend : Backend

    """
    variance = light_kev * weight_kev
    after, variance_after = light_kev * passed[0], variance * passed[1]
    is_thinned = passed[0] <= 1.0
    kept, variance_kept = np.where(is_thinned, after, light_kev), np.where(is_thinned, variance_after, variance)
    before = spread_over(light_kev, spread, backend)
    t = spread_over(kept, spread, backend) / np.where(before > 0, before, 1.0)
    t = np.round(np.clip(np.where(before > 0, t, 1.0), 0.0, 1.0), 7)
    lacking = lacking_variance(t, variance, variance_kept, spread, backend)
    weight = np.where(kept > 0, variance_kept / np.where(kept > 0, kept, 1.0), weight_kev)
    weight = weight * (1.0 + padded(t, spread))
    thinned = np.where(lacking > 0, lacking / np.where(weight > 0, weight, 1.0), 0.0), lacking * pixels.share
    added, added_adu = None, np.zeros_like(t)
    if not is_thinned.all():
        more = after - kept, np.maximum(variance_after - variance_kept, 0.0)
        added = as_floats(more[0], more[1] * pixels.share)
        added_adu = pixels.gain * spread_over(more[0], spread, backend)
    own = pixels.slope_adu * (t * (1.0 - t) * np.maximum(signal_adu, 0.0) + np.maximum(added_adu, 0.0))
    own = own + (1.0 - t**2) * pixels.constant_adu2 - t**2 * pixels.rounding_adu2
    own = np.where((t == 1.0) & (added_adu == 0.0), 0.0, np.maximum(own, 0.0))
    sd = np.sqrt(own)
    return Thinning(t, added_adu, spread, backend, pixels.gain, as_floats(*thinned), added, sd)


def as_floats(signal: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Float32 for the draws."""
    return np.ascontiguousarray(signal, np.float32), np.ascontiguousarray(variance, np.float32)


def padded(image: np.ndarray, spread: LightSpread) -> np.ndarray:
    """An image continued over the spread's margin."""
    above, beside = spread.margin
    return np.pad(image, ((above, above), (beside, beside)), mode="edge")


def lacking_variance(
    t: np.ndarray, before: np.ndarray, kept: np.ndarray, spread: LightSpread, backend: Backend
) -> np.ndarray:
    """Variance W of the quanta to draw, [class, row + margin, column + margin] keV^2, none below nought.

    Its sum over h^2 is what each pixel lacks; h^2 is so much narrower than h that a few turns of adding what is still
    lacking get there (Van Cittert). The glare's part in h^2 is left out: it is h^2 that glare hardly has.
    """
    squares = squared(spread)
    wanted = spread_over(kept, squares, backend) - t**2 * spread_over(before, squares, backend)
    first: np.ndarray = np.maximum(kept - padded(t, spread) ** 2 * before, 0.0)
    if not first.any():
        return first
    whole = first.sum(axis=0)
    share = first / np.where(whole > 0, whole, 1.0)
    response = float((squares.kernels.sum(axis=(1, 2), dtype=np.float64) * share.mean(axis=(1, 2))).sum())
    response /= float(share.mean(axis=(1, 2)).sum())
    found = first
    for _ in range(TURNS):
        missing = padded(wanted - spread_over(found, squares, backend), spread) / response
        found = np.maximum(found + share * missing, 0.0)
    return np.asarray(found)


def squared(spread: LightSpread) -> LightSpread:
    """The spread of variance: h_c^2 of each class, with the margin of the spread itself."""
    above, beside = spread.margin
    lacking = [m - length // 2 for m, length in zip((above, beside), spread.kernels.shape[1:], strict=True)]
    if spread.is_line:
        lacking[0] = 0
    kernels = np.pad(spread.kernels.astype(np.float64) ** 2, ((0, 0), *((m, m) for m in lacking)))
    return replace(spread, kernels=np.asarray(kernels, np.float32), glare=None)
