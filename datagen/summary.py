"""What a job did, and how many of its draws failed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from xsim import CorpusError

__all__ = ["Summary"]

FEWEST_DRAWS = 100  # the share that failed is judged as if there were this many at the least
MOST_REASONS = 1000


@dataclass
class Summary:
    """What `generate` did.

    Attributes
    ----------
    samples, shards : int
        Of the whole corpus, or of the task.
    written, kept, mended : int
        Shards written now, found committed, and found damaged (written again).
    new_samples : int
        In the shards written now.
    redrawn, warnings : int
        Draws that failed, and scenes with warnings, in the shards written now.
    first_warning : str
    draws, failed : int
        Draws of scenes, and those that gave none, in the shards written now and those kept.
    seconds : float
    """

    samples: int
    shards: int
    written: int = 0
    kept: int = 0
    mended: int = 0
    new_samples: int = 0
    redrawn: int = 0
    warnings: int = 0
    first_warning: str = ""
    draws: int = 0
    failed: int = 0
    seconds: float = 0.0
    _reasons: dict[str, tuple[int, str]] = field(default_factory=dict, repr=False)

    def count(self, record: dict[str, Any]) -> None:
        """Add the commit record of a shard just written."""
        self.written += 1
        self.new_samples += record["samples"]
        self.redrawn += len(record["redrawn"])
        self.warnings += record["warnings"]
        if record["notes"] and not self.first_warning:
            self.first_warning = record["notes"][0]["warning"]
        self._count_draws(record)

    def keep(self, record: dict[str, Any]) -> None:
        """Add the commit record of a shard that was there."""
        self.kept += 1
        self._count_draws(record)

    def _count_draws(self, record: dict[str, Any]) -> None:
        failures = record["redrawn"]
        # shards of earlier versions do not say how often they drew: a scene a sample then
        self.draws += record.get("draws", record["samples"] + len(failures))
        self.failed += len(failures)
        for failure in failures:
            kind = re.sub(r"\d+(\.\d+)?", "#", failure["reason"])
            times, example = self._reasons.get(kind, (0, failure["reason"]))
            if times or len(self._reasons) < MOST_REASONS:
                self._reasons[kind] = times + 1, example

    @property
    def common_reason(self) -> str:
        """Why most of the failed draws failed; reasons that differ in numbers only are one, told by its first."""
        return max(self._reasons.values(), default=(0, ""), key=lambda pair: pair[0])[1]

    def check_budget(self, budget: float) -> None:
        """Stop where more than this share of the draws fails.

        Raises
        ------
        CorpusError
            It does; the message names the most common reason.
        """
        if self.failed > budget * max(self.draws, FEWEST_DRAWS):
            raise CorpusError(
                f"{self.failed} of {self.draws} draws gave no valid scene (failure_budget {budget:g}, most often: "
                f"{self.common_reason}) change the ranges or raise corpus.failure_budget, finished shards are kept"
            )
