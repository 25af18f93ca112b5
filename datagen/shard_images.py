"""Images of one shard, each decoded when it is first asked for.

zarr reads a whole shard in 5 to 8 ms a sample of 512 x 512 (noisy and clean), most of it spent between its codecs; the
same blosc and CRC32C calls, straight from the bytes of the shard's file, take 1.6 ms.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import google_crc32c
import numpy as np
from numcodecs import blosc

from datagen.format_reader import DERIVED, FormatReader
from xsim import CorpusError

__all__ = ["ShardImages", "Spares"]

CHECKSUM_BYTES = 4
Spares = dict[tuple[tuple[int, ...], str], list[np.ndarray]]
ABSENT = 2**64 - 1  # offset of a chunk that was not written


class ShardImages:
    """The images of a committed shard: files are read whole and once, samples decoded once and kept.

    Parameters
    ----------
    reader : FormatReader
    record : dict
        Commit record of the shard.
    spares : dict, optional
        Arrays of closed shards, to decode into: memory fresh from the system costs as much time as decoding.

    Raises
    ------
    CorpusError
        The shard is damaged, here or when an image is asked for: a flipped bit is an error, never a number.
    """

    def __init__(self, reader: FormatReader, record: dict[str, Any], spares: Spares | None = None) -> None:
        reader.check(record)
        self._spares: Spares = {} if spares is None else spares
        self._reader, self._record = reader, record
        self._shape = reader.shape
        self._files: dict[str, _ShardFile] = {}
        self._decoded: dict[tuple[str, int], np.ndarray] = {}

    def image(self, name: str, sample: int) -> np.ndarray:
        """An image as stored (noise: as derived), [row, column]; not to be written to.

        Parameters
        ----------
        name : str
            noisy, clean, noise, labels, valid, or what else the store holds.
        sample : int
            Within the shard.
        """
        if (name, sample) not in self._decoded:
            self._decoded[name, sample] = self._made(name, sample)
        return self._decoded[name, sample]

    def close(self) -> None:
        """Give the memory of its images to the next shard; they must not be used any more."""
        for image in self._decoded.values():
            self._spares.setdefault((image.shape, image.dtype.str), []).append(image)
        self._decoded, self._files = {}, {}

    def _room(self, dtype: Any) -> np.ndarray:
        """An image to write to."""
        spare = self._spares.get((self._shape, np.dtype(dtype).str))
        return spare.pop() if spare else np.empty(self._shape, dtype)

    def _made(self, name: str, sample: int) -> np.ndarray:
        if name in DERIVED:
            whole, part = (self.image(each, sample) for each in DERIVED[name])
            return np.subtract(whole, part, out=self._room(np.float32))
        if name not in self._files:
            listed = self._file_name(name)
            if listed is None and name == "valid":
                return np.ones(self._shape, np.uint8)  # a shard older than these images calls every pixel valid
            if listed is None:
                raise CorpusError(f"no {name} images in shard {self._record['shard']} (they are not stored)")
            with self._told(name):
                self._files[name] = _ShardFile(self._reader, self._record, name, listed)
        with self._told(name):
            file = self._files[name]
            return file.decode(sample, self._room(file.dtype))

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        """What is wrong with a file as the error of its shard."""
        try:
            yield
        except CorpusError:
            raise
        except (ValueError, RuntimeError, IndexError) as error:
            raise self._reader.damaged(self._record, f"{name}: {' '.join(str(error).split())}") from None

    def _file_name(self, name: str) -> str | None:
        start = f"{self._record['format']}/{name}/c/"
        return next((each for each in self._record["files"] if each.startswith(start)), None)


class _ShardFile:
    """The bytes of one array's shard, and where its chunks lie in them."""

    def __init__(self, reader: FormatReader, record: dict[str, Any], name: str, file: str) -> None:
        array = reader.array(name)
        self._check_codecs(array.metadata.to_dict()["codecs"], name)
        self.dtype, self._tile = array.dtype.newbyteorder("<"), array.chunks[1:]
        self._shape = array.shape[1:]
        self._bytes = reader.file(file)
        grid = tuple(length // part for length, part in zip(array.shards, array.chunks, strict=True))
        stop = len(self._bytes)
        index = self._checked(stop - CHECKSUM_BYTES - 16 * math.prod(grid), stop, "its index")
        self._places = np.frombuffer(index, "<u8").reshape(*grid, 2)

    @staticmethod
    def _check_codecs(codecs: Any, name: str) -> None:
        try:
            (sharding,) = codecs
            facts = sharding["configuration"]
            chain = [each["name"] for each in facts["codecs"]]
            known = facts["index_location"] == "end" and chain == ["bytes", "blosc", "crc32c"]
        except (KeyError, TypeError, ValueError):
            known = False
        if not known:
            raise CorpusError(f"{name} images are coded in a way that this version does not know, update xsim")

    def decode(self, sample: int, image: np.ndarray) -> np.ndarray:
        """Fill ``image``."""
        rows, columns = self._tile
        for down in range(-(-self._shape[0] // rows)):
            for along in range(-(-self._shape[1] // columns)):
                part = image[down * rows : (down + 1) * rows, along * columns : (along + 1) * columns]
                whole = part if part.shape == self._tile and part.flags.c_contiguous else None
                tile = self._tile_of(sample, down, along, whole)
                if whole is None:
                    part[:] = tile[: part.shape[0], : part.shape[1]]
        return image

    def _tile_of(self, sample: int, down: int, along: int, tile: np.ndarray | None) -> np.ndarray:
        start, length = (int(each) for each in self._places[sample, down, along])
        if start == ABSENT or start + length > len(self._bytes):
            raise ValueError(f"sample {sample} is not in it")
        tile = np.empty(self._tile, self.dtype) if tile is None else tile
        blosc.decompress(self._checked(start, start + length, f"sample {sample}"), tile)
        return tile

    def _checked(self, start: int, stop: int, what: str) -> bytes:
        """Bytes that end in their CRC32C, without it."""
        content = self._bytes[start : stop - CHECKSUM_BYTES]
        checksum = self._bytes[stop - CHECKSUM_BYTES : stop]
        if google_crc32c.value(content) != int.from_bytes(checksum, "little"):
            raise ValueError(f"{what} fails its checksum")
        return content
