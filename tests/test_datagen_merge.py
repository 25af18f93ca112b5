"""Merging: pieces become the store that one job would have made, and nothing else does."""

import json
import shutil
from pathlib import Path

import pytest
from test_datagen_store import FORMAT, hashes, made, small_corpus

import datagen
import xsim
from datagen.cli import main
from datagen.commit import SEAL, commit_path
from datagen.merging import merge
from datagen.seal import render, seal
from datagen.store import create_store
from datagen.verification import verify

__all__ = ["made"]  # the fixture, used below by its name


@pytest.fixture
def pieces(made, tmp_path):
    """The store of three shards in two pieces: 0 and 1, 1 and 2."""
    corpus, out = made
    first, second = (Path(shutil.copytree(out, tmp_path / name)) for name in ("first.zarr", "second.zarr"))
    for piece, number in ((first, 2), (second, 0)):
        shutil.rmtree(commit_path(piece, number).parent)
        for array in (piece / FORMAT).iterdir():
            shutil.rmtree(array / f"c/{number}", ignore_errors=True)
    return corpus, out, first, second


def refused(out, *sources, words):
    before = [hashes(each) for each in sources]
    with pytest.raises(xsim.CorpusError, match=words) as caught:
        merge(out, sources, progress=False)
    assert "\n" not in str(caught.value)
    assert [hashes(each) for each in sources] == before


@pytest.mark.parametrize("kind", ["{}", "file://{}"])
def test_pieces_become_the_whole(pieces, tmp_path, capsys, kind):
    _, out, first, second = pieces
    before = hashes(first), hashes(second)
    joined = tmp_path / "joined.zarr"
    assert main(["merge", kind.format(joined), kind.format(second), str(first), "--quiet"]) == 0
    assert "3 shards copied" in capsys.readouterr().out
    assert hashes(joined) == hashes(out) and (hashes(first), hashes(second)) == before
    assert main(["merge", str(joined), str(first), str(second), "--quiet"]) == 0
    assert "0 shards copied, 3 were there" in capsys.readouterr().out


def test_into_a_piece_and_what_is_missing(pieces, capsys):
    corpus, out, first, second = pieces
    whole = hashes(out)
    shutil.rmtree(commit_path(second, 2).parent)
    assert main(["merge", str(first), str(second), "--quiet"]) == 0
    said = capsys.readouterr().out
    assert "0 shards copied, 2 were there" in said and "1 of 3 shards are in none of them" in said
    assert datagen.generate(corpus, first, progress=False).written == 1
    assert hashes(first) == whole


def test_a_damaged_copy_gives_way_to_a_good_one(pieces, tmp_path):
    """Of shard 1 the first store's file is damaged, the second's not; of shard 2 there is one copy only."""
    _, out, first, second = pieces
    path = first / FORMAT / "clean/c/1/0/0"
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    joined = tmp_path / "joined.zarr"
    merge(joined, [first, second], progress=False)
    assert hashes(joined) == hashes(out)
    shutil.rmtree(joined)
    (second / FORMAT / "clean/c/2/0/0").write_bytes(b"")
    refused(joined, first, second, words=r"second.zarr is damaged .*clean/c/2.* verify")
    assert datagen.open_corpus(joined).samples == 8  # what went before is there, whole
    shutil.copy(out / FORMAT / "clean/c/2/0/0", second / FORMAT / "clean/c/2/0/0")
    assert merge(joined, [first, second], progress=False).kept == 2
    assert hashes(joined) == hashes(out)


def test_what_does_not_fit_is_refused_and_nothing_written(pieces, tmp_path, made):
    _, out, first, second = pieces
    joined = tmp_path / "joined.zarr"
    other = tmp_path / "other.zarr"
    datagen.generate(small_corpus(tmp_path, ("seed = 20", "seed = 21"), name="b.toml"), other, progress=False)
    refused(joined, first, other, words="different corpora")
    refused(other, first, words="different corpora")
    refused(first, second, first, words="the store to make and one to read")
    refused(joined, first, tmp_path / "none", words="not a corpus")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/thesis.txt").write_text("mine")
    refused(tmp_path / "thesis", first, words="holds something else")

    def rewritten(change):
        path = commit_path(second, 1)
        record = json.loads(commit_path(out, 1).read_text())["attributes"]
        change(record)
        path.write_bytes(render(seal(record, SEAL)))

    rewritten(lambda record: record["versions"].update(xsim="9.9"))
    refused(joined, first, second, words=r"xsim 9\.9.*--mix")
    rewritten(lambda record: record.update(backend="cuda"))
    refused(joined, first, second, words="backend cuda.*--mix")
    assert not joined.exists()
    merge(joined, [first, second], mix=True, progress=False)
    assert datagen.open_corpus(joined).complete
    shutil.rmtree(joined)
    rewritten(lambda record: record["files"][f"{FORMAT}/noisy/c/1/0/0"].update(sha256="0" * 64))
    refused(joined, first, second, words=r"shard 1 of .*second.zarr differs")
    assert not joined.exists()


def test_pieces_made_with_other_versions_of_packages(pieces, tmp_path, monkeypatch):
    """Each root tells its own versions; the records of the whole speak of the root that it has."""
    corpus, out, first, _ = pieces
    second = tmp_path / "other.zarr"
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("datagen.store.versions", lambda: {"xsim": xsim.__version__, "numpy": "2.99"})
        create_store(datagen.load_corpus(corpus), second)
    datagen.write_shard(corpus, second, 2)
    assert (first / "zarr.json").read_bytes() != (second / "zarr.json").read_bytes()
    joined = tmp_path / "joined.zarr"
    merge(joined, [first, second], progress=False)
    assert verify(joined, keep=True, progress=False).intact and hashes(joined) == hashes(out)


@pytest.mark.parametrize("command", ["verify", "merge"])
def test_help_has_an_example(capsys, command):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0 and f"example: datagen {command}" in capsys.readouterr().out


def test_a_damaged_copy_in_the_store_gives_way_too(pieces):
    """Its bytes are flipped, its size is right: only its contents tell, and the pieces may be removed after this."""
    _, out, first, second = pieces
    victim = first / FORMAT / "clean/c/1/0/0"
    harmed = bytearray(victim.read_bytes())
    harmed[100] ^= 4
    victim.write_bytes(harmed)
    done = merge(first, [second], progress=False)
    assert (done.copied, done.kept) == (2, 1) and hashes(first) == hashes(out)
