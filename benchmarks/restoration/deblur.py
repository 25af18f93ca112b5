"""Cold-diffusion deblurring of a thick screen's frames beside a Wiener filter, regression, conditional diffusion."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import datagen
import denoise
from denoise.cold_deblur import closed_form, sample
from denoise.deblur import estimate, frame_of
from denoise.deblur_evaluation import compared
from denoise.deblur_figures import (
    Restore,
    fidelity,
    noise_free,
    pair_cases,
    rulers,
    sharpness,
    to_sharp_frame_db,
)
from denoise.evaluation import Case
from denoise.restorer import Restorer
from denoise.screen_pair import pair_of
from restoration import Corpora, by_setting

FORMAT = "screens"
STEPS, QUICK_STEPS = 1500, 60
LEARNING_RATE = 4e-3  # the paper's 2e-5 takes days, not minutes
TRAINED = {
    "cold": ("cold_deblur", {}),
    "cold_removed": ("cold_deblur", {"residual": "removed"}),
    "regression": ("regression_deblur", {}),
    "diffusion": ("diffusion_deblur", {}),
}
CASES, QUICK_CASES = 12, 2
SHOWN_PER_MM = 2.0  # MTF that is told as a number
SHOWN_CYCLES_PER_PX = 0.25  # likewise CTF
KINDS = ("noise_free", "noisy")


def run(corpora: Corpora, seed: int, quick: bool) -> dict[str, Any]:
    """The bars' figures, and those of every method with and without noise."""
    steps = QUICK_STEPS if quick else STEPS
    models = {
        name: denoise.load(corpora.trained(method, FORMAT, steps, seed, learning_rate=LEARNING_RATE, **options), "cpu")
        for name, (method, options) in TRAINED.items()
    }
    corpus, settings = datagen.open_corpus(corpora.test), models["cold"].configuration["settings"]
    noisy = pair_cases(corpus, FORMAT, "test", settings, QUICK_CASES if quick else CASES)
    groups = dict(zip(KINDS, (noise_free(corpus, FORMAT, "test", noisy), noisy), strict=True))
    figures: dict[str, Any] = {"sampling_identity": identity(models["cold"], noisy[0])}
    for kind, cases in groups.items():
        for name, restore in restorers(models, cases, settings).items():
            found = fidelity(restore, cases)
            for figure in ("psnr_db", "ssim"):
                figures[f"{figure}_{kind}_{name}"] = by_setting(noisy, found[figure])
            figures[f"level_shift_percent_{kind}_{name}"] = max(found["level_shift_percent"])
    return figures | bars(figures) | of_rulers(models, corpus, groups, settings)


def restorers(models: dict[str, Restorer], cases: list[Case], settings: dict[str, Any]) -> dict[str, Restore]:
    """All that is compared, by the names of the figures."""
    return dict(zip(("thick", "wiener", *models), compared(models, cases, settings).values(), strict=True))


def bars(figures: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Cold diffusion as the paper has it; the variant that takes noise away is told beside it."""
    best = better(figures["ssim_noisy_regression"], figures["ssim_noisy_wiener"])
    return {
        "ssim_over_wiener_noise_free": less(figures["ssim_noise_free_cold"], figures["ssim_noise_free_wiener"]),
        "ssim_over_best_noisy": less(figures["ssim_noisy_cold"], best),
        "ssim_over_best_noisy_removed": less(figures["ssim_noisy_cold_removed"], best),
    }


def less(one: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    return {setting: value - other[setting] for setting, value in one.items()}


def better(one: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    """The rival with the greater mean, in every setting."""
    return max(one, other, key=lambda each: float(np.mean(list(each.values()))))


def identity(model: Restorer, case: Case) -> float:
    """Greatest difference of sampling from y + (I - B) mean f on a test frame, in units of its brightest part."""
    settings, p = model.configuration["settings"], case.params
    noisy = torch.from_numpy(case.noisy)[None, None]
    a, b = (torch.full_like(noisy, p[name]) for name in ("a_pixel_adu", "b_adu2"))
    frame = frame_of(noisy, a, b, settings["offset_adu"])

    def predict(image: torch.Tensor, share: float) -> torch.Tensor:
        return estimate(model.network, frame, image, image.new_full((1, 1, 1, 1), share), settings)[0]

    with torch.inference_mode():
        found, predictions = sample(frame.image, predict, int(settings["time_steps"]), settings)
        return float((found - closed_form(frame.image, predictions, settings)).abs().max())


def of_rulers(
    models: dict[str, Restorer], corpus: datagen.Corpus, groups: dict[str, list[Case]], settings: dict[str, Any]
) -> dict[str, Any]:
    """Sharpness before the pair's cameras, and PSNR against the thin screen's frames of the same and other quanta."""
    pair = pair_of(corpus, FORMAT)
    same, other = (rulers(pair, same_quanta=each) for each in (True, False))
    curves: dict[str, Any] = {"thin": sharpness(None, same, False)}
    figures: dict[str, Any] = told("thin", curves["thin"])
    for kind, cases in groups.items():
        for name, restore in restorers(models, cases, settings).items():
            curves[f"{kind}_{name}"] = sharpness(restore, same, kind == "noisy")
            figures |= told(f"{kind}_{name}", curves[f"{kind}_{name}"])
            if kind == "noisy":
                figures[f"same_quanta_db_{name}"] = to_sharp_frame_db(restore, same)
                figures[f"other_quanta_db_{name}"] = to_sharp_frame_db(restore, other)
    return {**figures, "mtf_overshoot_percent": figures["mtf_overshoot_percent_noisy_cold"], "curves": curves}


def told(name: str, found: dict[str, Any]) -> dict[str, float]:
    """A curve in numbers."""
    figures = {
        f"mtf_overshoot_percent_{name}": found["mtf_overshoot_percent"],
        f"mtf_at_{SHOWN_PER_MM:g}_per_mm_{name}": float(
            np.interp(SHOWN_PER_MM, found["frequency_per_mm"], found["mtf"])
        ),
        f"ctf_at_{SHOWN_CYCLES_PER_PX:g}_per_px_{name}": found["ctf"][SHOWN_CYCLES_PER_PX],
    }
    if "nnps_mm2" in found:
        frequencies, powers = np.array(list(found["nnps_mm2"].items())).T
        figures[f"nnps_at_{SHOWN_PER_MM:g}_per_mm_{name}_um2"] = 1e6 * float(
            np.interp(SHOWN_PER_MM, frequencies, powers)
        )
    return figures
