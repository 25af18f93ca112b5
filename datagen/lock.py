"""One job at a time on a store."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from datagen.store import LOCK
from xsim import CorpusError, OutputError

__all__ = ["locked"]


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold the store; the operating system lets go when the process ends, however it ends.

    Raises
    ------
    CorpusError
        Where another job holds it; the message says who.
    OutputError
        Where the lock file cannot be written.
    """
    path = out / LOCK
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise OutputError(f"cannot write to {out} ({error.strerror}) choose another place") from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(handle, 200).decode(errors="replace").strip() or "another process"
            os.close(handle)
            raise CorpusError(f"{out} is being written by {owner} (one job at a time) wait for it or stop it") from None
        except OSError as error:
            os.close(handle)
            raise OutputError(f"cannot lock {path} ({error.strerror}) choose a file system with locks") from None
        if _still_there(handle, path):
            break
        os.close(handle)  # its last owner removed it between our opening and locking it
    try:
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _still_there(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
