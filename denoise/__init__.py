"""denoise: restorers for radiographs, trained on simulated corpora.

denoise.train("out.zarr", method="noise_cnn", out="model.safetensors")
restored = denoise.load("model.safetensors")(image)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from denoise.audit import audit_repeats
    from denoise.image_files import apply
    from denoise.noise_facts import camera_noise
    from denoise.onnx_model import export
    from denoise.restorer import Restorer, load
    from denoise.settings import Settings
    from denoise.stream import Stream
    from denoise.train import train

__all__ = ["Restorer", "Settings", "Stream", "apply", "audit_repeats", "camera_noise", "export", "load", "train"]

_HOMES = {
    "Restorer": "denoise.restorer",
    "Settings": "denoise.settings",
    "Stream": "denoise.stream",
    "apply": "denoise.image_files",
    "export": "denoise.onnx_model",
    "audit_repeats": "denoise.audit",
    "camera_noise": "denoise.noise_facts",
    "load": "denoise.restorer",
}


def __getattr__(name: str) -> Any:
    """Public names come when asked for, so that ``denoise --help`` need not wait for torch."""
    if name == "train":  # a module that can be called
        return import_module("denoise.train")
    if name not in _HOMES:
        raise AttributeError(f"module 'denoise' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
