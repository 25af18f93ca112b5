"""Crops of a corpus, as batches to train on and as one to validate with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import default_collate

import datagen
from datagen.torch_data import CorpusDataset, CorpusStream
from xsim import CorpusError

__all__ = ["Batches", "check_finite", "noise_columns", "validation_batch"]

NOISE = {"a": "a_pixel_adu", "b": "b_adu2"}
CROPS_PER_SAMPLE = 16  # a short epoch would start reading over and over
VALIDATION_CROPS = 64


class Batches:
    """Batches without end: each epoch every sample gives some crops, flipped and turned, in an order of its own.

    Parameters
    ----------
    views : list of CorpusView
    images, scalars : sequence of str
        Stored arrays, and columns of the parameter table.
    batch : int
        Crops in a batch of this process.
    crop, seed, workers, rank, world_size : int
    pin : bool
        Whether batches are in memory that a GPU takes them from while it works.
    """

    def __init__(
        self,
        views: list[datagen.CorpusView],
        images: Sequence[str],
        scalars: Sequence[str],
        *,
        batch: int,
        crop: int,
        seed: int,
        workers: int = 0,
        rank: int = 0,
        world_size: int = 1,
        pin: bool = False,
    ) -> None:
        self.columns = {**noise_columns(views, images), **{name: name for name in scalars}}
        self.stream = CorpusStream(
            views,
            crop=crop,
            crops_per_sample=CROPS_PER_SAMPLE,
            batch=batch,
            images=images,
            scalars=tuple(dict.fromkeys(self.columns.values())),
            workers=workers,
            rank=rank,
            world_size=world_size,
            seed=seed,
        )
        self.epoch, self.taken, self.pin = 0, 0, pin

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        # a generator of its own: the loader draws a number from it, otherwise from torch's global one
        loader = self.stream.loader(generator=torch.Generator(), pin_memory=self.pin)
        while True:
            for items in loader:
                self.taken += 1
                yield named(items, self.columns)
            self.epoch, self.taken = self.epoch + 1, 0
            self.stream.set_epoch(self.epoch)

    def place(self) -> dict[str, Any]:
        """Where the reading is: JSON-able."""
        return self.stream.state_dict(self.taken)

    def go_on(self, place: Mapping[str, Any]) -> None:
        """Begin where ``place`` was asked."""
        self.stream.load_state_dict(dict(place))
        self.epoch, self.taken = place["epoch"], place["batch"]


def noise_columns(views: list[datagen.CorpusView], images: Sequence[str]) -> dict[str, str]:
    """Columns of the parameter table that the noise of the images is in, by their names in a batch.

    A repeat is another exposure by the same camera, so its noise is that of the first.

    Raises
    ------
    CorpusError
        A format lacks one of them.
    """
    suffixes = dict.fromkeys(name.partition("_")[2] for name in images)
    found = dict(NOISE)
    for suffix in filter(None, suffixes):
        own = {f"{name}_{suffix}": f"{column}_{suffix}" for name, column in NOISE.items()}
        same = {f"{name}_{suffix}": column for name, column in NOISE.items()}
        found |= same if suffix == "repeat" else own
    for view in views:
        if lacking := set(found.values()) - set(view.reader.columns):
            raise CorpusError(f"{view.corpus.path}: {view.format} has no {sorted(lacking)[0]} (its noise is not known)")
    return found


def validation_batch(
    views: list[datagen.CorpusView], images: Sequence[str], scalars: Sequence[str], crop: int, seed: int
) -> dict[str, Tensor] | None:
    """Crops of scenes that are not trained on, always the same; None where the views hold none of them."""
    views = [view for view in views if len(view)]
    if not views:
        return None
    columns = {**noise_columns(views, images), **{name: name for name in scalars}}
    read = {"images": tuple(images), "scalars": tuple(dict.fromkeys(columns.values()))}
    datasets = [CorpusDataset(view, crop=crop, seed=seed, **read) for view in views]
    crops = [each[k] for each in datasets for k in range(min(len(each), -(-VALIDATION_CROPS // len(datasets))))]
    return named(default_collate(crops), columns)


def named(items: Mapping[str, Tensor], columns: Mapping[str, str]) -> dict[str, Tensor]:
    """A batch with its scalars [crop, 1, 1, 1] under the names that methods know them by."""
    scalars = {name: items[column].reshape(-1, 1, 1, 1) for name, column in columns.items()}
    images = {name: each for name, each in items.items() if each.ndim > 1}
    return {**images, **scalars, "index": torch.as_tensor(items["index"])}


def check_finite(batch: Mapping[str, Tensor], where: object) -> None:
    """Refuse what is no number in a batch.

    Raises
    ------
    CorpusError
        There is.
    """
    for name, each in batch.items():
        if each.is_floating_point() and not (good := each.isfinite().flatten(1).all(1)).all():
            sample = int(batch["index"][int((~good).nonzero()[0])])
            what = "image" if each.shape[-1] > 1 else "parameter"
            raise CorpusError(f"{where}: sample {sample} has NaN or infinity in its {what} {name!r} (generate it anew)")
