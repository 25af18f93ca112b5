"""Crops of a corpus, shard by shard: the dataset to train on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from datagen.corpus import CorpusView, open_corpus
from datagen.crop_order import CropOrder
from datagen.shard_images import ShardImages, Spares
from datagen.torch_data.crop_stream import CropStream
from datagen.torch_data.crops import SCALARS, check_crop
from datagen.torch_data.random_access import check_names
from xsim import CorpusError

__all__ = ["CorpusStream"]

PAIR = ("noisy", "clean", "valid")


class CorpusStream(CropStream):
    """Crops of the samples of a corpus, in an order that reads each shard whole and once in an epoch.

    Every rank and every worker goes along its own run of the epoch's shuffled shards, with ``buffer`` of them in memory
    (their files, and the images of them that were needed so far), and plays the crops of these mixed. The order depends
    on seed, epoch, world size, workers, batch and buffer; the crops of an epoch on seed and epoch alone, but for the
    few that fill no batch, which are others in every epoch. All ranks get equally many batches.

    Each batch is a dict of tensors: the ``images``, float32 [batch, 1, row, column] ADU (valid bool; labels int32
    [batch, row, column]); the ``scalars``, float32 [batch], NaN where one does not apply; index, int64 [batch], the
    samples in the corpus. With ``batch=None`` there is one crop at a time, without the first axis.

    Parameters
    ----------
    source : path, CorpusView or sequence of CorpusView
        With views ``split`` and ``format`` are not used. Views of several formats, or corpora, are mixed.
    split : {"train", "val", "test"} or None
    crop : int or (int, int), optional
        Rows and columns of a crop; None for whole images.
    augment : bool
        Whether to flip and turn: the eight symmetries of the square, four of them where the crop is not square.
    crops_per_sample : int
    batch : int, optional
    buffer : int
        Shards in memory, of each worker.
    images : sequence of str
        Of what the store holds; nothing else is read. Noise is derived, not read.
    scalars : sequence of str
        Columns of the parameter table.
    workers : int
        Processes of the DataLoader that will read it: see `loader`.
    rank, world_size : int, optional
        Default: those of ``torch.distributed`` where it is initialised.
    seed : int
    format : str or sequence of str, optional
        Detector formats; default: all.

    Raises
    ------
    CorpusError
        An empty split, images that are not stored, or a crop larger than the images; while reading: a damaged shard.

    Examples
    --------
    >>> stream = CorpusStream("corpus.zarr", crop=128, batch=64, workers=4)  # doctest: +SKIP
    >>> for epoch in range(10):  # doctest: +SKIP
    ...     stream.set_epoch(epoch)
    ...     for batch in loader:  # loader = stream.loader(), made once
    ...         train(batch["noisy"], batch["clean"], batch["valid"])
    """

    def __init__(
        self,
        source: CorpusView | Sequence[CorpusView] | str | os.PathLike[str],
        split: str | None = "train",
        crop: int | tuple[int, int] | None = None,
        augment: bool = True,
        crops_per_sample: int = 16,
        batch: int | None = None,
        buffer: int = 3,
        images: Sequence[str] = PAIR,
        scalars: Sequence[str] = SCALARS,
        workers: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
        seed: int = 0,
        format: str | Sequence[str] | None = None,
    ) -> None:
        self.views = _views(source, split, format)
        self._shards = [
            (place, number, first, stop) for place, view in enumerate(self.views) for number, first, stop in view.runs()
        ]
        if not self._shards:
            view = self.views[0]
            raise CorpusError(f"no samples in split {view.split!r} of {view.corpus.path} (none is finished)")
        read = [view for view in self.views if len(view)]  # a format of which nothing is finished has no images
        for view in read:
            check_names(view, images, scalars)
        self.scalars = tuple(scalars)
        size = check_crop(crop, [view.shape for view in read])
        sizes = np.array([stop - first for _, _, first, stop in self._shards])
        order = CropOrder(sizes, crops_per_sample, 1 if batch is None else batch, buffer, seed)
        super().__init__(order, images, size, augment, batch is None, workers, rank, world_size)
        self._spares: Spares = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_spares": {}}

    def _shape(self, shard: int) -> tuple[int, int]:
        return self.views[self._shards[shard][0]].shape

    def _open(self, shard: int, epoch: int) -> _StoredShard:
        place, number, first, stop = self._shards[shard]
        view = self.views[place]
        return _StoredShard(view, view.reader.records[number], view.rows[first:stop], self.scalars, self._spares)


class _StoredShard:
    """Those samples of a committed shard that are in a view."""

    def __init__(
        self, view: CorpusView, record: dict[str, Any], rows: np.ndarray, scalars: Sequence[str], spares: Spares
    ) -> None:
        self._images = ShardImages(view.reader, record, spares)
        self._places = (rows - record["first"]).tolist()
        table = view.reader.parameter_rows(record)[self._places]
        column = {name: table[:, place] for place, name in enumerate(view.reader.columns)}
        self.scalars = {name: column[name].astype(np.float32) for name in scalars}
        frames = view.corpus.description["frames_per_scene"]
        self.scalars["index"] = (column["scene"] * frames + column["frame"]).astype(np.int64)

    def image(self, name: str, sample: int) -> np.ndarray:
        return self._images.image(name, self._places[sample])

    def close(self) -> None:
        self._images.close()


def _views(
    source: CorpusView | Sequence[CorpusView] | str | os.PathLike[str],
    split: str | None,
    format: str | Sequence[str] | None,
) -> list[CorpusView]:
    if isinstance(source, CorpusView):
        return [source]
    if isinstance(source, (str, os.PathLike)):
        corpus = open_corpus(source)
        formats = [format] if isinstance(format, str) else format or corpus.formats
        return [corpus.subset(name, split) for name in formats]
    if not source:
        raise CorpusError("no view of a corpus is given (a stream needs at least one)")
    return list(source)
