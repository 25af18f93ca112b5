"""Lines through a pipe: RAW in, RAW out, as they come."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from denoise.conditions import level_of
from denoise.formats import RawLayout
from denoise.formats.frames import check_grey
from denoise.frame_noise import Told
from denoise.image_files import as_stored
from denoise.restorer import Restorer
from denoise.stream import Stream
from xsim import ModelError

__all__ = ["LineFormat", "pipe"]

NAME = Path("stdin")


@dataclass(frozen=True)
class LineFormat:
    """How lines lie in a stream of bytes: as the pixels of a RAW file, of which the header is passed on."""

    columns: int
    dtype: str = "uint16"
    header_bytes: int = 0
    byte_order: str = "little"
    float32: bool = False

    @property
    def stored(self) -> np.dtype:
        """Type of a pixel that comes in."""
        return RawLayout((1, self.columns), self.dtype, self.header_bytes, self.byte_order).stored

    @property
    def given(self) -> np.dtype:
        """Type of a pixel that goes out."""
        return np.dtype(np.float32).newbyteorder(self.stored.byteorder) if self.float32 else self.stored


def pipe(
    restorer: Restorer, told: Told, layout: LineFormat, source: BinaryIO, target: BinaryIO, block_lines: int
) -> None:
    """Restore lines from ``source`` to ``target`` until it ends; each goes out as soon as it is final.

    Raises
    ------
    ModelError
        Noise or state are not told or do not fit, pixels are no numbers, or the bytes end within a line.
    """
    native = check_grey(NAME, layout.stored)
    if told.noise is None or told.state is None:
        raise ModelError("a stream of lines tells neither its noise nor its state (it has no header) give both")
    told.noise.check(NAME, 0, layout.columns)
    a, b = told.noise.a, told.noise.b
    stream = Stream(restorer, layout.columns, a, b, block_lines, told.state)
    line_bytes = layout.columns * layout.stored.itemsize
    header = source.read(layout.header_bytes)
    if len(header) < layout.header_bytes:
        raise ModelError(f"stdin ended within the header ({len(header)} bytes of it) check --header-bytes")
    target.write(header)
    rest, warned = b"", False
    while part := source.read1(stream.grid.lines * line_bytes):  # type: ignore[attr-defined]
        rest += part
        count = len(rest) // line_bytes
        if count == 0:
            continue
        lines = np.frombuffer(rest, layout.stored, count * layout.columns).reshape(count, layout.columns)
        if not warned:
            level = level_of(lines.astype(np.float32), a, b)
            warned = restorer.warn_outside({"level": level})
        put(stream.push(lines.astype(native)), layout, target)
        rest = rest[count * line_bytes :]
    put(stream.flush(), layout, target)
    if rest:
        raise ModelError(f"stdin ended within a line ({len(rest)} bytes are left over) check --shape and --dtype")


def put(lines: np.ndarray, layout: LineFormat, target: BinaryIO) -> None:
    """Write lines out at once, if there are any."""
    if len(lines):
        target.write(as_stored(lines, layout.given, None).tobytes())
        target.flush()
