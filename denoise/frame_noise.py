"""Noise and state of a frame: what its file says, or what the user does.

Noise is Var x = a x + b: one a and b for all pixels, or for each column, or for each pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import xsim
from denoise.formats import Frames
from xsim import ModelError

__all__ = ["Noise", "Told", "facts_of", "read_noise"]

NAMES = ("a_pixel_adu", "b_adu2")


@dataclass(frozen=True)
class Noise:
    """Slope [ADU] and shift [ADU^2], each a number, [column] or [row, column]."""

    a: np.ndarray
    b: np.ndarray

    def rows(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Those of some rows."""
        a, b = (each[start:stop] if each.ndim == 2 else each for each in (self.a, self.b))
        return a, b

    def check(self, path: Path, rows: int, columns: int) -> None:
        """Refuse what does not fit an image.

        Raises
        ------
        ModelError
            Another shape, or values that are no noise.
        """
        for each in (self.a, self.b):
            if each.shape not in ((), (columns,), (rows, columns)):
                raise ModelError(
                    f"{path} has {rows} x {columns} pixels (a, b have shape {each.shape}: one number, per column or "
                    "per pixel) give those of this camera"
                )
        if not (np.isfinite(self.a).all() and (self.a > 0).all() and np.isfinite(self.b).all()):
            raise ModelError(f"{path}: a must be above 0 and b a number (Var x = a x + b)")

    def describe(self) -> dict[str, Any]:
        """Means, for the metadata, and how a varies."""
        means = {name: float(np.mean(each)) for name, each in zip(NAMES, (self.a, self.b), strict=True)}
        return {**means, **({"varies_by": ("column", "pixel")[self.a.ndim - 1]} if self.a.ndim else {})}


@dataclass(frozen=True)
class Told:
    """What the user says of frames, before what their files say.

    Attributes
    ----------
    noise : Noise, optional
    state : str, optional
        raw, offset_corrected or flat_field_corrected.
    noise_state : str, optional
        State of the frames that the noise is of: raw as ``xsim characterize`` finds it, else what ``denoise noise``
        has written.
    """

    noise: Noise | None = None
    state: str | None = None
    noise_state: str | None = None

    def check_state(self, state: str | None) -> None:
        """Refuse the noise of frames in another state.

        Raises
        ------
        ModelError
            The frames are in another.
        """
        own = self.noise_state
        if own is not None and state not in (None, own):
            raise ModelError(
                f"the noise told is that of {own} frames (these are {state}) take it there by denoise noise"
            )

    @classmethod
    def of(cls, a: Any = None, b: Any = None, file: str | Path | None = None, state: str | None = None) -> Told:
        """From numbers, arrays, or names of files.

        Raises
        ------
        ModelError
            Half of it, both of it, or a file that cannot be used.
        """
        if file is not None:
            if a is not None or b is not None:
                raise ModelError("noise is told twice (by a file, and by a or b) keep one")
            told = cls(read_noise(Path(file)), state, state_of_noise(Path(file)))
            told.check_state(state)
            return told
        if (a is None) != (b is None):
            raise ModelError("one of a and b is told (Var x = a x + b needs both) give --a and --b")
        return cls(None if a is None else Noise(array_of(a), array_of(b)), state)


def facts_of(frames: Frames, page: int, told: Told) -> tuple[Noise, str]:
    """Noise and state of a page.

    Raises
    ------
    ModelError
        One of them is not told, or the noise does not fit.
    """
    says: Mapping[str, Any] = {**frames.metadata, **frames.page_facts(page)}
    noise = told.noise
    if noise is None:
        if any(says.get(name) is None for name in NAMES):
            raise ModelError(
                f"{frames.path} does not tell its noise, Var x = a x + b (no {', '.join(NAMES)}) give --a and --b, or "
                "--noise with a file of xsim characterize"
            )
        if any(isinstance(says[name], str) for name in NAMES):  # no file that a stranger's file names is opened
            raise ModelError(f"{frames.path} tells no numbers for {' and '.join(NAMES)} give --a and --b, or --noise")
        noise = Noise(*(array_of(says[name]) for name in NAMES))
    noise.check(frames.path, *frames.shape[1:])
    state = told.state or says.get("state")
    if state is None:
        raise ModelError(f"{frames.path} does not tell its state (raw, offset_corrected, ...) give --state")
    told.check_state(state)
    return noise, state


def read_noise(path: Path) -> Noise:
    """Noise from a file: what ``xsim characterize`` wrote, or arrays of a and b.

    An array is npy or TIFF, [2, column] or [2, row, column], a before b; npz holds a_pixel_adu and b_adu2.

    Raises
    ------
    ModelError
        The file is missing or none of these.
    """
    if path.suffix.lower() == ".toml":
        try:
            found = xsim.read_characteristics(path)
        except xsim.MeasurementError as error:
            raise ModelError(str(error)) from None
        return Noise(array_of(found.a_pixel_adu), array_of(found.b_adu2))
    loaded = loaded_from(path)
    if isinstance(loaded, dict):
        if missing := [name for name in NAMES if name not in loaded]:
            raise ModelError(f"{path} holds no {missing[0]} ({', '.join(loaded) or 'nothing'}) name arrays so")
        return Noise(*(array_of(loaded[name]) for name in NAMES))
    if loaded.ndim not in (1, 2, 3) or len(loaded) != 2:
        raise ModelError(f"{path} has shape {loaded.shape} (a, then b: [2, column] or [2, row, column]) stack them")
    return Noise(*(array_of(each) for each in loaded))


def state_of_noise(path: Path) -> str | None:
    """State of the frames that a file's noise is of, where it tells."""
    if path.suffix.lower() == ".toml":
        return "raw"
    loaded = loaded_from(path) if path.suffix.lower() == ".npz" else {}
    return str(loaded["state"]) if isinstance(loaded, dict) and "state" in loaded else None


def loaded_from(path: Path) -> np.ndarray | dict[str, np.ndarray]:
    """Array of a file, or arrays by name."""
    if path.suffix.lower() in (".tif", ".tiff"):
        try:
            return xsim.read_tiff(path)[0]
        except xsim.OutputError as error:
            raise ModelError(str(error)) from None
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found:
            return {name: found[name] for name in found.files}
    except OSError as error:
        raise ModelError(f"{path} not read ({error.strerror or error}) check the path") from error
    except (ValueError, EOFError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ModelError(f"{path} not read ({reason}) give .toml of xsim characterize, .npy, .npz or .tif") from error


def array_of(value: Any) -> np.ndarray:
    """Number, array or name of a file as an array."""
    if isinstance(value, (str, Path)):
        try:
            return np.asarray(float(value))
        except (ValueError, TypeError):
            value = loaded_from(Path(value))
    found = np.asarray(value)
    if found.dtype.kind not in "fiu":
        raise ModelError(f"noise of {found.dtype} (Var x = a x + b needs numbers) give a and b, or --noise FILE")
    return found
