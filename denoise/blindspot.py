"""Blind-spot training with Poisson-Gaussian noise: a restorer that is taught by noisy images alone.

A network that does not see pixel i tells the mean mu and the variance s^2 of its value y from the pixels around, by

    loss = (y - mu)^2 / s^2 + log s^2,

least where mu = E[y | neighbours] and s^2 = v_p + v_n: what the neighbours leave open about the clean value, and the
noise. What the pixel's own value tells is put back afterwards, as the mean of the posterior of two Gaussians,

    x = (mu v_n + y v_p) / (v_n + v_p),    v_n = a mu + b,    v_p = max(s^2 - v_n, 1e-3 v_n).

In the domain "vst" the network works on z = T(y), where noise is the same at all levels; mu and s^2 are brought
back to ADU before pixel and neighbours are weighed, each without bias (blindspot_prediction.py). In the domain "linear"
nothing need be known of the noise, and the network sees the level. With ``noise`` "fitted" (a, b) is each image's own
line (noise_fit.py). Noise has to be independent from pixel to pixel; what is correlated is decorrelated first.

Sources: Laine, Karras, Lehtinen, Aila, NeurIPS 2019; Khademi, Rao, Minnerath, Hagen, Ventura, Self-supervised
Poisson-Gaussian denoising, WACV 2021.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

import datagen
from denoise.blindspot_prediction import noise_variance, posterior_mean, prediction
from denoise.methods import Batch, Method, Moment, Settings, network_radius
from denoise.noise_cnn import to_domain
from denoise.noise_fit import fitted_lines
from xsim import ModelError

__all__ = [
    "DOMAINS",
    "METHOD",
    "NOISES",
    "leak",
    "loss",
    "network_options",
    "prepare",
    "radius",
    "restore",
]

DOMAINS = ("vst", "linear")
NOISES = ("given", "fitted")
LOOKED_AT = 64  # samples that the unit is taken from
LEAK = 0.8  # of the noise's variance: less left over, and noise is learnt


def network_options(settings: Settings) -> dict[str, object]:
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


def prepare(views: list[datagen.CorpusView], settings: Settings) -> dict[str, object]:
    """Unit of the linear domain, from noisy images alone: the median difference of neighbours, in ADU of noise."""
    if settings["domain"] != "linear":
        return {}
    medians = []
    for view in views:
        for k in range(0, len(view), max(1, len(view) // LOOKED_AT)):
            medians.append(np.median(np.abs(np.diff(view[k]["noisy"].astype(np.float32), axis=1))))
    return {"noise_scale_adu": float(np.mean(medians)) / (0.6745 * 2.0**0.5)}


def radius(network: nn.Module, settings: Settings) -> int | None:
    """Reach of a restored pixel; noise that is fitted to each image takes all of it."""
    return None if settings["noise"] == "fitted" else network_radius(network, settings)


def loss(network: nn.Module, batch: Batch, settings: Settings, moment: Moment) -> tuple[Tensor, Tensor]:
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
    z = to_domain(batch["noisy"], batch["a"], batch["b"], settings)
    mean, sd = network(z).chunk(2, dim=1)
    terms = ((z - mean) / sd) ** 2 + 2.0 * torch.log(sd)
    valid = batch["valid"]
    return (terms * valid).sum(), valid.sum()


def restore(network: nn.Module, noisy: Tensor, a: Tensor, b: Tensor, settings: Settings) -> Tensor:
    """Restored images [image, 1, row, column] ADU of noisy ones.

    With ``noise`` "fitted" each image's own line takes the place of a and b, which count where none fits it.
    """
    if settings["noise"] == "fitted":
        a, b = fitted_lines(network, noisy, a, b, settings)
    mean, variance = prediction(network, noisy, a, b, settings)
    return posterior_mean(noisy, mean, variance, noise_variance(mean, a, b))


def leak(outcome: Settings, settings: Settings) -> str | None:
    """What to warn of after a training in the domain "vst": a loss that only noise of less than unit variance has.

    The loss is 1 + log s^2 where s^2 is the variance that neighbours leave, and white noise leaves 1 of it at least.

    Parameters
    ----------
    outcome : mapping
        train_loss, and val_loss or None.
    settings : mapping
    """
    found = outcome["val_loss"] if outcome["val_loss"] is not None else outcome["train_loss"]
    if settings["domain"] != "vst" or found is None or found >= 1.0 + math.log(LEAK):
        return None
    return (
        f"neighbours foretell all but {math.exp(found - 1.0):.2f} of the noise's variance (noise is correlated and is "
        "being learnt) use noise2self, which decorrelates it"
    )


METHOD = Method(
    loss,
    restore,
    network_options,
    images=("noisy", "valid"),
    options={"domain": "vst", "noise": "given"},
    network="blindspot",
    prepare=prepare,
    radius=radius,
    white=True,
    doubt=leak,
)
