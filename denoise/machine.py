"""Which device torch computes on, and how its CPU threads share the work."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

from xsim import BackendError

__all__ = ["one_thread_each", "pick_device"]


def pick_device(name: str = "auto") -> torch.device:
    """Device by name: "auto", "cpu", "cuda", "cuda:1".

    Raises
    ------
    BackendError
        It is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split())[:120]
        raise BackendError(f"device {name!r} cannot be used ({reason}) choose cpu") from None
    return device


@contextmanager
def one_thread_each(jobs: int) -> Iterator[ThreadPoolExecutor]:
    """A pool for so many jobs at once, while every torch operation keeps to the thread that calls it.

    torch would put all cores into each operation and have them wait for each other after it; on cores that others use
    too, that wait is a time slice, several times longer than the operation.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(max(1, min(jobs, before))) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)
