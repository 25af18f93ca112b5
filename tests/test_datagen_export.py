"""Exports, read back by the libraries they are for: the same samples, whole or not there, taken up where left."""

import contextlib
import csv
import io
import json
import pathlib
import shutil

import numpy as np
import pytest
import tifffile
from PIL import Image
from test_datagen_store import hashes, small_corpus

import datagen
import xsim
from datagen.cli import main
from datagen.export import export_corpus, writer
from datagen.export.coco import label_runs
from datagen.export.job import WRITERS

WAYS = ("numpy", "webdataset", "tiff", "coco")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    datagen.generate(small_corpus(folder), folder / "out.zarr", progress=False)
    return folder / "out.zarr"


def exported(out, tmp_path, to, **options):
    export_corpus(out, tmp_path / to, to, progress=False, **options)
    return tmp_path / to


def lines(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_numpy(out, tmp_path):
    folder = exported(out, tmp_path, "numpy")
    samples = list(datagen.open_corpus(out).subset())
    for sample, line in zip(samples, lines(folder / "params.csv"), strict=True):
        assert line["id"] == f"{sample['index']:09d}" and int(line["index"]) == sample["index"]
        with np.load(folder / f"{line['id']}.npz") as held:
            assert set(held) == {"noisy", "clean", "labels", "valid"}
            assert held["noisy"].dtype == np.uint16 and held["clean"].dtype == np.float32
            for name in held:
                assert np.array_equal(held[name], sample[name])
            assert np.array_equal(held["noisy"].astype(np.float32) - held["clean"], sample["noise"])
        for name, value in sample["params"].items():  # numbers are written in full
            assert line[name] == ("" if value is None else str(value))


def test_what_else_is_stored_is_exported(tmp_path):
    corpus = small_corpus(
        tmp_path,
        ("scenes = 11", "scenes = 3"),
        ("seed = 20", 'seed = 20\nstore = ["sharp", "repeat"]\nnoise = "derived"'),
    )
    datagen.generate(corpus, tmp_path / "out.zarr", progress=False)
    folder = exported(tmp_path / "out.zarr", tmp_path, "numpy")
    for sample in datagen.open_corpus(tmp_path / "out.zarr").subset():
        with np.load(folder / f"{sample['index']:09d}.npz") as held:
            assert set(held) == {"noisy", "clean", "labels", "valid", "sharp", "noisy_repeat", "valid_repeat"}
            assert all(np.array_equal(held[name], sample[name]) for name in held)
            assert np.array_equal(held["noisy_repeat"].astype(np.float32) - held["clean"], sample["noise_repeat"])


def test_tables_of_bodies(out, tmp_path):
    corpus = datagen.open_corpus(out)
    found = lines(exported(out, tmp_path, "tiff") / "instances.csv")
    told = [(f"{each['index']:09d}", body) for each in corpus.subset() for body in corpus.instances(each["index"])]
    assert len(found) == len(told)
    for line, (name, body) in zip(found, told, strict=True):
        assert line == {"id": name, **{key: "" if value is None else str(value) for key, value in body.items()}}


def test_tiff(out, tmp_path):
    folder = exported(out, tmp_path, "tiff", split="train", images=["noisy", "clean", "labels", "noise"])
    view = datagen.open_corpus(out).subset(split="train")
    kinds = {"noisy": np.uint16, "clean": np.float32, "labels": np.uint16, "noise": np.float32}
    for name, kind in kinds.items():
        files = sorted((folder / name).iterdir())
        assert [file.stem for file in files] == [f"{index:09d}" for index in view.table()["index"]]
        for file, sample in zip(files, view, strict=True):
            image = tifffile.imread(file)
            assert image.dtype == kind and np.array_equal(image, sample[name])


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_webdataset(out, tmp_path):
    """By the webdataset library itself: keys, arrays, parameters, bodies."""
    wds = pytest.importorskip("webdataset")
    folder = exported(out, tmp_path, "webdataset")
    shards = sorted(map(str, folder.glob("shard-*.tar")))
    assert len(shards) == 3
    corpus = datagen.open_corpus(out)
    read = list(wds.WebDataset(shards, shardshuffle=False, empty_check=False).decode())
    for found, sample in zip(read, corpus.subset(), strict=True):
        assert found["__key__"] == f"{sample['index']:09d}"
        for name in ("noisy", "clean", "labels", "valid"):
            assert np.array_equal(found[f"{name}.npy"], sample[name])
        assert found["json"]["params"] == sample["params"] and found["json"]["index"] == sample["index"]
        assert found["json"]["instances"] == corpus.instances(sample["index"])


# pycocotools has not followed NumPy 2 yet
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_coco(out, tmp_path):
    """By pycocotools: masks are the labels, boxes and areas theirs, images the noisy ones."""
    coco_tools = pytest.importorskip("pycocotools.coco")
    folder = exported(out, tmp_path, "coco")
    assert sorted(each.name for each in folder.iterdir()) == [
        "annotations.json", "export.json", "images", "instances.csv", "params.csv"
    ]  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        coco = coco_tools.COCO(folder / "annotations.json")
    corpus = datagen.open_corpus(out)
    assert sorted(coco.getImgIds()) == list(range(11))
    names = {each["id"]: each["name"] for each in coco.loadCats(coco.getCatIds())}
    assert len(set(names.values())) == len(names) and min(names) == 1 and min(coco.getAnnIds()) > 0
    for sample in corpus.subset():
        (image,) = coco.loadImgs(sample["index"])
        pixels = np.asarray(Image.open(folder / "images" / image["file_name"]))
        assert pixels.dtype == np.uint16 and np.array_equal(pixels, sample["noisy"])
        assert (image["height"], image["width"]) == pixels.shape
        painted = np.zeros_like(sample["labels"])
        bodies = {body["label"]: body for body in corpus.instances(sample["index"])}
        for each in coco.loadAnns(coco.getAnnIds(imgIds=[sample["index"]])):
            label = each["id"] % 65536
            mask, body = coco.annToMask(each).astype(bool), bodies[label]
            painted[mask] = label
            assert each["area"] == mask.sum() == body["pixels"]
            left, top, width, height = each["bbox"]
            assert (top, top + height) == (body["row_first"], body["row_stop"])
            assert (left, left + width) == (body["column_first"], body["column_stop"])
            assert names[each["category_id"]] == body["group"] and each["material"] == body["material"]
            assert each["target"] is bool(body["target"])
        assert np.array_equal(painted, sample["labels"])


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_runs_of_labels_are_those_of_pycocotools():
    mask_tools = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(3)
    for shape in ((1, 1), (7, 5), (16, 33)):
        for share in (0.0, 0.3, 1.0):
            labels = np.where(rng.random(shape) < share, rng.integers(1, 4, shape), 0).astype(np.uint16)
            found = label_runs(labels)
            assert set(found) == set(labels[labels > 0].tolist())
            for label, (counts, box, area) in found.items():
                theirs = mask_tools.encode(np.asfortranarray(labels == label, dtype=np.uint8))
                ours = mask_tools.frPyObjects({"size": list(shape), "counts": counts}, *shape)
                assert ours == theirs
                assert box == mask_tools.toBbox(theirs).tolist() and area == mask_tools.area(theirs)


@pytest.mark.parametrize("to", WAYS)
def test_an_export_that_was_stopped_goes_on(out, tmp_path, monkeypatch, to):
    """Stopped at each part and while finishing: nothing at the destination; in the end the same bytes."""
    whole = hashes(exported(out, tmp_path / "whole", to))
    target = tmp_path / to
    for place in range(3):
        stop_at_part(monkeypatch, to, place)
        with pytest.raises(KeyboardInterrupt):
            export_corpus(out, target, to, progress=False)
        assert not target.exists() and (tmp_path / f"{to}.partial").is_dir()
        monkeypatch.undo()
    with pytest.raises(xsim.CorpusError, match="another export"):
        export_corpus(out, target, to, progress=False, limit=3)
    for owner, name in ((writer, "write_tables"), (WRITERS[to], "clear"), (pathlib.Path, "rename")):
        stop_at_call(monkeypatch, owner, name)
        with pytest.raises(KeyboardInterrupt):
            export_corpus(out, target, to, progress=False)
        monkeypatch.undo()
    done = export_corpus(out, target, to, progress=False)
    assert (done.samples, done.parts, done.kept) == (11, 3, 3)
    assert hashes(target) == whole and not (tmp_path / f"{to}.partial").exists()


def stop_at_call(monkeypatch, owner, name):
    """Ctrl-C where a function is called."""

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, name, stop)


def stop_at_part(monkeypatch, to, place):
    """Ctrl-C after the first sample of a part."""
    before = WRITERS[to].write_part

    def write_part(self, folder, number, samples):
        def some():
            for count, sample in enumerate(samples):
                if (number, count) == (place, 1):
                    raise KeyboardInterrupt
                yield sample

        before(self, folder, number, some())

    monkeypatch.setattr(WRITERS[to], "write_part", write_part)


def test_ids_do_not_depend_on_what_is_exported(out, tmp_path):
    view = datagen.open_corpus(out).subset(split="val")
    folder = exported(out, tmp_path, "numpy", split="val", limit=1)
    assert [each.stem for each in folder.glob("*.npz")] == [f"{view[0]['index']:09d}"]


def test_one_shard_in_memory(out, tmp_path, monkeypatch):
    """No more samples are alive at a time than a shard has."""
    from datagen.shard_images import ShardImages

    most, before = [0], ShardImages.image

    def image(self, name, sample):
        found = before(self, name, sample)
        most[0] = max(most[0], len({place for _, place in self._decoded}))
        return found

    monkeypatch.setattr(ShardImages, "image", image)
    exported(out, tmp_path, "numpy")
    assert most[0] == 4


def test_command(out, tmp_path, capsys):
    where = tmp_path / "deep" / "tar"
    where.mkdir(parents=True)  # an empty folder gives way
    assert main(["export", str(out), "--to", "webdataset", "-o", str(where), "--limit", "5"]) == 0
    said = capsys.readouterr()
    assert "5 samples as webdataset" in said.out and "5/5" in said.err
    assert json.loads((where / "export.json").read_text())["samples"] == 5


def test_to_the_empty_folder_at_hand(out, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert main(["export", str(out), "--to", "numpy", "-o", ".", "--limit", "1", "--quiet"]) == 0
    assert len(list((tmp_path / "here").glob("*.npz"))) == 1


def test_what_cannot_be_exported_is_one_line(out, tmp_path, capsys):
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    (tmp_path / "taken.partial").mkdir()
    (tmp_path / "taken.partial" / "mine.txt").write_text("mine")
    damaged = tmp_path / "damaged.zarr"
    shutil.copytree(out, damaged)
    victim = sorted(damaged.glob("*/clean/c/1/0/0"))[0]
    harmed = bytearray(victim.read_bytes())
    harmed[100] ^= 4
    victim.write_bytes(harmed)
    cases = (
        ([str(out), "-o", str(full)], "not empty"),
        ([str(out), "-o", str(full / "mine.txt")], "not a folder"),
        ([str(out), "-o", str(tmp_path / "taken")], "holds something else"),
        ([str(out), "-o", "/proc/export"], "/proc"),
        ([str(out), "-o", "s3://bucket/export"], "no folder"),
        ([str(out), "-o", str(tmp_path / "a"), "--limit", "0"], "limit"),
        ([str(out), "-o", str(tmp_path / "a"), "--images", "glow"], "no 'glow' images"),
        ([str(out), "-o", str(tmp_path / "a"), "--format", "glow"], "no format"),
        ([str(damaged), "-o", str(tmp_path / "a")], "damaged"),
    )
    for arguments, words in cases:
        assert main(["export", *arguments, "--to", "numpy", "--quiet"]) == 2
        said = capsys.readouterr()
        assert said.out == "" and said.err.count("\n") == 1 and words in said.err
    assert (full / "mine.txt").read_text() == "mine" and not (tmp_path / "a").exists()
    assert [each.name for each in (tmp_path / "taken.partial").iterdir()] == ["mine.txt"]
    assert main(["export", str(out), "--to", "coco", "-o", str(tmp_path / "b"), "--images", "clean"]) == 2
    assert "leave --images out" in capsys.readouterr().err
