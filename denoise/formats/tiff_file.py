"""TIFF: pages of any byte order, in strips or tiles, compressed or not; written uncompressed, metadata as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from denoise.formats.frames import Frames, check_grey
from xsim import ModelError

__all__ = ["read", "write"]

PHOTOMETRIC = "PhotometricInterpretation"  # of which white may be 0
RESOLUTION = ("XResolution", "YResolution", "ResolutionUnit")
CLASSIC_BYTES = (1 << 32) - (1 << 25)  # above it a TIFF needs offsets of 64 bits


@contextmanager
def read(path: Path) -> Iterator[Frames]:
    """Frames of a TIFF file.

    Raises
    ------
    ModelError
        It is broken, in colour, of 8 bits, or its pages differ.
    """
    with told(path):
        tiff = tifffile.TiffFile(path)
    with tiff:
        with told(path):
            frames = frames_of(path, tiff)
        yield frames


def frames_of(path: Path, tiff: tifffile.TiffFile) -> Frames:
    first, series = tiff.pages.first, tiff.series
    if first.samplesperpixel != 1 or first.photometric == tifffile.PHOTOMETRIC.PALETTE:
        raise ModelError(f"{path} is a picture in colour ({first.samplesperpixel} samples a pixel) give a grey image")
    native = check_grey(path, np.dtype(first.dtype))
    if len(series) > 1 or len({page.shape for page in tiff.pages}) > 1:
        raise ModelError(f"{path} holds images of several sizes or kinds (pages alike needed) give one or a stack")
    rows, columns = series[0].shape[-2:]
    pages = int(np.prod(series[0].shape[:-2]))
    origin = {name: first.tags[name].value for name in (PHOTOMETRIC, *RESOLUTION) if name in first.tags}
    return Frames(
        path, "tiff", (pages, rows, columns), native, reader(path, tiff, native), description(first),
        stacked=pages > 1, origin=origin,
    )  # fmt: skip


def reader(path: Path, tiff: tifffile.TiffFile, native: np.dtype) -> Callable[[int, int, int], np.ndarray]:
    """Reads rows: from their place in the file where they lie one after the other, else strip by strip or tile."""
    series = tiff.series[0]
    rows, columns = series.shape[-2:]
    stored = np.dtype(native).newbyteorder(tiff.byteorder)
    opened: dict[int, Any] = {}

    def rows_of(page: int, start: int, stop: int) -> np.ndarray:
        with told(path):
            offset = offset_of(series, page, rows * columns * stored.itemsize)
            if offset is not None:
                tiff.filehandle.seek(offset + start * columns * stored.itemsize)
                raw = tiff.filehandle.read((stop - start) * columns * stored.itemsize)
                return np.frombuffer(raw, stored).reshape(stop - start, columns).astype(native, copy=False)
            if page not in opened:
                import zarr

                opened.clear()
                opened[page] = zarr.open_array(series.pages[page].aszarr(), mode="r")
            return np.asarray(opened[page][start:stop], native)

    return rows_of


def offset_of(series: Any, page: int, page_bytes: int) -> int | None:
    """Where the first pixel of a page lies; None where they do not lie one after the other."""
    if series.dataoffset is not None:
        return int(series.dataoffset + page * page_bytes)
    found = series.pages[page]
    return int(found.dataoffsets[0]) if found is not None and found.is_memmappable else None


def description(page: Any) -> dict[str, Any]:
    """Metadata that xsim wrote; {} of other programs."""
    try:
        found = json.loads(page.description or "{}")
    except ValueError:
        return {}
    return {k: v for k, v in found.items() if k != "shape"} if isinstance(found, dict) else {}


@contextmanager
def write(target: Path, frames: Frames, dtype: np.dtype, metadata: dict[str, Any]) -> Iterator[Any]:
    """Writer: the file is laid out first, then filled in order."""
    shape = frames.array_shape
    # tifffile takes any JSON with a "shape" in it for its own: so its "shape" comes first
    text = json.dumps({"shape": list(shape), **metadata}, ensure_ascii=True, allow_nan=False)
    size = int(np.prod(shape)) * dtype.itemsize
    units: dict[str, Any] = {}
    origin = frames.origin if frames.kind == "tiff" else {}
    if set(RESOLUTION) <= set(origin):
        across, down, unit = (origin[name] for name in RESOLUTION)
        units = {"resolution": (across, down), "resolutionunit": unit}
    shown = "miniswhite" if origin.get(PHOTOMETRIC) == tifffile.PHOTOMETRIC.MINISWHITE else "minisblack"
    with tifffile.TiffWriter(target, bigtiff=size > CLASSIC_BYTES) as tiff:
        placed = tiff.write(shape=shape, dtype=dtype, photometric=shown, description=text, metadata=None,
                            software="xsim", returnoffset=True, **units)  # fmt: skip
    with target.open("r+b") as file:
        file.seek(placed[0])
        yield lambda block: file.write(np.ascontiguousarray(block, dtype).data)


@contextmanager
def told(path: Path) -> Iterator[None]:
    """What tifffile raises of a file that is cut, altered or compressed by what is not installed, as one line."""
    try:
        yield
    except ModelError:
        raise
    except OSError as error:
        raise ModelError(f"{path} not read ({error.strerror or error}) check the path") from error
    except Exception as error:  # its decoders' own kinds, and zarr's
        reason = " ".join(str(error).split()) or type(error).__name__
        advice = "pip install imagecodecs" if "imagecodecs" in reason else "give a whole TIFF file"
        raise ModelError(f"{path} not read ({reason[:160]}) {advice}") from error
