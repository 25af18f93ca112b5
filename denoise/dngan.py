"""DNGAN: a restorer whose images are also to look like clean ones, to a feature network and to a discriminator.

    P = w_mse E + w_content C + w_adversarial A + w_tv V

z = T(noisy) in units of its noise, R the generator, x = z - R(z) (see `denoise.noise_cnn`), t = T(clean):

    E  mean of (x - t)^2: 1 for the noisy image
    C  mean over the scales of |f(x) - f(t)|^2, in units of what the noisy images of the corpus have: 1 for these
    A  -log D(x): what it costs not to be taken for clean
    V  mean of (dx/drow)^2 + (dx/dcolumn)^2, differences of neighbours: the total variation as such losses have it;
       with ``tv_power`` 1 that of the absolute differences, as Rudin, Osher and Fatemi have it

Pixels that are not valid are those of t in all of them. The weights 1, 0.125 and 0.01 are the paper's, and 0.25 that of
the total variation, the better one of its own table (its text has 0.5). It does not tell its units: squares beside
squares need none, absolute differences do, and have those of the noise. Weights of 0 leave a term out: (1, 0, 0, 0) is
regression, (0, 0, 1, 0) a bare adversarial net. Before ``pretrain`` of the run is over, P is E alone; the discriminator
begins a little earlier.

Source: "Digital radiography image denoising using a generative adversarial network", J. X-Ray Sci. Technol. 26 (2018)
523.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import default_collate

import datagen
from datagen.torch_data import CorpusDataset
from denoise import noise_cnn
from denoise.discriminator import Discriminator
from denoise.features import load_features, opened, squared_distances, windowed
from denoise.methods import Batch, Method, Moment, Rival, Settings
from xsim import ModelError

__all__ = ["METHOD", "loss", "make_rival", "prepare", "rival_loss", "terms", "wanted"]

OPTIONS = {
    "domain": "vst",
    "weight_mse": 1.0,
    "weight_content": 0.125,
    "weight_adversarial": 0.01,
    "weight_tv": 0.25,
    "tv_power": 2,
    "pretrain": 0.5,  # share of the run
    "feature_file": "",
    "rival_features": 64,
    "rival_hidden": 1024,
    "learning_rate": 1e-4,
    "betas": (0.9, 0.9),
    "weight_decay": 0.0,
}
WEIGHTS = tuple(name for name in OPTIONS if name.startswith("weight_") and name != "weight_decay")
HEAD_START = 0.8  # of the pre-training: the discriminator learns from then on, so that it is not asked untrained
CALIBRATED_ON = 32  # crops that the unit of the content term is measured on


def prepare(views: list[datagen.CorpusView], settings: Settings) -> dict[str, Any]:
    """Unit of the linear domain, and of the content term with the name and sha256 of its feature network.

    Raises
    ------
    ModelError
        Weights that make no sense, or no feature file where the content term needs one.
    """
    weights = {name: settings[name] for name in WEIGHTS}
    for name, weight in weights.items():
        if not 0.0 <= weight < float("inf"):
            raise ModelError(f"{name} must not be negative (given {weight!r})")
    if not any(weights.values()):
        raise ModelError("all weights of dngan are 0 (there is nothing to train by) give one of them")
    if settings["tv_power"] not in (1, 2):
        raise ModelError(f"tv_power is 1 or 2, of the differences of neighbours (given {settings['tv_power']!r})")
    for name in ("rival_features", "rival_hidden"):
        if not settings[name] >= 1:
            raise ModelError(f"{name} must be 1 or more (given {settings[name]!r})")
    if not 0.0 <= settings["pretrain"] <= 1.0:
        raise ModelError(f"pretrain is a share of the run, 0 to 1 (given {settings['pretrain']!r})")
    found = noise_cnn.prepare(views, settings)
    return {**found, **_content_unit(views, {**settings, **found})} if weights["weight_content"] else found


def _content_unit(views: list[datagen.CorpusView], settings: Settings) -> dict[str, Any]:
    if not settings["feature_file"]:
        raise ModelError(
            "dngan has no feature_file (its content term compares features) make one with denoise features CORPUS, "
            "or set weight_content=0"
        )
    path = str(Path(settings["feature_file"]).resolve())
    features = load_features(path)
    crops = _some_crops(views, settings["crop"])
    with torch.no_grad():
        noisy, clean = (
            noise_cnn.to_domain(crops[name], crops["a"], crops["b"], settings) for name in ("noisy", "clean")
        )
        unit = squared_distances(features.network, torch.where(crops["valid"], noisy, clean), clean)
    if not (torch.isfinite(unit).all() and (unit > 0).all()):
        raise ModelError(f"{path} tells noisy images from clean ones by {unit.tolist()} (no features) make another")
    return {
        "feature_path": path,
        "feature_name": features.name,
        "feature_sha256": features.sha256,
        "content_unit": unit.tolist(),
    }


def _some_crops(views: list[datagen.CorpusView], crop: int) -> dict[str, Tensor]:
    shared: dict[str, Any] = {
        "crop": crop,
        "images": ("noisy", "clean", "valid"),
        "scalars": ("a_pixel_adu", "b_adu2"),
    }
    datasets = [CorpusDataset(view, **shared) for view in views]
    turns = (each[k] for k in range(CALIBRATED_ON) for each in datasets if k < len(each))
    crops = default_collate(list(islice(turns, CALIBRATED_ON)))
    a, b = (crops[name].view(-1, 1, 1, 1) for name in ("a_pixel_adu", "b_adu2"))
    return {**{name: crops[name] for name in shared["images"]}, "a": a, "b": b}


def wanted(batch: Batch) -> tuple[Tensor, Tensor]:
    """What the restored image is to be [crop, 1, row, column] ADU, and which of its pixels are valid.

    The clean image; where the batch has a second exposure, its frame on the scale of the first:
    (x_second - offset_second) mAs / mAs_second + offset.
    """
    if "noisy_second" not in batch:
        return batch["clean"], batch["valid"]
    signal = batch["noisy_second"] - batch["offset_adu_second"]
    scale = batch["exposure_mas"] / batch["exposure_mas_second"]
    return signal * scale + batch["offset_adu"], batch["valid"] & batch["valid_second"]


def compared(network: nn.Module, batch: Batch, settings: Settings) -> tuple[Tensor, Tensor, Tensor]:
    """Restored x and wanted t [crop, 1, row, column] as the network sees them, alike where not valid; where valid."""
    image, valid = wanted(batch)
    z, target = (noise_cnn.to_domain(each, batch["a"], batch["b"], settings) for each in (batch["noisy"], image))
    return torch.where(valid, z - network(z), target), target, valid


def loss(network: nn.Module, batch: Batch, settings: Settings, moment: Moment) -> tuple[Tensor, Tensor]:
    """P times the number of valid pixels, and that number."""
    restored, target, mask = compared(network, batch, settings)
    valid = mask.sum()
    if moment.share < settings["pretrain"]:
        return functional.mse_loss(restored, target, reduction="sum"), valid
    weights = {name.removeprefix("weight_"): settings[name] for name in WEIGHTS if settings[name]}
    found = terms(restored, target, valid, settings, moment.rival, tuple(weights))
    total = torch.stack([weights[name] * term for name, term in found.items()]).sum()
    return total * valid, valid


def terms(
    restored: Tensor,
    target: Tensor,
    valid: Tensor,
    settings: Settings,
    rival: nn.Module | None,
    names: tuple[str, ...] = ("mse", "content", "adversarial", "tv"),
) -> dict[str, Tensor]:
    """Terms of P by name, without their weights.

    Parameters
    ----------
    restored, target : [crop, 1, row, column]
        x and t.
    valid : int
        Number of valid pixels.
    settings : mapping
        feature_path, feature_sha256 and content_unit, for the content term; tv_power.
    rival : module
        The discriminator, for the adversarial term.
    names : of the terms asked for
    """
    found: dict[str, Tensor] = {}
    if "mse" in names:
        found["mse"] = functional.mse_loss(restored, target, reduction="sum") / valid.clamp(min=1)
    if "content" in names:
        features = opened(settings["feature_path"], settings["feature_sha256"], str(restored.device))
        distances = squared_distances(features.network, restored, target)
        found["content"] = (distances / distances.new_tensor(settings["content_unit"])).mean()
    if "adversarial" in names:
        if rival is None:
            raise ModelError("dngan has no discriminator (the adversarial term needs one) set weight_adversarial=0")
        found["adversarial"] = functional.softplus(-rival(windowed(restored, target)).float()).mean()
    if "tv" in names:
        steps = [(restored.diff(dim=axis).abs() ** settings["tv_power"]).sum() for axis in (2, 3)]
        found["tv"] = (steps[0] + steps[1]) / restored.numel()
    return found


def make_rival(settings: Settings) -> Discriminator:
    """The discriminator."""
    return Discriminator(settings["crop"], settings["rival_features"], settings["rival_hidden"])


def rival_loss(
    rival: nn.Module, network: nn.Module, batch: Batch, settings: Settings, moment: Moment
) -> tuple[Tensor, Tensor]:
    """-log D(clean) - log(1 - D(restored)), summed over the crops, and their number; 0 crops while it is not asked."""
    count = torch.tensor(len(batch["noisy"]))
    if not settings["weight_adversarial"] or moment.share < HEAD_START * settings["pretrain"]:
        return torch.zeros(()), count * 0
    with torch.no_grad():
        restored, target, _ = compared(network, batch, settings)
        made, real = windowed(restored, target), windowed(target, target)
    costs = functional.softplus(-rival(real).float()) + functional.softplus(rival(made).float())
    return costs.sum(), count


METHOD = Method(
    loss,
    noise_cnn.restore,
    noise_cnn.network_options,
    options=OPTIONS,
    network="dngan",
    prepare=prepare,
    rival=Rival(make_rival, rival_loss),
)
