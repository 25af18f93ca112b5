"""X-rays to light: absorption in the screen, the energy-weighted Poisson draw, the spread of the light.

The single-class model I = h * q of the scintillator-decorrelation work: each quantum absorbed gives its whole energy
(no escape of fluorescence), its light is spread by one kernel h whatever the depth, after the draw, so that the
noise of neighbours is correlated as in a real screen.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from xsim import material
from xsim.backend import Backend
from xsim.detector import Detector

__all__ = ["absorbed_fraction", "draw_light", "light_kernel", "spread_light"]

KERNEL_ENERGY = 0.999  # share of the light kept before the kernel is cut off and scaled back to a sum of 1
MAX_RADIUS_PX = 64


def absorbed_fraction(detector: Detector, energy_kev: np.ndarray) -> np.ndarray:
    """Share of photons that the screen absorbs: 1 - exp(-(mu / rho) m), m the areal density; 1 for an ideal response.

    Parameters
    ----------
    detector : Detector
    energy_kev : float64 [energy]

    Returns
    -------
    float64 [energy]

    """
    if detector.response == "ideal":
        return np.ones_like(energy_kev)
    screen = detector.scintillator
    areal_g_cm2 = screen.areal_density_mg_cm2 / 1000.0
    mass = material.mass_attenuation(material.resolve(screen.material), energy_kev)
    return np.asarray(-np.expm1(-mass * areal_g_cm2))


def light_kernel(detector: Detector) -> np.ndarray:
    """Point response of the light, per pixel.

    The MTF 1 / (1 + H f^2) belongs to the point spread K0(r / s) / (2 pi s^2), s = sqrt(H) / (2 pi); each entry
    is its integral over a pixel, for light from a pixel's centre. A line camera reads each line by itself: its light
    spreads along the line alone, by the sum over the other direction, so that the MTF along the line is the same.

    Returns
    -------
    float32 [2 radius + 1, 2 radius + 1], of a line camera [1, 2 radius + 1]; sum 1, radius 0 where nothing spreads.

    """
    if detector.response == "ideal" or detector.scintillator.light_spread_h_mm2 == 0:
        return np.ones((1, 1), np.float32)
    kernel = _light_kernel(detector.scintillator.light_spread_h_mm2, detector.pitch_mm)
    if detector.kind == "line_scan":
        return np.asarray(kernel.sum(axis=0, dtype=np.float64)[None], np.float32)
    return kernel


@functools.lru_cache(maxsize=64)
def _light_kernel(h_mm2: float, pitch_mm: float) -> np.ndarray:
    from scipy.special import k0, k1

    scale = np.sqrt(h_mm2) / (2 * np.pi) / pitch_mm  # px
    radii = np.arange(1, MAX_RADIUS_PX + 1)
    outside = (radii + 0.5) / scale * k1((radii + 0.5) / scale)  # share beyond a circle
    enough = np.nonzero(outside < 1 - KERNEL_ENERGY)[0]
    radius = int(radii[enough[0]]) if len(enough) else MAX_RADIUS_PX
    nodes, weights = np.polynomial.legendre.leggauss(16)
    at = (np.arange(-radius, radius + 1)[:, None] + 0.5 * nodes).ravel()
    distance = np.hypot(at[:, None], at[None, :]) / scale
    density = k0(distance) / (2 * np.pi * scale**2)
    size = 2 * radius + 1
    kernel = np.einsum("ipjq,p,q->ij", density.reshape(size, 16, size, 16), weights / 2, weights / 2)
    kernel[radius, radius] = _centre_share(scale)
    kernel = np.asarray(kernel / kernel.sum(), np.float32)
    kernel.setflags(write=False)
    return kernel


def _centre_share(scale: float) -> float:
    """Integral of K0(r / s) / (2 pi s^2) over the unit square around its pole, by eight triangles."""
    from scipy.special import k0

    nodes, weights = np.polynomial.legendre.leggauss(48)
    u, v = (
        0.25 * (nodes + 1),
        0.5 * (nodes + 1),
    )  # x = u in [0, 1/2], y = u v: the factor u tames the pole
    density = k0(u[:, None] * np.hypot(1.0, v[None, :]) / scale) / (2 * np.pi * scale**2)
    return float(8 * np.einsum("ij,i,j->", density * u[:, None], 0.25 * weights, 0.5 * weights))


def draw_light(signal: Any, variance: Any, seed: int, frame: int, backend: Backend) -> Any:
    """One exposure: light of the quanta absorbed, before it spreads, float32 [row, column] keV."""
    light = backend.xp.empty(signal.shape, np.float32)
    backend.launch(
        "draw_quanta", signal.size, signal=signal, variance=variance, light=light, seed=seed,
        pixels=signal.size, frame=frame,
    )  # fmt: skip
    return light


def spread_light(light: Any, kernel: np.ndarray, backend: Backend) -> Any:
    """Convolve with the kernel, [2 n + 1, 2 m + 1] or [1, 2 m + 1], and crop its margin.

    Returns
    -------
    float32 [row - 2 n, column - 2 m]; of light float32 [row, column].

    """
    xp = backend.xp
    above, beside = (length // 2 for length in kernel.shape)
    rows, columns = light.shape[0] - 2 * above, light.shape[1] - 2 * beside
    if above == 0:
        spread = xp.zeros((rows, columns), np.float32)
        for k, weight in enumerate(kernel[0]):  # one fixed order of addition
            spread += weight * light[:, k : k + columns]
        return spread
    spread = xp.empty((rows, columns), np.float32)
    backend.launch(
        "spread_light", rows * -(-columns // backend.lanes), light=light, kernel=xp.asarray(kernel),
        spread=spread, rows=rows, columns=columns, radius=beside,
    )  # fmt: skip
    return spread
