"""How far a job is: a live line on a terminal, else a line every ten seconds."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm

from datagen.summary import Summary

__all__ = ["Progress"]

LINE_S = 10.0  # between two lines of a log
LIVE_S = 0.5


class Progress:
    """Tells samples and shards done, samples/s, time left and failed draws on stderr.

    Attributes
    ----------
    name : str
    summary : Summary
        What is counted beside the samples.
    samples : int
        Done, those of earlier runs included.
    shards : int
        Done in earlier runs.
    shown : bool
    """

    def __init__(self, name: str, summary: Summary, samples: int = 0, shards: int = 0, shown: bool = True) -> None:
        self.name, self.summary, self.samples, self.shards, self.shown = name, summary, samples, shards, shown
        self._first, self._begin = samples, time.monotonic()
        self._told = self._begin
        live = shown and sys.stderr.isatty()
        self._bar = tqdm(
            total=summary.samples, initial=samples, unit="sample", desc=name, disable=not live, mininterval=LIVE_S,
            dynamic_ncols=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        if kind is None:
            self.samples = self.summary.samples
        if self.summary.written:
            self._tell()
        self._bar.close()

    def add(self, samples: int = 0) -> None:
        """Count samples; none: tell the time."""
        self.samples = min(self.samples + samples, self.summary.samples)
        if time.monotonic() - self._told > (LINE_S if self._bar.disable else LIVE_S):
            self._tell()

    def _tell(self) -> None:
        self._told = time.monotonic()
        if not self.shown:
            return
        if self._bar.disable:
            sys.stderr.write(self.line() + "\n")
            sys.stderr.flush()
            return
        self._bar.set_postfix_str(self._counts(), refresh=False)
        self._bar.n = self.samples
        self._bar.refresh()

    def line(self) -> str:
        """One line that says it all."""
        total, now = self.summary.samples, self.samples - self._first
        rate = now / max(1e-9, time.monotonic() - self._begin)
        left = f", {_duration((total - self.samples) / rate)} left" if rate and total > self.samples else ""
        share = f" ({100 * self.samples / total:.1f} %)" if total else ""
        return f"{self.name}: {self.samples}/{total} samples{share}, {self._counts()}, {rate:.1f} samples/s{left}"

    def _counts(self) -> str:
        summary = self.summary
        done = self.shards - summary.mended + summary.written
        return f"{done}/{summary.shards} shards, {summary.failed} failed draws"


def _duration(seconds: float) -> str:
    """A time as people say it."""
    for unit, name in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.0f} s"
