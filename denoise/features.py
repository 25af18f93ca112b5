"""Networks whose features images are compared by: those trained on a corpus's own labels, or a ResNet-34 of the user's.

A feature network sees crops as a person does who sets the window of a display by the clean image,

    u = (z - m) / sqrt(v + 1)

z the image in units of its noise (`denoise.vst`), m and v mean and variance of the clean z over the crop: noise of
a crop without structure has a standard deviation of 1, everything else is relative to the structure there is.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from denoise.resnet import ResNet34
from xsim import ModelError

__all__ = [
    "KEY",
    "CorpusFeatures",
    "FeatureNet",
    "load_features",
    "opened",
    "relative_distance",
    "squared_distances",
    "windowed",
]

KEY = "denoise_features"
SCHEMA = 1


class CorpusFeatures(nn.Module):
    """Segmenter of three scales, two convolutions at each; their outputs are the features.

    Parameters
    ----------
    classes : int
    widths : three int
        Channels at full, half and quarter resolution.
    kernel : int
        Side of the convolutions, odd.
    """

    def __init__(self, classes: int, widths: tuple[int, int, int] = (16, 32, 64), kernel: int = 3) -> None:
        super().__init__()
        before, stages = 1, []
        for number, width in enumerate(widths):
            shared: dict[str, Any] = {"padding": kernel // 2, "padding_mode": "replicate"}
            first = nn.Conv2d(before, width, kernel, stride=2 if number else 1, **shared)
            stages.append(nn.Sequential(first, nn.ReLU(), nn.Conv2d(width, width, kernel, **shared), nn.ReLU()))
            before = width
        self.stages = nn.ModuleList(stages)
        self.head = nn.Conv2d(before, classes, 1)

    def forward(self, u: Tensor) -> list[Tensor]:
        """Features after each scale of images [image, 1, row, column]."""
        taps = [self.stages[0](u)]
        for stage in self.stages[1:]:  # type: ignore[index]
            taps.append(stage(taps[-1]))
        return taps

    def logits(self, u: Tensor) -> Tensor:
        """Class of each pixel [image, class, row, column]; 4 x 4 pixels share it."""
        coarse = self.head(self.forward(u)[-1])
        return functional.interpolate(coarse, scale_factor=4.0, mode="nearest")


@dataclass(frozen=True)
class FeatureNet:
    """A frozen feature network.

    Attributes
    ----------
    name : str
        What it is, and of what corpus: never a name that is not its own.
    sha256 : str
        Of its file.
    network : module
        From u [image, 1, row, column] to a list of features.
    """

    name: str
    sha256: str
    network: nn.Module = field(repr=False)


def windowed(z: Tensor, clean: Tensor) -> Tensor:
    """Images z [image, 1, row, column] in the window that the clean ones set."""
    variance, mean = torch.var_mean(clean, dim=(1, 2, 3), keepdim=True, correction=0)
    return (z - mean) / (variance + 1.0).sqrt()


def squared_distances(network: nn.Module, z: Tensor, clean: Tensor) -> Tensor:
    """Mean squared difference of the features of z and of the clean images, [scale]; both [image, 1, row, column]."""
    with torch.no_grad():
        wanted = network(windowed(clean, clean))
    found = network(windowed(z, clean))
    return torch.stack([functional.mse_loss(f.float(), w.float()) for f, w in zip(found, wanted, strict=True)])


def relative_distance(network: nn.Module, z: Tensor, clean: Tensor) -> Tensor:
    """Norm of the difference of features over that of the clean image's, mean over the scales: float [image]."""
    shares = []
    for found, wanted in zip(network(windowed(z, clean)), network(windowed(clean, clean)), strict=True):
        norm = wanted.flatten(1).norm(dim=1).clamp(min=torch.finfo(torch.float32).tiny)
        shares.append((found - wanted).flatten(1).norm(dim=1) / norm)
    return torch.stack(shares).mean(0)


@lru_cache(maxsize=4)
def opened(path: str, sha256: str, device: str) -> FeatureNet:
    """A feature network on a device, as it was when its sha256 was taken.

    Raises
    ------
    ModelError
        The file is missing or another than it was.
    """
    found = load_features(path)
    if found.sha256 != sha256:
        raise ModelError(f"{path} is not the feature file the training began with (its sha256 differs) bring it back")
    found.network.to(device)
    return found


def load_features(path: str | Path) -> FeatureNet:
    """A feature network from its file: one of ``denoise features``, or weights of a ResNet-34.

    Parameters
    ----------
    path : path
        .safetensors, or a .pth or .pt of tensors only: nothing in it can run code.

    Raises
    ------
    ModelError
        The file is missing, broken, or of another network.
    """
    place = Path(path)
    try:
        content = place.read_bytes()
    except OSError as error:
        raise ModelError(f"{place} not read ({error.strerror or 'no such file'}) check the path") from None
    digest = hashlib.sha256(content).hexdigest()
    if place.suffix in (".pth", ".pt"):
        described, weights = None, _torch_weights(place)
    else:
        described, weights = _safetensors_weights(place)
    if described is None:
        network: nn.Module = ResNet34()
        _fill(network, weights, place, "ResNet-34")
        name = f"resnet34-{digest[:8]}"
    else:
        network, name = _corpus_features(described, place), str(described["name"])
        _fill(network, weights, place, name)
    return FeatureNet(name, digest, network.eval().requires_grad_(False))


def _corpus_features(described: dict[str, Any], place: Path) -> CorpusFeatures:
    if described.get("schema") != SCHEMA:
        raise ModelError(f"{place} has layout {described.get('schema')!r} (this version reads {SCHEMA}) update xsim")
    try:
        return CorpusFeatures(len(described["classes"]), tuple(described["widths"]), described["kernel"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"{place} describes no feature network ({reason}) make another by denoise features") from None


def _safetensors_weights(place: Path) -> tuple[dict[str, Any] | None, dict[str, Tensor]]:
    """What the file says of itself, None where it does not, and its tensors."""
    try:
        with safetensors.safe_open(place, framework="pt") as file:
            told = (file.metadata() or {}).get(KEY)
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        described = None if told is None else json.loads(told)
    except (safetensors.SafetensorError, ValueError) as error:
        raise ModelError(f"{place} is not a safetensors file ({' '.join(str(error).split())})") from None
    if not (described is None or (isinstance(described, dict) and "name" in described)):
        raise ModelError(f"{place} describes no feature network (no name) make another by denoise features")
    return described, weights


def _torch_weights(place: Path) -> dict[str, Tensor]:
    try:
        found = torch.load(place, map_location="cpu", weights_only=True)
    except Exception as error:  # its kinds are torch's own, and many
        raise ModelError(f"{place} is no file of tensors ({' '.join(str(error).split())[:100]})") from None
    if not isinstance(found, dict) or not all(isinstance(each, Tensor) for each in found.values()):
        raise ModelError(f"{place} is no state of a network (names with tensors) save its state_dict")
    return found


def _fill(network: nn.Module, weights: dict[str, Tensor], place: Path, name: str) -> None:
    """Put weights into a network, all of them or none."""
    wanted = network.state_dict()
    strange = [key for key in weights if key not in wanted and not key.startswith("fc.")]
    if strange:
        raise ModelError(f"{place} is not {name} (it has {strange[0]}, which that has not)")
    for key, own in wanted.items():
        if key not in weights:
            if key.endswith("num_batches_tracked"):  # a count that old files lack and nothing here reads
                continue
            raise ModelError(f"{place} is not {name} (it lacks {key})")
        if weights[key].shape != own.shape:
            shapes = [list(each.shape) for each in (weights[key], own)]
            raise ModelError(f"{place} is not {name} ({key} has shape {shapes[0]}, not {shapes[1]})")
        if not torch.isfinite(weights[key]).all():
            raise ModelError(f"{place} has weights that are no numbers ({key})")
    network.load_state_dict({**wanted, **{key: weights[key] for key in weights if key in wanted}})
