"""What the ways to export share: names of samples, tables as text."""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from datagen.corpus import CorpusView

__all__ = ["Sample", "Writer", "sample_id", "stored", "write_rows", "write_tables"]

Sample = dict[str, Any]


def sample_id(index: int) -> str:
    """Name of a sample in every export: its place in the corpus, whatever else is exported."""
    return f"{index:09d}"


class Writer(ABC):
    """A way to write samples. A part is a shard's samples; it is written anew where it was left half done."""

    about: ClassVar[str]

    def __init__(self, view: CorpusView, images: Sequence[str]) -> None:
        self.view, self.images = view, tuple(images)

    @classmethod
    def default_images(cls, view: CorpusView) -> list[str]:
        """What is written where nothing is asked: all that is stored but noise, which is noisy - clean exactly."""
        return [name for name in view.images if not name.startswith("noise")]

    @abstractmethod
    def write_part(self, folder: Path, number: int, samples: Iterable[Sample]) -> None:
        """Write the samples of one part; images have their stored types."""

    def finish(self, folder: Path, parts: int) -> None:
        """Write what is of the whole export."""
        write_tables(folder, self.view)

    def clear(self, folder: Path) -> None:  # noqa: B027
        """Remove what only the writing needed."""


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A CSV file; what does not apply is empty, numbers are written in full."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for row in rows:
            writer.writerow(["" if value is None or value != value else value for value in row])


def write_tables(folder: Path, view: CorpusView) -> None:
    """params.csv, a line for each sample, and instances.csv, a line for each body in each sample."""
    names = [name for name in view.reader.columns if name != "index"]
    write_rows(folder / "params.csv", ["id", "index", *names], _parameter_rows(view, names))
    bodies = view.reader.instance_columns
    write_rows(folder / "instances.csv", ["id", *bodies], _instance_rows(view, bodies))


def _parameter_rows(view: CorpusView, names: Sequence[str]) -> Iterator[list[Any]]:
    for part in view.shards():
        table = part.table()
        columns = [table[name].tolist() for name in ("index", *names)]
        for index, *values in zip(*columns, strict=True):
            yield [sample_id(index), index, *values]


def _instance_rows(view: CorpusView, columns: Sequence[str]) -> Iterator[list[Any]]:
    for part in view.shards():
        for index, bodies in zip(part.table()["index"].tolist(), part.instances(), strict=True):
            yield from ([sample_id(index), *(body[name] for name in columns)] for body in bodies)


def stored(name: str, image: np.ndarray) -> np.ndarray:
    """An image of a sample in the type that the store has it in."""
    if name.startswith("noisy"):
        return image.astype(np.uint16)
    return image.astype(np.uint8) if name.startswith("valid") else image
