"""Bodies inserted into files: images in, images with labels, a table and their story out; no input is ever written."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xsim.errors import MeasurementError, OutputError
from xsim.frames import ENDINGS, read_image
from xsim.image_io import check_folder, write_tiff, write_whole
from xsim.insertion import Insertion, insert
from xsim.instance_table import INSTANCE_COLUMNS
from xsim.real_image import Background
from xsim.scene import Scene

__all__ = ["FileInsertion", "image_files", "insert_into_file", "targets_of"]

PARTS = (".tif", ".labels.tif", ".valid.tif", ".transmission.tif", ".instances.csv", ".instances.json")


@dataclass(frozen=True)
class FileInsertion:
    """An image file to put bodies into, and where the results go.

    Attributes
    ----------
    file : Path
        TIFF or npy, one image or frames of one static scene.
    targets : tuple of Path
        As ``targets_of`` names them.
    seed : int
        Of the whole run. A file draws by it and its own content, whatever files are beside it.

    """

    file: Path
    targets: tuple[Path, ...]
    seed: int

    def run(
        self, station: Scene, bodies: Sequence[Mapping[str, Any]], background: Background,
        region: tuple[slice, slice] | None = None, backend: str = "auto",
    ) -> Insertion:  # fmt: skip
        """Insert, write every result whole, and return it."""
        return insert_into_file(self, station, bodies, background, region, backend)


def image_files(inputs: Sequence[Path]) -> list[Path]:
    """Files of the inputs, folders replaced by the TIFF and npy files in them, by name.

    Raises
    ------
    MeasurementError
        A folder without images, or two files of one name.

    """
    found: list[Path] = []
    for path in inputs:
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in ENDINGS) if path.is_dir() else [path]
        if not inside:
            raise MeasurementError(f"{path} holds no images (none ends in {', '.join(ENDINGS)}) name another folder")
        found += inside
    names = [file.stem for file in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise MeasurementError(f"two files are called {twice[0]} (results go by that name) insert into them apart")
    return found


def targets_of(files: Sequence[Path], folder: Path) -> list[tuple[Path, ...]]:
    """Results of each file in a folder, which is made.

    Raises
    ------
    OutputError
        One of them is there already, an input perhaps.

    """
    check_folder(folder)
    targets = [tuple(folder / f"{file.stem}{part}" for part in PARTS) for file in files]
    for path in (path for several in targets for path in several):
        if path.exists():
            raise OutputError(f"{path} is already there (it is left as it is) choose another folder")
    return targets


def seed_of(seed: int, content: bytes) -> int:
    """Seed of a file's own draws, 64 bits of SHA-256."""
    return int.from_bytes(hashlib.sha256(f"{seed} ".encode() + content).digest()[:8], "big")


def insert_into_file(
    job: FileInsertion, station: Scene, bodies: Sequence[Mapping[str, Any]], background: Background,
    region: tuple[slice, slice] | None, backend: str,
) -> Insertion:  # fmt: skip
    """Read, insert, write."""
    pixels, _ = read_image(job.file)
    if pixels.ndim not in (2, 3) or pixels.size == 0 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4)):
        raise MeasurementError(f"{job.file} has shape {pixels.shape} (rows, columns needed) give a grey image")
    content = hashlib.sha256(job.file.read_bytes()).digest()
    own = seed_of(job.seed, content)
    found = insert(pixels, station, bodies, background, seed=own, region=region, backend=backend)
    story = {
        **found.metadata, "seed": job.seed, "file_seed": own, "input": job.file.name, "input_sha256": content.hex(),
        "background": background_told(background), "bodies": found.instances,
    }  # fmt: skip
    images = (found.image, found.labels, found.valid.astype(np.uint8), found.transmission)
    names = ("inserted", "labels", "valid", "transmission")
    for path, image, name in zip(job.targets, images, names, strict=False):
        write_tiff(path, image, {"image": name, **story})
    table, text = job.targets[4:]
    write_whole(table, lambda target: target.write_text(as_csv(found.instances), encoding="utf-8"))
    whole = json.dumps(story, indent=1, allow_nan=False)
    write_whole(text, lambda target: target.write_text(whole, encoding="utf-8"))
    return found


def background_told(background: Background) -> dict[str, Any]:
    """What was said of the background, arrays by their size; JSON-able."""
    told = {k: v for k, v in vars(background).items() if v is not None}
    return {k: f"{np.shape(v)} frames" if isinstance(v, np.ndarray) else v for k, v in told.items()}


def as_csv(instances: Sequence[Mapping[str, Any]]) -> str:
    """The instance table, a line each body; empty where a hidden body has no value."""
    text = io.StringIO()
    writer = csv.DictWriter(text, INSTANCE_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(instances)
    return text.getvalue()
