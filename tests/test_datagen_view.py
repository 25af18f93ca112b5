"""Views of a corpus: their table, what can be chosen by it, samples shard by shard."""

import errno
import os

import numpy as np
import pytest
from test_datagen_store import small_corpus
from tiny_corpus import tiny_corpus

import datagen
import xsim


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    folder = tmp_path_factory.mktemp("view")
    corpus = small_corpus(folder, ("frames_per_scene = 1", "frames_per_scene = 2"), ("scenes = 11", "scenes = 7"))
    datagen.generate(corpus, folder / "out.zarr", progress=False)
    return datagen.open_corpus(folder / "out.zarr").subset()


def test_table_says_what_samples_say(view):
    table = view.table()
    for place, sample in enumerate(view):
        assert table["index"][place] == sample["index"] and table["row"][place] == view.rows[place]
        for name, value in sample["params"].items():
            found = table[name][place]
            if value is None:
                assert found == "" if table[name].dtype.kind == "U" else np.isnan(found)
            else:
                assert found == value
    assert table["split"].dtype.kind == "U" and table["scene"].dtype == np.int64
    assert set(table["split"]) <= {"train", "val", "test"}


def test_views_by_condition(view):
    limit = float(np.median(view.params("voltage_kv")))
    hard = view.where(lambda p: p["voltage_kv"] > limit)
    assert 0 < len(hard) < len(view) and (hard.params("voltage_kv") > limit).all()
    soft = view.select(view.params("voltage_kv") <= limit)
    assert sorted([*hard.rows, *soft.rows]) == list(view.rows)
    assert [sample["index"] for sample in hard] == hard.table()["index"].tolist()
    assert view.select(np.array([3, 1])).rows.tolist() == [view.rows[1], view.rows[3]]
    assert len(hard.where(lambda p: p["frame"] == 1)) == len(hard) // 2
    for wrong in (np.ones(3, bool), np.array([0, len(view)]), np.array([-1])):
        with pytest.raises(xsim.CorpusError):
            view.select(wrong)


def test_shard_by_shard(view):
    """The same samples as by index, some of each shard, only those of the view."""
    some = view.where(lambda p: p["scene"] != 2)
    assert [len(part) for part in some.shards()] == [4, 2, 4, 2]
    assert np.concatenate([part.rows for part in some.shards()]).tolist() == some.rows.tolist()
    for sample, other in zip(some.samples(), some, strict=True):
        assert sample.keys() == other.keys() and sample["params"] == other["params"]
        for name in ("noisy", "clean", "noise", "labels", "valid"):
            assert sample[name].dtype == other[name].dtype and np.array_equal(sample[name], other[name])
    told = [view.corpus.instances(sample["index"]) for sample in some]
    assert list(some.instances()) == told and all(told)
    assert all(set(each) == {"clean", "params", "index"} for each in some.samples(("clean",)))
    with pytest.raises(xsim.CorpusError, match="no glow images"):
        next(view.samples(("glow",)))
    assert list(view.select(np.zeros(len(view), bool)).samples()) == []


@pytest.mark.parametrize("cache_bytes", [0, 1 << 30])
def test_only_asked_images(view, cache_bytes):
    some = datagen.open_corpus(view.corpus.path, cache_bytes).subset()
    for names in (("noise",), ("clean", "valid"), view.images):
        sample = some.sample(5, names)
        assert set(sample) == {*names, "params", "index"}
        assert all(np.array_equal(sample[name], view[5][name]) for name in names)
    with pytest.raises(xsim.CorpusError, match="no glow images"):
        some.sample(0, ("glow",))


def test_large_tables_are_read_by_column(view, monkeypatch):
    """Where the table would not fit into memory, the same values and views."""
    monkeypatch.setattr("datagen.format_reader.TABLE_BYTES", 0)
    frugal = datagen.open_corpus(view.corpus.path)
    for name in ("voltage_kv", "split", "scene"):
        assert np.array_equal(frugal.subset().params(name), view.params(name), equal_nan=True)
    assert frugal.subset(split="train").rows.tolist() == view.corpus.subset(split="train").rows.tolist()
    assert list(frugal.subset().table()) == list(view.table())
    assert "params" not in vars(frugal.subset().reader)  # the whole table was not read


@pytest.mark.parametrize("name", ["noisy", "clean", "labels"])
def test_a_file_that_goes_while_it_is_read_is_an_error(tmp_path, name):
    """zarr gives the fill value of a file that is gone: zeros, or NaN, which look like an image."""
    out = tmp_path / "out.zarr"
    datagen.generate(tiny_corpus(tmp_path, scenes=2), out, progress=False)
    view = datagen.open_corpus(out, cache_bytes=0).subset()
    assert view[0]["clean"].any()  # the shard has been checked
    next(out.glob(f"*/{name}/c/0/0/0")).unlink()
    with pytest.raises(xsim.CorpusError, match=rf"shard 0 .* is damaged \({name}: a file of it is missing\)"):
        view[1]


def test_a_place_out_of_reach_is_no_damage(tmp_path):
    class OutOfReach:
        def __getitem__(self, _rows):
            raise OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))

    out = tmp_path / "out.zarr"
    datagen.generate(tiny_corpus(tmp_path, scenes=2), out, progress=False)
    view = datagen.open_corpus(out, cache_bytes=0).subset()
    assert len(view[0]["params"]) > 1
    view.reader._arrays["noisy"] = OutOfReach()
    with pytest.raises(xsim.CorpusError, match=r"noisy cannot be read .* No route to host") as told:
        view[1]
    assert "damaged" not in str(told.value)
