"""``denoise noise``, and the options that tell a command the noise of frames whose file does not."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import xsim
from denoise.frame_noise import Told
from denoise.noise_facts import NoiseLaw, camera_noise, read_law, write_law
from xsim import ModelError, OutputError

__all__ = ["add", "add_noise_options", "noise_from_options"]

STATES = ("raw", "offset_corrected", "flat_field_corrected")


def add(commands: Any) -> None:
    """Add the command to the subparsers."""
    command = commands.add_parser(
        "noise",
        help="work out the noise of corrected frames",
        description="Noise of frames in a state of correction, Var x = a x + b, from what xsim characterize found.",
        epilog="example: denoise noise camera.toml --state flat_field_corrected --raw-flat flat.tif -o noise.npz",
    )
    command.add_argument("camera", type=Path, metavar="CAMERA.toml", help="file of xsim characterize")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.npz", help="for --noise of others")
    command.add_argument("--state", choices=STATES, default=STATES[-1], help="of the frames (default: %(default)s)")
    command.add_argument("--frames", type=int, default=1, help="exposures that a frame is the mean of (1)")
    command.add_argument("--per-column", action="store_true", help="frames of a line camera: a factor for each column")
    _add_correction(command)
    command.add_argument("--force", action="store_true", help="replace what is there")
    command.set_defaults(run=_noise)


def _noise(options: argparse.Namespace) -> None:
    if options.output.suffix != ".npz":
        raise OutputError(f"{options.output} is no name for arrays of a and b (they are .npz) end it so")
    if options.output.exists() and not options.force:
        raise OutputError(f"{options.output} is there already (it is left as it is) choose another name, or --force")
    flat, dark = _raw_frames(options)
    law = camera_noise(
        options.camera, options.state, dark=dark, flat=flat, per_column=options.per_column,
        pedestal_adu=options.pedestal_adu, frames=options.frames,
    )  # fmt: skip
    write_law(options.output, law, options.state)
    a, b = (np.asarray(each) for each in law)
    print(f"a {a.min():.4g} to {a.max():.4g} ADU, b {b.min():.4g} to {b.max():.4g} ADU^2, shape {a.shape}")
    print(f"{options.output} written")


def _add_correction(group: Any) -> None:
    group.add_argument("--raw-flat", type=Path, metavar="FRAMES", help="raw open beam that frames were corrected with")
    group.add_argument("--raw-dark", type=Path, metavar="FRAMES", help="and raw darks (default: the camera's offset)")
    group.add_argument("--pedestal-adu", type=float, default=0.0, help="value of no light in corrected frames (0)")


def _raw_frames(options: argparse.Namespace) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Raw flats and darks."""
    flat, dark = (None if p is None else xsim.read_frames([p]).pixels for p in (options.raw_flat, options.raw_dark))
    return flat, dark


def add_noise_options(group: Any) -> None:
    """Options that ``noise_from_options`` reads, for an ``argparse`` parser or group of one."""
    group.add_argument("--a", type=float, help="slope of a pixel's variance against its value, ADU (Var x = a x + b)")
    group.add_argument("--b", type=float, help="that variance at value 0, ADU^2")
    group.add_argument("--noise", type=Path, metavar="FILE", help="instead: of xsim characterize, or of denoise noise")
    _add_correction(group)


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
    if options.noise and options.noise.suffix == ".npz":
        law = read_law(options.noise)
        Told.of(file=options.noise, state=state)  # refuses that of another state
        return fitting(law, shape, options.noise)
    if options.noise:
        flat, dark = _raw_frames(options)
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


def fitting(law: NoiseLaw, shape: tuple[int, ...], file: Path) -> NoiseLaw:
    """A law that has the width of the image."""
    try:
        for each in law:
            np.broadcast_to(each, shape)
    except ValueError:
        raise ModelError(f"{file} tells noise of {np.shape(law.a_pixel_adu)} pixels (the image has {shape})") from None
    return law
