"""DNGAN on one camera: regression alone (MSE), all four terms (DNGAN) and the bare adversarial net (ADV).

All are one method with other weights, of the same steps, pre-trained by the same squared error for the first half:
(1, 0, 0, 0), (1, 0.125, 0.01, 0.25) and (0, 0, 1, 0) of squared error, content, adversarial, total variation. So ADV is
a net that a discriminator alone has gone on with. Beside it, total variations of weight 0.5: dngan_half of squares,
dngan_absolute of absolute differences in units of noise. Feature distances are taken by the features that DNGAN was
trained against ("own") and by a network of another seed, width and kernel ("other"), which is the one to judge by.
"""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import Any

import denoise
from denoise.baselines import STABILISED
from denoise.cases import Case
from denoise.contaminants import found_share
from denoise.feature_training import FeatureSettings, train_features
from denoise.features import FeatureNet, load_features
from denoise.fidelity import psnr_db, ssim
from denoise.perceptual import perceptual_distance_ratio
from denoise.restorations import tuned
from restoration import Corpora, by_setting
from restoration.noise_cnn import Images, of_settings, settings

FORMAT = "panel"
STEPS, FEATURE_STEPS = 600, 150
QUICK_STEPS, QUICK_FEATURE_STEPS = 40, 10
# a quarter of the paper's widths and twenty times its rate: minutes on two cores, not hours on a GPU
RECIPE = {"network.features": 8, "rival_features": 8, "rival_hidden": 128, "learning_rate": 2e-3}
VARIANTS: dict[str, dict[str, Any]] = {
    "mse": {"weight_content": 0.0, "weight_adversarial": 0.0, "weight_tv": 0.0},
    "dngan": {"weight_tv": 0.25},
    "dngan_half": {"weight_tv": 0.5},
    "dngan_absolute": {"tv_power": 1, "weight_tv": 0.5},
    "adv": {"weight_mse": 0.0, "weight_content": 0.0, "weight_adversarial": 1.0, "weight_tv": 0.0},
}
OTHER_SEED = 1000
FILTERS = {
    name.lower().replace("vst + ", "vst_").replace(" ", "_").replace("-", "_"): name
    for name in ("Gaussian", "median", *STABILISED)
}


def run(corpora: Corpora, seed: int, quick: bool) -> dict[str, Any]:
    cases = corpora.cases(FORMAT, 1 if quick else None)
    own = features(corpora, quick, FeatureSettings(seed=seed))
    other = features(corpora, quick, FeatureSettings(seed=OTHER_SEED + seed, widths=(24, 32, 48), kernel=5))
    images = {
        "noisy": [case.noisy for case in cases],
        **{key: of_settings(cases, partial(filtered, name)) for key, name in FILTERS.items()},
        **{name: restored(model(corpora, seed, quick, name, own), cases) for name in VARIANTS},
    }
    nets = {"own": load_features(own), "other": load_features(other)}
    return figures_of(images, cases, nets)


def filtered(name: str, cases: list[Case]) -> Images:
    """A classical denoiser with the setting that is best on these very images."""
    return tuned(name, cases).images


def features(corpora: Corpora, quick: bool, chosen: FeatureSettings) -> Path:
    """A feature network of the camera's labels, trained where it is not there yet."""
    steps = QUICK_FEATURE_STEPS if quick else FEATURE_STEPS
    path = corpora.work / f"features-{FORMAT}-{chosen.seed}-{steps}.safetensors"
    if not path.exists():
        told = {**vars(chosen), "steps": steps, "formats": [FORMAT]}
        train_features(corpora.train, path, FeatureSettings(**told))
    return path


def model(corpora: Corpora, seed: int, quick: bool, variant: str, feature_file: Path) -> Path:
    """The model of a variant."""
    weights = VARIANTS[variant]
    used = {} if weights.get("weight_content") == 0.0 else {"feature_file": str(feature_file)}
    return corpora.trained("dngan", FORMAT, QUICK_STEPS if quick else STEPS, seed, **RECIPE, **weights, **used)


def restored(path: Path, cases: list[Case]) -> Images:
    restorer = denoise.load(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ranges: the settings are inside, the levels of single images may not be
        return [restorer(c.noisy, c.params["a_pixel_adu"], c.params["b_adu2"]) for c in cases]


def figures_of(images: dict[str, Images], cases: list[Case], nets: dict[str, FeatureNet]) -> dict[str, Any]:
    """PSNR, SSIM, feature distances and spheres found of each restoration, and the bars' figures, by setting."""
    found: dict[str, Any] = {}
    for name, each in images.items():
        pairs = list(zip(each, cases, strict=True))
        found[f"psnr_{name}_db"] = by_setting(cases, [psnr_db(x, c) for x, c in pairs])
        found[f"ssim_{name}"] = by_setting(cases, [ssim(x, c) for x, c in pairs])
        for which, net in nets.items():
            found[f"pdr_{which}_{name}"] = by_setting(cases, [distance(net, x, c) for x, c in pairs])
        found[f"spheres_found_{name}"] = spheres(each, cases)
    found["spheres_found_clean"] = spheres([case.clean for case in cases], cases)
    for better, worse in (("mse", "dngan"), ("dngan", "adv")):
        psnr = (found[f"psnr_{name}_db"] for name in (better, worse))
        found[f"{better}_over_{worse}_db"] = combined(*psnr, lambda x, y: x - y)
    for which, name in (("other", "feature_distance_ratio"), ("own", "feature_distance_ratio_own")):
        found[name] = combined(found[f"pdr_{which}_dngan"], found[f"pdr_{which}_mse"], lambda x, y: x / y)
    return found


def distance(net: FeatureNet, image: Any, case: Case) -> float:
    noise = (case.params["a_pixel_adu"], case.params["b_adu2"])
    return perceptual_distance_ratio(net, image, case.clean, *noise, case.valid)


def spheres(images: Images, cases: list[Case]) -> dict[str, float]:
    """Share of the spheres found at the false alarms of `denoise.evaluation`, by setting."""
    found = {}
    for name, places in settings(cases).items():
        share, _ = found_share([images[k] for k in places], [cases[k] for k in places])
        if share is not None:
            found[name] = share
    return found


def combined(ours: dict[str, float], theirs: dict[str, float], way: Any) -> dict[str, float]:
    return {name: way(value, theirs[name]) for name, value in ours.items()}
