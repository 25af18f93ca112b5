"""``denoise evaluate`` from corpus to page, and what it refuses."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

import datagen
import xsim
from xsim import CorpusError, ModelError

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

import denoise
from denoise import station
from denoise.cases import by_setting, corpus_cases
from denoise.cli import main
from denoise.evaluation import judge, restored_all
from denoise.evaluation_page import write_evaluation_page
from denoise.evaluation_table import numbers, table

CORPUS = """
[corpus]
name = "block"
scenes = 14
seed = 5
shard_samples = 7
split = {{ train = 0.3, val = 0.0, test = 0.7 }}
[source]
energy_kev = 60.0
[geometry]
sod_mm = 600
sdd_mm = 900
[acquisition]
quanta_per_pixel = {{ log_uniform = [200, 2000] }}
{state}
[[detector]]
preset = "generic-gos-200um"
rows = 112
columns = 112
{detector}
[[body]]
name = "block"
shape = "box"
size_mm = [14, 14, 5]
material = "PMMA"
[[body]]
name = "ball"
shape = "sphere"
count = 6
radius_mm = {{ log_uniform = [0.2, 1.2] }}
material = "Al"
target = {target}
inside = "block"
apart_mm = 0.2
"""


def made(folder, name="block", state="", detector="", target="true"):
    """Store of a small corpus."""
    (folder / f"{name}.toml").write_text(CORPUS.format(state=state, detector=detector, target=target))
    datagen.generate(folder / f"{name}.toml", folder / f"{name}.zarr", progress=False)
    return folder / f"{name}.zarr"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return made(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def model(store):
    out = store.parent / "little.safetensors"
    return denoise.train(store, out=out, steps=2, crop=32, batch=4, progress=False)


@pytest.fixture(scope="module", autouse=True)
def few_frames():
    """Test objects of few exposures: enough for the edge of high contrast, whose figures are looked at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(station.FRAMES, "high", 6)
        patch.setitem(station.FRAMES, "low", 2)
        yield


@pytest.fixture(scope="module")
def evaluation(store, model):
    restorer = denoise.load(model)
    better = replace(restorer, name="better.safetensors")
    corpus = datagen.open_corpus(store)
    return judge({"little": restorer, "again": better}, corpus, "test", ("Gaussian",))


def test_images_outside_the_training_are_told_by_what_the_corpus_says_of_them(evaluation, model):
    restorer, cases = denoise.load(model), evaluation.cases[:2]
    for limits, count in (([0.0, 1e9], 0), ([1e8, 1e9], 2)):
        told = {**restorer.configuration, "conditions": {"read_noise_quanta": limits}}
        other = replace(restorer, configuration=told)
        found = list(restored_all({"m": other}, cases, by_setting(cases), 0, (), lambda name: None))
        assert [each.outside for each in found if each.name == "m"] == [count]


def test_models_stand_beside_noisy_filters_and_clean(evaluation):
    assert list(evaluation.restorations) == ["noisy", "Gaussian", "little", "again", "clean"]
    found = numbers(evaluation)
    json.dumps(found, allow_nan=False)
    rows = found["restorations"]
    assert rows["little"]["psnr_db"] == rows["again"]["psnr_db"]
    assert rows["noisy"]["gain_over_noisy_db"]["value"] == 0.0
    gaussian = rows["Gaussian"]
    assert gaussian["gain_over_noisy_db"]["value"] > 3
    assert gaussian["worst_setting"]["gain_over_noisy_db"] == min(gaussian["gain_by_setting_db"].values())
    assert sum(found["settings"].values()) == found["images"] == len(evaluation.cases)
    assert rows["clean"]["contaminants"]["true_positive_rate"]["value"] >= 0.8
    assert found["contaminants"] > 20


def test_sharpness_is_that_of_the_corpus_camera(evaluation):
    """A Gaussian's MTF is known; the noisy image's is the clean one's; the camera is that of the corpus."""
    before = evaluation.objects.station
    assert before.scene.detector.rows == 112 and 200 <= before.quanta_per_pixel <= 2000
    transfer = evaluation.transfer
    sigma_mm = 0.2 * evaluation.restorations["Gaussian"].tuning[
        next(name for name, places in evaluation.settings.items() if any(
            evaluation.cases[k].params["quanta_per_pixel"] == before.quanta_per_pixel for k in places))
    ]  # fmt: skip
    f = np.linspace(0.1, 1.0, 7)
    own = transfer["clean"].mtf["high"].at(f)
    assert transfer["Gaussian"].mtf["high"].at(f) / own == pytest.approx(
        np.exp(-2 * (np.pi * sigma_mm * f) ** 2), abs=0.05
    )
    assert transfer["noisy"].mtf["high"].at(f) == pytest.approx(own, abs=0.06)
    power = {name: each.noise.along_u.nps_adu2_mm2 for name, each in transfer.items()}
    assert (power["Gaussian"][-3:] < 0.1 * power["noisy"][-3:]).all()


def test_the_scene_of_a_sample_is_drawn_again_as_it_was(store):
    corpus = datagen.open_corpus(store)
    cases = corpus_cases(corpus, "test")
    found = station.station_of(corpus, cases, 3)
    case = cases[3]
    clean = xsim.simulate(found.scene, seed=int(case.params["seed"])).clean
    assert np.array_equal(clean, case.clean)


def test_the_page_shows_it_all_and_fetches_nothing(evaluation, tmp_path):
    write_evaluation_page(tmp_path / "page.html", evaluation)
    page = (tmp_path / "page.html").read_text()
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []
    heads = re.findall(r"<h2>(.*?)</h2>", page)
    assert heads == [
        "In short", "The figures", "What it looks like", "Contaminants found by a threshold", "Sharpness and noise",
        "Structure in what was taken away", "By setting", "How it was measured",
    ]  # fmt: skip
    # of each of three images one marked picture, clean and four others, noise and three residuals, three errors
    assert page.count("<img ") == 3 * (1 + 5 + 4 + 3) + 3
    assert "LOSES" in page and "little" in page  # two steps of training gain nothing
    lines = table(evaluation).splitlines()
    assert lines[3].startswith("little") and "%" in lines[0]


def test_the_command_writes_json_and_page_and_overwrites_nothing(store, model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("denoise.restorations.FILTERS", ("median",))
    out, page = tmp_path / "figures.json", tmp_path / "page.html"
    line = ["evaluate", str(model), str(store), "--split", "train", "--json", str(out)]
    assert main(line) == 0
    assert json.loads(out.read_text())["restorations"]["median"]["kind"] == "filter"
    assert "little" in capsys.readouterr().out
    page.write_text("mine")
    assert main([*line[:-2], "--page", str(page)]) == 2
    assert page.read_text() == "mine" and capsys.readouterr().err.count("\n") == 1


def refused(capsys, *arguments):
    """The one line that a command is refused in."""
    assert main(["evaluate", *map(str, arguments)]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    return said[-1]


def test_what_cannot_be_judged_is_refused_in_one_line(store, model, tmp_path, capsys):
    assert "no samples in split 'val'" in refused(capsys, model, store, "--split", "val")
    assert "given twice" in refused(capsys, model, model, store)
    assert "no format 'panel'" in refused(capsys, model, store, "--format", "panel")
    corrected = made(tmp_path, state='state = "flat_field_corrected"')
    assert "flat_field_corrected: little was not trained on that" in refused(capsys, model, corrected)
    assert list(tmp_path.glob("*.html")) == []


def test_what_cannot_be_measured_is_said_and_the_rest_is(model, tmp_path, monkeypatch):
    """No contaminants, and no station to put test objects before."""
    monkeypatch.setattr("denoise.evaluation.station_or_reason", lambda *_: (None, "its camera file is not there"))
    corpus = datagen.open_corpus(made(tmp_path, target="false"))
    found = judge({"little": denoise.load(model)}, corpus, "test", ("Gaussian",))
    row = numbers(found)["restorations"]["little"]
    assert found.hunted is None and row["contaminants"] is None and row["transfer"] is None
    assert "no contaminants to find" in table(found)
    assert "no figures of sharpness: its camera file is not there" in table(found)
    write_evaluation_page(tmp_path / "page.html", found)
    page = (tmp_path / "page.html").read_text()
    assert "no figures of detection" in page and "Not measured: its camera file is not there" in page


def test_models_of_other_images_are_compared_with_those(store, model):
    restorer = denoise.load(model)
    pair = replace(restorer, method=replace(restorer.method, target="clean_pair"))
    corpus = datagen.open_corpus(store)
    with pytest.raises(CorpusError, match="no clean_pair"):
        judge({"deblur": pair}, corpus)
    with pytest.raises(ModelError, match="restore different images"):
        judge({"little": restorer, "deblur": pair}, corpus)
    with pytest.raises(ModelError, match="called 'median'"):
        judge({"median": restorer}, corpus)


def test_a_pair_is_judged_by_its_own_clean_image_and_dose(tmp_path):
    thick = "[detector.pair]\nscintillator = { areal_density_mg_cm2 = 200.0 }"
    corpus = datagen.open_corpus(made(tmp_path, detector=thick))
    cases = corpus_cases(corpus, "test", "clean_pair")
    view = corpus.subset(split="test")
    assert np.array_equal(cases[0].clean, view.sample(0, ("clean_pair",))["clean_pair"])
    assert cases[0].params["quanta_per_pixel"] == view[0]["params"]["quanta_per_pixel_pair"]
    assert np.percentile(cases[0].clean - cases[0].params["offset_adu"], 99) == pytest.approx(
        cases[0].flat_adu, rel=0.05
    )
