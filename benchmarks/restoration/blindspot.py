"""Blind-spot training on white noise beside the same steps with clean images; fitted noise; dual-energy fusion."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage

import datagen
import denoise
from denoise import vst
from denoise.blindspot_prediction import prediction
from denoise.evaluation import Case, psnr_db
from denoise.fusion import APPROXIMATIONS, RULES, Beam, fuse
from denoise.noise_fit import fit_noise, likeliest_line
from restoration import Corpora, by_setting, setting_of
from restoration.naturalness import brisque_scores
from xsim import ModelError
from xsim.quality import contrast_to_noise

FORMAT = "white"
STEPS = 1200
QUICK_STEPS = 60
RECIPE = {"learning_rate": 3e-3, "crop": 64, "batch": 8}
GRADIENT_PX = (16, 24)  # every pixel of such a piece is asked what it sees of itself
RING_PX = (3, 9)  # around a sphere: its background
LEAST_PIXELS = (12, 60)  # of a sphere and of its background, to be judged
EVEN = 0.5  # of the noise: most that the clean background may vary by


def run(corpora: Corpora, seed: int, quick: bool) -> dict[str, Any]:
    cases = corpora.cases(FORMAT, 1 if quick else None)
    steps = QUICK_STEPS if quick else STEPS
    blind = denoise.load(corpora.trained("blindspot", FORMAT, steps, seed, **RECIPE))
    supervised = denoise.load(corpora.trained("noise_cnn", FORMAT, steps, seed, **RECIPE))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ranges: the settings are inside, the levels of single images may not be
        return {
            "centre_gradient": centre_gradient(blind, cases[0]),
            **restoration(blind, supervised, cases, corpora.python_bm3d),
            **fitted_noise(blind, cases),
            **fusion(blind, exposures(corpora, cases)),
        }


def centre_gradient(restorer: denoise.Restorer, case: Case) -> float:
    """Greatest derivative of a pixel's mean or deviation by its own value; 0 says that none sees itself."""
    rows, columns = GRADIENT_PX
    noisy = np.asarray(case.noisy[:rows, :columns], np.float64)
    z = torch.from_numpy(vst.forward(noisy, *noise_of(case)))[None, None]
    network = restorer.network.double()
    found = torch.autograd.functional.jacobian(lambda each: network(each), z, vectorize=True)
    network.float()
    slopes = found.reshape(2, z.numel(), z.numel())
    assert float(slopes.abs().max()) > 0.01, "a network that sees nothing at all shows nothing"
    return float(slopes.diagonal(dim1=1, dim2=2).abs().max())


def restoration(
    blind: denoise.Restorer, supervised: denoise.Restorer, cases: list[Case], python: Path | None
) -> dict[str, Any]:
    """PSNR and bias against the clean images, of the noisy ones, of both networks and of what neighbours alone tell."""
    images = {
        "noisy": [case.noisy for case in cases],
        "neighbours": [foretold(blind, case) for case in cases],
        "restored": [blind(case.noisy, *noise_of(case)) for case in cases],
        "supervised": [supervised(case.noisy, *noise_of(case)) for case in cases],
    }
    figures: dict[str, Any] = {
        f"psnr_{name}_db": by_setting(cases, [psnr_db(x, c) for x, c in zip(each, cases, strict=True)])
        for name, each in images.items()
    }
    for name, each in {**images, "clean": [case.clean for case in cases]}.items():
        if (scores := brisque_scores(python, each)) is not None:
            figures[f"brisque_{name}"] = by_setting(cases, scores)
    own = figures["psnr_restored_db"]
    figures["gain_over_noisy_db"] = {name: own[name] - value for name, value in figures["psnr_noisy_db"].items()}
    figures["behind_supervised_db"] = {name: value - own[name] for name, value in figures["psnr_supervised_db"].items()}
    figures["bias_percent"] = {
        name: bias_percent([images["restored"][k] for k in places], [cases[k] for k in places])
        for name, places in grouped(cases).items()
    }
    return figures


def bias_percent(images: Sequence[np.ndarray], cases: Sequence[Case]) -> float:
    """Size of the mean of restored - clean over valid pixels, over the mean clean signal."""
    errors = [(image - case.clean)[case.valid] for image, case in zip(images, cases, strict=True)]
    signals = [case.clean[case.valid] - case.params["offset_adu"] for case in cases]
    return abs(100.0 * float(np.concatenate(errors).mean(dtype=np.float64) / np.concatenate(signals).mean()))


def fitted_noise(blind: denoise.Restorer, cases: list[Case]) -> dict[str, Any]:
    """Lines that nobody told, against the frames' metadata, and what an oracle that knows the clean image would fit.

    ``with_dark``: offset and read noise known. ``camera``: all frames of one tube voltage together, of all doses.
    ``noise_error``: of the variance at the image's own levels, which is what restoration takes from the line.
    """
    figures: dict[str, list[float]] = {}
    restored = []
    for case in cases:
        dark = {name: float(case.params[name]) for name in ("offset_adu", "read_noise_adu")}
        lines = {
            "": fitted(blind, [case.noisy]),
            "_with_dark": fitted(blind, [case.noisy], **dark),
            "_of_clean": true_line(case),
        }
        restored.append(blind(case.noisy, *lines[""]))
        for name, line in lines.items():
            errors = line_errors(line, case)
            for key, error in zip(("a", "b", "noise"), errors, strict=True):
                figures.setdefault(f"{key}_error{name}_percent", []).append(error)
    found: dict[str, Any] = {name: by_setting(cases, values) for name, values in figures.items()}
    together = {
        f"{voltage:g} kV": line_errors(fitted(blind, [case.noisy for case in group]), group[0])
        for voltage, group in by_voltage(cases).items()
    }
    for number, key in enumerate("ab"):
        found[f"{key}_error_of_camera_percent"] = {name: errors[number] for name, errors in together.items()}
    found["psnr_fitted_db"] = by_setting(cases, [psnr_db(x, c) for x, c in zip(restored, cases, strict=True)])
    return found


def fitted(blind: denoise.Restorer, frames: Sequence[np.ndarray], **dark: float) -> tuple[float, float]:
    try:
        return fit_noise(blind, frames, **dark)
    except ModelError:  # no line fits: as wrong as can be told
        return 1e-6, 0.0


def true_line(case: Case) -> tuple[float, float]:
    """Line of the noise itself, noisy - clean, of this frame."""
    residual = (case.noisy.astype(np.float64) - case.clean)[case.valid]
    found = likeliest_line(residual, case.clean[case.valid].astype(np.float64), noise_of(case))
    assert found is not None
    return found


def line_errors(line: tuple[float, float], case: Case) -> tuple[float, float, float]:
    """Errors of a, of b and of the variance at the image's levels (mean of the size), percent of the metadata's."""
    (a, b), (slope, shift) = line, noise_of(case)
    level = case.clean[case.valid].astype(np.float64)
    told = slope * level + shift
    noise = float(np.mean(np.abs((a * level + b) / told - 1.0)))
    return 100.0 * abs(a / slope - 1.0), 100.0 * abs(b / shift - 1.0), 100.0 * noise


@dataclass(frozen=True)
class Exposures:
    """One part at two energies, with its spheres: pairs of masks, of each and of the background around it."""

    case: Case
    noisy: tuple[np.ndarray, np.ndarray]
    beams: tuple[Beam, Beam]
    regions: list[tuple[np.ndarray, np.ndarray]]


def exposures(corpora: Corpora, cases: list[Case]) -> list[Exposures]:
    """Both images of every case, where there are spheres to judge by."""
    view = datagen.open_corpus(corpora.test).subset(FORMAT, "test")
    by_scene = {case.params["scene"]: case for case in cases}
    found = []
    for k in range(len(view)):
        sample = view[k]
        case = by_scene.get(sample["params"]["scene"])
        if case is not None:
            low, high = (beam(sample["params"], end) for end in ("", "_second"))
            pair = (sample["noisy"], sample["noisy_second"])
            spheres = [int(body["label"]) for body in case.bodies if body["class"] == "sphere"]
            found.append(Exposures(case, pair, (low, high), sphere_regions(sample, spheres)))
    return found


def beam(params: Mapping[str, Any], end: str) -> Beam:
    facts = [float(params[f"{name}{end}"]) for name in ("a_pixel_adu", "b_adu2", "offset_adu")]
    return Beam(*facts, facts[2] + float(params[f"gain_adu_per_quantum{end}"] * params[f"quanta_per_pixel{end}"]))


def sphere_regions(sample: Mapping[str, Any], places: Sequence[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Spheres on an even background: its clean values vary less than half the noise, in either image."""
    labels = sample["labels"]
    spheres = np.isin(labels, places)
    found = []
    for label in places:
        inside = ndimage.binary_erosion(labels == label)
        near, far = (ndimage.binary_dilation(labels == label, iterations=n) for n in RING_PX)
        around = far & ~near & ~ndimage.binary_dilation(spheres, iterations=2) & sample["valid"]
        if inside.sum() < LEAST_PIXELS[0] or around.sum() < LEAST_PIXELS[1]:
            continue
        if all(even(sample, around, end) for end in ("", "_second")):
            found.append((inside, around))
    return found


def even(sample: Mapping[str, Any], around: np.ndarray, end: str) -> bool:
    level = sample[f"clean{end}"][around].astype(np.float64)
    noise = sample["params"][f"a_pixel_adu{end}"] * level.mean() + sample["params"][f"b_adu2{end}"]
    return bool(level.std() < EVEN * noise**0.5)


def fusion(blind: denoise.Restorer, pairs: list[Exposures]) -> dict[str, Any]:
    """CNR of spheres in the fused image over that in the better energy's, of restored and of noisy images."""
    figures: dict[str, dict[str, list[float]]] = {}
    for pair in pairs:
        restored = tuple(blind(image, each.a, each.b) for image, each in zip(pair.noisy, pair.beams, strict=True))
        for kind, images in (("restored", restored), ("noisy", pair.noisy)):
            made = {"low": images[0], "high": images[1]}
            for rule in RULES:
                for coarse in APPROXIMATIONS:
                    made[f"{rule}_{coarse}"] = fuse(*images, *pair.beams, rule=rule, approximation=coarse).image
            for name, image in made.items():
                figures.setdefault(f"{kind}_{name}", {}).setdefault(setting_of(pair.case), []).extend(
                    contrasts(image, pair)
                )
    medians = {
        name: {setting: float(np.median(each)) for setting, each in sorted(settings.items()) if each}
        for name, settings in figures.items()
    }
    found: dict[str, Any] = {f"cnr_{name}": medians[name] for name in medians if name.endswith(("low", "high"))}
    for name, settings in medians.items():
        kind, _, rest = name.partition("_")
        if rest not in ("low", "high"):
            better = {s: max(medians[f"{kind}_{end}"][s] for end in ("low", "high")) for s in settings}
            found[f"cnr_{name}_over_better"] = {s: settings[s] / better[s] for s in settings}
    found["cnr_fused_over_better"] = found["cnr_restored_max_mean_over_better"]
    found["spheres_judged"] = float(sum(len(pair.regions) for pair in pairs))
    return found


def contrasts(image: np.ndarray, pair: Exposures) -> list[float]:
    """CNR of every sphere."""
    return [
        contrast_to_noise(image[inside][None].astype(np.float64), image[around][None].astype(np.float64)).cnr
        for inside, around in pair.regions
    ]


def foretold(blind: denoise.Restorer, case: Case) -> np.ndarray:
    """What the neighbours alone say of every pixel."""
    tensors = [
        torch.from_numpy(np.broadcast_to(np.asarray(each, np.float32), case.noisy.shape).copy())[None, None]
        for each in (case.noisy, *noise_of(case))
    ]
    with torch.inference_mode():
        return prediction(blind.network, *tensors, blind.configuration["settings"])[0][0, 0].numpy()


def noise_of(case: Case) -> tuple[float, float]:
    return float(case.params["a_pixel_adu"]), float(case.params["b_adu2"])


def grouped(cases: list[Case]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for place, case in enumerate(cases):
        found.setdefault(setting_of(case), []).append(place)
    return found


def by_voltage(cases: list[Case]) -> dict[float, list[Case]]:
    found: dict[float, list[Case]] = {}
    for case in cases:
        found.setdefault(float(case.params["voltage_kv"]), []).append(case)
    return found
