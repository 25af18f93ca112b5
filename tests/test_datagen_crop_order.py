"""The order of crops by arithmetic: each once, few shards at a time, shared out evenly."""

import numpy as np
import pytest

import xsim
from datagen.crop_order import CropOrder, Run

torch = pytest.importorskip("torch")


SIZES = np.array([4, 1, 7, 4, 3, 4, 4])


def played(order, epoch, run, skip=0):
    return [tuple(crop) for step in order.steps(epoch, run, skip) for crop in step.crops.tolist()]


@pytest.mark.parametrize("buffer", [1, 2, 4, 50])
def test_an_order_plays_every_crop_once_with_few_shards_in_memory(buffer):
    order = CropOrder(SIZES, 5, 1, buffer, seed=1)
    wanted = {(shard, sample, k) for shard, size in enumerate(SIZES) for sample in range(size) for k in range(5)}
    for epoch in range(3):
        crops = played(order, epoch, Run())
        assert len(crops) == len(wanted) and set(crops) == wanted
        opened = []
        for step in order.steps(epoch, Run()):
            assert len(step.shards) <= buffer
            opened += [shard for shard in step.shards if shard not in opened[-buffer:]]
            assert set(step.crops[:, 0]) <= set(step.shards)
        assert sorted(opened) == list(range(len(SIZES)))  # no shard is opened twice


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_ranks_and_workers_share_an_epoch(ranks, workers):
    """Equally long, without overlap; left out are fewer samples than there are readers, and no full batch."""
    order = CropOrder(SIZES, 6, 4, 2, seed=7)
    lengths, seen = set(), []
    for rank in range(ranks):
        for worker in range(workers):
            run = Run(rank, ranks, worker, workers)
            crops = played(order, 2, run)
            assert len(crops) == order.batches(run) * 4
            lengths.add(len(crops))
            seen += crops
    assert len(lengths) == 1 and len(set(seen)) == len(seen)
    readers = ranks * workers
    assert SIZES.sum() * 6 - len(seen) < 6 * (ranks + ranks * workers) + 4 * readers


def test_an_order_mixes_and_repeats():
    order = CropOrder(np.full(20, 8), 16, 1, 3, seed=0)
    first, again, other = (played(order, epoch, Run()) for epoch in (0, 0, 1))
    assert first == again and first != other
    for place in range(400, 2000, 100):  # a batch of 64 has crops of all shards in memory and most of their samples
        batch = first[place : place + 64]
        assert len({shard for shard, *_ in batch}) >= 3 and len({crop[:2] for crop in batch}) > 15
    # skipping is going on
    assert all(played(order, 0, Run(), skip) == first[skip:] for skip in (1, 127, 128, 1000, len(first) - 1))


def test_too_few_crops_for_a_batch():
    with pytest.raises(xsim.CorpusError, match="no batch of 64"):
        next(CropOrder(np.array([3]), 4, 64, 2, 0).steps(0, Run()))
