"""The state of an unfinished training, in a folder beside the model: it appears whole or not at all, and runs no code.

``model.run/state.safetensors`` has the weights, their average and the optimisers' numbers as tensors, and all else in
its metadata as JSON; ``model.run/log.csv`` is the log so far. The folder goes when the model is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from denoise.checkpoint import read_tensors, tensor_bytes
from xsim import ModelError, OutputError, write_whole

__all__ = ["RunFolder"]

KEY = "denoise.run"
SCHEMA = 1
REQUIRED = ("method", "given", "settings", "corpus", "step", "seconds", "place", "journal", "versions")


class RunFolder:
    """Where the state of a training is kept.

    Parameters
    ----------
    model : Path
        The model that is trained, NAME.safetensors; the folder is NAME.run beside it.
    """

    def __init__(self, model: Path) -> None:
        self.path = model.with_suffix(".run")
        self.state, self.log = self.path / "state.safetensors", self.path / "log.csv"

    def check_new(self, overwrite: bool) -> None:
        """Refuse to begin where another training was stopped.

        Raises
        ------
        OutputError
            One was.
        """
        if self.path.exists() and not overwrite:
            raise OutputError(f"{self.path} has a training that was stopped (it is kept) --resume it, or --force")

    def keep(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], log: str) -> None:
        """Write the state in the place of the one before.

        Parameters
        ----------
        tensors : mapping
        facts : mapping
            JSON-able, of ``REQUIRED``.
        log : str
            CSV.

        Raises
        ------
        OutputError
            The folder cannot be written.
        """
        content = tensor_bytes(tensors, KEY, {"schema": SCHEMA, **facts})
        try:
            self.path.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self.path} not made ({error.strerror}) choose another folder") from None
        write_whole(self.log, lambda path: path.write_text(log))
        write_whole(self.state, lambda path: path.write_bytes(content))

    def read(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and facts of the state.

        Raises
        ------
        ModelError
            There is none, or it is broken or of another version.
        """
        if not self.state.exists():
            raise ModelError(f"{self.state} is not there (nothing was stopped here) train without --resume")
        tensors, facts = read_tensors(self.state, KEY)
        if facts is None:
            raise ModelError(f"{self.state} is no state of a training (its description is missing) begin anew")
        if facts.get("schema") != SCHEMA or any(name not in facts for name in REQUIRED):
            raise ModelError(f"{self.state} has another layout (other version of xsim) resume with that, or begin anew")
        return tensors, facts

    def remove(self) -> None:
        """Take the state away, and what a kill left half-written; what else a user put into the folder stays."""
        for path in (self.state, self.log):
            path.unlink(missing_ok=True)
            for half in self.path.glob(f".{path.name}.*{path.suffix}"):
                half.unlink(missing_ok=True)
        if self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()
