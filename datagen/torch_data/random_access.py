"""A corpus by sample number: crops, flips and quarter turns, the same for the same seed, epoch and index."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import Dataset

from datagen.corpus import CorpusView, open_corpus
from datagen.stream import Stream
from datagen.torch_data.crops import IMAGES, SCALARS, check_crop, crop_of, stacked
from xsim import CorpusError

__all__ = ["CorpusDataset", "check_names"]


class CorpusDataset(Dataset[dict[str, Any]]):
    """Crops of the samples of a corpus.

    Each item is a dict of tensors: noisy, clean, noise float32 [1, row, column] ADU with noisy == clean + noise
    exactly; valid bool [1, row, column]; labels int32 [row, column]; a_pixel_adu, b_adu2, offset_adu,
    quanta_per_pixel, voltage_kv, exposure_mas float32, NaN where it does not apply; index, the sample in the corpus.
    Items depend on (seed, epoch, item) alone, not on who reads them: DataLoader workers may be forked or spawned.

    Parameters
    ----------
    source : CorpusView or path
        With a view ``split`` and ``format`` are not used.
    split : {"train", "val", "test"} or None
    crop : int or (int, int), optional
        Rows and columns of a crop; None for whole images.
    augment : bool
        Whether to flip and turn: the eight symmetries of the square, four of them where the crop is not square.
    crops_per_sample : int
        Items made of each sample.
    seed : int
    format : str, optional
        Detector format, where the corpus has several.
    images, scalars : sequence of str
        What an item has, of what the store holds.

    Raises
    ------
    CorpusError
        An empty split, images or scalars that are not stored, or a crop larger than the images.
    """

    def __init__(
        self,
        source: CorpusView | str | os.PathLike[str],
        split: str | None = "train",
        crop: int | tuple[int, int] | None = None,
        augment: bool = False,
        crops_per_sample: int = 1,
        seed: int = 0,
        format: str | None = None,
        images: Sequence[str] = IMAGES,
        scalars: Sequence[str] = SCALARS,
    ) -> None:
        self.view = source if isinstance(source, CorpusView) else open_corpus(source).subset(format, split)
        if len(self.view) == 0:
            raise CorpusError(f"no samples in split {self.view.split!r} of {self.view.corpus.path} (none is finished)")
        if crops_per_sample < 1:
            raise CorpusError(f"crops_per_sample must be at least 1 (given {crops_per_sample})")
        self.crop = check_crop(crop, [self.view.shape])
        check_names(self.view, images, scalars)
        self.images, self.scalars = tuple(images), tuple(scalars)
        self.augment, self.crops_per_sample, self.seed = augment, crops_per_sample, seed
        # in shared memory, so that workers that outlive an epoch see the next one
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Draw other crops and turns from now on."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.view) * self.crops_per_sample

    def __getitem__(self, item: int) -> dict[str, Any]:
        if not 0 <= item < len(self):
            raise IndexError(f"item {item} is outside 0..{len(self) - 1}")
        sample = self.view.sample(item // self.crops_per_sample, self.images)
        stream = Stream(self.seed, int(self._epoch), item)
        row, column = (stream.below(limit - own + 1) for limit, own in zip(self.view.shape, self.crop, strict=True))
        symmetry = stream.below(8) if self.augment else 0
        cut = (row, column), self.crop, symmetry
        return {
            **{name: stacked(name, [crop_of(sample[name], *cut)])[0] for name in self.images},
            **{name: self._scalar(name, sample["params"][name]) for name in self.scalars},
            "index": sample["index"],
        }

    def _scalar(self, name: str, value: Any) -> torch.Tensor:
        """A parameter as the table has it: a word by its place in the list of words."""
        words = self.view.reader.words.get(name)
        number = value if words is None or value is None else words.index(value)
        return torch.tensor(float("nan") if number is None else number, dtype=torch.float32)


def check_names(view: CorpusView, images: Sequence[str], scalars: Sequence[str]) -> None:
    """Refuse images and parameters that a corpus does not hold.

    Raises
    ------
    CorpusError
        One of them.
    """
    if lacking := set(images) - set(view.images):
        raise CorpusError(f"no {sorted(lacking)[0]!r} images in {view.corpus.path} (it has {', '.join(view.images)})")
    if lacking := set(scalars) - set(view.reader.columns):
        raise CorpusError(f"no parameter {sorted(lacking)[0]!r} (known: {', '.join(view.reader.columns)})")
