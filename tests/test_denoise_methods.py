"""Methods by name, and what their losses and inverses promise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_corpus import tiny_corpus

import datagen

torch = pytest.importorskip("torch")

import denoise  # noqa: E402
from denoise import vst  # noqa: E402
from denoise.methods import METHODS, Method, Moment, method_named  # noqa: E402
from xsim import ModelError  # noqa: E402

MOMENT = Moment(0, 0.0, torch.Generator())


def test_methods_and_torch_are_imported_when_asked_for() -> None:
    """And ``denoise.train``, the name of a module and of a function, is called whatever was imported first."""
    code = """
import sys, denoise, denoise.cli
assert 'torch' not in sys.modules
import denoise.methods as methods
assert 'noise_cnn' in methods.METHODS and 'denoise.noise_cnn' not in sys.modules
methods.METHODS['noise_cnn']
assert 'denoise.noise_cnn' in sys.modules and 'denoise.noise2noise' not in sys.modules
import denoise.train, xsim
try:
    denoise.train('none.zarr', 'none')
except xsim.ModelError:
    print('told')
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "told\n", done.stderr
    from denoise import train

    assert train is denoise.train and train.train.__doc__


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_is_whole(name: str) -> None:
    method = METHODS[name]
    assert isinstance(method, Method) and method.source in method.images and method.network


def test_unknown_methods_are_told() -> None:
    with pytest.raises(ModelError, match=r"unknown method 'bm4d' \(known: .*noise_cnn"):
        method_named("bm4d")


def poisson_pair(level_adu: float, a: float, b: float) -> dict[str, torch.Tensor]:
    """Two exposures of an even field to quanta of a ADU each, Var x = a x + b."""
    generator = torch.Generator().manual_seed(1)
    shape = (1, 1, 1000, 1000)
    quanta = torch.full(shape, (level_adu + b / a) / a)
    noisy, repeat = (a * torch.poisson(quanta, generator) - b / a for _ in range(2))
    valid = torch.ones(shape, dtype=torch.bool)
    told = {
        f"{name}{suffix}": torch.full((1, 1, 1, 1), value)
        for name, value in (("a", a), ("b", b))
        for suffix in ("", "_repeat")
    }
    return {"noisy": noisy, "noisy_repeat": repeat, "valid": valid, "valid_repeat": valid.clone(), **told}


def test_noise2noise_learns_the_mean_and_inverts_it_without_bias() -> None:
    """The best network gives the mean of T(repeat): its loss is then the noise's variance, and E[x] comes back."""
    method, settings = METHODS["noise2noise"], {"domain": "vst"}
    a, b, level = 4.0, -200.0, 130.0  # 20 quanta
    batch = poisson_pair(level, a, b)
    mean = vst.forward(batch["noisy_repeat"], a, b).mean()

    def best(z: torch.Tensor) -> torch.Tensor:
        return z - mean

    total, terms = method.loss(best, batch, settings, MOMENT)
    assert terms == 1000 * 1000 and float(total / terms) == pytest.approx(1.0, abs=0.03)
    restored = method.restore(best, batch["noisy"], batch["a"], batch["b"], settings)
    assert float(restored.mean()) == pytest.approx(level, abs=0.1 * a)
    algebraic = vst.inverse(mean, a, b)
    assert abs(float(algebraic) - level) > 0.2 * a, "the other inverse is off by a quarter of a"


def test_noise2noise_asks_only_what_is_valid_in_both() -> None:
    method, batch = METHODS["noise2noise"], poisson_pair(500.0, 1.0, 0.0)
    batch["valid"][..., :300, :] = False
    batch["valid_repeat"][..., 700:, :] = False
    lies = {
        name: torch.where(batch["valid"] & batch["valid_repeat"], batch[name], 1e6)
        for name in ("noisy", "noisy_repeat")
    }
    first, other = (
        method.loss(lambda z: 0 * z, each, {"domain": "vst"}, MOMENT) for each in (batch, {**batch, **lies})
    )
    assert first == other and first[1] == 400 * 1000


def test_noise2noise_trains_on_repeats(tmp_path: Path) -> None:
    """Without any clean image it comes closer to the clean ones than the noisy ones are."""
    datagen.generate(tiny_corpus(tmp_path, more='store = ["repeat"]'), tmp_path / "s.zarr", progress=False)
    told = {"steps": 40, "batch": 8, "crop": 24, "learning_rate": 1e-2, "warm_up": 5}
    model = denoise.load(
        denoise.train(tmp_path / "s.zarr", "noise2noise", tmp_path / "m.safetensors", progress=False, **told)
    )
    errors = []
    for sample in datagen.open_corpus(tmp_path / "s.zarr").subset(split="train"):
        a, b = (np.full_like(sample["noisy"], sample["params"][name]) for name in ("a_pixel_adu", "b_adu2"))
        restored = model.restore(sample["noisy"], a, b, 0)
        errors.append([float(np.mean((each - sample["clean"]) ** 2)) for each in (sample["noisy"], restored)])
    noisy, left = np.mean(errors, axis=0)
    assert left < 0.8 * noisy
