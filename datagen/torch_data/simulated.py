"""Crops of scenes that are simulated while training: no store."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from datagen.beams import fit_beams
from datagen.corpus_file import CorpusFile, load_corpus
from datagen.crop_order import CropOrder
from datagen.header import SPLITS
from datagen.scene_exposure import expose_scene, scenes_of
from datagen.scenes import format_of
from datagen.torch_data.crop_stream import CropStream
from datagen.torch_data.crops import SCALARS, check_crop
from xsim import CorpusError

__all__ = ["SimulatedDataset"]

SIMULATED = ("noisy", "clean", "noise", "labels", "valid", "expected")


class SimulatedDataset(CropStream):
    """Crops of the scenes of a corpus file, drawn and simulated when they are due; nothing is stored.

    A scene is projected once an epoch, and ``frames`` frames are recorded of it, each with noise of its own. Epoch e
    records the frames e * frames and on: the clean images of two epochs are the same, their noise never is. Frame f of
    a scene is the frame f that `datagen.generate` would store, bit for bit. Order, batches, ranks, workers and going on
    are those of `CorpusStream`, a scene being a shard of ``frames`` samples.

    Batches are as there; index is the scene, and frame, int64 [batch], its frame.

    Parameters
    ----------
    source : CorpusFile, path or "phantom:NAME"
    split : {"train", "val", "test"} or None
    crop : int or (int, int), optional
        Rows and columns of a crop; None for whole images.
    augment : bool
    frames : int
        Noise realisations of a scene in an epoch.
    crops_per_frame : int
    batch : int, optional
    buffer : int
        Scenes in memory, of each worker, whose crops are mixed.
    images : sequence of str
        noisy, clean, noise, labels, valid, expected.
    scalars : sequence of str
    workers : int
        Processes of the DataLoader, each simulating on one thread.
    rank, world_size : int, optional
    seed : int
        Of the order and the crops; scenes and noise have the seed of the corpus file.
    format : str, optional
        Detector format; default: all.
    backend : {"cpu", "cuda", "auto"}
        On "cuda" batches are made on the GPU; images go from the simulator to torch by DLPack, without a copy. It takes
        no workers: tensors of a GPU stay with the process that made them.
    scenes : int, optional
        Only the corpus's first so many; default: all.

    Raises
    ------
    CorpusError
        The corpus file is not understood, has no such scenes, or makes no such images; while reading: a scene that
        cannot be made.
    """

    def __init__(
        self,
        source: CorpusFile | str | os.PathLike[str],
        split: str | None = "train",
        crop: int | tuple[int, int] | None = None,
        augment: bool = True,
        frames: int = 4,
        crops_per_frame: int = 4,
        batch: int | None = None,
        buffer: int = 16,
        images: Sequence[str] = ("noisy", "clean", "valid"),
        scalars: Sequence[str] = SCALARS,
        workers: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
        seed: int = 0,
        format: str | None = None,
        backend: str = "cpu",
        scenes: int | None = None,
    ) -> None:
        self.corpus = source if isinstance(source, CorpusFile) else load_corpus(source)
        if self.corpus.background is not None:
            raise CorpusError(
                f"{self.corpus.header.name} has real images (a [background] is not simulated) run datagen generate and "
                "read its store"
            )
        self._check(split, format, images)
        if backend == "cuda" and workers:
            raise CorpusError(f"simulation on the GPU takes no workers (given {workers}) leave them out")
        self.scenes = scenes_of(self.corpus, split, format, scenes)
        if not len(self.scenes):
            raise CorpusError(f"no scenes in split {split!r} of {self.corpus.header.name} (ask for more scenes)")
        self.frames, self.scalars, self.backend = frames, tuple(scalars), backend
        self.beams = fit_beams(self.corpus)
        used = {format_of(self.corpus, int(scene)).name for scene in self.scenes[: 4 * len(self.corpus.formats)]}
        shapes = [(each.rows, each.columns) for each in self.corpus.formats if each.name in used]
        if frames < 1:
            raise CorpusError(f"frames must be at least 1 (given {frames})")
        shared = (crops_per_frame, 1 if batch is None else batch, buffer, seed)
        order = CropOrder(np.full(len(self.scenes), frames), *shared)
        size = check_crop(crop, shapes)
        super().__init__(order, images, size, augment, batch is None, workers, rank, world_size)

    def _check(self, split: str | None, format: str | None, images: Sequence[str]) -> None:
        if split is not None and split not in SPLITS:
            raise CorpusError(f"unknown split {split!r} (known: {', '.join(SPLITS)})")
        formats = [each.name for each in self.corpus.formats]
        if format is not None and format not in formats:
            raise CorpusError(f"no format {format!r} in {self.corpus.header.name} (it has {', '.join(formats)})")
        if lacking := set(images) - set(SIMULATED):
            raise CorpusError(f"no {sorted(lacking)[0]!r} images are simulated here (known: {', '.join(SIMULATED)})")

    def _shape(self, shard: int) -> tuple[int, int]:
        each = format_of(self.corpus, int(self.scenes[shard]))
        return each.rows, each.columns

    def _open(self, shard: int, epoch: int) -> _SimulatedScene:
        frames = range(epoch * self.frames, (epoch + 1) * self.frames)
        return _SimulatedScene(int(self.scenes[shard]), frames, self)


class _SimulatedScene:
    """Frames of a scene, each recorded when a crop of it is due."""

    def __init__(self, scene: int, frames: range, of: SimulatedDataset) -> None:
        self._exposed, self._frames, self._names = (
            expose_scene(of.corpus, scene, of.backend, of.beams),
            frames,
            of.images,
        )
        self._recorded: dict[int, dict[str, Any]] = {}
        self.scalars = {name: np.full(len(frames), self._exposed.scalar(name), np.float32) for name in of.scalars}
        self.scalars |= {"index": np.full(len(frames), scene), "frame": np.array(frames)}

    def image(self, name: str, sample: int) -> Any:
        if sample not in self._recorded:
            made = self._exposed.images(self._frames[sample])
            self._recorded[sample] = {each: made[each] for each in self._names}
        image = self._recorded[sample][name]
        return image if isinstance(image, np.ndarray) else torch.from_dlpack(image)

    def close(self) -> None:
        self._recorded.clear()
