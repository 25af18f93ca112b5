"""The one place that knows the machine: loads the kernels and runs them on the CPU or on a CUDA device.

One kernel source serves both. On the CPU it is a library per x86-64 level, picked at load and called through
ctypes from a pool of threads; on a GPU it is one string, compiled by NVRTC through ``cupy.RawModule``.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, Protocol

import numpy as np

from xsim.errors import BackendError
from xsim.host import Turns, best_cpu_level, load_library
from xsim.kernel_arguments import address, pack_arguments
from xsim.resources import package_directory
from xsim.scratch import Scratch

CUDA_OPTIONS = ("--std=c++17", "--fmad=false")
CUDA_THREADS = 128
CUDA_BATCH = 1 << 21  # pixels at work at a time
SPAN = 16  # rows of a CPU tile's scratch are this much longer: XSIM_SPAN


def kernel_source() -> str:
    """All kernel headers as one string, each included once, with ``#line`` marks."""
    root, seen = package_directory("_kernels"), set[str]()

    def read(name: str) -> str:
        if name in seen:
            return ""
        seen.add(name)
        lines = []
        for number, line in enumerate((root / name).read_text().splitlines(), 1):
            include = re.match(r'#include "(.+)"', line)
            if include:
                lines.append(read(include[1]) + f'#line {number + 1} "{name}"')
            elif not line.startswith("#pragma once"):
                lines.append(line)
        return f'#line 1 "{name}"\n' + "\n".join(lines) + "\n"

    return read("xsim.h")


class Backend(Protocol):
    """A machine that runs kernels over work items.

    Attributes
    ----------
    name : str
        "cpu" or "cuda".
    xp : module
        The array library of its memory: numpy or cupy.
    lanes : int
        Neighbouring pixels per item in pixelwise kernels.
    pixel_major : bool
        Whether a projection's work item is a pixel (GPU) or a tile (CPU).
    tile_shape : tuple of int
        Rows and columns of a tile.
    blank : Scratch
        Images of zeros that a projection seldom writes to.

    """

    name: str
    xp: Any
    lanes: int
    pixel_major: bool
    tile_shape: tuple[int, int]
    blank: Scratch

    def launch(self, kernel: str, items: int, /, *, begin: int = 0, grain: int = 1, **arguments: Any) -> None:
        """Run ``kernel`` over the work items [begin, items), a thread taking ``grain`` of them at the least."""

    def launch_tiles(self, kernel: str, tiles: int, rows: tuple[int, int], **arguments: Any) -> None:
        """Run a kernel over tiles with scratch: ``rows`` numbers of float32 and of int32 for every pixel at work."""

    def to_numpy(self, array: Any) -> np.ndarray:
        """Copy of an array in host memory (the array itself on the CPU)."""

    def constant(self, array: np.ndarray) -> Any:
        """An array that never changes, in the backend's memory; moved there once while the host array lives."""


class CpuBackend:
    """The host library of one x86-64 level, run by a pool of threads.

    Blocks of items go to whichever thread is free, counted in the library: Python is not asked between them. Every
    item writes its own output only, so the result does not depend on the number of threads.
    """

    name = "cpu"
    xp: Any = np
    lanes = 64
    pixel_major = False
    tile_shape = (64, 128)

    def __init__(self, threads: int | None = None, level: str | None = None) -> None:
        self.level = level or os.environ.get("XSIM_CPU_LEVEL") or best_cpu_level()
        self.threads = threads or int(os.environ.get("XSIM_THREADS", 0)) or available_cores()
        self._scratch, self.blank = Scratch(np), Scratch(np)
        self._library = load_library(self.level)

    def launch(self, kernel: str, items: int, /, *, begin: int = 0, grain: int = 1, **arguments: Any) -> None:
        record = pack_arguments(kernel, arguments)
        block = max(grain, -(-(items - begin) // (16 * self.threads)))
        function, turns = getattr(self._library, kernel), Turns(begin, items, block)
        self._share(lambda: function(address(record), *turns.arguments), turns.count)

    def launch_tiles(self, kernel: str, tiles: int, rows: tuple[int, int], **arguments: Any) -> None:
        stride = self.tile_shape[0] * (self.tile_shape[1] + SPAN)
        sample = pack_arguments(kernel, {**arguments, "floats": None, "integers": None, "stride": stride})
        function, turns = getattr(self._library, kernel), Turns(0, tiles, 1)

        def work() -> None:
            blocks = self._scratch.take(rows[0] * stride, rows[1] * stride)
            record = sample.copy()
            record["floats"], record["integers"] = address(blocks[0]), address(blocks[1])
            function(address(record), *turns.arguments)
            self._scratch.put_back(blocks)

        self._share(work, turns.count)

    def _share(self, work: Callable[[], None], turns: int) -> None:
        """Have no more threads than turns do the work together; the caller is one of them."""
        helpers = [thread_pool(self.threads).submit(work) for _ in range(min(self.threads, turns) - 1)]
        try:
            if turns:
                work()
        finally:
            wait(helpers)  # what they write to outlives them
        for helper in helpers:
            helper.result()

    def to_numpy(self, array: Any) -> np.ndarray:
        return np.asarray(array)

    def constant(self, array: np.ndarray) -> Any:
        return np.ascontiguousarray(array)


class CudaBackend:
    """The same kernels on the current CUDA device, in the current stream.

    Threads that have streams of their own (``with cupy.cuda.Stream(non_blocking=True):``) have several images in
    flight.
    """

    name = "cuda"
    lanes = 1
    pixel_major = True
    tile_shape = (16, 16)

    def __init__(self) -> None:
        try:
            import cupy
        except ImportError as error:
            raise BackendError(f"no CUDA backend ({error}) install the extra: pip install 'xsim[cuda]'") from error
        try:
            if cupy.cuda.runtime.getDeviceCount() == 0:
                raise BackendError("no CUDA device (none found) use backend='cpu'")
        except cupy.cuda.runtime.CUDARuntimeError as error:
            raise BackendError(f"no CUDA device ({error}) use backend='cpu'") from error
        self.xp: Any = cupy
        self._scratch, self.blank = (Scratch(cupy, lambda: cupy.cuda.get_current_stream().ptr) for _ in range(2))
        self._constants: dict[int, Any] = {}
        self._module = cupy.RawModule(code=kernel_source(), options=CUDA_OPTIONS, backend="nvrtc")

    def launch(self, kernel: str, items: int, /, *, begin: int = 0, grain: int = 1, **arguments: Any) -> None:
        if items <= begin:
            return
        record = self.xp.asarray(pack_arguments(kernel, arguments).reshape(1).view(np.uint8))
        blocks = min(-(-(items - begin) // CUDA_THREADS), 1 << 20)
        function = self._module.get_function(kernel)
        function((blocks,), (CUDA_THREADS,), (record, np.int64(begin), np.int64(items)))

    def launch_tiles(self, kernel: str, tiles: int, rows: tuple[int, int], **arguments: Any) -> None:
        items = tiles * self.tile_shape[0] * self.tile_shape[1]
        stride = min(items, CUDA_BATCH)
        floats, integers = blocks = self._scratch.take(rows[0] * stride, rows[1] * stride)
        for begin in range(0, items, CUDA_BATCH):
            self.launch(
                kernel, min(begin + CUDA_BATCH, items), begin=begin, **arguments, floats=floats, integers=integers,
                stride=stride,
            )  # fmt: skip
        self._scratch.put_back(blocks)

    def to_numpy(self, array: Any) -> np.ndarray:
        return np.asarray(self.xp.asnumpy(array))

    def constant(self, array: np.ndarray) -> Any:
        key = id(array)
        if key not in self._constants:
            self._constants[key] = self.xp.asarray(np.ascontiguousarray(array))
            weakref.finalize(array, self._constants.pop, key, None)
        return self._constants[key]


def cuda_devices() -> list[str]:
    """CUDA devices that this process may use, none where there are none or cupy is not installed.

    Returns
    -------
    list of str
        Each as CUDA_VISIBLE_DEVICES takes it: a process that sets it before its first simulation sees that one alone.
    """
    if importlib.util.find_spec("cupy") is None:
        return []
    import cupy

    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError:
        return []
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return named[:count] if named else [str(number) for number in range(count)]


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def thread_pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="xsim")


@functools.cache
def get_backend(name: str = "auto", threads: int | None = None, level: str | None = None) -> Backend:
    """Backend by name.

    Parameters
    ----------
    name : {"auto", "cpu", "cuda"}
        "auto" takes a CUDA device where cupy finds one, else the CPU.
    threads : int, optional
        CPU threads; by default the cores this process may use.
    level : {"v2", "v3", "v4"}, optional
        x86-64 level of the host library; by default the highest this processor has.

    Raises
    ------
    BackendError
        The machine asked for is not there.

    """
    if name == "cpu":
        return CpuBackend(threads, level)
    if name == "cuda":
        return CudaBackend()
    if name != "auto":
        raise BackendError(f"unknown backend {name!r} (known: auto, cpu, cuda) use one of them")
    if importlib.util.find_spec("cupy") is not None:
        try:
            return CudaBackend()
        except BackendError:
            pass
    return CpuBackend(threads, level)
