"""Lines in, restored lines out: a line-scan image of any length in the memory of some hundred lines.

A restored line depends on some lines on both sides of it through the network, and on those half a window of the
regional mean away (denoise/anchor.py). It is given as soon as they have come and a window of the grid is full
(denoise/tiles.py). A whole image is restored the same way, so both agree in every bit.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from denoise.anchor import Anchor
from denoise.machine import one_thread_each
from denoise.tiles import BLOCK_LINES, Grid, Lines, Span, up
from xsim import ModelError

if TYPE_CHECKING:
    from denoise.restorer import Restorer

__all__ = ["Stream"]


class Stream:
    """A restorer for lines that come in blocks.

    Parameters
    ----------
    restorer : Restorer
    columns : int
        Pixels of a line.
    a, b : float or array [column], optional
        Noise: Var x = a x + b, in ADU and ADU^2. Left out where each block brings its own.
    block_lines : int
        Lines that the network gives at a time, at least; more in images of few columns.
    state : str, optional
        State of the image, to be checked against what the model was trained on.
    anchor_px : int, optional
        Half width of the regional mean that is kept; the model's own by default.

    Attributes
    ----------
    latency_lines : int
        A line comes out when at most so many after it have come in.

    Raises
    ------
    ModelError
        The method restores only whole images; no noise, or one that does not fit; a state that was not trained on.

    Examples
    --------
    >>> stream = denoise.Stream(denoise.load("model.safetensors"), columns=1024, a=0.31, b=-25.0)  # doctest: +SKIP
    >>> for block in camera:  # doctest: +SKIP
    ...     show(stream.push(block))
    >>> show(stream.flush())  # doctest: +SKIP
    """

    def __init__(
        self,
        restorer: Restorer,
        columns: int,
        a: Any = None,
        b: Any = None,
        block_lines: int = BLOCK_LINES,
        state: str | None = None,
        anchor_px: int | None = None,
    ) -> None:
        if columns < 1 or block_lines < 1:
            raise ModelError(f"{columns} columns in blocks of {block_lines} lines (both must be above 0) give both")
        if restorer.reach is None:
            raise ModelError(f"{restorer.name} restores only whole images ({restorer.method_name}) it cannot stream")
        if state is not None:
            restorer.check_state(state)
        self.restorer, self.columns = restorer, columns
        self.anchor_px = restorer.anchor_px if anchor_px is None else anchor_px
        self.grid = Grid.of(columns, restorer.reach, restorer.multiple, block_lines)
        self.latency_lines = self.grid.lines + self.grid.reach + self.anchor_px - 1
        self._noise = None if a is None or b is None else noise_of(a, b, (1, columns))
        self._lines = Lines()
        self._next = 0  # line that the network gives next
        self._anchor = Anchor(self.anchor_px)
        self._ended = False

    def push(self, block: Any, a: Any = None, b: Any = None) -> np.ndarray:
        """Take in lines, give those that are final.

        Parameters
        ----------
        block : [line, column] ADU
            Or one line [column].
        a, b : float or array, optional
            Noise of this block, per column or per pixel.

        Returns
        -------
        float32 [line, column] ADU, maybe of no line

        Raises
        ------
        ModelError
            Lines of another length, pixels that are no numbers, no noise, or an image that has ended.
        """
        if self._ended:
            raise ModelError("the image has ended (flush was called) make another Stream")
        lines = lines_of(block, self.columns)
        if a is None and b is None:
            if self._noise is None:
                raise ModelError("no noise parameters (Var x = a x + b) give a and b")
            noise = self._noise
        else:
            noise = noise_of(a, b, lines.shape)
        stacked = np.empty((3, len(lines), self.grid.width), np.float32)
        stacked[0, :, : self.columns], stacked[1:, :, : self.columns] = lines, noise
        stacked[:, :, self.columns :] = stacked[:, :, self.columns - 1 : self.columns]
        self._lines.push(stacked)
        return self._given(list(self._ready()))

    def flush(self) -> np.ndarray:
        """The lines that are left, at the image's end: float32 [line, column] ADU."""
        if self._ended:
            return np.empty((0, self.columns), np.float32)
        count = self._lines.stop
        rows = [] if self._next >= count else [self._last(count)]
        given = self._given(rows, count)
        self._ended = True
        left = self._anchor.flush()
        self._lines = Lines()
        return given if left is None else np.concatenate([given, array_of(left)])

    def _ready(self) -> Iterator[Span]:
        """Rows of windows whose lines have all come."""
        first = self._next
        start = max(first - self.grid.reach, 0)
        while self._lines.stop >= start + self.grid.rows_seen:
            stop = start + self.grid.rows_seen
            yield Span(start, stop, first, stop - self.grid.reach)
            start, first = start + self.grid.lines, stop - self.grid.reach

    def _last(self, count: int) -> Span:
        """Rows of the window at the end of an image of so many lines, which is filled up with its last line."""
        stop = up(count, self.grid.multiple)
        edge = self._lines.take(count - 1, count)
        self._lines.push(np.repeat(edge, stop - count, axis=1))
        return Span(max(stop - self.grid.rows_seen, 0), stop, self._next, stop)

    def _given(self, rows: list[Span], end: int | None = None) -> np.ndarray:
        """Final lines once the network has restored these rows of windows; no line from ``end`` on is one."""
        if not rows:
            return np.empty((0, self.columns), np.float32)
        jobs = [(down, across) for down in rows for across in self.grid.columns]
        seen = self._lines.take(self._lines.first, self._lines.stop)
        base = self._lines.first
        wide = len(self.grid.columns)
        stop = rows[-1].last if end is None else end
        # the sums of the regional mean too: shared out they end no sooner, and the other cores wait at work
        with one_thread_each(min(os.cpu_count() or 1, len(jobs))) as pool, torch.inference_mode():
            tiles = list(pool.map(lambda job: self._tile(seen, base, *job), jobs))
            bands = [torch.cat(tiles[k : k + wide], dim=3) for k in range(0, len(tiles), wide)]
            restored = torch.cat(bands, dim=2)[:, :, : stop - self._next, : self.columns]
            noisy = seen[0, self._next - base : stop - base, : self.columns]
            given = self._anchor.push(restored, torch.from_numpy(noisy.copy())[None, None].to(restored.device))
        self._next = stop
        # the last window of the image is a whole one, wherever the image ends
        self._lines.drop(max(self._lines.stop - self.grid.rows_seen, 0))
        return array_of(given)

    def _tile(self, seen: np.ndarray, base: int, down: Span, across: Span) -> Tensor:
        """What one window gives, [1, 1, line, column]."""
        part = seen[:, down.start - base : down.stop - base, across.start : across.stop]
        tensors = torch.from_numpy(np.ascontiguousarray(part)).to(self.restorer.device)
        restored = self.restorer.run(*(each[None, None] for each in tensors))
        given = restored[:, :, down.first - down.start : down.last - down.start]
        return given[..., across.first - across.start : across.last - across.start]


def lines_of(block: Any, columns: int) -> np.ndarray:
    """Block of lines, float32 [line, column]."""
    lines = np.atleast_2d(np.asarray(block))
    if lines.ndim != 2 or lines.shape[1] != columns:
        raise ModelError(f"a block is [line, column] of {columns} columns (this has shape {np.shape(block)})")
    if lines.dtype.kind not in "uif":
        raise ModelError(f"pixels of {lines.dtype} (numbers needed) give grey values")
    if lines.dtype.kind == "f" and not np.isfinite(lines).all():
        raise ModelError("the image holds pixels that are no numbers (nan or infinite) mend or cut them")
    return lines.astype(np.float32, copy=False)


def noise_of(a: Any, b: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Slope and shift, float32 [2, line, column], of an image or a block.

    Raises
    ------
    ModelError
        They are missing, do not fit, or are no noise.
    """
    if a is None or b is None:
        raise ModelError("no noise parameters (Var x = a x + b) give a_pixel_adu and b_adu2")
    try:
        slope, shift = (np.broadcast_to(np.asarray(each, np.float32), shape) for each in (a, b))
    except (ValueError, TypeError):
        raise ModelError(f"a, b do not fit an image of {shape} (one each, per column or per pixel)") from None
    if not (np.isfinite(slope).all() and (slope > 0).all() and np.isfinite(shift).all()):
        raise ModelError("a must be above 0 and b a number (Var x = a x + b)")
    return np.stack([slope, shift])


def array_of(given: Tensor) -> np.ndarray:
    return np.ascontiguousarray(given[0, 0].cpu().numpy())
