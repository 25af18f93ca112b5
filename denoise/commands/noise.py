"""Options that tell a command the noise of frames whose file does not."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import xsim
from denoise.noise_facts import NoiseLaw, camera_noise
from xsim import ModelError

__all__ = ["add_noise_options", "noise_from_options"]


def add_noise_options(group: Any) -> None:
    """Options that ``noise_from_options`` reads, for an ``argparse`` parser or group of one."""
    group.add_argument("--a", type=float, help="slope of a pixel's variance against its value, ADU (Var x = a x + b)")
    group.add_argument("--b", type=float, help="that variance at value 0, ADU^2")
    group.add_argument("--noise", type=Path, metavar="CAMERA.toml", help="instead: what xsim characterize found")
    group.add_argument("--raw-flat", type=Path, metavar="FRAMES", help="raw open beam that frames were corrected with")
    group.add_argument("--raw-dark", type=Path, metavar="FRAMES", help="and raw darks (default: the camera's offset)")
    group.add_argument("--pedestal-adu", type=float, default=0.0, help="value of no light in corrected frames (0)")


def noise_from_options(
    options: argparse.Namespace, metadata: Mapping[str, Any], state: str, shape: tuple[int, ...], frames: int = 1
) -> NoiseLaw:
    """Noise of frames in a state: of the options, or of their metadata.

    Parameters
    ----------
    options : Namespace
        Of ``add_noise_options``.
    metadata : mapping
        Of the frames' file.
    state : str
    shape : (int, int)
        Rows and columns. Raw flats of another number of rows are those of a line camera: their columns count.
    frames : int
        Exposures that a frame is the mean of.

    Raises
    ------
    ModelError
        Nothing tells it, or it is told twice.
    XsimError
        A file cannot be read.
    """
    given = options.a is not None, options.b is not None
    if options.noise and any(given):
        raise ModelError("both --noise and --a or --b given (frames have one noise) keep one")
    if options.noise:
        flat, dark = (None if p is None else xsim.read_frames([p]).pixels for p in (options.raw_flat, options.raw_dark))
        told = [np.shape(each)[-2:] for each in (flat, dark) if each is not None]
        if any(size[1] != shape[1] for size in told):
            raise ModelError(f"raw frames are {told[0][1]} pixels wide (the image {shape[1]}) give those of its camera")
        return camera_noise(
            options.noise, state, dark=dark, flat=flat, per_column=any(size != tuple(shape) for size in told),
            pedestal_adu=options.pedestal_adu, frames=frames,
        )  # fmt: skip
    if options.raw_flat or options.raw_dark:
        raise ModelError("raw frames given without --noise (they change the noise that it tells) add it")
    found = [metadata.get(n) if g is None else g for n, g in (("a_pixel_adu", options.a), ("b_adu2", options.b))]
    if any(each is None for each in found):
        raise ModelError(
            "the noise of the frames is not known (Var x = a x + b) give --a and --b, or --noise with the file of xsim "
            "characterize"
        )
    return NoiseLaw(float(found[0]), float(found[1]))
