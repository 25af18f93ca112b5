"""TIFF files keep pixels, scene and seed, and open in other programs' readers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

import xsim
from xsim.cli import main


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    assert main(["simulate", "phantom:spheres-in-acrylic", "-o", str(folder), "--seed", "7", "--frames", "2"]) == 0
    return folder


def test_files_hold_the_images_of_the_same_seed(out: Path) -> None:
    scene = xsim.load_scene("phantom:spheres-in-acrylic")
    noisy, metadata = xsim.read_tiff(out / "noisy.tif")
    assert noisy.dtype == np.uint16 and noisy.shape == (2, 512, 512)
    assert metadata["seed"] == 7 and metadata["scene"]["source"]["voltage_kv"] == 80.0
    for frame in range(2):
        image = xsim.simulate(scene, seed=7, frame=frame)
        assert (noisy[frame] == image.noisy).all()
    clean, noise = (xsim.read_tiff(out / f"{name}.tif")[0] for name in ("clean", "noise"))
    assert clean.dtype == np.float32
    assert (noisy == clean + noise).all()


def test_metadata_makes_the_scene_again(out: Path) -> None:
    _, metadata = xsim.read_tiff(out / "clean.tif")
    again = xsim.simulate(xsim.scene_from_dict(metadata["scene"]), seed=metadata["seed"])
    assert (again.clean == xsim.read_tiff(out / "clean.tif")[0]).all()


@pytest.mark.parametrize("name", ["noisy", "clean", "noise", "expected", "labels", "valid"])
def test_plain_tifffile_reads_them(out: Path, name: str) -> None:
    assert (tifffile.imread(out / f"{name}.tif") == xsim.read_tiff(out / f"{name}.tif")[0]).all()


def test_any_16_bit_tiff_is_read(tmp_path: Path) -> None:
    image = np.arange(12, dtype=np.uint16).reshape(3, 4)
    tifffile.imwrite(tmp_path / "big.tif", image, byteorder=">", description="not ours")
    read, metadata = xsim.read_tiff(tmp_path / "big.tif")
    assert (read == image).all() and metadata == {}
    (tmp_path / "none.tif").write_bytes(b"nothing")
    with pytest.raises(xsim.OutputError, match="not read"):
        xsim.read_tiff(tmp_path / "none.tif")


def test_a_tiff_that_is_cut_or_altered_is_said_in_one_line(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 65535, (64, 64)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "whole.tif", image, compression="zlib")
    whole = (tmp_path / "whole.tif").read_bytes()
    middle = len(whole) // 2
    for k, broken in enumerate((whole[:-600], whole[:6], whole[:middle] + 40 * b"x" + whole[middle + 40 :])):
        (tmp_path / f"{k}.tif").write_bytes(broken)
        with pytest.raises(xsim.OutputError, match="not read") as caught:
            xsim.read_tiff(tmp_path / f"{k}.tif")
        assert "\n" not in str(caught.value)
