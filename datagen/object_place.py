"""A store's place in an object store, through obstore (extra ``store``)."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import zarr.storage

from datagen.place import PIECE, Place, first_line, open_place
from xsim import CorpusError

try:
    import obstore
    from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
    from obstore.store import HTTPStore, LocalStore, MemoryStore, from_url
except ImportError:
    raise CorpusError("obstore is not installed (object stores need it) pip install 'xsim[store]'") from None

__all__ = ["ObjectPlace"]

PATIENCE = timedelta(seconds=60)  # with a host that does not answer
_MEMORY: dict[str, Any] = {}  # stores of memory:// URLs, this process's own


class ObjectPlace(Place):
    """A prefix of an object store.

    Parameters
    ----------
    url : str

    Raises
    ------
    CorpusError
        Where obstore does not understand the URL, or lacks a setting for it.
    """

    faults = (BaseError,)

    def __init__(self, url: str) -> None:
        super().__init__(url.rstrip("/"))
        if not self._lies_in_a_folder:
            self._store  # noqa: B018  a wrong URL is told now

    def __reduce__(self) -> tuple[Any, ...]:
        return open_place, (self.name,)

    @property
    def _lies_in_a_folder(self) -> bool:
        return self.name.startswith("file://")

    @cached_property
    def _store(self) -> Any:
        if self.name.startswith("memory://"):
            return _MEMORY.setdefault(self.name, MemoryStore())
        if self._lies_in_a_folder:
            return LocalStore(self._folder)
        try:
            plain = {"client_options": {"allow_http": True}} if self.name.startswith("http://") else {}
            return from_url(self.name, retry_config={"retry_timeout": PATIENCE}, **plain)
        except (BaseError, ValueError) as error:
            raise CorpusError(
                f"{self.name} cannot be opened ({first_line(error)}) check the URL and its settings"
            ) from None

    @property
    def lists(self) -> bool:  # type: ignore[override]
        """Whether it can say which files it has: web servers cannot."""
        return self._lies_in_a_folder or not isinstance(self._store, HTTPStore)

    @property
    def _folder(self) -> Path:
        return Path(unquote(urlsplit(self.name).path))

    def read(self, key: str) -> bytes:
        with self._plainly():
            return b"".join(self._pieces(key))

    def pieces(self, key: str) -> Iterator[bytes]:
        with self._plainly():
            yield from self._pieces(key)

    def _pieces(self, key: str) -> Iterator[bytes]:
        """A request each: one that takes longer than obstore's timeout, 30 s, fails."""
        first = obstore.get(self._store, key)
        size = first.meta["size"]
        if size <= PIECE:
            yield bytes(first.bytes())
            return
        for start in range(0, size, PIECE):
            yield bytes(obstore.get_range(self._store, key, start=start, end=min(start + PIECE, size)))

    def write(self, key: str, content: bytes | memoryview) -> None:
        with self._plainly():
            self._make()
            obstore.put(self._store, key, bytes(content))

    def create(self, key: str, content: bytes) -> bool:
        with self._plainly():
            self._make()
            try:
                obstore.put(self._store, key, content, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
            return True

    def size(self, key: str) -> int:
        with self._plainly():
            return int(obstore.head(self._store, key)["size"])

    def modified(self, key: str) -> datetime:
        """When an object was last written, by the clock of the object store."""
        with self._plainly():
            when: datetime = obstore.head(self._store, key)["last_modified"]
            return when

    def delete(self, key: str) -> None:
        with self._plainly():
            try:
                obstore.delete(self._store, key)
            except FileNotFoundError:
                return

    def files(self, below: str = "") -> Iterator[str]:
        self._check_lists()
        if self._lies_in_a_folder and not self._folder.is_dir():
            return
        with self._plainly():
            for batch in obstore.list(self._store, f"{below}/" if below else None):
                yield from sorted(each["path"] for each in batch)

    def children(self, below: str = "") -> list[str]:
        self._check_lists()
        if self._lies_in_a_folder and not self._folder.is_dir():
            return []
        with self._plainly():
            listed = obstore.list_with_delimiter(self._store, below or None)
            paths = [*listed["common_prefixes"], *(each["path"] for each in listed["objects"])]
            return sorted(path.rstrip("/").rpartition("/")[2] for path in paths)

    def _check_lists(self) -> None:
        if not self.lists:
            raise OSError(errno.ENOTSUP, "web servers do not list their files", str(self))

    def zarr_store(self) -> Any:
        return zarr.storage.ObjectStore(self._store, read_only=True)

    def _make(self) -> None:
        if not self.lists:
            raise OSError(errno.EROFS, "web servers are read only", str(self))
        if self._lies_in_a_folder:
            self._folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        """Errors of obstore as OSError with one line."""
        try:
            yield
        except FileNotFoundError as error:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self)) from error
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise PermissionError(errno.EACCES, first_line(error), str(self)) from None
        except BaseError as error:
            if self._lies_in_a_folder and not self._folder.is_dir():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self)) from None
            raise OSError(errno.EIO, first_line(error), str(self)) from None
