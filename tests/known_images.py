"""Images whose signal, noise and resolution are known: edges under known blur, coloured noise, flats of quanta."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import signal, special

Spectrum = Callable[[np.ndarray], np.ndarray]


def gaussian_edge(distance_px: np.ndarray, sigma_px: float) -> np.ndarray:
    """Step blurred by a Gaussian; its MTF is exp(-2 (pi sigma f)^2)."""
    return np.asarray(0.5 * (1 + special.erf(distance_px / (np.sqrt(2) * sigma_px))))


def exponential_edge(distance_px: np.ndarray, scale_px: float) -> np.ndarray:
    """Step blurred by the line spread exp(-|x| / s) / (2 s); its MTF is 1 / (1 + (2 pi s f)^2)."""
    tail = 0.5 * np.exp(-np.abs(distance_px) / scale_px)
    return np.asarray(np.where(distance_px < 0, tail, 1 - tail))


def slanted(
    profile: Callable[[np.ndarray], np.ndarray],
    angle_deg: float,
    side: int = 256,
    shift_px: float = 0.0,
    parts: int = 8,
) -> np.ndarray:
    """Image of an edge across the columns, float64 [row, column]; pixels integrate over their square, fully sensitive.

    ``parts`` x ``parts`` points of a Gauss-Legendre rule a pixel; the edge passes ``shift_px`` right of the middle and
    goes to greater columns with the rows for a positive angle.
    """
    nodes, weights = np.polynomial.legendre.leggauss(parts)
    turn = np.deg2rad(angle_deg)
    centre = np.arange(side) - 0.5 * (side - 1)
    along = (centre[:, None] + 0.5 * nodes) * np.cos(turn)  # [column, part]
    down = (centre[:, None] + 0.5 * nodes) * np.sin(turn)  # [row, part]
    image = np.empty((side, side))
    for row in range(side):
        places = along[:, :, None] - down[row] - shift_px * np.cos(turn)
        image[row] = np.einsum("cij,i,j->c", profile(places), weights / 2, weights / 2)
    return image


def aperture(frequency_per_px: np.ndarray, angle_deg: float) -> np.ndarray:
    """MTF of a square pixel along the normal of an edge turned by an angle."""
    turn = np.deg2rad(angle_deg)
    return np.asarray(np.sinc(frequency_per_px * np.cos(turn)) * np.sinc(frequency_per_px * np.sin(turn)))


def coloured_noise(generator: np.random.Generator, frames: int, side: int, power: Spectrum) -> np.ndarray:
    """Gaussian noise whose power [ADU2] at radial frequency f [1 / px] is ``power(f)``, [frame, row, column]; periodic
    over the frame, so not over any part of it."""
    radial = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    root = np.sqrt(power(radial))
    white = generator.standard_normal((frames, side, side))
    return np.asarray(np.fft.irfft2(np.fft.rfft2(white) * root, (side, side)))


def fixed_amplitude_noise(generator: np.random.Generator, side: int, power: Spectrum) -> np.ndarray:
    """Noise of random phase whose periodogram over the whole frame is ``power(f)`` exactly, [row, column]."""
    radial = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    phase = np.fft.rfft2(generator.standard_normal((side, side)))
    return np.asarray(np.fft.irfft2(phase / np.abs(phase) * np.sqrt(power(radial)) * side, (side, side)))


def quanta(
    generator: np.random.Generator, mean: float, shape: tuple[int, int, int], kernel: np.ndarray | None = None
) -> np.ndarray:
    """Poisson quanta [frame, row, column] whose light spreads by a kernel of sum 1."""
    if kernel is None:
        return generator.poisson(mean, shape).astype(np.float64)
    frames, rows, columns = shape
    more = generator.poisson(mean, (frames, rows + kernel.shape[0] - 1, columns + kernel.shape[1] - 1))
    return np.stack([signal.fftconvolve(frame.astype(np.float64), kernel, mode="valid") for frame in more])


def spread_kernel(scale_px: float = 0.8, radius: int = 6) -> np.ndarray:
    """Smooth even kernel of sum 1, [2 radius + 1, 2 radius + 1]."""
    at = np.arange(-radius, radius + 1)
    kernel = np.exp(-np.hypot(at[:, None], at[None, :]) / scale_px)
    return np.asarray(kernel / kernel.sum())
