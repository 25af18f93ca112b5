"""Frames from files: what xsim writes, other TIFFs, npy arrays; regions of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xsim.errors import MeasurementError, one_line
from xsim.image_io import read_tiff

__all__ = ["ENDINGS", "Frames", "Region", "read_frames", "region"]

ENDINGS = (".tif", ".tiff", ".npy")

Region = tuple[slice, slice]


@dataclass(frozen=True)
class Frames:
    """Frames of one scene, [frame, row, column] as stored, and the metadata of the first file; {} where it has none."""

    pixels: np.ndarray
    metadata: dict[str, Any]

    def told(self, name: str) -> float | None:
        """A number of the metadata; None where there is none of that name."""
        value = self.metadata.get(name)
        number = isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)
        return float(value) if number and value is not None else None


def read_frames(files: Sequence[Path], chosen: Region | None = None) -> Frames:
    """Frames of one or more files of equal size.

    Parameters
    ----------
    files : sequence of Path
        TIFF or npy, each an image [row, column] or a stack [frame, row, column].
    chosen : Region, optional
        Rows and columns to keep.

    Raises
    ------
    XsimError
        A file is missing, unreadable or of another size, or the region lies outside.

    """
    if not files:
        raise MeasurementError("no image given (there is nothing to measure) name a TIFF or npy file")
    stacks: list[np.ndarray] = []
    metadata: dict[str, Any] = {}
    for k, file in enumerate(files):
        pixels, found = read_image(file)
        metadata = found if k == 0 else metadata
        stack = pixels[None] if pixels.ndim == 2 else pixels
        if stack.ndim != 3 or stack.size == 0 or (pixels.ndim == 3 and stack.shape[2] in (3, 4)):
            raise MeasurementError(
                f"{file} has shape {pixels.shape} (rows, columns needed) give a grey image or a stack of them"
            )
        if stacks and stack.shape[1:] != stacks[0].shape[1:]:
            raise MeasurementError(f"{file} differs in size from {files[0]} (one scene, one size) measure it by itself")
        stacks.append(stack)
    whole = np.concatenate(stacks) if len(stacks) > 1 else stacks[0]
    pixels = whole if chosen is None else cropped(whole, chosen, files[0])
    if not np.isfinite(pixels).all():
        raise MeasurementError(f"{files[0]} holds pixels that are no numbers (nan or infinite) choose a region without")
    return Frames(pixels, metadata)


def cropped(whole: np.ndarray, chosen: Region, file: Path) -> np.ndarray:
    """Rows and columns of frames."""
    for name, part, length in zip(("rows", "columns"), chosen, whole.shape[1:], strict=True):
        if not 0 <= part.start < part.stop <= length:
            raise MeasurementError(
                f"{name} {part.start}:{part.stop} are not in {file} (it has {length}) choose from 0:{length}"
            )
    return whole[:, chosen[0], chosen[1]]


def read_image(file: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """Pixels and metadata of one file."""
    if file.suffix.lower() not in ENDINGS:
        raise MeasurementError(f"{file} not read (its name does not end in {', '.join(ENDINGS)}) convert it")
    if file.suffix.lower() != ".npy":
        pixels, metadata = read_tiff(file)
    else:
        try:
            pixels, metadata = np.load(file, allow_pickle=False), {}
        except (OSError, ValueError, EOFError) as error:
            raise MeasurementError(f"{file} not read ({one_line(error)}) give an array saved by numpy.save") from error
    if pixels.dtype.kind not in "uifb":
        raise MeasurementError(f"{file} holds {pixels.dtype} (numbers needed) give grey values")
    return pixels, metadata


def region(text: str) -> Region:
    """Rows and columns from ``r0:r1,c0:c1``; ends are exclusive, as in NumPy.

    Raises
    ------
    MeasurementError
        The text is not of that form.

    """
    found = re.fullmatch(r"(\d+):(\d+),(\d+):(\d+)", text.replace(" ", ""))
    if not found:
        raise MeasurementError(f"region {text!r} not understood (rows, then columns) write it like 100:356,0:256")
    r0, r1, c0, c1 = (int(number) for number in found.groups())
    if r0 >= r1 or c0 >= c1:
        raise MeasurementError(f"region {text!r} is empty (its ends are exclusive) write it like 100:356,0:256")
    return slice(r0, r1), slice(c0, c1)
