"""Repeated frames of one static scene: read, and tested for being that.

What an audit says rests on frames that differ in noise alone. Three things spoil it, each found here and told apart
from noise: a tube that flickers (frames of another brightness, which can be taken out), a part that moves, and frames
that know of each other (lag of the screen, slow drift somewhere in the image).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage, stats

import xsim
from xsim import MeasurementError

__all__ = ["Repeats", "Steadiness", "read_repeats", "steadiness", "tiles_of"]

ENDINGS = (".tif", ".tiff", ".npy")
LEAST_FRAMES = 4
TILE_PX = 32
BLOCK_PX = 8  # whose means tell memory: wider than light spreads, many in an image
SMOOTH_PX = 1.0  # standard deviation; a shift is looked for in images smoothed so far
LEVEL = 0.01  # of a test that frames which only differ in noise fail
LEAST_FLICKER = 2e-4  # relative; less brightness than this between frames hurts nothing
LEAST_SHIFT_PX = 0.02
LEAST_MEMORY = 0.02  # correlation of successive frames


@dataclass(frozen=True)
class Repeats:
    """Frames of a static scene.

    Attributes
    ----------
    pixels : uint16 or float32 [frame, row, column] ADU
    metadata : dict
        Of the first file; {} where it has none of ours.
    file : Path
        The first.
    """

    pixels: np.ndarray
    metadata: dict[str, Any]
    file: Path


def read_repeats(path: str | os.PathLike[str]) -> Repeats:
    """Repeated frames: a folder of TIFF or npy files in the order of their names, or one stack.

    Of a folder that ``xsim simulate --frames`` wrote noisy.tif counts.

    Raises
    ------
    MeasurementError
        There are fewer than four frames, two are the same, they are 8-bit pictures, or no frames of a camera.
    XsimError
        A file cannot be read.
    """
    place = Path(path)
    files = files_in(place) if place.is_dir() else [place]
    found = xsim.read_frames(files)
    pixels = found.pixels
    if (kind := found.metadata.get("image", "noisy")) != "noisy":
        raise MeasurementError(f"{files[0]} holds no noisy frames (its metadata says {kind!r}) give the camera's own")
    if pixels.dtype.itemsize < 2 or pixels.dtype.kind == "b":
        raise MeasurementError(f"{files[0]} holds 8-bit pictures (grey values are lost) give the camera's 16 bits")
    if len(pixels) < LEAST_FRAMES:
        raise MeasurementError(
            f"{place} holds {len(pixels)} frame{'s' * (len(pixels) != 1)} (noise is told from the scene by "
            f"{LEAST_FRAMES} at least) take 8 to 16"
        )
    if same := twice(pixels):
        raise MeasurementError(f"frames {same[0] + 1} and {same[1] + 1} are the same (a copy?) take frames anew")
    return Repeats(pixels, found.metadata, files[0])


def files_in(folder: Path) -> list[Path]:
    """Frames in a folder, by name."""
    if (folder / "noisy.tif").exists():
        return [folder / "noisy.tif"]
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in ENDINGS and not p.name.startswith("."))
    if not files:
        raise MeasurementError(f"{folder} holds no frames (none ends in {', '.join(ENDINGS)}) name another folder")
    return files


def twice(pixels: np.ndarray) -> tuple[int, int] | None:
    """Two frames that are equal in every pixel."""
    seen: dict[bytes, int] = {}
    for k, frame in enumerate(pixels):
        key = frame.tobytes()
        if key in seen:
            return seen[key], k
        seen[key] = k
    return None


@dataclass(frozen=True)
class Steadiness:
    """What frames differ by besides noise.

    Attributes
    ----------
    brightness : float64 [frame]
        Signal of each over that of the mean frame.
    brightness_error : float
        Standard error of one of them.
    shift_px : float64 [frame, 2]
        Rows and columns that a frame is moved by against the others.
    shift_error_px : float
        Standard error; large where the scene has no edges to tell by.
    memory, memory_error : float
        Correlation of the noise of successive frames, of blocks of 8 x 8 pixels.
    flickers, moves, remembers : bool
        Whether each stands out of its error, and of what hurts nothing.
    """

    brightness: np.ndarray
    brightness_error: float
    shift_px: np.ndarray
    shift_error_px: float
    memory: float
    memory_error: float

    @property
    def flickers(self) -> bool:
        return bool(stands_out(self.brightness - 1.0, self.brightness_error, LEAST_FLICKER))

    @property
    def moves(self) -> bool:
        return bool(stands_out(self.shift_px, self.shift_error_px, LEAST_SHIFT_PX))

    @property
    def remembers(self) -> bool:
        return abs(self.memory) > max(LEAST_MEMORY, 3.0 * self.memory_error)


def stands_out(values: np.ndarray, error: float, least: float) -> bool:
    """Whether the greatest of some values is beyond what noise and what does no harm explain (Sidak, 1 %)."""
    limit = stats.norm.isf(0.5 * (1.0 - (1.0 - LEVEL) ** (1.0 / values.size)))
    return float(np.abs(values).max()) > max(limit * error, least)


def steadiness(frames: np.ndarray, black_adu: float) -> Steadiness:
    """Brightness, shift and memory of frames [frame, row, column] ADU.

    Each frame less the mean of the others is fitted by that mean's signal and its two gradients; errors come from how
    patches of the image scatter about the fit, so that correlated noise is counted as it is.
    """
    count, shape = len(frames), frames.shape[1:]
    tiles = tiles_of(shape)
    # less black: float32 then holds a thousandth of the noise, in half the memory
    smooth = np.stack([ndimage.gaussian_filter((frame - black_adu).astype(np.float32), SMOOTH_PX) for frame in frames])
    total = smooth.sum(axis=0, dtype=np.float64)
    found, errors = np.zeros((count, 3)), np.zeros((count, 3))
    blocks: list[np.ndarray] = []
    for k, frame in enumerate(smooth):
        others = (total - frame) / (count - 1)
        terms = np.stack([others, *np.gradient(others)])
        found[k], errors[k], left = fitted(frame - others, terms, tiles)
        blocks.append(block_means(left))
    error = np.sqrt((errors**2).mean(axis=0))
    # a frame is compared with the others, of whose scatter it sees 1 / (count - 1)
    share = (count - 1) / count
    memory, memory_error = succession(np.stack(blocks))
    return Steadiness(
        1.0 + share * found[:, 0], share * error[0], -share * found[:, 1:], share * error[1:].max(), memory,
        memory_error,
    )  # fmt: skip


def fitted(
    difference: np.ndarray, terms: np.ndarray, tiles: list[tuple[slice, slice]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Least squares of an image by some terms [term, row, column]: numbers, their errors, and what is left over."""
    matrices = np.array([np.einsum("irc,jrc->ij", t := terms[:, *tile], t) for tile in tiles])
    vectors = np.array([np.einsum("irc,rc->i", terms[:, *tile], difference[tile]) for tile in tiles])
    inverse = np.linalg.pinv(matrices.sum(axis=0), hermitian=True)
    numbers = inverse @ vectors.sum(axis=0)
    scatter = vectors - matrices @ numbers
    errors = np.sqrt(np.diag(inverse @ (scatter.T @ scatter) @ inverse))
    return numbers, errors, difference - np.tensordot(numbers, terms, 1)


def block_means(image: np.ndarray) -> np.ndarray:
    """Means of blocks of BLOCK_PX squared, [block]; one of the whole image where that is smaller."""
    rows, columns = (n // BLOCK_PX for n in image.shape)
    if rows == 0 or columns == 0:
        return image.mean(keepdims=True).ravel()
    cut = image[: rows * BLOCK_PX, : columns * BLOCK_PX]
    return np.asarray(cut.reshape(rows, BLOCK_PX, columns, BLOCK_PX).mean(axis=(1, 3)).ravel())


def succession(series: np.ndarray) -> tuple[float, float]:
    """Correlation of successive values of independent series [time, series], and its standard error.

    Von Neumann's ratio (Ann. Math. Stat. 12 (1941) 367): of a series without memory the squares of the steps are
    twice those about its mean.
    """
    count, many = series.shape
    steps, about = (np.diff(series, axis=0) ** 2).sum(), ((series - series.mean(axis=0)) ** 2).sum()
    error = np.sqrt((count - 2.0) / (count**2 - 1.0) / many)
    return float(1.0 - 0.5 * steps / about) if about > 0 else 0.0, float(error)


def tiles_of(shape: tuple[int, ...], side: int = TILE_PX) -> list[tuple[slice, slice]]:
    """Patches that cover an image, of about so many pixels a side, row by row."""
    edges = [np.linspace(0, n, max(n // side, 1) + 1).round().astype(int) for n in shape]
    rows, columns = ([slice(a, b) for a, b in pairwise(e)] for e in edges)
    return [(row, column) for row in rows for column in columns]
