"""The store of a corpus: a zarr v3 group, one subgroup per detector format, commit records beside them.

    OUT/                      attributes: what the corpus is
      FORMAT/                 attributes: rows, columns, image state, detector
        noisy clean noise labels valid ...    [sample, row, column]
        params                                [sample, column], names in the attributes
        instances                             [sample, body, column], names in the attributes
      commits/000000/         attributes: the commit record of shard 0

A shard counts when its commit record is there: see ``datagen.commit``.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import zarr
import zarr.storage
from zarr.codecs import BloscCodec, Crc32cCodec

from datagen.beams import describe_beams, fit_beams
from datagen.cards import write_cards
from datagen.commit import versions
from datagen.corpus_file import CorpusFile
from datagen.detector_format import Format
from datagen.layout import TILE, Layout, padded
from datagen.place import FolderPlace, Place, Where, open_place, sync
from datagen.root import COPIES, MARK, ROOT, SCHEMA, SEAL, image_shape, open_array, read_root, state_of
from datagen.seal import digest_of, render, seal
from datagen.table import INSTANCE_COLUMNS, INSTANCE_WHOLE, ParameterTable, instance_words
from xsim import OutputError

__all__ = [
    "create_store",
    "describe_store",
    "image_shape",
    "open_array",
    "read_root",
    "render_copies",
    "state_of",
    "table_attributes",
    "write_descriptions",
]

AXES = {
    "noisy": ("sample", "row", "column"),
    "params": ("sample", "parameter"),
    "instances": ("sample", "body", "column"),
}


def create_store(corpus: CorpusFile, out: Where) -> None:
    """Make the empty store of a corpus, with its few energies: whole, or not at all.

    Parameters
    ----------
    corpus : CorpusFile
    out : path or URL

    Raises
    ------
    OutputError
        Where it cannot be written.
    """
    place = open_place(out)
    write_descriptions(place, describe_store(corpus))
    write_cards(corpus, place)


def describe_store(corpus: CorpusFile) -> dict[str, bytes]:
    """The descriptions (zarr.json files) of a corpus's store by their names in it, the root's last.

    The root's holds its own hash and those of the formats' and arrays'. A copy of all of them stands in that of the
    commit records, which holds its own hash too: what one has lost the other has.
    """
    memory: dict[str, Any] = {}
    layout = Layout(corpus)
    group = zarr.create_group(zarr.storage.MemoryStore(memory), zarr_format=3)
    for place, each in enumerate(corpus.formats):
        _write_format(corpus, layout, group, place, each)
    below = {key: value.to_bytes() for key, value in memory.items() if key != ROOT}
    header = corpus.header
    description = {
        "schema": SCHEMA,
        "name": header.name,
        "corpus_sha256": corpus.sha256,
        "corpus": json.loads(json.dumps(corpus.document, default=str)),
        "scenes": header.scenes,
        "frames_per_scene": header.frames_per_scene,
        "samples": layout.samples,
        "shards": layout.shards,
        "formats": [each.name for each in corpus.formats],
        "provenance": {"corpus_file": corpus.text, "versions": versions()},
        "descriptions": {key: digest_of(content) for key, content in below.items()},
        **describe_beams(fit_beams(corpus)),
    }
    root = render({MARK: seal(description, SEAL)})
    return {**below, COPIES: render_copies({**below, ROOT: root}), ROOT: root}


def render_copies(descriptions: dict[str, bytes]) -> bytes:
    """The description of the commit records' group: with a copy of every other description."""
    about = "One group per finished shard; its attributes are the commit record. A shard without one does not exist."
    copies = {key: content.decode() for key, content in descriptions.items()}
    return render(seal({"about": about, "descriptions": copies}, SEAL))


def write_descriptions(place: Place, descriptions: dict[str, bytes]) -> None:
    """Write the descriptions of a new store: whole, or not at all. One that another process made meanwhile is kept.

    Raises
    ------
    OutputError
        Where they cannot be written.
    """
    if isinstance(place, FolderPlace):
        _write_folder(place.root, descriptions)
        return
    try:
        for key, content in descriptions.items():
            if key != ROOT:
                place.write(key, content)
        place.create(ROOT, descriptions[ROOT])  # a store is there when its root is
    except OSError as error:
        raise OutputError(f"cannot write to {place} ({error.strerror or error}) choose another place") from None


def _write_folder(out: Path, descriptions: dict[str, bytes]) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
    except OSError as error:
        raise OutputError(f"cannot write to {out.parent} ({error.strerror}) choose another place") from None
    try:
        draft.chmod(0o755)
        for key, content in descriptions.items():
            FolderPlace(draft).write(key, content)
        draft.rename(out)  # an empty folder of that name gives way, a full one does not
        sync(out.parent)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        if state_of(out)[0] != "corpus":
            raise OutputError(f"cannot create {out} ({error.strerror}) choose another place") from None
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _write_format(corpus: CorpusFile, layout: Layout, group: zarr.Group, place: int, each: Format) -> None:
    facts = {
        "rows": each.rows,
        "columns": each.columns,
        "state": each.state,
        "unit": "ADU",
        "shard_samples": layout.shard_samples(place),
        "detector": json.loads(json.dumps(each.detector, default=lambda value: value.model_dump(exclude_none=True))),
    }
    sub = group.create_group(each.name, attributes=facts)
    samples, size = layout.format_samples(place), layout.shard_samples(place)
    tall, wide = padded(each.rows), padded(each.columns)
    chunk = (1, min(each.rows, TILE), min(each.columns, TILE))
    for name, dtype in layout.arrays(each).items():
        _create(sub, name, dtype, (samples, each.rows, each.columns), chunk, (size, tall, wide), AXES["noisy"], {})
    tables = table_attributes(corpus)
    width = len(tables["params"]["columns"])
    _create(sub, "params", "float64", (samples, width), (size, width), None, AXES["params"], tables["params"])
    bodies, columns = max(1, corpus.greatest_instances), len(tables["instances"]["columns"])
    shape, one, shard = (samples, bodies, columns), (1, bodies, columns), (size, bodies, columns)
    _create(sub, "instances", "float64", shape, one, shard, AXES["instances"], tables["instances"])


def table_attributes(corpus: CorpusFile) -> dict[str, dict[str, Any]]:
    """What the numbers of the tables mean: names of columns, which are whole, lists that codes point into."""
    table = ParameterTable(corpus)
    attributes = {
        "params": {"columns": table.columns, "whole": table.whole, "words": table.words},
        "instances": {
            "columns": INSTANCE_COLUMNS,
            "whole": INSTANCE_WHOLE,
            "words": instance_words(corpus),
        },
    }
    return dict(json.loads(json.dumps(attributes)))


def _create(
    group: zarr.Group,
    name: str,
    dtype: str,
    shape: tuple[int, ...],
    chunk: tuple[int, ...],
    shard: tuple[int, ...] | None,
    axes: tuple[str, ...],
    attributes: dict[str, Any],
) -> None:
    kind, shuffle = np.dtype(dtype), "bitshuffle" if name.startswith("noise") else "shuffle"
    group.create_array(
        name,
        shape=shape,
        dtype=kind,
        chunks=chunk,
        shards=shard,
        # typesize and shuffle are explicit: their defaults give 1.09x instead of 1.4x on noisy data; noise packs best
        # by its bits, all else by its bytes, and faster
        compressors=[
            BloscCodec(cname="zstd", clevel=1, shuffle=shuffle, typesize=kind.itemsize),
            Crc32cCodec(),
        ],
        fill_value=np.nan if kind.kind == "f" else 0,
        dimension_names=axes,
        attributes=attributes,
    )
