"""Frames of an image file, of which some rows are read at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from xsim import ModelError

__all__ = ["Frames", "RawLayout", "check_grey"]

BYTE_ORDERS = {"little": "<", "big": ">"}


@dataclass(frozen=True)
class RawLayout:
    """How the pixels of a RAW file lie.

    Attributes
    ----------
    shape : tuple of int
        Rows, columns, and pages if there are several, which follow each other.
    dtype : str
        Of NumPy: uint16, int16, float32.
    header_bytes : int
        Before the first pixel; they are kept.
    byte_order : str
        little or big.
    """

    shape: tuple[int, ...]
    dtype: str = "uint16"
    header_bytes: int = 0
    byte_order: str = "little"

    def __post_init__(self) -> None:
        if len(self.shape) not in (2, 3) or min(self.shape) < 1:
            raise ModelError(f"shape {self.shape} (rows, columns, and pages if several) give it like 2048,1024")
        if self.header_bytes < 0:
            raise ModelError(f"a header of {self.header_bytes} bytes (must not be negative) give --header-bytes")
        if self.byte_order not in BYTE_ORDERS:
            raise ModelError(f"byte order {self.byte_order!r} is unknown (known: {', '.join(BYTE_ORDERS)})")
        self.stored  # noqa: B018 (raises of what is none)

    @property
    def stored(self) -> np.dtype:
        """Type of a pixel as it lies in the file."""
        try:
            found = np.dtype(self.dtype)
        except TypeError:
            raise ModelError(f"dtype {self.dtype!r} is unknown (as NumPy names it) give uint16") from None
        return found if self.dtype[:1] in BYTE_ORDERS.values() else found.newbyteorder(BYTE_ORDERS[self.byte_order])

    @property
    def pages(self) -> int:
        """Number of images."""
        return self.shape[2] if len(self.shape) == 3 else 1


@dataclass(frozen=True)
class Frames:
    """Grey images of one size in a file.

    Attributes
    ----------
    path : Path
    kind : str
        Format: tiff, raw, dicom, zarr or corpus.
    shape : (int, int, int)
        Pages, rows, columns.
    dtype : dtype
        uint16, int16 or float32, in the machine's byte order.
    rows : (page, start, stop) -> [row, column]
    metadata : dict
        What the file tells of all its pages.
    stacked : bool
        Whether pages are an axis of the file's array.
    page_facts : page -> mapping
        What it tells of one page beside that.
    largest : int, optional
        Greatest value of a whole-numbered pixel, where it is less than its type's.
    origin : object
        What the writer of this format takes over.
    """

    path: Path
    kind: str
    shape: tuple[int, int, int]
    dtype: np.dtype
    rows: Callable[[int, int, int], np.ndarray]
    metadata: dict[str, Any] = field(default_factory=dict)
    stacked: bool = False
    page_facts: Callable[[int], Mapping[str, Any]] = field(default=lambda page: {})
    largest: int | None = None
    origin: Any = None

    @property
    def array_shape(self) -> tuple[int, ...]:
        """Shape of the file's array."""
        return self.shape if self.stacked else self.shape[1:]


def check_grey(path: Path, dtype: np.dtype) -> np.dtype:
    """Type of the pixels in the machine's byte order, or refuse them.

    Raises
    ------
    ModelError
        8 bits, or no grey values.
    """
    native = dtype.newbyteorder("=")
    if native in (np.uint8, np.int8):
        raise ModelError(f"{path} is an 8-bit image ({native}; grey values were lost) give the camera's 16 bits")
    if native not in (np.uint16, np.int16, np.float32):
        raise ModelError(f"{path} is no 16-bit grey image ({native}; uint16, int16 or float32 needed) give a frame")
    return native
