"""Scenes for audits: repeated frames of a simulated part, whose truth is known, and restorers to judge."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from denoise.noise_facts import NoiseLaw
from xsim import Background, Exposure, Scene, expose, scene_from_dict

BLACK = 300.0
BLOCK = {"shape": "box", "size_mm": [400.0, 400.0, 20.0], "material": "PMMA"}
PART = (
    {"shape": "box", "size_mm": [14.0, 10.0, 12.0], "material": "PMMA", "rotation_deg": [0, 0, 20]},
    {"shape": "sphere", "radius_mm": 2.0, "material": "Al", "position_mm": [3.0, 2.0, 0.0], "priority": 1},
)
BACKGROUND = Background("PMMA")


def scene(*bodies: dict[str, Any], side: int = 128, **acquisition: Any) -> Scene:
    return scene_from_dict({
        "source": {"voltage_kv": 100, "filters": [{"material": "Al", "thickness_mm": 2.0}]},
        "geometry": {"sod_mm": 500.0, "sdd_mm": 800.0},
        "acquisition": {"quanta_per_pixel": 2000.0, "subpixels": 4, "subpixel_mode": "adaptive", **acquisition},
        "detector": {"preset": "generic-gos-200um", "rows": side, "columns": side},
        "body": list(bodies),
    })  # fmt: skip


def frames_of(exposure: Exposure, count: int, seed: int = 1) -> np.ndarray:
    return np.stack([exposure.record(seed, k).noisy for k in range(count)]).astype(np.uint16)


def exposed(*bodies: dict[str, Any], **more: Any) -> Exposure:
    return expose(scene(*bodies, **more), "cpu")


def law_of(exposure: Exposure) -> NoiseLaw:
    return NoiseLaw(exposure.derived["a_pixel_adu"], exposure.derived["b_adu2"])


def median(size: int) -> Any:
    """A restorer that erases what is smaller than half its window."""
    return lambda frame: ndimage.median_filter(frame.astype(np.float32), size)


def gaussian(sigma: float) -> Any:
    return lambda frame: ndimage.gaussian_filter(frame.astype(np.float32), sigma)
