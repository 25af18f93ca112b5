"""A trained model at work on files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import xsim
from denoise.checkpoint import check_new
from denoise.conditions import sample_conditions
from denoise.restorer import Restorer, load
from xsim import ModelError

__all__ = ["apply"]


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
