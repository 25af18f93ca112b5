"""Memory that kernels work in, kept from call to call."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

__all__ = ["Scratch"]


class Scratch:
    """Blocks of zeros that kernels leave as zeros where they must be, kept for the next call of the same size.

    What is taken and not put back, after an interrupt, is forgotten: it may not be as it should.
    """

    def __init__(self, xp: Any) -> None:
        self._xp, self._size, self._kept = xp, (0, 0), deque[tuple[Any, Any]]()

    def take(self, floats: int, integers: int) -> tuple[Any, Any]:
        """That many float32 and int32 zeros."""
        if (floats, integers) != self._size:
            self._size, self._kept = (floats, integers), deque()
        try:
            return self._kept.pop()
        except IndexError:
            return self._xp.zeros(floats, np.float32), self._xp.zeros(integers, np.int32)

    def put_back(self, blocks: tuple[Any, Any]) -> None:
        """Keep blocks for the next call."""
        if (blocks[0].size, blocks[1].size) == self._size:
            self._kept.append(blocks)
