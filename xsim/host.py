"""The kernels as libraries of the host: one per x86-64 level, called through ctypes."""

from __future__ import annotations

import ctypes
import functools

import numpy as np

from xsim.errors import BackendError
from xsim.kernel_arguments import ARGUMENTS, RECORDS, address
from xsim.resources import package_directory

__all__ = ["CPU_LEVELS", "HOST_ARGUMENTS", "Turns", "best_cpu_level", "load_library"]

CPU_LEVELS = ("v2", "v3", "v4")
HOST_ARGUMENTS = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)  # of every kernel; see Turns


class Turns:
    """Blocks of the work items [begin, end), which the threads of a launch take in turn.

    Attributes
    ----------
    count : int
    arguments : tuple of int
        As every kernel takes them: where the next turn begins, counted on by the library, the end, and the block.
    """

    def __init__(self, begin: int, end: int, block: int) -> None:
        self._next = np.array([begin], np.int64)
        self.count = -(-(end - begin) // block)
        self.arguments = address(self._next), end, block


@functools.cache
def best_cpu_level() -> str:
    """Highest library this processor can run: "v2", "v3", "v4" or "generic"."""
    probe = ctypes.CDLL(str(package_directory("_kernels") / "libxsim_cpu_level.so"))
    level: int = probe.xsim_cpu_level()
    if level == 0:
        return "generic"
    if level == 1:
        raise BackendError("processor too old (x86-64-v2 is needed: SSE4.2 and POPCNT) use a newer one")
    return f"v{level}"


@functools.cache
def load_library(level: str) -> ctypes.CDLL:
    """The host library, its argument layouts checked against ours."""
    stem = "xsim_generic" if level == "generic" else f"xsim_x86_64_{level}"
    path = package_directory("_kernels") / f"lib{stem}.so"
    if not path.exists():
        raise BackendError(f"no host library for level {level!r} ({path.name}) use one of {CPU_LEVELS}")
    library = ctypes.CDLL(str(path))
    for kernel, layout in ARGUMENTS.items():
        check_size(library, f"{kernel}_args_size", layout)
        function = getattr(library, kernel)
        function.argtypes = HOST_ARGUMENTS
        function.restype = None
    for record, layout in RECORDS.items():
        check_size(library, f"{record}_size", layout)
    return library


def check_size(library: ctypes.CDLL, name: str, layout: np.dtype) -> None:
    size = 0
    if hasattr(library, name):
        function = getattr(library, name)
        function.restype = ctypes.c_uint64
        size = function()
    if size != layout.itemsize:
        raise BackendError(
            f"kernel library does not fit this package ({name}: {size} bytes, not {layout.itemsize}) reinstall xsim"
        )
