"""Commit records: a shard exists when its record does.

A record is the attributes of the zarr group ``commits/NNNNNN``, so that plain zarr lists and reads them. It is written
last; it holds the sha256 of every file of its shard, of the descriptions these are read by (the root's and those of the
groups among them), and of itself.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from datagen.detector_format import COMMITS
from datagen.layout import Shard
from datagen.place import Place, Where, open_place
from datagen.root import ROOT, DamagedError, out_of_reach, read_root
from datagen.seal import digest_of, read_group, render, seal, sealed

__all__ = [
    "commit_key",
    "commit_numbers",
    "damage",
    "forget",
    "read_commit",
    "read_commits",
    "uncommit",
    "versions",
    "write_commit",
]

PACKAGES = ("xsim", "numpy", "zarr", "numcodecs")
SEAL = "record_sha256"


def versions() -> dict[str, str]:
    """What made a shard."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def commit_key(number: int) -> str:
    """File of a shard's record, by its name in the store."""
    return f"{COMMITS}/{number:06d}/{ROOT}"


def commit_path(out: str | os.PathLike[str], number: int) -> Path:
    """File of a shard's record, of a store in a folder."""
    return Path(out) / commit_key(number)


def write_commit(
    out: Where,
    shard: Shard,
    facts: dict[str, Any],
    files: Iterable[tuple[str, bytes | memoryview]],
    descriptions: Mapping[str, bytes],
) -> dict[str, Any]:
    """Write the files of a shard, then commit it.

    Parameters
    ----------
    out : path or URL
    shard : Shard
    facts : dict
        What else the record shall say; JSON-able.
    files : iterable of (str, bytes)
        Names in the store and contents.
    descriptions : mapping of str to bytes
        What the files are read by.

    Returns
    -------
    dict
        The record.
    """
    place = open_place(out)
    told = {}
    for name, content in files:
        told[name] = {"sha256": digest_of(content), "bytes": len(content)}
        place.write(name, content)
    record = {
        "shard": shard.number,
        "format": shard.format.name,
        "first": shard.first,
        "samples": shard.count,
        **facts,
        "versions": versions(),
        "files": told,
        "metadata": {name: digest_of(content) for name, content in descriptions.items()},
    }
    record = seal(record, SEAL)
    place.write(commit_key(shard.number), render(record, dense=True))
    return record


def read_commit(out: Where, number: int) -> dict[str, Any] | None:
    """Record of a shard, None where there is none.

    Raises
    ------
    CorpusError
        Where the record is not as it was written.
    """
    place, key = open_place(out), commit_key(number)
    try:
        record = read_group(place.read(key))
        intact = sealed(record, SEAL) and record["shard"] == number
    except FileNotFoundError:
        return None
    except OSError as error:
        if not place.lost(error):
            raise out_of_reach(place, error) from None
        intact = False
    except (ValueError, KeyError):
        intact = False
    if not intact:
        raise DamagedError(
            f"{place}/{key} is damaged (not as it was written) generate the corpus again to mend shard {number}"
        )
    return record


def commit_numbers(out: Where) -> list[int]:
    """Numbers of the shards that have, or had, a record, in order; of all shards where the place cannot say."""
    place = open_place(out)
    if not place.lists:
        return list(range(read_root(place)["shards"]))
    try:
        return sorted(int(name) for name in place.children(COMMITS) if name.isdigit())
    except OSError as error:
        raise out_of_reach(place, error) from None


def read_commits(out: Where) -> Iterator[dict[str, Any]]:
    """Records of all committed shards, in order.

    Raises
    ------
    CorpusError
        Where one is damaged.
    """
    place = open_place(out)
    for number in commit_numbers(place):
        record = read_commit(place, number)
        if record is not None:
            yield record


def damage(
    out: Where, record: dict[str, Any], contents: bool = False, seen: dict[str, str] | None = None
) -> str | None:
    """First thing wrong with a committed shard, None if nothing is.

    Parameters
    ----------
    out : path or URL
    record : dict
    contents : bool
        Whether to read every file, not only its size; descriptions are read always.
    seen : dict of str to str, optional
        Hashes of descriptions; those missing are added, those here are not read again.
    """
    place = open_place(out)
    return damaged_file(place, record, contents) or damaged_metadata(place, record, {} if seen is None else seen)


def damaged_file(place: Place, record: dict[str, Any], contents: bool) -> str | None:
    """First file of a shard that is not as it was written, and how."""
    for name, facts in record["files"].items():
        try:
            size = place.size(name)
            if size != facts["bytes"]:
                return f"{name} has {size} bytes of {facts['bytes']}"
            if contents and place.sha256(name) != facts["sha256"]:
                return f"{name} is not as it was written"
        except OSError as error:
            return _lost(place, name, error)
    return None


def damaged_metadata(place: Place, record: dict[str, Any], seen: dict[str, str]) -> str | None:
    """First description of a shard that is not as it was written, and how."""
    for name, digest in record["metadata"].items():
        if name not in seen:
            try:
                seen[name] = place.sha256(name)
            except OSError as error:
                return _lost(place, name, error)
        if seen[name] != digest:
            return f"{name} is not as it was written"
    return None


def _lost(place: Place, name: str, error: OSError) -> str:
    """What to say of a file that is lost; raises where it is only out of reach."""
    if not place.lost(error):
        raise out_of_reach(place, error) from None
    return f"{name} is missing" if isinstance(error, FileNotFoundError) else f"{name} cannot be read: {error.strerror}"


def uncommit(out: Where, number: int) -> None:
    """Take back a shard's record; its files stay until the shard is written again."""
    open_place(out).delete(commit_key(number))


def forget(out: Where, shard: Shard) -> None:
    """Take back a shard: its record first, then its files and what interrupted writes left beside them."""
    place = open_place(out)
    uncommit(place, shard.number)
    for name in (commit_key(shard.number), *shard.files):
        place.delete(name)
        folder, _, last = name.rpartition("/")
        # a table's folder is shared by all shards: only this shard's own leavings
        for left in place.children(folder):
            if left.endswith(".partial") and left.startswith(f"{last}."):
                place.delete(f"{folder}/{left}")
