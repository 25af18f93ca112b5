"""Leases: the locks of a store in an object store.

A job puts an object ``.leases/JOB-ID`` where there is none, and looks which others are there: of two that exclude each
other and come at once, neither goes on. The holder writes its object again every `BEAT_S`; one that has not been
written for `STALE_S`, by the clock of the object store, is of a job that died, and is removed. A job that stood still
for so long may find another at work: both write the same bytes, for a shard is a function of the corpus alone.
"""

from __future__ import annotations

import contextlib
import re
import threading
import uuid
from collections.abc import Iterator

from datagen.lock import LEASES, Task, busy, owner, told_task
from datagen.object_place import ObjectPlace
from datagen.place import Place
from xsim import CorpusError, OutputError

__all__ = ["BEAT_S", "STALE_S", "leased"]

BEAT_S = 20.0
STALE_S = 120.0
NAME = re.compile(r"(?:whole|task-(\d+)-of-(\d+))-[0-9a-f]{32}")


@contextlib.contextmanager
def leased(place: Place, task: Task | None) -> Iterator[None]:
    """Hold a store that lies in an object store; see ``datagen.lock.locked``."""
    assert isinstance(place, ObjectPlace)
    kind = "whole" if task is None else f"task-{task[0]}-of-{task[1]}"
    key = f"{LEASES}/{kind}-{uuid.uuid4().hex}"
    try:
        place.create(key, owner().encode())
    except OSError as error:
        raise OutputError(f"cannot write to {place} ({error.strerror or error}) choose another place") from None
    ended = threading.Event()
    beat = threading.Thread(target=_renew, args=(place, key, ended), daemon=True)
    try:
        _refuse_beside(place, key, task)
        beat.start()
        yield
    finally:
        ended.set()
        if beat.is_alive():
            beat.join()  # or its last renewal would come after the removal
        with contextlib.suppress(OSError):
            place.delete(key)


def _refuse_beside(place: ObjectPlace, key: str, task: Task | None) -> None:
    """Raise where a living job holds the store against this one; remove the leases of dead ones."""
    try:
        now = place.modified(key)
        for name in place.children(LEASES):
            other, found = f"{LEASES}/{name}", NAME.fullmatch(name)
            if other == key or found is None:
                continue
            theirs = (int(found[1]), int(found[2])) if found[1] else None
            with contextlib.suppress(FileNotFoundError):  # its job has just ended
                if (now - place.modified(other)).total_seconds() > STALE_S:
                    place.delete(other)
                elif task is None or theirs is None or task[1] != theirs[1] or task[0] == theirs[0]:
                    who = place.read(other).decode(errors="replace")[:200]
                    raise busy(place, f"{who}, {told_task(theirs)}", told_task(task))
    except OSError as error:
        raise CorpusError(f"cannot ask who writes to {place} ({error.strerror or error}) run it again") from None


def _renew(place: ObjectPlace, key: str, ended: threading.Event) -> None:
    while not ended.wait(BEAT_S):
        with contextlib.suppress(OSError):  # the next beat tries again; STALE_S is several of them
            place.write(key, owner().encode())
