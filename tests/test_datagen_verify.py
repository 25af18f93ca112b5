"""Damage of a store: all of it found by `verify`, none of it read in silence."""

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from test_datagen_store import FORMAT, hashes, made, small_corpus

import datagen
import xsim
from datagen.cli import main
from datagen.commit import SEAL, commit_path, read_commits
from datagen.lock import locked
from datagen.seal import render, seal
from datagen.verification import verify

__all__ = ["made"]  # the fixture, used below by its name

CARDS = ("README.md", "croissant.json")  # their owner's to change: nothing reads them


@pytest.fixture
def copied(made, tmp_path):
    corpus, out = made
    return corpus, Path(shutil.copytree(out, tmp_path / "copy.zarr"))


def everything(out):
    """All that a reader gives of a store: every image, parameter and instance, as bytes and words."""
    corpus = datagen.open_corpus(out, cache_bytes=0)
    found = [corpus.name, corpus.sha256, corpus.samples, corpus.complete]
    for name in corpus.formats:
        view = corpus.subset(name)
        found += [view.shape, view.reader.columns, view.reader.params.tobytes()]
        for sample in view:
            found += [(key, sample[key].tobytes()) for key in sorted(view.images)]
            found += [repr(sample["params"]), sample["index"], repr(corpus.instances(sample["index"]))]
    return found


def everything_by_shards(out):
    """All samples the other way: whole files at a time, without zarr."""
    corpus = datagen.open_corpus(out)
    return [
        [(key, sample[key].tobytes()) for key in sorted(view.images)] + [repr(sample["params"])]
        for view in map(corpus.subset, corpus.formats)
        for sample in view.samples()
    ]


def is_read_right_or_refused(out, right):
    for way, wanted in zip((everything, everything_by_shards), right, strict=True):
        try:
            if way(out) != wanted:
                return False
        except Exception as error:
            if not isinstance(error, xsim.CorpusError) or "\n" in str(error):
                return False
    return True


def files_of(out):
    """Every file but the cards."""
    return sorted(path for path in out.rglob("*") if path.is_file() and path.name not in CARDS)


def flip(path, bit):
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def harm_one_after_the_other(out, count, seed):
    """Flip a bit `count` times, of any file in turn and of any byte in turn; each is put back after."""
    chance, right = random.Random(seed), (everything(out), everything_by_shards(out))
    files = files_of(out)
    sizes = [path.stat().st_size for path in files]
    missed, misread = [], []
    for turn in range(count):
        path = chance.choice(files) if turn % 2 else chance.choices(files, sizes)[0]
        bit = chance.randrange(8 * path.stat().st_size)
        flip(path, bit)
        if verify(out, keep=True, progress=False).intact:
            missed.append((path, bit))
        if not is_read_right_or_refused(out, right):
            misread.append((path, bit))
        flip(path, bit)
    assert verify(out, keep=True, progress=False).intact and is_read_right_or_refused(out, right)
    return missed, misread


def test_flipped_bits_are_found_and_never_read(copied):
    assert harm_one_after_the_other(copied[1], 50, 5) == ([], [])


@pytest.mark.slow
def test_200_flipped_bits_are_found_and_never_read(copied):
    assert harm_one_after_the_other(copied[1], 200, 6) == ([], [])


def test_flipped_bits_of_shard_indexes(copied):
    """The last bytes of a shard's file say where its chunks lie."""
    out = copied[1]
    right = everything(out), everything_by_shards(out)
    for path in sorted((out / FORMAT).glob("*/c/1/0/0")):
        for back in (3, 20, 60):
            flip(path, 8 * (path.stat().st_size - back))
            assert list(verify(out, keep=True, progress=False).damaged) == [1], path
            assert is_read_right_or_refused(out, right), path
            flip(path, 8 * (path.stat().st_size - back))


@pytest.mark.parametrize(
    "cut", [lambda content: b"", lambda content: content[:-1], lambda content: content[: len(content) // 2]]
)
def test_truncated_and_emptied_files_are_found_and_never_read(copied, cut):
    """Every file of the store, one after the other."""
    out = copied[1]
    right = everything(out), everything_by_shards(out)
    for path in files_of(out):
        content = path.read_bytes()
        path.write_bytes(cut(content))
        assert not verify(out, keep=True, progress=False).intact, path
        assert is_read_right_or_refused(out, right), path
        path.write_bytes(content)
    assert verify(out, keep=True, progress=False).intact


def test_missing_files_are_found_and_never_read(copied):
    """Every file but a commit record, without which a shard is not there."""
    out = copied[1]
    right = everything(out), everything_by_shards(out)
    for path in files_of(out):
        if path.parent.name.isdigit() and path.parent.parent.name == "commits":
            continue
        content = path.read_bytes()
        path.unlink()
        assert not verify(out, keep=True, progress=False).intact, path
        assert is_read_right_or_refused(out, right), path
        path.write_bytes(content)


def test_damaged_shards_are_made_again_to_the_same_bytes(copied, capsys):
    corpus, out = copied
    before = hashes(out)
    flip(out / FORMAT / "labels/c/1/0/0", 800)
    flip(out / "commits/000002/zarr.json", 1000)
    assert main(["verify", str(out), "--keep"]) == 2
    said = capsys.readouterr()
    assert "shard 1: " in said.out and "shard 2: " in said.out and said.out.count("\n") == 2 + 7
    assert "run it without --keep" in said.err.splitlines()[-1]
    assert commit_path(out, 1).exists()
    assert main(["verify", str(out), "--quiet"]) == 2
    said = capsys.readouterr()
    assert said.out.count("(un-committed)") == 2 and said.err.count("\n") == 1
    assert not commit_path(out, 1).exists() and commit_path(out, 0).exists()
    assert datagen.open_corpus(out).samples == 4
    assert main(["verify", str(out), "--quiet"]) == 0
    assert "2 more are not made yet" in capsys.readouterr().out
    assert datagen.generate(corpus, out, progress=False).written == 2
    assert hashes(out) == before
    assert main(["verify", str(out), "--quiet"]) == 0
    assert "3 shards as they were written" in capsys.readouterr().out


def test_descriptions_are_mended_to_the_same_bytes(copied, capsys):
    """Each by itself, whatever has become of it; the root and its copy at once where that can still be read."""
    _, out = copied
    before = hashes(out)
    descriptions = [name for name in before if name.endswith("zarr.json") and "/0000" not in name]
    assert len(descriptions) >= 10
    for name in descriptions:
        for harm in (lambda path: flip(path, 333), lambda path: path.write_bytes(b""), lambda path: path.unlink()):
            harm(out / name)
            found = verify(out, progress=False)
            assert found.descriptions == {name: True} and not found.damaged
            assert hashes(out) == before
    flip(out / "zarr.json", 500)
    flip(out / "commits/zarr.json", 8 * 100)  # in the words about it
    assert main(["verify", str(out), "--quiet"]) == 2
    assert "nothing more is to be done" in capsys.readouterr().err
    assert hashes(out) == before


def test_descriptions_lost_with_their_copy_are_mended_from_the_corpus_file(copied, tmp_path, capsys):
    corpus, out = copied
    before = hashes(out)
    (out / "zarr.json").unlink()
    (out / "commits/zarr.json").write_bytes(b"")
    with pytest.raises(xsim.CorpusError, match=r"damaged .* mend it with: datagen verify"):
        datagen.open_corpus(out)
    assert main(["verify", str(out), "--quiet"]) == 2
    assert "--corpus FILE" in capsys.readouterr().err
    other = small_corpus(tmp_path, ("seed = 20", "seed = 21"), name="other.toml")
    assert main(["verify", str(out), "--quiet", "--corpus", str(other)]) == 2
    assert "not the corpus file it was made from" in capsys.readouterr().err and not (out / "zarr.json").exists()
    assert main(["verify", str(out), "--quiet", "--corpus", str(corpus)]) == 2
    assert capsys.readouterr().out.count("(mended)") == 2
    assert hashes(out) == before


def test_generate_does_not_take_a_damaged_store_for_something_else(copied):
    corpus, out = copied
    for bit in range(0, 8 * 60, 37):
        flip(out / "zarr.json", bit)
        with pytest.raises(xsim.CorpusError, match="mend it with: datagen verify"):
            datagen.generate(corpus, out, progress=False)
        flip(out / "zarr.json", bit)


def test_orphans_are_listed_and_removed_when_asked(copied, capsys):
    """Files of a shard without a record and torn writes; a user's own file is told of and never touched."""
    _, out = copied
    commit_path(out, 1).unlink()
    (out / FORMAT / "noisy/c/0/0/0.0123.partial").write_bytes(b"torn")
    (out / "notes.txt").write_text("mine")
    assert main(["verify", str(out), "--quiet"]) == 0
    said = capsys.readouterr().out
    assert said.count("orphan: ") == 8 and "not of the store: notes.txt" in said
    assert main(["verify", str(out), "--quiet", "--clean"]) == 0
    assert capsys.readouterr().out.count("removed: ") == 8
    assert (out / "notes.txt").exists() and not (out / FORMAT / "noisy/c/1/0/0").exists()
    assert (out / FORMAT / "noisy/c/0/0/0").exists() and verify(out, progress=False).orphans == []
    assert np.isfinite(datagen.open_corpus(out).subset()[3]["clean"]).all()


def test_nothing_is_changed_while_another_job_writes(copied):
    _, out = copied
    flip(out / FORMAT / "noisy/c/2/0/0", 100)
    (out / "commits/zarr.json").write_bytes(b"")
    before = hashes(out)
    with locked(out, (0, 4)), pytest.raises(xsim.CorpusError, match=r"is being written by .*task 0/4"):
        verify(out, progress=False)
    assert hashes(out) == before
    with locked(out):
        assert list(verify(out, keep=True, progress=False).damaged) == [2]
    assert hashes(out) == before


def older(out):
    """Make a store one of the first layout: no hash of the root, no copies, records that tell of the arrays only."""
    root = json.loads((out / "zarr.json").read_text())
    description = root["attributes"]["datagen_corpus"]
    description["schema"] = 1
    del description["descriptions"], description["description_sha256"]
    (out / "zarr.json").write_text(json.dumps(root, indent=2))
    beside = {"attributes": {"about": "Commit records."}, "zarr_format": 3, "node_type": "group"}
    (out / "commits/zarr.json").write_text(json.dumps(beside, indent=2))
    for record in list(read_commits(out)):
        record["metadata"] = {name: digest for name, digest in record["metadata"].items() if name.count("/") == 2}
        commit_path(out, record["shard"]).write_bytes(render(seal(record, SEAL)))


def test_stores_of_the_first_layout_are_read_verified_and_completed(copied, capsys):
    corpus, out = copied
    right, arrays = everything(out), {name: digest for name, digest in hashes(out).items() if "/c/" in name}
    older(out)
    assert everything(out) == right
    assert main(["verify", str(out), "--quiet", "--corpus", str(corpus)]) == 0
    assert capsys.readouterr().out.count("\n") == 1
    flip(out / FORMAT / "instances/c/0/0/0", 900)
    assert main(["verify", str(out), "--quiet"]) == 2
    assert datagen.generate(corpus, out, progress=False).written == 1
    assert everything(out) == right
    assert {name: digest for name, digest in hashes(out).items() if "/c/" in name} == arrays
    assert main(["verify", str(out), "--quiet"]) == 0
    (out / FORMAT / "params/zarr.json").write_bytes(b"{}")
    with pytest.raises(xsim.CorpusError, match="damaged"):
        everything(out)
    assert main(["verify", str(out), "--quiet"]) == 2
    assert main(["verify", str(out), "--quiet", "--corpus", str(corpus)]) == 2
    assert everything(out) == right


def test_verify_of_what_is_no_store(tmp_path, capsys):
    for place in (tmp_path / "none", tmp_path):
        assert main(["verify", str(place)]) == 2
        said = capsys.readouterr()
        assert "is not a corpus" in said.err and said.err.count("\n") == 1 and said.out == ""
