"""How much memory there is, and one line where it is not enough."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from xsim.errors import OutOfMemoryError

__all__ = ["GIB", "free_memory", "guarded", "out_of_memory", "require_memory"]

GIB = 1 << 30


def guarded(name: str, needed: int, read: Callable[[], np.ndarray]) -> np.ndarray:
    """Array of a reader, or one line that says how many bytes it needs.

    Raises
    ------
    OutOfMemoryError
        The machine did not give them.

    """
    try:
        return read()
    except MemoryError as error:
        raise out_of_memory(name, needed) from error


SMALLER = "crop it, or save it in a smaller type"


def require_memory(name: str, needed: int, hint: str = SMALLER) -> None:
    """Refuse what the machine has no room for; where it cannot be asked, nothing is refused.

    Raises
    ------
    OutOfMemoryError
        With the bytes needed, in GiB.

    """
    free = free_memory()
    if free is not None and needed > free:
        raise out_of_memory(name, needed, hint)


def out_of_memory(name: str, needed: int, hint: str = SMALLER) -> OutOfMemoryError:
    free = free_memory()
    have = "" if free is None else f" ({free / GIB:.1f} GiB are free)"
    return OutOfMemoryError(f"{name} needs {needed / GIB:.1f} GiB{have} {hint}")


def free_memory() -> int | None:
    """Memory that can be had without swapping, bytes (Linux), else None."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)
