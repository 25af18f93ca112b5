"""DNGAN trained towards frames of a higher dose."""

from __future__ import annotations

from pathlib import Path

import pytest

import datagen
from xsim import CorpusError

torch = pytest.importorskip("torch")

import denoise  # noqa: E402
from denoise import dngan, dngan_dose  # noqa: E402
from denoise.checkpoint import read_checkpoint  # noqa: E402

DOSE = """
[corpus]
name = "dose"
scenes = 2
[source]
voltage_kv = 100
current_ma = 2
filters = [{ material = "Al", thickness_mm = 2.0 }]
[geometry]
sod_mm = 500
sdd_mm = 900
[acquisition]
exposure_s = 0.01
[detector]
preset = "generic-gos-200um"
rows = 48
columns = 48
sensor = { gain_adu_per_kev = 0.01 }
[[body]]
name = "ball"
shape = "sphere"
radius_mm = 2
material = "Al"
[second_exposure]
"""


def dose_views(folder: Path, second: str) -> list[datagen.CorpusView]:
    (folder / "dose.toml").write_text(DOSE + second)
    datagen.generate(folder / "dose.toml", folder / "out.zarr", workers=1, progress=False)
    return [datagen.open_corpus(folder / "out.zarr").subset()]


@pytest.mark.parametrize("ratio", [20, 50])
def test_the_high_dose_is_brought_to_the_scale_of_the_low_one(tmp_path: Path, ratio: int) -> None:
    """Its mean is the clean image of the low dose, and its noise that of a part 1 / ratio of the variance."""
    [view] = dose_views(tmp_path, f"voltage_kv = 100\ncurrent_ma = {2 * ratio}")
    sample = view[0]
    params = sample["params"]
    assert params["exposure_mas_second"] == pytest.approx(ratio * params["exposure_mas"])
    batch = {name: torch.from_numpy(sample[name]) for name in dngan_dose.METHOD.images}
    batch |= {name: torch.tensor(params[name]).float() for name in dngan_dose.METHOD.scalars}
    image, valid = dngan.wanted(batch)
    assert valid.float().mean() > 0.99
    clean, _ = dngan.wanted({**batch, "noisy_second": torch.from_numpy(sample["clean_second"])})
    assert (clean - torch.from_numpy(sample["clean"])).abs().max() < 0.1, "clean images lie on a grid of 1/16"
    noise = (image - clean)[valid].double()
    quanta = params["a_pixel_adu"] * (clean - params["offset_adu"])[valid].double().mean()
    read = params["read_noise_adu"] ** 2
    assert noise.var().item() == pytest.approx(quanta.item() / ratio + read / ratio**2, rel=0.1)


def test_only_dose_pairs_are_taken_as_such(tmp_path: Path) -> None:
    for name, second, message in (
        ("beam", "voltage_kv = 60", "another voltage"),
        (
            "filter",
            "voltage_kv = 100\ncurrent_ma = 40\nfilters = [{ material = 'Cu', thickness_mm = 0.5 }]",
            "another mean energy",
        ),
        ("dose", "voltage_kv = 100\ncurrent_ma = 3", "are no high dose"),
    ):
        (tmp_path / name).mkdir()
        views = dose_views(tmp_path / name, second)
        with pytest.raises(CorpusError, match=message):
            dngan_dose.prepare(views, {**dngan.OPTIONS, "weight_content": 0.0, "crop": 32})


def test_training_needs_no_clean_image(tmp_path: Path) -> None:
    [view] = dose_views(tmp_path, "voltage_kv = 100\ncurrent_ma = 40")
    assert "clean" not in dngan_dose.METHOD.images
    out = tmp_path / "m.safetensors"
    settings = {"weight_content": 0.0, "rival_features": 4, "rival_hidden": 8, "network.features": 4}
    denoise.train(view.corpus.path, "dngan_dose", out, steps=3, batch=2, crop=32, progress=False, **settings)
    assert read_checkpoint(out)[1]["settings"]["dose_ratio"] == pytest.approx([20.0, 20.0])
