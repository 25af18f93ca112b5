"""Audits of a part's repeated frames against the truth: error, and contrast of spheres; and nets that erase told apart.

The audit sees noisy frames alone. The truth is the error to the noise-free image of the same frames, and the contrast
of the same spheres simulated with the part, in frames of their own. Audited are the noise-predicting CNN and a median
wide enough to erase spheres of half a millimetre, at three doses.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import ndimage

import denoise
import xsim
from denoise.audit import Audit, audit_repeats
from denoise.audit_contrast import Spheres, placed
from denoise.audit_verdict import Line, verdict
from denoise.noise_facts import NoiseLaw
from restoration import Corpora
from restoration.noise_cnn import model

QUANTA = (300.0, 2000.0, 10000.0)
SIZES_MM = (0.5, 1.0, 2.0)
FRAMES, TRUE_FRAMES, SIDE, PLACES = 16, 24, 256, 8
MEDIAN_PX = 9
PLATE = {"shape": "box", "size_mm": [400.0, 400.0, 20.0], "material": "PMMA"}
STEP = {"shape": "box", "size_mm": [12.0, 16.0, 2.0], "material": "Al", "position_mm": [-8.0, 0.0, 25.0],
        "rotation_deg": [0, 0, 10]}  # fmt: skip

Restore = Callable[[np.ndarray], np.ndarray]


def run(corpora: Corpora, seed: int, quick: bool) -> dict[str, Any]:
    restorer = denoise.load(model(corpora, seed, quick))
    found: dict[str, dict[str, float]] = {}
    for quanta in QUANTA[1:2] if quick else QUANTA:
        for name, figures in audited(restorer, quanta, seed, 96 if quick else SIDE).items():
            found.setdefault(name, {})[f"{quanta:g} quanta"] = figures
    return found


def audited(restorer: denoise.Restorer, quanta: float, seed: int, side: int) -> dict[str, float]:
    """Figures at a dose; those that are told of the network and of the median are the worse of both."""
    empty = xsim.expose(scene(quanta, side), "cpu")
    frames = recorded(empty, FRAMES, 2 * seed + 1)
    law = NoiseLaw(empty.derived["a_pixel_adu"], empty.derived["b_adu2"])
    restorers: dict[str, Restore] = {
        "network": lambda frame: restorer(frame, *law),
        "median": lambda frame: ndimage.median_filter(frame.astype(np.float32), MEDIAN_PX),
    }
    figures: dict[str, float] = {"error_off_percent": 0.0, "contrast_off_percent": 0.0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ranges
        for name, restore in restorers.items():
            told = Spheres(scene(quanta, side), xsim.Background("PMMA"), sizes_mm=SIZES_MM, places=PLACES)
            audit = audit_repeats(
                frames, restore, law, empty.derived["offset_adu"], trained=restorer.configuration, spheres=told,
                seed=seed,
            )  # fmt: skip
            truth = true_contrast(restore, empty, quanta, side, seed)
            figures |= compared(audit, frames, restore, empty, truth, figures)
            figures[f"{name}_gain_db"] = audit.gain_db.value if audit.gain_db else float("nan")
            if name == "median":
                figures["erasing_flagged"] = float(flagged(verdict(audit), "0.5 mm"))
    return figures


def compared(
    audit: Audit, frames: np.ndarray, restore: Restore, empty: xsim.Exposure, truth: Mapping[float, float],
    figures: Mapping[str, float],
) -> dict[str, float]:  # fmt: skip
    """How far the audit is off the truth, or was for another restorer if that is more."""
    mean = empty.record(0).expected.astype(np.float64)
    error = float(np.mean([(restore(frame) - mean) ** 2 for frame in frames]))
    off = 100.0 * abs(audit.squared_error_adu2.value / error - 1.0)
    contrast = max(
        100.0 * abs(each.recovered.value - truth[each.diameter_mm]) for each in audit.contrast or ()
    )  # fmt: skip
    return {
        "error_off_percent": max(off, figures["error_off_percent"]),
        "contrast_off_percent": max(contrast, figures["contrast_off_percent"]),
    }


def flagged(lines: list[Line], size: str) -> bool:
    """Whether the verdict fails for a size."""
    return any(line.word == "fail" and size in line.why for line in lines if line.question == "contrast is kept")


def scene(quanta: float, side: int, *bodies: Mapping[str, Any]) -> xsim.Scene:
    return xsim.scene_from_dict({
        "source": {"voltage_kv": 100, "filters": [{"material": "Al", "thickness_mm": 2.0}]},
        "geometry": {"sod_mm": 500.0, "sdd_mm": 800.0},
        "acquisition": {"quanta_per_pixel": quanta, "subpixels": 4, "subpixel_mode": "adaptive"},
        "detector": {"preset": "generic-gos-200um", "rows": side, "columns": side},
        "body": [PLATE, STEP, *bodies],
    })  # fmt: skip


def recorded(exposure: xsim.Exposure, count: int, seed: int) -> np.ndarray:
    return np.stack([exposure.record(seed, k).noisy for k in range(count)]).astype(np.uint16)


def true_contrast(restore: Restore, empty: xsim.Exposure, quanta: float, side: int, seed: int) -> dict[float, float]:
    """Recovered contrast of the same spheres simulated with the part, from frames of their own."""
    words = np.random.default_rng(seed)
    wanted = [size for size in sorted(SIZES_MM, reverse=True) for _ in range(PLACES)]
    found: dict[float, list[float]] = {size: [] for size in SIZES_MM}
    base = np.mean([restore(frame) for frame in recorded(empty, TRUE_FRAMES, 1000 + seed)], axis=0, dtype=np.float64)
    while wanted:
        spheres, wanted = placed(wanted, scene(quanta, side), None, words)
        told = [
            {"shape": "sphere", "radius_mm": 0.5 * s.diameter_mm, "material": "316L", "at": list(s.middle)}
            for s in spheres
        ]
        places = xsim.insert(base.astype(np.float32), scene(quanta, side), told).metadata["scene"]["body"]
        bodies = [
            {**{key: body[key] for key in ("shape", "radius_mm", "material")}, "position_mm": place["position_mm"],
             "priority": 1}
            for body, place in zip(told, places, strict=True)
        ]  # fmt: skip
        full = xsim.expose(scene(quanta, side, *bodies), "cpu")
        with_them = [restore(frame) for frame in recorded(full, TRUE_FRAMES, 2000 + seed)]
        change = np.mean(with_them, axis=0, dtype=np.float64) - base
        shadow = full.record(0).expected.astype(np.float64) - empty.record(0).expected
        for sphere in spheres:
            s = shadow[sphere.window]
            found[sphere.diameter_mm].append(float((change[sphere.window] * s).sum() / (s * s).sum()))
    return {size: float(np.mean(each)) for size, each in found.items()}
