from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tiny_corpus import tiny_corpus

import datagen
from xsim import ModelError

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

import denoise  # noqa: E402
from denoise import dngan, noise_cnn  # noqa: E402
from denoise.checkpoint import read_checkpoint  # noqa: E402
from denoise.discriminator import Discriminator  # noqa: E402
from denoise.feature_training import FeatureSettings, train_features  # noqa: E402
from denoise.features import load_features  # noqa: E402
from denoise.generator import Generator  # noqa: E402
from denoise.methods import METHODS, Moment  # noqa: E402

QUICK = {"network.features": 4, "batch": 4, "crop": 32, "rival_features": 4, "rival_hidden": 16, "progress": False}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dngan")
    out = folder / "out.zarr"
    datagen.generate(tiny_corpus(folder, scenes=8, shard_samples=4), out, workers=1, progress=False)
    return out


@pytest.fixture(scope="module")
def feature_file(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("net") / "features.safetensors"
    train_features(corpus, path, FeatureSettings(widths=(4, 4, 4), steps=5, batch=4, crop=32), progress=False)
    return path


@pytest.fixture(scope="module")
def views(corpus: Path) -> list[datagen.CorpusView]:
    return [datagen.open_corpus(corpus).subset()]


@pytest.fixture(scope="module")
def settings(views: list[datagen.CorpusView], feature_file: Path) -> dict[str, Any]:
    told = {**dngan.OPTIONS, "crop": 32, "rival_features": 4, "rival_hidden": 16, "feature_file": str(feature_file)}
    return {**told, **dngan.prepare(views, told)}


@pytest.fixture
def batch(views: list[datagen.CorpusView]) -> dict[str, Any]:
    return dngan._some_crops(views, 32)


def moment(share: float, rival: nn.Module | None = None) -> Moment:
    return Moment(0, share, torch.Generator(), rival)


class Silent(nn.Module):
    """Finds no noise."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, z: Any) -> Any:
        return self.gain * z


class Undecided(Silent):
    def forward(self, z: Any) -> Any:
        return self.gain + torch.zeros(len(z), 1)


# the loss


def test_each_term_is_what_it_says(settings: dict[str, Any], batch: dict[str, Any]) -> None:
    restored, target, valid = dngan.compared(Silent(), batch, settings)
    found = dngan.terms(restored, target, valid.sum(), settings, Undecided())
    assert 0.9 < found["mse"].item() < 1.1, "noisy images in units of their noise"
    assert found["content"].item() == pytest.approx(1.0, rel=1e-4), "of what the unit was measured on"
    assert found["adversarial"].item() == pytest.approx(math.log(2.0))
    ramp = 3.0 * torch.arange(8.0).expand(2, 1, 8, 8)
    for power, step in ((2, 9.0), (1, 3.0)):
        flat = dngan.terms(ramp, ramp, torch.tensor(128), {**settings, "tv_power": power}, None, ("tv", "mse"))
        assert flat["tv"].item() == pytest.approx(step * 7 / 8) and flat["mse"].item() == 0


def test_content_is_felt_by_the_image_and_not_by_the_features(settings: dict[str, Any], batch: dict[str, Any]) -> None:
    restored, target, valid = dngan.compared(Silent(), batch, settings)
    restored = restored.detach().requires_grad_()
    dngan.terms(restored, target, valid.sum(), settings, None, ("content",))["content"].backward()
    assert restored.grad is not None and restored.grad.abs().max() > 0
    again = dngan.terms(target, target, valid.sum(), settings, None, ("content",))["content"]
    assert again.item() == 0


def test_loss_is_the_weighted_sum(settings: dict[str, Any], batch: dict[str, Any]) -> None:
    network, rival = Silent(), Undecided()
    terms = dngan.terms(*dngan.compared(network, batch, settings)[:2], batch["valid"].sum(), settings, rival)
    wanted = terms["mse"] + 0.125 * terms["content"] + 0.01 * terms["adversarial"] + 0.25 * terms["tv"]
    total, count = dngan.loss(network, batch, settings, moment(0.9, rival))
    assert count == batch["valid"].sum()
    torch.testing.assert_close(total / count, wanted)
    only = {**settings, "weight_mse": 0.0, "weight_content": 0.0, "weight_tv": 0.0, "weight_adversarial": 2.0}
    total, count = dngan.loss(network, batch, only, moment(0.9, rival))
    torch.testing.assert_close(total / count, 2.0 * terms["adversarial"])


def test_regression_alone_is_the_noise_predictor(settings: dict[str, Any], batch: dict[str, Any]) -> None:
    """Weights (1, 0, 0, 0) are noise_cnn's loss, and so is any before the pre-training is over."""
    network = Generator(4)
    wanted = noise_cnn.loss(network, batch, settings, moment(0.0))
    alone = {**settings, "weight_content": 0.0, "weight_adversarial": 0.0, "weight_tv": 0.0}
    for found in (
        dngan.loss(network, batch, alone, moment(0.9)),
        dngan.loss(network, batch, settings, moment(0.49)),
        dngan.loss(network, batch, {**alone, "weight_mse": 0.0, "weight_adversarial": 1.0}, moment(0.49)),
    ):
        torch.testing.assert_close(found[0], wanted[0])
        assert found[1] == wanted[1]
    total, count = dngan.loss(network, batch, settings, moment(0.5, Undecided()))
    assert total / count > 1.05 * wanted[0] / wanted[1]


def test_pixels_that_are_not_valid_say_nothing(settings: dict[str, Any], batch: dict[str, Any]) -> None:
    rival, network = Discriminator(32, 4, 16), Silent()
    masked = {**batch, "valid": batch["valid"].clone()}
    masked["valid"][..., 3:9, 20:30] = False
    wild = {**masked, "noisy": torch.where(masked["valid"], batch["noisy"], 60000.0)}
    for share in (0.1, 0.9):
        one, other = (dngan.loss(network, each, settings, moment(share, rival)) for each in (masked, wild))
        torch.testing.assert_close(one, other)
    pair = (dngan.rival_loss(rival, network, each, settings, moment(0.9)) for each in (masked, wild))
    torch.testing.assert_close(*pair)


def test_discriminator_is_asked_from_shortly_before_it_counts(settings: dict[str, Any], batch: dict[str, Any]) -> None:
    rival, network = Undecided(), Generator(4)
    total, count = dngan.rival_loss(rival, network, batch, settings, moment(0.41))
    assert total.item() == pytest.approx(2 * math.log(2.0) * len(batch["noisy"])) and count == len(batch["noisy"])
    total.backward()
    assert all(weight.grad is None for weight in network.parameters()), "it trains the discriminator alone"
    for idle in (moment(0.39), moment(0.9)):
        off = {**settings, "weight_adversarial": 0.0} if idle.share > 0.5 else settings
        total, count = dngan.rival_loss(rival, network, batch, off, idle)
        assert total.item() == 0 and count == 0


def test_discriminator_learns_to_tell_noisy_from_clean(settings: dict[str, Any], batch: dict[str, Any]) -> None:
    torch.manual_seed(0)
    rival, network = dngan.make_rival(settings), Silent()
    loud = {**batch, "noisy": batch["clean"] + 10.0 * (batch["noisy"] - batch["clean"])}
    optimizer = torch.optim.Adam(rival.parameters(), 1e-2, (0.9, 0.9))
    costs = []
    for _ in range(30):
        total, count = dngan.rival_loss(rival, network, loud, settings, moment(1.0))
        optimizer.zero_grad()
        (total / count).backward()
        optimizer.step()
        costs.append((total / count).item())
    assert costs[-1] < 0.5 * costs[0]


def test_prepare_refuses(views: list[datagen.CorpusView], settings: dict[str, Any], tmp_path: Path) -> None:
    cases = [
        ({"weight_tv": -1.0}, "weight_tv must not be negative"),
        ({"weight_tv": math.nan}, "weight_tv must not be negative"),
        ({name: 0.0 for name in dngan.WEIGHTS}, "all weights of dngan are 0"),
        ({"pretrain": 1.5}, "share of the run"),
        ({"rival_hidden": 0}, "rival_hidden must be 1 or more"),
        ({"tv_power": 3}, "tv_power is 1 or 2"),
        ({"feature_file": ""}, "make one with denoise features CORPUS"),
        ({"feature_file": str(tmp_path / "none.safetensors")}, "not read"),
    ]
    for wrong, message in cases:
        with pytest.raises(ModelError, match=message) as caught:
            dngan.prepare(views, {**settings, **wrong})
        assert "\n" not in str(caught.value)
    found = dngan.prepare(views, {**settings, "weight_content": 0.0, "feature_file": ""})
    assert "content_unit" not in found


# at work


@dataclass(frozen=True)
class Made:
    path: Path
    weights: dict[str, Any]
    told: dict[str, Any]


@pytest.fixture(scope="module")
def model(corpus: Path, feature_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    out = tmp_path_factory.mktemp("model") / "m.safetensors"
    denoise.train(corpus, "dngan", out, steps=8, feature_file=str(feature_file), **QUICK)
    return Made(out, *read_checkpoint(out))


def test_a_model_restores_without_its_features(model: Made, feature_file: Path, corpus: Path, tmp_path: Path) -> None:
    """The checkpoint holds the generator alone, and of the features their name and their file's hash."""
    assert set(model.weights) == set(Generator(4).state_dict())
    settings = model.told["settings"]
    assert settings["feature_sha256"] == load_features(feature_file).sha256
    assert settings["feature_name"] == "corpus-features-tiny-0" and settings["weight_tv"] == 0.25
    moved = feature_file.rename(tmp_path / "elsewhere.safetensors")
    try:
        sample = datagen.open_corpus(corpus).subset()[0]
        noise = (sample["params"]["a_pixel_adu"], sample["params"]["b_adu2"])
        restored = denoise.load(model.path)(sample["noisy"], *noise)
    finally:
        moved.rename(feature_file)
    assert restored.shape == sample["noisy"].shape and abs(restored.mean() / sample["noisy"].mean() - 1) < 1e-4


def test_training_is_repeated_bit_for_bit(model: Made, corpus: Path, feature_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "again.safetensors"
    denoise.train(corpus, "dngan", out, steps=8, feature_file=str(feature_file), **QUICK)
    again = read_checkpoint(out)[0]
    assert all(torch.equal(again[name], each) for name, each in model.weights.items())


def test_a_run_that_was_stopped_goes_on(
    model: Made, corpus: Path, feature_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the same bits, the feature file given as a relative name; and not at all with another feature file."""
    monkeypatch.chdir(feature_file.parent)
    out, settings = tmp_path / "m.safetensors", {"steps": 8, "feature_file": feature_file.name, **QUICK}
    terms, asked = dngan.terms, []

    def stopped(*arguments: Any) -> Any:
        asked.append(arguments)
        if len(asked) > 6:
            raise KeyboardInterrupt
        return terms(*arguments)

    monkeypatch.setattr(dngan, "terms", stopped)
    with pytest.raises(KeyboardInterrupt):
        denoise.train(corpus, "dngan", out, save_minutes=0.0, **settings)
    monkeypatch.setattr(dngan, "terms", terms)
    content = feature_file.read_bytes()
    dngan.opened.cache_clear()
    try:
        other = FeatureSettings(widths=(4, 4, 4), steps=1, batch=4, crop=32, seed=1)
        train_features(corpus, feature_file, other, overwrite=True, progress=False)
        with pytest.raises(ModelError, match="its sha256 differs"):
            denoise.train(corpus, "dngan", out, resume=True, **settings)
    finally:
        feature_file.write_bytes(content)
    denoise.train(corpus, "dngan", out, resume=True, **settings)
    again = read_checkpoint(out)[0]
    assert all(torch.equal(again[name], each) for name, each in model.weights.items())


def test_the_adversary_matters_only_after_the_pre_training(
    model: Made, corpus: Path, feature_file: Path, tmp_path: Path
) -> None:
    shared = {"steps": 8, "feature_file": str(feature_file), **QUICK}
    for name, options in (("a", {"weight_mse": 1.0}), ("b", {"weight_mse": 0.0}), ("c", {"weight_adversarial": 5.0})):
        denoise.train(corpus, "dngan", tmp_path / f"{name}.safetensors", **{**shared, "pretrain": 1.0, **options})
    found = [read_checkpoint(tmp_path / f"{name}.safetensors")[0] for name in "abc"]
    assert all(torch.equal(found[0][name], each[name]) for each in found[1:] for name in found[0])
    assert any(not torch.equal(model.weights[name], found[0][name]) for name in found[0])


def test_defaults_are_the_papers() -> None:
    assert METHODS["dngan"] is dngan.METHOD
    assert dngan.METHOD.options["betas"] == (0.9, 0.9) and dngan.METHOD.options["learning_rate"] == 1e-4
