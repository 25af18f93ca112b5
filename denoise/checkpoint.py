"""A trained model as one safetensors file: weights, and in its metadata, as JSON, everything needed to use them.

Nothing in the file can run code. It appears whole or not at all, and never in the place of another without being asked.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from denoise.new_file import check_new
from xsim import ModelError, OutputError, write_whole

__all__ = [
    "SCHEMA",
    "check_new_model",
    "read_checkpoint",
    "read_tensors",
    "tensor_bytes",
    "versions",
    "write_checkpoint",
]

KEY = "denoise"
ALLOWED = "DENOISE_NETWORKS"  # names, between commas, of the networks that a model may have beside our own
SCHEMA = 1
REQUIRED = ("method", "network", "network_options", "settings", "states", "conditions", "corpus", "versions")


def versions() -> dict[str, str]:
    """What made a model."""
    return {"xsim": version("xsim"), "torch": torch.__version__, "python": platform.python_version()}


def check_new_model(path: Path, overwrite: bool) -> None:
    """Refuse a model and its log, of one name, where they would replace something.

    Raises
    ------
    OutputError
        They would, or the name is none for a model.
    """
    if path.suffix != ".safetensors":
        raise OutputError(f"{path} is no name for a model (its log gets the same with .csv) end it in .safetensors")
    for each in (path, path.with_suffix(".csv")):
        check_new(each, overwrite)


def write_checkpoint(path: Path, weights: Mapping[str, Tensor], configuration: Mapping[str, Any]) -> None:
    """Write a model.

    Parameters
    ----------
    path : Path
    weights : mapping
        State of the network.
    configuration : mapping
        JSON-able; has method, network, network_options, settings, states, conditions, corpus and versions.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    content = tensor_bytes(weights, KEY, {"schema": SCHEMA, **configuration})
    write_whole(path, lambda target: target.write_bytes(content))


def tensor_bytes(tensors: Mapping[str, Tensor], key: str, facts: Mapping[str, Any]) -> bytes:
    """A safetensors file with JSON in its metadata; its bytes, as the library wraps errors of writing in its own."""
    text = json.dumps(facts, sort_keys=True, allow_nan=False)
    # copies: the library refuses tensors that share memory, as tied weights do
    held = {name: each.detach().cpu().contiguous().clone() for name, each in tensors.items()}
    return safetensors.torch.save(held, {key: text})


def read_tensors(path: Path, key: str) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """What `tensor_bytes` wrote; None for facts that the file does not have.

    Raises
    ------
    ModelError
        The file is missing or broken.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(key, "")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except OSError as error:
        raise ModelError(f"{path} not read ({error.strerror or 'no such file'}) check the path") from None
    except safetensors.SafetensorError as error:
        raise ModelError(f"{path} is not a safetensors file ({' '.join(str(error).split())})") from None
    try:
        facts = json.loads(text)
    except ValueError:
        facts = None
    return tensors, facts if isinstance(facts, dict) else None


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and configuration of a model.

    Raises
    ------
    ModelError
        The file is missing, broken, another program's or a later version's, or its network is code from elsewhere that
        nobody has allowed.
    """
    weights, configuration = read_tensors(path, KEY)
    if configuration is None:
        raise ModelError(f"{path} has no configuration (not made by denoise train)")
    if configuration.get("schema") != SCHEMA:
        raise ModelError(f"{path} has layout {configuration.get('schema')!r} (this version reads {SCHEMA}) update xsim")
    if missing := [key for key in REQUIRED if key not in configuration]:
        raise ModelError(f"{path} lacks {', '.join(missing)} in its configuration (not made by denoise train)")
    if ":" in (name := str(configuration["network"])) and name not in os.environ.get(ALLOWED, "").split(","):
        raise ModelError(f"{path} has network {name} (its code would be run) if you trust it, set {ALLOWED}={name}")
    return weights, configuration
