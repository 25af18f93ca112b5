"""What is left to do: the shards of a job that are not committed, found one at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from datagen.commit import commit_key, commit_numbers, damage, read_commit
from datagen.corpus_file import CorpusFile
from datagen.layout import Layout
from datagen.lock import Task
from datagen.place import FolderPlace, Place
from datagen.root import DamagedError, image_shape, state_of, within_reach
from datagen.summary import Summary
from xsim import CorpusError

__all__ = ["DECISIVE", "Maker", "Worklist", "check_target"]

AHEAD = 16  # shards of an object store that are looked at together
DECISIVE = ("xsim",)  # versions that two shards of one corpus must share


@dataclass(frozen=True)
class Maker:
    """What makes the shards of a job: two makers' are not mixed in silence.

    Attributes
    ----------
    backend : str
        "cpu" or "cuda".
    versions : dict
    """

    backend: str
    versions: dict[str, str]

    def check(self, record: dict[str, Any], out: Place) -> None:
        """Refuse a store with the shard of another maker.

        Raises
        ------
        CorpusError
        """
        theirs = {key: record["versions"].get(key) for key in DECISIVE} | {"backend": record["backend"]}
        ours = {key: self.versions[key] for key in DECISIVE} | {"backend": self.backend}
        for key, value in theirs.items():
            if value != ours[key]:
                raise CorpusError(
                    f"{out} has shards made with {key} {value} (this is {ours[key]}) "
                    "choose another path, or mix them knowingly with --mix"
                )


@dataclass(frozen=True)
class Worklist:
    """The shards of a job in a store; memory does not grow with their number.

    Attributes
    ----------
    layout : Layout
    out : Place
    task : tuple of int, optional
        (i, n): the shards i, i + n, i + 2 n ...
    """

    layout: Layout
    out: Place
    task: Task | None = None

    @property
    def shards(self) -> range:
        """Numbers of the job's shards."""
        first, step = self.task or (0, 1)
        return range(first, self.layout.shards, step)

    @property
    def samples(self) -> int:
        """Number of the job's samples."""
        if self.task is None:
            return self.layout.samples
        return sum(self.layout.shard(number).count for number in self.shards)

    def missing(self, maker: Maker | None, summary: Summary) -> Iterator[int]:
        """Shards to write, in order, each looked at when it is asked for; the summary counts the others.

        Parameters
        ----------
        maker : Maker or None
            None to go on with whatever made the shards that are there.
        summary : Summary

        Raises
        ------
        CorpusError
            A shard is another maker's.
        """
        for number, record, broken in self._looked_at():
            if record is not None and not broken:
                if maker is not None:
                    maker.check(record, self.out)
                summary.keep(record)
                continue
            summary.mended += broken
            yield number

    def _looked_at(self) -> Iterator[tuple[int, dict[str, Any] | None, bool]]:
        """Every shard with its record and whether it is damaged; of object stores some are asked for ahead."""
        seen: dict[str, str] = {}  # descriptions are read once
        look = partial(_look, self.out, seen)
        if isinstance(self.out, FolderPlace):
            yield from map(look, self.shards)
            return
        with ThreadPoolExecutor(AHEAD) as pool:
            asked: deque[Future[tuple[int, dict[str, Any] | None, bool]]] = deque()
            try:
                for number in self.shards:
                    asked.append(pool.submit(look, number))
                    if len(asked) == AHEAD:
                        yield asked.popleft().result()
                while asked:
                    yield asked.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)

    def committed(self) -> Iterator[int]:
        """Shards of the job that seem to be there, in any order: records are not read."""
        return (number for number in committed_shards(self.out) if number in self.shards)

    def check_maker(self, maker: Maker) -> None:
        """Refuse another maker's store before anything is written, by one record; `missing` sees to the rest.

        Raises
        ------
        CorpusError
        """
        for number in committed_shards(self.out):
            try:
                record = read_commit(self.out, number)
            except DamagedError:
                continue  # damaged: `missing` finds and mends it
            if record is not None:
                return maker.check(record, self.out)


def _look(out: Place, seen: dict[str, str], number: int) -> tuple[int, dict[str, Any] | None, bool]:
    """A shard's number, its record where it has one, and whether that or what it says is damaged."""
    try:
        record = read_commit(out, number)
    except DamagedError:
        return number, None, True
    return number, record, record is not None and damage(out, record, seen=seen) is not None


def committed_shards(out: Place) -> Iterator[int]:
    """Numbers of the shards that have a record, without reading it."""
    for number in commit_numbers(out):
        # a folder outlives its record; an object store has no folders
        with within_reach(out):
            there = not isinstance(out, FolderPlace) or out.exists(commit_key(number))
        if there:
            yield number


def check_target(corpus: CorpusFile, out: Place) -> None:
    """Refuse a place that holds anything but this corpus or nothing.

    Raises
    ------
    CorpusError
    """
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
