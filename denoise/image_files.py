"""A trained model at work on files: frames come and go some rows at a time, and a result appears whole or not."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import xsim
from denoise.conditions import level_of, sample_conditions
from denoise.formats import Frames, RawLayout, kind_of, open_frames, writer, written_as
from denoise.frame_noise import Noise, Told, facts_of
from denoise.new_file import check_new
from denoise.restorer import LOOKED_AT_PX, Restorer, load
from denoise.stream import Stream
from xsim import ModelError, OutputError

__all__ = ["apply", "restore_file"]


def apply(
    model: str | os.PathLike[str],
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    target: str | os.PathLike[str],
    *,
    a_pixel_adu: Any = None,
    b_adu2: Any = None,
    noise: str | os.PathLike[str] | None = None,
    state: str | None = None,
    layout: RawLayout | None = None,
    float32: bool = False,
    overwrite: bool = False,
    device: str = "auto",
) -> Path:
    """Restore the frames of image files: TIFF, RAW, DICOM, zarr, every page of them.

    Parameters
    ----------
    model : path
    source : path, or several
        A file, a folder of files, a pattern such as ``scans/*.tif``, a zarr array, a corpus or one of its formats.
    target : path
        The restored file, in the format that its ending names; a folder, where the source is several files.
    a_pixel_adu, b_adu2 : float, array or path, optional
        Noise of frames whose metadata doesn't tell it, or tells it wrong: one each, per column or per pixel.
    noise : path, optional
        Likewise, a file of ``xsim characterize`` or of arrays (`denoise.frame_noise.read_noise`).
    state : str, optional
        Likewise their state.
    layout : RawLayout, optional
        Of RAW files.
    float32 : bool
        Whether results are float32 [ADU], not rounded to the source's whole numbers.
    overwrite : bool
        Whether files may be replaced.
    device : str

    Returns
    -------
    Path of the restored file, or of the folder

    Raises
    ------
    ModelError, OutputError
        A file that is no frame of a camera or cannot be read or written; see `Restorer` too. Of several files all are
        looked at before the first is restored.
    """
    out = Path(target)
    files = files_of(source, layout)
    told = Told.of(a_pixel_adu, b_adu2, noise, state)
    with no_folder_left(out):
        targets = targets_of(files, out, source)
        for each in targets:
            check_target(each, overwrite)
        restorer = load(model, device)
        image = restorer.method.source
        for file, each in zip(files, targets, strict=True):
            with open_frames(file, layout, image) as frames:
                check_frames(frames, each, restorer, told)
        for file, each in zip(files, targets, strict=True):
            with open_frames(file, layout, image) as frames:
                restore_file(restorer, frames, each, told, float32)
    return out


@contextmanager
def no_folder_left(out: Path) -> Iterator[None]:
    """Without a new folder for results of which none came to be."""
    is_new = not out.exists()
    try:
        yield
    except BaseException:
        if is_new and out.is_dir() and not any(out.iterdir()):
            out.rmdir()
        raise


def files_of(source: Any, layout: RawLayout | None) -> list[Path]:
    """Files that are meant.

    Raises
    ------
    ModelError
        There are none.
    """
    given = [Path(source)] if isinstance(source, (str, os.PathLike)) else [Path(each) for each in source]
    found: list[Path] = []
    for path in given:
        if not path.exists() and any(mark in path.name for mark in "*?["):
            found += sorted(path.parent.glob(path.name))
        elif path.is_dir() and kind_of(path) is None:
            inside = sorted(each for each in path.iterdir() if not each.name.startswith("."))
            found += [each for each in inside if (each.is_file() if layout is not None else kind_of(each))]
        else:
            found.append(path)
    if not found:
        raise ModelError(f"no images in {', '.join(map(str, given))} (TIFF, DICOM, zarr; RAW with --shape) name some")
    return found


def targets_of(files: Sequence[Path], out: Path, source: Any) -> list[Path]:
    """A result for each file: ``out`` itself for one that was named, else of the file's name in the folder ``out``."""
    if len(files) == 1 and isinstance(source, (str, os.PathLike)) and files[0] == Path(source):
        return [out]
    if len({file.name for file in files}) < len(files):
        raise ModelError("two images have one name (results would have too) restore them one folder at a time")
    xsim.check_folder(out)
    return [out / file.name for file in files]


def check_target(target: Path, overwrite: bool) -> None:
    """Refuse a result that would replace what must not be.

    Raises
    ------
    OutputError
        There is something, or no such folder.
    """
    if not target.is_dir() or target.suffix.lower() != ".zarr":
        check_new(target, overwrite)
    elif not overwrite:
        raise OutputError(f"{target} is there already (it is left as it is) choose another name, or --force")
    elif kind_of(target) != "zarr":
        raise OutputError(f"{target} cannot be replaced (it is no zarr array but a folder) choose another name")


def check_frames(frames: Frames, target: Path, restorer: Restorer, told: Told) -> None:
    """Refuse what is no noisy frame that this model can restore, or cannot be written so.

    Raises
    ------
    ModelError
        Why not.
    """
    written_as(target, frames)
    kind = frames.metadata.get("image", "noisy")
    if kind not in (("noisy", "decorrelated") if restorer.method.white else ("noisy",)):
        raise ModelError(f"{frames.path} is not a noisy frame (its metadata says {kind!r}) give the camera's frame")
    for page in range(frames.shape[0]):
        _, state = facts_of(frames, page, told)
        restorer.check_state(state)
        if frames.kind != "corpus":
            return  # its pages are alike


def restore_file(restorer: Restorer, frames: Frames, target: Path, told: Told, float32: bool = False) -> None:
    """Restore every page of a file into another, which appears whole or not at all."""
    check_frames(frames, target, restorer, told)
    dtype = np.dtype(np.float32) if float32 else frames.dtype
    noise, state = facts_of(frames, 0, told)
    metadata = restored_metadata(frames, restorer, noise, state)
    warn_of_conditions(restorer, frames)
    levels: list[float] = []

    def save(temporary: Path) -> None:
        with writer(temporary, target, frames, dtype, metadata) as write:
            for page in range(frames.shape[0]):
                # only samples of a corpus have noise of their own
                own = facts_of(frames, page, told)[0] if frames.kind == "corpus" else noise
                for block in restored_blocks(restorer, frames, page, own, levels):
                    write(as_stored(block, dtype, frames.largest))

    if written_as(target, frames) == "zarr":
        write_whole_folder(target, save)
    else:
        xsim.write_whole(target, save)
    for level in {min(levels), max(levels)}:
        restorer.warn_outside({"level": level})


def warn_of_conditions(restorer: Restorer, frames: Frames) -> None:
    """Warn of what files tell that is outside the range of training: of a corpus the least and the greatest."""
    pages = range(frames.shape[0] if frames.kind == "corpus" else 1)
    told = [sample_conditions({**frames.metadata, **frames.page_facts(page)}) for page in pages]
    for name in told[0]:
        values = [each[name] for each in told if name in each]
        for value in sorted({min(values), max(values)}):
            restorer.warn_outside({name: value})


def restored_blocks(
    restorer: Restorer, frames: Frames, page: int, noise: Noise, levels: list[float]
) -> Iterator[np.ndarray]:
    """Restored rows of a page in order, float32 [row, column] ADU; how bright it is joins ``levels``."""
    _, rows, columns = frames.shape
    step = max(1, rows * columns // LOOKED_AT_PX)
    seen: list[tuple[np.ndarray, ...]] = []
    whole = restorer.reach is None
    stream = None if whole else Stream(restorer, columns)
    height = rows if stream is None else stream.grid.lines * (os.cpu_count() or 1)
    for start in range(0, rows, height):
        stop = min(start + height, rows)
        noisy = frames.rows(page, start, stop).astype(np.float32)
        if not np.isfinite(noisy).all():
            raise ModelError(f"{frames.path} holds pixels that are no numbers (nan or infinite) mend or cut them")
        a, b = (np.broadcast_to(each, noisy.shape) for each in noise.rows(start, stop))
        first = -start % step
        seen.append(
            tuple(np.array(each[first::step], np.float32) for each in (noisy, a, b))
        )  # no views: all would stay
        yield restorer.restore(noisy, a, b, restorer.anchor_px) if stream is None else stream.push(noisy, a, b)
    if stream is not None:
        yield stream.flush()
    levels.append(level_of(*(np.concatenate(parts) for parts in zip(*seen, strict=True))))


def as_stored(block: np.ndarray, dtype: np.dtype, largest: int | None) -> np.ndarray:
    """Restored pixels as the file has them: rounded to what it can hold."""
    if dtype.kind == "f":
        return block.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(block), limits.min, limits.max if largest is None else largest).astype(dtype)


def restored_metadata(frames: Frames, restorer: Restorer, noise: Noise, state: str) -> dict[str, Any]:
    """Metadata of the result; its noise is no longer a x + b, so that is told of the source only."""
    kept = {k: v for k, v in frames.metadata.items() if k not in ("a_pixel_adu", "b_adu2", "mean_adu")}
    made = {"model": restorer.name, "sha256": restorer.sha256, "method": restorer.method_name}
    told = {} if frames.kind == "corpus" else {"source_noise": noise.describe()}
    return {**kept, "image": "restored", "state": state, "restored_by": made, **told}


def write_whole_folder(path: Path, write: Any) -> None:
    """``xsim.write_whole`` for a format that is a folder."""
    try:
        work = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            fresh, old = work / "new.zarr", work / "old.zarr"
            write(fresh)
            if path.exists():
                path.rename(old)
            fresh.rename(path)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise OutputError(f"{path} not written ({error.strerror or error}) choose another folder") from error
