"""Noise of a camera from its own images: the line Var y = a x + b, fitted to what a blind network could not foretell.

A network that does not see pixel i foretells its value y as mu. The residual y - mu holds the pixel's noise, of
variance a x + b, and the network's own error, independent of it. Where the network is surest (s^2 is least against the
noise, in flat parts) that error is what its neighbours' noise does to mu, a share g of the noise's variance; g is
measured by what a little more noise changes in mu. The line then is of the greatest Gaussian likelihood of

    y - mu ~ N(0, (1 + g) (a mu + b))

over these pixels. s^2 does not depend on y, so choosing by it does not bend the noise of what is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from denoise.blindspot_network import neighbour_mean
from denoise.blindspot_prediction import noise_variance, prediction
from denoise.methods import Settings
from xsim import ModelError

if TYPE_CHECKING:
    from denoise.restorer import Restorer

__all__ = ["fit_noise", "fitted_lines", "likeliest_line", "rough_line"]

CHOSEN = 0.5  # of all pixels: those that the network is surest of
ROUNDS = 3  # of choosing, each with the line of the one before
SCORINGS = 30
FARTHEST_SD = 5.0  # a residual beyond is no noise
NUDGE = 0.2  # standard deviations of noise that are added to measure g
EDGE_PX = 1  # pixels at the image's edge miss neighbours


def fit_noise(
    restorer: Restorer,
    frames: np.ndarray | Sequence[np.ndarray],
    *,
    offset_adu: float | None = None,
    read_noise_adu: float | None = None,
) -> tuple[float, float]:
    """Noise parameters of a camera from frames of it with nothing, or only its dark frame, known.

    Frames of several exposures tell both. One frame tells the variance at the levels it shows: a slope that is off by
    3 % may move b, the variance extrapolated to 0, by its own size; and behind thick parts quanta are of higher energy,
    which bends the line. With offset and read noise of a dark frame only the slope is left to fit.

    Parameters
    ----------
    restorer : Restorer
        A model of the method "blindspot".
    frames : [row, column] or [frame, row, column] ADU, or a sequence of images
        Noisy frames of one camera with one setting. The more levels they show, the better the line is known.
    offset_adu : float, optional
        Pixel value without radiation, where it is known: noise is not below 0 there.
    read_noise_adu : float, optional
        Standard deviation of a dark pixel, with ``offset_adu``: the line is fixed there.

    Returns
    -------
    a [ADU], b [ADU^2] of Var y = a x + b

    Raises
    ------
    ModelError
        The model is of another method, the frames are none, or no line with a > 0 fits them.
    """
    if restorer.configuration["method"] != "blindspot":
        raise ModelError(f"{restorer.name} is a {restorer.configuration['method']} model (not blindspot) train one")
    images = [np.asarray(each, np.float32) for each in (frames if not _is_image(frames) else [frames])]
    if not images or any(each.ndim != 2 or min(each.shape) < 8 for each in images):
        raise ModelError(f"frames are images of 8 x 8 pixels at least (given {[e.shape for e in images]})")
    tensors = [torch.from_numpy(each.copy())[None, None].to(restorer.device) for each in images]
    with torch.inference_mode():
        settings = restorer.configuration["settings"]
        found = fitted_line(restorer.network, tensors, settings, offset_adu, read_noise_adu)
    if found is None:
        raise ModelError("no line Var y = a x + b with a > 0 fits the frames (one level only?) give more levels")
    return found


def fitted_lines(network: nn.Module, noisy: Tensor, a: Tensor, b: Tensor, settings: Settings) -> tuple[Tensor, Tensor]:
    """(a, b) of each image by itself, [image, 1, 1, 1]; the given ones where none fits.

    Parameters
    ----------
    network : module
    noisy : [image, 1, row, column] ADU
    a, b : [image, 1, row, column] or broadcasting
    settings : mapping
    """
    lines = []
    for image, slope, shift in zip(noisy, *(each.expand_as(noisy) for each in (a, b)), strict=True):
        found = fitted_line(network, [image[None]], settings)
        lines.append(found or (float(slope.mean()), float(shift.mean())))
    table = noisy.new_tensor(lines)
    return table[:, 0].view(-1, 1, 1, 1), table[:, 1].view(-1, 1, 1, 1)


def fitted_line(
    network: nn.Module,
    images: Sequence[Tensor],
    settings: Settings,
    offset_adu: float | None = None,
    read_noise_adu: float | None = None,
) -> tuple[float, float] | None:
    """One line for all images [1, 1, row, column] ADU together; None where none fits."""
    line = rough_line(images, offset_adu)
    for _ in range(ROUNDS):
        if line is None:
            return None
        a, b = (images[0].new_tensor(each).view(1, 1, 1, 1) for each in line)
        parts = [_sure_pixels(network, image, a, b, settings) for image in images]
        residual, mean = (np.concatenate(each) for each in zip(*parts, strict=True))
        line = likeliest_line(residual, mean, line, offset_adu, read_noise_adu)
    return line


def _sure_pixels(
    network: nn.Module, image: Tensor, a: Tensor, b: Tensor, settings: Settings
) -> tuple[np.ndarray, np.ndarray]:
    """Residuals, freed of the network's share g, and means of the surest pixels, float64 [pixel]."""
    mean, variance = prediction(network, image, a, b, settings)
    noise = noise_variance(mean, a, b)
    inner = (..., slice(EDGE_PX, -EDGE_PX), slice(EDGE_PX, -EDGE_PX))
    unsure = (variance / noise)[inner]
    sure = unsure <= unsure.quantile(CHOSEN) if unsure.numel() < 1 << 24 else unsure <= unsure.median()
    nudge = NUDGE * noise.sqrt() * _unit_noise(image)
    changed = (prediction(network, image + nudge, a, b, settings)[0] - mean)[inner][sure]
    share = float((changed**2 / (NUDGE**2 * noise[inner][sure])).mean())
    residual = (image - mean)[inner][sure] / (1.0 + share) ** 0.5
    return residual.double().cpu().numpy(), mean[inner][sure].double().cpu().numpy()


def rough_line(images: Sequence[Tensor], offset_adu: float | None = None) -> tuple[float, float] | None:
    """A first line, from what pixels differ by from the mean of their neighbours where these differ least."""
    residual, level = [], []
    for image in images:
        mean = neighbour_mean(image)
        spread = (neighbour_mean(image * image) - mean * mean).clamp(min=0.0)
        bins = torch.argsort(mean.flatten()).view(-1)
        for each in bins.chunk(16):
            flat = each[spread.flatten()[each] <= spread.flatten()[each].median()]
            residual.append((image - mean).flatten()[flat] * (8.0 / 9.0) ** 0.5)
            level.append(mean.flatten()[flat])
    values, means = (torch.cat(each).double().cpu().numpy() for each in (residual, level))
    variance = max(float(np.median(np.abs(values)) / 0.6745) ** 2, 1e-12)
    origin = offset_adu if offset_adu is not None else 0.0
    slope = variance / max(float(np.mean(means)) - origin, 1e-6)
    return likeliest_line(values, means, (slope, -slope * origin), offset_adu)


def likeliest_line(
    residual: np.ndarray,
    mean: np.ndarray,
    start: tuple[float, float],
    offset_adu: float | None = None,
    read_noise_adu: float | None = None,
) -> tuple[float, float] | None:
    """Line of the greatest Gaussian likelihood, residual ~ N(0, a mean + b), by Fisher's scoring.

    Parameters
    ----------
    residual, mean : float64 [pixel] ADU
    start : a, b
        A line to begin with; residuals beyond 5 of its standard deviations are left out.
    offset_adu : float, optional
        The line is not below 0 there.
    read_noise_adu : float, optional
        The line has this value squared there.

    Returns
    -------
    a, b, or None where a is not above 0
    """
    a, b = start
    fixed = None if offset_adu is None or read_noise_adu is None else read_noise_adu**2
    origin = float(mean.min()) if offset_adu is None else offset_adu
    if fixed is None:
        origin = min(origin, float(mean.min()))
    height, square = mean - origin, residual**2
    least = 1e-3 * float(np.mean(square))
    rise, base = a, max(b + a * origin, least)
    for _ in range(SCORINGS):
        variance = np.maximum(rise * height + base, least)
        kept = square < FARTHEST_SD**2 * variance
        weight = kept / variance**2
        moments = [float(np.sum(weight * height**k)) for k in range(3)]
        values = [float(np.sum(weight * square * height**k)) for k in range(2)]
        if fixed is not None:
            rise, base = (values[1] - fixed * moments[1]) / moments[2], fixed
            continue
        determinant = moments[0] * moments[2] - moments[1] ** 2
        if not determinant > 1e-9 * moments[0] * moments[2]:
            return None
        rise = (moments[0] * values[1] - moments[1] * values[0]) / determinant
        base = (moments[2] * values[0] - moments[1] * values[1]) / determinant
        if base < 0.0:  # the likeliest line that is not negative at the origin goes through 0 there
            rise, base = values[1] / moments[2], 0.0
    return (rise, base - rise * origin) if rise > 0.0 else None


def _unit_noise(image: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(image.shape, generator=generator).to(image.device)


def _is_image(frames: Any) -> bool:
    return isinstance(frames, np.ndarray) and frames.ndim == 2
