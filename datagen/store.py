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
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec

from datagen.beams import describe_beams, fit_beams
from datagen.corpus_file import CorpusFile
from datagen.detector_format import COMMITS, Format
from datagen.layout import TILE, Layout, Shard, padded
from datagen.table import INSTANCE_COLUMNS, INSTANCE_WHOLE, ParameterTable, instance_words
from xsim import CorpusError, OutputError

__all__ = ["LOCK", "MARK", "create_store", "image_shape", "metadata_files", "open_array", "read_root", "state_of"]

MARK = "datagen_corpus"
SCHEMA = 1
LOCK = ".lock"
AXES = {
    "noisy": ("sample", "row", "column"),
    "params": ("sample", "parameter"),
    "instances": ("sample", "body", "column"),
}


def create_store(corpus: CorpusFile, out: Path) -> None:
    """Make the empty store of a corpus, with its few energies: whole, or not at all.

    Raises
    ------
    OutputError
        Where it cannot be written.
    """
    beams = describe_beams(fit_beams(corpus))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
    except OSError as error:
        raise OutputError(f"cannot write to {out.parent} ({error.strerror}) choose another place") from None
    try:
        draft.chmod(0o755)
        _write_skeleton(corpus, draft, beams)
        draft.rename(out)  # an empty folder of that name gives way, a full one does not
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        if state_of(out)[0] != "corpus":
            raise OutputError(f"cannot create {out} ({error.strerror}) choose another place") from None
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def state_of(out: Path) -> tuple[str, dict[str, Any]]:
    """What is at a path: "nothing" (or an empty folder), "corpus" with its description, or "other"."""
    if not out.exists():
        return "nothing", {}
    if out.is_dir() and not any(out.iterdir()):
        return "nothing", {}
    try:
        description = json.loads((out / "zarr.json").read_text())["attributes"][MARK]
    except (OSError, ValueError, KeyError, TypeError):
        return "other", {}
    return ("corpus", description) if isinstance(description, dict) else ("other", {})


def read_root(out: Path) -> dict[str, Any]:
    """Description of the corpus at ``out``.

    Raises
    ------
    CorpusError
        Where there is none, or one of a later layout.
    """
    state, description = state_of(out)
    if state != "corpus":
        what = "no such folder" if not out.exists() else "it has no corpus description"
        raise CorpusError(f"{out} is not a corpus ({what}) make one with: datagen generate CORPUS {out}")
    if description.get("schema") != SCHEMA:
        raise CorpusError(
            f"{out} has store layout {description.get('schema')!r} (this version reads {SCHEMA}) update xsim"
        )
    return description


def image_shape(out: Path, format_name: str) -> tuple[int, int] | None:
    """Rows and columns of the images that a store holds of a format; None where it has no such format."""
    try:
        facts = json.loads((out / format_name / "zarr.json").read_text())["attributes"]
        return facts["rows"], facts["columns"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def open_array(out: Path, name: str, mode: str = "r") -> zarr.Array:
    """An array of the store by its path inside it, for example ``FORMAT/noisy``."""
    return zarr.open_array(out / name, mode=mode, zarr_format=3)


def metadata_files(shard: Shard) -> list[str]:
    """The descriptions that the arrays of a shard's format are read by."""
    names = [*shard.arrays, "params", "instances"]
    return [f"{shard.format.name}/{name}/zarr.json" for name in names]


def _write_skeleton(corpus: CorpusFile, root: Path, beams: dict[str, Any]) -> None:
    layout = Layout(corpus)
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
        **beams,
    }
    group = zarr.create_group(root, zarr_format=3, attributes={MARK: description})
    about = "One group per finished shard; its attributes are the commit record. A shard without one does not exist."
    group.create_group(COMMITS, attributes={"about": about})
    for place, each in enumerate(corpus.formats):
        _write_format(corpus, layout, group, place, each)


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
    table = ParameterTable(corpus)
    attributes: dict[str, Any] = {"columns": table.columns, "whole": table.whole, "words": table.words}
    width = len(table.columns)
    _create(sub, "params", "float64", (samples, width), (size, width), None, AXES["params"], attributes)
    bodies, columns = max(1, corpus.greatest_instances), len(INSTANCE_COLUMNS)
    attributes = {"columns": list(INSTANCE_COLUMNS), "whole": list(INSTANCE_WHOLE), "words": instance_words(corpus)}
    shape, one, shard = (samples, bodies, columns), (1, bodies, columns), (size, bodies, columns)
    _create(sub, "instances", "float64", shape, one, shard, AXES["instances"], attributes)


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
    kind = np.dtype(dtype)
    group.create_array(
        name,
        shape=shape,
        dtype=kind,
        chunks=chunk,
        shards=shard,
        # typesize and shuffle are explicit: their defaults give 1.09x instead of 1.4x on noisy data
        compressors=[
            BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle", typesize=kind.itemsize),
            Crc32cCodec(),
        ],
        fill_value=np.nan if kind.kind == "f" else 0,
        dimension_names=axes,
        attributes=attributes,
    )


def sync(path: Path) -> None:
    """Bring a file or folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
