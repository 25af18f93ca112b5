"""Exporting samples: shard by shard into a draft beside the destination, which is renamed when it is whole.

The draft keeps what was asked and how many parts are done: the same export, started again, goes on from there.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from datagen.corpus import CorpusView, open_corpus
from datagen.export.coco import CocoWriter
from datagen.export.files import NumpyWriter, TiffWriter, WebDatasetWriter
from datagen.export.writer import Sample, Writer, stored
from datagen.lock import locked
from datagen.place import is_url
from xsim import CorpusError, OutputError

__all__ = ["WRITERS", "Export", "export_corpus"]

WRITERS: dict[str, type[Writer]] = {
    "numpy": NumpyWriter,
    "webdataset": WebDatasetWriter,
    "tiff": TiffWriter,
    "coco": CocoWriter,
}
RECORD = "export.json"


@dataclass(frozen=True)
class Export:
    """What `export_corpus` did.

    Attributes
    ----------
    samples, parts : int
        Of the whole export.
    kept : int
        Parts that an earlier run had written.
    """

    samples: int
    parts: int
    kept: int


def export_corpus(
    out: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    to: str,
    split: str | None = None,
    format: str | None = None,
    limit: int | None = None,
    images: Sequence[str] | None = None,
    progress: bool = True,
) -> Export:
    """Write samples of a corpus for other tools. One shard is in memory at a time.

    Parameters
    ----------
    out : path
        The corpus.
    destination : path
        A folder to make; it may be there when it is empty. While it is written it is called DESTINATION.partial.
    to : {"numpy", "webdataset", "tiff", "coco"}
    split : {"train", "val", "test"}, optional
        Default: all samples.
    format : str, optional
        Detector format; may be left out where there is one only.
    limit : int, optional
        At most so many samples, the first.
    images : sequence of str, optional
        Default: all that is stored but noise, which is noisy - clean.
    progress : bool

    Raises
    ------
    CorpusError
        The destination is taken, no sample is asked for, or a shard is damaged.
    OutputError
        The destination cannot be written; the same export goes on from there.
    """
    if to not in WRITERS:
        raise CorpusError(f"cannot export to {to!r} (known: {', '.join(WRITERS)})")
    view = _chosen(open_corpus(out).subset(format, split), limit)
    kind = WRITERS[to]
    names = list(images or kind.default_images(view))
    if lacking := set(names) - set(view.images):
        raise CorpusError(f"no {sorted(lacking)[0]!r} images in {out} (it has {', '.join(view.images)})")
    writer, target = kind(view, names), _target(destination)
    asked = {
        "export": to, "corpus": view.corpus.name, "corpus_sha256": view.corpus.sha256, "split": split,
        "format": view.format, "images": names, "samples": len(view), "parts": len(view.runs()),
    }  # fmt: skip
    draft = target.with_name(f"{target.name}.partial")
    try:
        draft.mkdir(parents=True, exist_ok=True)
        with locked(draft):
            done = _done(draft, asked)
            _write(writer, draft, asked, done, progress)
        draft.rename(target)
    except OSError as error:
        raise OutputError(f"cannot write {draft} ({error.strerror or error}) make room and run it again") from None
    return Export(len(view), asked["parts"], min(done, asked["parts"]))


def _chosen(view: CorpusView, limit: int | None) -> CorpusView:
    if limit is not None and limit < 1:
        raise CorpusError(f"limit must be at least 1 (given {limit})")
    if limit is not None:
        view = view.select(np.arange(min(limit, len(view))))
    if not len(view):
        raise CorpusError(f"no samples in split {view.split!r} of {view.corpus.path} (none is finished)")
    return view


def _target(destination: str | os.PathLike[str]) -> Path:
    """The folder to make, which is free."""
    if is_url(destination):
        raise CorpusError(f"{destination} is no folder (an export is written to a file system) name one")
    target = Path.cwd() / destination
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise CorpusError(f"{target} is there already (not a folder) choose another place")
    if target.is_dir() and any(target.iterdir()):
        raise CorpusError(f"{target} is not empty (nothing is overwritten) choose another place")
    return target


def _done(draft: Path, asked: dict[str, Any]) -> int:
    """Parts that an earlier run of the same export has written."""
    record = draft / RECORD
    if not record.exists():
        if any(each.name != ".lock" for each in draft.iterdir()):
            raise CorpusError(f"{draft} holds something else (not an unfinished export) choose another place")
        return 0
    try:
        told = json.loads(record.read_text())
        done = told.pop("done", asked["parts"] + 1)  # not told where all but its name was done
    except (ValueError, KeyError, AttributeError):
        told, done = {}, 0
    if told != asked:
        raise CorpusError(f"{draft} is of another export (other options, or the corpus grew) remove it first")
    return int(done)


def _write(writer: Writer, draft: Path, asked: dict[str, Any], done: int, progress: bool) -> None:
    view = writer.view
    bar = tqdm(
        total=len(view), unit="sample", desc=f"{view.corpus.name} to {asked['export']}", disable=not progress,
        mininterval=0.5 if sys.stderr.isatty() else 10.0, dynamic_ncols=True,
    )  # fmt: skip
    with bar:
        for number, part in enumerate(view.shards()):
            if number < done:
                bar.update(len(part))
                continue
            _tell(draft, {**asked, "done": number})
            writer.write_part(draft, number, _samples(part, writer.images, bar))
        if done <= asked["parts"]:
            _tell(draft, {**asked, "done": asked["parts"]})
            writer.finish(draft, asked["parts"])
            _tell(draft, {**asked, "done": asked["parts"] + 1})
        writer.clear(draft)
    _tell(draft, asked)


def _samples(part: CorpusView, images: Sequence[str], bar: tqdm) -> Iterator[Sample]:
    for sample, bodies in zip(part.samples(images), part.instances(), strict=True):
        yield {**sample, "instances": bodies, **{name: stored(name, sample[name]) for name in images}}
        bar.update()


def _tell(draft: Path, record: dict[str, Any]) -> None:
    path = draft / f"{RECORD}.new"
    path.write_text(json.dumps(record, indent=1) + "\n")
    path.replace(draft / RECORD)
