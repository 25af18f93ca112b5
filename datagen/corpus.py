"""Reading a corpus: only what is committed, never a missing or damaged shard in silence."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from datagen.commit import read_commits
from datagen.format_reader import DERIVED, FormatReader
from datagen.place import is_url
from datagen.root import read_root
from datagen.shard_images import ShardImages, Spares
from datagen.view_table import decoded
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
        return reader.instances(place * self.description["frames_per_scene"] + frame)

    def reader(self, format: str) -> FormatReader:
        """The arrays of a format, one reader per process."""
        if format not in self._readers:
            self._readers[format] = FormatReader(self.path, format, self.commits, self._cache_bytes)
        return self._readers[format]

    @cached_property
    def _readers(self) -> dict[str, FormatReader]:
        return {}


class CorpusView:
    """Samples of a corpus, a sequence of dicts.

    Attributes
    ----------
    corpus : Corpus
    format : str
    split : str or None
    rows : int64 [sample]
        Where each sample lies in the arrays of its format.
    """

    def __init__(self, corpus: Corpus, format: str, rows: np.ndarray, split: str | None) -> None:
        self.corpus, self.format, self.rows, self.split = corpus, format, rows, split

    def __repr__(self) -> str:
        return f"CorpusView({self.format!r}, split={self.split!r}, {len(self)} samples)"

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i: int) -> dict[str, Any]:
        """One sample.

        Returns
        -------
        dict
            noisy, clean, noise: float32 [row, column] ADU, noisy == clean + noise exactly; labels: uint16
            [row, column]; valid: bool [row, column], False where a pixel is saturated or dead or a mesh faulty, all
            True of stores made before they held it; params: dict of the sample's parameters; index: int, its place in
            the corpus.
        """
        row = int(self.rows[i])
        images = {name: _given(name, image) for name, image in self.reader.images(row).items()}
        for name, (whole, part) in DERIVED.items():
            if name in self.images:
                images[name] = images[whole] - images[part]
        params = self.reader.parameters(row)
        index = params["scene"] * self.corpus.description["frames_per_scene"] + params["frame"]
        return {**images, "params": params, "index": index}

    @property
    def images(self) -> tuple[str, ...]:
        """Names of the images of a sample: noisy, clean, noise, labels, valid, and what else is stored."""
        return self.reader.arrays

    @property
    def reader(self) -> FormatReader:
        """The arrays behind the view."""
        return self.corpus.reader(self.format)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the images."""
        return self.reader.shape

    def table(self) -> dict[str, np.ndarray]:
        """Parameters of every sample of the view, by name.

        Returns
        -------
        dict of [sample]
            Words are str, whole numbers int64, all else float64, NaN (or "") where it does not apply; and "index",
            the sample's place in the corpus, "row", its place in the arrays of its format.
        """
        reader = self.reader
        parts = [self._parameter_rows(*run) for run in self.runs()]
        values = np.concatenate(parts) if parts else np.zeros((0, len(reader.columns)))
        table = decoded(values, reader.columns, reader.words, reader.whole)
        index = table["scene"] * self.corpus.description["frames_per_scene"] + table["frame"]
        return {**table, "index": index, "row": self.rows.copy()}

    def select(self, chosen: np.ndarray) -> CorpusView:
        """Some of the samples.

        Parameters
        ----------
        chosen : bool [sample], or whole numbers
            Which ones: a mask, or their places in the view. They keep the order they have here.

        Raises
        ------
        CorpusError
            A mask of another length, or a place that is not there.
        """
        which = np.asarray(chosen)
        if which.dtype == np.bool_:
            if which.shape != self.rows.shape:
                raise CorpusError(f"the mask has shape {which.shape}, the view {len(self)} samples")
            which = np.flatnonzero(which)
        which = np.unique(which.astype(np.int64))
        if which.size and not 0 <= which[0] <= which[-1] < len(self):
            raise CorpusError(f"places {which[0]}..{which[-1]} are not all among the view's {len(self)} samples")
        return CorpusView(self.corpus, self.format, self.rows[which], self.split)

    def where(self, condition: Callable[[dict[str, np.ndarray]], np.ndarray]) -> CorpusView:
        """The samples whose parameters fulfil a condition.

        Parameters
        ----------
        condition : callable
            From `table` to a mask, for example ``lambda p: p["voltage_kv"] > 100``.
        """
        return self.select(np.asarray(condition(self.table()), dtype=np.bool_))

    def runs(self) -> list[tuple[int, int, int]]:
        """Which samples of the view lie in which shard.

        Returns
        -------
        list of (number, first, stop)
            Place in ``reader.records``, and a range of places in the view, not empty.
        """
        starts = [record["first"] for record in self.reader.records]
        limits = np.searchsorted(self.rows, np.array([*starts, np.iinfo(np.int64).max])).tolist()
        return [(k, first, stop) for k, (first, stop) in enumerate(pairwise(limits)) if stop > first]

    def shards(self) -> Iterator[CorpusView]:
        """The view in parts, one for each shard that it has samples in."""
        for _, first, stop in self.runs():
            yield CorpusView(self.corpus, self.format, self.rows[first:stop], self.split)

    def samples(self, images: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Samples in order, as by index, with one shard in memory and only the asked images read.

        Parameters
        ----------
        images : sequence of str, optional
            noisy, clean, noise, labels, valid, or what else is stored; default: all.

        Raises
        ------
        CorpusError
            A damaged shard, or images that are not stored.
        """
        spares: Spares = {}
        frames = self.corpus.description["frames_per_scene"]
        for number, first, stop in self.runs():
            record = self.reader.records[number]
            shard, names = ShardImages(self.reader, record, spares), images or self.images
            values = self._parameter_rows(number, first, stop)
            for place, row in enumerate(self.rows[first:stop].tolist()):
                held = {name: _given(name, shard.image(name, row - record["first"])) for name in names}
                params = self.reader.readable(values[place])
                yield {**held, "params": params, "index": params["scene"] * frames + params["frame"]}
            shard.close()

    def _parameter_rows(self, number: int, first: int, stop: int) -> np.ndarray:
        """Parameters of the view's samples first..stop - 1, all of shard ``number``."""
        record = self.reader.records[number]
        return self.reader.parameter_rows(record)[self.rows[first:stop] - record["first"]]

    def params(self, name: str) -> np.ndarray:
        """A parameter of every sample of the view, float64 [sample]."""
        if name not in self.reader.columns:
            raise CorpusError(f"no parameter {name!r} (known: {', '.join(self.reader.columns)})")
        return np.asarray(self.reader.column(name)[np.searchsorted(self.reader.rows, self.rows)])


def _given(name: str, image: np.ndarray) -> np.ndarray:
    """A stored image as a sample has it, the caller's own: grey values float32, validity bool."""
    if name.startswith("valid"):
        return image.astype(bool)
    return image.astype(np.float32) if name.startswith("noisy") else image.copy()


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
