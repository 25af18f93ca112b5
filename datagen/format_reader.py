"""Reading the arrays of one detector format: committed shards only, each checked before it is first read."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import zarr

from datagen.commit import damage, damaged_metadata
from datagen.layout import dtype_of
from datagen.place import Where, first_line, open_place
from datagen.root import damaged_description, open_array
from xsim import CorpusError

__all__ = ["FormatReader"]

TABLES = ("params", "instances")
TABLE_BYTES = 1 << 28  # of parameters kept in memory
# what readers derive: the first less the second, exactly
DERIVED = {
    "noise": ("noisy", "clean"),
    "noise_repeat": ("noisy_repeat", "clean"),
    "noise_second": ("noisy_second", "clean_second"),
    "noise_pair": ("noisy_pair", "clean_pair"),
}


class FormatReader:
    """Arrays of one format in one process: opened when needed, shards checked before they are first read."""

    def __init__(self, out: Where, format: str, commits: Sequence[dict[str, Any]], cache_bytes: int) -> None:
        self._out, self._format = open_place(out), format
        self._commits = [record for record in commits if record["format"] == format]
        self._checked: set[int] = set()
        self._seen: dict[str, str] = {}  # hashes of descriptions
        self._arrays: dict[str, zarr.Array] = {}
        self._cache: dict[int, dict[str, np.ndarray]] = {}
        self._columns: dict[str, np.ndarray] = {}
        self._cache_bytes = cache_bytes

    def array(self, name: str) -> zarr.Array:
        if name not in self._arrays:
            # what it is read by is as it was when its shards were written
            for record in self._commits[:1]:
                wrong = damaged_metadata(self._out, record, self._seen)
                if wrong:
                    raise damaged_description(self._out, wrong)
            try:
                self._arrays[name] = open_array(self._out, f"{self._format}/{name}")
            except Exception as error:  # zarr's own kinds, by version
                raise CorpusError(f"{self._out}/{self._format}/{name} cannot be opened ({first_line(error)})") from None
        return self._arrays[name]

    @property
    def records(self) -> Sequence[dict[str, Any]]:
        """Commit records of the format's shards, in order."""
        return self._commits

    def file(self, name: str) -> bytes:
        """A whole file of the store, by its name in a commit record."""
        try:
            return self._out.read(name)
        except (OSError, *self._out.faults) as error:
            raise CorpusError(f"{self._out}/{name} cannot be read ({first_line(error)})") from None

    def check(self, record: dict[str, Any]) -> None:
        """See, once, that a shard's files have their sizes and its descriptions their hashes.

        Raises
        ------
        CorpusError
            They have not.
        """
        if record["shard"] not in self._checked:
            wrong = damage(self._out, record, seen=self._seen)
            if wrong:
                raise self.damaged(record, wrong)
            self._checked.add(record["shard"])

    def _attributes(self, name: str) -> dict[str, Any]:
        return dict(self.array(name).attrs)

    @cached_property
    def rows(self) -> np.ndarray:
        """Committed samples, int64 [sample]."""
        runs = [np.arange(each["first"], each["first"] + each["samples"]) for each in self._commits]
        return np.concatenate(runs) if runs else np.zeros(0, dtype=np.int64)

    @cached_property
    def params(self) -> np.ndarray:
        """Parameters of the committed samples, float64 [sample, column]."""
        tables = [self.parameter_rows(each) for each in self._commits]
        return np.concatenate(tables) if tables else np.zeros((0, len(self.columns)))

    def column(self, name: str) -> np.ndarray:
        """One parameter of the committed samples, float64 [sample]; the whole table is kept where it is small."""
        place = self.columns.index(name)
        if len(self.rows) * len(self.columns) * 8 <= TABLE_BYTES:
            return self.params[:, place]
        if name not in self._columns:
            self._columns[name] = np.concatenate([self.parameter_rows(each)[:, place].copy() for each in self._commits])
        return self._columns[name]

    def parameter_rows(self, record: dict[str, Any]) -> np.ndarray:
        """Parameters of the samples of one shard, float64 [sample, column]."""
        return self.read("params", record["first"], record["first"] + record["samples"])

    def readable(self, values: np.ndarray) -> dict[str, Any]:
        """A row of parameters by name; words and whole numbers as such, what does not apply is None."""
        return _readable(values, self._attributes("params"))

    @property
    def columns(self) -> list[str]:
        return list(self._attributes("params")["columns"])

    @property
    def words(self) -> dict[str, list[Any]]:
        return dict(self._attributes("params")["words"])

    @property
    def whole(self) -> list[str]:
        """Columns of whole numbers."""
        return list(self._attributes("params")["whole"])

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.array("noisy").shape[1:]
        return rows, columns

    def parameters(self, row: int) -> dict[str, Any]:
        """Parameters of one sample; words and whole numbers as such, what does not apply is None."""
        values = self.params[np.searchsorted(self.rows, row)]
        return self.readable(values)

    def instances(self, row: int, stop: int | None = None) -> list[list[dict[str, Any]]]:
        """Instance tables of the samples row..stop - 1, all of one shard; of one sample where no stop is given."""
        tables = self.read("instances", row, row + 1 if stop is None else stop)
        attributes = self._attributes("instances")
        return [[_readable(line, attributes) for line in table if not np.isnan(line[0])] for table in tables]

    @property
    def instance_columns(self) -> list[str]:
        """Columns of the instance table."""
        return list(self._attributes("instances")["columns"])

    @property
    def instance_words(self) -> dict[str, list[Any]]:
        """Lists that its numbers point into."""
        return dict(self._attributes("instances")["words"])

    @cached_property
    def arrays(self) -> tuple[str, ...]:
        """Names of the images that a sample has here: those stored, those derived of them, and ``valid``."""
        held = self._held(self._commits[0]) if self._commits else []
        derived = [name for name, parts in DERIVED.items() if set(parts) <= set(held)]
        return (*held, *derived, *(() if "valid" in held else ("valid",)))

    def _held(self, record: dict[str, Any]) -> list[str]:
        """Images that a shard holds and that are not derived of others."""
        listed = [PurePosixPath(name) for name in record["metadata"]]
        names = [path.parts[1] for path in listed if path.parts[0] == self._format and len(path.parts) == 3]
        return [name for name in names if name not in (*TABLES, *DERIVED)]

    @cached_property
    def _sample_bytes(self) -> int:
        """Memory that the images of one sample need."""
        held = self._held(self._commits[0]) if self._commits else []
        return sum(math.prod(self.shape) * np.dtype(dtype_of(name)).itemsize for name in held)

    def images(self, row: int, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Stored images of one sample that are not derived; from memory where the whole format fits there.

        Where it does not fit and ``names`` are given, only those that these need are read.
        """
        if len(self.rows) * self._sample_bytes > self._cache_bytes:
            return {name: array[0] for name, array in self._stored(row, row + 1, names).items()}
        record = self._record(row)
        if record["shard"] not in self._cache:
            first, last = record["first"], record["first"] + record["samples"]
            self._cache[record["shard"]] = self._stored(first, last)
        return {name: array[row - record["first"]] for name, array in self._cache[record["shard"]].items()}

    def _stored(self, first: int, last: int, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Images of rows first..last - 1, all of one shard; a shard older than ``valid`` calls every pixel valid."""
        held = self._held(self._record(first))
        wanted = held if names is None else {part for name in names for part in DERIVED.get(name, (name,))}
        images = {name: self.read(name, first, last) for name in held if name in wanted}
        if "valid" not in held:
            images["valid"] = np.ones((last - first, *self.shape), np.uint8)
        return images

    def _record(self, row: int) -> dict[str, Any]:
        place = bisect_right(self._commits, row, key=lambda record: record["first"]) - 1
        record = self._commits[max(place, 0)] if self._commits else {"first": 0, "samples": 0}
        if record["first"] <= row < record["first"] + record["samples"]:
            return record
        raise CorpusError(f"sample {row} of {self._out}/{self._format} is not there (not committed) generate it first")

    def read(self, name: str, first: int, last: int) -> np.ndarray:
        """Rows first..last - 1 of an array, all of one shard."""
        record = self._record(first)
        self.check(record)
        try:
            return np.asarray(self.array(name)[first:last])
        except FileNotFoundError:
            raise self.damaged(record, f"{name}: a file of it is missing") from None
        except (OSError, *self._out.faults) as error:
            if isinstance(error, OSError) and self._out.lost(error):
                raise self.damaged(record, f"{name}: {first_line(error)}") from None
            raise CorpusError(f"{self._out}/{self._format}/{name} cannot be read ({first_line(error)})") from None
        except (ValueError, RuntimeError, KeyError) as error:
            raise self.damaged(record, f"{name}: {first_line(error)}") from None

    def damaged(self, record: dict[str, Any], wrong: str) -> CorpusError:
        """The error of a shard with something wrong."""
        return CorpusError(
            f"shard {record['shard']} of {self._out} is damaged ({wrong}) un-commit it with datagen verify, "
            "and generate the corpus again"
        )


def _readable(values: np.ndarray, attributes: Any) -> dict[str, Any]:
    words, whole = attributes["words"], set(attributes["whole"])
    found: dict[str, Any] = {}
    for column, value in zip(attributes["columns"], values.tolist(), strict=True):
        if value != value:
            found[column] = None
        elif column in words:
            found[column] = words[column][int(value)]
        else:
            found[column] = int(value) if column in whole else value
    return found
