"""Judging restorers on images whose clean form is known, beside the noisy images and classical denoisers.

`judge` measures several models on a part of a corpus; `figures` one model on some cases, against Gaussian and median
alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import datagen
from denoise.baselines import tuned_gaussian, tuned_median
from denoise.cases import Case, by_dose, by_setting, case_of_radiograph, corpus_cases
from denoise.conditions import outside, sample_conditions
from denoise.contaminants import FALSE_ALARMS, Hunted, found_share, hunted_cases
from denoise.fidelity import bias, bias_uncertainty, gain_db, psnr_db, ssim
from denoise.restorations import FILTERS, Restoration, Restored, classical, measured, restored_images
from denoise.restorer import Restorer
from denoise.station import TestObjects, Transfer, station_or_reason, transfer_of
from xsim import CorpusError, ModelError, Radiograph

__all__ = [
    "FALSE_ALARMS",
    "Case",
    "Evaluation",
    "bias",
    "by_dose",
    "case_of_radiograph",
    "corpus_cases",
    "figures",
    "gain_db",
    "judge",
    "psnr_db",
    "restored_images",
    "ssim",
]

SHOWN = 3  # images that pictures are made of: one of low, middle and high dose
OTHERS = ("noisy", "clean", *FILTERS)


@dataclass(frozen=True)
class Evaluation:
    """All that was measured.

    Attributes
    ----------
    corpus, split : str
        Name and part of the corpus.
    cases : list of Case
    settings : {name: places of its cases}
    restorations : {name: Restoration}
        noisy, filters, models, clean; in this order.
    hunted : Hunted or None
        None where there are no contaminants to find.
    transfer : {name: Transfer}
        Empty where no test object could be simulated; ``reason`` then says why.
    objects : TestObjects or None
    reason : str
    left_out : list of str
        Formats that no figure is of, in words.
    models : {name: dict}
        Method, network, sha256 and corpus of each model.
    outside : {name: int}
        Images outside the conditions that a model was trained on.
    """

    corpus: str
    split: str
    cases: list[Case] = field(repr=False)
    settings: dict[str, list[int]]
    restorations: dict[str, Restoration] = field(repr=False)
    hunted: Hunted | None = field(repr=False)
    transfer: dict[str, Transfer] = field(repr=False)
    objects: TestObjects | None = field(repr=False)
    reason: str
    left_out: list[str]
    models: dict[str, dict[str, Any]]
    outside: dict[str, int]


def judge(
    restorers: Mapping[str, Restorer],
    corpus: datagen.Corpus,
    split: str = "test",
    filters: Sequence[str] = FILTERS,
    tick: Callable[[str], None] = lambda name: None,
    formats: Sequence[str] | None = None,
) -> Evaluation:
    """Measure models on a part of a corpus.

    Parameters
    ----------
    restorers : {name: Restorer}
    corpus : datagen.Corpus
    split : {"train", "val", "test"}
    filters : of `FILTERS`
        Classical denoisers beside them.
    tick : callable
        Called with the name of what is done next.
    formats : sequence of str, optional
        Detector formats; all of them by default.

    Raises
    ------
    ModelError
        The models restore different images, or no image of the corpus has a state that all were trained on.
    CorpusError
        Nothing can be measured on it, see `corpus_cases`.
    """
    cases, left_out = known_cases(restorers, corpus_cases(corpus, split, common_target(restorers), formats))
    settings = by_setting(cases)
    hunted = hunted_cases(cases, settings.values())
    middle = middle_place(cases)
    shown = shown_places(settings, hunted)
    tick("test objects")
    objects, reason = station_or_reason(corpus, cases, middle)
    restorations, transfer, strange = {}, {}, {}
    for restored in restored_all(restorers, cases, settings, middle, filters, tick):
        restorations[restored.name] = measured(restored, cases, hunted, shown)
        if objects:
            transfer[restored.name] = quietly(transfer_of, objects, of_exposure(restored))[0]
        if restored.kind == "model":
            strange[restored.name] = restored.outside
    models = {name: told_of(restorer) for name, restorer in restorers.items()}
    return Evaluation(
        corpus.name, split, cases, settings, restorations, hunted, transfer, objects, reason, left_out, models, strange
    )


def quietly(work: Callable[..., Any], *arguments: Any) -> tuple[Any, bool]:
    """What a call gives, and whether it warned: the models warn of each image outside of what they were trained on."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        return work(*arguments), bool(said)


def common_target(restorers: Mapping[str, Restorer]) -> str:
    """The stored image that models are compared with, if it is one."""
    for name, restorer in restorers.items():
        if (source := restorer.method.source) != "noisy":
            raise ModelError(
                f"{name} restores {source}, frames of another screen (what filters and figures here are not made for) "
                "judge it without the others"
            )
    targets = {name: restorer.method.target for name, restorer in restorers.items()}
    if len(set(targets.values())) > 1:
        told = ", ".join(f"{name}: {target}" for name, target in targets.items())
        raise ModelError(f"the models restore different images ({told}) evaluate them one after the other")
    if clash := [name for name in restorers if name in OTHERS]:
        raise ModelError(f"a model is called {clash[0]!r} (as is something it is compared with) rename its file")
    return next(iter(targets.values()))


def known_cases(restorers: Mapping[str, Restorer], cases: Sequence[Case]) -> tuple[list[Case], list[str]]:
    """Cases of a state that every model was trained on, and the formats that have none."""
    kept, left_out = [], {}
    for case in cases:
        state = str(case.params.get("state", "raw"))
        strange = [name for name, each in restorers.items() if state not in each.configuration["states"]]
        if strange:
            left_out[case.format] = f"{case.format} ({state}: {strange[0]} was not trained on that)"
        else:
            kept.append(case)
    if not kept:
        raise ModelError(f"no image is of a state that the models were trained on ({'; '.join(left_out.values())})")
    return kept, list(left_out.values())


def middle_place(cases: Sequence[Case]) -> int:
    """Place of the case of middle dose."""
    return int(np.argsort([case.params["quanta_per_pixel"] for case in cases], kind="stable")[len(cases) // 2])


def shown_places(settings: Mapping[str, Sequence[int]], hunted: Hunted | None) -> list[int]:
    """Of the first settings the case with most contaminants."""
    many = {k: len(sites) for k, sites in zip(hunted.places, hunted.sites, strict=True)} if hunted else {}
    return [max(places, key=lambda k: many.get(k, 0)) for places in list(settings.values())[:SHOWN]]


def restored_all(
    restorers: Mapping[str, Restorer], cases: Sequence[Case], settings: Mapping[str, Sequence[int]], middle: int,
    filters: Sequence[str], tick: Callable[[str], None],
) -> Iterator[Restored]:  # fmt: skip
    """Every way of restoring with its images, one after the other: what is not asked for again is let go."""
    tick("noisy")
    yield Restored("noisy", "noisy", [case.noisy for case in cases], lambda image, a, b: image)
    for name in filters:
        tick(name)
        yield from classical(cases, settings, middle, [name])
    for name, restorer in restorers.items():
        tick(name)
        found = [quietly(restored_images, restorer, [case]) for case in cases]
        trained = restorer.configuration["conditions"]
        beyond = [said or bool(outside(sample_conditions(case.params), trained))
                  for case, (_, said) in zip(cases, found, strict=True)]  # fmt: skip
        yield Restored(name, "model", [images[0] for images, _ in found], restorer, outside=sum(beyond))
    tick("clean")
    yield Restored("clean", "clean", [case.clean for case in cases], lambda image, a, b: image)


def of_exposure(restored: Restored) -> Callable[[Radiograph], np.ndarray]:
    """How a simulated exposure is restored."""
    if restored.kind == "clean":
        return lambda frame: frame.clean
    return lambda frame: restored.restore(frame.noisy, frame.metadata["a_pixel_adu"], frame.metadata["b_adu2"])


def told_of(restorer: Restorer) -> dict[str, Any]:
    """What a model says of itself."""
    told = restorer.configuration
    return {"file": restorer.name, "sha256": restorer.sha256, **{k: told[k] for k in ("method", "network", "corpus")}}


def figures(restorer: Restorer, cases: Sequence[Case], tick: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Figures of a restorer on some cases, beside those of the noisy images, tuned Gaussian and tuned median.

    Returns
    -------
    dict
        images: int; for each of noisy, gaussian, median, restored: psnr_db, ssim, bias, true_positive_rate; gains of
        the restored images, bias_uncertainty, spheres, false_alarm_rate, and the settings of the filters.
    """
    if not cases:
        raise CorpusError("no images to judge on (none were given) give some")
    restored = restored_images(restorer, cases, tick)
    noisy, clean, valid = [c.noisy for c in cases], [c.clean for c in cases], [c.valid for c in cases]
    gaussian = tuned_gaussian(noisy, clean, valid)
    tick()
    median = tuned_median(noisy, clean, valid)
    tick()
    table = {
        "noisy": means(noisy, cases),
        "gaussian": {**means(gaussian.images, cases), "sigma_px": gaussian.setting},
        "median": {**means(median.images, cases), "size_px": median.setting},
        "restored": means(restored, cases),
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


def means(images: Sequence[np.ndarray], cases: Sequence[Case]) -> dict[str, Any]:
    """Figures of one restoration; means over the images."""
    pairs = list(zip(images, cases, strict=True))
    return {
        "psnr_db": float(np.mean([psnr_db(image, case) for image, case in pairs])),
        "ssim": float(np.nanmean([ssim(image, case) for image, case in pairs])),
        "bias": bias(images, cases),
        "bias_in_part": bias(images, cases, [case.labels > 0 for case in cases]),
        "bias_in_spheres": bias(images, cases, [np.isin(case.labels, case.targets) for case in cases]),
        "true_positive_rate": found_share(images, cases)[0],
    }
