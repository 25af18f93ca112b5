"""How a command ends when it is told to: in order, within a stated time, or at once."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Iterator

__all__ = ["ending"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)
LIMIT_S = 25.0  # from the first signal to the end
STOPPED = 130  # exit code
# a worker that is killed leaves a lock of numcodecs, which multiprocessing removes and would tell of in two lines
LEAKS = "ignore:resource_tracker"
LATE = "datagen: ended without waiting (finished shards are kept) the same command goes on from there\n"


@contextlib.contextmanager
def ending() -> Iterator[None]:
    """End the process a while after a first SIGINT or SIGTERM if that is not yet done, and at once after a second.

    The signals are seen by a thread, so that a main thread inside a long call cannot hold them up. For commands:
    the process that it ends is the whole program. Only in the main thread; elsewhere it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard, told = socket.socketpair()
    told.setblocking(False)
    before = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    once = itertools.count()

    def interrupt(_signal: int, _frame: object) -> None:
        if next(once) == 0:  # the second is for the thread
            raise KeyboardInterrupt

    handlers = {number: signal.signal(number, interrupt) for number in SIGNALS}
    threading.Thread(target=_watch, args=(heard,), daemon=True).start()
    warnings = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (warnings, LEAKS)))
    try:
        yield
    finally:
        os.environ.pop("PYTHONWARNINGS")
        if warnings is not None:
            os.environ["PYTHONWARNINGS"] = warnings
        signal.set_wakeup_fd(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        told.close()


def _watch(heard: socket.socket) -> None:
    """Wait for two signals, or for one and the time after it; the other end is closed when all is done."""
    with heard:
        for _ in range(2):
            try:
                number = heard.recv(1)
                while number and number[0] not in SIGNALS:
                    number = heard.recv(1)
            except TimeoutError:
                break
            if not number:
                return
            heard.settimeout(LIMIT_S)
    for child in multiprocessing.active_children():
        child.kill()
    os.write(2, LATE.encode())
    os._exit(STOPPED)
