"""A peer in a process of its own, that gives one turn whenever asked."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from peer import MARK


class PeerError(Exception):
    """The peer gave no image; says why."""


class PeerProcess:
    """``with PeerProcess(python, "gvxr", case_file, 240) as peer``: ended after as many seconds, whatever it does."""

    def __init__(self, python: Path, name: str, case: Path, timeout_s: float) -> None:
        command = [str(python), "-W", "ignore", str(Path(__file__).with_name("peers.py")), name, str(case)]
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaints, text=True, errors="replace"
        )
        self._late = threading.Event()
        self._timer = threading.Timer(timeout_s, self._stop)
        self._timeout_s = timeout_s

    def __enter__(self) -> PeerProcess:
        self._timer.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._timer.cancel()
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._complaints):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def _stop(self) -> None:
        self._late.set()
        self._process.kill()

    def answer(self) -> dict[str, Any]:
        """What it tells next.

        Raises
        ------
        PeerError
            It says that it cannot, ended, or took too long.
        """
        for line in self._process.stdout or ():
            if line.startswith(MARK):
                told: dict[str, Any] = json.loads(line[len(MARK) :])
                if "problem" in told:
                    raise PeerError(told["problem"])
                return told
        if self._late.is_set():
            raise PeerError(f"no image within {self._timeout_s:.0f} s")
        self._process.wait()
        self._complaints.seek(0)
        lines = self._complaints.read().decode(errors="replace").strip().splitlines()
        raise PeerError(lines[-1] if lines else f"ended with {self._process.returncode}")

    def turn(self) -> float:
        """Median milliseconds of an image in one turn."""
        with contextlib.suppress(BrokenPipeError):  # it ended: the answer says why
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        return float(self.answer()["ms"])

    def image(self) -> np.ndarray:
        """Its image as transmission; it gives no turn after that."""
        self._process.stdin.close()
        return np.load(self.answer()["image"], allow_pickle=False)
