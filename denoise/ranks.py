"""The processes of one training: alone, or those that torchrun started, each with a device of its own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from denoise.machine import pick_device
from xsim import BackendError

__all__ = ["Ranks", "joined"]

TOLD_BY_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Ranks:
    """One process among those that train one network.

    Attributes
    ----------
    device : torch.device
    rank, world_size : int
    """

    device: torch.device
    rank: int = 0
    world_size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def add(self, values: Iterable[Tensor]) -> None:
        """Put the sum over all processes in the place of each tensor."""
        if self.world_size > 1:
            for kind in (torch.float32, torch.float64):
                if chosen := [each for each in values if each.dtype == kind]:
                    flat = torch.cat([each.reshape(-1) for each in chosen])
                    distributed.all_reduce(flat)
                    for each, part in zip(chosen, flat.split([each.numel() for each in chosen]), strict=True):
                        each.copy_(part.view(each.shape))

    def follow(self, values: Iterable[Tensor]) -> None:
        """Put what the first process has in the place of each tensor."""
        if self.world_size > 1:
            for each in values:
                held = each.contiguous()
                distributed.broadcast(held, 0)
                each.copy_(held)

    def agreed(self, number: float) -> float:
        """The number of the first process."""
        told = torch.tensor([number], dtype=torch.float64, device=self.device)
        self.follow([told])
        return float(told)


@contextmanager
def joined(device: str = "auto") -> Iterator[Ranks]:
    """The process with its device, in company where torchrun started it.

    Parameters
    ----------
    device : str
        auto, cpu or cuda; of several processes of one machine each takes a GPU of its own.

    Raises
    ------
    BackendError
        The device is not there, or there are fewer GPUs than processes.
    """
    if not all(name in os.environ for name in TOLD_BY_TORCHRUN) or os.environ["WORLD_SIZE"] == "1":
        yield Ranks(pick_device(device))
        return
    chosen, place = pick_device(device), int(os.environ["LOCAL_RANK"])
    if chosen.type == "cuda":
        if place >= torch.cuda.device_count():
            raise BackendError(f"process {place} has no GPU (there are {torch.cuda.device_count()}) start fewer")
        chosen = torch.device("cuda", place)
        torch.cuda.set_device(chosen)
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Ranks(chosen, distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
