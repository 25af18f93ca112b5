"""What streams of crops share: whose turn it is, batches, places to go on from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import distributed
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from datagen.crop_order import CropOrder, Run
from datagen.torch_data.crops import crop_of, stacked
from xsim import CorpusError

__all__ = ["CropStream", "OpenShard"]


class OpenShard(Protocol):
    """Samples in memory that crops are cut from."""

    scalars: dict[str, np.ndarray]  # [sample], float32; whole numbers int64, the sample's index among them

    def image(self, name: str, sample: int) -> Any:
        """An array or tensor [row, column]."""

    def close(self) -> None:
        """Nothing of it is needed any more."""


class CropStream(IterableDataset[dict[str, Any]]):
    """Batches of crops in an order that depends on the seed, the epoch and the numbers of ranks and workers alone.

    See `CorpusStream` and `SimulatedDataset`, which say what the parameters mean.
    """

    def __init__(
        self,
        order: CropOrder,
        images: Sequence[str],
        crop: tuple[int, int],
        augment: bool,
        single: bool,
        workers: int,
        rank: int | None,
        world_size: int | None,
    ) -> None:
        known = distributed.is_available() and distributed.is_initialized()
        self.rank = rank if rank is not None else distributed.get_rank() if known else 0
        self.world_size = world_size if world_size is not None else distributed.get_world_size() if known else 1
        if not 0 <= self.rank < self.world_size:
            raise CorpusError(f"rank {self.rank} is not among {self.world_size} (they count from 0)")
        if workers < 0:
            raise CorpusError(f"workers must not be negative (given {workers})")
        self.order, self.images, self.crop, self.augment, self.workers = order, tuple(images), crop, augment, workers
        self._single = single
        # epoch, first batch: in shared memory, so that workers that outlive an epoch see the next one
        self._place = torch.zeros(2, dtype=torch.int64).share_memory_()
        self._given = 0

    @abstractmethod
    def _open(self, shard: int, epoch: int) -> OpenShard:
        """Bring a shard to memory."""

    @abstractmethod
    def _shape(self, shard: int) -> tuple[int, int]:
        """Rows and columns of its images."""

    @property
    def _readers(self) -> int:
        return max(1, self.workers)

    def __len__(self) -> int:
        """Batches of a whole epoch for this rank, the same for every rank."""
        return self.order.batches(Run(self.rank, self.world_size, 0, self._readers)) * self._readers

    def set_epoch(self, epoch: int) -> None:
        """Play another epoch from now on, from its first batch."""
        self._place.copy_(torch.tensor([epoch, 0]))

    def loader(self, **options: Any) -> DataLoader[dict[str, Any]]:
        """A DataLoader with as many processes as ``workers`` says; they are forked from a server, not from here.

        Parameters
        ----------
        **options
            Further ones of ``torch.utils.data.DataLoader``, for example ``pin_memory``.
        """
        if self.workers:
            options = {"persistent_workers": True, "multiprocessing_context": "forkserver", **options}
        return DataLoader(self, batch_size=None, num_workers=self.workers, **options)

    def state_dict(self, given: int | None = None) -> dict[str, Any]:
        """Where the stream is, to be kept beside a model: JSON-able.

        Parameters
        ----------
        given : int, optional
            Batches taken in this epoch, those before `load_state_dict` included. Must be said where there are
            workers: they run ahead.

        Raises
        ------
        CorpusError
            It is not said.
        """
        if given is None and self.workers:
            raise CorpusError("workers run ahead of the training, so it must say how many batches it took: given")
        return {
            "epoch": int(self._place[0]),
            "batch": self._given if given is None else given,
            "settings": self._settings(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where ``state_dict`` was asked: the next batch is the one that came next there.

        Raises
        ------
        CorpusError
            The state is of a stream with other settings, whose order is another.
        """
        for name, value in self._settings().items():
            if (theirs := state["settings"].get(name)) != value:
                raise CorpusError(f"the stream was left with {name} = {theirs} (it has {value}) give it the same")
        self._place.copy_(torch.tensor([state["epoch"], state["batch"]]))
        self._given = state["batch"]

    def _settings(self) -> dict[str, Any]:
        order = self.order
        return {
            "samples": order.samples, "shards": len(order.sizes), "crops_per_sample": order.crops_per_sample,
            "batch": order.batch, "buffer": order.buffer, "seed": order.seed, "crop": list(self.crop),
            "augment": self.augment, "workers": self.workers, "world_size": self.world_size,
        }  # fmt: skip

    def __iter__(self) -> Iterator[dict[str, Any]]:
        told = get_worker_info()
        if (reading := told.num_workers if told else 0) != self.workers:
            raise CorpusError(f"{reading} workers read a stream made for {self.workers} (say workers = {reading})")
        epoch, start = (int(each) for each in self._place)
        self._given = start
        # the first batch asked of a loader is worker 0's, wherever the epoch is taken up
        turn = (start + (told.id if told else 0)) % self._readers
        run = Run(self.rank, self.world_size, turn, self._readers)
        if start >= len(self) > 0:
            return
        for batch in self._batches(epoch, run, (start + self._readers - 1 - turn) // self._readers):
            self._given += 1
            yield batch

    def _batches(self, epoch: int, run: Run, skip: int) -> Iterator[dict[str, Any]]:
        live: dict[int, OpenShard] = {}
        windows: dict[int, np.ndarray] = {}
        leaving: list[OpenShard] = []
        gathered: list[Any] = []
        for step in self.order.steps(epoch, run, skip):
            leaving += [live.pop(gone) for gone in live.keys() - set(step.shards)]
            for shard in step.shards:
                if shard not in live:
                    live[shard], windows[shard] = self._open(shard, epoch), self._windows(shard, epoch)
            for shard, sample, number in step.crops.tolist():
                row, column, symmetry = windows[shard][sample, number].tolist()
                gathered.append((live[shard], sample, (row, column), symmetry))
                if len(gathered) == self.order.batch:
                    yield self._batch(gathered)
                    gathered = []
                    while leaving:  # crops of the last batch may have been theirs
                        leaving.pop().close()
            for gone in windows.keys() - live.keys():
                del windows[gone]

    def _windows(self, shard: int, epoch: int) -> np.ndarray:
        """Corners and symmetries of the crops of a shard, int64 [sample, number, (row, column, symmetry)]."""
        rows, columns = self._shape(shard)
        found = self.order.windows(epoch, shard, (rows - self.crop[0], columns - self.crop[1]))
        if not self.augment:
            found[..., 2] = 0
        return found

    def _batch(self, gathered: list[Any]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name in self.images:
            cuts = [crop_of(of.image(name, sample), corner, self.crop, turn) for of, sample, corner, turn in gathered]
            made[name] = stacked(name, cuts)
        for name in gathered[0][0].scalars:
            made[name] = torch.from_numpy(np.array([of.scalars[name][sample] for of, sample, _, _ in gathered]))
        if not self._single:
            return made
        return {name: int(value[0]) if value.dtype == torch.int64 else value[0] for name, value in made.items()}
