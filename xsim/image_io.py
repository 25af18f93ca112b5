"""TIFF files with their metadata, and a PNG to look at. Every file appears whole or not at all."""

from __future__ import annotations

import json
import os
import struct
import tempfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from xsim.errors import OutputError
from xsim.radiograph import Radiograph

__all__ = [
    "check_folder",
    "display",
    "file_names",
    "read_tiff",
    "write_png",
    "write_radiograph",
    "write_tiff",
]

BROKEN = (ValueError, LookupError, struct.error, zlib.error)  # what tifffile raises of a file that is cut or altered


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
    # tifffile takes any JSON with a "shape" in it, such as a body's, for its own: so its "shape" comes first
    text = json.dumps({"shape": list(image.shape), **(metadata or {})}, ensure_ascii=True, allow_nan=False)

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
            pages = [page.asarray() for page in tiff.pages]
            description = tiff.pages.first.tags.get("ImageDescription")
    except OSError as error:
        raise OutputError(f"{path} not read ({error.strerror or error}) check the path") from error
    except (tifffile.TiffFileError, *BROKEN) as error:
        raise OutputError(f"{path} not read ({' '.join(str(error).split())}) give a TIFF file") from error
    if any(page.shape != pages[0].shape for page in pages):
        raise OutputError(f"{path} not read (its pages differ in size) give one image or a stack")
    image = pages[0] if len(pages) == 1 else np.stack(pages)
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
    return np.asarray(255 * np.clip(scaled, 0, 1), np.uint8)


def write_png(path: str | Path, picture: np.ndarray) -> None:
    """Write an 8-bit grey [row, column] or colour [row, column, 3] picture."""
    from PIL import Image

    write_whole(Path(path), lambda target: Image.fromarray(picture).save(target, format="PNG"))


def check_folder(folder: Path) -> None:
    """Make a folder for results, or say why that cannot be, before the work is done.

    Raises
    ------
    OutputError
        It cannot be made or written to.

    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"{folder} not writable ({error.strerror or error}) choose another folder") from error


def file_names() -> list[str]:
    """Files that ``write_radiograph`` writes."""
    return [
        "noisy.tif",
        "clean.tif",
        "noise.tif",
        "expected.tif",
        "labels.tif",
        "valid.tif",
        "preview.png",
    ]


def write_radiograph(
    folder: Path, image: Radiograph, toml: str | None = None, frames: Sequence[Radiograph] = ()
) -> list[Path]:
    """Write every image of a radiograph into a folder, and ``preview.png``.

    noisy.tif is uint16 for a camera and float32 for the ideal response; clean, noise and expected are float32,
    labels uint16, valid uint8. Each TIFF carries the whole scene and seed. The other image of dual energy goes into the
    folder ``second`` in it.

    Parameters
    ----------
    folder : Path
    image : Radiograph
    toml : str, optional
        Text of the scene file, kept beside the images.
    frames : sequence of Radiograph, optional
        Frames of the same scene: noisy, noise and valid become stacks [frame, row, column].

    Returns
    -------
    list of the files written

    """
    check_folder(folder)
    camera = image.metadata.get("adc_bits") is not None
    many = list(frames) if len(frames) > 1 else []
    stack = {k: np.stack([getattr(f, k) for f in many or [image]]) for k in ("noisy", "noise", "valid")}
    stack = stack if many else {k: v[0] for k, v in stack.items()}
    images = {
        "noisy": stack["noisy"].astype(np.uint16) if camera else stack["noisy"],
        "clean": image.clean,
        "noise": stack["noise"],
        "expected": image.expected,
        "labels": image.labels,
        "valid": stack["valid"].astype(np.uint8),
    }
    for name, pixels in images.items():
        write_tiff(folder / f"{name}.tif", pixels, {"image": name, **image.metadata})
    shown = image.noisy - np.float32(image.metadata["offset_adu"])
    write_png(folder / "preview.png", display(shown))
    if toml is not None:
        write_whole(folder / "scene.toml", lambda target: target.write_text(toml, encoding="utf-8"))
    written = [folder / name for name in file_names()]
    if image.second is None:
        return written
    others = [f.second for f in frames if f.second is not None]
    return written + write_radiograph(folder / "second", image.second, None, others)
