"""Who may write to a store: one whole job, or many jobs of one split into tasks."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from datagen.place import FolderPlace, Place, Where, open_place
from xsim import CorpusError, OutputError

__all__ = ["LEASES", "LOCK", "Task", "locked", "owner", "told_task"]

LOCK = ".lock"
LEASES = ".leases"  # instead, in an object store
TASK = re.compile(r"\.lock-(\d+)-of-(\d+)")
LOOKS, LOOK_S = 5, 0.02
Task = tuple[int, int]  # (i, n): piece i of n


@contextlib.contextmanager
def locked(out: Where, task: Task | None = None) -> Iterator[None]:
    """Hold a store: against all others, or against all but the other tasks of the same split.

    In a folder the operating system lets go when the process ends, however it ends; other hosts of a shared file
    system see the locks where that has them (flock). In an object store the lock is a lease that its holder renews
    (see ``datagen.lease``).

    Parameters
    ----------
    out : path or URL
    task : (int, int), optional
        (i, n), the job that writes piece i of n. Jobs of different i and the same n may hold a store at once.

    Raises
    ------
    CorpusError
        Where another job holds it; the message says who.
    OutputError
        Where the lock cannot be written.
    """
    place = open_place(out)
    if not isinstance(place, FolderPlace):
        from datagen.lease import leased

        with leased(place, task):
            yield
        return
    with contextlib.ExitStack() as held:
        if task is None:
            held.enter_context(_file_lock(place, LOCK, fcntl.LOCK_EX, None))
        else:
            held.enter_context(_file_lock(place, LOCK, fcntl.LOCK_SH, task))
            held.enter_context(_file_lock(place, f".lock-{task[0]}-of-{task[1]}", fcntl.LOCK_EX, task))
            for name, theirs in _holders(place, but=task[1]):
                raise busy(place, f"{_reader(place.root / name)}, {told_task(theirs)}", told_task(task))
        yield


def owner() -> str:
    """The present process, as another job's message names it."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def told_task(task: Task | None) -> str:
    """A task in words."""
    return "the whole job" if task is None else f"task {task[0]}/{task[1]}"


def busy(place: Place, who: str, asked: str) -> CorpusError:
    """What to say to a second job."""
    why = "one job at a time" if asked == told_task(None) else f"{asked} goes beside other tasks of that split only"
    return CorpusError(f"{place} is being written by {who} ({why}) wait for it or stop it")


@contextlib.contextmanager
def _file_lock(place: FolderPlace, name: str, kind: int, task: Task | None) -> Iterator[None]:
    path = place.root / name
    for turn in itertools.count():
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise OutputError(f"cannot write to {place} ({error.strerror}) choose another place") from None
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            if turn < LOOKS:  # one that looks whether it is held, or is letting go, is gone in a moment
                time.sleep(LOOK_S)
                continue
            raise busy(place, _who(place, path), told_task(task)) from None
        except OSError as error:
            os.close(handle)
            raise OutputError(f"cannot lock {path} ({error.strerror}) choose a file system with locks") from None
        if _still_there(handle, path):
            break
        os.close(handle)  # its last owner removed it between our opening and locking it
    try:
        if kind == fcntl.LOCK_EX:
            os.ftruncate(handle, 0)
            os.write(handle, owner().encode())
        yield
    finally:
        _let_go(handle, path, kind)


def _let_go(handle: int, path: Path, kind: int) -> None:
    """Remove the file, unless others share it."""
    try:
        if kind == fcntl.LOCK_SH:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _still_there(handle, path):
            path.unlink(missing_ok=True)
    except OSError:
        return  # shared, or on a disk that went away: a file that nobody holds is no lock
    finally:
        os.close(handle)


def _who(place: FolderPlace, path: Path) -> str:
    """Owner of a lock: of the tasks that share it one, with the number of the others."""
    tasks = list(_holders(place)) if path.name == LOCK else []
    if not tasks:
        return _reader(path)
    name, task = tasks[0]
    others = f" and {len(tasks) - 1} other tasks" if len(tasks) > 1 else ""
    return f"{_reader(place.root / name)}, {told_task(task)}{others}"


def _reader(path: Path) -> str:
    try:
        return path.read_text(errors="replace")[:200].strip() or "another process"
    except OSError:
        return "another process"


def _holders(place: FolderPlace, but: int = 0) -> Iterator[tuple[str, Task]]:
    """Task locks that living jobs hold, but for those of a split into so many."""
    for name in place.children():
        found = TASK.fullmatch(name)
        if found is None or int(found[2]) == but:
            continue
        try:
            handle = os.open(place.root / name, os.O_RDWR)
        except OSError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            yield name, (int(found[1]), int(found[2]))
        except OSError:
            continue
        finally:
            os.close(handle)


def _still_there(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
