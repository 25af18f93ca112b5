"""Blind-spot training with Poisson-Gaussian noise: a restorer that is taught by noisy images alone.

A network that does not see pixel i tells the mean mu and the variance s^2 of its value y from the pixels around, by

    loss = (y - mu)^2 / s^2 + log s^2,

least where mu = E[y | neighbours] and s^2 = v_p + v_n: what the neighbours leave open about the clean value, and the
noise. What the pixel's own value tells is put back afterwards, as the mean of the posterior of two Gaussians,

    x = (mu v_n + y v_p) / (v_n + v_p),    v_n = a mu + b,    v_p = max(s^2 - v_n, 1e-3 v_n).

In the domain "vst" the network works on z = T(y), one noise at all levels. Then E[y | neighbours] = T^-1(mu_z) + a s_z^2 / 4
for the algebraic inverse, exactly, because y = T^-1(z) is a square of z; with s_z = 1 that is the unbiased inverse, and
the algebraic one alone would lose a/4. In the domain "linear" nothing need be known of the noise: a and b are fitted.
Noise has to be independent from pixel to pixel; what is correlated is decorrelated first.

Sources: Laine, Karras, Lehtinen, Aila, NeurIPS 2019; Khademi, Rao, Minnerath, Hagen, Ventura, Self-supervised
Poisson-Gaussian denoising, WACV 2021.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from denoise import vst
from xsim import ModelError

__all__ = ["DOMAINS", "NOISES", "OPTIONS", "loss", "network_options", "posterior_mean", "prediction", "restore"]

DOMAINS = ("vst", "linear")
NOISES = ("given", "fitted")
OPTIONS = {"domain": "vst", "noise": "given"}
FLOOR = 1e-3  # of the noise's variance, for what neighbours leave open
LEAST_QUANTA = 0.01  # noise is at least that of so many quanta, where mu lies below the dark level


def network_options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A blind network with two outputs; it sees the level where noise grows with it.

    Raises
    ------
    ModelError
        Unknown domain or noise, or a network that sees the pixel itself.
    """
    for name, known in (("domain", DOMAINS), ("noise", NOISES)):
        if settings[name] not in known:
            raise ModelError(f"unknown {name} {settings[name]!r} (known: {', '.join(known)})")
    if settings["network"] != "blindspot":
        raise ModelError(f"network {settings['network']!r} sees the pixel it restores (it would copy it) use blindspot")
    return {"inputs": 1, "outputs": 2, "level_free": settings["domain"] == "vst"}


def loss(
    network: nn.Module, batch: Mapping[str, Tensor], settings: Mapping[str, Any], moment: Any
) -> tuple[Tensor, Tensor]:
    """Sum of (z - mu)^2 / s^2 + log s^2 over valid pixels and their number; 1 a pixel is what unit noise scores.

    Parameters
    ----------
    network : module
    batch : dict
        noisy [crop, 1, row, column] ADU; valid, bool of that shape; a, b [crop, 1, 1, 1].
    settings : mapping
        domain, and noise_scale_adu in the linear domain.
    moment : Moment
        Not used: nothing is random here.
    """
    z = _domain(batch["noisy"], batch["a"], batch["b"], settings)
    mean, sd = network(z).chunk(2, dim=1)
    terms = ((z - mean) / sd) ** 2 + 2.0 * torch.log(sd)
    valid = batch["valid"]
    return (terms * valid).sum(), valid.sum()


def restore(network: nn.Module, noisy: Tensor, a: Tensor, b: Tensor, settings: Mapping[str, Any]) -> Tensor:
    """Restored images [image, 1, row, column] ADU of noisy ones, by the noise given or that fitted to each image."""
    mean, variance = prediction(network, noisy, a, b, settings)
    if settings["noise"] == "fitted":
        from denoise.noise_fit import fitted_lines

        a, b = fitted_lines(network, noisy, a, b, settings)
    return posterior_mean(noisy, mean, variance, noise_variance(mean, a, b))


def prediction(
    network: nn.Module, noisy: Tensor, a: Tensor, b: Tensor, settings: Mapping[str, Any]
) -> tuple[Tensor, Tensor]:
    """Mean [ADU] and variance [ADU^2] of every pixel value as its neighbours tell them, [image, 1, row, column] each."""
    mean, sd = network(_domain(noisy, a, b, settings)).chunk(2, dim=1)
    if settings["domain"] == "linear":
        scale = settings["noise_scale_adu"]
        return mean * scale, (sd * scale) ** 2
    squared = sd * sd
    value = vst.inverse(mean, a, b) + a * squared / 4.0
    return value, squared * noise_variance(value, a, b)


def noise_variance(mean: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """v_n = a mu + b [ADU^2], above 0."""
    return torch.maximum(a * mean + b, LEAST_QUANTA * a * a + 0.0 * mean)


def posterior_mean(noisy: Tensor, mean: Tensor, variance: Tensor, noise: Tensor) -> Tensor:
    """Mean of what the clean value may be, of the pixel's value and of what its neighbours say [ADU].

    Parameters
    ----------
    noisy, mean : [image, 1, row, column] ADU
    variance : ADU^2
        Of the pixel value about ``mean``: of the noise, and of what the neighbours leave open.
    noise : ADU^2
        Of the noise alone.
    """
    left_open = torch.maximum(variance - noise, FLOOR * noise)
    return (mean * noise + noisy * left_open) / (noise + left_open)


def _domain(x: Tensor, a: Tensor, b: Tensor, settings: Mapping[str, Any]) -> Tensor:
    if settings["domain"] == "linear":
        return x / settings["noise_scale_adu"]
    return vst.forward(x, a, b)
