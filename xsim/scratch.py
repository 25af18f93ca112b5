"""Memory that kernels work in, kept from call to call."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

__all__ = ["Scratch"]


class Scratch:
    """Blocks of zeros that kernels leave as zeros where they must be, kept for the next call of the same size.

    What is taken and not put back, after an interrupt, is forgotten: it may not be as it should.

    Parameters
    ----------
    xp : module
        numpy or cupy.
    queue : callable
        What runs in order there, such as the current stream of a GPU: blocks go back to the queue they were taken
        in, as a kernel of another may still be at work in them.
    """

    def __init__(self, xp: Any, queue: Callable[[], Hashable] = lambda: None) -> None:
        self._xp, self._queue, self._kept = xp, queue, dict[Hashable, deque[tuple[Any, Any]]]()

    def take(self, floats: int, integers: int) -> tuple[Any, Any]:
        """That many float32 and int32 zeros."""
        kept = self._kept.get(self._queue(), deque())
        try:
            blocks = kept.pop()
            if (blocks[0].size, blocks[1].size) == (floats, integers):
                return blocks
            kept.clear()  # of another size
        except IndexError:
            pass
        return self._xp.zeros(floats, np.float32), self._xp.zeros(integers, np.int32)

    def put_back(self, blocks: tuple[Any, Any]) -> None:
        """Keep blocks for the next call."""
        self._kept.setdefault(self._queue(), deque()).append(blocks)
