"""Noise2Self: trained on single noisy frames, on noise that is first made white.

Every fourth pixel along both axes is masked, the phase of this grid moving on with the step; a masked pixel is filled
with the mean of the cross of its neighbours, and the network is asked for what was there, as a residual on that mean.
White noise of a pixel cannot be told from its neighbours, so what it learns is the signal. Noise that neighbours share
can: then the network learns to copy it, and the loss falls below the variance of the noise, 1 in variance-stabilised
units. `leak` says so. (Batson, Royer, ICML 2019.)

A camera whose light spreads has such noise. Its frames are decorrelated first (see `decorrelation`), by the kernel of
its noise, which `prepare` finds in the corpus, or one from a file; the restored image is blurred back ("detector": what
`clean` is to be compared with) or not ("sharp"). Decorrelated noise has a and b, Var x = a x + b, that are
`variance_factor` times the raw ones.

Losses: "vst", squares of T(x) - f, whose minimum is E[T(x)], so the unbiased inverse goes with it; "weighted", squares
of x - f over the variance a f + b of the estimate itself, whose minimum is E[x], where T would clip too much.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import datagen
from denoise import vst
from denoise.anchor import mirrored
from denoise.corpus_noise import corpus_kernel
from denoise.decorrelation import variance_factor, whitening_taps
from denoise.kernel_file import read_kernel
from denoise.methods import Batch, Method, Moment, Settings
from xsim import ModelError

__all__ = ["FORMS", "LOSSES", "METHOD", "leak", "loss", "prepare", "radius", "restore", "whitened"]

WIDTH = 4  # of the masking grid
LEAK = 0.8  # of the loss: less, and noise is learnt
FORMS = ("detector", "sharp")
LOSSES = ("vst", "weighted")
NEAR_PX = 2  # around a pixel that is not valid: what decorrelation carries out of it
FILL_PX = 5  # side of the window that such a pixel is filled from


def network_options(settings: Settings) -> dict[str, Any]:
    """A network that takes no notice of the level, which tells nothing after the transform."""
    return {"level_free": True}


def prepare(views: list[datagen.CorpusView], settings: Settings) -> dict[str, Any]:
    """The kernel that makes the corpus's noise white, its taps and what it does to the variance.

    Raises
    ------
    ModelError
        Unknown loss or form of the output.
    CorpusError
        No single kernel does.
    MeasurementError
        The file with the kernel cannot be used.
    """
    for name, known in (("noise2self_loss", LOSSES), ("form", FORMS)):
        if settings[name] not in known:
            raise ModelError(f"unknown {name} {settings[name]!r} (known: {', '.join(known)})")
    if settings["kernel_file"] is not None:
        kernel: np.ndarray | None = read_kernel(str(settings["kernel_file"]))
    else:
        kernel = corpus_kernel(views) if settings["decorrelate"] else None
    if kernel is None:
        return {"kernel": None, "taps": None, "variance_factor": 1.0}
    found = {"kernel": kernel.tolist(), "taps": whitening_taps(kernel).tolist()}
    return {**found, "variance_factor": variance_factor(kernel)}


def loss(network: nn.Module, batch: Batch, settings: Settings, moment: Moment) -> tuple[Tensor, Tensor]:
    """Squared error of the masked pixels that are valid, in units of their noise's variance, and their number.

    Parameters
    ----------
    network : module
    batch : mapping
        noisy, valid, a, b.
    settings : mapping
        noise2self_loss, and what `prepare` found.
    moment : Moment
        Its step says the phase of the grid.
    """
    valid, taps = batch["valid"], settings["taps"]
    y, a, b = whitened(filled(batch["noisy"], valid), batch["a"], batch["b"], settings)
    if taps is not None:
        near = functional.max_pool2d((~valid).float(), 2 * NEAR_PX + 1, 1, NEAR_PX) > 0
        valid = inside(~near, len(taps) // 4)
    z, mask = vst.forward(y, a, b), grid(y, moment.step)
    estimate = predicted(network, z, mask)
    if settings["noise2self_loss"] == "vst":
        squares = (estimate - z) ** 2
    else:
        x = vst.inverse(estimate, a, b)
        squares = (x - y) ** 2 / (a * x.detach() + b).clamp(min=0.375 * a * a)
    asked = mask & valid
    return (squares * asked).sum(), asked.sum()


def restore(network: nn.Module, noisy: Tensor, a: Tensor, b: Tensor, settings: Settings) -> Tensor:
    """Restored images [image, 1, row, column] ADU of noisy ones.

    With ``invariant`` each pixel is what the network makes of its image with that pixel masked, as in training: sixteen
    passes, one for each phase of the grid. Without it one pass over the image as it is, which the network has not been
    trained on.
    """
    y, a, b = whitened(noisy, a, b, settings)
    z = vst.forward(y, a, b)
    if settings["invariant"]:
        estimate = torch.zeros_like(z)
        for phase in range(WIDTH * WIDTH):
            mask = grid(z, phase)
            estimate = torch.where(mask, predicted(network, z, mask), estimate)
    else:
        estimate = z + network(z)
    back = vst.inverse_of_mean if settings["noise2self_loss"] == "vst" else vst.inverse
    x = back(estimate, a, b)
    if settings["kernel"] is not None and settings["form"] == "detector":
        return convolved(x, settings["kernel"])
    return x


def leak(outcome: Settings, settings: Settings) -> str | None:
    """What to warn of after a training: a loss below the variance of the noise.

    Parameters
    ----------
    outcome : mapping
        train_loss, and val_loss or None.
    settings : mapping
    """
    found = outcome["val_loss"] if outcome["val_loss"] is not None else outcome["train_loss"]
    if found >= LEAK:
        return None
    cure = "decorrelate it" if settings["kernel"] is None else "find the kernel anew"
    return f"loss {found:.2f} of the noise's variance (noise is correlated and is being learnt) {cure}"


def radius(network: nn.Module, settings: Settings) -> int | None:
    """Reach of a restored pixel: network, the cross of neighbours, decorrelation and blur, a multiple of the grid."""
    if network.radius is None:
        return None
    reach = network.radius + 1
    for name in ("kernel", "taps"):
        if settings[name] is not None:
            reach += max(np.shape(settings[name])) // 2
    multiple = network.multiple * WIDTH // np.gcd(network.multiple, WIDTH)
    return int(-(-reach // multiple) * multiple)


def whitened(noisy: Tensor, a: Tensor, b: Tensor, settings: Settings) -> tuple[Tensor, Tensor, Tensor]:
    """Decorrelated images and the a, b of their noise; as they were where there is no kernel."""
    if settings["taps"] is None:
        return noisy, a, b
    factor = settings["variance_factor"]
    return convolved(noisy, settings["taps"]), a * factor, b * factor


def predicted(network: nn.Module, z: Tensor, mask: Tensor) -> Tensor:
    """What the network makes of stabilised images whose masked pixels are filled from their neighbours."""
    donut = torch.where(mask, cross_mean(z), z)
    return donut + network(donut)


def cross_mean(z: Tensor) -> Tensor:
    """Mean of the four next neighbours; at the border those inside twice."""
    around = functional.pad(z, (1, 1, 1, 1), mode="reflect")
    up, down = around[..., :-2, 1:-1], around[..., 2:, 1:-1]
    return 0.25 * (up + down + around[..., 1:-1, :-2] + around[..., 1:-1, 2:])


def grid(z: Tensor, step: int) -> Tensor:
    """Mask [row, column] of every fourth pixel along both axes, of one of sixteen phases."""
    down, along = divmod(step % (WIDTH * WIDTH), WIDTH)
    mask = torch.zeros(z.shape[-2:], dtype=torch.bool, device=z.device)
    mask[down::WIDTH, along::WIDTH] = True
    return mask


def filled(noisy: Tensor, valid: Tensor) -> Tensor:
    """Images whose pixels that are not valid are the mean of those around that are."""
    count = functional.avg_pool2d(valid.to(noisy.dtype), FILL_PX, 1, FILL_PX // 2)
    mean = functional.avg_pool2d(noisy * valid, FILL_PX, 1, FILL_PX // 2) / count.clamp(min=1e-6)
    return torch.where(valid | (count == 0), noisy, mean)


def inside(valid: Tensor, margin: int) -> Tensor:
    """Without the border of a crop, which is decorrelated with its mirror image."""
    inner = torch.zeros_like(valid)
    inner[..., margin : -margin or None, margin : -margin or None] = True
    return valid & inner


def convolved(images: Tensor, kernel: list[list[float]]) -> Tensor:
    """Images [image, 1, row, column] continued as their mirror image and convolved.

    In float32, on a GPU in float64: the bfloat16 and TF32 that networks are computed in have too few digits for grey
    values.
    """
    wide = images.double() if images.is_cuda else images
    taps = torch.tensor(kernel, dtype=wide.dtype, device=wide.device).flip(0, 1)[None, None]
    for axis, length in ((2, taps.shape[2] // 2), (3, taps.shape[3] // 2)):
        wide = wide.index_select(axis, mirrored(wide.shape[axis], length).to(wide.device))
    with torch.autocast(images.device.type, enabled=False):
        return functional.conv2d(wide, taps).to(images.dtype)


METHOD = Method(
    loss,
    restore,
    network_options,
    images=("noisy", "valid"),
    options={
        "decorrelate": True,
        "kernel_file": None,
        "noise2self_loss": "vst",
        "invariant": True,
        "form": "detector",
    },
    prepare=prepare,
    radius=radius,
    doubt=leak,
)
