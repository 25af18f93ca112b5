"""Reading a corpus: only what is committed, never a missing or damaged shard in silence."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any

from datagen.commit import read_commits
from datagen.corpus_view import CorpusView
from datagen.format_reader import FormatReader
from datagen.place import is_url
from datagen.root import read_root
from xsim import CorpusError

__all__ = ["Corpus", "CorpusView", "open_corpus"]

CACHE_BYTES = 1 << 30


class Corpus:
    """A corpus in its store. Open it with `open_corpus`; may be sent to other processes.

    Attributes
    ----------
    path : Path, or str of a URL
    description : dict
        What the store says of itself: name, scenes, frames_per_scene, samples, shards, formats, and the corpus file.
    """

    def __init__(self, path: str | os.PathLike[str], cache_bytes: int = CACHE_BYTES) -> None:
        self.path = os.fspath(path) if is_url(path) else Path(path)
        self.description = read_root(self.path)
        self._cache_bytes = cache_bytes

    def __repr__(self) -> str:
        return f"Corpus({str(self.path)!r}, {self.name!r}, {self.samples} of {self.description['samples']} samples)"

    def __getstate__(self) -> dict[str, Any]:
        # no open arrays and no images: another process opens its own
        kept = ("path", "description", "_cache_bytes", "commits")
        return {key: value for key, value in self.__dict__.items() if key in kept}

    @property
    def name(self) -> str:
        """Name that the corpus file gives."""
        return str(self.description["name"])

    @property
    def sha256(self) -> str:
        """Hash of the corpus file's content."""
        return str(self.description["corpus_sha256"])

    @property
    def formats(self) -> list[str]:
        """Detector formats, each the name of a subgroup."""
        return list(self.description["formats"])

    @property
    def complete(self) -> bool:
        """Whether every shard is committed."""
        return bool(len(self.commits) == self.description["shards"])

    @property
    def samples(self) -> int:
        """Number of committed samples."""
        return sum(record["samples"] for record in self.commits)

    @cached_property
    def commits(self) -> list[dict[str, Any]]:
        """Commit records, in the order of their shards."""
        records = list(read_commits(self.path))
        for record in records:
            if record["corpus_sha256"] != self.sha256:
                raise CorpusError(f"shard {record['shard']} of {self.path} is of another corpus, generate it again")
        return records

    def subset(self, format: str | None = None, split: str | None = None) -> CorpusView:
        """Committed samples of one detector format.

        Parameters
        ----------
        format : str, optional
            One of ``formats``; may be left out where there is one only.
        split : {"train", "val", "test"}, optional
            None for all of them.

        Raises
        ------
        CorpusError
            An unknown name, or a damaged shard.
        """
        if format is None:
            if len(self.formats) > 1:
                raise CorpusError(f"{self.path} has several formats ({', '.join(self.formats)}) name one")
            format = self.formats[0]
        if format not in self.formats:
            raise CorpusError(f"no format {format!r} in {self.path} (it has {', '.join(self.formats)})")
        reader = self.reader(format)
        rows = reader.rows
        if split is not None:
            words = reader.words["split"]
            if split not in words:
                raise CorpusError(f"unknown split {split!r} (known: {', '.join(words)})")
            rows = rows[reader.column("split") == words.index(split)]
        return CorpusView(self, format, rows, split)

    def instances(self, index: int) -> list[dict[str, Any]]:
        """Bodies of a sample: one dict each, keyed by the columns of the instance table.

        Parameters
        ----------
        index : int
            Of the sample in the corpus, as samples carry it under "index".
        """
        scene, frame = divmod(index, self.description["frames_per_scene"])
        place, turn = divmod(scene, len(self.formats))
        reader = self.reader(self.formats[turn])
        return reader.instances(place * self.description["frames_per_scene"] + frame)[0]

    def reader(self, format: str) -> FormatReader:
        """The arrays of a format, one reader per process."""
        if format not in self._readers:
            self._readers[format] = FormatReader(self.path, format, self.commits, self._cache_bytes)
        return self._readers[format]

    @cached_property
    def _readers(self) -> dict[str, FormatReader]:
        return {}


def open_corpus(path: str | os.PathLike[str], cache_bytes: int = CACHE_BYTES) -> Corpus:
    """Open a corpus for reading.

    Parameters
    ----------
    path : path or URL
        A folder, or a prefix of an object store (s3://, gs://, az://; extra ``store``).
    cache_bytes : int
        Images of a format are kept in memory once read where all of them fit into this.

    Raises
    ------
    CorpusError
        Where there is no corpus, or it has no committed shard, or a record is damaged.
    """
    corpus = Corpus(path, cache_bytes)
    if not corpus.commits:
        raise CorpusError(f"{path} has no finished shard (generation has not got that far) run datagen generate")
    return corpus
