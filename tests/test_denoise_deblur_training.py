"""Deblurring methods through trainer, restorer and figures, on a small corpus of a thin and a thick screen."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

import datagen
import xsim
from xsim import CorpusError, ModelError

torch = pytest.importorskip("torch")

import denoise  # noqa: E402
from denoise import deblur_figures, screen_pair  # noqa: E402
from denoise.evaluation import psnr_db  # noqa: E402
from denoise.mtf_blur import FREQUENCIES_PER_PX  # noqa: E402
from denoise.wiener import wiener  # noqa: E402

CORPUS = """
[corpus]
name = "pairs"
scenes = 8
seed = 4
shard_samples = 4
split = { train = 0.5, val = 0.25, test = 0.25 }
[source]
voltage_kv = 70
filters = [{ material = "Al", thickness_mm = 1.0 }]
[geometry]
sod_mm = 500
sdd_mm = 550
[acquisition]
quanta_per_pixel = { log_uniform = [300, 3000] }
[detector]
preset = "generic-gos-200um"
rows = 64
columns = 72
pitch_mm = 0.1
scintillator = { areal_density_mg_cm2 = 33.91, light_spread_h_mm2 = 0.09 }
sensor = { gain_adu_per_kev = 0.2 }
[detector.pair]
same_quanta = true
scintillator = { areal_density_mg_cm2 = 134.55, light_spread_h_mm2 = 0.75 }
[[body]]
name = "bar"
shape = "box"
size_mm = [{ uniform = [0.5, 2] }, 8, 2]
material = { choice = ["Al", "PVC"] }
rotation_deg = [0, 0, { uniform = [0, 180] }]
"""
QUICK = {"steps": 6, "batch": 4, "crop": 32, "learning_rate": 4e-3}
METHODS = ("cold_deblur", "regression_deblur", "diffusion_deblur")


def generated(folder: Path, text: str, name: str = "pairs") -> Path:
    (folder / f"{name}.toml").write_text(text)
    datagen.generate(folder / f"{name}.toml", folder / f"{name}.zarr", progress=False)
    return folder / f"{name}.zarr"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generated(tmp_path_factory.mktemp("corpus"), CORPUS)


@pytest.fixture(scope="module")
def models(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {
        name: denoise.train(corpus, name, folder / f"{name}.safetensors", progress=False, **QUICK) for name in METHODS
    }


@pytest.fixture(scope="module")
def frame() -> xsim.Radiograph:
    """What the thick screen sees; rows and columns are no multiples of four."""
    scene = {
        "source": {"voltage_kv": 70, "filters": [{"material": "Al", "thickness_mm": 1.0}]},
        "geometry": {"sod_mm": 500, "sdd_mm": 550},
        "acquisition": {"quanta_per_pixel": 2500},
        "detector": {
            "preset": "generic-gos-200um", "rows": 61, "columns": 70, "pitch_mm": 0.1,
            "scintillator": {"areal_density_mg_cm2": 134.55, "light_spread_h_mm2": 0.75},
            "sensor": {"gain_adu_per_kev": 0.2},
        },
        "body": [{"shape": "box", "size_mm": [2, 3, 2], "material": "Al", "rotation_deg": [0, 0, 30]}],
    }  # fmt: skip
    return xsim.simulate(xsim.scene_from_dict(scene), seed=5)


def restored(model: Path, frame: xsim.Radiograph) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*trained on.*")  # eight scenes
        return denoise.load(model, "cpu")(frame)


@pytest.mark.parametrize("method", METHODS)
def test_a_tiff_of_the_thick_screen_keeps_its_level_and_is_sharpened(
    method: str, models: dict[str, Path], frame: xsim.Radiograph, tmp_path: Path
) -> None:
    xsim.write_tiff(tmp_path / "in.tif", frame.noisy.astype(np.uint16), {"image": "noisy", **frame.metadata})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*trained on.*")
        out = denoise.apply(models[method], tmp_path / "in.tif", tmp_path / "out.tif")
    image, metadata = xsim.read_tiff(out)
    assert image.shape == frame.noisy.shape and metadata["restored_by"]["method"] == method
    assert image.mean(dtype=np.float64) == pytest.approx(frame.noisy.mean(dtype=np.float64), rel=1e-3)
    steepest = [np.abs(np.diff(each.astype(float), axis=1)).max() for each in (frame.noisy, image)]
    assert steepest[1] > 1.2 * steepest[0]


def test_the_same_frame_gives_the_same_image_and_training_the_same_weights(
    models: dict[str, Path], corpus: Path, frame: xsim.Radiograph, tmp_path: Path
) -> None:
    """Diffusion too: its noise is the seed's."""
    for name in ("cold_deblur", "diffusion_deblur"):
        again = denoise.train(corpus, name, tmp_path / f"{name}.safetensors", progress=False, **QUICK)
        assert np.array_equal(restored(models[name], frame), restored(again, frame))
    assert np.array_equal(restored(models["diffusion_deblur"], frame), restored(models["diffusion_deblur"], frame))


def test_models_know_the_conditions_of_the_frames_they_restore(models: dict[str, Path], corpus: Path) -> None:
    found = denoise.load(models["cold_deblur"]).configuration["conditions"]
    view = datagen.open_corpus(corpus).subset(split="train")
    quanta = view.params("quanta_per_pixel_pair")
    assert found["quanta_per_pixel"] == [quanta.min(), quanta.max()]
    assert (quanta > 1.5 * view.params("quanta_per_pixel")).all(), "the thick screen absorbs more"


def test_figures_of_the_linear_parts(models: dict[str, Path], corpus: Path) -> None:
    """The oracle Wiener filter on both kinds of frames; targets have the frame's level where the image is even."""
    store = datagen.open_corpus(corpus)
    settings = denoise.load(models["cold_deblur"]).configuration["settings"]
    noisy = deblur_figures.pair_cases(store, "generic-gos-200um-64x72", "test", settings)
    free = deblur_figures.noise_free(store, "generic-gos-200um-64x72", "test", noisy)
    for case, clean in zip(noisy, free, strict=True):
        assert np.array_equal(case.clean, clean.clean) and not np.array_equal(case.noisy, clean.noisy)
        level = np.percentile(case.clean[case.valid], 95) - case.params["offset_adu"]
        assert level == pytest.approx(case.flat_adu, rel=0.02)
        assert abs(np.mean(case.clean - clean.noisy)) < 3e-3 * level
    found = [deblur_figures.fidelity(deblur_figures.wiener_restore(cases, settings), cases) for cases in (free, noisy)]
    plain = [psnr_db(case.noisy, case) for case in noisy]
    assert np.mean(found[0]["psnr_db"]) > 50 > np.mean(found[1]["psnr_db"]) > np.mean(plain) + 2
    assert np.mean(found[0]["ssim"]) > 0.999 > np.mean(found[1]["ssim"])
    assert max(found[0]["level_shift_percent"]) < 0.02


def test_rulers_of_the_pair(corpus: Path) -> None:
    """The thick screen blurs by the ratio of the MTFs; its inverse gives the thin one back and does not overshoot."""
    pair = screen_pair.pair_of(datagen.open_corpus(corpus), "generic-gos-200um-64x72")
    larger = {"rows": 128, "columns": 128}
    pair = screen_pair.ScreenPair(
        *(
            scene.model_copy(update={"detector": scene.detector.model_copy(update=larger)})
            for scene in (pair.sharp, pair.blurred)
        ),
        pair.same_quanta,
    )
    found = deblur_figures.rulers(pair, frames=2)
    ratio = screen_pair.ratio_of(pair)
    inverse = np.zeros(len(ratio))
    thin = deblur_figures.sharpness(None, found, False)
    thick = deblur_figures.sharpness(lambda image, a, b: image, found, False)
    sharp = deblur_figures.sharpness(lambda image, a, b: wiener(image - 300.0, ratio, inverse) + 300.0, found, False)
    frequency = np.array(thin["frequency_per_mm"])
    seen = frequency < 4.0
    expected = np.interp(0.1 * frequency, FREQUENCIES_PER_PX, ratio)
    assert np.abs(np.array(thick["mtf"]) / np.array(thin["mtf"]) - expected)[seen].max() < 0.03
    assert np.abs(np.array(sharp["mtf"]) - np.array(thin["mtf"]))[seen].max() < 0.02
    assert thick["mtf_overshoot_percent"] < 1e-6 and sharp["mtf_overshoot_percent"] < 1.0
    assert thick["ctf"][0.25] < 0.5 * thin["ctf"][0.25] == pytest.approx(0.5 * sharp["ctf"][0.25], rel=0.05)
    doubled = deblur_figures.sharpness(
        lambda image, a, b: 2 * wiener(image - 300.0, ratio, inverse) - (image - 300.0) + 300.0,
        found,
        False,
    )
    assert doubled["mtf_overshoot_percent"] > 10.0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"residual": "halved"}, "unknown residual 'halved'"),
        ({"time_steps": 0}, "time_steps must be 1 or more"),
        ({"ddim_steps": 3}, "unknown setting 'ddim_steps'"),
    ],
)
def test_wrong_settings_are_told(settings: dict[str, object], words: str, corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=words):
        denoise.train(corpus, "cold_deblur", tmp_path / "m.safetensors", progress=False, **QUICK, **settings)
    assert not list(tmp_path.iterdir())


def test_corpora_without_a_thick_pair_are_refused(tmp_path: Path) -> None:
    alone = CORPUS[: CORPUS.index("[detector.pair]")] + CORPUS[CORPUS.index("[[body]]") :]
    swapped = CORPUS.replace("same_quanta = true", "").replace("h_mm2 = 0.75", "h_mm2 = 0.01")
    for name, text, words in (("alone", alone, "no .*_pair images"), ("swapped", swapped, "is the sharper screen")):
        store = generated(tmp_path, text, name)
        with pytest.raises(CorpusError, match=words):
            denoise.train(store, "cold_deblur", tmp_path / "m.safetensors", progress=False, **QUICK)
    assert not list(tmp_path.glob("*.safetensors"))
