"""A decorrelation kernel as a file, JSON or TOML: rows of numbers under `kernel`."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import numpy as np

from xsim import MeasurementError, write_whole

__all__ = ["as_kernel", "read_kernel", "write_kernel"]


def write_kernel(path: Path, kernel: np.ndarray, told: dict[str, Any]) -> None:
    """Write a kernel [row, column] with what is known of it, as JSON or, by the file's ending, TOML."""
    rows = [[float(f"{value:.9e}") for value in row] for row in kernel]
    if path.suffix == ".toml":
        lines = [f"{name} = {json.dumps(value)}" for name, value in told.items()]
        text = "\n".join([*lines, "kernel = [", *(f"  {row}," for row in rows), "]"]) + "\n"
    else:
        text = json.dumps({**told, "kernel": rows}, allow_nan=False) + "\n"
    write_whole(path, lambda target: target.write_text(text))


def read_kernel(path: str | os.PathLike[str]) -> np.ndarray:
    """Kernel of a file, float64 [row, column] of sum 1.

    Raises
    ------
    MeasurementError
        The file is missing, broken or holds no kernel.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
        found = tomllib.loads(text) if file.suffix == ".toml" else json.loads(text)
    except OSError as error:
        raise MeasurementError(f"{file} not read ({error.strerror or error}) check the path") from None
    except ValueError as error:  # of JSON, TOML and UTF-8
        raise MeasurementError(f"{file} is no kernel file ({' '.join(str(error).split())}) make one anew") from None
    if not isinstance(found, dict) or "kernel" not in found:
        raise MeasurementError(f"{file} holds no kernel (no such key) make one by denoise decorrelate --estimate")
    return as_kernel(found["kernel"], str(file))


def as_kernel(values: Any, name: str = "the kernel") -> np.ndarray:
    """Rows of numbers as a kernel, float64 [row, column] of sum 1.

    Raises
    ------
    MeasurementError
        They are none: ragged, of even size, not finite, or without a sum to scale by.
    """
    try:
        kernel = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise MeasurementError(f"{name} is no kernel (rows of equally many numbers needed)") from None
    if kernel.ndim != 2 or not all(length % 2 for length in kernel.shape):
        raise MeasurementError(f"{name} is no kernel (shape {kernel.shape}; odd rows and columns needed)")
    if not np.isfinite(kernel).all() or not kernel.sum() > 0:
        raise MeasurementError(f"{name} is no kernel (its values must be finite, their sum above 0)")
    return kernel / kernel.sum()
