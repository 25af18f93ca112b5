"""What a blind network foretells of pixel values, in ADU, and what is made of it and the values themselves.

In the domain "vst" the network foretells z = T(y), its mean m and variance s^2. As y = T^-1(z) is a square of z,
E[y] = T^-1(m) + a s^2 / 4 with the algebraic inverse, without approximation. With s = 1 that is the unbiased inverse;
the algebraic one alone is low by a/4.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from denoise import vst
from denoise.methods import Settings
from denoise.noise_cnn import to_domain

__all__ = ["noise_variance", "posterior_mean", "prediction"]

FLOOR = 1e-3  # of the noise's variance, for what neighbours leave open
LEAST_QUANTA = 0.01  # noise is at least that of so many quanta, where mu lies below the dark level


def prediction(network: nn.Module, noisy: Tensor, a: Tensor, b: Tensor, settings: Settings) -> tuple[Tensor, Tensor]:
    """Mean [ADU] and variance [ADU^2] of every pixel value by its neighbours, [image, 1, row, column] each."""
    mean, sd = network(to_domain(noisy, a, b, settings)).chunk(2, dim=1)
    if settings["domain"] == "linear":
        scale = settings["noise_scale_adu"]
        return mean * scale, (sd * scale) ** 2
    squared = sd * sd
    value = vst.inverse(mean, a, b) + a * squared / 4.0
    return value, squared * noise_variance(value, a, b)


def noise_variance(mean: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """v_n = a mu + b [ADU^2], above 0."""
    return torch.maximum(a * mean + b, LEAST_QUANTA * a * a)


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
