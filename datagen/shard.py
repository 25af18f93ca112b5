"""Writing one shard: a pure function of the corpus, the shard's number and the backend."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import Any

import numpy as np
import zarr
import zarr.buffer
import zarr.storage

from datagen.beams import read_beams
from datagen.commit import forget, write_commit
from datagen.corpus_file import CorpusFile, load_corpus
from datagen.layout import Layout, Shard
from datagen.place import Place, open_place
from datagen.root import ROOT, read_descriptions, read_root
from datagen.sample import Sample, SceneSamples, simulate_scene
from datagen.store import table_attributes
from xsim import CorpusError, OutputError, Quadrature

__all__ = ["write_shard"]

MOST_NOTES = 100


def write_shard(
    corpus: CorpusFile | str | os.PathLike[str],
    out: str | os.PathLike[str],
    number: int,
    backend: str = "cpu",
    tick: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Simulate the samples of one shard, write its files whole and commit them.

    Parameters
    ----------
    corpus : CorpusFile or path
    out : path or URL
        A store made by `generate`; no other process may be writing the same shard.
    number : int
        0 <= number < ``Layout(corpus).shards``.
    backend : {"cpu", "cuda", "auto"}
    tick : callable
        Called after each sample.

    Returns
    -------
    dict
        The commit record.

    Raises
    ------
    CorpusError
        When a scene cannot be made.
    OutputError
        When the store cannot be written; what was written of the shard is removed.
    """
    known = corpus if isinstance(corpus, CorpusFile) else load_corpus(corpus)
    place, layout = open_place(out), Layout(known)
    shard = layout.shard(number)
    descriptions = read_descriptions(place, shard.format.name)
    _check_arrays(place, known, shard, descriptions)
    beams = read_beams(read_root(place))
    made = list(_scenes(known, layout, shard, backend, tick, beams))
    facts = _facts(known, shard, made)
    samples = [sample for each in made for sample in each.samples]
    _check_shapes(shard, samples)
    try:
        forget(place, shard)
        return write_commit(place, shard, facts, _files(shard, samples, descriptions), descriptions)
    except OSError as error:
        _clean_up(place, shard)
        reason = error.strerror or str(error)
        raise OutputError(f"cannot write shard {number} to {place} ({reason}) make room and run it again") from None


def _facts(corpus: CorpusFile, shard: Shard, made: list[SceneSamples]) -> dict[str, Any]:
    """What the commit record says of how the scenes came about."""
    backends = {each.backend for each in made}
    if len(backends) > 1:
        raise CorpusError(f"shard {shard.number} was simulated on {sorted(backends)} (one backend per corpus) name one")
    notes = [note for each in made for note in each.notes]
    failures = [failure for each in made for failure in each.redrawn]
    return {
        "corpus_sha256": corpus.sha256,
        "backend": backends.pop(),
        "draws": len(made) + len(failures),
        "redrawn": failures,
        "warnings": len(notes),
        "notes": notes[:MOST_NOTES],
    }


def _scenes(
    corpus: CorpusFile,
    layout: Layout,
    shard: Shard,
    backend: str,
    tick: Callable[[], None],
    beams: dict[str, Quadrature],
) -> Iterator[SceneSamples]:
    pairs = [layout.scene_frame(shard, sample) for sample in range(shard.first, shard.first + shard.count)]
    for scene, group in groupby(pairs, key=lambda pair: pair[0]):
        frames = [frame for _, frame in group]
        yield simulate_scene(corpus, scene, range(frames[0], frames[-1] + 1), backend, tick, beams)


def _check_arrays(place: Place, corpus: CorpusFile, shard: Shard, descriptions: Mapping[str, bytes]) -> None:
    """Refuse a store of an earlier version, which lacks an array or a column."""
    for name in shard.arrays:
        if f"{shard.format.name}/{name}/{ROOT}" not in descriptions:
            raise CorpusError(f"{place} has no {name} images (an earlier version made it) generate it anew elsewhere")
    for table, wanted in table_attributes(corpus).items():
        held = json.loads(descriptions[f"{shard.format.name}/{table}/{ROOT}"])["attributes"]
        lacking = [each for each in wanted["columns"] if each not in held["columns"]]
        if any(held[key] != value for key, value in wanted.items()):
            what = (
                f"no {'parameter' if table == 'params' else 'instance'} column {lacking[0]}"
                if lacking
                else f"another table of {table}"
            )
            raise CorpusError(f"{place} has {what} (an earlier version made it) generate it anew elsewhere")


def _check_shapes(shard: Shard, samples: list[Sample]) -> None:
    """Refuse images that the arrays would take in part, or repeated."""
    wanted = (shard.format.rows, shard.format.columns)
    for sample in samples:
        for name in shard.arrays:
            shape = sample.images[name].shape
            if shape != wanted:
                raise CorpusError(f"{name} images of {shard.format.name} are {shape}, the store has room for {wanted}")


def _files(
    shard: Shard, samples: list[Sample], descriptions: Mapping[str, bytes]
) -> Iterator[tuple[str, bytes | memoryview]]:
    """The files of a shard, one array after the other."""
    rows = slice(shard.first, shard.first + shard.count)
    for name in shard.arrays:
        images = np.stack([sample.images[name] for sample in samples])
        yield from encode(f"{shard.format.name}/{name}", descriptions, rows, images)
    params = np.array([each.params for each in samples])
    yield from encode(f"{shard.format.name}/params", descriptions, rows, params)
    name = f"{shard.format.name}/instances"
    table = np.full((shard.count, *json.loads(descriptions[f"{name}/{ROOT}"])["shape"][1:]), np.nan)
    for place, sample in enumerate(samples):
        table[place, : len(sample.instances)] = sample.instances
    yield from encode(name, descriptions, rows, table)


def encode(
    name: str, descriptions: Mapping[str, bytes], rows: slice, values: np.ndarray
) -> Iterator[tuple[str, bytes | memoryview]]:
    """Files that rows of an array become: their names in the store and their contents.

    Parameters
    ----------
    name : str
        Path of the array in the store, ``FORMAT/noisy``.
    descriptions : mapping of str to bytes
        That of the array among them.
    rows : slice
        Of whole shards.
    values : array
    """
    memory: dict[str, Any] = {ROOT: zarr.buffer.cpu.Buffer.from_bytes(descriptions[f"{name}/{ROOT}"])}
    # an all-background label image is written like any other: every file of a shard exists and has its hash
    with zarr.config.set({"array.write_empty_chunks": True}):
        zarr.open_array(zarr.storage.MemoryStore(memory), mode="r+", zarr_format=3)[rows] = values
    for key in sorted(memory):
        if key != ROOT:
            yield f"{name}/{key}", memory[key].as_buffer_like()


def _clean_up(place: Place, shard: Shard) -> None:
    try:
        forget(place, shard)
    except OSError:
        return  # nothing is committed; the next run clears it
