"""The order in which crops are taken from shards: by arithmetic, from a seed and an epoch, without reading anything.

An epoch plays all shards in an order of its own. The samples, in that order, are cut into equal runs: one for each
rank, and in it one for each worker. A worker goes along its run shard by shard. The crops of a shard are shuffled and
dealt into ``buffer`` hands; step t plays, shuffled together, the first hand of shard t, the second of shard t - 1, and
so on: ``buffer`` shards are in memory, one is opened and one closed at every step. Any place of the order is reached by
adding lengths, so a training that was killed goes on without reading what it has seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from datagen.stream import Stream
from xsim import CorpusError

__all__ = ["CropOrder", "Run", "Step"]

# first words of the substream keys
SHARDS, DEAL, STEP, WINDOWS = 11, 12, 13, 14


@dataclass(frozen=True)
class Run:
    """Whose part of an epoch: worker ``worker`` of ``workers`` in rank ``rank`` of ``ranks``."""

    rank: int = 0
    ranks: int = 1
    worker: int = 0
    workers: int = 1


@dataclass(frozen=True)
class Step:
    """Crops that are played together.

    Attributes
    ----------
    shards : tuple of int
        Those in memory, by their places in the list of shards.
    crops : int64 [crop, (shard, sample, number)]
        Sample within the shard's list, number among the sample's crops.
    """

    shards: tuple[int, ...]
    crops: np.ndarray


@dataclass(frozen=True, eq=False)
class CropOrder:
    """Order of the crops of some shards.

    Parameters
    ----------
    sizes : int64 [shard]
        Samples in each.
    crops_per_sample, batch, buffer, seed : int

    Raises
    ------
    CorpusError
        A number below one.
    """

    sizes: np.ndarray
    crops_per_sample: int
    batch: int
    buffer: int
    seed: int

    def __post_init__(self) -> None:
        for name in ("crops_per_sample", "batch", "buffer"):
            if (given := getattr(self, name)) < 1:
                raise CorpusError(f"{name} must be at least 1 (given {given})")

    @cached_property
    def samples(self) -> int:
        """Samples of all shards."""
        return int(self.sizes.sum())

    def batches(self, run: Run) -> int:
        """Full batches that each worker of each rank gives in an epoch."""
        return self.samples // run.ranks // run.workers * self.crops_per_sample // self.batch

    def steps(self, epoch: int, run: Run, skip: int = 0) -> Iterator[Step]:
        """Steps of a run, without its first ``skip`` batches.

        Raises
        ------
        CorpusError
            There are too few crops for one batch.
        """
        if self.batches(run) == 0:
            raise CorpusError(
                f"{self.samples} samples give no batch of {self.batch} to each of {run.ranks * run.workers} readers "
                f"({self.crops_per_sample} crops a sample) use smaller batches or fewer workers"
            )
        skipped, left = skip * self.batch, (self.batches(run) - skip) * self.batch
        parts = self._parts(epoch, run)
        for number in range(len(parts) + self.buffer - 1):
            first = max(0, number - self.buffer + 1)
            live = range(first, min(number + 1, len(parts)))
            hands = [(parts[each], number - each) for each in live]
            count = sum(self._hand_limits(part)[hand + 1] - self._hand_limits(part)[hand] for part, hand in hands)
            if skipped >= count:
                skipped -= count
                continue
            crops = self._played(epoch, hands)[skipped : skipped + left]
            skipped, left = 0, left - len(crops)
            if len(crops):
                yield Step(tuple(part[0] for part, _ in hands), crops)
            if left == 0:
                return

    def _parts(self, epoch: int, run: Run) -> list[tuple[int, int, int]]:
        """Shards of a run in their order, with the first and the stop of the samples taken of each."""
        order = np.argsort(Stream(self.seed, SHARDS, epoch).units(len(self.sizes)), kind="stable")
        stops = np.cumsum(self.sizes[order])
        each = self.samples // run.ranks
        own = each // run.workers
        first = run.rank * each + run.worker * own
        places = range(
            int(np.searchsorted(stops, first, "right")), int(np.searchsorted(stops, first + own - 1, "right")) + 1
        )
        parts = []
        for place in places:
            shard, stop = int(order[place]), int(stops[place])
            start = stop - int(self.sizes[shard])
            parts.append((shard, max(first, start) - start, min(first + own, stop) - start))
        return parts

    def _hand_limits(self, part: tuple[int, int, int]) -> list[int]:
        """Where the hands of a part begin among its shuffled crops, and where the last ends."""
        count = (part[2] - part[1]) * self.crops_per_sample
        return [count * hand // self.buffer for hand in range(self.buffer + 1)]

    def _played(self, epoch: int, hands: list[tuple[tuple[int, int, int], int]]) -> np.ndarray:
        found = []
        for (shard, first, stop), hand in hands:
            count = (stop - first) * self.crops_per_sample
            limits = self._hand_limits((shard, first, stop))
            dealt = np.argsort(Stream(self.seed, DEAL, epoch, shard, first).units(count), kind="stable")
            sample, number = np.divmod(dealt[limits[hand] : limits[hand + 1]], self.crops_per_sample)
            found.append(np.stack([np.full_like(sample, shard), sample + first, number], axis=1))
        crops = np.concatenate(found)
        (shard, first, _), hand = hands[-1]
        stream = Stream(self.seed, STEP, epoch, shard, first, hand)
        return np.asarray(crops[np.argsort(stream.units(len(crops)), kind="stable")])

    def windows(self, epoch: int, shard: int, spare: tuple[int, int]) -> np.ndarray:
        """Corners and symmetries of all crops of a shard; they do not depend on who plays it, or when.

        Parameters
        ----------
        epoch, shard : int
        spare : (int, int)
            Rows and columns of an image less those of a crop.

        Returns
        -------
        int64 [sample, number, (row, column, symmetry)], symmetry 0..7
        """
        shape = (int(self.sizes[shard]), self.crops_per_sample, 3)
        units = Stream(self.seed, WINDOWS, epoch, shard).units(math.prod(shape))
        choices = np.array([spare[0] + 1, spare[1] + 1, 8], dtype=np.float64)
        return (units.reshape(shape) * choices).astype(np.int64)
