"""Reading a corpus: only what is committed, never a missing or damaged shard in silence."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from xsim import CorpusError

from datagen.commit import damage, read_commits
from datagen.store import open_array, read_root

__all__ = ["Corpus", "CorpusView", "open_corpus"]

CACHE_BYTES = 1 << 30
STORED = {"noisy": 2, "clean": 4, "labels": 2}  # arrays kept in memory, bytes per pixel; noise is noisy - clean, exactly


class Corpus:
    """A corpus on disk. Open it with `open_corpus`; may be sent to other processes.

    Attributes
    ----------
    path : Path
    description : dict
        What the store says of itself: name, scenes, frames_per_scene, samples, shards, formats, and the corpus file.
    """

    def __init__(self, path: Path, cache_bytes: int = CACHE_BYTES) -> None:
        self.path = path
        self.description = read_root(path)
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
        return len(self.commits) == self.description["shards"]

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
                raise CorpusError(f"shard {record['shard']} of {self.path} belongs to another corpus, generate it again")
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
        store = self._store(format)
        rows = store.rows
        if split is not None:
            words = store.words["split"]
            if split not in words:
                raise CorpusError(f"unknown split {split!r} (known: {', '.join(words)})")
            rows = rows[store.params[:, store.columns.index("split")] == words.index(split)]
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
        store = self._store(self.formats[turn])
        return store.instances(place * self.description["frames_per_scene"] + frame)

    def _store(self, format: str) -> _FormatStore:
        if format not in self._stores:
            self._stores[format] = _FormatStore(self, format, self._cache_bytes)
        return self._stores[format]

    @cached_property
    def _stores(self) -> dict[str, _FormatStore]:
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
            noisy, clean, noise: float32 [row, column] ADU, noisy == clean + noise exactly; labels: uint16 [row, column];
            params: dict of the sample's parameters; index: int, its place in the corpus.
        """
        row = int(self.rows[i])
        images = self.store.images(row)
        noisy = images["noisy"].astype(np.float32)
        params = self.store.parameters(row)
        index = params["scene"] * self.corpus.description["frames_per_scene"] + params["frame"]
        clean = images["clean"].copy()
        return {
            "noisy": noisy,
            "clean": clean,
            "noise": noisy - clean,
            "labels": images["labels"].copy(),
            "params": params,
            "index": index,
        }

    @property
    def store(self) -> _FormatStore:
        """The arrays behind the view."""
        return self.corpus._store(self.format)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the images."""
        return self.store.shape

    def params(self, name: str) -> np.ndarray:
        """A parameter of every sample of the view, float64 [sample]."""
        if name not in self.store.columns:
            raise CorpusError(f"no parameter {name!r} (known: {', '.join(self.store.columns)})")
        places = np.searchsorted(self.store.rows, self.rows)
        return np.asarray(self.store.params[places, self.store.columns.index(name)])


class _FormatStore:
    """Arrays of one format in one process: opened when needed, shards checked before they are first read."""

    def __init__(self, corpus: Corpus, format: str, cache_bytes: int) -> None:
        self._out, self._format = corpus.path, format
        self._commits = [record for record in corpus.commits if record["format"] == format]
        self._checked: set[int] = set()
        self._arrays: dict[str, zarr.Array] = {}
        self._cache: dict[int, dict[str, np.ndarray]] = {}
        self._cache_bytes = cache_bytes

    def array(self, name: str) -> zarr.Array:
        if name not in self._arrays:
            try:
                self._arrays[name] = open_array(self._out, f"{self._format}/{name}")
            except Exception as error:  # zarr's own kinds, by version
                raise CorpusError(f"{self._out}/{self._format}/{name} cannot be opened ({error})") from None
        return self._arrays[name]

    @cached_property
    def rows(self) -> np.ndarray:
        """Committed samples, int64 [sample]."""
        runs = [np.arange(each["first"], each["first"] + each["samples"]) for each in self._commits]
        return np.concatenate(runs) if runs else np.zeros(0, dtype=np.int64)

    @cached_property
    def params(self) -> np.ndarray:
        """Parameters of the committed samples, float64 [sample, column]."""
        tables = [self._read("params", each["first"], each["first"] + each["samples"]) for each in self._commits]
        return np.concatenate(tables) if tables else np.zeros((0, len(self.columns)))

    @property
    def columns(self) -> list[str]:
        return list(self.array("params").attrs["columns"])

    @property
    def words(self) -> dict[str, list[Any]]:
        return dict(self.array("params").attrs["words"])

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.array("noisy").shape[1:]
        return rows, columns

    def parameters(self, row: int) -> dict[str, Any]:
        """Parameters of one sample; words and whole numbers as such, what does not apply is None."""
        values = self.params[np.searchsorted(self.rows, row)]
        return _readable(values, self.array("params").attrs)

    def instances(self, row: int) -> list[dict[str, Any]]:
        """Instance table of one sample."""
        table = self._read("instances", row, row + 1)[0]
        return [_readable(line, self.array("instances").attrs) for line in table if not np.isnan(line[0])]

    def images(self, row: int) -> dict[str, np.ndarray]:
        """Stored images of one sample; from memory where the whole format fits there."""
        rows, columns = self.shape
        if len(self.rows) * rows * columns * sum(STORED.values()) > self._cache_bytes:
            return {name: self._read(name, row, row + 1)[0] for name in STORED}
        record = self._record(row)
        if record["shard"] not in self._cache:
            first, last = record["first"], record["first"] + record["samples"]
            self._cache[record["shard"]] = {name: self._read(name, first, last) for name in STORED}
        return {name: array[row - record["first"]] for name, array in self._cache[record["shard"]].items()}

    def _record(self, row: int) -> dict[str, Any]:
        for record in self._commits:
            if record["first"] <= row < record["first"] + record["samples"]:
                return record
        raise CorpusError(f"sample {row} of {self._out}/{self._format} is not there (not committed) generate it first")

    def _read(self, name: str, first: int, last: int) -> np.ndarray:
        """Rows first..last - 1 of an array, all of one shard."""
        record = self._record(first)
        if record["shard"] not in self._checked:
            wrong = damage(self._out, record)
            if wrong:
                raise self._damaged(record, wrong)
            self._checked.add(record["shard"])
        try:
            return np.asarray(self.array(name)[first:last])
        except (ValueError, RuntimeError, OSError, KeyError) as error:
            raise self._damaged(record, f"{name}: {' '.join(str(error).split())}") from None

    def _damaged(self, record: dict[str, Any], wrong: str) -> CorpusError:
        return CorpusError(f"shard {record['shard']} of {self._out} is damaged ({wrong}) generate the corpus again to mend it")


def _readable(values: np.ndarray, attributes: Any) -> dict[str, Any]:
    words, whole = attributes["words"], set(attributes["whole"])
    found: dict[str, Any] = {}
    for column, value in zip(attributes["columns"], values.tolist(), strict=True):
        if value != value:
            found[column] = None
        elif column in words:
            found[column] = words[column][int(value)]
        else:
            found[column] = int(value) if column in whole else value
    return found


def open_corpus(path: str | os.PathLike[str], cache_bytes: int = CACHE_BYTES) -> Corpus:
    """Open a corpus for reading.

    Parameters
    ----------
    path : path
    cache_bytes : int
        Images of a format are kept in memory once read where all of them fit into this.

    Raises
    ------
    CorpusError
        Where there is no corpus, or it has no committed shard, or a record is damaged.
    """
    corpus = Corpus(Path(path), cache_bytes)
    if not corpus.commits:
        raise CorpusError(f"{path} has no finished shard (generation has not got that far) run datagen generate")
    return corpus
