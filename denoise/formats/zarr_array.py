"""zarr arrays [page, row, column] or [row, column]; written as zarr v3, compressed without loss, with checksums."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec

from denoise.formats.frames import Frames, check_grey
from xsim import ModelError

__all__ = ["kind_of", "read", "write"]

CHUNK_ROWS = 256


def kind_of(path: Path) -> str | None:
    """Whether it is "zarr", an array, or "corpus": a store of datagen or one of its formats; else None."""
    if (path / "commits").is_dir() or (path.parent / "commits").is_dir():
        return "corpus"
    try:
        found = zarr.open(path, mode="r")
    except Exception:  # whatever it is, it is no zarr
        return None
    return "zarr" if isinstance(found, zarr.Array) else None


@contextmanager
def read(path: Path) -> Iterator[Frames]:
    """Frames of an array.

    Raises
    ------
    ModelError
        It is broken, or no grey images.
    """
    array = zarr.open_array(path, mode="r")
    if array.ndim not in (2, 3) or array.size == 0:
        raise ModelError(f"{path} has shape {array.shape} (row, column or page, row, column needed) give images")
    native = check_grey(path, np.dtype(array.dtype))
    stacked = array.ndim == 3

    def rows_of(page: int, start: int, stop: int) -> np.ndarray:
        try:
            part = array[page, start:stop] if stacked else array[start:stop]
        except Exception as error:  # of zarr and its codecs
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ModelError(f"{path} not read ({reason[:160]}) it is damaged") from error
        return np.asarray(part).astype(native, copy=False)

    shape = array.shape if stacked else (1, *array.shape)
    yield Frames(path, "zarr", shape, native, rows_of, dict(array.attrs), stacked)


@contextmanager
def write(target: Path, frames: Frames, dtype: np.dtype, metadata: dict[str, Any]) -> Iterator[Any]:
    """Writer: chunks of some rows, each written once."""
    _, rows, columns = frames.shape
    height = min(rows, CHUNK_ROWS)
    chunks = (1, height, columns) if frames.stacked else (height, columns)
    pack = BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle", typesize=dtype.itemsize)
    array = zarr.create_array(
        target, shape=frames.array_shape, dtype=dtype, chunks=chunks, compressors=[pack, Crc32cCodec()],
        attributes=metadata, zarr_format=3, overwrite=True,
    )  # fmt: skip
    held = np.empty((0, columns), dtype)
    done = 0

    def push(block: np.ndarray) -> None:
        nonlocal held, done
        held = np.concatenate([held, block.astype(dtype, copy=False)])
        while len(held) and len(held) >= min(height, rows - done % rows):
            page, row = divmod(done, rows)
            count = min(height, rows - row)
            place = slice(row, row + count)
            array[(page, place) if frames.stacked else place] = held[:count]
            held, done = held[count:], done + count

    yield push
