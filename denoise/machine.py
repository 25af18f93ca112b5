"""Which device torch computes on, at which precision, and how its CPU threads share the work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch

from xsim import BackendError

__all__ = ["one_thread_each", "pick_device", "pick_precision", "random_numbers", "repeatable"]


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


def pick_precision(name: str, device: torch.device, sees_level: bool = False) -> torch.dtype:
    """Type that convolutions are computed in: "float32", "bfloat16", or "auto", bfloat16 on a GPU that has it.

    Not for a network that sees the level: it carries it through its layers, and bfloat16 has too few digits for it.
    """
    if name == "auto" and sees_level:
        return torch.float32
    if name == "auto":
        good = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if good else torch.float32
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def random_numbers(*words: int) -> torch.Generator:
    """Generator on the CPU for a place in a training; other words, none of them negative, give other numbers."""
    seed = np.random.SeedSequence(words).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(seed))


@contextmanager
def repeatable(wanted: bool) -> Iterator[None]:
    """With algorithms alone that give the same bits again, where wanted; torch's choices are as before afterwards."""
    if not wanted:
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS begins
    library = torch.backends.cudnn
    before = torch.are_deterministic_algorithms_enabled(), library.deterministic, library.benchmark
    torch.use_deterministic_algorithms(True)
    library.deterministic, library.benchmark = True, False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        library.deterministic, library.benchmark = before[1:]
