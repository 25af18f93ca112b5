"""Samples of a corpus: one by one, by their conditions, shard by shard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from datagen.format_reader import DERIVED, FormatReader
from datagen.shard_images import ShardImages, Spares
from datagen.view_table import decoded
from xsim import CorpusError

if TYPE_CHECKING:
    from datagen.corpus import Corpus

__all__ = ["CorpusView"]


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
        return self.sample(i)

    def sample(self, i: int, images: Sequence[str] | None = None) -> dict[str, Any]:
        """One sample, as by index, with only the asked images.

        Raises
        ------
        CorpusError
            A damaged shard, or images that are not stored.
        """
        row, names = int(self.rows[i]), self.images if images is None else images
        if lacking := set(names) - set(self.images):
            raise CorpusError(f"no {min(lacking)} images in {self.corpus.path} (it has {', '.join(self.images)})")
        stored = {name: _given(name, image) for name, image in self.reader.images(row, names).items()}
        for name, (whole, part) in DERIVED.items():
            if name in names:
                stored[name] = stored[whole] - stored[part]
        params = self.reader.parameters(row)
        index = params["scene"] * self.corpus.description["frames_per_scene"] + params["frame"]
        return {**{name: stored[name] for name in names}, "params": params, "index": index}

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

    def instances(self) -> Iterator[list[dict[str, Any]]]:
        """Bodies of each sample, as `Corpus.instances` gives them, with one shard in memory."""
        for number, first, stop in self.runs():
            record = self.reader.records[number]
            tables = self.reader.instances(record["first"], record["first"] + record["samples"])
            yield from (tables[row - record["first"]] for row in self.rows[first:stop].tolist())

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
