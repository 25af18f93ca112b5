"""Judging a restorer on images whose clean form is known: PSNR, SSIM, bias, and the spheres that a threshold finds.

Pixels that are not valid count in none of them: what a saturated or dead pixel reads tells nothing of a restorer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from skimage.metrics import structural_similarity

import datagen
import xsim
from denoise.baselines import tuned_gaussian, tuned_median
from denoise.detection import Region, detection_rate, inspected_region, score
from denoise.restorer import Restorer
from xsim import CorpusError

__all__ = [
    "FALSE_ALARMS",
    "Case",
    "by_dose",
    "case_of_radiograph",
    "corpus_cases",
    "figures",
    "gain_db",
    "psnr_db",
    "table",
]

SSIM_RADIUS = 5  # px, of its window: 3.5 standard deviations
FALSE_ALARMS = 1e-4  # per sphere-free pixel
DOSE = ("quanta_per_pixel", "mean_energy_kev", "gain_adu_per_quantum")  # that figures are relative to


@dataclass(frozen=True)
class Case:
    """One image to judge by.

    Attributes
    ----------
    noisy, clean : float32 [row, column] ADU
    labels : uint16 [row, column]
    params : dict
        a_pixel_adu, b_adu2, offset_adu, and the numbers that the flat level is made of.
    bodies : list of dict
        label and class of each body.
    valid : bool [row, column]
        Pixels that count; all of them where it is not given.
    """

    noisy: np.ndarray
    clean: np.ndarray
    labels: np.ndarray
    params: Mapping[str, Any]
    bodies: Sequence[Mapping[str, Any]]
    valid: np.ndarray = field(default_factory=lambda: np.ones((1, 1), bool))

    def __post_init__(self) -> None:
        object.__setattr__(self, "valid", np.broadcast_to(self.valid, self.clean.shape))

    @property
    def flat_adu(self) -> float:
        """Signal of the open beam, which PSNR and SSIM are relative to."""
        p = self.params
        return float(p["gain_adu_per_kev"] * p["quanta_per_pixel"] * p["mean_energy_kev"])

    def score(self, image: np.ndarray) -> np.ndarray:
        """Darkness of each pixel against its surroundings; the least signal that counts is half a quantum."""
        return score(image, self.params["offset_adu"], 0.5 * self.params["gain_adu_per_quantum"])

    @cached_property
    def spheres(self) -> list[int]:
        """Labels of the spheres."""
        return [int(body["label"]) for body in self.bodies if body["class"] == "sphere"]

    @cached_property
    def region(self) -> Region | None:
        """Where spheres are looked for: in the body, itself none, that owns most of the pixels."""
        others = [int(body["label"]) for body in self.bodies if body["class"] != "sphere"]
        if not self.spheres or not others:
            return None
        pixels = np.bincount(self.labels.ravel(), minlength=max(others) + 1)
        host = max(others, key=lambda label: int(pixels[label]))
        region = inspected_region(self.labels, self.spheres, host, self.score(self.clean))
        return Region(region.free & self.valid, np.where(self.valid, region.spheres, 0).astype(np.uint16))


def case_of_radiograph(image: xsim.Radiograph) -> Case:
    """Case of a simulated frame."""
    return Case(image.noisy, image.clean, image.labels, image.metadata, image.metadata["bodies"], image.valid)


def corpus_cases(corpus: datagen.Corpus, split: str) -> list[Case]:
    """All samples of a part of a corpus, of every format, but those without a valid pixel.

    Raises
    ------
    CorpusError
        There are none, they have no clean images, or their dose is not known.
    """
    views = [corpus.subset(name, split) for name in corpus.formats]
    images = ("noisy", "clean", "labels", "params")
    samples = (view.sample(k, (*images[:3], "valid")) for view in views for k in range(len(view)))
    judged = (s for s in samples if s["valid"].any())
    cases = [Case(*(s[k] for k in images), corpus.instances(s["index"]), s["valid"]) for s in judged]
    if not cases:
        raise CorpusError(f"{corpus.path} has no samples in split {split!r} choose another")
    if any(case.params[name] is None for case in cases for name in DOSE):
        raise CorpusError(f"{corpus.path}: the dose of its images is not known (real ones?) judge on simulated ones")
    return cases


def psnr_db(image: np.ndarray, case: Case) -> float:
    """Peak signal to noise ratio, the peak being the open beam."""
    squares = (image - case.clean)[case.valid] ** 2
    return float(10.0 * np.log10(case.flat_adu**2 / np.mean(squares, dtype=np.float64)))


def gain_db(image: np.ndarray, case: Case) -> float:
    """PSNR above that of the noisy image."""
    return psnr_db(image, case) - psnr_db(case.noisy, case)


def ssim(image: np.ndarray, case: Case) -> float:
    """Structural similarity as Wang et al. 2004 define it, its range the open beam; a bad pixel is shown as clean."""
    shown, chosen = np.where(case.valid, image, case.clean), {"gaussian_weights": True, "sigma": 1.5}
    mean, places = structural_similarity(
        case.clean, shown, data_range=case.flat_adu, use_sample_covariance=False, full=True, **chosen
    )
    if case.valid.all():
        return float(mean)
    inner = np.s_[SSIM_RADIUS:-SSIM_RADIUS, SSIM_RADIUS:-SSIM_RADIUS]
    return float(places[inner][case.valid[inner]].mean(dtype=np.float64)) if case.valid[inner].any() else float("nan")


def bias(
    images: Sequence[np.ndarray], cases: Sequence[Case], masks: Sequence[np.ndarray] | None = None
) -> float | None:
    """Mean of restored - clean over all valid pixels of all images, relative to the mean of clean - offset.

    With masks over theirs only; None where those are empty.
    """
    error = signal = 0.0
    for image, case, mask in zip(images, cases, masks or [case.valid for case in cases], strict=True):
        counted = mask & case.valid
        clean = case.clean[counted].astype(np.float64)
        error += float(np.sum(image[counted] - clean))
        signal += float(np.sum(clean - case.params["offset_adu"]))
    return error / signal if signal > 0.0 else None


def bias_uncertainty(cases: Sequence[Case]) -> float:
    """Standard deviation that quanta and read noise alone give the bias of an estimate without any of its own."""
    variance = signal = 0.0
    for case in cases:
        p, pixels = case.params, int(case.valid.sum())
        total = float(np.sum(case.clean[case.valid], dtype=np.float64) - p["offset_adu"] * pixels)
        variance += p["gain_adu_per_quantum"] * total + p["read_noise_adu"] ** 2 * pixels
        signal += total
    return variance**0.5 / signal


def restored_images(
    restorer: Restorer, cases: Sequence[Case], tick: Callable[[], None] = lambda: None
) -> list[np.ndarray]:
    """What a restorer makes of each case."""
    images = []
    for case in cases:
        images.append(restorer(case.noisy, case.params["a_pixel_adu"], case.params["b_adu2"]))
        tick()
    return images


def figures(restorer: Restorer, cases: Sequence[Case], tick: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """All figures of a restorer on some cases, beside those of the noisy images and of tuned classical filters.

    Returns
    -------
    dict
        images: int; for each of noisy, gaussian, median, restored: psnr_db, ssim, bias, true_positive_rate; gains of
        the restored images, bias_uncertainty, spheres, false_alarm_rate, and the settings of the filters.
    """
    restored = restored_images(restorer, cases, tick)
    noisy, clean, valid = [c.noisy for c in cases], [c.clean for c in cases], [c.valid for c in cases]
    gaussian = tuned_gaussian(noisy, clean, valid)
    tick()
    median = tuned_median(noisy, clean, valid)
    tick()
    table = {
        "noisy": measure(noisy, cases),
        "gaussian": {**measure(gaussian.images, cases), "sigma_px": gaussian.setting},
        "median": {**measure(median.images, cases), "size_px": median.setting},
        "restored": measure(restored, cases),
        "clean": {"true_positive_rate": found_share(clean, cases)[0]},
    }
    tick()
    level = table["restored"]["psnr_db"]
    return {
        "images": len(cases),
        **table,
        "gain_over_noisy_db": level - table["noisy"]["psnr_db"],
        "gain_over_classical_db": level - max(table["gaussian"]["psnr_db"], table["median"]["psnr_db"]),
        "bias_uncertainty": bias_uncertainty(cases),
        "false_alarm_rate": FALSE_ALARMS,
        "spheres": found_share(clean, cases)[1],
    }


def measure(images: Sequence[np.ndarray], cases: Sequence[Case]) -> dict[str, Any]:
    """Figures of one restoration; means over the images."""
    pairs = list(zip(images, cases, strict=True))
    return {
        "psnr_db": float(np.mean([psnr_db(image, case) for image, case in pairs])),
        "ssim": float(np.nanmean([ssim(image, case) for image, case in pairs])),
        "bias": bias(images, cases),
        "bias_in_part": bias(images, cases, [case.labels > 0 for case in cases]),
        "bias_in_spheres": bias(images, cases, [np.isin(case.labels, case.spheres) for case in cases]),
        "true_positive_rate": found_share(images, cases)[0],
    }


def found_share(images: Sequence[np.ndarray], cases: Sequence[Case]) -> tuple[float | None, int]:
    """Share of the spheres found at the fixed rate of false alarms, and their number; None where there are none."""
    pairs = [(case.score(image), case.region) for image, case in zip(images, cases, strict=True) if case.region]
    return detection_rate([scores for scores, _ in pairs], [region for _, region in pairs], FALSE_ALARMS)


def by_dose(cases: Sequence[Case]) -> dict[str, list[Case]]:
    """Cases in three groups of about one size: low, middle and high dose, each named by its range."""
    ordered = sorted(cases, key=lambda case: float(case.params["quanta_per_pixel"]))
    groups = {}
    for part in np.array_split(np.arange(len(ordered)), min(3, len(ordered))):
        chosen = [ordered[k] for k in part]
        low, high = (float(case.params["quanta_per_pixel"]) for case in (chosen[0], chosen[-1]))
        groups[f"{low:.0f} to {high:.0f}"] = chosen
    return groups


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Figures per group as lines for a terminal."""
    lines = [f"{'quanta/pixel':>16}  {'image':<9} {'PSNR dB':>8} {'SSIM':>7} {'bias %':>8} {'spheres %':>9}"]
    for name, group in found.items():
        for kind in ("noisy", "gaussian", "median", "restored"):
            each = group[kind]
            rate = each["true_positive_rate"]
            lines.append(
                f"{name:>16}  {kind:<9} {each['psnr_db']:8.2f} {each['ssim']:7.4f} {100 * each['bias']:+8.4f} "
                f"{'-' if rate is None else f'{100 * rate:.1f}':>9}"
            )
        spread = 100 * group["bias_uncertainty"]
        lines.append(
            f"{'':>16}  {group['images']} images, {group['spheres']} spheres; restored: "
            f"{group['gain_over_noisy_db']:+.2f} dB over noisy, {group['gain_over_classical_db']:+.2f} dB over the "
            f"better filter; bias to expect from the quanta alone: {spread:.4f} %"
        )
    return "\n".join(lines)
