"""The descriptions of a store, read: what is at a place, and that it is described as it was."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import zarr
from zarr.storage import WrapperStore

from datagen.detector_format import COMMITS
from datagen.place import FolderPlace, Place, Where, open_place
from datagen.seal import digest_of, read_group, sealed
from xsim import CorpusError

__all__ = [
    "COPIES",
    "MARK",
    "OLDEST",
    "ROOT",
    "SCHEMA",
    "SEAL",
    "DamagedError",
    "damaged_description",
    "damaged_part",
    "image_shape",
    "open_array",
    "out_of_reach",
    "read_checked",
    "read_copies",
    "read_descriptions",
    "read_root",
    "root_intact",
    "state_of",
    "within_reach",
]

MARK = "datagen_corpus"
ROOT = "zarr.json"
COPIES = f"{COMMITS}/{ROOT}"  # holds a copy of every other description
SEAL = "description_sha256"
SCHEMA, OLDEST = 2, 1  # layouts of a store: the one written, the first still read


def state_of(out: Where) -> tuple[str, dict[str, Any]]:
    """What is at a place: "nothing" (or an empty folder), "corpus" with its description, or "other".

    Raises
    ------
    CorpusError
        Where a store is there whose description is damaged, or the place cannot be asked.
    """
    place = open_place(out)
    try:
        content = place.read(ROOT)
    except FileNotFoundError:
        return _without_root(place), {}
    except OSError as error:
        if place.lost(error):
            raise damaged_description(place, f"{ROOT} cannot be read: {error.strerror}") from None
        raise out_of_reach(place, error) from None
    try:
        description = json.loads(content)["attributes"][MARK]
    except (ValueError, KeyError, TypeError):
        description = None
    if isinstance(description, dict) and description.get("schema") == OLDEST and SEAL not in description:
        return "corpus", description  # had no hash of its own
    if root_intact(content):
        return "corpus", dict(read_group(content)[MARK])
    if description is None and not place.exists(COPIES):
        return "other", {}
    raise damaged_description(place, f"{ROOT} is not as it was written")


def _without_root(place: Place) -> str:
    if not place.lists:
        return "nothing"
    try:
        if not place.children():
            return "nothing"
        if any(name.isdigit() for name in place.children(COMMITS)):
            raise damaged_description(place, f"{ROOT} is missing")
        if not isinstance(place, FolderPlace) and all(key.endswith(ROOT) for key in place.files()):
            return "nothing"  # its making was cut short
    except NotADirectoryError:
        return "other"
    except OSError as error:
        raise out_of_reach(place, error) from None
    return "other"


def root_intact(content: bytes) -> bool:
    """Whether a root's description is as it was written, by its own hash."""
    try:
        return sealed(read_group(content).get(MARK), SEAL)
    except ValueError:
        return False


def read_copies(content: bytes) -> dict[str, bytes] | None:
    """Copies of the descriptions, by their names in the store; None where they are not as they were written."""
    try:
        attributes = read_group(content)
    except ValueError:
        return None
    if not sealed(attributes, SEAL):
        return None
    return {key: text.encode() for key, text in attributes["descriptions"].items()}


class DamagedError(CorpusError):
    """A part of a store that is not as it was written."""


def damaged_description(place: Place, wrong: str) -> DamagedError:
    """What to say of a store that is not described as it was."""
    return DamagedError(f"the description of {place} is damaged ({wrong}) mend it with: datagen verify {place}")


def out_of_reach(place: Place, error: OSError) -> CorpusError:
    """What to say of a place that cannot be asked."""
    return CorpusError(f"cannot read {place} ({error.strerror or error}) check that it is within reach")


@contextmanager
def within_reach(place: Place) -> Iterator[None]:
    """A place that cannot be asked is a CorpusError."""
    try:
        yield
    except OSError as error:
        raise out_of_reach(place, error) from None


def read_root(out: Where) -> dict[str, Any]:
    """Description of the corpus at ``out``.

    Raises
    ------
    CorpusError
        Where there is none, or a damaged one, or one of a later layout.
    """
    place = open_place(out)
    state, description = state_of(place)
    if state != "corpus":
        what = "nothing is there" if state == "nothing" else "it has no corpus description"
        raise CorpusError(f"{place} is not a corpus ({what}) make one with: datagen generate CORPUS {place}")
    if description.get("schema") not in (OLDEST, SCHEMA):
        raise CorpusError(
            f"{place} has store layout {description.get('schema')!r} (this version reads {SCHEMA}) update xsim"
        )
    return description


def read_descriptions(out: Where, format_name: str) -> dict[str, bytes]:
    """The descriptions that the arrays of a format are read by, the root's among them, by their names in the store.

    Raises
    ------
    CorpusError
        Where one is missing, or not what the root's says.
    """
    place = open_place(out)
    told = read_root(place).get("descriptions")
    with within_reach(place):
        if told is None:
            names = [f"{format_name}/{name}/{ROOT}" for name in place.children(format_name)]
            return {key: place.read(key) for key in names if place.exists(key)}
        found = {ROOT: place.read(ROOT), COPIES: place.read(COPIES) if place.exists(COPIES) else b""}
    if not root_intact(found[ROOT]) or read_copies(found[COPIES]) is None:
        raise damaged_description(place, f"{COPIES} is not as it was written")
    for key, digest in told.items():
        if key.startswith(f"{format_name}/"):
            found[key] = read_checked(place, key, digest)
    return found


def read_checked(place: Place, key: str, digest: str) -> bytes:
    """A file of a store whose hash is known.

    Raises
    ------
    DamagedError
        Where it is missing, or not as it was written.
    """
    try:
        content = place.read(key)
    except OSError as error:
        if not place.lost(error):
            raise out_of_reach(place, error) from None
        raise damaged_part(place, f"{key} is missing") from None
    if digest_of(content) != digest:
        raise damaged_part(place, f"{key} is not as it was written")
    return content


def damaged_part(place: Place, wrong: str) -> DamagedError:
    """What to say of a store of which a file is damaged."""
    return DamagedError(f"{place} is damaged ({wrong}) mend it with: datagen verify {place}")


def image_shape(out: Where, format_name: str) -> tuple[int, int] | None:
    """Rows and columns of the images that a store holds of a format; None where it has no such format.

    Raises
    ------
    CorpusError
        Where its description is damaged.
    """
    place, key = open_place(out), f"{format_name}/{ROOT}"
    digest = read_root(place).get("descriptions", {}).get(key)
    try:
        facts = json.loads(read_checked(place, key, digest) if digest else place.read(key))["attributes"]
        return facts["rows"], facts["columns"]
    except (OSError, KeyError, TypeError, json.JSONDecodeError):
        return None


class _Whole(WrapperStore[Any]):
    """A zarr store that lacks nothing: of a file that is gone zarr would give the fill value, in silence."""

    async def get(self, key: str, *how: Any, **more: Any) -> Any:
        content = await super().get(key, *how, **more)
        if content is None and not key.endswith(ROOT):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), key)
        return content


def open_array(out: Where, name: str) -> zarr.Array:
    """An array of the store, to be read, by its path inside it, for example ``FORMAT/noisy``.

    Only what is committed can be read of it; FileNotFoundError where a file has gone.
    """
    return zarr.open_array(_Whole(open_place(out).zarr_store()), path=name, mode="r", zarr_format=3)
