"""What can be made again is kept on the disk: where, and how it is written."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

__all__ = ["cache_directory", "keep"]

logger = logging.getLogger(__name__)


def cache_directory(kind: str) -> Path:
    """Where this platform keeps what can be made again, a folder for each kind."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "xsim" / kind


def keep(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Write whole or not at all: other processes may read the same name meanwhile."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        with os.fdopen(handle, "wb") as stream:
            write(stream)
        Path(temporary).replace(path)
    except OSError as error:  # a home that cannot be written costs time, not the result
        logger.info("%s is not kept in %s (%s)", path.name, path.parent, error)
