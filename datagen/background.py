"""The [background] table of a corpus file: a folder of real images that the bodies are put into."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tifffile
from pydantic import BaseModel, ConfigDict, Field, ValidationError

import xsim
from datagen.body_rule import BodyRule
from datagen.detector_format import Format
from datagen.header import Header
from datagen.problem import first_problem
from datagen.stream import Stream
from xsim import CorpusError

__all__ = ["RealImages", "place_over", "read_background", "with_state"]

PLACES = ("at", "depth_mm", "position_mm", "rotation_deg")
ENDINGS = (".tif", ".tiff")
Number = Annotated[float, Field(allow_inf_nan=False)]
Edge = Annotated[int, Field(ge=0)]


class _Table(BaseModel):
    """What the file says; names of folders and files start from the corpus file's folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: str
    clean_images: str | None = None
    state: Literal["raw", "offset_corrected", "flat_field_corrected"] | None = None
    material: str | dict[str, Any] | None = None
    displaced: bool = True
    open_beam_adu: Number | None = None
    open_beam_percent: Annotated[Number, Field(gt=0, le=100)] | None = None
    black_adu: Number | None = None
    flat: str | None = None
    dark: str | None = None
    region: tuple[Edge, Edge, Edge, Edge] | None = None


@dataclass(frozen=True)
class RealImages:
    """Real images of a corpus and what is known of them.

    Attributes
    ----------
    table : _Table
    directory : Path
    files : tuple of str
        Names in the folder of images, in order; a file of several pages is a series of one static scene.
    pages : tuple of int
        Of each file.
    """

    table: _Table
    directory: Path
    files: tuple[str, ...]
    pages: tuple[int, ...]

    @property
    def has_clean(self) -> bool:
        """Whether each image has one without noise."""
        return self.table.clean_images is not None

    def place(self, turn: int) -> int:
        """Which image the scene with this place among its format's has: all of them take turns."""
        return turn % len(self.files)

    def noisy(self, turn: int, frame: int) -> np.ndarray:
        """Image of a frame of a scene, [row, column]; the next time that a file's turn comes, its next pages."""
        place, again = self.place(turn), turn // len(self.files)
        pages = read_pages(self.directory / self.table.images / self.files[place])
        return np.asarray(pages[(again + frame) % len(pages)])

    def clean(self, turn: int) -> np.ndarray:
        """The image without noise, float64 [row, column]: the mean of its pages."""
        assert self.table.clean_images is not None
        pages = read_pages(self.directory / self.table.clean_images / self.files[self.place(turn)])
        return np.asarray(pages.mean(axis=0, dtype=np.float64))

    def described(self) -> xsim.Background:
        """As ``xsim.insert`` takes it."""
        table = self.table
        frames = {name: None if file is None else read_pages(self.directory / file)
                  for name, file in (("flat", table.flat), ("dark", table.dark))}  # fmt: skip
        return xsim.Background(
            table.material, table.displaced, table.open_beam_adu, table.open_beam_percent, **frames,
            black_adu=table.black_adu,
        )  # fmt: skip

    @property
    def region(self) -> tuple[slice, slice] | None:
        """Rows and columns that bodies are placed in."""
        ends = self.table.region
        return None if ends is None else (slice(ends[0], ends[1]), slice(ends[2], ends[3]))


def read_background(
    document: dict[str, Any], directory: Path, header: Header, formats: tuple[Format, ...],
    bodies: tuple[BodyRule, ...],
) -> RealImages | None:  # fmt: skip
    """Real images of a [background] table; None without one.

    Raises
    ------
    CorpusError
        The table is not understood, its images are not there or are not the camera's, or the corpus asks for what no
        real image has.
    """
    if "background" not in document:
        return None
    try:
        table = _Table.model_validate(document["background"])
    except ValidationError as error:
        raise CorpusError(f"background: {first_problem(error, _Table.model_fields)}") from None
    check_contents(header, formats, bodies, document)
    sizes = sizes_in(directory / table.images, "images")
    names = tuple(sizes)
    check_sizes(table.images, sizes, formats[0], header.frames_per_scene)
    if table.clean_images is not None:
        clean = sizes_in(directory / table.clean_images, "clean_images")
        for name in names:
            if name not in clean:
                raise CorpusError(f"background.clean_images: no {name} in {table.clean_images} (each image has one)")
        check_sizes(table.clean_images, {name: clean[name] for name in names}, formats[0], 1)
    for name in (table.flat, table.dark):
        if name is not None:
            check_sizes(name, {name: size_of(directory / name)}, formats[0], 1)
    found = RealImages(table, directory, names, tuple(sizes[name][0] for name in names))
    try:
        found.described()
    except xsim.XsimError as error:
        raise CorpusError(f"background: {error}") from None
    return found


def check_contents(
    header: Header, formats: tuple[Format, ...], bodies: tuple[BodyRule, ...], document: dict[str, Any]
) -> None:
    """Refuse what a real image does not have."""
    if len(formats) > 1:
        raise CorpusError("a [background] is of one camera (several [[detector]] tables given) write one corpus each")
    if "family" in document:
        raise CorpusError("a [background] shows its parts itself ([family] draws others) put bodies in by [[body]]")
    if header.store or formats[0].others:
        asked = (*header.store, *formats[0].others)[0]
        raise CorpusError(f"a [background] has one image a sample ({asked} is simulated) leave it out")
    if not bodies:
        raise CorpusError("a [background] without [[body]] (there is nothing to put in) add one")
    for rule in bodies:
        if rule.inside is not None:
            raise CorpusError(f"body.{rule.name}: inside names a simulated body (a [background] has none) leave it out")


def sizes_in(folder: Path, key: str) -> dict[str, tuple[int, int, int]]:
    """Pages, rows and columns of the TIFF files of a folder, by name."""
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS)
    except OSError as error:
        raise CorpusError(f"background.{key}: cannot read {folder} ({error.strerror or error}) name a folder") from None
    if not files:
        raise CorpusError(f"background.{key}: {folder} holds no TIFF files (real images are needed) name another")
    return {path.name: size_of(path) for path in files}


def size_of(file: Path) -> tuple[int, int, int]:
    """Pages, rows and columns of a TIFF file."""
    try:
        with tifffile.TiffFile(file) as tiff:
            shape = tiff.pages[0].shape
            if len(shape) != 2:
                raise CorpusError(f"background: {file} is no grey image (its shape is {shape}) convert it")
            return len(tiff.pages), int(shape[0]), int(shape[1])
    except OSError as error:
        raise CorpusError(f"background: cannot read {file} ({error.strerror or error}) check the path") from None
    except (tifffile.TiffFileError, ValueError, LookupError, struct.error) as error:
        raise CorpusError(f"background: {file} is no TIFF file ({' '.join(str(error).split())}) replace it") from None


def check_sizes(folder: str, sizes: dict[str, tuple[int, int, int]], format: Format, least_pages: int) -> None:
    """Refuse images of another size than the camera's, and series that are too short."""
    for name, (pages, rows, columns) in sizes.items():
        if (rows, columns) != (format.rows, format.columns):
            raise CorpusError(
                f"background: {folder}/{name} has {rows} x {columns} pixels (the detector {format.rows} x "
                f"{format.columns}) set rows and columns in [detector]"
            )
        if pages < least_pages:
            raise CorpusError(
                f"background: {folder}/{name} has {pages} pages (frames_per_scene = {least_pages}: each is a frame of "
                "its own) lower frames_per_scene"
            )


def read_pages(file: Path) -> np.ndarray:
    """Pages of a TIFF file [page, row, column]."""
    image = xsim.read_tiff(file)[0]
    return image[None] if image.ndim == 2 else image


def with_state(document: dict[str, Any]) -> dict[str, Any]:
    """A corpus file as read, the state of its [background] in [acquisition] too.

    Raises
    ------
    CorpusError
        The two differ.
    """
    table, run = document.get("background"), document.get("acquisition", {})
    state = table.get("state") if isinstance(table, dict) else None
    if state is None or not isinstance(run, dict):
        return document
    known = run.get("state", state)
    if known != state:
        raise CorpusError(f"background.state is {state!r} (acquisition.state {known!r}) keep one")
    return {**document, "acquisition": {**run, "state": state}}


def place_over(
    background: RealImages, bodies: list[dict[str, Any]], mapping: dict[str, Any], directory: Path, stream: Stream
) -> list[dict[str, Any]]:
    """Bodies with their places in the image: as they say, or drawn, wholly in it and apart from each other.

    Raises
    ------
    XsimError
        There is no room for them, or one is no body.

    """
    seed, names = stream.word(), [body["name"] for body in bodies]
    station = xsim.scene_from_dict({**mapping, "body": []}, directory)
    scene = xsim.place_bodies(bodies, station, seed, background.region)
    kept = [{key: value for key, value in body.items() if key not in PLACES} for body in bodies]
    poses = [{"position_mm": list(body.position_mm), "rotation_deg": list(body.rotation_deg)} for body in scene.bodies]
    return [{**body, **pose, "name": name} for body, pose, name in zip(kept, poses, names, strict=True)]
