"""Drivers of a corpus: the same bytes from processes, pieces and clusters; plans that do not grow; what is told."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import termios
import threading
import time
import types
from concurrent.futures import Future, ProcessPoolExecutor

import pytest
from dask_cluster import LoopbackCluster
from test_datagen_store import hashes
from tiny_corpus import command, committed, ended, tiny_corpus

import datagen
import xsim
from datagen.cli import main
from datagen.corpus_file import load_corpus
from datagen.job import Job
from datagen.layout import Layout
from datagen.place import FolderPlace
from datagen.pool import start_worker
from datagen.progress import Progress
from datagen.summary import Summary
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


# a cluster


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


# plans that do not grow

MEASURED = """
import json, sys, time, tracemalloc
import datagen
from datagen.corpus_file import load_corpus
from datagen.place import open_place
from datagen.layout import Layout
from datagen.summary import Summary
from datagen.worklist import Worklist

corpus, out, shards = sys.argv[1], sys.argv[2], int(sys.argv[3])
tasks = -(-shards // 2)
datagen.generate(corpus, out + ".warm", progress=False, task=(0, shards))
tracemalloc.start()
begin = time.monotonic()
summary = datagen.generate(corpus, out, progress=False, task=(0, tasks))
made = time.monotonic() - begin
begin = time.monotonic()
work = Worklist(Layout(load_corpus(corpus)), open_place(out))
left = sum(1 for _ in work.missing(None, Summary(0, 0)))
print(json.dumps([tracemalloc.get_traced_memory()[1], summary.written, left, time.monotonic() - begin, made]))
"""


@pytest.mark.parametrize("most", [100_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_number_of_samples(tmp_path, most):
    """Making the store, two shards of 64 and the list of what is left: 10^3 samples of 16 x 16, and many more."""
    peaks, times = {}, {}
    for scenes in (1000, most):
        corpus = tiny_corpus(tmp_path, scenes=scenes, shard_samples=64, pixels=16, name=f"{scenes}.toml")
        shards = -(-scenes // 64)
        line = [sys.executable, "-c", MEASURED, str(corpus), str(tmp_path / f"{scenes}.zarr"), str(shards)]
        said = subprocess.run(line, capture_output=True, text=True, check=True).stdout
        peaks[scenes], written, left, *times[scenes] = json.loads(said)
        assert (written, left) == (2, shards - 2)
    told = f"peak {peaks} bytes; seconds to look at all shards and to make two {times}"
    assert peaks[most] < 1.1 * peaks[1000] + 50_000, told
    assert max(map(sum, times.values())) < 120, told


def test_ten_million_samples_make_a_store_at_once(tmp_path):
    """Its description is as long as that of a small one, but for the numbers in it."""
    sizes = []
    for scenes in (1000, 10_000_000):
        corpus = load_corpus(tiny_corpus(tmp_path, scenes=scenes, shard_samples=64, pixels=512, name=f"{scenes}.toml"))
        out = tmp_path / f"{scenes}.zarr"
        datagen.store.create_store(corpus, out)
        files = [path for path in out.rglob("*") if path.is_file()]
        sizes.append((len(files), sum(path.stat().st_size for path in files)))
    assert sizes[0][0] == sizes[1][0] < 30
    assert sizes[1][1] - sizes[0][1] < 200


# what is told


def test_progress_is_a_line_every_ten_seconds(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    summary = Summary(samples=10_000, shards=100)
    record = {"samples": 100, "redrawn": [{"reason": "no room"}], "warnings": 0, "notes": []}
    with Progress("plates", summary, samples=1000, shards=10) as progress:
        for _ in range(20):
            now[0] += 2.0
            progress.add(100)
            summary.count(record)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    assert (
        lines[0] == "plates: 1600/10000 samples (16.0 %), 15/100 shards, 5 failed draws, 50.0 samples/s, 2.8 min left"
    )
    assert lines[-1].startswith("plates: 10000/10000 samples (100.0 %), 30/100 shards, 20 failed draws")


def test_a_live_line_on_a_terminal(tmp_path):
    """A terminal gets the bar rewritten in place, with shards and failed draws in it."""
    main_end, program_end = os.openpty()
    termios.tcsetwinsize(program_end, (24, 150))
    line = [sys.executable, "-m", "datagen.cli", "generate", str(tiny_corpus(tmp_path)), str(tmp_path / "out.zarr")]
    job = subprocess.Popen([*line, "--workers", "1"], stderr=program_end, stdout=subprocess.DEVNULL)
    os.close(program_end)
    said = bytearray()

    def read():
        while True:
            try:
                said.extend(os.read(main_end, 4096))
            except OSError:  # the program has closed its end
                return

    reader = threading.Thread(target=read)
    reader.start()
    assert job.wait(120) == 0
    reader.join()
    os.close(main_end)
    text = said.decode()
    assert "\r" in text and "24/24" in text and "12/12 shards, 0 failed draws" in text


# draws that fail

CROWDED = """
[[body]]
name = "pebble"
shape = "sphere"
radius_mm = {{ choice = [0.05, 5.0], weights = [{good}, {bad}] }}
material = "C"
inside = "ball"
"""


def crowded(folder, bad, **more):
    """A corpus in which about this share of the draws has a pebble that its ball is too small for."""
    return tiny_corpus(folder, scenes=200, shard_samples=10, extra=CROWDED.format(good=1 - bad, bad=bad), **more)


def test_failed_draws_are_recorded_and_replaced(tmp_path, capsys):
    corpus, out = crowded(tmp_path, 0.2), tmp_path / "out.zarr"
    summary = datagen.generate(corpus, out, progress=False)
    view = datagen.open_corpus(out).subset()
    assert len(view) == 200
    failures = [each for record in datagen.open_corpus(out).commits for each in record["redrawn"]]
    assert summary.failed == len(failures) and summary.draws == 200 + len(failures)
    # binomial: 0.2 within 4 standard deviations
    assert abs(summary.failed / summary.draws - 0.2) < 4 * (0.16 / summary.draws) ** 0.5
    replaced = {failure["scene"]: failure["attempt"] + 1 for failure in failures}
    assert all(failure["seed"] == 3 and "pebble" in failure["reason"] for failure in failures)
    redraws = view.params("redraws")
    assert {scene: int(count) for scene, count in enumerate(redraws) if count} == replaced
    assert main(["info", str(out)]) == 0
    share = f"{100 * summary.failed / summary.draws:.1f} %"
    assert f"{summary.failed} of {summary.draws} failed ({share}, budget 50 %)" in capsys.readouterr().out


def test_too_many_failed_draws_stop_the_job(tmp_path, capsys):
    """Above the budget the job says why; what is finished stays; with a greater budget the same corpus goes on."""
    corpus, out = crowded(tmp_path, 0.6, more="failure_budget = 0.4"), tmp_path / "out.zarr"
    for _ in range(2):  # again: the shards that are there count
        assert main(["generate", str(corpus), str(out), "--workers", "1", "--quiet"]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and "(failure_budget 0.4, most often: " in said and "pebble" in said
    done = committed(out)
    assert 0 < len(done) < 20
    corpus = crowded(tmp_path, 0.6, more="failure_budget = 1")
    summary = datagen.generate(corpus, out, progress=False)
    assert (summary.kept, summary.written) == (len(done), 20 - len(done))


def test_the_budget_is_a_share_of_a_hundred_draws_at_least():
    summary = Summary(samples=1000, shards=10)
    bad = {"samples": 10, "draws": 40, "warnings": 0, "notes": []}
    reasons = [{"reason": f"ball of {size} mm does not fit"} for size in range(20)] + [{"reason": "dark"}] * 10
    summary.count({**bad, "redrawn": reasons})
    summary.check_budget(0.3)  # 30 of 40 draws: as yet within 30 of 100
    with pytest.raises(xsim.CorpusError, match=r"30 of 40 .* most often: ball of 0 mm does not fit\)"):
        summary.check_budget(0.29)
    summary.count({**bad, "draws": 60, "redrawn": []})
    summary.check_budget(0.3)
