"""A dask cluster on loopback: the same bytes, lost workers, a killed driver."""

import os
import signal
import sys
import time
from concurrent.futures import Future

import pytest
from dask_cluster import LoopbackCluster
from test_datagen_drivers import whole
from test_datagen_store import hashes
from tiny_corpus import command, committed, ended, tiny_corpus

import datagen
import xsim
from datagen.cli import main
from datagen.job import Job

__all__ = ["whole"]  # the fixture, used below by its name


@pytest.fixture
def cluster(tmp_path):
    pytest.importorskip("distributed")
    made = LoopbackCluster(tmp_path, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0")
    yield made
    made.close()


def test_same_bytes_from_a_cluster(whole, tmp_path, cluster):
    """Two workers."""
    corpus, expected = whole
    out = tmp_path / "out.zarr"
    for _ in range(2):
        cluster.worker()
    code, said, errors = ended(command("generate", corpus, out, "--scheduler", cluster.address))
    assert (code, errors) == (0, []) and "24 samples, 12 shards written" in said
    assert hashes(out) == expected


@pytest.mark.slow
def test_a_lost_workers_shards_go_to_another(tmp_path, cluster):
    """One of two is killed, then the other while a third takes over: no shard is missing, none has an error."""
    corpus, out = tiny_corpus(tmp_path, scenes=300), tmp_path / "out.zarr"
    workers = [cluster.worker() for _ in range(2)]
    job = command("generate", corpus, out, "--scheduler", cluster.address)
    for worker, shards in zip(workers, (5, 30), strict=True):
        wait_until(lambda count=shards: len(list(out.glob("commits/*/zarr.json"))) > count)
        worker.kill()
        cluster.worker()
    code, said, errors = ended(job)
    assert (code, errors) == (0, []) and "150 shards written" in said
    assert committed(out) == list(range(150))


@pytest.mark.slow
def test_a_cluster_that_loses_all_workers_and_a_driver_that_is_killed(tmp_path, cluster, monkeypatch):
    """Without workers for too long: one line. A driver killed: its shards end, and the rerun completes."""
    import datagen.cluster

    corpus, out = tiny_corpus(tmp_path, scenes=400), tmp_path / "out.zarr"
    worker = cluster.worker()
    job = command("generate", corpus, out, "--scheduler", cluster.address)
    wait_until(lambda: len(list(out.glob("commits/*/zarr.json"))) > 5)
    os.killpg(job.pid, signal.SIGKILL)
    job.communicate()
    time.sleep(3)
    done = len(committed(out))
    time.sleep(2)
    assert len(committed(out)) == done < 200  # nobody writes any more
    job = command("generate", corpus, out, "--scheduler", cluster.address)
    wait_until(lambda: len(list(out.glob("commits/*/zarr.json"))) > done + 5)
    begin = time.monotonic()
    job.send_signal(signal.SIGTERM)
    code, _, said = ended(job)
    assert code == 130 and len(said) == 1 and time.monotonic() - begin < 30
    done = len(committed(out))
    worker.kill()
    worker.wait()
    monkeypatch.setattr(datagen.cluster, "NO_WORKERS_S", 2.0)
    with pytest.raises(xsim.CorpusError, match="has no workers"):
        datagen.generate(corpus, out, progress=False, scheduler=cluster.address)
    cluster.worker()
    summary = datagen.generate(corpus, out, progress=False, scheduler=cluster.address)
    assert (summary.kept, summary.written) == (done, 200 - done)
    assert committed(out) == list(range(200))


def test_a_shard_that_kills_its_workers_ends_the_job():
    """It is submitted four times, each under a key of its own, and then named."""
    from distributed import KilledWorker

    from datagen.cluster import MOST_LOSSES, _Cluster

    keys = []

    class Deadly:
        def submit(self, *_, key, **__):
            keys.append(key)
            future = Future()
            future.set_exception(KilledWorker(key, None, 0))
            return future

    cluster = _Cluster(Deadly(), "tcp://a:1", Job(None, "out.zarr", "cpu"))
    cluster.submit(17)
    assert [cluster.finished() for _ in range(MOST_LOSSES)] == [None] * MOST_LOSSES
    with pytest.raises(xsim.CorpusError, match=r"shard 17 lost its worker 4 times .* run it again"):
        cluster.finished()
    assert len(set(keys)) == len(keys) == 1 + MOST_LOSSES and not cluster.running


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--scheduler", "localhost"], "no address of a dask scheduler"),
        (["--scheduler", "tcp://127.0.0.1:9", "--workers", "2"], "leave one of the two out"),
        (["--task", "3"], "not understood"),
    ],
)
def test_wrong_arguments(tmp_path, capsys, arguments, words):
    assert main(["generate", str(tiny_corpus(tmp_path)), str(tmp_path / "out.zarr"), *arguments]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and words in said
    assert not (tmp_path / "out.zarr").exists()


def test_the_memory_of_one_process_is_no_place_for_many(tmp_path):
    with pytest.raises(xsim.CorpusError, match="in the memory of this process"):
        datagen.generate(tiny_corpus(tmp_path), "memory://many", workers=2, progress=False)
    corpus = tiny_corpus(tmp_path, scenes=8)
    assert datagen.generate(corpus, "memory://one", progress=False, task=(0, 2)).written == 2
    summary = datagen.generate(corpus, "memory://one", progress=False)  # records are asked for ahead
    assert (summary.written, summary.kept) == (2, 2)


def test_without_dask_one_line_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "datagen.cluster", raising=False)
    arguments = ["generate", str(tiny_corpus(tmp_path)), str(tmp_path / "out.zarr"), "--scheduler", "tcp://a:1"]
    assert main(arguments) == 2
    assert capsys.readouterr().err.endswith("pip install 'xsim[dask]'\n")


def wait_until(true, timeout=100):
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
