"""Shards written by the workers of a dask.distributed cluster, which share the place of the store."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
import uuid
import warnings
from collections.abc import Generator, Iterator
from typing import Any

from distributed import CancelledError, Client, Future, KilledWorker, get_worker

from datagen.commit import damage, versions
from datagen.job import Job, StoppedError, Tick
from xsim import CorpusError, XsimError

__all__ = ["run_cluster"]

POLL_S = 0.5
COUNT_S = 5.0  # between two counts of the workers
CONNECT_S = 20.0
NO_WORKERS_S = 120.0  # a cluster may be without any for so long
GRACE_S = 15.0  # a stopped shard may take for the sample at hand
MOST_LOSSES = 3  # times that a shard is submitted again, each after as many lost workers as the scheduler allows


def run_cluster(job: Job, shards: Iterator[int], tick: Tick, address: str) -> Generator[dict[str, Any]]:
    """Write shards on a cluster, giving the commit record of each as it is finished.

    Parameters
    ----------
    job : Job
    shards : iterator of int
        Asked for a few ahead: memory does not grow with their number.
    tick : callable
    address : str
        Of the scheduler, "tcp://HOST:PORT".

    Raises
    ------
    CorpusError
        No scheduler, no workers, or a shard whose workers die again and again.
    XsimError
        What `write_shard` raises.
    """
    with _quiet(), _connected(address) as client:
        cluster = _Cluster(client, address, job)
        try:
            while True:
                while cluster.hungry and (upcoming := next(shards, None)) is not None:
                    cluster.submit(upcoming)
                if not cluster.running:
                    return
                tick(0)
                if (record := cluster.finished()) is not None:
                    tick(record["samples"])
                    yield record
        finally:
            cluster.stop()


class _Cluster:
    """The shards that are on their way through a cluster."""

    def __init__(self, client: Client, address: str, job: Job) -> None:
        self.client, self.address, self.job = client, address, job
        self.token = uuid.uuid4().hex
        self.version = versions()["xsim"]
        self.running: dict[Future, tuple[int, int]] = {}  # number of the shard, how often it was lost
        self._ended: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._workers, self._counted, self._seen = 0, float("-inf"), time.monotonic()

    @property
    def hungry(self) -> bool:
        """Whether the workers can take another shard: two each, so that none waits for us."""
        if time.monotonic() - self._counted > COUNT_S:
            self._count_workers()
        return len(self.running) < 2 * max(1, self._workers)

    def _count_workers(self) -> None:
        try:
            threads = self.client.nthreads()
        except (OSError, TimeoutError) as error:
            raise CorpusError(f"the scheduler at {self.address} is gone ({_told(error)}) run it again") from None
        now = time.monotonic()
        if not self._workers and any(count > 1 for count in threads.values()):
            warnings.warn(
                "workers with several threads write one shard at a time, start them with --nthreads 1", stacklevel=2
            )
        self._workers, self._counted = len(threads), now
        if threads:
            self._seen = now
        elif now - self._seen > NO_WORKERS_S:
            raise CorpusError(
                f"the cluster at {self.address} has no workers (for {NO_WORKERS_S:.0f} s) start some with: "
                f"dask worker {self.address} --nthreads 1"
            )

    def submit(self, number: int, losses: int = 0) -> None:
        """Give a shard to the cluster."""
        key = f"datagen-{self.token}-{number}-{losses}"
        future = self.client.submit(_write, self.job, number, self.token, self.version, key=key, pure=False)
        self.running[future] = number, losses
        future.add_done_callback(self._ended.put)

    def finished(self) -> dict[str, Any] | None:
        """Commit record of a shard that has ended; None where none has, or its worker was lost."""
        try:
            future = self._ended.get(timeout=POLL_S)
        except queue.Empty:
            return None
        number, losses = self.running.pop(future)
        try:
            record = dict(future.result())
            if not losses or damage(self.job.out, record) is None:
                return record
            reason = "two workers had it"
        except (KilledWorker, CancelledError, StoppedError) as error:
            reason = type(error).__name__
        except XsimError:
            raise
        except Exception as error:
            raise CorpusError(
                f"a worker could not write shard {number} ({type(error).__name__}: {_told(error)})"
            ) from None
        if losses == MOST_LOSSES:
            raise CorpusError(
                f"shard {number} lost its worker {losses + 1} times ({reason}; out of memory?) finished shards are "
                "kept, run it again"
            )
        self.submit(number, losses + 1)
        return None

    def stop(self) -> None:
        """Take back what is on its way, and wait a while for what is being written."""
        if not self.running:
            return
        deadline = time.monotonic() + GRACE_S
        with contextlib.suppress(OSError, TimeoutError, CancelledError):
            self.client.cancel(list(self.running), force=True)
            while time.monotonic() < deadline:
                if not any(self.client.run(_is_writing, self.token, on_error="ignore").values()):
                    return
                time.sleep(POLL_S / 5)


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Client]:
    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False, name="datagen")
    except (OSError, TimeoutError, ValueError) as error:
        raise CorpusError(f"no dask scheduler at {address} ({_told(error)}) start one with: dask scheduler") from None
    with client:
        yield client


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep dask from logging what we tell in one line."""
    names = [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "distributed"]
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _told(error: Exception) -> str:
    """An exception of dask in a few words."""
    return " ".join(str(error).split())[:200] or type(error).__name__


# in the workers

_turn = threading.Lock()  # recording warnings is not for two threads at a time
_writing: list[str] = []


def _write(job: Job, number: int, token: str, version: str) -> dict[str, Any]:
    """Write a shard, as long as its driver wants it."""
    worker = get_worker()
    key = worker.get_current_task()
    if (mine := versions()["xsim"]) != version:
        raise CorpusError(f"worker {worker.address} has xsim {mine} (this is {version}) install the same everywhere")

    def tick() -> None:
        task = worker.state.tasks.get(key)
        if task is None or task.state == "cancelled":
            raise StoppedError

    with _turn:
        tick()
        _writing.append(token)
        try:
            return job.write(number, tick)
        finally:
            _writing.remove(token)


def _is_writing(token: str) -> bool:
    return token in _writing
