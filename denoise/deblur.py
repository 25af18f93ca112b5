"""What the deblurring methods share: units, the target, the linear estimate and the network about it.

**Units.** y is the frame of the blurred screen, above its offset, over the brightest mean of 8 x 8 of its pixels, so
that neither dose nor gain is told to a network.

**Target.** A thick screen absorbs more of every energy than a thin one, and of hard photons more times as much, so
behind matter the ratio of their signals grows: from 2.26 to 2.64 on the corpus of the benchmark. x, the noise-free
image of the sharp screen above its offset, is brought to the blurred one's scale pixel by pixel,

    x0 <- x0 y_clean / B x0   from x0 = x, three times,

which is y_clean wherever the image is even over the reach of B, and ends in B x0 = y_clean: a restored image has the
grey values of the frame that it was made from. What is meant is the thick screen without its own blur, which can be
simulated: one ratio leaves 0.16 % of the open beam (root mean square) to it, as a fringe along edges, three leave
0.05 %, a common factor for all pixels 1.6 %.

**Linear estimate.** At the time t / T = s the frame was multiplied by d = 1 - s (1 - M_LR / M_HR) and noise of the
power N added to it. With S the mean power of targets,

    W = d S / (d^2 S + N),   error power  S N / (d^2 S + N);

without noise that is 1 / d. N is that of the frame's (a, b), its shape over frequency measured on the corpus. A
network gives what W leaves, in units of W's expected error, so that it serves every dose:

    f(x_s, s) = W x_s + e net(x_s, W x_s, sd, s).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import datagen
from denoise.methods import Batch, Method, Moment, Settings
from denoise.mtf_blur import degraded, filtered, power_table, response
from denoise.screen_pair import mtf_ratio
from xsim import CorpusError

__all__ = [
    "OPTIONS",
    "Frame",
    "Linear",
    "blurred",
    "deblurring",
    "draw_noise_share",
    "estimate",
    "frame_of",
    "linear_estimate",
    "network_options",
    "prepare",
    "target_of",
    "training_pair",
]

IMAGES = ("clean", "noisy_pair", "clean_pair", "valid", "valid_pair")
SCALARS = ("offset_adu", "offset_adu_pair")
OPTIONS: Mapping[str, Any] = {
    "noise": True,  # of the measurement, in training
    "noise_free_share": 0.25,  # of the crops that are trained on without it all the same
    "learning_rate": 2e-5,
    "batch": 16,
}
BRIGHT_PX = 8
LEAST_SCALE_SD = 10.0  # a frame of noise alone is not blown up
RATIOS = 3
DARK = 1e-3  # of the brightest: below it two signals have no ratio
LEAST_ERROR = 2e-3  # of the linear estimate, in units of the brightest: MTFs are not known better
MEASURED = 64  # samples that spectra are taken from


@dataclass(frozen=True)
class Frame:
    """A blurred frame in units of its brightest part.

    Attributes
    ----------
    image, sd : Tensor [image, 1, row, column]
        Signal, and the standard deviation of its noise.
    scale_adu : Tensor [image, 1, 1, 1]
    """

    image: Tensor
    sd: Tensor
    scale_adu: Tensor


@dataclass(frozen=True)
class Linear:
    """Linear estimate of the sharp image, and the root mean square error to expect of it.

    Attributes
    ----------
    image : Tensor [image, 1, row, column]
    error : Tensor [image, 1, 1, 1]
    """

    image: Tensor
    error: Tensor


def frame_of(noisy: Tensor, a: Tensor, b: Tensor, offset_adu: Tensor | float) -> Frame:
    """A frame [image, 1, row, column] ADU of the noise Var x = a x + b in units of its brightest part."""
    signal = noisy - offset_adu
    sd = (a * noisy + b).clamp(min=0.0).sqrt()
    bright = functional.avg_pool2d(signal, min(BRIGHT_PX, *signal.shape[-2:])).amax((-2, -1), keepdim=True)
    least = (LEAST_SCALE_SD * sd.mean((-2, -1), keepdim=True)).clamp(min=1.0)
    scale = torch.maximum(bright, least)
    return Frame(signal / scale, sd / scale, scale)


def blurred(image: Tensor, settings: Settings) -> Tensor:
    """B x."""
    return filtered(image, response(settings["mtf_ratio"], image))


def target_of(sharp: Tensor, blurred_clean: Tensor, settings: Settings) -> Tensor:
    """The sharp screen's noise-free signal on the scale of the blurred one's; see above.

    Parameters
    ----------
    sharp, blurred_clean : Tensor [image, 1, row, column]
        Above their offsets, any units.
    settings : mapping
        mtf_ratio.
    """
    target = sharp
    for _ in range(RATIOS):
        seen = blurred(target, settings)
        floors = [DARK * each.amax((-2, -1), keepdim=True) for each in (blurred_clean, seen)]
        target = target * torch.maximum(blurred_clean, floors[0]) / torch.maximum(seen, floors[1])
    return target


def linear_estimate(frame: Frame, image: Tensor, share: Tensor | float, settings: Settings) -> Linear:
    """W x_s of an image on its way, degraded by the share s = t / T.

    Parameters
    ----------
    frame : Frame
        Whose noise the image carries.
    image : Tensor [image, 1, row, column]
    share : Tensor [image, 1, 1, 1], or float
    settings : mapping
        mtf_ratio, target_power, noise_power_shape.
    """
    ratio, power, shape = (response(settings[k], image) for k in ("mtf_ratio", "target_power", "noise_power_shape"))
    transfer = degraded(torch.ones_like(ratio), ratio, share)
    noise = (frame.sd**2).mean((-2, -1), keepdim=True) * shape
    below = transfer**2 * power + noise
    error = (power * noise / below).mean((-2, -1), keepdim=True).sqrt() + LEAST_ERROR
    return Linear(filtered(image, transfer * power / below), error)


def estimate(
    network: nn.Module, frame: Frame, image: Tensor, share: Tensor, settings: Settings
) -> tuple[Tensor, Tensor]:
    """f(x_s, s), and the error of its linear part, which is the unit of the network's."""
    linear = linear_estimate(frame, image, share, settings)
    return linear.image + linear.error * network(channels(frame, image, linear, share)), linear.error


def channels(frame: Frame, image: Tensor, linear: Linear, share: Tensor | float) -> Tensor:
    """Inputs of the network: x_s, W x_s and the noise, in units of W's error, and the time s, as images."""
    time = torch.as_tensor(share, dtype=image.dtype, device=image.device).expand(image.shape)
    return torch.cat([image / linear.error, linear.image / linear.error, frame.sd / linear.error, time], dim=1)


def network_options(settings: Settings) -> dict[str, Any]:
    """Four inputs: two images, of which only differences count, and two numbers spread over images."""
    return {"inputs": 4, "outputs": 1, "level_free": [True, True, False, False]}


def training_pair(batch: Batch, settings: Settings, moment: Moment) -> tuple[Frame, Tensor, Tensor, Tensor]:
    """What a step trains by, in units of each frame's brightest part.

    Returns
    -------
    frame : Frame
        The blurred crop, noisy (in part of the crops, or all of them without the option ``noise``, noise-free).
    noise : Tensor [crop, 1, row, column]
    target : Tensor [crop, 1, row, column]
    valid : bool Tensor [crop, 1, row, column]
    """
    noisy, clean = batch["noisy_pair"], batch["clean_pair"]
    share = draw_noise_share(noisy, settings, moment)
    offset = batch["offset_adu_pair"]
    frame = frame_of(clean + share * (noisy - clean), share**2 * batch["a_pair"], share**2 * batch["b_pair"], offset)
    target = target_of(batch["clean"] - batch["offset_adu"], clean - offset, settings)
    noise = share * (noisy - clean) / frame.scale_adu
    return frame, noise, target / frame.scale_adu, batch["valid"] & batch["valid_pair"]


def draw_noise_share(noisy: Tensor, settings: Settings, moment: Moment) -> Tensor:
    """1 for crops that keep their noise, 0 for the others, [crop, 1, 1, 1]."""
    draw = torch.rand(len(noisy), generator=moment.generator)
    kept = (draw >= settings["noise_free_share"]) & bool(settings["noise"])
    return kept.to(noisy).view(-1, 1, 1, 1)


def prepare(views: list[datagen.CorpusView], settings: Settings) -> dict[str, Any]:
    """The ratio of the MTFs from the corpus's cameras; spectra of targets and noise from training samples.

    Raises
    ------
    CorpusError
        No format has a pair, several have, or the pair is not the blurred one.
    """
    paired = [view for view in views if "noisy_pair" in view.images]
    if len(paired) != 1:
        raise CorpusError(
            f"{views[0].corpus.path}: {len(paired)} formats have a [detector.pair] (deblurring is trained on one) "
            "name one with --format"
        )
    view = paired[0]
    found = {"mtf_ratio": mtf_ratio(view.corpus, view.format).tolist()}
    return found | _spectra(view, found)


def _spectra(view: datagen.CorpusView, found: Mapping[str, Any]) -> dict[str, Any]:
    """Mean powers of target and noise, in units of each frame's brightest part, and the frames' offset."""
    targets, noises, offsets = [], [], []
    for place in np.linspace(0, len(view) - 1, min(len(view), MEASURED)).astype(int):
        sample = view.sample(int(place), ("noisy_pair", "clean_pair", "clean"))
        p = sample["params"]
        noisy, clean, sharp = (_image(sample[name]) for name in ("noisy_pair", "clean_pair", "clean"))
        offset = p["offset_adu_pair"]
        frame = frame_of(noisy, torch.tensor(p["a_pixel_adu_pair"]), torch.tensor(p["b_adu2_pair"]), offset)
        target = target_of(sharp - p["offset_adu"], clean - offset, found) / frame.scale_adu
        noise = (noisy - clean) / frame.scale_adu
        targets.append(target[0, 0].numpy())
        noises.append((noise / (frame.sd**2).mean().sqrt())[0, 0].numpy())
        offsets.append(float(offset))
    return {
        "target_power": power_table(targets).tolist(),
        "noise_power_shape": power_table(noises).tolist(),
        "offset_adu": float(np.mean(offsets)),
    }


def _image(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels, np.float32))[None, None]


def whole_image(network: nn.Module, settings: Settings) -> None:
    """Radius of methods that apply B, which is of a whole image."""


# Method of one that deblurs: what it restores, and what it asks of the corpus
deblurring = partial(
    Method,
    images=IMAGES,
    scalars=SCALARS,
    options=OPTIONS,
    prepare=prepare,
    radius=whole_image,
    source="noisy_pair",
)
