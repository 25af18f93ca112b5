"""What goes wrong while a corpus is made: one line, nothing committed is harmed, the rerun completes."""

import contextlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_datagen_store import hashes
from tiny_corpus import command, committed, ended, tiny_corpus, unprivileged

import datagen
import xsim
from datagen.cli import main
from datagen.commit import SEAL, commit_path, read_commit
from datagen.seal import render, seal

SHARDS = 12

# makes the store again and again in processes that are killed, each before a file operation of a drawn number
KILLED = """
import os, random, signal, sys
import datagen
from tiny_corpus import committed

corpus, out, kills, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
draw = random.Random(seed)
killed = 0
for kill in range(kills):
    operations = draw.randrange(1, 90)
    child = os.fork()
    if not child:
        def count(event, arguments):
            global operations
            if event in ("open", "os.rename", "os.remove", "os.mkdir", "shutil.rmtree") and out in str(arguments[0]):
                operations -= 1
                if not operations:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(count)
        datagen.generate(corpus, out, progress=False)
        os._exit(0)
    killed += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    print(killed, *committed(out), flush=True)
"""

# the command, with a job whose end takes a minute
HELD_UP = """
import sys, time
from datagen.commands import generate as command
from datagen.cli import main

def generate(*_, **__):
    try:
        print("begun", flush=True)
        time.sleep(60)
    finally:
        print("held", flush=True)
        time.sleep(60)

command.generate = generate
sys.exit(main(["generate", "corpus", "out"]))
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A tiny corpus, its store made without interruption, and the hashes of its files."""
    folder = tmp_path_factory.mktemp("whole")
    corpus, out = tiny_corpus(folder), folder / "out.zarr"
    assert datagen.generate(corpus, out, progress=False).written == SHARDS
    return corpus, out, hashes(out)


@pytest.fixture
def half(whole, tmp_path):
    """A copy of that store in which every other shard is missing, with what kills leave of commit records."""
    corpus, out, _ = whole
    copy = Path(shutil.copytree(out, tmp_path / "half.zarr"))
    for number in range(0, SHARDS, 2):
        record = commit_path(copy, number)
        record.rename(record.with_name("zarr.json.0123abcd.partial"))
    return corpus, copy


def completes(corpus, out, expected):
    """The rerun gives the bytes of an uninterrupted job."""
    assert len(committed(out)) < SHARDS
    assert main(["generate", str(corpus), str(out), "--workers", "1", "--quiet"]) == 0
    assert hashes(out) == expected


def wait_for_commits(out, count, job):
    deadline = time.monotonic() + 100
    while job.poll() is None and time.monotonic() < deadline:
        if len(list((out / "commits").glob("*/zarr.json"))) >= count:
            return
        time.sleep(0.02)
    raise AssertionError(f"the job ended with {job.poll()} before {count} shards were there")


def test_killed_between_file_operations(whole, tmp_path):
    """20 times kill -9, each at a drawn file operation inside the store, its making included."""
    corpus, _, expected = whole
    out = tmp_path / "out.zarr"
    said = subprocess.run(
        [sys.executable, "-c", KILLED, str(corpus), str(out), "20", "5"],
        capture_output=True, text=True, cwd=Path(__file__).parent, check=False, timeout=250,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    killed, *done = map(int, said.stdout.splitlines()[-1].split())
    assert killed >= 15 and 0 < len(done) <= SHARDS
    counts = [len(line.split()) for line in said.stdout.splitlines()]
    assert counts == sorted(counts)  # what is committed stays
    datagen.generate(corpus, out, progress=False)
    assert hashes(out) == expected


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_process_group_killed_at_random_moments(tmp_path):
    """kill -9 of the command and its workers, 20 times, at any time from its start to half a second of writing."""
    corpus, out = tiny_corpus(tmp_path, scenes=400, shard_samples=1), tmp_path / "out.zarr"
    datagen.generate(corpus, tmp_path / "whole.zarr", progress=False)
    draw, kills, seen = random.Random(11), 0, 0
    while kills < 20:
        job = command("generate", corpus, out, "--workers", 2, "--quiet")
        if kills % 4:
            with contextlib.suppress(AssertionError):  # it may complete
                wait_for_commits(out, seen + 1, job)
        time.sleep(draw.uniform(0, 0.5 if kills % 4 else 2.5))
        finished = job.poll() is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(job.pid, signal.SIGKILL)
        job.communicate()
        kills += not finished
        done = len(committed(out))
        assert done >= seen
        seen = done
        if finished:
            shutil.rmtree(out)
            seen = 0
    datagen.generate(corpus, out, progress=False)
    assert hashes(out) == hashes(tmp_path / "whole.zarr")


@pytest.mark.parametrize(
    ("workers", "words"), [(1, "cannot write shard"), (2, "cannot start worker processes")], ids=("one", "two")
)
def test_disk_full_by_a_limited_file_size(half, whole, workers, words):
    """No file may grow beyond 3 kB: shards fail while they are written, processes while they share memory."""
    corpus, out = half
    before = committed(out)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    code, _, said = ended(command("generate", corpus, out, "--workers", workers, preexec_fn=limit))
    assert code == 2 and len(said) == 1
    assert words in said[0] and "File too large" in said[0]
    assert committed(out) == before
    assert not list(out.rglob("c/**/*.partial"))
    completes(corpus, out, whole[2])


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 192 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=192k", "tmpfs", place], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting a small file system is not possible here ({done.stderr.decode().strip()})")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_disk_full_by_a_small_file_system(whole, small_disk, workers):
    """What fits stays, the first shard that does not is the error; with more room the rerun completes."""
    corpus, _, expected = whole
    out = small_disk / "out.zarr"
    code, _, said = ended(command("generate", corpus, out, "--workers", workers))
    assert code == 2 and len(said) == 1 and "No space left on device" in said[0]
    assert 0 < len(committed(out)) < SHARDS
    subprocess.run(["mount", "-o", "remount,size=20m", small_disk], check=True)
    completes(corpus, out, expected)


def test_a_target_that_is_read_only(half, whole):
    corpus, out = half
    before = committed(out)
    folders = [out, *(path for path in out.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        words = unprivileged()
        if words and not shutil.which(words[0]):
            pytest.skip("root writes to read-only folders, and there is no setpriv to take that away")
        line = [*words, sys.executable, "-m", "datagen.cli", "generate", str(corpus), str(out), "--workers", "1"]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert f"cannot write to {out}" in done.stderr and "Permission denied" in done.stderr
    assert committed(out) == before
    completes(corpus, out, whole[2])


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_a_signal_ends_the_job_in_order(tmp_path, workers, number):
    """Sent to all processes of the job, as a terminal and a batch system do."""
    corpus, out = tiny_corpus(tmp_path, scenes=20000), tmp_path / "out.zarr"
    job = command("generate", corpus, out, "--workers", workers)
    wait_for_commits(out, 2, job)
    begin = time.monotonic()
    os.killpg(job.pid, number)
    code, _, said = ended(job)
    assert time.monotonic() - begin < 30
    assert code == 130
    assert said == ["datagen: stopped (finished shards are kept) the same command goes on from there"]
    assert 2 <= len(committed(out)) < 10000
    assert not (out / ".lock").exists()


def test_a_second_signal_ends_at_once():
    """The end after the first is held up; the second does not wait for it."""
    job = subprocess.Popen([sys.executable, "-c", HELD_UP], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert job.stdout.readline() == "begun\n"
    job.send_signal(signal.SIGTERM)
    assert job.stdout.readline() == "held\n"
    begin = time.monotonic()
    job.send_signal(signal.SIGTERM)
    _, said = job.communicate(timeout=30)
    assert time.monotonic() - begin < 5 and job.returncode == 130
    assert said == "datagen: ended without waiting (finished shards are kept) the same command goes on from there\n"


def workers_of(pid):
    """Worker processes of a job."""
    below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in below if "spawn_main" in Path(f"/proc/{each}/cmdline").read_text()]


def test_a_killed_worker_is_one_line(tmp_path):
    """As by the kernel where memory runs out."""
    corpus, out = tiny_corpus(tmp_path, scenes=80, shard_samples=1), tmp_path / "out.zarr"
    job = command("generate", corpus, out, "--workers", 2)
    wait_for_commits(out, 2, job)
    os.kill(workers_of(job.pid)[0], signal.SIGKILL)
    code, _, said = ended(job)
    assert code == 2 and len(said) == 1
    assert "a worker process died" in said[0] and "finished shards are kept" in said[0]
    done = committed(out)
    assert 2 <= len(done) < 80
    summary = datagen.generate(corpus, out, progress=False)
    assert (summary.kept, summary.written) == (len(done), 80 - len(done))


def test_two_jobs_on_one_store(tmp_path, whole):
    """One works, the other says who does; the store is that of one job."""
    corpus, _, expected = whole
    out = tmp_path / "out.zarr"
    jobs = [command("generate", corpus, out, "--workers", 1) for _ in range(2)]
    results = sorted(ended(job)[::2] for job in jobs)
    codes = [code for code, _ in results]
    assert codes in ([0, 0], [0, 2])  # the second may come when the first is through
    if codes == [0, 2]:
        (line,) = results[1][1]
        assert "is being written by" in line
    assert hashes(out) == expected


def made_on(out, number, backend):
    """Let a commit record say that another backend made its shard."""
    path = commit_path(out, number)
    record = read_commit(out, number)
    del record[SEAL]
    path.write_bytes(render(seal({**record, "backend": backend}, SEAL)))


@pytest.mark.parametrize("numbers", [range(1, SHARDS, 2), [11]])
def test_another_backends_shards(half, numbers, capsys):
    """All of them, or the last one only: a store that was mixed knowingly."""
    corpus, out = half
    for number in numbers:
        made_on(out, number, "cuda")
    before = hashes(out)
    assert main(["generate", str(corpus), str(out), "--workers", "1", "--quiet"]) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and "has shards made with backend cuda (this is cpu)" in said.err
    after = hashes(out)
    assert all(after[name] == digest for name, digest in before.items() if name.endswith("/zarr.json"))
    assert datagen.generate(corpus, out, progress=False, mix=True).kept >= 6
    with pytest.raises(xsim.CorpusError, match="made with backend cuda"):
        datagen.generate(corpus, out, progress=False)
