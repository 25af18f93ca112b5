"""What a job takes and tells: memory that does not grow with the plan, progress, draws that fail."""

import json
import os
import subprocess
import sys
import termios
import threading
import time

import pytest
from tiny_corpus import committed, tiny_corpus

import datagen
import xsim
from datagen.cli import main
from datagen.corpus_file import load_corpus
from datagen.progress import Progress
from datagen.summary import Summary

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


@pytest.mark.parametrize("most", [10_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
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
