"""A feature network trained on a corpus's own labels: which body, of what shape and material, each pixel shows.

It learns on clean images in the window of `denoise.features`, with scenes held out to tell how much it has learned.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import ConcatDataset, DataLoader
from tqdm import tqdm

import datagen
from datagen.torch_data import CorpusDataset
from denoise import vst
from denoise.checkpoint import versions
from denoise.conditions import views_of
from denoise.features import KEY, SCHEMA, CorpusFeatures, windowed
from denoise.machine import one_thread_each
from denoise.new_file import check_new
from xsim import CorpusError, ModelError, OutputError, write_whole

__all__ = ["FeatureSettings", "train_features"]

IGNORED = -100  # class of pixels that are not valid
NOTHING = "none"  # class of pixels that show no body
LEAST_STRUCTURE = 2  # classes
HELD_OUT = 32  # crops
LOOKED_AT = 1000  # samples of a format that classes are taken from


@dataclass(frozen=True)
class FeatureSettings:
    """How a feature network is trained; all of it is kept in its file.

    Attributes
    ----------
    widths : three int
        Channels at full, half and quarter resolution.
    kernel : int
        Side of the convolutions, odd.
    steps, batch, crop : int
    learning_rate : float
        Of Adam; it falls as a cosine.
    formats : list of str, optional
        Detector formats of the corpus to train on; all of them where it is not given.
    seed : int
    """

    widths: tuple[int, int, int] = (16, 32, 64)
    kernel: int = 3
    steps: int = 400
    batch: int = 16
    crop: int = 64
    learning_rate: float = 2e-3
    formats: list[str] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "crop", "learning_rate", "kernel"):
            if not getattr(self, name) > 0:
                raise ModelError(f"{name} must be above 0 (given {getattr(self, name)!r})")
        if len(self.widths) != 3 or min(self.widths) < 1:
            raise ModelError(f"widths are three numbers above 0 (given {self.widths!r})")
        if self.kernel % 2 == 0 or self.crop % 4:
            raise ModelError(f"kernel must be odd and crop a multiple of 4 (given {self.kernel} and {self.crop})")


def train_features(
    corpus_path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    settings: FeatureSettings | None = None,
    *,
    overwrite: bool = False,
    progress: bool = True,
) -> dict[str, Any]:
    """Train a feature network on the labels of a corpus and save it.

    Parameters
    ----------
    corpus_path : path
        A store that ``datagen.generate`` made.
    out : path
        .safetensors
    settings : FeatureSettings, optional
    overwrite : bool
        Whether ``out`` may replace what is there.
    progress : bool
        Whether to show a progress line on stderr.

    Returns
    -------
    dict
        What the file says of itself: name, classes, accuracy (of held-out pixels, the mean over the classes), chance
        (what a network scores in it that always gives one class), corpus, settings.

    Raises
    ------
    ModelError
        A setting makes no sense, or training diverges.
    CorpusError
        The corpus has no labels to learn from, or images smaller than a crop.
    OutputError
        The file cannot be written.
    """
    chosen, target = settings or FeatureSettings(), Path(out)
    if target.suffix != ".safetensors":
        raise OutputError(f"{target} is no name for a feature network, end it in .safetensors")
    check_new(target, overwrite)
    corpus = datagen.open_corpus(corpus_path)
    views = views_of(corpus, "train", chosen.formats)
    shown = Shown.of(corpus, views)
    network = _new_network(len(shown.classes), chosen)
    names = chosen.formats or corpus.formats
    held_out = [view for name in names if len(view := corpus.subset(name, "val"))] or views
    with one_thread_each(1):
        _fit(network, _batches(views, shown, chosen), chosen, progress)
        accuracy = _accuracy(network, _held_out(held_out, shown, chosen))
    told = _told(corpus, views, shown, chosen, accuracy)
    weights = {name: each.contiguous() for name, each in network.state_dict().items()}
    content = safetensors.torch.save(weights, {KEY: json.dumps(told, sort_keys=True, allow_nan=False)})
    write_whole(target, lambda path: path.write_bytes(content))
    return told


def _told(
    corpus: datagen.Corpus, views: list[datagen.CorpusView], shown: Shown, settings: FeatureSettings, accuracy: float
) -> dict[str, Any]:
    """What the file says of itself."""
    return {
        "schema": SCHEMA,
        "name": f"corpus-features-{corpus.name}-{settings.seed}",
        "classes": list(shown.classes),
        "accuracy": accuracy,
        "chance": 1.0 / len(shown.classes),
        "corpus": {"name": corpus.name, "sha256": corpus.sha256, "train_samples": sum(map(len, views))},
        "settings": {**vars(settings), "widths": list(settings.widths)},
        "widths": list(settings.widths),
        "kernel": settings.kernel,
        "versions": versions(),
    }


class Shown:
    """What the labels of a corpus mean.

    Attributes
    ----------
    corpus : datagen.Corpus
    classes : tuple of str
        Shape and material, and "none" first.
    """

    def __init__(self, corpus: datagen.Corpus, classes: tuple[str, ...]) -> None:
        self.corpus, self.classes = corpus, classes
        self._tables: dict[int, Tensor] = {}

    @classmethod
    def of(cls, corpus: datagen.Corpus, views: list[datagen.CorpusView]) -> Shown:
        """With the classes that the first samples of some views show.

        Raises
        ------
        CorpusError
            Fewer than two classes of pixels.
        """
        pixels: Counter[str] = Counter()
        for view in views:
            for bodies in view.select(np.arange(min(len(view), LOOKED_AT))).instances():
                seen: Counter[str] = Counter()
                for body in bodies:
                    seen[_class(body)] += int(body["pixels"] or 0)
                pixels += seen + Counter({NOTHING: view.shape[0] * view.shape[1] - seen.total()})
        if len(pixels) < LEAST_STRUCTURE:
            raise CorpusError(
                f"{corpus.path} shows nothing but {min(pixels)!r} (features need labels of several bodies)"
            )
        return cls(corpus, (NOTHING, *sorted(set(pixels) - {NOTHING})))

    def table(self, index: int) -> Tensor:
        """Class of each label, int64 [label], in a sample; those not seen before are not asked for."""
        if index not in self._tables:
            bodies = self.corpus.instances(index)
            found = torch.full((1 + max((body["label"] for body in bodies), default=0),), IGNORED)
            found[0] = 0
            for body in bodies:
                if _class(body) in self.classes:
                    found[body["label"]] = self.classes.index(_class(body))
            self._tables[index] = found
        return self._tables[index]


def _class(body: dict[str, Any]) -> str:
    return f"{body['class']} of {body['material']}"


def _new_network(classes: int, settings: FeatureSettings) -> CorpusFeatures:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return CorpusFeatures(classes, settings.widths, settings.kernel)


def _datasets(views: list[datagen.CorpusView], settings: FeatureSettings, augment: bool) -> list[CorpusDataset]:
    shared: dict[str, Any] = {
        "crop": settings.crop,
        "augment": augment,
        "crops_per_sample": 4,
        "seed": settings.seed,
        "images": ("clean", "labels", "valid"),
        "scalars": ("a_pixel_adu", "b_adu2"),
    }
    return [CorpusDataset(view, **shared) for view in views]


def _batches(
    views: list[datagen.CorpusView], shown: Shown, settings: FeatureSettings
) -> Iterator[tuple[Tensor, Tensor]]:
    """Crops in their window [crop, 1, row, column] and their classes [crop, row, column], without end."""
    datasets, epoch = _datasets(views, settings, True), 0
    crops: ConcatDataset[Any] = ConcatDataset(datasets)
    generator = torch.Generator().manual_seed(settings.seed)
    loader = DataLoader(crops, settings.batch, True, drop_last=len(crops) >= settings.batch, generator=generator)
    while True:
        for dataset in datasets:
            dataset.set_epoch(epoch)
        for items in loader:
            yield _windows_and_classes(items, shown)
        epoch += 1


def _held_out(
    views: list[datagen.CorpusView], shown: Shown, settings: FeatureSettings
) -> Iterator[tuple[Tensor, Tensor]]:
    crops: ConcatDataset[Any] = ConcatDataset(_datasets(views, settings, False))
    some = torch.linspace(0, len(crops) - 1, min(HELD_OUT, len(crops))).long().tolist()
    loader = DataLoader(torch.utils.data.Subset(crops, some), settings.batch)
    yield from (_windows_and_classes(items, shown) for items in loader)


def _windows_and_classes(items: dict[str, Tensor], shown: Shown) -> tuple[Tensor, Tensor]:
    a, b = (items[name].view(-1, 1, 1, 1) for name in ("a_pixel_adu", "b_adu2"))
    z = vst.forward(items["clean"], a, b)
    pairs = zip(items["index"].tolist(), items["labels"].long(), strict=True)
    classes = torch.stack([shown.table(index)[labels] for index, labels in pairs])
    return windowed(z, z), classes.masked_fill(~items["valid"][:, 0], IGNORED)


def _fit(
    network: CorpusFeatures, source: Iterator[tuple[Tensor, Tensor]], settings: FeatureSettings, progress: bool
) -> None:
    """Weighted cross-entropy over valid pixels; the weights are worked out from each batch's own classes."""
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    for step in tqdm(range(settings.steps), desc="features", disable=not progress):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * 0.5 * (1.0 + math.cos(math.pi * step / settings.steps))
        u, classes = next(source)
        loss = functional.cross_entropy(network.logits(u), classes, _weights(classes, network.head.out_channels))
        if not math.isfinite(loss.item()):
            raise ModelError(f"training of features diverged (loss {loss.item()} at step {step}) lower learning_rate")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def _weights(classes: Tensor, count: int) -> Tensor:
    """One over the root of a class's share, so that small bodies count."""
    pixels = torch.bincount(classes[classes != IGNORED], minlength=count).float()
    return torch.where(pixels > 0, (pixels.sum() / pixels.clamp(min=1.0)).sqrt(), 0.0)


def _accuracy(network: CorpusFeatures, source: Iterator[tuple[Tensor, Tensor]]) -> float:
    """Share of a class's pixels that are told right, the mean over the classes there are."""
    right = torch.zeros(network.head.out_channels)
    total = torch.zeros_like(right)
    with torch.inference_mode():
        for u, classes in source:
            asked = classes != IGNORED
            hits = (network.logits(u).argmax(1) == classes) & asked
            right += torch.bincount(classes[hits], minlength=len(right))
            total += torch.bincount(classes[asked], minlength=len(total))
    return float((right[total > 0] / total[total > 0]).mean()) if (total > 0).any() else float("nan")
