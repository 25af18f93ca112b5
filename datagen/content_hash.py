"""The hash of a corpus file's content: what it says, and the files that it names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datagen.problem import shortened
from xsim import CorpusError

__all__ = ["content_hash"]

FOLDER_KEYS = ("clean_images", "images")  # of real images: all their files count
FAMILY_KEYS = ("folder", "texture_from")  # of a family: all files in them count, those of folders below do not
FILE_KEYS = (
    *FOLDER_KEYS,
    *FAMILY_KEYS,
    "dark",
    "flat",
    "focal_spot_image",
    "mesh",
    "preset",
    "spectrum",
    "table",
    "volume",
)
HEADER_BYTES = 1 << 20  # a text header of a volume is shorter


def content_hash(document: dict[str, Any], directory: Path) -> str:
    """Hash of a corpus file, comments and spacing aside, and of the files it names.

    The failure budget is not in it: no sample depends on it, and a job that it stopped shall go on with another.

    Parameters
    ----------
    document : dict
        The file as read.
    directory : Path
        What relative names inside the file start from.

    Raises
    ------
    CorpusError
        A file is there and cannot be read, or no file can have such a name.
    """
    files: dict[str, str] = {}
    for key, name in sorted(set(_named_files(document))):
        if not name.isprintable():
            raise CorpusError(f"{key}: {shortened(name)} is no name of a file (letters that cannot be shown) mend it")
        try:
            for told, where in _files_of(key, name, directory):
                if where.is_file():
                    with where.open("rb") as file:
                        files[told] = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise CorpusError(f"{key}: cannot read {shortened(name)} ({error.strerror}) check its name") from None
    header = {key: value for key, value in document.get("corpus", {}).items() if key != "failure_budget"}
    content = {"document": document | {"corpus": header}, "files": files}
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def _named_files(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Key and name of every file; a name may be one of several to choose from."""
    if isinstance(value, str) and key:
        if value:
            yield key, value
    elif isinstance(value, dict):
        for below, item in value.items():
            yield from _named_files(item, key or (below if below in FILE_KEYS else ""))
    elif isinstance(value, list):
        for item in value:
            yield from _named_files(item, key)


def _files_of(key: str, name: str, directory: Path) -> Iterator[tuple[str, Path]]:
    """The files that a name stands for: itself, all of a volume's folder, the data beside a volume's header."""
    where = directory / name
    yield name, where
    if key in FAMILY_KEYS and where.is_dir():
        own = sorted(where.iterdir())
        own += [file for each in own if each.name.lower().endswith(".zarr") for file in sorted(each.rglob("*"))]
        yield from ((f"{name}/{file.relative_to(where).as_posix()}", file) for file in own)
    elif key in FOLDER_KEYS:
        yield from ((f"{name}/{file.relative_to(where).as_posix()}", file) for file in sorted(where.rglob("*")))
    if key != "volume":
        return
    if where.is_dir():
        for file in sorted(where.rglob("*") if name.lower().endswith(".zarr") else where.glob("*.[tT][iI][fF]*")):
            yield f"{name}/{file.relative_to(where).as_posix()}", file
    elif name.lower().endswith((".mhd", ".mha")) and where.is_file():
        for beside in _data_files(where):
            yield f"{name}/{beside}", where.parent / beside


def _data_files(header: Path) -> list[str]:
    """Names after ``ElementDataFile`` of a MetaImage header."""
    with header.open("rb") as file:
        lines = file.read(HEADER_BYTES).decode("utf-8", "replace").splitlines()
    for number, line in enumerate(lines):
        key, _, value = line.partition("=")
        if key.strip() == "ElementDataFile":
            value = value.strip()
            listed = [each.strip() for each in lines[number + 1 :]] if value.startswith("LIST") else [value]
            return [name for name in listed if name and name != "LOCAL"]
    return []
