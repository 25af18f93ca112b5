"""The windows in which a network sees an image, and lines that come in blocks.

Convolution libraries choose their algorithm by the shape of what they convolve, and another one adds in another order.
So every image goes through windows of one shape, at places that follow from its width alone: the same pixels, in the
same place of a window of the same shape, give the same bits, whether lines come at once or one by one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["BLOCK_LINES", "Grid", "Lines", "Span", "spans"]

BLOCK_LINES = 64
TILE_COLUMNS = 1024  # wider images are cut: more in flight than a core's cache holds is slower
WINDOW_PX = 1 << 16  # at least: torch convolves small images by another algorithm, with other last bits


@dataclass(frozen=True)
class Span:
    """Part of an axis: the network sees start to stop, and gives first to last."""

    start: int
    stop: int
    first: int
    last: int


def spans(length: int, step: int, reach: int) -> list[Span]:
    """Spans of equal length that give an axis once, each with ``reach`` on both sides or the axis's end.

    All start at multiples of ``step``, but for the last, which ends where the axis ends. An axis that is shorter than
    a span is one span.
    """
    size = step + 2 * reach
    if length <= size:
        return [Span(0, length, 0, length)]
    found = [Span(0, size, 0, size - reach)]
    while found[-1].stop < length:
        start, first = found[-1].start + step, found[-1].last
        if start + size >= length:
            found.append(Span(length - size, length, first, length))
        else:
            found.append(Span(start, start + size, first, start + size - reach))
    return found


@dataclass(frozen=True)
class Grid:
    """Windows of images so many columns wide.

    Attributes
    ----------
    columns : tuple of Span
        Of the padded width.
    lines : int
        That a window gives, but for the first and the last.
    reach : int
        Lines and columns around them that it sees.
    multiple : int
        Everything is a multiple of it.
    """

    columns: tuple[Span, ...]
    lines: int
    reach: int
    multiple: int

    @classmethod
    def of(cls, columns: int, radius: int, multiple: int, lines: int = BLOCK_LINES) -> Grid:
        """Grid for a network: ``lines`` at least a window, more in a narrow image."""
        reach, width = up(radius, multiple), up(columns, multiple)
        parts = max(1, round(width / TILE_COLUMNS))
        across = tuple(spans(width, up(-(-width // parts), multiple), reach))
        seen = across[0].stop - across[0].start
        wanted = max(lines, -(-WINDOW_PX // seen) - 2 * reach)
        return cls(across, up(wanted, multiple), reach, multiple)

    @property
    def rows_seen(self) -> int:
        """Lines of a whole window."""
        return self.lines + 2 * self.reach

    @property
    def width(self) -> int:
        """Columns of the padded image."""
        return self.columns[-1].stop


class Lines:
    """Lines [channel, line, column] that come in blocks and go when they are no longer needed.

    Attributes
    ----------
    first, stop : int
        Lines of the image that are held.
    """

    def __init__(self) -> None:
        self.first = self.stop = 0
        self._blocks: list[np.ndarray] = []

    def push(self, block: np.ndarray) -> None:
        """Take in a block; it is not copied."""
        self._blocks.append(block)
        self.stop += block.shape[1]

    def take(self, start: int, stop: int) -> np.ndarray:
        """Lines of the image from ``start`` on, a view."""
        if len(self._blocks) > 1:
            self._blocks = [np.concatenate(self._blocks, axis=1)]
        return self._blocks[0][:, start - self.first : stop - self.first]

    def drop(self, before: int) -> None:
        """Let go of the lines before one."""
        if before > self.first:
            # a copy: a view would hold on to all that was there
            self._blocks = [self.take(before, self.stop).copy()]
            self.first = before


def up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
