"""Streams of crops: every crop once, by whomever it is read, in an order that can be taken up anywhere."""

import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from test_datagen_store import small_corpus
from test_datagen_torch import same

import datagen
import xsim
from datagen.commit import SEAL
from datagen.crop_order import CropOrder
from datagen.format_reader import FormatReader
from datagen.place import open_place
from datagen.seal import read_group, render, seal

torch = pytest.importorskip("torch")

from datagen.torch_data import CorpusDataset, CorpusStream  # noqa: E402

ALL = ("noisy", "clean", "noise", "labels", "valid")
TWO = '[[detector]]\nname = "wide"\npreset = "generic-gos-200um"\nrows = 24\ncolumns = 600\n\n[[detector]]'


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """24 samples of two formats in shards of 4."""
    folder = tmp_path_factory.mktemp("crops")
    corpus = small_corpus(folder, ("[detector]", TWO), ("scenes = 11", "scenes = 24"))
    datagen.generate(corpus, folder / "out.zarr", progress=False)
    return folder / "out.zarr"


def keys(batches):
    """What tells crops apart: their samples and pixels, in the order they came."""
    return [
        (index, noisy.numpy().tobytes())
        for batch in batches
        for index, noisy in zip(batch["index"].tolist(), batch["noisy"], strict=True)
    ]


def stream(out, **options):
    return CorpusStream(out, **{"split": None, "crop": 16, "crops_per_sample": 4, "batch": 4, "seed": 3, **options})


def test_batches_hold_windows_of_samples(out):
    """Against the random-access reader: each crop is a window of its own sample, in all its images."""
    corpus = datagen.open_corpus(out)
    view = corpus.subset(corpus.formats[1])
    samples = {sample["index"]: sample for sample in view}
    count = 0
    for batch in CorpusStream(view, crop=(16, 24), augment=False, batch=8, images=ALL, crops_per_sample=4):
        assert torch.equal(batch["noisy"], batch["clean"] + batch["noise"])
        assert batch["valid"].dtype == torch.bool and batch["labels"].dtype == torch.int32
        assert batch["noisy"].shape == (8, 1, 16, 24) and batch["labels"].shape == (8, 16, 24)
        for place, index in enumerate(batch["index"].tolist()):
            sample, count = samples[index], count + 1
            assert batch["a_pixel_adu"][place].item() == np.float32(sample["params"]["a_pixel_adu"])
            found = np.lib.stride_tricks.sliding_window_view(sample["noisy"], (16, 24))
            ((row, column),) = np.argwhere((found == batch["noisy"][place, 0].numpy()).all(axis=(2, 3)))
            window = np.s_[row : row + 16, column : column + 24]
            for name in ("clean", "valid"):
                assert np.array_equal(batch[name][place, 0], sample[name][window])
            assert np.array_equal(batch["labels"][place], sample["labels"][window])
    assert count == 4 * len(view)


def test_windows_and_symmetries_are_uniform():
    """Corners and symmetries by chi-square, at a chance of 1e-4 to fail for a sound generator."""
    found = CropOrder(np.array([400]), 16, 1, 2, seed=5).windows(1, 0, (9, 4)).reshape(-1, 3)
    for values, kinds, limit in ((found[:, 0], 10, 33.7), (found[:, 1], 5, 23.5), (found[:, 2], 8, 29.9)):
        counts = np.bincount(values, minlength=kinds)
        assert counts.shape == (kinds,)
        expected = len(found) / kinds
        assert ((counts - expected) ** 2 / expected).sum() < limit


def test_crops_of_an_epoch_do_not_depend_on_the_readers(out):
    alone = keys(stream(out))
    assert len(alone) == len(set(alone)) == 96
    by_two = [keys(stream(out, rank=rank, world_size=2)) for rank in range(2)]
    assert len(by_two[0]) == len(by_two[1]) == 48
    assert sorted(by_two[0] + by_two[1]) == sorted(alone)
    other = stream(out)
    other.set_epoch(1)
    assert keys(other) != alone and len(set(keys(other)) & set(alone)) < 5


@pytest.mark.parametrize(
    "context", ["fork", *(pytest.param(each, marks=pytest.mark.slow) for each in ("spawn", "forkserver"))]
)
# torch itself warns of forking a process with threads on some Pythons
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_workers_read_what_one_process_reads(out, context):
    """Two workers: their batches alternate, each those of its own run; the next epoch in the same processes."""
    reader = stream(out, workers=2)
    loader = reader.loader(multiprocessing_context=context)
    assert len(loader) == len(reader) == 24
    alone = sorted(keys(stream(out)))
    first = list(loader)
    assert len(first) == len(loader) and sorted(keys(first)) == alone
    reader.set_epoch(1)
    second = list(loader)
    assert sorted(keys(second)) != alone
    state = json.loads(json.dumps(reader.state_dict(given=7)))
    resumed = reader if context == "spawn" else stream(out, workers=2)  # spawning takes seconds
    resumed.load_state_dict(state)
    rest = list(loader if resumed is reader else resumed.loader(multiprocessing_context=context))
    assert len(rest) == len(second) - 7
    assert all(same(one, other) for one, other in zip(rest, second[7:], strict=True))


def test_goes_on_in_the_middle_of_an_epoch(out):
    whole = stream(out, images=ALL)
    whole.set_epoch(4)
    batches = list(whole)
    for place in (0, 1, 11, 23, 24):
        reader = stream(out, images=ALL)
        reader.set_epoch(4)
        turn = iter(reader)
        for _ in range(place):
            next(turn)
        resumed = stream(out, images=ALL)
        resumed.load_state_dict(json.loads(json.dumps(reader.state_dict())))
        rest = list(resumed)
        assert len(rest) == len(batches) - place
        assert all(same(one, other) for one, other in zip(rest, batches[place:], strict=True))
        resumed.set_epoch(0)
        assert keys(resumed) == keys(stream(out))


TRAINING = """
import json, pathlib, sys
from datagen.torch_data import CorpusStream
stream = CorpusStream(sys.argv[1], None, 16, crops_per_sample=4, batch=4, seed=3)
kept = pathlib.Path(sys.argv[2])
if kept.exists():
    stream.load_state_dict(json.loads(kept.read_text()))
for batch in stream:
    draft = kept.with_suffix(".draft")
    draft.write_text(json.dumps(stream.state_dict()))
    draft.rename(kept)
    print(float(batch["noisy"].double().sum()), flush=True)
"""


def test_a_killed_training_sees_the_same_crops(out, tmp_path):
    """kill -9 after some batches; what the next process sees is what the first would have seen."""
    sums = [float(batch["noisy"].double().sum()) for batch in stream(out)]
    command = [sys.executable, "-c", TRAINING, str(out), str(tmp_path / "state.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        seen = [float(first.stdout.readline()) for _ in range(5)]
        os.kill(first.pid, signal.SIGKILL)
    given = json.loads((tmp_path / "state.json").read_text())["batch"]
    assert given >= 5 and seen == sums[:5]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [float(line) for line in done.stdout.split()] == sums[given:]


def test_ranks_come_from_torch_distributed(out, tmp_path):
    store = torch.distributed.FileStore(str(tmp_path / "ranks"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        reader = stream(out)
        assert (reader.rank, reader.world_size) == (0, 1)
    finally:
        torch.distributed.destroy_process_group()
    assert stream(out, rank=1, world_size=3).rank == 1


def test_no_sample_of_another_split(out):
    corpus = datagen.open_corpus(out)
    seen = {}
    for split in ("train", "val", "test"):
        reader = CorpusStream(out, split, crop=16, crops_per_sample=1)
        seen[split] = sorted(item["index"] for item in reader)
        wanted = [sample["index"] for name in corpus.formats for sample in corpus.subset(name, split)]
        assert seen[split] == sorted(wanted)
    assert sorted(index for each in seen.values() for index in each) == list(range(24))


def test_single_items_are_those_of_batches(out):
    items, batches = list(stream(out, batch=None)), list(stream(out))
    assert isinstance(items[0]["index"], int) and items[0]["noisy"].shape == (1, 16, 16)
    assert [item["index"] for item in items] == [index for batch in batches for index in batch["index"].tolist()]
    assert torch.equal(torch.stack([item["clean"] for item in items[:4]]), batches[0]["clean"])


def test_only_what_is_asked_is_read(out, tmp_path, monkeypatch):
    read, before = [], FormatReader.file
    monkeypatch.setattr(FormatReader, "file", lambda self, name: read.append(name) or before(self, name))
    for _ in stream(out, images=("noisy", "clean")):
        pass
    assert {name.split("/")[1] for name in read} == {"noisy", "clean"}
    assert len(read) == len(set(read)) == 2 * 6


def test_a_damaged_shard_is_an_error(out, tmp_path):
    """A flipped bit of any chunk that is read, a cut file, and a missing one."""
    copy = tmp_path / "copy.zarr"
    shutil.copytree(out, copy)
    victim = copy / "wide" / "clean" / "c" / "0" / "0" / "0"
    sound = victim.read_bytes()
    rng = np.random.default_rng(0)
    # the last of them in the index of chunks, and in its checksum
    for place in [*rng.integers(len(sound), size=12), len(sound) - 20, len(sound) - 1]:
        harmed = bytearray(sound)
        harmed[place] ^= 1 << rng.integers(8)
        victim.write_bytes(harmed)
        with pytest.raises(xsim.CorpusError, match="damaged"):
            list(stream(copy))
    victim.write_bytes(sound[:-7])
    with pytest.raises(xsim.CorpusError, match="damaged"):
        list(stream(copy))
    victim.unlink()
    with pytest.raises(xsim.CorpusError, match="damaged"):
        list(stream(copy))
    victim.write_bytes(sound)
    assert keys(stream(copy)) == keys(stream(out))


def test_what_cannot_be_read_is_said(out):
    for options, words in (
        ({"crop": None}, "several sizes"),
        ({"crop": 30}, "does not fit"),
        ({"images": ("noisy", "sharp")}, "no 'sharp' images"),
        ({"scalars": ("colour",)}, "no parameter 'colour'"),
        ({"rank": 2, "world_size": 2}, "not among 2"),
        ({"workers": -1}, "workers"),
    ):
        with pytest.raises(xsim.CorpusError, match=words):
            stream(out, **options)
    with pytest.raises(xsim.CorpusError, match="workers = 2"):
        next(iter(torch.utils.data.DataLoader(stream(out), batch_size=None, num_workers=2)))
    with pytest.raises(xsim.CorpusError, match="crop"):
        stream(out, crop=8).load_state_dict(stream(out).state_dict())
    with pytest.raises(xsim.CorpusError, match="given"):
        stream(out, workers=2).state_dict()


def test_random_access_gives_the_images_asked_for(out):
    data = CorpusDataset(datagen.open_corpus(out).subset("wide"), crop=16, images=("clean",), scalars=("seed",))
    assert set(data[0]) == {"clean", "seed", "index"}
    with pytest.raises(xsim.CorpusError, match="no 'thickness' images"):
        CorpusDataset(out, format="wide", images=("thickness",))


@pytest.mark.parametrize("where", ["file", "memory"])
def test_streams_read_object_stores(out, where):
    """The same crops by the code that reads s3://, gs:// and az://."""
    pytest.importorskip("obstore")
    if where == "memory":
        place = open_place("memory://crops")
        for file in (file for file in out.rglob("*") if file.is_file()):
            place.write(file.relative_to(out).as_posix(), file.read_bytes())
    assert keys(stream("memory://crops" if where == "memory" else f"file://{out}")) == keys(stream(out))


def test_shards_without_validity_are_valid_everywhere(out, tmp_path):
    """As stores were before they held it: no array, and none in their records."""
    copy = tmp_path / "copy.zarr"
    shutil.copytree(out, copy)
    for format in datagen.open_corpus(out).formats:
        shutil.rmtree(copy / format / "valid")
    for path in sorted((copy / "commits").glob("*/zarr.json")):
        record = read_group(path.read_bytes())
        for part in ("files", "metadata"):
            record[part] = {name: each for name, each in record[part].items() if "/valid/" not in name}
        path.write_bytes(render(seal(record, SEAL)))
    older = list(stream(copy))
    assert keys(older) == keys(stream(out)) and all(batch["valid"].all() for batch in older)
    wide = datagen.open_corpus(copy).subset("wide")
    shown = list(wide.samples(("valid",)))
    assert len(shown) == 12 and all(each["valid"].dtype == bool and each["valid"].all() for each in shown)


RANK = """
import sys, torch
from torch.nn.parallel import DistributedDataParallel
from datagen.torch_data import CorpusStream
rank = int(sys.argv[3])
store = torch.distributed.FileStore(sys.argv[2], 2)
torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
model = DistributedDataParallel(torch.nn.Conv2d(1, 1, 3))
stream = CorpusStream(sys.argv[1], "train", 16, crops_per_sample=3, batch=4)
for epoch in range(2):
    stream.set_epoch(epoch)
    for batch in stream:
        model(batch["noisy"]).mean().backward()
        print(epoch, *batch["index"].tolist())
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_a_distributed_training_ends(out, tmp_path):
    """Every backward pass waits for the other rank; no sample is on both."""
    samples = sum(len(datagen.open_corpus(out).subset(name, "train")) for name in datagen.open_corpus(out).formats)
    command = [sys.executable, "-c", RANK, str(out), str(tmp_path / "ranks")]
    started = [subprocess.Popen([*command, str(rank)], stdout=subprocess.PIPE, text=True) for rank in range(2)]
    told = [each.communicate(timeout=200)[0].splitlines() for each in started]
    assert len(told[0]) == len(told[1]) == 2 * (samples // 2 * 3 // 4)
    for epoch in "01":
        seen = [{int(index) for line in each if line[0] == epoch for index in line.split()[1:]} for each in told]
        assert not seen[0] & seen[1]


def test_a_format_of_which_nothing_is_finished_is_left_out(out, tmp_path):
    """Shards of the first format come first: a store that is being made lacks the last ones."""
    partial = shutil.copytree(out, tmp_path / "partial.zarr")
    for record in datagen.open_corpus(out).commits:
        if record["format"] != "wide":
            shutil.rmtree(partial / "commits" / f"{record['shard']:06d}")
    assert {batch["noisy"].shape[-2:] for batch in stream(partial, crop=(24, 512))} == {(24, 512)}


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"batch": -3}, {"buffer": 0}, {"crops_per_sample": 0}])
def test_numbers_below_one_are_refused(out, wrong):
    with pytest.raises(xsim.CorpusError, match=f"{next(iter(wrong))} must be at least 1"):
        stream(out, **wrong)


def test_words_are_given_by_their_places(out):
    shared = {"split": None, "scalars": ("split", "voltage_kv")}
    places = {item["index"]: item["split"].item() for item in CorpusDataset(out, format="wide", **shared)}
    for item in stream(out, batch=None, format="wide", **shared):
        assert item["split"].item() == places[item["index"]]
    assert set(places.values()) <= {0.0, 1.0, 2.0} and len(set(places.values())) > 1
