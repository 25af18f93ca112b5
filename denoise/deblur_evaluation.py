"""Judging deblurring models on a part of a corpus of two screens: `denoise evaluate` of such models.

Every model gets the thick screen's frames, with their noise and without, beside these frames themselves and the Wiener
filter that knows the noise-to-signal spectrum of these very images. See `denoise.deblur_figures` for the figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import datagen
from denoise.cases import Case, by_setting
from denoise.conditions import outside, sample_conditions
from denoise.deblur_figures import (
    Restore,
    Rulers,
    as_restore,
    fidelity,
    noise_free,
    pair_cases,
    rulers,
    sharpness,
    wiener_restore,
)
from denoise.evaluation import told_of
from denoise.restorer import Restorer
from denoise.screen_pair import mtf_ratio, pair_of
from denoise.uncertainty import mean_figure
from xsim import CorpusError, MeasurementError, ModelError

__all__ = ["KINDS", "Deblurred", "DeblurringEvaluation", "deblurring_numbers", "deblurring_table", "judge_deblurring"]

KINDS = ("noise-free", "noisy")
THICK, WIENER, THIN = "thick screen", "oracle Wiener", "thin screen"
SHOWN_CYCLES_PER_PX = 0.25  # the CTF that the table tells
SAME_RATIO = 0.02  # ratios of MTFs that differ by less are one


@dataclass(frozen=True)
class Deblurred:
    """What was measured of one way of deblurring.

    Attributes
    ----------
    psnr_db, ssim, level_shift_percent : float64 [case]
        Away from the border; by how much the mean signal is another than the frame's.
    sharpness : dict or None
        Of `deblur_figures.sharpness`; None where no test object could be simulated.
    """

    psnr_db: np.ndarray
    ssim: np.ndarray
    level_shift_percent: np.ndarray
    sharpness: dict[str, Any] | None


@dataclass(frozen=True)
class DeblurringEvaluation:
    """All that was measured.

    Attributes
    ----------
    corpus, format, split : str
    settings : {name: places of its cases}
    deblurred : {kind: {name: Deblurred}}
        By `KINDS`: thick screen, oracle Wiener, models; in this order.
    thin : dict or None
        Sharpness of the thin screen's own frames, noise-free: what can be reached.
    reason : str
        Why there are no figures of sharpness.
    models : {name: dict}
        Method, network, sha256 and corpus of each model; images_outside_training; other_screens, by how much its
        M_LR / M_HR is another than that of these screens, at most.
    """

    corpus: str
    format: str
    split: str
    settings: dict[str, list[int]]
    deblurred: dict[str, dict[str, Deblurred]] = field(repr=False)
    thin: dict[str, Any] | None = field(repr=False)
    reason: str
    models: dict[str, dict[str, Any]]

    @property
    def images(self) -> int:
        return sum(len(places) for places in self.settings.values())


def judge_deblurring(
    restorers: Mapping[str, Restorer],
    corpus: datagen.Corpus,
    split: str = "test",
    formats: Sequence[str] | None = None,
    tick: Callable[[str], None] = lambda name: None,
) -> DeblurringEvaluation:
    """Measure deblurring models on a part of a corpus.

    Parameters
    ----------
    restorers : {name: Restorer}
    corpus : datagen.Corpus
    split : {"train", "val", "test"}
    formats : sequence of str, optional
        The one format to judge on; by default the one that has a pair of screens.
    tick : callable
        Called with the name of what is done next.

    Raises
    ------
    ModelError
        A model is no deblurring one, or is called as what it is compared with.
    CorpusError
        The format has no pair, or it is not said which of several.
    """
    check_models(restorers)
    format = pair_format(corpus, formats)
    settings = {"mtf_ratio": mtf_ratio(corpus, format).tolist()}
    noisy = pair_cases(corpus, format, split, settings)
    if not noisy:
        raise CorpusError(f"{corpus.path} has no {split} images of {format} (nothing to judge on) choose another split")
    tick("test objects")
    found, reason = rulers_or_reason(corpus, format)
    groups = dict(zip(KINDS, (noise_free(corpus, format, split, noisy), noisy), strict=True))
    deblurred = {
        kind: {
            name: measured(name, restore, cases, found, kind == "noisy", tick)
            for name, restore in compared(restorers, cases, settings).items()
        }
        for kind, cases in groups.items()
    }
    thin = sharpness(None, found, False) if found else None
    models = {name: told(each, noisy, settings["mtf_ratio"]) for name, each in restorers.items()}
    return DeblurringEvaluation(corpus.name, format, split, by_setting(noisy), deblurred, thin, reason, models)


def check_models(restorers: Mapping[str, Restorer]) -> None:
    for name, restorer in restorers.items():
        if restorer.method.source == "noisy":
            raise ModelError(
                f"{name} is no deblurring model (it restores frames of one screen) evaluate the two kinds one by one"
            )
        if name in (THICK, WIENER, THIN):
            raise ModelError(f"a model is called {name!r} (as is something it is compared with) rename its file")


def pair_format(corpus: datagen.Corpus, formats: Sequence[str] | None) -> str:
    """The one format that is asked for or has pairs."""
    asked = list(formats or corpus.formats)
    paired = [name for name in asked if "noisy_pair" in corpus.subset(name).images]
    if len(paired) == 1:
        return paired[0]
    if not paired:
        raise CorpusError(f"{corpus.path}: no [detector.pair] in {', '.join(asked)} (deblurring needs two) add one")
    raise CorpusError(f"{corpus.path}: several pairs of screens ({', '.join(paired)}) choose one with --format")


def rulers_or_reason(corpus: datagen.Corpus, format: str) -> tuple[Rulers | None, str]:
    try:
        return rulers(pair_of(corpus, format)), ""
    except MeasurementError as error:
        return None, str(error)


def compared(restorers: Mapping[str, Restorer], cases: Sequence[Case], settings: dict[str, Any]) -> dict[str, Restore]:
    """All that is compared, the thick screen's frame itself first."""
    named: dict[str, Restore] = {THICK: lambda frame, a, b: frame, WIENER: wiener_restore(cases, settings)}
    return named | {name: as_restore(model) for name, model in restorers.items()}


def measured(
    name: str, restore: Restore, cases: Sequence[Case], found: Rulers | None, noisy: bool, tick: Callable[[str], None]
) -> Deblurred:
    tick(name)
    figures = {key: np.asarray(values) for key, values in fidelity(restore, cases).items()}
    return Deblurred(**figures, sharpness=sharpness(restore, found, noisy) if found else None)


def told(restorer: Restorer, cases: Sequence[Case], ratio: Sequence[float]) -> dict[str, Any]:
    """What a model says of itself, and how far these frames are from what it was trained on."""
    trained, own = restorer.configuration["conditions"], restorer.configuration["settings"]["mtf_ratio"]
    return {
        **told_of(restorer),
        "images_outside_training": sum(bool(outside(sample_conditions(case.params), trained)) for case in cases),
        "other_screens": float(np.abs(np.subtract(own, ratio)).max()),
    }


def deblurring_numbers(evaluation: DeblurringEvaluation) -> dict[str, Any]:
    """All figures, JSON-able; intervals are 95 % over images."""
    return {
        "corpus": evaluation.corpus,
        "format": evaluation.format,
        "split": evaluation.split,
        "images": evaluation.images,
        "settings": {name: len(places) for name, places in evaluation.settings.items()},
        "models": evaluation.models,
        "thin_screen": evaluation.thin,
        "deblurred": {
            kind: {name: numbers_of(evaluation, kind, name) for name in named}
            for kind, named in evaluation.deblurred.items()
        },
    }


def numbers_of(evaluation: DeblurringEvaluation, kind: str, name: str) -> dict[str, Any]:
    """Means, intervals and worst setting of one way of deblurring."""
    group, found = evaluation.deblurred[kind], evaluation.deblurred[kind][name]
    gain = found.psnr_db - group[THICK].psnr_db
    by_name = {setting: float(gain[places].mean()) for setting, places in evaluation.settings.items()}
    worst = min(by_name, key=lambda setting: by_name[setting])
    return {
        **{
            key: figure.plain() if (figure := mean_figure(values)) else None
            for key, values in (("psnr_db", found.psnr_db), ("gain_db", gain), ("ssim", found.ssim))
        },
        "worst_setting": {"name": worst, "gain_db": by_name[worst]},
        "level_shift_percent": float(found.level_shift_percent.max()),
        "sharpness": found.sharpness,
    }


def deblurring_table(evaluation: DeblurringEvaluation) -> str:
    """Lines for a terminal: one for each way of deblurring and kind of frame, then what is to be known of them."""
    found = deblurring_numbers(evaluation)
    names = [THIN, *found["deblurred"][KINDS[0]]]
    wide = max(len(each) for each in (*names, *KINDS))
    head = ("PSNR dB", "gain dB (95 %)", "worst", "SSIM", "MTF50", "over", "CTF")
    lines = []
    for kind, named in found["deblurred"].items():
        lines.append(line(kind, head, wide))
        lines += [line(name, cells(each), wide) for name, each in named.items()]
    lines.append(line(THIN, ("-", "-", "-", "-", *sharp_cells(found["thin_screen"])), wide))
    lines += [
        f"{found['images']} images of {found['format']} of {found['corpus']!r} ({found['split']}), against the thin "
        "screen's noise-free ones",
        f"MTF50: 1/mm; over: how far the MTF exceeds the thin screen's, points; CTF at {SHOWN_CYCLES_PER_PX:g} cycles "
        "a pixel",
    ]
    for name, model in found["models"].items():
        if count := model["images_outside_training"]:
            lines.append(f"{name}: {count} of {found['images']} images lie outside the conditions it was trained on")
        if model["other_screens"] > SAME_RATIO:
            lines.append(f"{name} was trained on other screens: its M_LR / M_HR is off by {model['other_screens']:.2f}")
    if evaluation.reason:
        lines.append(f"no figures of sharpness: {evaluation.reason}")
    return "\n".join(lines)


def line(name: str, texts: Sequence[str], wide: int) -> str:
    widths = (8, 23, 7, 9, 7, 6, 7)
    return " ".join([f"{name:<{wide}}", *(f"{text:>{width}}" for text, width in zip(texts, widths, strict=True))])


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    gain = row["gain_db"]
    ends = "" if gain["low"] is None else f" ({gain['low']:+.2f} {gain['high']:+.2f})"
    own = gain["value"] == gain["low"] == 0.0
    return (
        f"{row['psnr_db']['value']:.2f}",
        "-" if own else f"{gain['value']:+.2f}{ends}",
        "-" if own else f"{row['worst_setting']['gain_db']:+.2f}",
        f"{row['ssim']['value']:.6f}",
        *sharp_cells(row["sharpness"]),
    )


def sharp_cells(found: dict[str, Any] | None) -> tuple[str, str, str]:
    """MTF50, overshoot and CTF."""
    if found is None:
        return "-", "-", "-"
    below = np.flatnonzero(np.asarray(found["mtf"]) < 0.5)
    half = f"{found['frequency_per_mm'][below[0]]:.2f}" if len(below) else "> all"
    contrast = found["ctf"].get(SHOWN_CYCLES_PER_PX)
    return half, f"{found['mtf_overshoot_percent']:.1f}", "-" if contrast is None else f"{contrast:.3f}"
