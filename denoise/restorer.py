"""A trained model at work: on arrays, on radiographs, on TIFF files."""

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
from denoise.checkpoint import check_new, read_checkpoint
from denoise.conditions import level_of, outside, sample_conditions
from denoise.machine import one_thread_each, pick_device
from denoise.methods import Method, method_named
from denoise.networks import NoisePredictor, make_network
from xsim import ModelError

__all__ = ["Restorer", "apply", "load"]

BAND_PX = 1 << 17  # in the network at once per thread: memory stays bounded, and cores share the bands


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
        noisy, a, b = as_images(image, a_pixel_adu, b_adu2)
        self.warn_outside({**sample_conditions(conditions), "level": level_of(noisy, a, b)})
        width = self.configuration["settings"]["anchor_px"] if self.method.anchored else 0
        return self.restore(noisy, a, b, width)

    def restore(self, noisy: np.ndarray, a: np.ndarray, b: np.ndarray, anchor_px: int) -> np.ndarray:
        """The bare operation on float32 [row, column] images; ``anchor_px`` 0: what the network alone gives."""
        rows = noisy.shape[0]
        whole = torch.from_numpy(noisy)[None, None].to(self.device)
        with one_thread_each(os.cpu_count() or 1) as pool, torch.inference_mode():
            bands = list(pool.map(lambda first: self.band(noisy, a, b, first), range(0, rows, self.band_rows(noisy))))
            restored = torch.cat(bands, dim=2)
        with torch.inference_mode():
            return anchored(restored, whole, anchor_px)[0, 0].cpu().numpy()

    @property
    def reach(self) -> int | None:
        """Rows around a band that its result depends on; None: all."""
        return self.method.radius(self.network, self.configuration["settings"])

    def band_rows(self, noisy: np.ndarray) -> int:
        multiple = self.network.multiple
        if self.reach is None:
            return noisy.shape[0]
        return max(BAND_PX // noisy.shape[1] // multiple, 1) * multiple

    def band(self, noisy: np.ndarray, a: np.ndarray, b: np.ndarray, first: int) -> Tensor:
        """Rows of the restored image from ``first`` on: computed with the rows around that they depend on."""
        stop = min(first + self.band_rows(noisy), noisy.shape[0])
        reach = self.reach or 0
        above = min(first, reach)
        window = slice(first - above, stop + reach)
        y, slope, shift = (padded(each[window], self.network.multiple).to(self.device) for each in (noisy, a, b))
        # inference mode is a thread's own
        with torch.inference_mode():
            restored = self.method.restore(self.network, y, slope, shift, self.configuration["settings"])
        return restored[:, :, above : above + stop - first, : noisy.shape[1]]

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

    def warn_outside(self, found: Mapping[str, float]) -> None:
        """Warn of conditions outside the range of training."""
        for text in outside(found, self.configuration["conditions"]):
            warnings.warn(f"{self.name}: {text}", stacklevel=3)


def as_images(image: Any, a: Any, b: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, slope and shift, float32 [row, column] each."""
    if a is None or b is None:
        raise ModelError("no noise parameters (Var x = a x + b) give a_pixel_adu and b_adu2")
    noisy = np.ascontiguousarray(image, np.float32)
    if noisy.ndim != 2 or noisy.size == 0:
        raise ModelError(f"an image is [row, column] (this has shape {noisy.shape})")
    try:
        slope, shift = (np.broadcast_to(np.asarray(each, np.float32), noisy.shape) for each in (a, b))
    except (ValueError, TypeError):
        raise ModelError(f"a, b do not fit an image of {noisy.shape} (one each, per column or per pixel)") from None
    if not (np.isfinite(slope).all() and (slope > 0).all() and np.isfinite(shift).all()):
        raise ModelError("a must be above 0 and b a number (Var x = a x + b)")
    return noisy, slope, shift


def padded(part: np.ndarray, multiple: int) -> Tensor:
    """[row, column] as a tensor [1, 1, row, column], its edge continued to a multiple of so many pixels."""
    rows, columns = part.shape
    tensor = torch.from_numpy(np.array(part))[None, None]
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


def apply(
    model: str | os.PathLike[str],
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    a_pixel_adu: float | None = None,
    b_adu2: float | None = None,
    state: str | None = None,
    overwrite: bool = False,
    device: str = "auto",
) -> Path:
    """Restore a 16-bit TIFF, every page of it, into another.

    Parameters
    ----------
    model, source, target : path
    a_pixel_adu, b_adu2 : float, optional
        Noise of a frame whose metadata doesn't tell it.
    state : str, optional
        Likewise its state.
    overwrite : bool
        Whether ``target`` may be replaced.

    Returns
    -------
    Path of the restored image

    Raises
    ------
    ModelError, OutputError
        See `Restorer`; or the image is no 16-bit frame of a camera, or a file cannot be read or written.
    """
    out = Path(target)
    check_new(out, overwrite)
    restorer = load(model, device)
    image, metadata = xsim.read_tiff(source)
    check_frame(Path(source), image, metadata)
    told = {"a_pixel_adu": a_pixel_adu, "b_adu2": b_adu2, "state": state}
    a, b, state = frame_facts(Path(source), {**metadata, **{k: v for k, v in told.items() if v is not None}})
    restorer.check_state(state)
    restorer.warn_outside(sample_conditions(metadata))
    pages = image if image.ndim == 3 else image[None]
    restored = np.stack([restorer(page, a, b) for page in pages])
    pixels = np.clip(np.rint(restored), 0, np.iinfo(np.uint16).max).astype(np.uint16)
    xsim.write_tiff(out, pixels if image.ndim == 3 else pixels[0], restored_metadata(metadata, restorer, a, b, state))
    return out


def check_frame(path: Path, image: np.ndarray, metadata: Mapping[str, Any]) -> None:
    """Refuse what is no noisy frame of a camera."""
    if image.dtype != np.uint16 or image.ndim not in (2, 3):
        raise ModelError(f"{path} is no 16-bit grey image ({image.dtype}, shape {image.shape}) give the camera's frame")
    kind = metadata.get("image", "noisy")
    if kind != "noisy":
        raise ModelError(f"{path} is not a noisy frame (its metadata says {kind!r}) give the camera's frame")


def frame_facts(path: Path, facts: Mapping[str, Any]) -> tuple[float, float, str]:
    """Noise slope and shift and state of a frame, from its metadata or from options.

    Raises
    ------
    ModelError
        One of them is not told.
    """
    if facts.get("a_pixel_adu") is None or facts.get("b_adu2") is None:
        raise ModelError(f"{path} does not tell its noise, Var x = a x + b (no a_pixel_adu, b_adu2) give --a and --b")
    if facts.get("state") is None:
        raise ModelError(f"{path} does not tell its state (raw, offset_corrected, ...) give --state")
    return facts["a_pixel_adu"], facts["b_adu2"], facts["state"]


def restored_metadata(
    metadata: Mapping[str, Any], restorer: Restorer, a: float, b: float, state: str
) -> dict[str, Any]:
    """Metadata of the result; its noise is no longer a x + b, so that is told of the source only."""
    kept = {k: v for k, v in metadata.items() if k not in ("a_pixel_adu", "b_adu2", "mean_adu")}
    made = {"model": restorer.name, "sha256": restorer.sha256, "method": restorer.configuration["method"]}
    noise = {"a_pixel_adu": float(a), "b_adu2": float(b)}
    return {**kept, "image": "restored", "state": state, "restored_by": made, "source_noise": noise}
