"""Generating: the same bytes from any number of processes, resuming, and damage that is never read in silence."""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import zarr
from test_datagen_store import FORMAT, hashes, made, small_corpus

import datagen
import xsim
from datagen.commit import commit_path, read_commits

__all__ = ["made"]  # the fixture, used below by its name


@pytest.fixture
def copied(made, tmp_path):
    corpus, out = made
    return corpus, Path(shutil.copytree(out, tmp_path / "copy.zarr"))


def test_same_bytes_from_one_and_two_processes(made, tmp_path):
    """Every file, commit records and descriptions included."""
    corpus, out = made
    datagen.generate(corpus, tmp_path / "two.zarr", workers=2, progress=False)
    assert hashes(tmp_path / "two.zarr") == hashes(out)


def test_a_shard_is_a_pure_function(copied):
    corpus, out = copied
    before = hashes(out)
    for number in (2, 0, 1):
        datagen.write_shard(corpus, out, number)
    assert hashes(out) == before


def test_again_is_complete_and_touches_nothing(copied):
    corpus, out = copied
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    summary = datagen.generate(corpus, out, progress=False)
    assert (summary.written, summary.kept) == (0, 3)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before


def test_resume_completes_to_the_same_bytes(copied):
    """One shard lost with its record, one with its record only, leavings of an interrupted write beside."""
    corpus, out = copied
    before = hashes(out)
    shutil.rmtree(commit_path(out, 1).parent)
    (out / FORMAT / "noisy/c/1/0/0").unlink()
    (out / FORMAT / "noisy/c/1/0/0.0123abcd.partial").write_bytes(b"torn")
    commit_path(out, 2).unlink()
    reader = datagen.open_corpus(out)
    assert not reader.complete and reader.samples == 4
    assert [each["index"] for each in reader.subset()] == [0, 1, 2, 3]
    summary = datagen.generate(corpus, out, progress=False)
    assert (summary.written, summary.kept, summary.mended) == (2, 1, 0)
    assert hashes(out) == before


HARM = {
    "missing": lambda path: path.unlink(),
    "emptied": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-7]),
    "flipped": lambda path: path.write_bytes(flipped(path.read_bytes())),
}


def flipped(content):
    middle = len(content) // 3
    return content[:middle] + bytes([content[middle] ^ 16]) + content[middle + 1 :]


@pytest.mark.parametrize("harm", HARM)
@pytest.mark.parametrize("name", ["noisy/c/1/0/0", "clean/c/1/0/0", "labels/c/1/0/0", "valid/c/1/0/0", "params/c/1/0"])
def test_damage_is_an_error_never_data(copied, harm, name):
    corpus, out = copied
    before = hashes(out)
    HARM[harm](out / FORMAT / name)
    with pytest.raises(xsim.CorpusError, match=r"shard 1 of .* is damaged") as caught:
        list(datagen.open_corpus(out).subset())
    assert "\n" not in str(caught.value)
    if harm != "flipped":  # a changed size is seen without reading; a flipped bit needs the checksums
        assert datagen.generate(corpus, out, progress=False).mended == 1
        assert hashes(out) == before


@pytest.mark.parametrize("name", [f"{FORMAT}/clean/zarr.json", "commits/000001/zarr.json"])
def test_damaged_descriptions_are_an_error(copied, name):
    _, out = copied
    text = (out / name).read_text()
    (out / name).write_text(re.sub(r'("samples": ?)4', r"\g<1>3", text.replace('"float32"', '"float16"')))
    assert (out / name).read_text() != text
    with pytest.raises(xsim.CorpusError, match=r"damaged|not as it was written"):
        list(datagen.open_corpus(out).subset())


def test_a_path_that_holds_something_else(tmp_path, made):
    corpus = small_corpus(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    file = tmp_path / "file"
    file.write_text("mine")
    foreign = tmp_path / "foreign.zarr"
    zarr.create_group(foreign, zarr_format=3)
    for place in (other, file, foreign):
        before = hashes(place) if place.is_dir() else place.read_text()
        with pytest.raises(xsim.CorpusError, match="holds something else"):
            datagen.generate(corpus, place, progress=False)
        assert (hashes(place) if place.is_dir() else place.read_text()) == before
    with pytest.raises(xsim.CorpusError, match="holds another corpus"):
        datagen.generate(small_corpus(tmp_path, ("seed = 20", "seed = 21"), name="b.toml"), made[1], progress=False)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert datagen.generate(corpus, empty, progress=False).written == 3


def test_a_place_that_cannot_be_written(tmp_path):
    corpus = small_corpus(tmp_path)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(xsim.OutputError, match="cannot write to"):
        datagen.generate(corpus, tmp_path / "file" / "out.zarr", progress=False)


def test_one_job_at_a_time(copied):
    corpus, out = copied
    commit_path(out, 1).unlink()
    handle = os.open(out / ".lock", os.O_RDWR | os.O_CREAT)
    try:
        os.write(handle, b"process 12345 on elsewhere")
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(xsim.CorpusError, match="being written by process 12345 on elsewhere"):
            datagen.generate(corpus, out, progress=False)
    finally:
        os.close(handle)
    # what a killed job leaves behind is no lock
    assert datagen.generate(corpus, out, progress=False).written == 1
    assert not (out / ".lock").exists()


def test_other_makers_shards_are_not_mixed_in_silence(copied, monkeypatch):
    corpus, out = copied
    commit_path(out, 1).unlink()
    import datagen.driver

    monkeypatch.setattr(datagen.driver, "versions", lambda: {"xsim": "9.9"})
    with pytest.raises(xsim.CorpusError, match=r"xsim .* \(this is 9.9\)"):
        datagen.generate(corpus, out, progress=False)
    assert datagen.generate(corpus, out, progress=False, mix=True).written == 1


def test_sigterm_ends_the_job_in_order(tmp_path, made):
    corpus, out = small_corpus(tmp_path, ("scenes = 11", "scenes = 4000")), tmp_path / "out.zarr"
    command = [sys.executable, "-m", "datagen.cli", "generate", str(corpus), str(out), "--workers", "2"]
    job = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not commit_path(out, 0).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    job.send_signal(signal.SIGTERM)
    _, said = job.communicate(timeout=30)
    assert job.returncode == 130 and "finished shards are kept" in said.splitlines()[-1]
    done = list(read_commits(out))
    assert 0 < len(done) < 1000
    first = datagen.open_corpus(out).subset()
    reference = datagen.open_corpus(made[1]).subset()
    assert np.array_equal(first[0]["noisy"], reference[0]["noisy"])
    assert not (out / ".lock").exists()
