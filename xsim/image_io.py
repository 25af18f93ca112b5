"""TIFF files with their metadata, and a PNG to look at. Every file appears whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from xsim.errors import OutputError
from xsim.radiograph import Radiograph

__all__ = ["display", "read_tiff", "write_png", "write_radiograph", "write_tiff"]


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside the target, then rename: a reader never sees half a file.

    Raises
    ------
    OutputError
        The folder is missing, full or read-only.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(handle)
        try:
            write(Path(name))
            mask = os.umask(0)
            os.umask(mask)
            Path(name).chmod(0o666 & ~mask)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path} not written ({error.strerror or error}) choose another folder") from error


def write_tiff(path: str | Path, image: np.ndarray, metadata: dict[str, Any] | None = None) -> None:
    """One image [row, column] (uint8, uint16 or float32) with metadata as JSON in its description."""
    text = json.dumps(metadata or {}, ensure_ascii=True, allow_nan=False)

    def write(target: Path) -> None:
        tifffile.imwrite(
            target, image, description=text, metadata=None, photometric="minisblack", software="xsim",
            compression="zlib" if image.dtype.itemsize < 2 else None,
        )  # fmt: skip

    write_whole(Path(path), write)


def read_tiff(path: str | Path) -> tuple[np.ndarray, dict[str, Any]]:
    """Image of a TIFF and the metadata in its description; {} where that is not ours.

    Returns
    -------
    image : array as stored, [row, column] or [page, row, column]
    metadata : dict

    Raises
    ------
    OutputError
        The file is missing or no TIFF.
    """
    try:
        with tifffile.TiffFile(path) as tiff:
            image = tiff.asarray()
            description = tiff.pages.first.tags.get("ImageDescription")
    except OSError as error:
        raise OutputError(f"{path} not read ({error.strerror or error}) check the path") from error
    except (tifffile.TiffFileError, ValueError) as error:
        raise OutputError(f"{path} not read ({' '.join(str(error).split())}) give a TIFF file") from error
    try:
        metadata = json.loads(description.value) if description else {}
    except ValueError:
        metadata = {}
    return image, metadata if isinstance(metadata, dict) else {}


def display(image: np.ndarray, low_percent: float = 0.5, high_percent: float = 99.5) -> np.ndarray:
    """8-bit picture of an image as an inspector windows it: logarithmic, from percentile to percentile.

    Returns
    -------
    uint8 [row, column]; bright is much radiation.
    """
    level = np.log(np.maximum(image.astype(np.float64) - min(0.0, float(image.min())), 1.0))
    low, high = np.percentile(level, [low_percent, high_percent])
    scaled = (level - low) / max(high - low, 1e-9)
    return (255 * np.clip(scaled, 0, 1)).astype(np.uint8)


def write_png(path: str | Path, picture: np.ndarray) -> None:
    """Write an 8-bit grey [row, column] or colour [row, column, 3] picture."""
    from PIL import Image

    write_whole(Path(path), lambda target: Image.fromarray(picture).save(target, format="PNG"))


def write_radiograph(folder: Path, image: Radiograph, toml: str | None = None) -> list[Path]:
    """Write every image of a radiograph into a folder, and ``preview.png``.

    noisy.tif is uint16 for a camera and float32 for the ideal response; clean, noise and expected are float32,
    labels uint16, valid uint8. Each TIFF carries the whole scene and seed.

    Returns
    -------
    list of the files written
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} not made ({error.strerror or error}) choose another folder") from error
    camera = image.metadata.get("adc_bits") is not None
    images = {
        "noisy": image.noisy.astype(np.uint16) if camera else image.noisy,
        "clean": image.clean,
        "noise": image.noise,
        "expected": image.expected,
        "labels": image.labels,
        "valid": image.valid.astype(np.uint8),
    }
    for name, pixels in images.items():
        write_tiff(folder / f"{name}.tif", pixels, {"image": name, **image.metadata})
    shown = image.noisy - np.float32(image.metadata["offset_adu"])
    write_png(folder / "preview.png", display(shown))
    written = [folder / f"{name}.tif" for name in images] + [folder / "preview.png"]
    if toml is not None:
        write_whole(folder / "scene.toml", lambda target: target.write_text(toml, encoding="utf-8"))
        written.append(folder / "scene.toml")
    return written
