"""Crops of a corpus, as batches to train on and as one to validate with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, default_collate

import datagen
from datagen.torch_data import CorpusDataset

__all__ = ["asked", "batches", "validation_batch"]

CROPS_PER_SAMPLE = 16  # a short epoch would start reading over and over
VALIDATION_CROPS = 64


def batches(
    views: list[datagen.CorpusView], crop: int, batch: int, seed: int, workers: int
) -> Iterator[dict[str, Tensor]]:
    """Batches without end: each epoch every sample gives some crops, flipped and turned, in an order of its own."""
    shared = {"crop": crop, "augment": True, "crops_per_sample": CROPS_PER_SAMPLE, "seed": seed}
    datasets = [CorpusDataset(view, **shared) for view in views]
    loader = DataLoader(
        ConcatDataset(datasets),
        batch_size=batch,
        shuffle=True,
        drop_last=CROPS_PER_SAMPLE * sum(map(len, views)) >= batch,
        generator=torch.Generator().manual_seed(seed),
        num_workers=workers,
        persistent_workers=workers > 0,
        multiprocessing_context="forkserver" if workers else None,
    )
    epoch = 0
    while True:
        for dataset in datasets:
            dataset.set_epoch(epoch)
        yield from map(_images_and_noise, loader)
        epoch += 1


def validation_batch(corpus: datagen.Corpus, crop: int, seed: int) -> dict[str, Tensor] | None:
    """Crops of scenes that are not trained on, always the same; None where the corpus holds none of them."""
    views = [corpus.subset(name, "val") for name in corpus.formats]
    datasets = [CorpusDataset(view, crop=crop, seed=seed) for view in views if len(view)]
    if not datasets:
        return None
    crops = [each[k] for each in datasets for k in range(min(len(each), -(-VALIDATION_CROPS // len(datasets))))]
    return _images_and_noise(default_collate(crops))


def _images_and_noise(items: Mapping[str, Tensor]) -> dict[str, Tensor]:
    a, b = (items[name].reshape(-1, 1, 1, 1) for name in ("a_pixel_adu", "b_adu2"))
    return {"noisy": items["noisy"], "clean": items["clean"], "valid": items["valid"], "a": a, "b": b}


def asked(batch: dict[str, Tensor]) -> int:
    """Number of pixels that a loss asks of: the valid ones."""
    return int(batch["valid"].sum())
