"""Files that come to be, never in the place of another unasked. No torch here: some commands need none."""

from __future__ import annotations

from pathlib import Path

from xsim import OutputError

__all__ = ["check_new"]


def check_new(path: Path, overwrite: bool) -> None:
    """Refuse to write over a file, before the work is done.

    Raises
    ------
    OutputError
        It is there already, or there is no such folder.
    """
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written (no folder {path.parent}) make it first")
    if path.is_dir():
        raise OutputError(f"{path} cannot be written (it is a folder) give a file name")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} is there already (it is left as it is) choose another name, or --force")
