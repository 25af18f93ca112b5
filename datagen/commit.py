"""Commit records: a shard exists when its record does.

A record is the attributes of the zarr group ``commits/NNNNNN``, so that plain zarr lists and reads them. It is written
last, to a temporary file, brought to the disk and renamed; it holds the sha256 of every file of its shard, of the
descriptions these are read by, and of itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from datagen.detector_format import COMMITS
from datagen.layout import Shard
from datagen.store import metadata_files, sync
from xsim import CorpusError

__all__ = ["damage", "forget", "read_commit", "read_commits", "versions", "write_commit"]

PACKAGES = ("xsim", "numpy", "zarr", "numcodecs")


def versions() -> dict[str, str]:
    """What made a shard."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def commit_path(out: Path, number: int) -> Path:
    """File of a shard's record."""
    return out / COMMITS / f"{number:06d}" / "zarr.json"


def write_commit(out: Path, shard: Shard, facts: dict[str, Any]) -> dict[str, Any]:
    """Commit a shard whose files are written.

    Parameters
    ----------
    out : Path
    shard : Shard
    facts : dict
        What else the record shall say; JSON-able.

    Returns
    -------
    dict
        The record.
    """
    folders = set()
    files = {}
    for name in shard.files:
        sync(out / name)
        folders.add((out / name).parent)
        files[name] = {"sha256": _sha256(out / name), "bytes": (out / name).stat().st_size}
    for folder in folders:
        sync(folder)
    record: dict[str, Any] = {
        "shard": shard.number,
        "format": shard.format.name,
        "first": shard.first,
        "samples": shard.count,
        **facts,
        "versions": versions(),
        "files": files,
        "metadata": {name: _sha256(out / name) for name in metadata_files(shard)},
    }
    record["record_sha256"] = _self_hash(record)
    path = commit_path(out, shard.number)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name("zarr.json.partial")
    with draft.open("w") as file:
        json.dump({"zarr_format": 3, "node_type": "group", "attributes": record}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync(path.parent)
    sync(path.parent.parent)
    return record


def read_commit(out: Path, number: int) -> dict[str, Any] | None:
    """Record of a shard, None where there is none.

    Raises
    ------
    CorpusError
        Where the record is not as it was written.
    """
    path = commit_path(out, number)
    try:
        record = json.loads(path.read_text())["attributes"]
        intact = record["record_sha256"] == _self_hash(record) and record["shard"] == number
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        intact = False
    if not intact:
        raise CorpusError(f"{path} is damaged (not as it was written) generate the corpus again to mend shard {number}")
    return dict(record)


def read_commits(out: Path) -> Iterator[dict[str, Any]]:
    """Records of all committed shards, in order.

    Raises
    ------
    CorpusError
        Where one is damaged.
    """
    numbers = sorted(int(each.name) for each in (out / COMMITS).iterdir() if each.is_dir() and each.name.isdigit())
    for number in numbers:
        record = read_commit(out, number)
        if record is not None:
            yield record


def damage(out: Path, record: dict[str, Any], contents: bool = False) -> str | None:
    """First thing wrong with a committed shard, None if nothing is.

    Parameters
    ----------
    out : Path
    record : dict
    contents : bool
        Whether to read every file, not only its size; descriptions are read always.
    """
    for name, facts in record["files"].items():
        try:
            size = (out / name).stat().st_size
        except OSError:
            return f"{name} is missing"
        if size != facts["bytes"]:
            return f"{name} has {size} bytes of {facts['bytes']}"
        if contents and _sha256(out / name) != facts["sha256"]:
            return f"{name} is not as it was written"
    for name, digest in record["metadata"].items():
        try:
            same = _sha256(out / name) == digest
        except OSError:
            return f"{name} is missing"
        if not same:
            return f"{name} is not as it was written"
    return None


def forget(out: Path, shard: Shard) -> None:
    """Take back a shard: its record first, then its files and what interrupted writes left beside them."""
    commit_path(out, shard.number).unlink(missing_ok=True)
    for name in shard.files:
        path = out / name
        path.unlink(missing_ok=True)
        for left in path.parent.glob("*.partial") if path.parent.is_dir() else ():
            # a table's folder is shared by all shards: only this shard's own leavings
            if left.name.split(".")[0] == path.name:
                left.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _self_hash(record: dict[str, Any]) -> str:
    rest = {key: value for key, value in record.items() if key != "record_sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
