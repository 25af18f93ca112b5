"""Which sample is where: formats, shards and files, by arithmetic alone, whatever the number of samples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from datagen.corpus_file import CorpusFile
from datagen.detector_format import Format

__all__ = ["Layout", "Shard", "dtype_of"]

TILE = 512  # pixels a chunk may be long
SHARD_BYTES = 256 * 10**6  # greatest size of a shard before compression
ALWAYS = ("noisy", "clean", "noise", "labels", "valid")  # images of one sample
OF_IMAGES = ("noisy", "clean", "noise", "valid")  # of a second exposure, of a second layer and of a pair
OF_REPEATS = ("noisy", "noise", "valid")
# dtype by the first word of an image's name
KINDS = {
    "noisy": "uint16", "clean": "float32", "noise": "float32", "labels": "uint16", "valid": "uint8",
    "sharp": "float32", "thickness": "float32",
}  # fmt: skip


@dataclass(frozen=True)
class Shard:
    """A run of samples of one format, written whole and by one process.

    Attributes
    ----------
    number : int
        In the corpus.
    format : Format
    place : int
        Number within the format.
    first, count : int
        Samples of the format that it holds.
    arrays : tuple of str
        Names of the images of a sample.
    """

    number: int
    format: Format
    place: int
    first: int
    count: int
    arrays: tuple[str, ...]

    @property
    def files(self) -> list[str]:
        """Its files, relative to the store."""
        images = [f"{self.format.name}/{name}/c/{self.place}/0/0" for name in self.arrays]
        tables = [f"{self.format.name}/instances/c/{self.place}/0/0", f"{self.format.name}/params/c/{self.place}/0"]
        return images + tables


@dataclass(frozen=True)
class Layout:
    """Arithmetic of a corpus: scene i has format i mod F, and all its frames follow each other there."""

    corpus: CorpusFile

    def arrays(self, format: Format) -> dict[str, str]:
        """Images of a sample of a format: their names, and the type that each is stored as."""
        header = self.corpus.header
        names = [*ALWAYS, *(name for name in ("sharp", "thickness") if name in header.store)]
        if "repeat" in header.store:
            names += [f"{name}_repeat" for name in OF_REPEATS]
        for suffix in format.others:
            names += [f"{name}_{suffix}" for name in OF_IMAGES]
        real = self.corpus.background
        if real is not None and not real.has_clean:
            names = [name for name in names if name not in ("clean", "noise")]
        return {name: dtype_of(name) for name in names if header.noise == "stored" or not name.startswith("noise")}

    def format_scenes(self, place: int) -> int:
        """Number of scenes of the format at this place of the list."""
        formats = len(self.corpus.formats)
        return (self.corpus.header.scenes - place + formats - 1) // formats

    def format_samples(self, place: int) -> int:
        """Number of samples of the format at this place of the list."""
        return self.format_scenes(place) * self.corpus.header.frames_per_scene

    def shard_samples(self, place: int) -> int:
        """Samples per shard: as asked, fewer where it would grow too large, whole series where possible."""
        each = self.corpus.formats[place]
        frames = self.corpus.header.frames_per_scene
        limit = max(1, SHARD_BYTES // (4 * padded(each.rows) * padded(each.columns)))
        samples = min(self.corpus.header.shard_samples, limit, max(1, self.format_samples(place)))
        return samples - samples % frames if samples > frames else samples

    @cached_property
    def _starts(self) -> list[int]:
        starts = [0]
        for place in range(len(self.corpus.formats)):
            starts.append(starts[-1] - (-self.format_samples(place) // self.shard_samples(place)))
        return starts

    @property
    def shards(self) -> int:
        """Number of shards."""
        return self._starts[-1]

    @property
    def samples(self) -> int:
        """Number of samples."""
        return self.corpus.header.scenes * self.corpus.header.frames_per_scene

    def shard(self, number: int) -> Shard:
        """Shard ``number``, 0 <= number < shards."""
        if not 0 <= number < self.shards:
            raise IndexError(f"shard {number} is outside 0..{self.shards - 1}")
        place = next(k for k in range(len(self.corpus.formats)) if number < self._starts[k + 1])
        within = number - self._starts[place]
        size = self.shard_samples(place)
        first = within * size
        count = min(size, self.format_samples(place) - first)
        format = self.corpus.formats[place]
        return Shard(number, format, within, first, count, tuple(self.arrays(format)))

    def scene_frame(self, shard: Shard, sample: int) -> tuple[int, int]:
        """Scene and frame of a sample of the shard's format."""
        frames = self.corpus.header.frames_per_scene
        place = self.corpus.formats.index(shard.format)
        return sample // frames * len(self.corpus.formats) + place, sample % frames


def dtype_of(image: str) -> str:
    """Type that an image is stored as, by its name."""
    return KINDS[image.partition("_")[0]]


def padded(pixels: int) -> int:
    """Length of a shard along an axis: whole tiles."""
    return pixels if pixels <= TILE else -(-pixels // TILE) * TILE
