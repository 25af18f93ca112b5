"""A trained model as one safetensors file: weights, and in its metadata, as JSON, everything needed to use them.

Nothing in the file can run code. It appears whole or not at all, and never in the place of another without being asked.
"""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from xsim import ModelError, OutputError, write_whole

__all__ = ["SCHEMA", "check_new", "read_checkpoint", "versions", "write_checkpoint"]

KEY = "denoise"
SCHEMA = 1
REQUIRED = ("method", "network", "network_options", "settings", "states", "conditions", "corpus", "versions")


def versions() -> dict[str, str]:
    """What made a model."""
    return {"xsim": version("xsim"), "torch": torch.__version__, "python": platform.python_version()}


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


def write_checkpoint(path: Path, weights: dict[str, Tensor], configuration: dict[str, Any]) -> None:
    """Write a model.

    Parameters
    ----------
    path : Path
    weights : dict
        State of the network.
    configuration : dict
        JSON-able; has method, network, network_options, settings, states, conditions, corpus and versions.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    text = json.dumps({"schema": SCHEMA, **configuration}, sort_keys=True, allow_nan=False)
    # bytes first: the library's own writer wraps the system's error in one of its own
    content = safetensors.torch.save({name: each.contiguous().cpu() for name, each in weights.items()}, {KEY: text})
    write_whole(path, lambda target: target.write_bytes(content))


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and configuration of a model.

    Raises
    ------
    ModelError
        The file is missing, broken, another program's or a later version's.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            found = (file.metadata() or {}).get(KEY)
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except OSError as error:
        raise ModelError(f"{path} not read ({error.strerror or 'no such file'}) check the path") from None
    except safetensors.SafetensorError as error:
        raise ModelError(f"{path} is not a safetensors file ({' '.join(str(error).split())})") from None
    try:
        configuration = json.loads(found or "")
    except ValueError:
        raise ModelError(f"{path} has no configuration (not made by denoise train)") from None
    if configuration.get("schema") != SCHEMA:
        raise ModelError(f"{path} has layout {configuration.get('schema')!r} (this version reads {SCHEMA}) update xsim")
    if missing := [key for key in REQUIRED if key not in configuration]:
        raise ModelError(f"{path} lacks {', '.join(missing)} in its configuration (not made by denoise train)")
    return weights, configuration
