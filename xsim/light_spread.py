"""Spread of a screen's light: point responses per pixel of the MTF forms, per depth class, with glare."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from xsim.detector import Detector
from xsim.errors import SceneError
from xsim.screen import Scintillator

__all__ = ["LightSpread", "class_distances", "gaussians_of", "light_kernel", "light_spread", "transfer"]

KERNEL_ENERGY = 0.999  # share of the light kept before the kernel is cut off and scaled back to a sum of 1
MAX_RADIUS_PX = 64
GLARE_ENERGY = 0.995
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
    """

    kernels: np.ndarray
    radii: np.ndarray
    glare: np.ndarray | None = None

    @property
    def margin(self) -> tuple[int, int]:
        """Rows and columns of light that an image needs around it."""
        wide = 0 if self.glare is None else len(self.glare) // 2
        above, beside = (max(length // 2, wide) for length in self.kernels.shape[1:])
        return above, beside

    @functools.cached_property
    def whole(self) -> np.ndarray:
        """Kernels with their glare, float64 [class, 2 n + 1, 2 m + 1] of the margin, each of sum 1."""
        lacking = [m - length // 2 for m, length in zip(self.margin, self.kernels.shape[1:], strict=True)]
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


def light_spread(detector: Detector) -> LightSpread:
    """Spread of every depth class of a detector's screen, from the side that the X-rays enter by.

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
    if glare is None or line:
        return LightSpread(stack, radii)
    return LightSpread(stack, radii, np.asarray(np.sqrt(screen.glare_share) * glare, np.float32))


def class_distances(screen: Scintillator) -> np.ndarray:
    """Distance of the middle of each depth class from the sensor's side, 0 to 1, float64 [class]."""
    return screen.sensor_distance((np.arange(screen.classes) + 0.5) / screen.classes)


def light_kernel(detector: Detector) -> np.ndarray:
    """Point response of the light, per pixel, in the middle of the screen's depth and without glare.

    Each entry is the integral of the point spread over a pixel, for light from a pixel's centre. The MTF
    1 / (1 + H f^2) belongs to the point spread K0(r / s) / (2 pi s^2), s = sqrt(H) / (2 pi). A line camera reads each
    line by itself: its light spreads along the line alone, by the sum over the other direction, so that the MTF along
    the line is the same.

    Returns
    -------
    float32 [2 radius + 1, 2 radius + 1], of a line camera [1, 2 radius + 1]; sum 1, radius 0 where nothing spreads.

    """
    if detector.response == "ideal":
        return np.ones((1, 1), np.float32)
    kernel = point_kernel(detector.scintillator, 1.0, detector.pitch_mm)
    if detector.kind == "line_scan" and kernel.shape[0] > 1:
        return np.asarray(kernel.sum(axis=0, dtype=np.float64)[None], np.float32)
    return kernel


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
    """Point response of a spread ``width`` times as wide, float32 [2 radius + 1, 2 radius + 1], sum 1."""
    second = screen.light_spread_second_share
    if screen.light_spread_sigma_mm:
        return gaussian_kernel(width * screen.light_spread_sigma_mm / pitch_mm)
    if screen.light_mtf:
        sigmas, shares = gaussians_of(screen.light_mtf)
        return mixture(
            [(share, gaussian_kernel(width * s / pitch_mm)) for s, share in zip(sigmas, shares, strict=True)]
        )
    h = screen.light_spread_h_mm2 * width**2
    if not second:
        return _lorentzian(h, pitch_mm)
    return mixture([
        (1 - second, _lorentzian(h, pitch_mm)),
        (second, _lorentzian(screen.light_spread_second_h_mm2 * width**2, pitch_mm)),
    ])  # fmt: skip


def mixture(parts: list[tuple[float, np.ndarray]]) -> np.ndarray:
    """Sum of kernels by their shares, of the largest one's size."""
    widest = max((kernel for _, kernel in parts), key=len)
    total = np.zeros(widest.shape)
    for share, kernel in parts:
        total = add_centred(total, share * kernel.astype(np.float64))
    return np.asarray(total / total.sum(), np.float32)


def add_centred(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Sum of two kernels about their middles, of the size of the larger."""
    wide, narrow = (one, other) if one.shape[1] >= other.shape[1] else (other, one)
    lacking = [(a - b) // 2 for a, b in zip(wide.shape, narrow.shape, strict=True)]
    return np.asarray(wide + np.pad(narrow, [(m, m) for m in lacking]))


def gaussian_kernel(sigma_px: float, kept: float = KERNEL_ENERGY) -> np.ndarray:
    """Gaussian, its integral over each pixel; float32 [2 radius + 1, 2 radius + 1], sum 1."""
    weights = gaussian_weights(sigma_px, kept)
    return np.asarray(np.outer(weights, weights), np.float32)


def gaussian_weights(sigma_px: float, kept: float) -> np.ndarray:
    """Integral of a Gaussian over each pixel of a row, to the radius that keeps a share of it in the plane; sum 1."""
    from scipy.special import ndtr

    if sigma_px == 0.0:
        return np.ones(1)
    radius = int(np.ceil(sigma_px * np.sqrt(-2.0 * np.log1p(-kept))))
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


@functools.lru_cache(maxsize=64)
def _lorentzian(h_mm2: float, pitch_mm: float) -> np.ndarray:
    from scipy.special import k0, k1

    if h_mm2 == 0.0:
        return np.ones((1, 1), np.float32)
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
