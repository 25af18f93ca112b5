"""A corpus as a torch dataset: crops, flips and quarter turns, the same for the same seed, epoch and index.

This module alone imports torch; ``import datagen`` does not.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from datagen.corpus import CorpusView, open_corpus
from datagen.stream import Stream
from xsim import CorpusError

try:
    import torch
    from torch.utils.data import Dataset
except ImportError:
    raise ImportError("torch is not installed (datasets need it) pip install 'xsim[train]'") from None

__all__ = ["CorpusDataset"]

IMAGES = ("noisy", "clean", "noise", "labels", "valid")
SCALARS = ("a_pixel_adu", "b_adu2", "offset_adu", "quanta_per_pixel", "voltage_kv", "exposure_mas")


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

    Raises
    ------
    CorpusError
        An empty split, or a crop larger than the images.
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
    ) -> None:
        self.view = source if isinstance(source, CorpusView) else open_corpus(source).subset(format, split)
        if len(self.view) == 0:
            raise CorpusError(f"no samples in split {self.view.split!r} of {self.view.corpus.path} (none is finished)")
        self.crop = (crop, crop) if isinstance(crop, int) else crop or self.view.shape
        if not all(0 < length <= limit for length, limit in zip(self.crop, self.view.shape, strict=True)):
            raise CorpusError(f"crop {self.crop} does not fit into images of {self.view.shape}")
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
        sample = self.view[item // self.crops_per_sample]
        stream = Stream(self.seed, int(self._epoch), item)
        corner = [stream.below(limit - length + 1) for limit, length in zip(self.view.shape, self.crop, strict=True)]
        window = tuple(slice(start, start + length) for start, length in zip(corner, self.crop, strict=True))
        symmetry = stream.below(8) if self.augment else 0
        images = {name: _turned(sample[name][window], symmetry) for name in IMAGES}
        scalars = {name: _scalar(sample["params"][name]) for name in SCALARS}
        return {
            **{name: torch.from_numpy(images[name])[None] for name in ("noisy", "clean", "noise", "valid")},
            "labels": torch.from_numpy(images["labels"].astype(np.int32)),
            **scalars,
            "index": sample["index"],
        }


def _turned(image: np.ndarray, symmetry: int) -> np.ndarray:
    """One of eight symmetries; quarter turns of an image that is not square become half turns."""
    turns = symmetry >> 1 if image.shape[0] == image.shape[1] else symmetry & 2
    flipped = image[:, ::-1] if symmetry & 1 else image
    return np.ascontiguousarray(np.rot90(flipped, turns))


def _scalar(value: float | None) -> torch.Tensor:
    return torch.tensor(float("nan") if value is None else value, dtype=torch.float32)
