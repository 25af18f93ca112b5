"""Files in and out: every format keeps its 16 bits and gives what the array gives."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
import tifffile
import zarr

import xsim
from xsim import ModelError

torch = pytest.importorskip("torch")

from restored_files import TOLD, A, B, dicom, expected, image, random_model  # noqa: E402, F401
from tiny_corpus import tiny_corpus  # noqa: E402

import denoise  # noqa: E402
from denoise.formats import RawLayout  # noqa: E402

TIFFS = {
    "plain": {},
    "big-endian": {"byteorder": ">"},
    "tiled": {"tile": (16, 16)},
    "compressed": {"compression": "zlib", "rowsperstrip": 7},
    "big-endian compressed tiles": {"byteorder": ">", "compression": "zlib", "tile": (32, 16), "predictor": True},
    "64-bit offsets": {"bigtiff": True},
    "ImageJ": {"imagej": True},
}


@pytest.mark.parametrize("pages", [0, 3])
@pytest.mark.parametrize("kind", TIFFS)
def test_any_tiff_keeps_its_16_bits(model: Path, tmp_path: Path, kind: str, pages: int) -> None:
    pixels = image(pages)
    tifffile.imwrite(tmp_path / "in.tif", pixels, photometric="minisblack", resolution=(50, 40), **TIFFS[kind])
    out = denoise.apply(model, tmp_path / "in.tif", tmp_path / "out.tif", **TOLD)
    with tifffile.TiffFile(out) as tiff:
        found = tiff.asarray()
        assert len(tiff.pages) == max(pages, 1) and tiff.pages.first.tags["XResolution"].value == (50, 1)
    assert found.dtype == np.uint16 and found.shape == pixels.shape
    np.testing.assert_array_equal(found, expected(model, pixels))
    assert xsim.read_tiff(out)[1]["restored_by"]["sha256"] == denoise.load(model).sha256


@pytest.mark.parametrize("shown", ["minisblack", "miniswhite"])
def test_what_is_shown_white_stays_so(model: Path, tmp_path: Path, shown: str) -> None:
    tifffile.imwrite(tmp_path / "in.tif", image(), photometric=shown)
    with tifffile.TiffFile(denoise.apply(model, tmp_path / "in.tif", tmp_path / "out.tif", **TOLD)) as tiff:
        assert tiff.pages.first.photometric.name.lower() == shown
        np.testing.assert_array_equal(tiff.asarray(), expected(model, image()))


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("pages", [0, 2])
def test_raw_keeps_header_and_byte_order(model: Path, tmp_path: Path, order: str, pages: int) -> None:
    pixels, header = image(pages), b"HEADER of 19 bytes."
    stored = np.dtype(np.uint16).newbyteorder("<" if order == "little" else ">")
    (tmp_path / "in.raw").write_bytes(header + pixels.astype(stored).tobytes())
    layout = RawLayout((45, 38, *([pages] if pages else [])), header_bytes=19, byte_order=order)
    out = denoise.apply(model, tmp_path / "in.raw", tmp_path / "out.raw", layout=layout, **TOLD)
    content = out.read_bytes()
    assert content[:19] == header
    found = np.frombuffer(content[19:], stored).reshape(pixels.shape)
    np.testing.assert_array_equal(found, expected(model, pixels))


@pytest.mark.parametrize("pages", [0, 2])
def test_dicom_keeps_its_header_and_says_what_it_is(model: Path, tmp_path: Path, pages: int) -> None:
    pixels = image(pages)
    source = dicom(tmp_path / "in.dcm", pixels, KVP=90, LargestImagePixelValue=1)
    found = pydicom.dcmread(denoise.apply(model, source, tmp_path / "out.dcm", **TOLD))
    np.testing.assert_array_equal(found.pixel_array, expected(model, pixels))
    assert found.PatientName == "Casting 7" and found.SeriesInstanceUID == "1.2.3" and found.BitsStored == 16
    assert found.SOPInstanceUID != "1.2.3.4" and found.SOPInstanceUID == found.file_meta.MediaStorageSOPInstanceUID
    assert found.SourceImageSequence[0].ReferencedSOPInstanceUID == "1.2.3.4"
    assert found.ImageType == ["DERIVED", "PRIMARY", "VIEW"] and "noise_cnn" in found.DerivationDescription
    assert "LargestImagePixelValue" not in found


@pytest.mark.parametrize("syntax", ["ImplicitVRLittleEndian", "ExplicitVRBigEndian", "RLELossless"])
def test_dicom_of_other_transfer_syntaxes(model: Path, tmp_path: Path, syntax: str) -> None:
    pixels = image()
    made = pydicom.dcmread(dicom(tmp_path / "plain.dcm", pixels))
    uid = getattr(pydicom.uid, syntax)
    if syntax == "RLELossless":
        made.compress(uid)
    else:
        made.PixelData = pixels.astype("<u2" if uid.is_little_endian else ">u2").tobytes()
        made.file_meta.TransferSyntaxUID = uid
    pydicom.dcmwrite(tmp_path / "in.dcm", made, enforce_file_format=True)
    found = pydicom.dcmread(denoise.apply(model, tmp_path / "in.dcm", tmp_path / "out.dcm", **TOLD))
    np.testing.assert_array_equal(found.pixel_array, expected(model, pixels))
    assert found.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian and found.Rows == 45


def test_dicom_of_12_bits_stays_within_them_and_signed_ones_keep_their_sign(model: Path, tmp_path: Path) -> None:
    bright = dicom(tmp_path / "in.dcm", np.full((20, 20), 4095, np.uint16), BitsStored=12, HighBit=11)
    out = denoise.apply(model, bright, tmp_path / "out.dcm", a_pixel_adu=900.0, b_adu2=1e6, state="raw")
    found = pydicom.dcmread(out)
    assert found.pixel_array.max() == 4095 and found.BitsStored == 12
    signed = dicom(tmp_path / "signed.dcm", image().astype(np.int16) - 1000, PixelRepresentation=1)
    out = denoise.apply(model, signed, tmp_path / "out2.dcm", a_pixel_adu=A, b_adu2=B + 1000 * A, state="raw")
    assert pydicom.dcmread(out).pixel_array.mean() == pytest.approx(-100.5, abs=2)


@pytest.mark.parametrize("pages", [0, 3])
def test_zarr_in_and_out(model: Path, tmp_path: Path, pages: int) -> None:
    pixels = image(pages, rows=300)
    array = zarr.create_array(tmp_path / "in.zarr", data=pixels, chunks=(*[1] * bool(pages), 100, 20))
    array.attrs.update({"state": "raw", "a_pixel_adu": A, "b_adu2": B})
    out = denoise.apply(model, tmp_path / "in.zarr", tmp_path / "out.zarr")
    found = zarr.open_array(out, mode="r")
    assert found.metadata.zarr_format == 3 and found.dtype == np.uint16 and found.attrs["image"] == "restored"
    np.testing.assert_array_equal(found[:], expected(model, pixels))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.zarr", "out.zarr"]


def test_corpora_give_each_sample_its_own_noise(model: Path, tmp_path: Path) -> None:
    import datagen

    text = xsim.phantom_path("spheres-in-acrylic-corpus").read_text()
    for old, new in (("scenes = 320", "scenes = 3"), ("rows = 128", "rows = 24"), ("columns = 128", "columns = 20")):
        text = text.replace(old, new)
    (tmp_path / "c.toml").write_text(text)
    datagen.generate(tmp_path / "c.toml", tmp_path / "c.zarr", progress=False)
    view = datagen.open_corpus(tmp_path / "c.zarr").subset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k, name in enumerate(("c.zarr", f"c.zarr/{view.format}")):
            out = denoise.apply(model, tmp_path / name, tmp_path / f"out{k}.zarr")
            found = zarr.open_array(out, mode="r")
            for page, sample in enumerate(view):
                a, b = (sample["params"][key] for key in ("a_pixel_adu", "b_adu2"))
                np.testing.assert_array_equal(found[page], expected(model, sample["noisy"], a, b))
    with pytest.raises(ModelError, match="has no format 'none'"):
        denoise.apply(model, tmp_path / "c.zarr" / "none", tmp_path / "x.zarr")


def test_a_model_of_another_camera_gets_that_cameras_frames(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datagen
    import denoise.restorer
    from denoise.methods import METHODS

    pair = "[detector.pair]\nscintillator = { areal_density_mg_cm2 = 134.55 }\n"
    source = tiny_corpus(tmp_path, scenes=3, pixels=20)
    text = (
        source.read_text()
        .replace("[[body]]", pair + "[[body]]")
        .replace("energy_kev = { uniform = [60, 90] }", "voltage_kv = 140")
    )
    source.write_text(text)
    datagen.generate(source, tmp_path / "c.zarr", progress=False)
    method = dataclasses.replace(METHODS["noise_cnn"], source="noisy_pair")
    monkeypatch.setattr(denoise.restorer, "method_named", lambda name: method)
    with pytest.warns(UserWarning) as told:
        out = denoise.apply(model, tmp_path / "c.zarr", tmp_path / "out.zarr")
    found = zarr.open_array(out, mode="r")
    for page, sample in enumerate(datagen.open_corpus(tmp_path / "c.zarr").subset()):
        a, b = (sample["params"][key] for key in ("a_pixel_adu_pair", "b_adu2_pair"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            np.testing.assert_array_equal(found[page], expected(model, sample["noisy_pair"], a, b))
    assert any("voltage" in str(each.message) for each in told)  # of samples, which no array tells
    datagen.generate(tiny_corpus(tmp_path, scenes=2, pixels=20), tmp_path / "one.zarr", progress=False)
    with pytest.raises(ModelError, match="no noisy_pair images"):
        denoise.apply(model, tmp_path / "one.zarr", tmp_path / "x.zarr")


def test_folders_and_patterns_go_into_a_folder(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for k in range(3):
        tifffile.imwrite(folder / f"{k}.tif", image() + k)
    dicom(folder / "IM0001", image())
    (folder / "notes.txt").write_text("no image")
    assert denoise.apply(model, folder, tmp_path / "out", **TOLD) == tmp_path / "out"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.tif", "1.tif", "2.tif", "IM0001"]
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / "2.tif"), expected(model, image() + 2))
    denoise.apply(model, folder / "[01].tif", tmp_path / "some", **TOLD)
    assert sorted(path.name for path in (tmp_path / "some").iterdir()) == ["0.tif", "1.tif"]
    # one that cannot be restored, and none is
    tifffile.imwrite(folder / "8bit.tif", image().astype(np.uint8))
    with pytest.raises(ModelError, match="8-bit"):
        denoise.apply(model, folder, tmp_path / "none", **TOLD)
    assert not (tmp_path / "none").exists()


def test_formats_change_by_ending_and_float32_keeps_the_fraction(model: Path, tmp_path: Path) -> None:
    pixels = image(2)
    tifffile.imwrite(tmp_path / "in.tif", pixels, photometric="minisblack")
    exact = [denoise.load(model)(page.astype(np.float32), A, B) for page in pixels]
    denoise.apply(model, tmp_path / "in.tif", tmp_path / "out.raw", float32=True, **TOLD)
    np.testing.assert_array_equal(np.fromfile(tmp_path / "out.raw", "<f4").reshape(pixels.shape), exact)
    denoise.apply(model, tmp_path / "in.tif", tmp_path / "out.zarr", float32=True, **TOLD)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "out.zarr", mode="r")[:], exact)
    with pytest.raises(ModelError, match="no DICOM header"):
        denoise.apply(model, tmp_path / "in.tif", tmp_path / "out.dcm", **TOLD)
    with pytest.raises(ModelError, match="no known ending"):
        denoise.apply(model, tmp_path / "in.tif", tmp_path / "out.png", **TOLD)


@pytest.mark.parametrize("by", ["column", "pixel"])
def test_noise_from_files(model: Path, tmp_path: Path, by: str) -> None:
    pixels = image()
    a = np.broadcast_to(np.linspace(0.2, 0.4, 38), pixels.shape if by == "pixel" else (38,)).copy()
    b = np.full_like(a, B)
    tifffile.imwrite(tmp_path / "in.tif", pixels)
    np.save(tmp_path / "ab.npy", np.stack([a, b]))
    np.savez(tmp_path / "ab.npz", a_pixel_adu=a, b_adu2=b)
    np.save(tmp_path / "a.npy", a)
    tifffile.imwrite(tmp_path / "ab.tif", np.atleast_3d(np.stack([a, b])).reshape(2, *a.shape).astype(np.float32))
    told = [{"noise": tmp_path / name} for name in ("ab.npy", "ab.npz", "ab.tif")]
    told.append({"a_pixel_adu": str(tmp_path / "a.npy"), "b_adu2": "-74"})
    for k, noise in enumerate(told):
        out = denoise.apply(model, tmp_path / "in.tif", tmp_path / f"{k}.tif", state="raw", **noise)
        np.testing.assert_array_equal(tifffile.imread(out), expected(model, pixels, a, b))
        assert xsim.read_tiff(out)[1]["source_noise"]["varies_by"] == by


def test_noise_from_a_characterization(model: Path, tmp_path: Path) -> None:
    from xsim.characterize import Characteristics, write_characteristics

    found = Characteristics(
        offset_adu=100, read_noise_adu=2, gain_adu_per_quantum=1, a_pixel_adu=A, b_adu2=B, pixelwise_over_gain=0.3,
        response_sum_squares=0.3, linearity_percent=1, level_mean_adu=(1.0, 2.0), level_variance_adu2=(1.0, 2.0),
        level_frames=(2, 2), rows=4, columns=4, pixel_response=((1.0,),),
    )  # fmt: skip
    write_characteristics(tmp_path / "camera.toml", found)
    tifffile.imwrite(tmp_path / "in.tif", image())
    out = denoise.apply(model, tmp_path / "in.tif", tmp_path / "o.tif", noise=tmp_path / "camera.toml", state="raw")
    np.testing.assert_array_equal(tifffile.imread(out), expected(model, image()))
