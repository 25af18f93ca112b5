"""What the restoration systems are compared on, and by: one frozen pair of corpora, models made once, settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import datagen
import denoise
from denoise.evaluation import Case

FORMATS = ("wide", "corrected", "panel", "white", "screens")
# what a setting of the test corpus is: its images are the ones that agree in these
SETTING = ("voltage_kv", "quanta_per_pixel")


@dataclass(frozen=True)
class Corpora:
    """The frozen stores, and a folder for what is trained on them.

    Attributes
    ----------
    train, test : Path
        Stores of phantom:restoration-corpus and phantom:restoration-test-corpus. They share no scene and no shape.
    work : Path
        Where models are kept: the same method, format, settings and seed are not trained again.
    python_bm3d : Path, optional
        Interpreter of the environment that has bm3d.
    """

    train: Path
    test: Path
    work: Path
    python_bm3d: Path | None = None

    @classmethod
    def made(cls, work: Path, python_bm3d: Path | None = None) -> Corpora:
        """The stores, generated where they are not there yet."""
        work.mkdir(parents=True, exist_ok=True)
        paths = {"train": "phantom:restoration-corpus", "test": "phantom:restoration-test-corpus"}
        for name, source in paths.items():
            datagen.generate(source, work / f"{name}.zarr")
        return cls(work / "train.zarr", work / "test.zarr", work, python_bm3d)

    def trained(self, method: str, format: str, steps: int, seed: int, **settings: Any) -> Path:
        """A model of ``method``, trained for ``steps`` on one format of the training corpus."""
        told = {"method": method, "formats": [format], "steps": steps, "seed": seed, **settings}
        mark = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:10]
        target = self.work / f"{method}-{format}-{seed}-{mark}.safetensors"
        if not target.exists():
            denoise.train(self.train, out=target, overwrite=True, **told)
        return target

    def cases(self, format: str, limit: int | None = None) -> list[Case]:
        """Test images of a format, labelled by ``setting_of``; ``limit`` takes so many of each setting."""
        corpus = datagen.open_corpus(self.test)
        view = corpus.subset(format, "test")
        cases, taken = [], {}
        for k in range(len(view)):
            sample = view[k]
            case = Case(
                sample["noisy"], sample["clean"], sample["labels"], sample["params"],
                corpus.instances(sample["index"]), sample["valid"],
            )  # fmt: skip
            setting = setting_of(case)
            taken[setting] = taken.get(setting, 0) + 1
            if limit is None or taken[setting] <= limit:
                cases.append(case)
        return cases


def setting_of(case: Case) -> str:
    """Name of the setting that an image was taken with."""
    voltage, quanta = (case.params[name] for name in SETTING)
    return f"{voltage:g} kV, {quanta:g} quanta"


def by_setting(cases: Sequence[Case], values: Sequence[float]) -> dict[str, float]:
    """Mean of a figure over the images of each setting."""
    found: dict[str, list[float]] = {}
    for case, value in zip(cases, values, strict=True):
        found.setdefault(setting_of(case), []).append(float(value))
    return {name: float(np.mean(each)) for name, each in sorted(found.items())}


def worst(settings: Mapping[str, float], least: bool = True) -> float:
    """The worst setting: the least value, or the greatest where less is better."""
    return (min if least else max)(settings.values())


Run = Callable[[Corpora, int, bool], dict[str, Any]]
