"""What each process of a job has to know to write a shard, and writing shards in this process."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

from datagen.corpus_file import CorpusFile
from datagen.shard import write_shard

__all__ = ["Job", "StoppedError", "Tick", "run_here"]

Tick = Callable[[int], None]  # takes how many samples were finished since it was called last


class StoppedError(Exception):
    """The job was asked to end; shards not committed are left for the next run."""


@dataclass(frozen=True)
class Job:
    """A corpus, where it goes, and what simulates it.

    Attributes
    ----------
    corpus : CorpusFile
    out : str
    backend : {"cpu", "cuda"}
    """

    corpus: CorpusFile
    out: str
    backend: str

    def write(self, number: int, tick: Callable[[], None]) -> dict[str, Any]:
        """Write a shard and return its commit record."""
        return write_shard(self.corpus, self.out, number, self.backend, tick)


def run_here(job: Job, shards: Iterator[int], tick: Tick) -> Generator[dict[str, Any]]:
    """Write shards one after the other in this process, giving the commit record of each."""
    for number in shards:
        yield job.write(number, lambda: tick(1))
