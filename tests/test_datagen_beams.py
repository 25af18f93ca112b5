"""Corpora of few energies: fitted once, the same for every process, measured on every sample."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from test_datagen_store import FORMAT, hashes, small_corpus

import datagen
import xsim
from datagen.beams import read_beams
from datagen.commit import commit_path
from datagen.corpus_file import load_corpus
from datagen.sample import simulate_scene
from datagen.scenes import draw_scene
from datagen.store import read_root
from xsim.quadrature import BAR

VOLTAGE = ("voltage_kv = { uniform = [60, 140] }", "voltage_kv = { choice = [70, 90] }")
FILTER = ("{ uniform = [1, 4] }", "2")
COPPER = ("{ uniform = [0.1, 0.5] }", "0.2")
ASKED = ("[acquisition]\n", '[acquisition]\nenergies = "few"\n')
FEW = (VOLTAGE, FILTER, COPPER, ASKED, ("scenes = 11", "scenes = 6"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("few")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        corpus, out = small_corpus(folder, *FEW), folder / "out.zarr"
        datagen.generate(corpus, out, progress=False)
    return corpus, out


def test_a_fit_for_every_beam_that_is_drawn_stands_in_the_store(made):
    corpus, out = load_corpus(made[0]), datagen.open_corpus(made[1])
    drawn = [draw_scene(corpus, index)[0].scene for index in range(6)]
    beams = {json.dumps(scene.source.model_dump(mode="json")) for scene in drawn}
    fits = read_beams(out.description)
    assert 1 < len(fits) == len(beams)
    for fit in fits.values():
        assert fit.problem == "" and fit.nodes <= 9 and fit.bound <= BAR
        assert {"PMMA", "Al"} <= set(fit.materials)
    for sample in out.subset():
        assert sample["params"]["energies"] <= 9
        assert 0 < sample["params"]["energies_bound"] <= BAR
    assert np.isfinite(out.subset().params("energies_bound")).all()


def test_clean_images_are_those_of_all_energies_within_a_thousandth(made):
    corpus = load_corpus(made[0])
    for sample in datagen.open_corpus(made[1]).subset():
        scene = draw_scene(corpus, sample["params"]["scene"])[0].scene
        every = scene.model_copy(update={"acquisition": scene.acquisition.model_copy(update={"energies": "all"})})
        exact = xsim.simulate(every, backend="cpu", threads=1)
        light = exact.clean - exact.metadata["offset_adu"]
        assert (np.abs(sample["clean"] - exact.clean) <= BAR * light + 1 / 16).all()


def test_same_bytes_from_two_processes_and_a_cold_cache(made, tmp_path, monkeypatch):
    corpus, out = made
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cold"))
    datagen.generate(corpus, tmp_path / "two.zarr", workers=2, progress=False)
    assert hashes(tmp_path / "two.zarr") == hashes(out)


def test_a_resumed_run_takes_the_fits_of_the_store(made, tmp_path, monkeypatch):
    corpus, copy = made[0], tmp_path / "copy.zarr"
    shutil.copytree(made[1], copy)
    before = hashes(copy)
    commit_path(copy, 1).unlink()
    monkeypatch.setattr(xsim, "shared_quadratures", lambda _: pytest.fail("fitted again"))
    assert datagen.generate(corpus, copy, progress=False).written == 1
    assert hashes(copy) == before


def test_a_scene_whose_beam_was_not_fitted_keeps_all_its_bins(made):
    corpus = load_corpus(made[0])
    (sample,) = simulate_scene(corpus, 0, range(1), beams={}).samples
    scene = draw_scene(corpus, 0)[0].scene
    assert simulate_scene(corpus, 0, range(1), beams=read_beams(read_root(made[1]))).samples[0].params != sample.params
    every = scene.model_copy(update={"acquisition": scene.acquisition.model_copy(update={"energies": "all"})})
    assert np.array_equal(sample.images["clean"], xsim.simulate(every, backend="cpu", threads=1).clean)


def test_fits_that_were_changed_are_refused(made, tmp_path):
    copy = tmp_path / "copy.zarr"
    shutil.copytree(made[1], copy)
    root = json.loads((copy / "zarr.json").read_text())
    next(iter(root["attributes"]["datagen_corpus"]["quadratures"].values()))["weights"][0][0] *= 1.01
    (copy / "zarr.json").write_text(json.dumps(root))
    with pytest.raises(xsim.CorpusError, match=r"zarr\.json is not as it was written"):
        datagen.write_shard(made[0], copy, 0)
    # by their own hash too, in stores whose description had none
    with pytest.raises(xsim.CorpusError, match="few energies of this corpus are damaged"):
        read_beams(root["attributes"]["datagen_corpus"])


def test_a_corpus_that_draws_too_many_beams_is_refused(tmp_path):
    corpus = small_corpus(tmp_path, ASKED, ("scenes = 11", "scenes = 140"))
    with pytest.raises(xsim.CorpusError, match="more than 128 beams"):
        datagen.generate(corpus, tmp_path / "out.zarr", progress=False)
    assert not (tmp_path / "out.zarr").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.toml"]


def test_a_corpus_of_all_energies_says_nothing_of_few(tmp_path):
    corpus, out = small_corpus(tmp_path, ("scenes = 11", "scenes = 1")), tmp_path / "out.zarr"
    datagen.generate(corpus, out, progress=False)
    assert not [key for key in read_root(out) if "quadratures" in key]
    assert not [name for name in datagen.open_corpus(out).reader(FORMAT).columns if name.startswith("energies")]


def test_a_tube_with_heel_keeps_all_bins_and_says_so(tmp_path):
    heel = ("[source]\n", "[source]\nheel = true\nanode_direction = [1, 0, 0]\n")
    corpus, out = small_corpus(tmp_path, VOLTAGE, ASKED, heel, ("scenes = 11", "scenes = 2")), tmp_path / "out.zarr"
    datagen.generate(corpus, out, progress=False)
    assert read_beams(read_root(out)) == {}
    for sample in datagen.open_corpus(out).subset():
        scene = draw_scene(load_corpus(corpus), sample["params"]["scene"])[0].scene
        told = xsim.simulate(scene, backend="cpu", threads=1).metadata["energies"]
        assert "heel" in told["all_bins"] and told["nodes"] == told["bins"]
        assert (sample["params"]["energies"], sample["params"]["energies_bound"]) == (told["nodes"], 0.0)
