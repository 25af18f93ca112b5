"""Decorrelation of static frames of five cameras, and Noise2Self trained on raw and on decorrelated noise."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

import denoise
import xsim
from denoise.decorrelation import (
    decorrelated,
    noise_correlation,
    noise_kernel,
    reach_of,
    residual_correlation,
    variance_factor,
)
from denoise.evaluation import Case, psnr_db
from restoration import Corpora, by_setting

CORRELATED, WHITE = "panel", "white"
STEPS, QUICK_STEPS = 800, 60
RECIPE = {"learning_rate": 4e-3, "crop": 64, "batch": 16}
SPREADS_MM2 = (0.1, 0.3, 0.6, 1.0, 1.6)  # of the screen's light, on pixels of 0.2 mm


def run(corpora: Corpora, seed: int, quick: bool) -> dict[str, Any]:
    return {"decorrelation": decorrelation(seed, quick), "noise2self": noise2self(corpora, seed, quick)}


def decorrelation(seed: int, quick: bool) -> dict[str, Any]:
    """Even frames give the kernel, odd ones judge it; what chance alone would leave is in the figures."""
    found: dict[str, dict[str, float]] = {}
    for spread in SPREADS_MM2:
        frames = static_frames(spread, 16 if quick else 64, 256 if quick else 640, seed)
        even, odd = frames[::2], frames[1::2]
        reach = reach_of(even)
        kernel = noise_kernel(noise_correlation(even, reach).coefficient)
        pixels = (len(even) - 1) * even[0].size
        right, wrong = (
            residual_correlation(each, kernel_pixels=pixels)
            for each in (decorrelated(odd, kernel), by_the_slides(odd, kernel))
        )
        told = {
            "correlation_percent": noise_correlation(odd).sum_percent,
            "residual_correlation_percent": right.percent,
            "chance_percent": right.chance_percent,
            "nearest_neighbour": abs(right.nearest),
            "slides_residual_correlation_percent": wrong.percent,
            "noise_gain": variance_factor(kernel) ** 0.5,
            "reach_px": float(reach),
        }
        for name, value in told.items():
            found.setdefault(name, {})[f"{spread:g} mm2"] = value
    return found


def static_frames(spread_mm2: float, count: int, side: int, seed: int) -> np.ndarray:
    """Frames [frame, row, column] ADU of a still scene, by a camera with fixed pattern and read noise."""
    scene = {
        "source": {"voltage_kv": 70, "filters": [{"material": "Al", "thickness_mm": 2.0}]},
        "geometry": {"sod_mm": 600, "sdd_mm": 900},
        "acquisition": {"quanta_per_pixel": 1000},
        "detector": {
            "preset": "generic-gos-200um", "rows": side, "columns": side,
            "scintillator": {"light_spread_h_mm2": spread_mm2},
            "sensor": {"gain_adu_per_kev": 0.2, "prnu_share": 0.005, "prnu_column_share": 0.002},
        },
        "body": [{"shape": "box", "size_mm": [30, 30, 10], "material": "PMMA"}],
    }  # fmt: skip
    exposure = xsim.expose(xsim.scene_from_dict(scene))
    return np.stack([exposure.record(seed, frame).noisy for frame in range(count)])


def by_the_slides(frames: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Division by |F h|^2, as the slides of the method have it."""
    H = np.fft.fft2(kernel, frames.shape[-2:])
    level = frames.mean(axis=0)
    return np.stack(
        [np.fft.ifft2(np.fft.fft2(each - level) / np.maximum(np.abs(H) ** 2, 1e-4)).real for each in frames]
    )


def noise2self(corpora: Corpora, seed: int, quick: bool) -> dict[str, Any]:
    """PSNR by setting of the same network, steps and recipe, trained on raw, decorrelated and truly white noise."""
    steps = QUICK_STEPS if quick else STEPS
    trained = {
        "raw": corpora.trained("noise2self", CORRELATED, steps, seed, **RECIPE, decorrelate=False),
        "decorrelated": corpora.trained("noise2self", CORRELATED, steps, seed, **RECIPE),
        "supervised": corpora.trained("noise_cnn", CORRELATED, steps, seed, **RECIPE),
    }
    cases, limit = corpora.cases(CORRELATED, 1 if quick else None), 1 if quick else None
    psnr = {name: by_setting(cases, restored_psnr(path, cases)) for name, path in trained.items()}
    psnr["noisy"] = by_setting(cases, [psnr_db(case.noisy, case) for case in cases])
    white_cases = corpora.cases(WHITE, limit)
    for name, method in (("white", "noise2self"), ("white_supervised", "noise_cnn")):
        path = corpora.trained(method, WHITE, steps, seed, **RECIPE)
        psnr[name] = by_setting(white_cases, restored_psnr(path, white_cases))
    behind = difference(psnr["supervised"], psnr["decorrelated"])
    white_behind = float(np.mean(list(difference(psnr["white_supervised"], psnr["white"]).values())))
    return {
        **{f"psnr_{name}_db": each for name, each in psnr.items()},
        "gain_over_raw_db": difference(psnr["decorrelated"], psnr["raw"]),
        "gain_over_noisy_db": difference(psnr["decorrelated"], psnr["noisy"]),
        "behind_supervised_db": behind,
        # the images differ, so it is the distance to supervised training that is compared
        "behind_uncorrelated_db": {name: value - white_behind for name, value in behind.items()},
        **{f"loss_{name}": loss_of(path) for name, path in trained.items()},
    }


def restored_psnr(model: Path, cases: list[Case]) -> list[float]:
    restorer = denoise.load(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ranges: levels of single images may lie outside
        images = [restorer(case.noisy, case.params["a_pixel_adu"], case.params["b_adu2"]) for case in cases]
    return [psnr_db(image, case) for image, case in zip(images, cases, strict=True)]


def difference(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, float]:
    return {name: value - theirs[name] for name, value in ours.items()}


def loss_of(model: Path) -> float:
    """Validation loss; of Noise2Self below 0.8 where noise is learnt."""
    return float(denoise.load(model).configuration["training"]["val_loss"])
