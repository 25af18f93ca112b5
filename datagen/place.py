"""Where a store lies: a folder, or a prefix of an object store. Whole files, by their names inside the store.

A file is there whole or not at all: in a folder it is written beside its place, brought to the disk and renamed; an
object appears when all of it has arrived.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zarr.storage

__all__ = ["FolderPlace", "Place", "Where", "first_line", "is_url", "open_place", "sync"]

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
PIECE = 1 << 22  # bytes read at a time


class Place(ABC):
    """A store's place.

    Every method raises FileNotFoundError where a file is not there (unless said otherwise) and another OSError, whose
    ``strerror`` is one line, where the place cannot be read or written.

    Attributes
    ----------
    name : str
        Path or URL, as messages show it.
    faults : tuple of exception types
        What zarr lets through of this kind of place, beside OSError.
    lists : bool
        Whether it can say which files it has.
    """

    faults: tuple[type[Exception], ...] = ()
    lists = True

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @abstractmethod
    def read(self, key: str) -> bytes:
        """Content of a file."""

    @abstractmethod
    def pieces(self, key: str) -> Iterator[bytes]:
        """Content of a file, some megabytes at a time."""

    @abstractmethod
    def write(self, key: str, content: bytes | memoryview) -> None:
        """Write a file, whole or not at all; on return it is there to stay."""

    @abstractmethod
    def create(self, key: str, content: bytes) -> bool:
        """Write a file where there is none; False, and nothing written, where there is one."""

    @abstractmethod
    def size(self, key: str) -> int:
        """Bytes of a file."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove a file; one that is not there is no error."""

    @abstractmethod
    def files(self, below: str = "") -> Iterator[str]:
        """Every file in a folder and its subfolders; none where there is no such folder."""

    @abstractmethod
    def children(self, below: str = "") -> list[str]:
        """Names of the files and folders in a folder; none where there is no such folder.

        NotADirectoryError where a file has that name.
        """

    @abstractmethod
    def zarr_store(self) -> Any:
        """The zarr store to read arrays from."""

    def exists(self, key: str) -> bool:
        """Whether a file is there."""
        try:
            self.size(key)
        except FileNotFoundError:
            return False
        return True

    def lost(self, error: OSError) -> bool:
        """Whether an error of reading says that what was written is lost, not that the place is out of reach."""
        return isinstance(error, FileNotFoundError)

    def sha256(self, key: str) -> str:
        """Hash of a file's content."""
        digest = hashlib.sha256()
        for piece in self.pieces(key):
            digest.update(piece)
        return digest.hexdigest()


Where = str | os.PathLike[str] | Place


class FolderPlace(Place):
    """A folder of a file system.

    Attributes
    ----------
    root : Path
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        super().__init__(os.fspath(root))
        self.root = Path(root)

    def read(self, key: str) -> bytes:
        with _plainly():
            return (self.root / key).read_bytes()

    def pieces(self, key: str) -> Iterator[bytes]:
        with _plainly(), (self.root / key).open("rb") as file:
            while piece := file.read(PIECE):
                yield piece

    def write(self, key: str, content: bytes | memoryview) -> None:
        path = self.root / key
        self._make(path.parent)
        draft = self._draft(path, content)
        try:
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        sync(path.parent)

    def create(self, key: str, content: bytes) -> bool:
        path = self.root / key
        self._make(path.parent)
        draft = self._draft(path, content)
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        finally:
            draft.unlink(missing_ok=True)
        sync(path.parent)
        return True

    def size(self, key: str) -> int:
        with _plainly():
            facts = (self.root / key).stat()
        if not stat.S_ISREG(facts.st_mode):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.root / key))
        return facts.st_size

    def delete(self, key: str) -> None:
        with _plainly():
            (self.root / key).unlink(missing_ok=True)

    def files(self, below: str = "") -> Iterator[str]:
        for folder, folders, names in os.walk(self.root / below):
            folders.sort()
            for name in sorted(names):
                yield (Path(folder) / name).relative_to(self.root).as_posix()

    def children(self, below: str = "") -> list[str]:
        try:
            return sorted(path.name for path in (self.root / below).iterdir())
        except FileNotFoundError:
            return []
        except NotADirectoryError:
            if (self.root / below).exists():  # a file of that name
                raise
            return []

    def lost(self, error: OSError) -> bool:
        return super().lost(error) or error.errno == errno.EIO

    def zarr_store(self) -> Any:
        return zarr.storage.LocalStore(self.root, read_only=True)

    @staticmethod
    def _draft(path: Path, content: bytes | memoryview) -> Path:
        draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
        try:
            with draft.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        return draft

    def _make(self, folder: Path) -> None:
        """Make a folder and those above it, each brought to the disk."""
        if folder.is_dir():
            return
        self._make(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


class _plainly:  # noqa: N801
    """A file where a folder should be is a file that is not there."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, NotADirectoryError):
            raise FileNotFoundError(*error.args[:2], error.filename) from None


def sync(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def first_line(error: Exception) -> str:
    """What an error says, without what follows its first line; its class name when it says nothing."""
    lines = str(error).strip().splitlines()
    return " ".join(lines[0].split()) if lines else type(error).__name__


def is_url(where: Where) -> bool:
    """Whether it names an object store."""
    return isinstance(where, str) and URL.match(where) is not None


def open_place(where: Where) -> Place:
    """The place that a path or URL names; nothing is made or asked for yet.

    Parameters
    ----------
    where : path, URL or Place
        A folder, or a prefix of an object store: s3://, gs://, az://, file://, memory:// (of this process only), with
        credentials and settings from the environment as obstore knows them (AWS_..., GOOGLE_..., AZURE_...); http://
        and https:// to read only.

    Raises
    ------
    CorpusError
        Where the URL is not understood, or obstore is not installed.
    """
    if isinstance(where, Place):
        return where
    if is_url(where):
        from datagen.object_place import ObjectPlace

        return ObjectPlace(os.fspath(where))
    return FolderPlace(where)
