"""Image files that a restorer reads and writes some rows at a time: TIFF, RAW, DICOM and DICONDE, zarr, corpora.

A format is a module with a reader, which gives `Frames`, and a writer, a context manager that takes rows in order. What
a file is, its content tells; of RAW, which tells nothing, the user does (`RawLayout`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from denoise.formats.frames import Frames, RawLayout
from xsim import ModelError

__all__ = ["ENDINGS", "Frames", "RawLayout", "kind_of", "open_frames", "writer"]

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
DICOM_AT, DICOM = 128, b"DICM"
ENDINGS = {
    ".tif": "tiff", ".tiff": "tiff", ".dcm": "dicom", ".dicom": "dicom", ".zarr": "zarr",
    ".raw": "raw", ".bin": "raw", ".img": "raw", ".dat": "raw",
}  # fmt: skip
HOMES = {
    "tiff": "tiff_file",
    "raw": "raw_file",
    "dicom": "dicom_file",
    "zarr": "zarr_array",
    "corpus": "corpus_format",
}

Write = Callable[[np.ndarray], None]


def kind_of(path: Path) -> str | None:
    """tiff, dicom, zarr or corpus; None of anything else, and of what cannot be read."""
    if path.is_dir() or (path.parent / "zarr.json").is_file():
        zarr_array = import_module("denoise.formats.zarr_array")
        found: str | None = zarr_array.kind_of(path)
        return found
    try:
        with path.open("rb") as file:
            start = file.read(DICOM_AT + len(DICOM))
    except OSError:
        return None
    if start[:4] in TIFF:
        return "tiff"
    return "dicom" if start[DICOM_AT:] == DICOM else None


def open_frames(path: Path, layout: RawLayout | None = None, image: str = "noisy") -> AbstractContextManager[Frames]:
    """Frames of a file.

    Parameters
    ----------
    path : Path
    layout : RawLayout, optional
        Of a RAW file; without it the file is none.
    image : str
        Which of a corpus's images; other files hold one kind.

    Raises
    ------
    ModelError
        The file is missing, broken, or of no known format.
    """
    kind = "raw" if layout is not None else kind_of(path)
    if kind is None:
        if not path.exists():
            raise ModelError(f"{path} not read (no such file) check the path")
        raise ModelError(f"{path} not read (no TIFF, DICOM or zarr array) give --shape and --dtype if it is RAW")
    module = import_module(f"denoise.formats.{HOMES[kind]}")
    more = {"raw": (layout,), "corpus": (image,)}.get(kind, ())
    opened: AbstractContextManager[Frames] = module.read(path, *more)
    return opened


def writer(
    target: Path, named: Path, frames: Frames, dtype: np.dtype, metadata: dict[str, Any]
) -> AbstractContextManager[Write]:
    """Writer of restored frames; it takes blocks [row, column] in order, page after page.

    Parameters
    ----------
    target : Path
        File that is written.
    named : Path
        Name that it will have: its ending says the format. Without one it is that of the source.
    frames : Frames
        What is restored.
    dtype : dtype
        Of the result.
    metadata : dict
        Of the result, JSON-able.

    Raises
    ------
    ModelError
        An unknown ending, or a format that cannot hold this.
    """
    module = import_module(f"denoise.formats.{HOMES[written_as(named, frames)]}")
    opened: AbstractContextManager[Write] = module.write(target, frames, dtype, metadata)
    return opened


def written_as(named: Path, frames: Frames) -> str:
    """Format of a result of this name.

    Raises
    ------
    ModelError
        An unknown ending.
    """
    ending = named.suffix.lower()
    if ending in ENDINGS:
        return ENDINGS[ending]
    if frames.kind == "corpus" or (ending and frames.kind != "raw"):
        raise ModelError(f"{named} has no known ending (known: {' '.join(ENDINGS)}) choose one")
    return frames.kind
