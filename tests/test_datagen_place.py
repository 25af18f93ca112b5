"""Stores in folders and object stores: the same calls, the same bytes, the same errors."""

import copy
import os
import resource
import subprocess
import sys

import pytest
from loopback_s3 import BUCKET, loopback_s3
from test_datagen_store import hashes, made, small_corpus
from test_datagen_verify import everything

import datagen
import xsim
from datagen.cli import main
from datagen.commit import commit_key, read_commits
from datagen.corpus_file import load_corpus
from datagen.place import FolderPlace, open_place
from datagen.store import create_store
from datagen.verification import verify

__all__ = ["made"]  # the fixture, used below by its name


def committed(where):
    return [record["shard"] for record in read_commits(where)]


@pytest.fixture
def s3(monkeypatch):
    with loopback_s3() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture(params=["folder", "file", "memory", "s3"])
def where(request, tmp_path):
    """A place of each kind, nothing there yet."""
    if request.param == "s3":
        request.getfixturevalue("s3")
        return f"s3://{BUCKET}/data/out.zarr"
    kinds = {"folder": tmp_path / "out.zarr", "file": f"file://{tmp_path}/out.zarr", "memory": f"memory://{tmp_path}"}
    return kinds[request.param]


def test_a_place_keeps_whole_files(where):
    place = open_place(where)
    assert list(place.files()) == [] and place.children() == [] and not place.exists("a/b")
    for ask in (place.read, place.size, place.sha256):
        with pytest.raises(FileNotFoundError):
            ask("a/b")
    place.write("a/b", b"old")
    place.write("a/b", b"newer")
    place.write("a/c/d", memoryview(b"" * 3))
    place.write("e", bytes(range(256)) * 1000)
    assert sorted(place.files()) == ["a/b", "a/c/d", "e"] and sorted(place.files("a")) == ["a/b", "a/c/d"]
    assert place.children() == ["a", "e"] and place.children("a") == ["b", "c"] and place.children("none") == []
    assert place.read("a/b") == b"newer" and place.size("a/b") == 5 and place.size("a/c/d") == 0
    assert place.read("e") == bytes(range(256)) * 1000 == b"".join(place.pieces("e"))
    assert not place.exists("a") and place.exists("a/b")
    assert not place.create("a/b", b"other") and place.read("a/b") == b"newer"
    assert place.create("a/f", b"mine") and place.read("a/f") == b"mine"
    place.delete("a/b")
    place.delete("a/b")
    assert not place.exists("a/b")
    assert copy.deepcopy(place).read("a/f") == b"mine"


def test_a_corpus_is_the_same_bytes_in_every_place(where, made):
    """Made, resumed, verified, read and sent; every file is that of the folder."""
    corpus, out = made
    assert datagen.generate(corpus, where, progress=False).written == 3
    place = open_place(where)
    assert {name: place.sha256(name) for name in place.files()} == hashes(out)
    assert everything(where)[1:] == everything(out)[1:]
    place.delete(commit_key(1))
    assert datagen.open_corpus(where).samples == 7
    again = datagen.generate(corpus, where, progress=False)
    assert (again.written, again.kept) == (1, 2)
    assert verify(where, progress=False).intact
    reader = copy.deepcopy(datagen.open_corpus(where))
    assert str(where) == str(reader.path) and reader.subset()[2]["index"] == 2
    with pytest.raises(xsim.CorpusError, match="holds another corpus"):
        datagen.generate(small_corpus(FolderPlace(out).root.parent, ("seed = 20", "seed = 9"), name="c.toml"), where)


def test_two_jobs_that_make_a_store_at_once(where, made):
    """Each sees nothing there, and makes it: the second leaves what the first has made."""
    corpus = load_corpus(made[0])
    create_store(corpus, where)
    datagen.write_shard(corpus, where, 0)
    place = open_place(where)
    before = {name: place.sha256(name) for name in place.files()}
    create_store(corpus, where)
    assert {name: place.sha256(name) for name in place.files()} == before


def test_damage_in_every_place(where, made):
    corpus, _ = made
    datagen.generate(corpus, where, progress=False)
    place = open_place(where)
    before = {name: place.sha256(name) for name in place.files()}
    name = next(each for each in before if "noisy/c/1" in each)
    content = bytearray(place.read(name))
    content[len(content) // 2] ^= 4
    place.write(name, bytes(content))
    with pytest.raises(xsim.CorpusError, match=r"shard 1 of .* is damaged"):
        everything(where)
    place.delete("zarr.json")
    with pytest.raises(xsim.CorpusError, match="mend it with: datagen verify"):
        datagen.open_corpus(where)
    found = verify(where, progress=False)
    assert list(found.damaged) == [1] and found.descriptions == {"zarr.json": True}
    assert committed(where) == [0, 2]
    assert datagen.generate(corpus, where, progress=False).written == 1
    assert {name: place.sha256(name) for name in place.files()} == before


def test_two_processes_on_an_object_store(s3, made, tmp_path):
    """The command, with workers of its own, and each command that reads."""
    corpus, out = made
    url = f"s3://{BUCKET}/deep/er/two.zarr"
    command = [sys.executable, "-m", "datagen.cli", "generate", str(corpus), url, "--workers", "2", "--quiet"]
    assert subprocess.run(command, check=False, env={**os.environ, **s3.environment}).returncode == 0
    place = open_place(url)
    assert {name: place.sha256(name) for name in place.files()} == hashes(out)
    assert main(["info", url]) == 0 and main(["verify", url, "--quiet"]) == 0
    assert main(["merge", str(tmp_path / "here.zarr"), url, "--quiet"]) == 0
    assert hashes(tmp_path / "here.zarr") == hashes(out)


def test_the_root_comes_last_and_half_a_store_is_made_again(s3, made):
    corpus, out = made
    url = f"s3://{BUCKET}/out.zarr"
    open_place(url).write("commits/zarr.json", b"half")
    with pytest.raises(xsim.CorpusError, match="is not a corpus"):
        datagen.open_corpus(url)
    assert datagen.generate(corpus, url, progress=False).written == 3
    keys = sorted(s3.objects, key=lambda key: s3.objects[key][1])
    described = [key for key in keys if key.endswith("zarr.json") and "/0000" not in key]
    assert described[-1] == "out.zarr/zarr.json"
    assert {f"out.zarr/{name}" for name in hashes(out)} == set(keys)
    open_place(f"s3://{BUCKET}/theirs").write("thesis.txt", b"mine")
    with pytest.raises(xsim.CorpusError, match="holds something else"):
        datagen.generate(corpus, f"s3://{BUCKET}/theirs", progress=False)


def test_an_object_store_that_takes_nothing_more(s3, made):
    corpus, _ = made
    url = f"s3://{BUCKET}/out.zarr"
    datagen.generate(corpus, url, progress=False)
    open_place(url).delete(commit_key(1))
    s3.refuse = True
    with pytest.raises(xsim.OutputError, match="cannot write") as caught:
        datagen.generate(corpus, url, progress=False)
    assert "\n" not in str(caught.value)
    with pytest.raises(xsim.OutputError, match="cannot write"):
        datagen.generate(corpus, f"s3://{BUCKET}/new.zarr", progress=False)
    with pytest.raises(xsim.OutputError, match="cannot write shard 1"):
        datagen.write_shard(corpus, url, 1)
    s3.refuse = False
    assert committed(url) == [0, 2]
    assert datagen.generate(corpus, url, progress=False).written == 1 and verify(url, progress=False).intact


@pytest.mark.parametrize("url", ["nonsense://x/y", "s3://", "az://container/x"])
def test_a_wrong_url_is_one_line(url, capsys, monkeypatch):
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    assert main(["verify", url]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "cannot be opened" in said


def test_without_obstore_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.delitem(sys.modules, "datagen.object_place", raising=False)
    with pytest.raises(xsim.CorpusError, match=r"obstore is not installed .*pip install 'xsim\[store\]'"):
        datagen.open_corpus("s3://bucket/out.zarr")


def test_a_disk_that_is_full_leaves_nothing_half_committed(made, tmp_path):
    """Files may not grow beyond some bytes, for every limit that some file of a shard exceeds."""
    corpus, out = made
    target = tmp_path / "out.zarr"
    datagen.generate(corpus, target, progress=False)
    whole = hashes(target)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    sizes = sorted({(out / name).stat().st_size for name in whole if "/c/1/" in name or "000001" in name})
    for limit in [size - 1 for size in sizes]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(xsim.OutputError, match=r"cannot write shard 1 .*File too large.*make room"):
                datagen.write_shard(corpus, target, 1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert committed(target) == [0, 2] and verify(target, progress=False).intact
        assert not list(target.rglob("*.partial")) and not list(target.rglob("c/1/0/0"))
    assert datagen.generate(corpus, target, progress=False).written == 1 and hashes(target) == whole


def test_a_web_server_is_read_only(s3, made):
    corpus, out = made
    datagen.generate(corpus, f"s3://{BUCKET}/out.zarr", progress=False)
    open_place(f"s3://{BUCKET}/out.zarr").delete(commit_key(1))
    url = f"{s3.environment['AWS_ENDPOINT']}/{BUCKET}/out.zarr"
    reader = datagen.open_corpus(url)
    assert (
        reader.samples == 7
        and reader.subset()[2]["noisy"].tobytes() == datagen.open_corpus(out).subset()[2]["noisy"].tobytes()
    )
    assert verify(url, keep=True, progress=False).intact
    with pytest.raises(xsim.OutputError, match=r"cannot write .*read only"):
        datagen.generate(corpus, url, progress=False)
    with pytest.raises(xsim.CorpusError, match="nothing is there"):
        datagen.open_corpus(url + "/none")
    assert committed(f"s3://{BUCKET}/out.zarr") == [0, 2]
