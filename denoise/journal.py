"""What a training tells while it runs: a table for the .csv, a line on the terminal, TensorBoard where asked for."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from xsim import ModelError

__all__ = ["Journal"]

VALIDATIONS = 20
LOG_EVERY = 20
COLUMNS = ("step", "seconds", "learning_rate", "train_loss", "val_loss")
FORM = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"


class Journal:
    """The log of a training, a row every 20 steps and at each of the 20 validations.

    Attributes
    ----------
    rows : list of dict
        By ``COLUMNS``.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.recent: list[float] = []
        self.validated = 0
        self._bar: Any = None
        self._board: Any = None

    @contextmanager
    def shown(self, progress: bool, tensorboard: str | os.PathLike[str] | None) -> Iterator[None]:
        """Show the rows as they come.

        Raises
        ------
        ModelError
            TensorBoard is asked for and not installed.
        """
        step = self.rows[-1]["step"] + 1 if self.rows else 0
        self._board = board_at(tensorboard, step) if tensorboard else None
        often = {"mininterval": 0.5, "miniters": 0}  # seconds, whatever a step takes
        with tqdm(total=1000, desc="training", bar_format=FORM, disable=not progress, **often) as self._bar:
            try:
                yield
            finally:
                if self._board:
                    self._board.close()

    def note(
        self, step: int, seconds: float, rate: float, loss: float, share: float, validate: Callable[[], float | None]
    ) -> None:
        """Take note of a step; ``validate`` is asked when a validation is due.

        Raises
        ------
        ModelError
            Validation gives no finite loss.
        """
        self.recent.append(loss)
        if self._bar is not None:
            self._bar.set_postfix_str(f"step {step}, loss {sum(self.recent) / len(self.recent):.4f}", refresh=False)
            self._bar.update(int(1000 * share) - self._bar.n)
        due = share * VALIDATIONS >= self.validated + 1
        if step % LOG_EVERY and not due:
            return
        row = {"step": step, "seconds": round(seconds, 3), "learning_rate": rate}
        row["train_loss"], self.recent = sum(self.recent) / len(self.recent), []
        if due and (found := validate()) is not None:
            if not math.isfinite(found):
                raise ModelError(f"training diverged at step {step} (validation {found}) lower the learning rate")
            row["val_loss"] = found
        self.validated += due
        self.rows.append(row)
        if self._board:
            for name, value in row.items():
                if name not in ("step", "seconds"):
                    self._board.add_scalar(name, value, step)

    def state(self) -> dict[str, Any]:
        """All of it, JSON-able."""
        return {"rows": self.rows, "recent": self.recent, "validated": self.validated}

    def go_on(self, state: dict[str, Any]) -> None:
        """Take up where ``state`` was asked."""
        self.rows, self.recent, self.validated = state["rows"], state["recent"], state["validated"]

    def last_losses(self) -> dict[str, float | None]:
        """Mean loss of the last ten rows, and the last loss of validation; None where there is none."""
        train = [row["train_loss"] for row in self.rows[-10:]]
        validated = [row["val_loss"] for row in self.rows if "val_loss" in row]
        mean = sum(train) / len(train) if train else None
        return {"train_loss": mean, "val_loss": validated[-1] if validated else None}

    def table(self) -> str:
        """The rows as CSV text."""
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()


def board_at(folder: str | os.PathLike[str], step: int) -> Any:
    """Writer of TensorBoard's files; what is there of this step and later ones no longer counts."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ModelError("tensorboard is not installed (--tensorboard needs it) pip install tensorboard") from None
    return SummaryWriter(os.fspath(folder), purge_step=step)
