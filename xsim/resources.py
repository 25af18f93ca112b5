"""Data that is installed inside the package: kernels and phantoms."""

from __future__ import annotations

import importlib.util
from importlib.metadata import version
from pathlib import Path

from xsim.errors import BackendError

__all__ = ["VERSION", "package_directory"]

VERSION = version("xsim")


def package_directory(name: str) -> Path:
    """Folder ``xsim/<name>`` of installed data, wherever the installer put it.

    Raises
    ------
    BackendError
        It is not there: the package runs from a source tree that was never installed.

    """
    package = importlib.util.find_spec("xsim")
    for root in (package and package.submodule_search_locations) or ():
        if (Path(root) / name).is_dir():
            return Path(root) / name
    raise BackendError(f"xsim/{name} is missing (the package is not installed) run: pip install .")
