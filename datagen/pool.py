"""Shards written by a pool of processes of this machine, one per GPU where there are GPUs."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import chain, islice
from multiprocessing.connection import wait as wait_for
from typing import Any

from datagen.job import Job, StoppedError, Tick, run_here
from xsim import CorpusError, OutputError, XsimError

__all__ = ["GRACE_S", "run_pool", "start_worker"]

POLL_S = 0.25
GRACE_S = 15.0  # a stopped worker may take for the sample at hand; then it ends anyway
ALONE_S = 3.0  # the same, where the worker alone was asked to end
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_pool(
    job: Job, shards: Iterator[int], tick: Tick, workers: int, devices: Sequence[str]
) -> Generator[dict[str, Any]]:
    """Write shards in processes of their own, giving the commit record of each as it is finished.

    Parameters
    ----------
    job : Job
    shards : iterator of int
        Asked for a few ahead: memory does not grow with their number.
    tick : callable
    workers : int
    devices : sequence of str
        CUDA devices, as CUDA_VISIBLE_DEVICES names them; process k sees the one at ``k % len(devices)`` alone.

    Raises
    ------
    CorpusError
        A process died.
    XsimError
        What `write_shard` raises.
    """
    few = list(islice(shards, 2))
    if len(few) < 2:
        yield from run_here(job, iter(few), tick)
        return
    with _lost_worker():
        yield from _pooled(job, chain(few, shards), tick, workers, devices)


def _pooled(
    job: Job, shards: Iterator[int], tick: Tick, workers: int, devices: Sequence[str]
) -> Generator[dict[str, Any]]:
    context = multiprocessing.get_context("spawn")
    # nothing here has a lock, except for taking a place: a process that is killed holds up nobody
    taken, stop, done = context.Value("q", 0), context.RawValue("b", 0), context.RawArray("q", workers)
    shared = (job, tuple(devices), taken, stop, done)
    with ProcessPoolExecutor(workers, context, initializer=start_worker, initargs=shared) as pool:
        running, told = set[Future[dict[str, Any]]](), 0
        try:
            while True:
                while len(running) < 2 * workers and (upcoming := next(shards, None)) is not None:
                    with _signals_held():
                        running.add(pool.submit(_work, upcoming))
                if not running:
                    return
                finished, running = wait(running, POLL_S, FIRST_COMPLETED)
                tick(sum(done) - told)
                told = sum(done)
                yield from (future.result() for future in finished)
        finally:
            stop.value = 1
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _lost_worker() -> Iterator[None]:
    try:
        yield
    except (BrokenProcessPool, StoppedError):
        raise CorpusError(
            "a worker process died (killed, or out of memory?) finished shards are kept, run it again"
        ) from None
    except XsimError:
        raise
    except OSError as error:
        raise OutputError(
            f"cannot start worker processes ({error.strerror or error}) make room for temporary files"
        ) from None


@contextmanager
def _signals_held() -> Iterator[None]:
    """Keep a process that is being started from being interrupted: it inherits the mask."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Worker:
    """State of a worker process."""

    def __init__(self, job: Job, place: int, stop: Any, done: Any) -> None:
        self.job, self.place, self.stop, self.done = job, place, stop, done
        self.asked = False
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to stop
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # for the watching thread to take
        threading.Thread(target=self._watch, daemon=True).start()

    def tick(self) -> None:
        if self.stop.value or self.asked:
            raise StoppedError
        self.done[self.place] += 1

    def _watch(self) -> None:
        """End this process after the parent (its lock is gone, another job may be writing), or soon after a stop."""
        parent = multiprocessing.parent_process()
        deadline = float("inf")
        while time.monotonic() < deadline:
            self.asked |= signal.sigtimedwait([signal.SIGTERM], POLL_S) is not None
            if parent is not None and wait_for([parent.sentinel], 0):
                break
            if self.stop.value or self.asked:
                deadline = min(deadline, time.monotonic() + (GRACE_S if self.stop.value else ALONE_S))
        os._exit(1)


_worker: _Worker | None = None


def start_worker(job: Job, devices: Sequence[str], taken: Any, stop: Any, done: Any) -> None:
    """Make this process a worker: the device that it sees is chosen before CUDA is."""
    global _worker
    with taken.get_lock():
        place = taken.value
        taken.value += 1
    if devices:
        os.environ["CUDA_VISIBLE_DEVICES"] = devices[place % len(devices)]
    _worker = _Worker(job, place, stop, done)


def _work(number: int) -> dict[str, Any]:
    assert _worker is not None
    return _worker.job.write(number, _worker.tick)
