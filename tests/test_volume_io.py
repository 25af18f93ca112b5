"""Volumes from every format, and what is said of those that cannot be used."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from station import lengths_of, station

import xsim
from xsim.backend import Backend
from xsim.cli import main

VOXELS = np.random.default_rng(1).integers(0, 4, (7, 6, 5), np.uint8)
EDGES = (0.5, 0.75, 1.25)
LABELS = {"0": "nothing", "1": "Al", "2": "PMMA", "3": "water"}


def save_nifti(folder: Path, voxels: np.ndarray, name: str = "scan.nii.gz", unit: str = "mm") -> dict[str, Any]:
    affine = np.array([[0, -1.0, 0, 4], [1, 0, 0, 5], [0, 0, -1, 6], [0, 0, 0, 1]])  # a turn, not to be applied
    image = nibabel.Nifti1Image(voxels.T, affine)
    image.header.set_zooms([edge / {"mm": 1, "micron": 1e-3}[unit] for edge in EDGES])
    image.header.set_xyzt_units(unit)
    nibabel.save(image, folder / name)
    return {"volume": name}


def save_meta(folder: Path, voxels: np.ndarray, data: str = "scan.raw", packed: bool = False) -> dict[str, Any]:
    kinds = {"u1": "MET_UCHAR", "i2": "MET_SHORT", "u2": "MET_USHORT", "f4": "MET_FLOAT"}
    body = voxels.tobytes()
    size = " ".join(str(n) for n in voxels.shape[::-1])
    header = (
        f"ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = {voxels.dtype.byteorder == '>'}\n"
        f"CompressedData = {packed}\nDimSize = {size}\nElementSpacing = {' '.join(str(e) for e in EDGES)}\n"
        f"ElementType = {kinds[voxels.dtype.str[1:]]}\nElementDataFile = {data}\n"
    ).encode()
    if data == "LIST":
        names = [f"slice{k}.raw" for k in range(len(voxels))]
        for name, page in zip(names, voxels, strict=True):
            (folder / name).write_bytes(page.tobytes())
        (folder / "scan.mhd").write_bytes(header + "".join(f"{name}\n" for name in names).encode())
        return {"volume": "scan.mhd"}
    body = zlib.compress(body) if packed else body
    if data == "LOCAL":
        (folder / "scan.mha").write_bytes(header + body)
        return {"volume": "scan.mha"}
    (folder / data).write_bytes(body)
    (folder / "scan.mhd").write_bytes(header)
    return {"volume": "scan.mhd"}


def save_raw(folder: Path, voxels: np.ndarray) -> dict[str, Any]:
    (folder / "scan.raw").write_bytes(b"\1" * 24 + voxels.tobytes())
    size = voxels.shape[::-1]
    return {
        "volume": "scan.raw", "size_voxels": size, "voxel_type": voxels.dtype.str, "offset_bytes": 24,
        "voxel_mm": EDGES,
    }  # fmt: skip


def save_tiff(folder: Path, voxels: np.ndarray, **options: Any) -> dict[str, Any]:
    tifffile.imwrite(folder / "scan.tif", voxels, photometric="minisblack", **options)
    return {"volume": "scan.tif", "voxel_mm": EDGES}


def save_folder(folder: Path, voxels: np.ndarray) -> dict[str, Any]:
    (folder / "slices").mkdir()
    for k, page in enumerate(voxels):
        tifffile.imwrite(folder / "slices" / f"slice-{k:04}.tif", page, photometric="minisblack")
    return {"volume": "slices", "voxel_mm": EDGES}


def save_zarr(folder: Path, voxels: np.ndarray, zipped: bool = False) -> dict[str, Any]:
    store: Any = zarr.storage.ZipStore(folder / "scan.zarr.zip", mode="w") if zipped else folder / "scan.zarr"
    zarr.create_array(store, data=voxels, chunks=(4, 4, 4))
    if zipped:
        store.close()
    return {"volume": "scan.zarr.zip" if zipped else "scan.zarr", "voxel_mm": EDGES}


def save_npy(folder: Path, voxels: np.ndarray) -> dict[str, Any]:
    np.save(folder / "scan.npy", voxels)
    return {"volume": "scan.npy", "voxel_mm": EDGES}


FORMATS: dict[str, Callable[[Path, np.ndarray], dict[str, Any]]] = {
    "nii.gz": save_nifti,
    "nii": lambda folder, voxels: save_nifti(folder, voxels, "scan.nii"),
    "nii in micron": lambda folder, voxels: save_nifti(folder, voxels, unit="micron"),
    "mhd": save_meta,
    "mhd packed": lambda folder, voxels: save_meta(folder, voxels, "scan.zraw", packed=True),
    "mha": lambda folder, voxels: save_meta(folder, voxels, "LOCAL"),
    "mhd list": lambda folder, voxels: save_meta(folder, voxels, "LIST"),
    "raw": save_raw,
    "tiff": save_tiff,
    "tiff packed": lambda folder, voxels: save_tiff(folder, voxels, compression="zlib"),
    "tiff folder": save_folder,
    "zarr": save_zarr,
    "zarr zipped": lambda folder, voxels: save_zarr(folder, voxels, zipped=True),
    "npy": save_npy,
}


@pytest.mark.parametrize("save", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_a_volume_is_the_same_through_every_format(
    tmp_path: Path, save: Callable[[Path, np.ndarray], dict[str, Any]], dtype: str
) -> None:
    """Voxels, their order and type, and their size, which MetaImage and NIfTI state."""
    voxels = VOXELS.astype(dtype) - (dtype == "int16")
    body = save(tmp_path, voxels.astype(dtype))
    meaning = {"material": "water", "density_scale_g_cm3": 0.5, "density_offset_g_cm3": 1.0}
    scene = station({**body, **meaning}, directory=tmp_path, shape=(4, 4))
    volume = scene.volume_of(scene.body[0])
    assert volume.voxels.dtype == dtype and np.array_equal(volume.voxels, voxels)
    assert volume.voxel_mm == pytest.approx(EDGES, rel=1e-6)
    assert len(volume.sha256) == 64


@pytest.mark.parametrize("save", [save_nifti, save_zarr, save_raw])
def test_float16_stays(tmp_path: Path, save: Callable[[Path, np.ndarray], dict[str, Any]]) -> None:
    if save is save_nifti:
        with pytest.raises(Exception, match="float16"):
            save(tmp_path, VOXELS.astype(np.float16))
        return
    scene = station({**save(tmp_path, VOXELS.astype(np.float16)), "material": "water"}, directory=tmp_path)
    assert scene.volume_of(scene.body[0]).voxels.dtype == np.float16


def test_big_endian_voxels_are_turned(tmp_path: Path) -> None:
    for save in (save_meta, save_raw):
        scene = station({**save(tmp_path, VOXELS.astype(">u2") * 300), "material": "Al"}, directory=tmp_path)
        assert np.array_equal(scene.volume_of(scene.body[0]).voxels, VOXELS.astype(np.uint16) * 300)


def test_files_without_compression_are_mapped(tmp_path: Path) -> None:
    for save in (save_raw, save_npy, save_tiff, save_meta, FORMATS["nii"]):
        scene = station({**save(tmp_path, VOXELS), "labels": LABELS, "material": None}, directory=tmp_path)
        voxels: Any = scene.volume_of(scene.body[0]).voxels
        while voxels is not None and not isinstance(voxels, np.memmap):
            voxels = voxels.base
        assert voxels is not None, save


def test_the_scaling_of_a_nifti_file_is_kept_beside_its_voxels(backend: Backend, tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(VOXELS.T.astype(np.int16), np.eye(4))
    image.header.set_slope_inter(0.25, -0.125)
    nibabel.save(image, tmp_path / "scaled.nii")
    line = {"material": "water", "density_scale_g_cm3": 1.0, "density_offset_g_cm3": 0.2, "voxel_mm": 1.0}
    scaled = station({"volume": "scaled.nii", **line}, directory=tmp_path)
    assert scaled.volume_of(scaled.body[0]).voxels.dtype == np.int16
    plain = station({"volume": (VOXELS * 0.25 - 0.125).astype(np.float32), **line})
    got, wanted = (next(iter(lengths_of(scene, backend).values())) for scene in (scaled, plain))
    assert np.abs(got - wanted).max() < 1e-5 and got.max() > 1
    rows = [{"value": v, "densities_g_cm3": {"water": d}} for v, d in ((-0.125, 0.1), (0.3, 0.7), (0.625, 0.2))]
    meaning = {"mixtures": rows, "material": None, "voxel_mm": 1.0}
    got, wanted = (
        next(iter(lengths_of(station({**body, **meaning}, directory=tmp_path), backend).values()))
        for body in ({"volume": "scaled.nii"}, {"volume": (VOXELS * 0.25 - 0.125).astype(np.float32)})
    )
    assert np.abs(got - wanted).max() < 1e-5 and got.max() > 0.2


def test_other_whole_types_narrow_for_labels_and_doubles_are_told(tmp_path: Path) -> None:
    scene = station(
        {**save_npy(tmp_path, VOXELS.astype(np.int64)), "labels": LABELS, "material": None}, directory=tmp_path
    )
    assert scene.volume_of(scene.body[0]).voxels.dtype == np.uint8
    with pytest.warns(UserWarning, match="converted from float64 to float32"):
        station({"volume": VOXELS.astype(float), "voxel_mm": 1.0, "material": "Al"})


def array_body(voxels: np.ndarray = VOXELS, **fields: Any) -> dict[str, Any]:
    return {"volume": voxels, "voxel_mm": 1.0, "material": None, **fields}


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no meaning": (array_body(), "labels, or material, or mixtures"),
    "two meanings": (array_body(material="Al", labels=LABELS), "one meaning"),
    "unlisted label": (array_body(labels={"0": "nothing", "1": "Al"}), "label 2"),
    "no label": (array_body(labels={"one": "Al"}), "'one'"),
    "unknown material": (array_body(labels={**LABELS, "3": "watre"}), "watre"),
    "labels of floats": (array_body(VOXELS.astype(np.float32), labels=LABELS), "whole numbers"),
    "negative label": (array_body(VOXELS.astype(np.int16) - 1, labels=LABELS), "label -1"),
    "no number": (array_body(np.where(VOXELS > 2, np.nan, 1).astype(np.float32), material="Al"), "no number"),
    "two axes": (array_body(VOXELS[0], labels=LABELS), "three axes"),
    "complex": (array_body(VOXELS.astype(complex), material="Al"), "complex"),
    "scale 0": (array_body(material="Al", density_scale_g_cm3=0.0), "density_scale_g_cm3"),
    "offset alone": (array_body(material="Al", density_offset_g_cm3=1.0), "density_scale_g_cm3"),
    "unordered": (
        array_body(mixtures=[{"value": v, "densities_g_cm3": {"Al": 1.0}} for v in (1.0, 0.0)]), "do not ascend",
    ),
    "misspelt": (array_body(material="Al", voxel_size=1.0), "voxel_type"),
    "no file": ({"volume": "none.nii", "labels": LABELS, "material": None}, "not found"),
    "format": ({"volume": "scan.xyz", "labels": LABELS, "material": None}, "use one of"),
    "rubbish": ({"volume": "bad.nii.gz", "labels": LABELS, "material": None}, "not read"),
    "rubbish tiff": ({"volume": "bad.tif", "labels": LABELS, "material": None, "voxel_mm": 1.0}, "not read"),
    "rubbish mhd": ({"volume": "bad.mhd", "labels": LABELS, "material": None}, "no MetaImage"),
    "pickle": ({"volume": "bad.npy", "labels": LABELS, "material": None, "voxel_mm": 1.0}, "not read"),
    "raw alone": ({"volume": "bad.raw", "labels": LABELS, "material": None, "voxel_mm": 1.0}, "size_voxels"),
    "short": (
        {"volume": "bad.raw", "labels": LABELS, "material": None, "voxel_mm": 1.0, "voxel_type": "uint8",
         "size_voxels": [50, 50, 50]}, "too short",
    ),
    "huge": ({"volume": "huge.mhd", "labels": LABELS, "material": None}, "needs 1000000.0 GiB"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_is_told_in_one_line(tmp_path: Path, name: str) -> None:
    body, words = BAD[name]
    for bad in ("bad.nii.gz", "bad.tif", "bad.raw", "bad.mhd", "scan.xyz"):
        (tmp_path / bad).write_bytes(b"rubbish\n" * 9)
    np.save(tmp_path / "bad.npy", np.array([{}], object), allow_pickle=True)
    (tmp_path / "huge.raw").write_bytes(b"1")
    (tmp_path / "huge.mhd").write_text(
        "NDims = 3\nDimSize = 1048576 1024000 1000\nElementType = MET_UCHAR\nElementSpacing = 1 1 1\n"
        "CompressedData = True\nElementDataFile = huge.raw\n"
    )
    with pytest.raises(xsim.XsimError, match=re.escape(words)) as caught:
        station(body, directory=tmp_path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


def test_no_voxel_size_is_an_error_where_the_file_has_none(tmp_path: Path) -> None:
    body = {**save_npy(tmp_path, VOXELS), "labels": LABELS, "material": None}
    del body["voxel_mm"]
    with pytest.raises(xsim.XsimError, match="voxel_mm"):
        station(body, directory=tmp_path)


def test_memory_that_is_refused_is_one_line_with_the_size(tmp_path: Path) -> None:
    """A process that may have 3 GiB converts a mapped volume whose float32 would have 4."""
    (tmp_path / "big.raw").touch()
    with (tmp_path / "big.raw").open("r+b") as file:
        file.truncate(1 << 32)
    (tmp_path / "scene.toml").write_text(
        '[source]\nenergy_kev = 80.0\n[detector]\npreset = "generic-gos-200um"\n[[body]]\nvolume = "big.raw"\n'
        'size_voxels = [1024, 1024, 1024]\nvoxel_type = ">f4"\nvoxel_mm = 0.01\nmaterial = "water"\n'
    )
    code = (
        "import resource, sys; from xsim.cli import main; "
        f"resource.setrlimit(resource.RLIMIT_AS, ({7 << 30}, {7 << 30})); "
        "sys.exit(main(['simulate', 'scene.toml', '-o', 'out']))"
    )
    assert resource.getrlimit(resource.RLIMIT_AS)[1] == resource.RLIM_INFINITY
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert "needs 4.0 GiB" in line and not (tmp_path / "out").exists()


def test_a_scene_file_with_labels_runs_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "station"
    folder.mkdir()
    save_nifti(folder, VOXELS)
    (folder / "scene.toml").write_text(
        '[source]\nenergy_kev = 80.0\n[detector]\npreset = "generic-gos-200um"\nrows = 32\ncolumns = 32\n'
        '[[body]]\nvolume = "scan.nii.gz"\nlabels = { 0 = "nothing", 1 = "Al", 2 = "PMMA", 3 = "water" }\n'
    )
    monkeypatch.chdir(tmp_path)
    assert main(["simulate", "station/scene.toml", "-o", "out"]) in (0, None)
    assert (tmp_path / "out" / "noisy.tif").exists()


def test_the_shipped_phantom_is_what_its_tool_makes(tmp_path: Path) -> None:
    """Voxel for voxel but for rounding; and the splinter, the bubbles and the ball are seen in its image."""
    tool = Path(__file__).parents[1] / "tools" / "make_phantom_volume.py"
    subprocess.run([sys.executable, str(tool), str(tmp_path)], check=True, capture_output=True, timeout=120)
    made, shipped = (
        tifffile.imread(f / "chicken-fillet.tif") for f in (tmp_path, xsim.phantom_path("step-chart").parent)
    )
    apart = made.astype(int) - shipped
    assert made.shape == shipped.shape and (apart != 0).mean() < 1e-3 and np.abs(apart).max() <= 1
    lengths = xsim.path_lengths(xsim.load_scene("phantom:chicken-fillet"), backend="cpu")
    greatest = {name: float(length.max()) for name, length in lengths.items()}
    assert 15 < greatest["muscle"] < 40 and greatest["fat"] > 2
    assert 0.75 < greatest[xsim.material.resolve("steel").name] <= 0.8 + 1e-4
    assert greatest["Bone, Compact (ICRU)"] > 0.8
