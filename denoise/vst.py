"""Generalised Anscombe transform: pixel values whose noise has one variance, whatever the dose and the gain.

A camera's noise obeys Var x = a x + b, x the raw pixel value [ADU] with its offset, a the pixelwise slope [ADU],
b [ADU^2]. In units of a it is that of u = (a x + b) / a^2 quanta, and

    T(x) = 2 sqrt(u + 3/8) = (2 / a) sqrt(max(a x + 3/8 a^2 + b, 0))

has a standard deviation of about 1. Two inverses, not to be mixed up (they differ by a/4 at any dose):
`inverse` undoes T of a *value*, for networks that regress T(clean); `inverse_of_mean` takes E[T(x)] to E[x], for those
that regress the mean of T(noisy).

Every function takes NumPy arrays or torch tensors; a and b are numbers or broadcast against the image (per column, per
pixel, per frame). Sources: Starck, Murtagh, Bijaoui 1998; Mäkitalo, Foi, IEEE TIP 22 (2013) 91.
"""

from __future__ import annotations

from typing import Any

__all__ = ["forward", "inverse", "inverse_of_mean"]


def forward(x: Any, a: Any, b: Any) -> Any:
    """T(x).

    Parameters
    ----------
    x : array or tensor [..., row, column] ADU
        Raw pixel values, offset included.
    a : ADU
        Slope of the variance of a pixel against its mean, above 0.
    b : ADU^2
        That variance at x = 0, as the line has it; negative where the offset is large.

    Returns
    -------
    array or tensor like x, in standard deviations of the noise
    """
    return 2.0 / a * (a * x + (0.375 * a * a + b)).clip(0.0) ** 0.5


def inverse(z: Any, a: Any, b: Any) -> Any:
    """Algebraic inverse: x with T(x) = z [ADU]. Values below 0, which T never takes, count as 0."""
    z = z.clip(0.0)
    return a * (z * z / 4.0 - 0.375) - b / a


def inverse_of_mean(z: Any, a: Any, b: Any) -> Any:
    """E[x] with E[T(x)] = z [ADU]: the exact unbiased inverse in its closed form.

    It tends to a (z^2 / 4 - 1/8) - b/a, from which it differs by less than 0.02 a above 10 quanta.
    """
    z = z.clip(2.0 * 0.375**0.5)
    r = 1.0 / z
    root = 1.5**0.5
    return a * (z * z / 4.0 - 0.125 + r * (root / 4.0 + r * (-1.375 + r * (0.625 * root)))) - b / a
