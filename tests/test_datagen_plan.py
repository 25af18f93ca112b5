import json
import math
from dataclasses import replace

import pytest
from test_datagen_corpus_file import written
from tiny_corpus import tiny_corpus

import datagen
from datagen.cli import main
from datagen.corpus_file import load_corpus
from datagen.layout import Layout
from datagen.plan import Rates, first_shards, in_turns, measure_rates, plan_corpus
from xsim import CorpusError

RATES = Rates("cpu", 64, seconds_a_sample=0.05, bytes_a_sample=1000.0, start_s=2.0, memory_bytes=10**8)


def corpus_of(tmp_path, scenes=1000, shard=10):
    file = written(tmp_path)
    known = load_corpus(file)
    return replace(known, header=known.header.model_copy(update={"scenes": scenes, "shard_samples": shard}))


def test_a_plan_scales_with_samples_and_workers(tmp_path):
    corpus = corpus_of(tmp_path)
    small = plan_corpus(corpus, RATES, samples=10_000, cores=(1, 10))
    large = plan_corpus(corpus, RATES, samples=1_000_000, cores=(1, 10))
    assert large.total_bytes == 100 * small.total_bytes
    one, ten = large.machines
    assert one.hours * 3600 == pytest.approx(2.0 + 1_000_000 * 0.05)
    assert (ten.hours * 3600 - 2.0) * 10 == pytest.approx(one.hours * 3600 - 2.0, rel=1e-4)
    assert ten.bytes_a_second == pytest.approx(large.total_bytes / (ten.hours * 3600))


def test_workers_beyond_the_shards_do_nothing(tmp_path):
    plan = plan_corpus(corpus_of(tmp_path, 100, 10), RATES, cores=(10, 1000))
    assert plan.shards == 10
    assert plan.machines[0].hours == plan.machines[1].hours


def test_hours_of_gpus_are_given_only_where_a_rate_is_known(tmp_path):
    corpus = corpus_of(tmp_path)
    assert {each.kind for each in plan_corpus(corpus, RATES, gpus=(1, 64)).machines} == {"core"}
    told = plan_corpus(corpus, RATES, cores=(), gpus=(1, 64), gpu_samples_s=100.0).machines
    assert [each.count for each in told] == [1, 64]
    assert told[0].hours * 3600 == pytest.approx(2.0 + 1000 / 100.0)
    on_gpu = replace(RATES, backend="cuda")
    assert {each.kind for each in plan_corpus(corpus, on_gpu, gpus=(1,)).machines} == {"GPU"}


def test_measured_bytes_and_files_are_those_of_the_store(tmp_path):
    file = written(tmp_path)
    corpus = load_corpus(file)
    rates = measure_rates(corpus, seconds=0.0)
    assert rates.backend == "cpu" and rates.samples >= 1 and rates.memory_bytes > 10**7
    datagen.generate(file, tmp_path / "out.zarr", progress=False)
    stored = sum(
        each["bytes"]
        for record in datagen.open_corpus(tmp_path / "out.zarr").commits
        for each in record["files"].values()
    )
    plan = plan_corpus(corpus, rates)
    assert plan.total_bytes == pytest.approx(stored, rel=0.2)
    assert plan.files == sum(each.is_file() for each in (tmp_path / "out.zarr").rglob("*"))
    with pytest.raises(CorpusError, match="time to measure"):
        measure_rates(corpus, seconds=math.nan)


def test_files_of_formats_that_hold_other_arrays(tmp_path):
    """One of two cameras has a pair, and so more arrays."""
    thick = "[detector.pair]\nscintillator = { areal_density_mg_cm2 = 134.55 }"
    more = f'[[detector]]\nname = "two"\npreset = "generic-gos-200um"\nrows = 32\ncolumns = 32\n{thick}\n[[detector]]'
    corpus = tiny_corpus(tmp_path, scenes=5)
    corpus.write_text(corpus.read_text().replace("[detector]", more))
    datagen.generate(corpus, tmp_path / "out.zarr", progress=False)
    plan = plan_corpus(load_corpus(corpus), RATES)
    assert plan.files == sum(each.is_file() for each in (tmp_path / "out.zarr").rglob("*"))


def test_every_shard_is_measured_in_turn(tmp_path):
    layout = Layout(corpus_of(tmp_path, 57, 8))
    assert sorted(in_turns(layout)) == list(range(layout.shards))
    assert in_turns(layout)[: len(first_shards(layout))] == first_shards(layout)


def test_the_command_prints_a_plan(tmp_path, capsys):
    assert main(["info", "--plan", str(written(tmp_path)), "--samples", "1000000", "--seconds", "0", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    # whole shards of 32 are measured, though the file asks for 4 scenes
    assert told["samples"] >= 1_000_000 and told["rates"]["samples"] == 32 and told["machines"][0]["kind"] == "core"


@pytest.mark.parametrize("wrong", [{"cores": (0,)}, {"gpus": (-1,)}, {"gpu_samples_s": 0.0}])
def test_impossible_machines_are_refused(tmp_path, wrong):
    with pytest.raises(CorpusError, match="must be"):
        plan_corpus(corpus_of(tmp_path), RATES, **wrong)


def test_options_of_a_plan_do_nothing_in_silence_to_a_store(tmp_path, capsys):
    assert main(["info", str(tmp_path), "--json"]) == 2
    assert "--json goes with --plan" in capsys.readouterr().err
    assert main(["info", str(tmp_path), "--gpu-rate", "3"]) == 2
    assert "--gpu-rate goes with --plan" in capsys.readouterr().err
