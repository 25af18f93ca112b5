"""Images to judge a restorer by: noisy, clean, where the contaminants are, and which pixels count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy import ndimage

import datagen
import xsim
from denoise.detection import Region, inspected_region, score
from xsim import CorpusError

__all__ = ["Case", "by_dose", "by_setting", "case_of_radiograph", "corpus_cases"]

DOSE = ("quanta_per_pixel", "mean_energy_kev", "gain_adu_per_kev", "gain_adu_per_quantum")  # figures are relative to it
HOST_SHARE = 0.1  # of the contaminants that lie in a group of bodies, for it to be inspected
SAME_DOSE = 0.01  # doses that differ by less are one
MOST_DOSES = 6  # that are settings of their own
PAIR = "_pair"  # what images and parameters of the pair are called beyond those of the first


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
        label and class of each body; of a corpus also group, target and sizes.
    valid : bool [row, column]
        Pixels that count; all of them where it is not given.
    format : str
        Of the corpus it is from.
    """

    noisy: np.ndarray
    clean: np.ndarray
    labels: np.ndarray
    params: Mapping[str, Any]
    bodies: Sequence[Mapping[str, Any]]
    valid: np.ndarray = field(default_factory=lambda: np.ones((1, 1), bool))
    format: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "valid", np.broadcast_to(self.valid, self.clean.shape))

    @property
    def flat_adu(self) -> float:
        """Signal of the open beam, which PSNR and SSIM are relative to."""
        p = self.params
        return float(p["gain_adu_per_kev"] * p["quanta_per_pixel"] * p["mean_energy_kev"])

    def score(self, image: np.ndarray) -> np.ndarray:
        """How much each pixel stands out as contaminants do; the least signal that counts is half a quantum."""
        return self.sign * self.darkness(image)

    def darkness(self, image: np.ndarray) -> np.ndarray:
        """Score of what is darker than its surroundings."""
        return score(image, self.params["offset_adu"], 0.5 * self.params["gain_adu_per_quantum"])

    @cached_property
    def targets(self) -> list[int]:
        """Labels of the contaminants: what the corpus calls targets; spheres where it calls nothing so."""
        return [int(body["label"]) for body in self.bodies if body.get("target", body["class"] == "sphere")]

    @cached_property
    def sign(self) -> float:
        """1 where most of the contaminants are darker than their surroundings in the clean image, -1 for pores."""
        shown = np.isin(self.labels, self.targets)
        return -1.0 if shown.any() and float(self.darkness(self.clean)[shown].sum()) < 0.0 else 1.0

    @cached_property
    def radii_mm(self) -> dict[int, float]:
        """By label: half the geometric mean of a contaminant's three sizes, of a sphere its radius."""
        sized = [body for body in self.bodies if body.get("size_x_mm")]
        sizes = {int(body["label"]): [body[f"size_{axis}_mm"] for axis in "xyz"] for body in sized}
        return {label: 0.5 * float(np.prod(mm)) ** (1 / 3) for label, mm in sizes.items() if label in self.targets}

    @cached_property
    def hosts(self) -> list[list[int]]:
        """Labels of the bodies that contaminants lie in or among, by group: those seen around most of one."""
        groups = {int(body["label"]): body.get("group", body["label"]) for body in self.bodies}
        around: dict[Any, int] = {}
        shown = np.where(np.isin(self.labels, self.targets), self.labels, 0)
        for window in ndimage.find_objects(shown):
            if window is not None:
                near = self.labels[tuple(slice(max(part.start - 3, 0), part.stop + 3) for part in window)]
                seen = np.bincount(near[~np.isin(near, [0, *self.targets])])
                if seen.any():
                    host = groups[int(seen.argmax())]
                    around[host] = around.get(host, 0) + 1
        kept = [group for group, count in around.items() if count >= HOST_SHARE * sum(around.values())]
        return [[k for k, each in groups.items() if each == group and k not in self.targets] for group in kept]

    @cached_property
    def region(self) -> Region | None:
        """Where contaminants are looked for: inside the bodies that they lie in or among; None without such."""
        if not self.hosts:
            return None
        even = self.darkness(self.clean)
        parts = [inspected_region(self.labels, self.targets, hosts, even) for hosts in self.hosts]
        free = np.any([part.free for part in parts], axis=0)
        targets = np.max([part.targets for part in parts], axis=0)
        return Region(free & self.valid, np.where(self.valid, targets, 0).astype(np.uint16))


def case_of_radiograph(image: xsim.Radiograph) -> Case:
    """Case of a simulated frame; its contaminants are its spheres."""
    return Case(image.noisy, image.clean, image.labels, image.metadata, image.metadata["bodies"], image.valid)


def corpus_cases(
    corpus: datagen.Corpus, split: str, target: str = "clean", formats: Sequence[str] | None = None
) -> list[Case]:
    """All samples of a part of a corpus but those without a valid pixel.

    Parameters
    ----------
    corpus : datagen.Corpus
    split : {"train", "val", "test"}
    target : str
        Image that restored ones are compared with: "clean", or "clean_pair" for restorers from one camera to another.
    formats : sequence of str, optional
        Detector formats; all of them by default.

    Raises
    ------
    CorpusError
        There are none, they have no such images, or their dose is not known.
    """
    cases = [case for case in _samples(corpus, split, target, formats or corpus.formats) if case.valid.any()]
    if not cases:
        raise CorpusError(f"{corpus.path} has no samples in split {split!r} choose another")
    if any(case.params.get(name) is None for case in cases for name in DOSE):
        raise CorpusError(f"{corpus.path}: the dose of its images is not known (real ones?) judge on simulated ones")
    return cases


def _samples(corpus: datagen.Corpus, split: str, target: str, formats: Sequence[str]) -> Iterator[Case]:
    pair = PAIR if target.endswith(PAIR) else ""
    for name in formats:
        view = corpus.subset(name, split)
        if pair and target not in view.images:
            raise CorpusError(f"{corpus.path} has no {target} (what this model restores) make it with [detector.pair]")
        for k in range(len(view)):
            sample = view.sample(k, ("noisy", target, "labels", "valid", *(["valid_pair"] if pair else [])))
            params = dict(sample["params"])
            if pair:
                params |= {key: params[key + pair] for key in DOSE if params.get(key + pair) is not None}
            valid = sample["valid"] & sample["valid_pair"] if pair else sample["valid"]
            bodies = corpus.instances(sample["index"])
            yield Case(sample["noisy"], sample[target], sample["labels"], params, bodies, valid, name)


def by_dose(cases: Sequence[Case]) -> dict[str, list[Case]]:
    """Cases by dose: each of a few, or low, middle and high, named by its range."""
    return {name: [cases[k] for k in places] for name, places in _dose_groups(cases, range(len(cases))).items()}


def by_setting(cases: Sequence[Case]) -> dict[str, list[int]]:
    """Places of the cases of each setting: the doses of each format, named by format (of several) and dose."""
    formats = list(dict.fromkeys(case.format for case in cases))
    groups = {}
    for name in formats:
        places = [k for k, case in enumerate(cases) if case.format == name]
        prefix = f"{name}, " if len(formats) > 1 else ""
        groups |= {prefix + dose: chosen for dose, chosen in _dose_groups(cases, places).items()}
    return groups


def _dose_groups(cases: Sequence[Case], places: Sequence[int]) -> dict[str, list[int]]:
    """One group for each dose where these are few, three of about one size where nearly every case has its own."""
    ordered = sorted(places, key=lambda k: float(cases[k].params["quanta_per_pixel"]))
    doses = [float(cases[k].params["quanta_per_pixel"]) for k in ordered]
    steps = np.flatnonzero(np.diff(doses) > SAME_DOSE * np.array(doses[:-1])) + 1
    few = len(steps) < MOST_DOSES and 2 * (len(steps) + 1) <= len(ordered)
    groups: dict[str, list[int]] = {}
    for part in np.split(np.array(ordered), steps) if few else np.array_split(np.array(ordered), min(3, len(ordered))):
        chosen = [int(k) for k in part]
        low, high = (float(cases[k].params["quanta_per_pixel"]) for k in (chosen[0], chosen[-1]))
        name = f"{low:.0f}" if high <= (1.0 + SAME_DOSE) * low else f"{low:.0f} to {high:.0f}"
        groups.setdefault(name, []).extend(chosen)
    return groups
