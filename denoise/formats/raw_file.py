"""RAW: pixels one after the other behind a header, which is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from denoise.formats.frames import Frames, RawLayout, check_grey
from xsim import ModelError

__all__ = ["read", "write"]


@contextmanager
def read(path: Path, layout: RawLayout) -> Iterator[Frames]:
    """Frames of a RAW file.

    Raises
    ------
    ModelError
        It is missing, or not of that size.
    """
    rows, columns = layout.shape[:2]
    stored = layout.stored
    native = check_grey(path, stored)
    try:
        file = path.open("rb")
        size = path.stat().st_size
    except OSError as error:
        raise ModelError(f"{path} not read ({error.strerror or error}) check the path") from error
    with file:
        asked = layout.header_bytes + layout.pages * rows * columns * stored.itemsize
        if size != asked:
            raise ModelError(
                f"{path} has {size} bytes ({layout.shape} of {stored.name} and a header of {layout.header_bytes} are "
                f"{asked}) check --shape, --dtype and --header-bytes"
            )
        header = file.read(layout.header_bytes)

        def rows_of(page: int, start: int, stop: int) -> np.ndarray:
            file.seek(layout.header_bytes + (page * rows + start) * columns * stored.itemsize)
            found = np.fromfile(file, stored, (stop - start) * columns)
            return found.reshape(-1, columns).astype(native, copy=False)

        stacked = len(layout.shape) == 3
        yield Frames(path, "raw", (layout.pages, rows, columns), native, rows_of, stacked=stacked,
                     origin=(header, stored.byteorder))  # fmt: skip


@contextmanager
def write(target: Path, frames: Frames, dtype: np.dtype, metadata: dict[str, Any]) -> Iterator[Any]:
    """Writer: header and byte order are those of a RAW source, else none and little."""
    header, order = frames.origin if frames.kind == "raw" else (b"", "<")
    stored = dtype.newbyteorder(order)
    with target.open("wb") as file:
        file.write(header)
        yield lambda block: file.write(np.ascontiguousarray(block, stored).data)
