"""Exports of a file or more for each sample: NumPy archives, TIFF images, tar shards of WebDataset."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tifffile

from datagen.export.writer import Sample, Writer, sample_id

__all__ = ["NumpyWriter", "TiffWriter", "WebDatasetWriter"]


class NumpyWriter(Writer):
    """ID.npz for each sample, params.csv, instances.csv."""

    about = "an .npz a sample"

    def write_part(self, folder: Path, number: int, samples: Iterable[Sample]) -> None:
        for sample in samples:
            with (folder / f"{sample_id(sample['index'])}.npz").open("wb") as file:
                np.savez(file, **{name: sample[name] for name in self.images})


class TiffWriter(Writer):
    """IMAGE/ID.tif for each sample, params.csv, instances.csv; grey values 16 bits or float32, labels 16, valid 8."""

    about = "a folder of TIFF files for each image"

    def write_part(self, folder: Path, number: int, samples: Iterable[Sample]) -> None:
        for name in self.images:
            (folder / name).mkdir(exist_ok=True)
        for sample in samples:
            for name in self.images:
                path = folder / name / f"{sample_id(sample['index'])}.tif"
                tifffile.imwrite(path, sample[name], photometric="minisblack", metadata=None)


class WebDatasetWriter(Writer):
    """shard-NNNNNN.tar for each shard, with ID.IMAGE.npy and ID.json (parameters and instances) for each sample."""

    about = "tar shards of .npy and .json"

    def write_part(self, folder: Path, number: int, samples: Iterable[Sample]) -> None:
        with tarfile.open(folder / f"shard-{number:06d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for sample in samples:
                key = sample_id(sample["index"])
                for name in self.images:
                    content = io.BytesIO()
                    np.save(content, sample[name], allow_pickle=False)
                    _add(tar, f"{key}.{name}.npy", content.getvalue())
                facts = {name: sample[name] for name in ("index", "params", "instances")}
                _add(tar, f"{key}.json", json.dumps(facts, allow_nan=False).encode())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """A file without owner and time: the same samples give the same bytes."""
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
