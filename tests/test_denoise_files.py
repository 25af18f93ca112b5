"""Files in and out: every format keeps its 16 bits, gives what the array gives, and appears whole or not at all."""

from __future__ import annotations

import io
import subprocess
import sys
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
import tifffile
import zarr
from pydicom.dataset import Dataset, FileMetaDataset

import xsim
from xsim import ModelError, OutputError

torch = pytest.importorskip("torch")

import denoise  # noqa: E402
from denoise.checkpoint import write_checkpoint  # noqa: E402
from denoise.cli import main  # noqa: E402
from denoise.formats import RawLayout, open_frames  # noqa: E402
from denoise.networks import make_network  # noqa: E402

A, B = 0.3, -74.0
TOLD = {"a_pixel_adu": A, "b_adu2": B, "state": "raw"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of random weights: files are what is tested."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    options = {"inputs": 1, "outputs": 1, "level_free": True, "features": 4, "widest": 8}
    configuration = {
        "method": "noise_cnn", "network": "unet", "network_options": options,
        "settings": {"domain": "vst", "anchor_px": 8}, "states": ["raw"], "corpus": {}, "versions": {},
        "conditions": {"level": [1.0, 1000.0], "voltage_kv": [60.0, 120.0]},
    }  # fmt: skip
    write_checkpoint(path, make_network("unet", **options).state_dict(), configuration)
    return path


def image(pages: int = 0, rows: int = 45, columns: int = 38) -> np.ndarray:
    shape = (pages, rows, columns) if pages else (rows, columns)
    return np.random.default_rng(pages + rows).normal(900, 20, shape).astype(np.uint16)


def expected(model: Path, pixels: np.ndarray, a: object = A, b: object = B) -> np.ndarray:
    """What the restorer makes of the array, rounded."""
    loaded = denoise.load(model)
    stack = pixels if pixels.ndim == 3 else pixels[None]
    found = np.stack([loaded(page.astype(np.float32), a, b) for page in stack])
    return np.rint(found).astype(np.uint16).reshape(pixels.shape)


def dicom(path: Path, pixels: np.ndarray, **tags: object) -> Path:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    made.PatientName, made.SeriesInstanceUID, made.ImageType = "Casting 7", "1.2.3", ["ORIGINAL", "PRIMARY", "VIEW"]
    made.Rows, made.Columns = pixels.shape[-2:]
    if pixels.ndim == 3:
        made.NumberOfFrames = len(pixels)
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit, made.PixelRepresentation = 15, 0
    made.PixelData = pixels.tobytes()
    for name, value in tags.items():
        setattr(made, name, value)
    made.save_as(path, enforce_file_format=True)
    return path


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
    assert list((tmp_path / "none").iterdir()) == []


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


def test_bad_files_are_one_line_and_leave_nothing(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    good = image()
    nan = good.astype(np.float32)
    nan[3, 4] = np.nan
    tifffile.imwrite(folder / "good.tif", good)
    tifffile.imwrite(folder / "8bit.tif", good.astype(np.uint8))
    tifffile.imwrite(folder / "nan.tif", nan)
    tifffile.imwrite(folder / "colour.tif", np.zeros((8, 8, 3), np.uint16), photometric="rgb")
    tifffile.imwrite(folder / "double.tif", good.astype(np.float64))
    whole = (folder / "good.tif").read_bytes()
    (folder / "cut.tif").write_bytes(whole[:-2000])
    tifffile.imwrite(folder / "zlib.tif", good, compression="zlib")
    packed = bytearray((folder / "zlib.tif").read_bytes())
    packed[len(packed) // 2 : len(packed) // 2 + 40] = b"x" * 40
    (folder / "altered.tif").write_bytes(packed)
    (folder / "in.raw").write_bytes(good.tobytes())
    dicom(folder / "8bit.dcm", good.astype(np.uint8), BitsAllocated=8, BitsStored=8, HighBit=7)
    (folder / "cut.dcm").write_bytes(dicom(folder / "good.dcm", good).read_bytes()[:-500])
    np.save(folder / "three.npy", np.ones((3, 38)))
    np.save(folder / "narrow.npy", np.ones((2, 37)))
    np.save(folder / "object.npy", np.array([{}]), allow_pickle=True)
    told = ("--a", A, "--b", B, "--state", "raw")
    cases = [
        (("8bit.tif", *told), "8-bit image"),
        (("nan.tif", *told), "no numbers"),
        (("colour.tif", *told), "in colour"),
        (("double.tif", *told), "no 16-bit grey image (float64"),
        (("cut.tif", *told), "not read"),
        (("altered.tif", *told), "not read"),
        (("8bit.dcm", *told), "8-bit image"),
        (("cut.dcm", *told), "not read"),
        (("in.raw", *told), "give --shape"),
        (("in.raw", "--shape", "45,39", *told), "has 3420 bytes"),
        (("in.raw", "--shape", "45,x", *told), "not understood"),
        (("in.raw", "--shape", "45", *told), "rows, columns"),
        (("in.raw", "--shape", "45,38", "--dtype", "uint17", *told), "dtype 'uint17' is unknown"),
        (("in.raw", "--shape", "45,38", "--header-bytes", "-1", *told), "must not be negative"),
        (("good.tif", "--noise", folder / "three.npy", "--state", "raw"), "a, then b"),
        (("good.tif", "--noise", folder / "narrow.npy", "--state", "raw"), "45 x 38 pixels"),
        (("good.tif", "--noise", folder / "object.npy", "--state", "raw"), "not read"),
        (("good.tif", "--noise", folder / "absent.npy", "--state", "raw"), "not read"),
        (("good.tif", "--noise", folder / "three.npy", *told), "told twice"),
        (("good.tif", "--a", A, "--state", "raw"), "needs both"),
        (("good.tif", "--a", -1, "--b", B, "--state", "raw"), "a must be above 0"),
        (("good.tif", "--state", "raw"), "give --a and --b"),
        (("good.tif", "--a", A, "--b", B), "give --state"),
        (("good.tif", "--a", A, "--b", B, "--state", "flat_field_corrected"), "is not what"),
        (("good.tif", "--stream", *told), "give - --stream -o -"),
    ]
    out = tmp_path / "out.tif"
    for (name, *options), message in cases:
        code = main([str(each) for each in ("apply", model, folder / name, "-o", out, *options)])
        text = capsys.readouterr().err
        assert code == 2 and message in text and text.count("\n") == 1, (name, text)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_outside_the_training_is_a_warning(model: Path, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "in.tif", image())
    with pytest.warns(UserWarning, match="largest pixel values"):
        denoise.apply(model, tmp_path / "in.tif", tmp_path / "o.tif", a_pixel_adu=A / 1e6, b_adu2=1e-3, state="raw")
    source = dicom(tmp_path / "in.dcm", image(), KVP=250)
    with pytest.warns(UserWarning, match="tube voltage in kV: 250"):
        denoise.apply(model, source, tmp_path / "o.dcm", **TOLD)


@pytest.mark.parametrize("name", ["out.tif", "out.raw", "out.zarr", "out.dcm"])
def test_stopped_halfway_leaves_what_was_there(
    model: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = dicom(tmp_path / "in.dcm", image(3))
    out = denoise.apply(model, source, tmp_path / name, **TOLD)
    before = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(OutputError, match="is there already"):
        denoise.apply(model, source, out, **TOLD)
    from denoise.formats import dicom_file

    read, pages = dicom_file.pixels, []

    def stopped(path: Path, page: int) -> np.ndarray:
        pages.append(page)
        if len(pages) > 1:
            raise KeyboardInterrupt
        return read(path, page)

    monkeypatch.setattr(dicom_file, "pixels", stopped)
    with pytest.raises(KeyboardInterrupt):
        denoise.apply(model, source, out, overwrite=True, **{**TOLD, "a_pixel_adu": 2 * A})
    assert {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    monkeypatch.undo()
    denoise.apply(model, source, out, overwrite=True, **TOLD)


def test_a_folder_is_not_replaced_by_an_array(model: Path, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "in.tif", image())
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr" / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="cannot be replaced"):
        denoise.apply(model, tmp_path / "in.tif", tmp_path / "mine.zarr", overwrite=True, **TOLD)
    assert (tmp_path / "mine.zarr" / "thesis.txt").exists()


@pytest.mark.parametrize("ending", ["tif", pytest.param("zarr", marks=pytest.mark.slow)])
def test_memory_is_that_of_some_rows(model: Path, tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The peak of what NumPy holds does not grow with the rows."""

    def peak(rows: int) -> int:
        source = tmp_path / f"{rows}.raw"
        np.memmap(source, np.uint16, "w+", shape=(rows, 256))[:] = 900
        tracemalloc.start()
        try:
            denoise.apply(model, source, tmp_path / f"{rows}.{ending}", layout=RawLayout((rows, 256)),
                          overwrite=True, **TOLD)  # fmt: skip
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    monkeypatch.setattr("denoise.image_files.LOOKED_AT_PX", 1 << 14)
    monkeypatch.setattr("os.cpu_count", lambda: 1)  # one window at a time
    peak(300)  # imports
    few, many = peak(800), peak(1600)
    assert many < few + (1 << 17), (few, many)  # the image is 0.4 MB longer, in float32 0.8


def test_a_damaged_read_within_a_page_names_the_file(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "in.tif", image())
    with open_frames(tmp_path / "in.tif") as frames:
        assert frames.shape == (1, 45, 38) and frames.rows(0, 3, 5).shape == (2, 38)
        np.testing.assert_array_equal(frames.rows(0, 3, 5), image()[3:5])


def test_lines_through_a_pipe(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes in, bytes out, those of the file; and out before the last is in."""
    pixels = image(0, 560, 130)
    code = "import sys; from denoise.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "apply", model, "-", "--stream", "--shape", "130", "--dtype", ">u2"]
    told = ["--a", A, "--b", B, "--state", "raw", "-o", "-", "--header-bytes", "5"]
    content = b"HEAD." + pixels.astype(">u2").tobytes()
    done = subprocess.run([str(each) for each in command + told], input=content, capture_output=True, check=True)
    assert done.stdout[:5] == b"HEAD." and done.stderr == b""
    found = np.frombuffer(done.stdout[5:], ">u2").reshape(pixels.shape)
    np.testing.assert_array_equal(found, expected(model, pixels))


def test_lines_come_out_before_the_last_is_in(model: Path) -> None:
    from denoise.frame_noise import Told
    from denoise.line_pipe import LineFormat, pipe

    restorer, pixels = denoise.load(model), image(0, 1300, 130)
    out, written = io.BytesIO(), []

    class Source(io.BytesIO):
        def read1(self, size: int = -1) -> bytes:
            written.append(out.tell())
            return super().read1(min(size, 999))

    pipe(restorer, Told.of(A, B, state="raw"), LineFormat(130), Source(pixels.tobytes()), out, 64)
    assert written[len(written) // 2] > 0.3 * out.tell() and out.getvalue() == expected(model, pixels).tobytes()
    with pytest.raises(ModelError, match="ended within a line"):
        pipe(restorer, Told.of(A, B, state="raw"), LineFormat(130), io.BytesIO(b"abc"), io.BytesIO(), 64)
    with pytest.raises(ModelError, match="give both"):
        pipe(restorer, Told.of(A, B), LineFormat(130), io.BytesIO(b""), io.BytesIO(), 64)
