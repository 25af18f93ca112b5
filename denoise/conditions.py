"""What a corpus trains a model for: image states, and ranges of dose, voltage and noise to warn outside of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import datagen
from denoise import vst
from xsim import CorpusError

__all__ = ["check_corpus", "conditions_of", "noise_scale_adu", "outside", "sample_conditions", "some", "views_of"]

LOOKED_AT = 64  # samples that noise and level are taken from
SLACK = 0.05  # of a limit: no warning so close to it
KINDS = {"noisy": "uint16", "valid": "bool", "labels": "uint16"}  # of images that are not float32
LABELS = {
    "quanta_per_pixel": "quanta per pixel in the open beam",
    "voltage_kv": "tube voltage in kV",
    "kernel_sum_squares": "sum of squares of the light's kernel, which makes noise correlated",
    "read_noise_quanta": "read noise in quanta",
    "level": "largest pixel values in standard deviations of their noise",
}


def views_of(corpus: datagen.Corpus, split: str, formats: Sequence[str] | None = None) -> list[datagen.CorpusView]:
    """Samples of a split, of each format that has some.

    Raises
    ------
    CorpusError
        There are none at all, or an unknown format.
    """
    views = [view for name in formats or corpus.formats if len(view := corpus.subset(name, split))]
    if not views:
        raise CorpusError(f"{corpus.path} has no samples in split {split!r} (none is finished) run datagen generate")
    return views


def check_corpus(
    corpus: datagen.Corpus, views: list[datagen.CorpusView], crop: int, images: Sequence[str] = ("noisy", "clean")
) -> None:
    """Refuse a corpus that cannot be trained on.

    Raises
    ------
    CorpusError
        Images that are lacking, of another type or smaller than a crop, no noise model, a damaged shard.
    """
    if "clean" in images and any("clean" not in view.images for view in views):
        raise CorpusError(f"{corpus.path} has no clean images (real ones?) there is nothing to train towards")
    for view in views:
        if lacking := [name for name in images if name not in view.images]:
            having = [name for name in corpus.formats if set(images) <= set(corpus.subset(name).images)]
            cure = f"give --format {having[0]}" if having else "ask for them in `store`"
            held = ", ".join(view.images)
            raise CorpusError(f"{corpus.path}: {view.format} has no {lacking[0]} images (it has {held}) {cure}")
        _check_kinds(view, images)
        if min(view.shape) < crop:
            rows, columns = view.shape
            raise CorpusError(f"{corpus.path}: images of {rows} x {columns} are smaller than a crop ({crop}) lower it")
        for suffix in suffixes(images):
            a, b = (view.params(name + suffix) for name in ("a_pixel_adu", "b_adu2"))
            if not ((a > 0) & np.isfinite(a) & np.isfinite(b)).all():
                raise CorpusError(
                    f"{corpus.path}: {view.format} has samples without noise (ideal response) leave it out"
                )


def _check_kinds(view: datagen.CorpusView, images: Sequence[str]) -> None:
    sample = view.sample(0, images)
    for name in images:
        first = name.partition("_")[0]
        # a sample has grey values as float32, however they are stored
        found = view.reader.array(name).dtype if first == "noisy" else sample[name].dtype
        if found != (kind := KINDS.get(first, "float32")):
            raise CorpusError(f"{view.corpus.path}: {name} is {found} (it should be {kind}) generate it anew")


def suffixes(images: Sequence[str]) -> list[str]:
    """Endings of the columns that the images' parameters are in; a repeat has those of the first."""
    found = dict.fromkeys(name.partition("_")[2] for name in images)
    return ["", *(f"_{each}" for each in found if each not in ("", "repeat"))]


def conditions_of(
    corpus: datagen.Corpus,
    views: list[datagen.CorpusView],
    images: Sequence[str] = ("noisy",),
    source: str = "noisy",
) -> dict[str, Any]:
    """States, ranges and origin of training data, JSON-able; those of a second image by NAME_second and so on.

    Where another camera's image is restored, ``source``, its ranges are told and not those of the first.
    """
    found: dict[str, list[float]] = {}
    own = source.removeprefix("noisy")
    extremes: list[tuple[float, float]] = []
    for view in views:
        for suffix in suffixes(images):
            columns = ("quanta_per_pixel", "voltage_kv", "kernel_sum_squares", "read_noise_adu", "gain_adu_per_quantum")
            held = [name for name in columns if name + suffix in view.reader.columns]
            table = {name: view.params(name + suffix) for name in held}
            if {"read_noise_adu", "gain_adu_per_quantum"} <= table.keys():
                table["read_noise_quanta"] = table.pop("read_noise_adu") / table.pop("gain_adu_per_quantum")
            if f"noisy{suffix}" in images:
                table["level"] = _levels(view, suffix)
            if own and not suffix:
                table = {"voltage_kv": table["voltage_kv"]}  # the tube is both cameras'
            for name, values in table.items():
                key = name + suffix.removeprefix(own)
                found.setdefault(key, []).extend(values[np.isfinite(values)].tolist())
        extremes += [_extremes(view.sample(i, (source,)), source) for i in some(view)]
    return {
        "states": _states(corpus, views),
        "conditions": {name: [min(values), max(values)] for name, values in found.items() if values},
        "pixel_levels": [min(low for low, _ in extremes), max(high for _, high in extremes)],
        "corpus": {"name": corpus.name, "sha256": corpus.sha256, "train_samples": sum(map(len, views))},
    }


def _states(corpus: datagen.Corpus, views: list[datagen.CorpusView]) -> list[str]:
    """States of correction of the images; those of older stores stand in their corpus file alone."""
    found: dict[str, None] = {}
    for view in views:
        if "state" in view.reader.columns:
            words = view.reader.words["state"]
            found.update((words[int(code)], None) for code in np.unique(view.params("state")))
        else:
            found[corpus.description["corpus"].get("acquisition", {}).get("state", "raw")] = None
    return list(found)


def sample_conditions(metadata: Mapping[str, Any]) -> dict[str, float]:
    """The same quantities of one image, as far as its metadata tells them."""
    given = dict(metadata)
    scene = given.get("scene")
    if isinstance(scene, Mapping) and isinstance(scene.get("source"), Mapping):
        given.setdefault("voltage_kv", scene["source"].get("voltage_kv"))
    if _number(given.get("read_noise_adu")) and _number(given.get("gain_adu_per_quantum")):
        given["read_noise_quanta"] = given["read_noise_adu"] / given["gain_adu_per_quantum"]
    return {name: float(given[name]) for name in LABELS if _number(given.get(name))}


def outside(found: Mapping[str, float], trained: Mapping[str, Any]) -> list[str]:
    """What of an image lies outside the trained ranges, in words."""
    told = []
    for name, value in found.items():
        low, high = trained.get(name, (-np.inf, np.inf))
        if not low * (1 - SLACK) <= value <= high * (1 + SLACK):
            told.append(f"{LABELS[name]}: {value:.4g}, trained on {low:.4g} to {high:.4g}")
    return told


def noise_scale_adu(views: list[datagen.CorpusView], images: tuple[str, str] = ("noisy", "clean")) -> float:
    """Root mean square of the difference of two images [ADU], that of pixels that are not valid as none.

    Raises
    ------
    CorpusError
        There is NaN in an image.
    """
    squares = []
    for view in views:
        for sample in (view.sample(i, (*images, "valid")) for i in some(view)):
            difference = (sample[images[0]] - sample[images[1]]) * sample["valid"]
            squares.append(float(np.mean(difference.astype(np.float64) ** 2)))
            if not np.isfinite(squares[-1]):
                raise CorpusError(f"{view.corpus.path}: sample {sample['index']} has NaN or infinity in an image")
    return float(np.mean(squares)) ** 0.5


def level_of(noisy: np.ndarray, a: Any, b: Any) -> float:
    """Largest values of an image in standard deviations of their noise, single bright pixels aside."""
    return float(np.percentile(vst.forward(noisy, a, b), 99.0))


def _extremes(sample: Mapping[str, Any], source: str) -> tuple[float, float]:
    """Smallest and largest pixel values in standard deviations of their noise, one in a thousand aside."""
    a, b = (sample["params"][name + source.removeprefix("noisy")] for name in ("a_pixel_adu", "b_adu2"))
    low, high = np.percentile(vst.forward(sample[source], a, b), [0.1, 99.9])
    return float(low), float(high)


def _levels(view: datagen.CorpusView, suffix: str) -> np.ndarray:
    noisy = f"noisy{suffix}"
    samples = (view.sample(i, (noisy,)) for i in some(view))
    names = ("a_pixel_adu" + suffix, "b_adu2" + suffix)
    return np.array([level_of(s[noisy], *(s["params"][name] for name in names)) for s in samples])


def some(view: datagen.CorpusView) -> range:
    """Places of samples that stand for all of a view."""
    return range(0, len(view), max(1, len(view) // LOOKED_AT))


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and bool(np.isfinite(value))
