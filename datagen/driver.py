"""Generating a corpus: which shards are missing, and a pool of processes that writes them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for
from types import FrameType
from typing import Any

from tqdm import tqdm

from datagen.cards import update_cards, write_cards
from datagen.commit import damage, read_commit, versions
from datagen.corpus_file import CorpusFile, load_corpus
from datagen.layout import Layout
from datagen.lock import locked
from datagen.place import Place, open_place
from datagen.scenes import check_corpus
from datagen.shard import write_shard
from datagen.store import create_store, image_shape, state_of
from xsim import CorpusError

__all__ = ["Summary", "generate"]

POLL_S = 0.25
DECISIVE = ("xsim",)  # versions that two shards of one corpus must share


@dataclass
class Summary:
    """What `generate` did.

    Attributes
    ----------
    samples, shards : int
        Of the whole corpus.
    written, kept, mended : int
        Shards written now, found committed, and found damaged (written again).
    redrawn, warnings : int
        Draws that failed, and scenes with warnings, in the shards written now.
    first_warning : str
    seconds : float
    """

    samples: int
    shards: int
    written: int = 0
    kept: int = 0
    mended: int = 0
    redrawn: int = 0
    warnings: int = 0
    first_warning: str = ""
    seconds: float = 0.0

    def count(self, record: dict[str, Any]) -> None:
        """Add the commit record of a shard just written."""
        self.written += 1
        self.redrawn += len(record["redrawn"])
        self.warnings += record["warnings"]
        if record["notes"] and not self.first_warning:
            self.first_warning = record["notes"][0]["warning"]


class StoppedError(Exception):
    """The job was asked to end; shards not committed are left for the next run."""


def generate(
    corpus_path: str | os.PathLike[str],
    out_path: str | os.PathLike[str],
    workers: int = 1,
    backend: str = "cpu",
    progress: bool = True,
    mix: bool = False,
) -> Summary:
    """Generate a corpus, or the rest of one: committed shards are kept.

    Parameters
    ----------
    corpus_path : path or "phantom:NAME"
    out_path : path
        Where the zarr group is or shall be.
    workers : int
        Processes. The bytes do not depend on it. More than one start afresh ("spawn"), so a script that calls this
        needs the usual ``if __name__ == "__main__":``.
    backend : {"cpu", "cuda", "auto"}
    progress : bool
        Whether to show a bar on stderr.
    mix : bool
        Whether to add to shards that another backend or version has made.

    Raises
    ------
    CorpusError
        The corpus file is wrong, the path holds something else or is in use, or a scene cannot be made.
    OutputError
        The path cannot be written.
    """
    begin = time.monotonic()
    if workers < 1:
        raise CorpusError(f"workers must be at least 1 (given {workers})")
    corpus, out = load_corpus(corpus_path), open_place(out_path)
    _check_target(corpus, out)
    check_corpus(corpus)
    if state_of(out)[0] == "nothing":
        create_store(corpus, out)
    layout = Layout(corpus)
    summary = Summary(layout.samples, layout.shards)
    with locked(out):
        missing = _missing(corpus, layout, out, backend, mix, summary)
        done = layout.samples - sum(layout.shard(number).count for number in missing)
        bar = tqdm(
            total=layout.samples, initial=done, unit="sample", desc=corpus.header.name, disable=not progress,
            mininterval=0.5 if sys.stderr.isatty() else 10.0, dynamic_ncols=True,
        )  # fmt: skip
        with bar, _terminable():
            if missing:
                _run(corpus, out, missing, min(workers, len(missing)), backend, bar, summary)
        write_cards(corpus, out)
        update_cards(out)
    summary.seconds = time.monotonic() - begin
    return summary


def _check_target(corpus: CorpusFile, out: Place) -> None:
    state, description = state_of(out)
    if state == "other":
        raise CorpusError(f"{out} holds something else (not a corpus) choose another path")
    if state == "corpus" and description.get("corpus_sha256") != corpus.sha256:
        name = description.get("name")
        raise CorpusError(
            f"{out} holds another corpus (named {name!r}, or this one before its file was changed) choose another path"
        )
    for each in corpus.formats if state == "corpus" else ():
        if (held := image_shape(out, each.name)) != (each.rows, each.columns):
            raise CorpusError(
                f"{out} holds {each.name} images of {held or 'no size'}, not of {(each.rows, each.columns)} "
                "(an earlier version made it) choose another path"
            )


def _missing(corpus: CorpusFile, layout: Layout, out: Place, backend: str, mix: bool, summary: Summary) -> list[int]:
    missing = []
    for number in range(layout.shards):
        try:
            record = read_commit(out, number)
        except CorpusError:
            record, broken = None, True
        else:
            broken = record is not None and damage(out, record) is not None
        if record is None or broken:
            missing.append(number)
            summary.mended += broken
            continue
        summary.kept += 1
        if not mix:
            _check_maker(record, backend, out)
    return missing


def _check_maker(record: dict[str, Any], backend: str, out: Place) -> None:
    now = versions()
    theirs = {key: record["versions"].get(key) for key in DECISIVE} | {"backend": record["backend"]}
    ours = {key: now[key] for key in DECISIVE} | {"backend": record["backend"] if backend == "auto" else backend}
    for key, value in theirs.items():
        if value != ours[key]:
            raise CorpusError(
                f"{out} has shards made with {key} {value} (this is {ours[key]}) "
                "choose another path, or mix them knowingly with --mix"
            )


def _run(
    corpus: CorpusFile, out: Place, missing: list[int], workers: int, backend: str, bar: tqdm, summary: Summary
) -> None:
    if workers == 1:
        for number in missing:
            summary.count(write_shard(corpus, out, number, backend, lambda: bar.update() and None))
        return
    context = multiprocessing.get_context("spawn")
    counter, stop = context.Value("q", 0), context.Event()
    shared = (corpus, str(out), backend, counter, stop)
    with ProcessPoolExecutor(workers, context, initializer=_start_worker, initargs=shared) as pool:
        # a few shards in the queue at a time: the memory needed does not grow with the corpus
        waiting, running = iter(missing), set[Future[dict[str, Any]]]()
        begun = bar.n
        try:
            while True:
                while len(running) < 2 * workers and (upcoming := next(waiting, None)) is not None:
                    running.add(pool.submit(_work, upcoming))
                if not running:
                    break
                finished, running = wait(running, POLL_S, FIRST_COMPLETED)
                for future in finished:
                    summary.count(future.result())
                bar.update(begun + counter.value - bar.n)
        except BrokenProcessPool:
            raise CorpusError(
                "a worker process died (killed, or out of memory?) finished shards are kept, run it again"
            ) from None
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


_worker: dict[str, Any] = {}


def _start_worker(corpus: CorpusFile, out: str, backend: str, counter: Any, stop: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to stop
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()

    def tick() -> None:
        if stop.is_set():
            raise StoppedError
        with counter.get_lock():
            counter.value += 1

    _worker.update(corpus=corpus, out=out, backend=backend, tick=tick)


def _end_with(sentinel: int) -> None:
    """End this process when its parent has: the parent's lock is gone and another job may be writing."""
    wait_for([sentinel])
    os._exit(1)


def _work(number: int) -> dict[str, Any]:
    return write_shard(_worker["corpus"], _worker["out"], number, _worker["backend"], _worker["tick"])


def _terminable() -> AbstractContextManager[Any]:
    """Let SIGTERM end the job as Ctrl-C does, where this is the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return nullcontext()
    return _Terminable()


class _Terminable:
    def __enter__(self) -> None:
        self._before: Callable[[int, FrameType | None], Any] | int | None = signal.signal(signal.SIGTERM, self._stop)

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, self._before)

    @staticmethod
    def _stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt
