"""A trained model at work, on arrays and radiographs. Files: denoise/image_files.py; lines: denoise/stream.py."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

import xsim
from denoise.anchor import anchored
from denoise.checkpoint import read_checkpoint
from denoise.conditions import level_of, outside, sample_conditions
from denoise.machine import one_thread_each, pick_device
from denoise.methods import Method, method_named
from denoise.networks import NoisePredictor, make_network
from denoise.stream import Stream, array_of, lines_of, noise_of
from xsim import ModelError

__all__ = ["Restorer", "load"]

LOOKED_AT_PX = 1 << 18  # of an image, to see how bright it is


@dataclass(frozen=True)
class Restorer:
    """A trained model. ``load`` makes one.

    Attributes
    ----------
    configuration : dict
        Of the checkpoint: method, network, settings, states and conditions trained on, corpus, versions.
    name : str
        Of its file.
    sha256 : str
        Of its file.
    """

    network: NoisePredictor = field(repr=False)
    method: Method = field(repr=False)
    configuration: dict[str, Any] = field(repr=False)
    device: torch.device = field(repr=False)
    name: str
    sha256: str

    @property
    def method_name(self) -> str:
        """Name of the method."""
        return str(self.configuration["method"])

    @property
    def reach(self) -> int | None:
        """How far a restored pixel sees, in pixels, the regional mean aside; None: the whole image."""
        return self.method.radius(self.network, self.configuration["settings"])

    @property
    def multiple(self) -> int:
        """Rows and columns that the network sees are a multiple of it."""
        return self.network.multiple

    @property
    def anchor_px(self) -> int:
        """Half width of the window over which the mean of the noisy image is kept; 0: it is not."""
        return int(self.configuration["settings"]["anchor_px"]) if self.method.anchored else 0

    def __call__(
        self,
        image: np.ndarray | xsim.Radiograph,
        a_pixel_adu: Any = None,
        b_adu2: Any = None,
        state: str | None = None,
    ) -> np.ndarray:
        """Restore an image.

        Parameters
        ----------
        image : [row, column] ADU, or an xsim.Radiograph
            Raw pixel values with their offset, any size. A radiograph brings the rest with it.
        a_pixel_adu, b_adu2 : float or array
            Noise: Var x = a x + b. An array is per column [column] or per pixel [row, column].
        state : str, optional
            raw, offset_corrected or flat_field_corrected, to be checked against what the model was trained on.

        Returns
        -------
        float32 [row, column] ADU

        Raises
        ------
        ModelError
            No noise parameters, a state the model was not trained on, or an image that is none.
        """
        conditions: Mapping[str, Any] = {}
        if isinstance(image, xsim.Radiograph):
            conditions = image.metadata
            a_pixel_adu = conditions["a_pixel_adu"] if a_pixel_adu is None else a_pixel_adu
            b_adu2 = conditions["b_adu2"] if b_adu2 is None else b_adu2
            state, image = state or conditions["state"], image.noisy
        if state is not None:
            self.check_state(state)
        pixels = np.asarray(image)
        if pixels.ndim != 2 or pixels.size == 0:
            raise ModelError(f"an image is [row, column] (this has shape {pixels.shape})")
        noisy = lines_of(pixels, pixels.shape[1])
        a, b = noise_of(a_pixel_adu, b_adu2, noisy.shape)
        self.warn_outside({**sample_conditions(conditions), "level": level_seen(noisy, a, b)})
        return self.restore(noisy, a, b, self.anchor_px)

    def restore(self, noisy: np.ndarray, a: np.ndarray, b: np.ndarray, anchor_px: int) -> np.ndarray:
        """The bare operation on float32 [row, column] images; ``anchor_px`` 0: what the network alone gives."""
        if self.reach is None:
            return array_of(self.restore_whole(noisy, a, b, anchor_px))
        rows, columns = noisy.shape
        stream = Stream(self, columns, anchor_px=anchor_px)
        # so many windows at once, for as many cores
        block = stream.grid.lines * (os.cpu_count() or 1)
        given = [stream.push(*(x[k : k + block] for x in (noisy, a, b))) for k in range(0, rows, block)]
        return np.concatenate([*given, stream.flush()])

    def restore_whole(self, noisy: np.ndarray, a: np.ndarray, b: np.ndarray, anchor_px: int) -> Tensor:
        """The same in one call of the network, [1, 1, row, column], whatever memory that takes."""
        rows, columns = noisy.shape
        tensors = [padded(each, self.multiple).to(self.device) for each in (noisy, a, b)]
        with one_thread_each(1), torch.inference_mode():
            restored = self.run(*tensors)[..., :rows, :columns]
            return anchored(restored, tensors[0][..., :rows, :columns], anchor_px)

    def run(self, noisy: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """What the method makes of tensors [image, 1, row, column] of a fitting size."""
        with torch.inference_mode():  # it is a thread's own
            return self.method.restore(self.network, noisy, a, b, self.configuration["settings"])

    def check_state(self, state: str) -> None:
        """Refuse an image state that the model was not trained on.

        Raises
        ------
        ModelError
            It was not.
        """
        trained = self.configuration["states"]
        if state not in trained:
            raise ModelError(f"image state {state!r} is not what {self.name} was trained on ({', '.join(trained)})")

    def warn_outside(self, found: Mapping[str, float]) -> bool:
        """Warn of conditions outside the range of training; whether there were any."""
        told = outside(found, self.configuration["conditions"])
        for text in told:
            warnings.warn(f"{self.name}: {text}", stacklevel=3)
        return bool(told)


def level_seen(noisy: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """``level_of`` an image, from some rows of it where it is large."""
    step = max(1, noisy.size // LOOKED_AT_PX)
    return level_of(*(np.asarray(each[::step], np.float32) for each in (noisy, a, b)))


def padded(part: np.ndarray, multiple: int) -> Tensor:
    """[row, column] as a tensor [1, 1, row, column], its edge continued to a multiple of so many pixels."""
    rows, columns = part.shape
    tensor = torch.from_numpy(np.array(part, np.float32))[None, None]
    return functional.pad(tensor, (0, -columns % multiple, 0, -rows % multiple), mode="replicate")


def load(path: str | os.PathLike[str], device: str = "auto") -> Restorer:
    """Load a model that ``denoise.train`` wrote.

    Raises
    ------
    ModelError
        The file is missing, broken, or of a method or network this version doesn't know.
    """
    file = Path(path)
    weights, configuration = read_checkpoint(file)
    method = method_named(configuration["method"])
    network = make_network(configuration["network"], **configuration["network_options"])
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        raise ModelError(f"{file} has weights of another network ({reason})") from None
    machine = pick_device(device)
    network = network.eval().requires_grad_(False).to(machine, memory_format=torch.channels_last)
    return Restorer(network, method, configuration, machine, file.name, hashlib.sha256(file.read_bytes()).hexdigest())
