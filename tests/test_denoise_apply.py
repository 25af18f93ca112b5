"""Restoring files: what is refused, stopped or too large, and lines through a pipe."""

from __future__ import annotations

import io
import json
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile

from xsim import ModelError, OutputError

torch = pytest.importorskip("torch")

from restored_files import TOLD, A, B, dicom, expected, image, random_model  # noqa: E402, F401

import denoise  # noqa: E402
from denoise.cli import main  # noqa: E402
from denoise.formats import RawLayout, open_frames  # noqa: E402


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
    named = json.dumps({"a_pixel_adu": str(folder / "three.npy"), "b_adu2": 1.0, "state": "raw"})
    tifffile.imwrite(folder / "names.tif", good, description=named, metadata=None)
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
        (("names.tif",), "tells no numbers"),
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
    command = ["apply", model, "-", "--stream", "--shape", "130", "--dtype", ">u2"]
    told = ["--a", A, "--b", B, "--state", "raw", "-o", "-", "--header-bytes", "5"]
    given, made, said = (io.TextIOWrapper(io.BytesIO()) for _ in range(3))
    given.buffer.write(b"HEAD." + pixels.astype(">u2").tobytes())
    given.buffer.seek(0)
    for name, stream in (("stdin", given), ("stdout", made), ("stderr", said)):
        monkeypatch.setattr(sys, name, stream)
    assert main([str(each) for each in command + told]) == 0
    monkeypatch.undo()
    written, errors = (each.detach().getvalue() for each in (made, said))
    assert written[:5] == b"HEAD." and errors == b""
    found = np.frombuffer(written[5:], ">u2").reshape(pixels.shape)
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
    with pytest.raises(ModelError, match="within the header"):
        pipe(restorer, Told.of(A, B, state="raw"), LineFormat(130, header_bytes=4), io.BytesIO(b"abc"), out, 64)
    with pytest.raises(ModelError, match="give both"):
        pipe(restorer, Told.of(A, B), LineFormat(130), io.BytesIO(b""), io.BytesIO(), 64)
