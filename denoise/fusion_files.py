"""Two TIFFs of two energies into a fused one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import xsim
from denoise.fusion import Beam, Fused, fuse
from denoise.new_file import check_new
from xsim import ModelError

__all__ = ["fuse_files"]

KINDS = ("noisy", "restored")
OPTIONS = {"a_pixel_adu": "a", "b_adu2": "b", "offset_adu": "offset", "open_beam_adu": "open-beam"}  # of the command


def fuse_files(
    low: str | os.PathLike[str],
    high: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    facts: tuple[Mapping[str, float], Mapping[str, float]] = ({}, {}),
    rule: str = "max",
    approximation: str = "mean",
    overwrite: bool = False,
) -> Path:
    """Fuse two 16-bit TIFFs of one part, every page of them, into a third of the same shape.

    Parameters
    ----------
    low, high, target : path
    facts : two mappings
        a_pixel_adu, b_adu2, offset_adu and open_beam_adu of each, where its metadata does not tell them or is wrong.
    rule, approximation : str
        See `denoise.fusion.fuse`.
    overwrite : bool
        Whether ``target`` may be replaced.

    Returns
    -------
    Path of the fused image

    Raises
    ------
    ModelError
        The images differ in shape or state, are not 16-bit, one is noisy and one restored, or a fact is not told.
    OutputError
        A file cannot be read or written.
    """
    out = Path(target)
    check_new(out, overwrite)
    paths = (Path(low), Path(high))
    images, metadata = zip(*map(xsim.read_tiff, paths), strict=True)
    check_alike(paths, images, metadata)
    beams = [beam_of(path, {**each, **told}) for path, each, told in zip(paths, metadata, facts, strict=True)]
    stacks = [image if image.ndim == 3 else image[None] for image in images]
    pages = [fuse(*pair, *beams, rule=rule, approximation=approximation) for pair in zip(*stacks, strict=True)]
    fused = np.stack([page.image for page in pages])
    pixels = np.clip(np.rint(fused), 0, np.iinfo(np.uint16).max).astype(np.uint16)
    told = fused_metadata(metadata[0], paths, pages, rule, approximation)
    xsim.write_tiff(out, pixels if images[0].ndim == 3 else pixels[0], told)
    return out


def check_alike(
    paths: tuple[Path, Path], images: tuple[np.ndarray, ...], metadata: tuple[Mapping[str, Any], ...]
) -> None:
    """Refuse images that are not two energies of one part by one camera."""
    for path, image, told in zip(paths, images, metadata, strict=True):
        if image.dtype != np.uint16 or image.ndim not in (2, 3):
            raise ModelError(f"{path} is no 16-bit grey image ({image.dtype}, shape {image.shape}) give one")
        if told.get("image", "noisy") not in KINDS:
            raise ModelError(f"{path} is neither noisy nor restored (its metadata says {told['image']!r}) give a frame")
    if images[0].shape != images[1].shape:
        raise ModelError(f"{paths[1]} has shape {images[1].shape} ({paths[0]} has {images[0].shape}) give one part's")
    for name in ("state", "image"):
        words = [told.get(name) for told in metadata]
        if None not in words and words[0] != words[1]:
            raise ModelError(f"{paths[1]} is {words[1]!r} ({paths[0]} is {words[0]!r}) give two of one {name}")


def beam_of(path: Path, facts: Mapping[str, Any]) -> Beam:
    """Noise, offset and open beam of an image; a restored one tells the noise of its source.

    Raises
    ------
    ModelError
        One of them is not told.
    """
    noise = {**facts.get("source_noise", {}), **facts}
    gain, quanta, offset = (noise.get(name) for name in ("gain_adu_per_quantum", "quanta_per_pixel", "offset_adu"))
    if "open_beam_adu" not in noise and None not in (gain, quanta, offset):
        noise["open_beam_adu"] = offset + gain * quanta
    for name, option in OPTIONS.items():
        if noise.get(name) is None:
            raise ModelError(f"{path} does not tell its {name} (its metadata lacks it) give --{option} LOW HIGH")
    return Beam(*(noise[name] for name in OPTIONS))


def fused_metadata(
    metadata: Mapping[str, Any], paths: tuple[Path, Path], pages: list[Fused], rule: str, approximation: str
) -> dict[str, Any]:
    """Metadata of the low energy's image, whose grey scale it is, without its noise."""
    kept = {k: v for k, v in metadata.items() if k not in ("a_pixel_adu", "b_adu2", "source_noise", "mean_adu")}
    made = {
        "low": paths[0].name,
        "high": paths[1].name,
        "rule": rule,
        "approximation": approximation,
        "contrast_ratio": [page.contrast_ratio for page in pages],
    }
    return {**kept, "image": "fused", "fused_of": made}
