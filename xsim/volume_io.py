"""Volume files: NIfTI, MetaImage (MHD, MHA), raw, TIFF stacks, zarr and NumPy arrays, mapped where they can be.

Arrays are [slice, row, column]. Their axes become z, y, x of the body; a turn or shift that a file states for its
patient or table is not applied.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from xsim.errors import OutOfMemoryError, VolumeError, one_line
from xsim.memory import GIB, guarded, require_memory
from xsim.units import MM_PER_LENGTH_UNIT
from xsim.volume import HIGHEST_LABEL, Volume, VolumeBody

__all__ = ["load_volume", "read_volume"]

KEPT = ("uint8", "uint16", "int16", "float16", "float32")
Spacing = tuple[float, float, float]


@dataclass(frozen=True)
class Grid:
    """What a file holds: voxels [slice, row, column], and their size along x, y, z where it says so."""

    voxels: np.ndarray
    voxel_mm: Spacing | None = None
    slope: float = 1.0
    intercept: float = 0.0


def load_volume(body: VolumeBody, directory: Path) -> Volume:
    """Voxels of a body, read and checked once, whatever becomes of the file.

    Raises
    ------
    VolumeError, OutOfMemoryError
        As ``read_volume``; or a label is not listed, or a value is no number.

    """
    if body._volume is None:
        volume = read_volume(body, directory)
        body.contents().check(volume)
        body._volume = volume
    return body._volume


def read_volume(body: VolumeBody, directory: Path) -> Volume:
    """Voxels of a volume body, of a type that the kernels read.

    uint8, uint16, int16, float16 and float32 stay as they are, mapped from the disk where the file is not compressed.
    Labels of another whole type become uint8 or uint16; other densities become float32, with a warning.

    Raises
    ------
    VolumeError
        The file is missing or unreadable, has no voxel size, or not three axes, or values that fit no type.
    OutOfMemoryError
        With the memory it needs.

    """
    if isinstance(body.volume, np.ndarray):
        path, grid = None, Grid(body.volume)
    else:
        path = directory / body.volume
        grid = read_grid(path, body)
    name = path.name if path else "array"
    spacing = body.voxel_mm if body.voxel_mm is not None else grid.voxel_mm
    if spacing is None:
        raise VolumeError(f"volume {name} has no voxel size (nothing states it) add voxel_mm = [x, y, z]")
    if not isinstance(spacing, tuple):
        spacing = (spacing, spacing, spacing)
    if grid.voxels.ndim != 3 or grid.voxels.size == 0:
        shape = grid.voxels.shape
        raise VolumeError(f"volume {name} has the shape {shape} (not slices, rows, columns) give three axes")
    if min(spacing) <= 0 or not np.isfinite(spacing).all():
        raise VolumeError(f"volume {name} has the voxel size {spacing} (not above 0) add voxel_mm = [x, y, z]")
    if body.labels is not None and (grid.slope, grid.intercept) != (1.0, 0.0):
        raise VolumeError(f"volume {name} scales its values by {grid.slope:g} (labels are whole) save it unscaled")
    needed = grid.voxels.size * max(grid.voxels.dtype.itemsize, 4)
    voxels = guarded(f"volume {name}", needed, lambda: kept_type(grid.voxels, name, body.labels is not None))
    return Volume(voxels, spacing, grid.slope, grid.intercept, name, path)


def read_grid(path: Path, body: VolumeBody) -> Grid:
    """Voxels of a file or folder by its name's end."""
    if not path.exists():
        raise VolumeError(f"volume {path} not found (no such file) check the path; it is relative to the scene file")
    ends = [end for end in READERS if path.name.lower().endswith(end)]
    if path.is_dir() and not ends:
        return read_tiff_folder(path, body)
    if not ends:
        raise VolumeError(f"volume {path.name} not read (format {path.suffix!r}) use one of {', '.join(READERS)}")
    try:
        return READERS[ends[0]](path, body)
    except (VolumeError, OutOfMemoryError):
        raise
    except Exception as error:  # each library raises what its parsers raise
        raise VolumeError(f"volume {path.name} not read ({one_line(error)}) check the file") from error


def kept_type(voxels: np.ndarray, name: str, labels: bool) -> np.ndarray:
    """The array in a type and an order that the kernels read; itself where it can be."""
    dtype = voxels.dtype.newbyteorder("=")
    if dtype.kind == "b":
        voxels, dtype = voxels.view(np.uint8), np.dtype(np.uint8)
    if dtype.kind not in "uif" or (labels and dtype.kind == "f"):
        wanted = "labels are whole numbers" if labels else "numbers are needed"
        raise VolumeError(f"volume {name} holds {dtype} ({wanted}) convert it")
    if dtype.name not in KEPT and labels:
        dtype = label_type(voxels, name)
    elif dtype.name not in KEPT:
        gib = voxels.size * 4 / GIB
        warnings.warn(f"volume {name} is converted from {dtype} to float32 ({gib:.2g} GiB)", stacklevel=2)
        dtype = np.dtype(np.float32)
    return np.ascontiguousarray(voxels, dtype)


def label_type(voxels: np.ndarray, name: str) -> np.dtype:
    """The smallest type that holds all labels."""
    low, high = int(voxels.min()), int(voxels.max())
    if low < 0 or high > HIGHEST_LABEL:
        raise VolumeError(f"volume {name} has the label {low if low < 0 else high} (0 to {HIGHEST_LABEL}) renumber")
    return np.dtype(np.uint8 if high < 256 else np.uint16)


def read_nifti(path: Path, body: VolumeBody) -> Grid:
    """NIfTI-1 or -2. Its scaling is kept as slope and intercept, its orientation is not applied."""
    try:
        import nibabel
    except ImportError as error:
        raise VolumeError(
            f"volume {path.name} not read (NIfTI needs nibabel) install the extra: pip install 'xsim[volumes]'"
        ) from error
    image: Any = nibabel.load(path)
    header = image.header
    size = int(np.prod(header.get_data_shape(), dtype=object)) * header.get_data_dtype().itemsize
    if path.suffix == ".gz":
        require_memory(f"volume {path.name}", size)
    voxels = guarded(f"volume {path.name}", size, lambda: np.asarray(image.dataobj.get_unscaled()))
    while voxels.ndim > 3 and voxels.shape[-1] == 1:
        voxels = voxels[..., 0]
    unit = {"micron": "um", "meter": "m"}.get(header.get_xyzt_units()[0], "mm")
    edges = [float(edge) * MM_PER_LENGTH_UNIT[unit] for edge in header.get_zooms()[:3]]
    slope, intercept = image.dataobj.slope, image.dataobj.inter
    return Grid(voxels.T, (edges[0], edges[1], edges[2]), float(slope), float(intercept))


META_TYPES = {
    "MET_UCHAR": "u1", "MET_CHAR": "i1", "MET_USHORT": "u2", "MET_SHORT": "i2", "MET_UINT": "u4", "MET_INT": "i4",
    "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip


def read_metaimage(path: Path, body: VolumeBody) -> Grid:
    """MetaImage: a header of ``key = value`` lines; data in it (LOCAL), in a file beside it, or in a list of slices."""
    with path.open("rb") as file:
        header, names = metaimage_header(file)
        local = file.tell()
    if header.get("ElementNumberOfChannels", "1") != "1":
        raise VolumeError(f"volume {path.name} has several channels (one is needed) save one of them")
    kind = header["ElementType"]
    if kind not in META_TYPES:
        raise VolumeError(f"volume {path.name} holds {kind} (known: {', '.join(META_TYPES)}) convert it")
    big = header.get("BinaryDataByteOrderMSB", header.get("ElementByteOrderMSB", "False")).lower() == "true"
    dtype = np.dtype((">" if big else "<") + META_TYPES[kind])
    columns, rows, slices = (int(n) for n in header["DimSize"].split())
    spacing = header.get("ElementSpacing", header.get("ElementSize", ""))
    edges = [float(edge) for edge in spacing.split()]
    voxel_mm = (edges[0], edges[1], edges[2]) if len(edges) == 3 else None
    packed = header.get("CompressedData", "False").lower() == "true"
    skip = int(header.get("HeaderSize", 0))
    shape = (slices, rows, columns)
    if header["ElementDataFile"] == "LIST":
        if len(names) != slices:
            raise VolumeError(f"volume {path.name} lists {len(names)} files (it has {slices} slices) mend the list")
        require_memory(f"volume {path.name}", slices * rows * columns * dtype.itemsize)
        pages = [read_block(path.parent / n, (1, rows, columns), dtype, skip, packed) for n in names]
        return Grid(np.concatenate(pages), voxel_mm)
    if header["ElementDataFile"] == "LOCAL":
        return Grid(read_block(path, shape, dtype, local, packed), voxel_mm)
    return Grid(read_block(path.parent / header["ElementDataFile"], shape, dtype, skip, packed), voxel_mm)


def metaimage_header(file: Any) -> tuple[dict[str, str], list[str]]:
    """Fields of a MetaImage header, and the names that follow ``ElementDataFile = LIST``."""
    fields: dict[str, str] = {}
    while "ElementDataFile" not in fields:
        line = file.readline(4096)
        key, equals, value = line.decode("ascii", "replace").partition("=")
        if not equals:
            raise VolumeError(f"volume {Path(file.name).name} is no MetaImage (line {line[:40]!r}) check the file")
        fields[key.strip()] = value.strip()
    listed = fields["ElementDataFile"].startswith("LIST")
    fields["ElementDataFile"] = "LIST" if listed else fields["ElementDataFile"]
    names = [line.decode("utf-8").strip() for line in file] if listed else []
    return fields, [name for name in names if name]


def read_block(path: Path, shape: tuple[int, int, int], dtype: np.dtype, skip: int, packed: bool = False) -> np.ndarray:
    """Plain voxels of a file from a byte on (-1: the last of it), mapped; unpacked by zlib where they are packed."""
    needed = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if not path.is_file():
        raise VolumeError(f"volume data {path} not found (no such file) keep it beside its header")
    held = path.stat().st_size
    if packed:
        require_memory(f"volume {path.name}", needed)
        data = zlib.decompressobj().decompress(path.read_bytes()[max(skip, 0) :], needed)
        if len(data) < needed:
            raise too_short(path, len(data), needed)
        return np.frombuffer(data, dtype).reshape(shape)
    skip = held - needed if skip < 0 else skip
    if skip < 0 or held < skip + needed:
        raise too_short(path, held, max(skip, 0) + needed)
    return np.memmap(path, dtype, "r", skip, shape)


def too_short(path: Path, held: int, needed: int) -> VolumeError:
    return VolumeError(f"volume {path.name} is too short ({held} of {needed} bytes) check its size and type")


def read_raw(path: Path, body: VolumeBody) -> Grid:
    """Plain voxels; the scene says how many and of what type."""
    if body.size_voxels is None or body.voxel_type is None:
        missing = 'add size_voxels = [x, y, z], voxel_type = "uint16"'
        raise VolumeError(f"volume {path.name} is raw (it states nothing) {missing}")
    try:
        dtype = np.dtype(body.voxel_type)
    except TypeError as error:
        raise VolumeError(f"voxel_type {body.voxel_type!r} (unknown) use uint8, uint16, float32 or >u2") from error
    columns, rows, slices = body.size_voxels
    return Grid(read_block(path, (slices, rows, columns), dtype, body.offset_bytes))


def read_tiff(path: Path, body: VolumeBody) -> Grid:
    """TIFF of one page a slice, or of one slice."""
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        if "S" in series.axes or len(file.series) > 1:
            raise VolumeError(f"volume {path.name} is no stack of grey slices (axes {series.axes}) save it as one")
        voxels: np.ndarray
        if series.dataoffset is not None:
            voxels = tifffile.memmap(path, mode="r")
        else:
            needed = series.size * series.dtype.itemsize
            require_memory(f"volume {path.name}", needed)
            voxels = guarded(f"volume {path.name}", needed, series.asarray)
    return Grid(voxels[None] if voxels.ndim == 2 else voxels)


def read_tiff_folder(path: Path, body: VolumeBody) -> Grid:
    """Slices of a folder, a TIFF each, in the order of their names."""
    files = sorted(f for f in path.iterdir() if f.suffix.lower() in {".tif", ".tiff"})
    if not files:
        raise VolumeError(f"volume {path} is a folder without TIFF files (slices are needed) check the path")
    first = tifffile.imread(files[0])
    needed = first.nbytes * len(files)
    require_memory(f"volume {path.name}", needed)
    voxels = guarded(f"volume {path.name}", needed, lambda: np.empty((len(files), *first.shape), first.dtype))
    for page, file in zip(voxels, files, strict=True):
        slice_ = tifffile.imread(file)
        if slice_.shape != first.shape or slice_.dtype != first.dtype:
            wanted = f"the first is {first.shape} {first.dtype}"
            raise VolumeError(f"slice {file.name} is {slice_.shape} {slice_.dtype} ({wanted}) make them alike")
        page[...] = slice_
    return Grid(voxels)


def read_zarr(path: Path, body: VolumeBody) -> Grid:
    """A zarr array, as a folder or zipped."""
    import zarr

    store: Any = zarr.storage.ZipStore(path, mode="r") if path.is_file() else path
    array: Any = zarr.open_array(store, mode="r")
    needed = array.size * array.dtype.itemsize
    require_memory(f"volume {path.name}", needed)
    return Grid(guarded(f"volume {path.name}", needed, lambda: np.asarray(array[...])))


def read_npy(path: Path, body: VolumeBody) -> Grid:
    """A NumPy array; objects are refused."""
    return Grid(np.load(path, mmap_mode="r", allow_pickle=False))


#: By the end of a name; the longer ends first.
READERS: dict[str, Callable[[Path, VolumeBody], Grid]] = {
    ".nii.gz": read_nifti, ".nii": read_nifti, ".mhd": read_metaimage, ".mha": read_metaimage, ".raw": read_raw,
    ".tif": read_tiff, ".tiff": read_tiff, ".zarr": read_zarr, ".zarr.zip": read_zarr, ".npy": read_npy,
}  # fmt: skip
