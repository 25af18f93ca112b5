"""What can go wrong, by whose input it was.

Every message is one line, "problem (why) suggestion", with the offending value in it. Each kind is
also the builtin that a caller would expect: ``except ValueError`` works without this module.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BackendError",
    "CorpusError",
    "MaterialError",
    "MeasurementError",
    "MeshError",
    "ModelError",
    "OutOfMemoryError",
    "OutputError",
    "SceneError",
    "SpectrumError",
    "VolumeError",
    "XsimError",
    "nearest_names",
    "one_line",
]


class XsimError(Exception):
    """Base of everything this package raises on purpose."""


class SceneError(XsimError, ValueError):
    """A scene file or mapping that cannot be simulated."""


class MaterialError(XsimError, ValueError):
    """A material that is unknown, or asked for outside its tables."""


class SpectrumError(XsimError, ValueError):
    """A tube setting or spectrum table outside its model."""


class MeshError(XsimError, ValueError):
    """A surface that is unreadable, open, flipped or empty."""


class VolumeError(XsimError, ValueError):
    """A voxel volume that is unreadable, without a voxel size, or whose values mean nothing."""


class OutOfMemoryError(XsimError, MemoryError):
    """What was asked for does not fit into memory."""


class BackendError(XsimError, RuntimeError):
    """The machine asked for is absent or its kernels do not load."""


class OutputError(XsimError, OSError):
    """A result that cannot be written where it was asked for."""


class CorpusError(XsimError, ValueError):
    """A corpus file or store that cannot be used."""


class MeasurementError(XsimError, ValueError):
    """An image or a set of frames that a ruler cannot measure."""


class ModelError(XsimError, ValueError):
    """A trained model file that cannot be used."""


def nearest_names(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Known names most like ``name``, best first, letter case aside; maybe none."""
    by_folded: dict[str, str] = {}
    for candidate in known:
        by_folded.setdefault(candidate.casefold(), candidate)
    close = difflib.get_close_matches(name.casefold(), list(by_folded), n=count, cutoff=0.5)
    return [by_folded[folded] for folded in close]


def one_line(error: BaseException) -> str:
    """Text of another library's exception on one line; its class name when it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__
