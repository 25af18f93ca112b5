"""Drivers of a corpus: the same bytes from processes, pieces and clusters; plans that do not grow; what is told."""

import multiprocessing
import os
import sys
import time
import types
from concurrent.futures import ProcessPoolExecutor

import pytest
from test_datagen_store import hashes
from tiny_corpus import command, committed, ended, tiny_corpus

import datagen
import xsim
from datagen.cli import main
from datagen.corpus_file import load_corpus
from datagen.layout import Layout
from datagen.place import FolderPlace
from datagen.pool import start_worker
from datagen.task import read_task
from datagen.worklist import Worklist

SHARDS = 12


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A tiny corpus and the hashes of its store, from one process."""
    folder = tmp_path_factory.mktemp("whole")
    corpus, out = tiny_corpus(folder), folder / "out.zarr"
    assert datagen.generate(corpus, out, progress=False).written == SHARDS
    return corpus, hashes(out)


@pytest.mark.parametrize("workers", [2, pytest.param(7, marks=pytest.mark.slow)])
def test_same_bytes_from_workers(whole, tmp_path, workers):
    """Every file of every shard, commit records with backend and versions included."""
    corpus, expected = whole
    datagen.generate(corpus, tmp_path / "out.zarr", workers=workers, progress=False)
    assert hashes(tmp_path / "out.zarr") == expected


def test_same_bytes_from_tasks_in_any_order(whole, tmp_path, capsys):
    """Five tasks, backwards, by the command; each makes its own shards and is complete when run again."""
    corpus, expected = whole
    out = tmp_path / "out.zarr"
    for number in (4, 3, 0, 1, 2):
        before = set(committed(out))
        arguments = ["generate", str(corpus), str(out), "--workers", "1", "--task", f"{number}/5", "--quiet"]
        assert main(arguments) == 0
        assert f"task {number}/5" in capsys.readouterr().out
        assert set(committed(out)) - before == set(range(number, SHARDS, 5))
        assert main(arguments) == 0 and "is complete, task" in capsys.readouterr().out
    assert hashes(out) == expected


@pytest.mark.slow
def test_tasks_at_the_same_time(whole, tmp_path):
    """As a job array starts them: both make the store or find it, neither writes the other's shards."""
    corpus, expected = whole
    out = tmp_path / "out.zarr"
    jobs = [command("generate", corpus, out, "--workers", 1, "--task", f"{number}/2") for number in range(2)]
    for number, job in enumerate(jobs):
        code, said, errors = ended(job)
        assert (code, errors) == (0, [])
        assert f"task {number}/2: 12 samples, 6 shards written" in said
    assert hashes(out) == expected


@pytest.mark.parametrize(
    ("text", "variables", "task"),
    [
        (None, {"ID": 3, "COUNT": 8}, None),
        ("auto", {}, None),
        ("2/8", {}, (2, 8)),
        ("auto", {"ID": 3, "COUNT": 8, "MIN": 0}, (3, 8)),
        ("slurm", {"ID": 3, "COUNT": 8, "MIN": 1}, (2, 8)),
        ("slurm", {"ID": 130, "COUNT": 4, "MIN": 100, "MAX": 130, "STEP": 10}, (3, 4)),
        ("slurm", {}, "outside of a job array"),
        ("slurm", {"ID": 7, "COUNT": 3, "MIN": 1, "STEP": 1}, "with gaps"),
        ("slurm", {"ID": 15, "COUNT": 3, "MIN": 0, "STEP": 10}, "with gaps"),
        ("slurm", {"ID": "x", "COUNT": 3}, "no numbers"),
        ("8/8", {}, "the last 7"),
        ("0/0", {}, "no task 0/0"),
        ("-1/8", {}, "not understood"),
        ("3", {}, "not understood"),
    ],
)
def test_which_task(text, variables, task):
    environment = {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in variables.items()}
    if isinstance(task, str):
        with pytest.raises(xsim.CorpusError, match=task):
            read_task(text, environment)
    else:
        assert read_task(text, environment) == task


@pytest.mark.parametrize("shards", [1, 7, 64])
@pytest.mark.parametrize("tasks", [1, 3, 8])
def test_tasks_share_out_all_shards(tmp_path, shards, tasks):
    """Each shard and each sample to one task, and no task has more than one shard beyond another's."""
    layout = Layout(load_corpus(tiny_corpus(tmp_path, scenes=2 * shards - 1)))
    parts = [Worklist(layout, FolderPlace(tmp_path), (number, tasks)) for number in range(tasks)]
    assert sorted(number for part in parts for number in part.shards) == list(range(shards))
    assert sum(part.samples for part in parts) == layout.samples
    lengths = [len(part.shards) for part in parts]
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.slow
def test_each_process_sees_its_own_gpu():
    """More processes than GPUs share them evenly; what the job itself was given is kept to."""
    context = multiprocessing.get_context("spawn")
    shared = (None, ("GPU-3f", "5"), context.Value("q", 0), context.RawValue("b", 0), context.RawArray("q", 3))
    with ProcessPoolExecutor(3, context, initializer=start_worker, initargs=shared) as pool:
        gate = [pool.submit(_device) for _ in range(3)]
        seen = dict(each.result() for each in gate)
    assert sorted(seen.values()) in (["5", "GPU-3f", "GPU-3f"], ["5", "GPU-3f"])


def test_no_gpu_is_told_before_anything_is_written(monkeypatch, tmp_path):
    monkeypatch.setattr(xsim.backend.importlib.util, "find_spec", lambda name: None)
    assert xsim.cuda_devices() == []
    with pytest.raises(xsim.BackendError, match="no CUDA device"):
        datagen.generate(tiny_corpus(tmp_path), tmp_path / "out.zarr", backend="cuda", progress=False)
    assert not (tmp_path / "out.zarr").exists()


def _device():
    time.sleep(1.0)
    return os.getpid(), os.environ["CUDA_VISIBLE_DEVICES"]


@pytest.mark.parametrize(
    ("visible", "count", "names"),
    [(None, 2, ["0", "1"]), ("3,5", 2, ["3", "5"]), ("GPU-1, GPU-2", 2, ["GPU-1", "GPU-2"]), ("1", 1, ["1"])],
)
def test_names_of_the_gpus(monkeypatch, visible, count, names):
    """A stand-in for cupy counts devices: a child that takes one of these names sees that device alone."""
    runtime = types.SimpleNamespace(getDeviceCount=lambda: count, CUDARuntimeError=RuntimeError)
    cupy = types.ModuleType("cupy")
    cupy.cuda = types.SimpleNamespace(runtime=runtime)
    cupy.__spec__ = types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert xsim.cuda_devices() == names


@pytest.mark.cuda
def test_same_bytes_from_processes_on_gpus(tmp_path):
    """One process and two, which share the GPUs there are."""
    corpus = tiny_corpus(tmp_path)
    for workers in (1, 2):
        out = tmp_path / f"{workers}.zarr"
        assert datagen.generate(corpus, out, workers=workers, backend="cuda", progress=False).written == SHARDS
    assert hashes(tmp_path / "1.zarr") == hashes(tmp_path / "2.zarr")


@pytest.mark.parametrize("more", [{"task": (0, 2)}, {"scheduler": "tcp://127.0.0.1:9"}])
def test_machines_that_make_one_corpus_are_named(tmp_path, more):
    with pytest.raises(xsim.CorpusError, match="name cpu or cuda"):
        datagen.generate(tiny_corpus(tmp_path), tmp_path / "out.zarr", backend="auto", progress=False, **more)
    assert not (tmp_path / "out.zarr").exists()
