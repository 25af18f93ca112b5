"""The torch dataset: exact crops and turns, the same for the same seed wherever they are read."""

import subprocess
import sys

import numpy as np
import pytest
from test_datagen_store import small_corpus

import datagen
import xsim

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader  # noqa: E402

from datagen.torch_data import CorpusDataset  # noqa: E402

KEYS = {"noisy", "clean", "noise", "labels", "valid", "index", "a_pixel_adu", "b_adu2", "offset_adu",
        "quanta_per_pixel", "voltage_kv", "exposure_mas"}  # fmt: skip


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("torch")
    datagen.generate(small_corpus(folder), folder / "out.zarr", progress=False)
    return folder / "out.zarr"


def same(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(torch.as_tensor(one[key]), torch.as_tensor(other[key])) for key in one
    )


def test_whole_samples(out):
    data, view = CorpusDataset(out), datagen.open_corpus(out).subset(split="train")
    assert len(data) == len(view)
    item, sample = data[2], view[2]
    assert set(item) == KEYS
    assert item["noisy"].shape == (1, 48, 40) and item["noisy"].dtype == torch.float32
    assert item["labels"].shape == (48, 40) and item["labels"].dtype == torch.int32
    assert item["valid"].shape == (1, 48, 40) and item["valid"].dtype == torch.bool
    for name in ("noisy", "clean", "noise"):
        assert np.array_equal(item[name][0].numpy(), sample[name])
    assert item["quanta_per_pixel"].item() == pytest.approx(sample["params"]["quanta_per_pixel"])
    assert item["index"] == sample["index"]
    with pytest.raises(IndexError):
        data[len(data)]


def test_crops_are_symmetries_of_windows(out):
    """Each crop of the clean image is, after one of the eight symmetries, a window of it; labels move along."""
    view = datagen.open_corpus(out).subset()
    data = CorpusDataset(view, crop=16, augment=True, crops_per_sample=4, seed=3)
    assert len(data) == 4 * len(view)
    used = set()
    for item in range(len(data)):
        crop = data[item]
        assert torch.equal(crop["noisy"], crop["clean"] + crop["noise"])
        sample = view[item // 4]
        pair = np.stack([sample["noisy"], sample["labels"].astype(np.float32)])
        windows = np.lib.stride_tricks.sliding_window_view(pair, (16, 16), axis=(1, 2))
        found = np.stack([crop["noisy"][0].numpy(), crop["labels"].numpy().astype(np.float32)])
        matches = [
            (flip, turns)
            for flip in (False, True)
            for turns in range(4)
            if (windows == undone(found, flip, turns)[:, None, None]).all(axis=(0, 3, 4)).any()
        ]
        assert matches
        used.update(matches)
    assert len(used) == 8


def undone(images, flip, turns):
    back = np.rot90(images, -turns, axes=(1, 2))
    return back[:, :, ::-1] if flip else back


def test_epochs_and_seeds_differ_and_repeat(out):
    one, again = (CorpusDataset(out, crop=16, augment=True, seed=1) for _ in range(2))
    assert all(same(one[item], again[item]) for item in range(len(one)))
    first = [one[item] for item in range(len(one))]
    one.set_epoch(1)
    assert not all(same(one[item], first[item]) for item in range(len(one)))
    one.set_epoch(0)
    assert all(same(one[item], first[item]) for item in range(len(one)))
    other = CorpusDataset(out, crop=16, augment=True, seed=2)
    assert not all(same(other[item], first[item]) for item in range(len(one)))


@pytest.mark.parametrize("context", ["spawn", "fork"])
# torch itself warns of forking a process with threads on some Pythons
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_workers_read_the_same(out, context):
    data = CorpusDataset(out, crop=(16, 24), augment=True, crops_per_sample=2, seed=4)
    alone = [data[item] for item in range(len(data))]
    loader = DataLoader(data, batch_size=None, num_workers=1, multiprocessing_context=context, persistent_workers=True)
    assert all(same(one, other) for one, other in zip(loader, alone, strict=True))
    data.set_epoch(1)
    later = [data[item] for item in range(len(data))]
    assert all(same(one, other) for one, other in zip(loader, later, strict=True))


def test_batches(out):
    batch = next(iter(DataLoader(CorpusDataset(out, crop=32), batch_size=4)))
    assert batch["noisy"].shape == (4, 1, 32, 32) and batch["a_pixel_adu"].shape == (4,)


def test_what_cannot_be_read_is_said(out, tmp_path):
    with pytest.raises(xsim.CorpusError, match="does not fit"):
        CorpusDataset(out, crop=64)
    with pytest.raises(xsim.CorpusError, match="is not a corpus"):
        CorpusDataset(tmp_path)
    all_train = small_corpus(tmp_path, ("train = 0.75, val = 0.1, test = 0.15", "train = 1, val = 0, test = 0"))
    datagen.generate(all_train, tmp_path / "train.zarr", progress=False)
    with pytest.raises(xsim.CorpusError, match="no samples in split 'val'"):
        CorpusDataset(tmp_path / "train.zarr", "val")


def test_datagen_does_not_import_torch():
    code = "import sys, datagen, datagen.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
