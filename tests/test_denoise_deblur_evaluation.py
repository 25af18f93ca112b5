"""``denoise evaluate`` of deblurring models: its figures, its table and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import datagen
from xsim import CorpusError, ModelError

torch = pytest.importorskip("torch")

from test_denoise_deblur_training import CORPUS, QUICK, generated  # noqa: E402

import denoise  # noqa: E402
from denoise import cli, deblur_evaluation, deblur_figures  # noqa: E402
from denoise.deblur_evaluation import THICK, WIENER, judge_deblurring  # noqa: E402
from denoise.evaluation import judge  # noqa: E402

LARGER = CORPUS.replace("rows = 64", "rows = 128").replace("columns = 72", "columns = 128")
FORMAT = "generic-gos-200um-128x128"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generated(tmp_path_factory.mktemp("corpus"), LARGER)


@pytest.fixture(scope="module")
def model(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("model") / "sharp.safetensors"
    return denoise.train(corpus, "regression_deblur", out, progress=False, **QUICK)


@pytest.fixture(scope="module")
def plain(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that restores frames of the thin screen."""
    out = tmp_path_factory.mktemp("plain") / "plain.safetensors"
    return denoise.train(corpus, "noise_cnn", out, progress=False, steps=2, batch=4, crop=32)


def test_the_command_tells_what_the_figures_are(
    corpus: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "figures.json"
    assert cli.main(["evaluate", str(model), str(corpus), "--json", str(target)]) == 0
    said, found = capsys.readouterr().out, json.loads(target.read_text())
    assert found["images"] == sum(found["settings"].values()) > 0 and found["format"] == FORMAT
    restorer, store = denoise.load(model), datagen.open_corpus(corpus)
    cases = deblur_figures.pair_cases(store, FORMAT, "test", restorer.configuration["settings"])
    own = deblur_figures.fidelity(deblur_figures.as_restore(restorer), cases)
    rows = found["deblurred"]["noisy"]
    assert list(rows) == [THICK, WIENER, "sharp"]
    assert rows["sharp"]["psnr_db"]["value"] == pytest.approx(np.mean(own["psnr_db"]))
    assert rows[THICK]["gain_db"]["value"] == 0 and rows[WIENER]["gain_db"]["value"] > 2
    free = found["deblurred"]["noise-free"]
    assert free[WIENER]["ssim"]["value"] > rows[WIENER]["ssim"]["value"]
    thin = found["thin_screen"]["ctf"]["0.25"]
    assert free[THICK]["sharpness"]["ctf"]["0.25"] < 0.5 * thin < free[WIENER]["sharpness"]["ctf"]["0.25"]
    for name in (THICK, WIENER, "sharp", "thin screen", "noise-free"):
        assert name in said
    assert f"{rows['sharp']['psnr_db']['value']:.2f}" in said
    assert found["models"]["sharp"]["other_screens"] < 1e-6 and "other screens" not in said


def test_a_model_of_other_screens_is_told(corpus: Path, model: Path) -> None:
    restorer = denoise.load(model)
    settings = restorer.configuration["settings"]
    settings["mtf_ratio"] = [each**2 for each in settings["mtf_ratio"]]
    found = judge_deblurring({"sharp": restorer}, datagen.open_corpus(corpus))
    assert found.models["sharp"]["other_screens"] > 0.1
    assert "sharp was trained on other screens" in deblur_evaluation.deblurring_table(found)


def test_images_too_small_for_bars_are_judged_without_sharpness(model: Path, tmp_path: Path) -> None:
    small = generated(tmp_path, LARGER.replace("128", "36"))
    found = judge_deblurring({"sharp": denoise.load(model)}, datagen.open_corpus(small))
    assert found.thin is None and found.reason in deblur_evaluation.deblurring_table(found)
    assert len(found.deblurred["noisy"]["sharp"].psnr_db) == found.images


def test_what_cannot_be_judged_is_one_line(
    corpus: Path, model: Path, plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = generated(tmp_path, LARGER.replace("[detector.pair]\nsame_quanta = true", "[unused]").split("[unused]")[0])
    page = tmp_path / "page.html"
    for arguments, words in (
        ([model, corpus, "--page", page], "there is no page of deblurring models"),
        ([model, plain, corpus], "judge it without the others"),
        ([model, corpus, "--format", "none"], "none"),
        ([model, alone], "no [detector.pair]"),
    ):
        assert cli.main(["evaluate", *map(str, arguments)]) == 2
        said = capsys.readouterr()
        assert words in said.err and said.err.count("\n") == 1 and said.out == ""
    assert not page.exists()
    restorers = {"plain": denoise.load(plain)}
    with pytest.raises(ModelError, match="plain is no deblurring model"):
        judge_deblurring(restorers, datagen.open_corpus(corpus))
    with pytest.raises(ModelError, match="judge it without the others"):
        judge({"sharp": denoise.load(model)}, datagen.open_corpus(corpus), "test")
    empty = generated(
        tmp_path, LARGER.replace("128", "36").replace("val = 0.25, test = 0.25", "val = 0.5, test = 0.0"), "empty"
    )
    with pytest.raises(CorpusError, match="no test images"):
        judge_deblurring({"sharp": denoise.load(model)}, datagen.open_corpus(empty))
