"""DICOM and DICONDE: 16 bits of one sample a pixel; the result keeps the header and says what it is derived from.

A frame is decoded whole. Grey values are those stored, as the camera gave them, no modality or display table applied:
(a, b) are meant for these.
"""

from __future__ import annotations

import copy
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from denoise.formats.frames import Frames, check_grey
from xsim import ModelError

__all__ = ["read", "write"]

GREY = ("MONOCHROME1", "MONOCHROME2")
REFERENCED_PURPOSE = ("121322", "DCM", "Source image for image processing operation")
DERIVED_IMAGE = ("113091", "DCM", "Noise reduction")


@contextmanager
def read(path: Path) -> Iterator[Frames]:
    """Frames of a DICOM file.

    Raises
    ------
    ModelError
        It is broken, in colour, of 8 bits or of no pixels, or compressed by what is not installed.
    """
    header = header_of(path)
    if not all(name in header for name in ("Rows", "Columns", "BitsAllocated")):
        raise ModelError(f"{path} holds no image (no rows and columns) give one that does")
    if header.get("SamplesPerPixel", 1) != 1 or header.get("PhotometricInterpretation", GREY[1]) not in GREY:
        raise ModelError(f"{path} is a picture in colour ({header.get('PhotometricInterpretation')}) give a grey image")
    signed = header.get("PixelRepresentation", 0) == 1
    native = check_grey(path, np.dtype(f"{'i' if signed else 'u'}{max(header.BitsAllocated // 8, 1)}"))
    bits = int(header.get("BitsStored", header.BitsAllocated)) - (1 if signed else 0)
    kept: dict[int, np.ndarray] = {}

    def rows_of(page: int, start: int, stop: int) -> np.ndarray:
        if page not in kept:
            kept.clear()
            kept[page] = pixels(path, page).astype(native, copy=False)
        return kept[page][start:stop]

    pages = int(header.get("NumberOfFrames") or 1)
    metadata = {"voltage_kv": float(header.KVP)} if header.get("KVP") else {}
    yield Frames(
        path, "dicom", (pages, int(header.Rows), int(header.Columns)), native, rows_of, metadata, stacked=pages > 1,
        largest=(1 << bits) - 1, origin=header,
    )  # fmt: skip


def header_of(path: Path) -> Dataset:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of values that break the standard's rules, which are kept as they are
            return pydicom.dcmread(path, stop_before_pixels=True)
    except OSError as error:
        raise ModelError(f"{path} not read ({error.strerror or error}) check the path") from error
    except Exception as error:  # pydicom's own kinds
        raise ModelError(f"{path} not read ({' '.join(str(error).split())[:160]}) give a DICOM file") from error


def pixels(path: Path, page: int) -> np.ndarray:
    """Stored values of one frame [row, column]."""
    try:
        return np.asarray(pydicom.pixels.pixel_array(path, index=page, raw=True))
    except OSError as error:
        raise ModelError(f"{path} not read ({error.strerror or error}) check the path") from error
    except Exception as error:  # of pydicom and its decoders
        raise ModelError(f"{path} not read ({' '.join(str(error).split())[:200]}) decompress it first") from error


@contextmanager
def write(target: Path, frames: Frames, dtype: np.dtype, metadata: dict[str, Any]) -> Iterator[Any]:
    """Writer of a derived image.

    Raises
    ------
    ModelError
        There is no DICOM header to keep, or pixels that are no whole numbers.
    """
    if frames.kind != "dicom":
        raise ModelError(f"{frames.path} has no DICOM header ({frames.kind}) choose another ending, such as .tif")
    if dtype.kind == "f":
        raise ModelError(f"{frames.path}: DICOM holds no float32 (its images are whole numbers) choose another ending")
    with tempfile.TemporaryFile(dir=target.parent) as body:
        yield lambda block: body.write(np.ascontiguousarray(block, dtype.newbyteorder("<")).data)
        if body.tell() % 2:
            body.write(b"\0")
        body.seek(0, os.SEEK_SET)
        result = derived(frames.origin, metadata)
        result.add_new("PixelData", "OW", body)
        # not save_as, which refuses sources of the other byte order
        pydicom.dcmwrite(target, result, enforce_file_format=True)


def derived(header: Dataset, metadata: dict[str, Any]) -> Dataset:
    """Header of the result: that of the source, but for what says that it is another image and how it was made."""
    result = copy.deepcopy(header)
    made = metadata["restored_by"]
    source = Dataset()
    source.ReferencedSOPClassUID = header.get("SOPClassUID", "")
    source.ReferencedSOPInstanceUID = header.get("SOPInstanceUID", "")
    source.PurposeOfReferenceCodeSequence = [code(*REFERENCED_PURPOSE)]
    result.SourceImageSequence = [source]
    result.DerivationDescription = f"Restored by denoise, {made['method']}, model {made['model']} {made['sha256'][:16]}"
    result.DerivationCodeSequence = [code(*DERIVED_IMAGE)]
    result.ImageType = ["DERIVED", *list(header.get("ImageType", ["ORIGINAL", "PRIMARY"]))[1:]]
    result.SOPInstanceUID = generate_uid()
    result.file_meta.MediaStorageSOPInstanceUID = result.SOPInstanceUID
    result.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for name in ("SmallestImagePixelValue", "LargestImagePixelValue"):
        if name in result:
            delattr(result, name)
    return result


def code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
