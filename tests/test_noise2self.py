"""Noise2Self: what a masked pixel sees, the noise of decorrelated images, the kernel of a corpus, the leak alarm."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import signal
from test_decorrelation import GAIN, OFFSET, laplace, simulated
from tiny_corpus import tiny_corpus

import datagen
from xsim import CorpusError, MeasurementError, ModelError

torch = pytest.importorskip("torch")

import denoise  # noqa: E402
from denoise import corpus_noise, noise2self, vst  # noqa: E402
from denoise.batches import Batches  # noqa: E402
from denoise.decorrelation import decorrelated, reblurred, variance_factor, whitening_taps  # noqa: E402
from denoise.kernel_file import write_kernel  # noqa: E402
from denoise.methods import METHODS, Moment  # noqa: E402
from denoise.networks import make_network  # noqa: E402

WHITE = {"kernel": None, "taps": None, "variance_factor": 1.0}
OPTIONS = {**METHODS["noise2self"].options, **WHITE}
QUICK = {"batch": 8, "crop": 32, "learning_rate": 1e-2, "progress": False, "network.features": 8}


def of_kernel(h: np.ndarray) -> dict[str, Any]:
    found = {"kernel": h.tolist(), "taps": whitening_taps(h).tolist(), "variance_factor": variance_factor(h)}
    return {**OPTIONS, **found}


def generated(folder: Path, light: float | None, scenes: int = 24, more: str = 'store = ["repeat"]') -> Path:
    """A tiny corpus on 48 x 48 pixels; ``light``: spread of the screen's light, mm2."""
    path = tiny_corpus(folder, scenes=scenes, shard_samples=8, pixels=48, more=more)
    text = path.read_text().replace(
        "target_gv = { uniform = [0.2, 0.8] }", "quanta_per_pixel = { uniform = [100, 300] }"
    )
    if light is not None:
        screen = f"\n[detector.scintillator]\nlight_spread_h_mm2 = {light}\n[[body]]"
        text = text.replace("\n[[body]]", screen, 1)
    path.write_text(text)
    datagen.generate(path, folder / "out.zarr", progress=False)
    return folder / "out.zarr"


@pytest.fixture(scope="module")
def spread(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generated(tmp_path_factory.mktemp("spread"), 0.6)


@pytest.fixture(scope="module")
def white(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generated(tmp_path_factory.mktemp("white"), 0.0)


# the mask


def test_a_masked_pixel_is_not_seen_at_all() -> None:
    network = make_network("unet", level_free=True, features=4)
    z = torch.randn(1, 1, 20, 24, requires_grad=True)
    for phase in (0, 6, 15):
        mask = noise2self.grid(z, phase)
        estimate = noise2self.predicted(network, z, mask)
        for row, column in mask.nonzero().tolist()[::6]:
            (slope,) = torch.autograd.grad(estimate[0, 0, row, column], z, retain_graph=True)
            assert slope[0, 0, row, column] == 0 and slope.abs().sum() > 0


def test_phases_of_the_grid_take_every_pixel_once() -> None:
    z = torch.zeros(1, 1, 19, 22)
    assert torch.equal(sum(noise2self.grid(z, step).int() for step in range(3, 19)), torch.ones(19, 22).int())


def test_pixels_that_are_not_valid_are_not_asked_and_not_spread() -> None:
    rng = np.random.default_rng(0)
    noisy = torch.tensor(rng.normal(1000.0, 5.0, (2, 1, 40, 40)), dtype=torch.float32)
    valid = torch.ones(noisy.shape, dtype=torch.bool)
    valid[0, 0, 17, 20] = False
    batch = {"noisy": noisy, "valid": valid, "a": torch.full((2, 1, 1, 1), 1.0), "b": torch.zeros(2, 1, 1, 1)}
    network, moment = make_network("unet", level_free=True, features=4), Moment(5, 0.0, torch.Generator())
    before = noise2self.loss(network, batch, of_kernel(laplace(0.5)), moment)
    noisy[0, 0, 17, 20] = 65535.0
    after = noise2self.loss(network, batch, of_kernel(laplace(0.5)), moment)
    assert torch.equal(before[0], after[0]) and torch.equal(before[1], after[1]) and before[1] > 50


# the noise of decorrelated images


@pytest.mark.parametrize("read_adu", [0.0, 40.0])
def test_noise_of_the_decorrelated_image_is_the_model_times_its_factor(read_adu: float) -> None:
    """sd of T is 1 within 2 % with a and b times the factor, and 1 / sum h^2 is that factor without read noise."""
    h = laplace(0.5)
    frames = simulated(6, 160, h, read_adu, seed=3)
    a, b = GAIN * (h**2).sum(), read_adu**2 - OFFSET * GAIN * (h**2).sum()
    kernel = h
    if read_adu:
        covariance = np.pad(signal.convolve2d(h, h) * 200 * GAIN**2, 0)
        covariance[6, 6] += read_adu**2
        kernel = denoise.decorrelation.noise_kernel(covariance / covariance[6, 6])
    else:
        assert variance_factor(h) == pytest.approx(1 / (h**2).sum(), rel=1e-3)
    white, slope, shift = noise2self.whitened(torch.tensor(frames)[:, None], a, b, of_kernel(kernel))
    z = vst.forward(white.numpy()[:, 0], slope, shift)[:, 12:-12, 12:-12]
    noise = (z - z.mean(axis=0)) * np.sqrt(6 / 5)
    assert noise.std() == pytest.approx(1.0, abs=0.02)
    assert abs((noise[:, :, 1:] * noise[:, :, :-1]).mean()) < 0.02


def test_convolutions_are_those_of_the_transform() -> None:
    h = laplace(0.5)
    image = np.random.default_rng(1).normal(1000.0, 30.0, (60, 70))
    told, tensor = of_kernel(h), torch.tensor(image)[None, None]
    there = noise2self.whitened(tensor, 1.0, 0.0, told)[0]
    assert np.abs(there.numpy()[0, 0] - decorrelated(image, h)).max() < 0.01 * 30 * told["variance_factor"] ** 0.5
    assert np.abs(noise2self.convolved(tensor, told["kernel"]).numpy()[0, 0] - reblurred(image, h)).max() < 1e-6
    plain = noise2self.convolved(tensor.float(), told["taps"])
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(noise2self.convolved(tensor.float(), told["taps"]), plain)


def test_a_restored_pixel_depends_on_no_more_than_its_radius() -> None:
    network = make_network("dncnn", level_free=True, features=4, layers=3).double()
    for settings in (of_kernel(laplace(0.5)), {**of_kernel(laplace(0.5)), "invariant": False}, OPTIONS):
        reach = noise2self.radius(network, settings)
        image = torch.full((1, 1, 2 * reach + 8, 24), 500.0, dtype=torch.float64)
        image += 5 * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
        other = image.clone()
        other[..., -4:, :] += 50.0
        both = [noise2self.restore(network, each, torch.tensor(1.0), torch.tensor(0.0), settings)
                for each in (image, other)]  # fmt: skip
        row = image.shape[2] - 4 - reach
        assert torch.equal(both[0][..., :row, :], both[1][..., :row, :])
        assert not torch.equal(both[0][..., -8:, :], both[1][..., -8:, :])


# the kernel of a corpus


def test_a_network_that_sees_the_whole_image_has_no_radius() -> None:
    assert noise2self.radius(SimpleNamespace(radius=None, multiple=1), of_kernel(laplace(0.5))) is None


def test_kernel_of_a_corpus_is_found_in_its_repeats(spread: Path, white: Path) -> None:
    views = [datagen.open_corpus(path).subset(split="train") for path in (spread, white)]
    coefficient, pixels = corpus_noise.corpus_correlation(views[0])
    squares = float(views[0].params("kernel_sum_squares")[0])
    theory = 100 / squares
    assert 100 * coefficient.sum() == pytest.approx(theory, abs=4 * theory * np.sqrt(169 / pixels))
    kernel = corpus_noise.corpus_kernel([views[0]])
    assert kernel is not None and (kernel**2).sum() == pytest.approx(squares, rel=0.1)
    assert corpus_noise.corpus_kernel([views[1]]) is None
    with pytest.raises(CorpusError, match="train on frames of one camera"):
        corpus_noise.corpus_kernel(views)


def test_kernel_of_a_corpus_is_found_in_static_frames(tmp_path: Path, spread: Path) -> None:
    path = generated(tmp_path, 0.6, scenes=8, more="frames_per_scene = 4")
    found, there = (corpus_noise.corpus_correlation(datagen.open_corpus(each).subset(split="train"))
                    for each in (path, spread))  # fmt: skip
    assert np.abs(found[0] - there[0]).max() < 5 * np.sqrt(3 * (1 / found[1] + 1 / there[1]))


def test_flat_regions_give_back_what_the_trend_took() -> None:
    """Shaded images: a fitted trend takes nearly all of the sum of the correlation, which the solution restores."""
    h, noise = laplace(0.5), []
    a = GAIN * (h**2).sum()
    for k in range(12):
        image = simulated(1, 256, h, seed=10 + k)[0]
        sample = {"noisy": image, "valid": np.ones(image.shape, bool)}
        noise.append(corpus_noise._block_noise({**sample, "params": {"a_pixel_adu": a, "b_adu2": -OFFSET * a}}, None))
    products, pixels = corpus_noise._of_flat(noise)
    solved = np.linalg.solve(corpus_noise._trend_share(), products.ravel()).reshape(13, 13)
    error = 3 * 489.6 * np.sqrt(169 / pixels)
    assert 100 * (products.sum() / products[6, 6] - 1) < 0
    assert 100 * (solved.sum() / solved[6, 6] - 1) == pytest.approx(389.6, abs=error)


# training


def trained(corpus: Path, folder: Path, **settings: Any) -> Any:
    model = denoise.train(corpus, "noise2self", folder / "m.safetensors", overwrite=True, **{**QUICK, **settings})
    return denoise.load(model)


def test_leak_alarm_fires_on_correlated_noise_only(spread: Path, white: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="noise is correlated and is being learnt"):
        trained(spread, tmp_path, steps=120, decorrelate=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path, steps in ((spread, 40), (white, 120)):
            restorer = trained(path, tmp_path, steps=steps)
            assert restorer.configuration["training"]["val_loss"] > 0.95
            assert (restorer.configuration["settings"]["kernel"] is None) == (path == white)


def test_each_loss_and_form_trains_and_restores(spread: Path, tmp_path: Path) -> None:
    sample = datagen.open_corpus(spread).subset(split="test")[0]
    a, b = (sample["params"][name] for name in ("a_pixel_adu", "b_adu2"))
    restored = {}
    for settings in ({"noise2self_loss": "weighted"}, {"form": "sharp"}, {"invariant": False}):
        restorer = trained(spread, tmp_path, steps=20, **settings)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            restored[next(iter(settings))] = restorer(sample["noisy"], a, b, "raw")
    for image in restored.values():
        assert image.mean() == pytest.approx(sample["noisy"].mean(), rel=2e-3)


def test_bad_settings_are_told(spread: Path, tmp_path: Path) -> None:
    for settings, message in (({"form": "blurred"}, "unknown form"), ({"noise2self_loss": "log"}, "unknown noise2sel")):
        with pytest.raises(ModelError, match=message):
            trained(spread, tmp_path, steps=1, **settings)
    with pytest.raises(MeasurementError, match="5 not read"):
        trained(spread, tmp_path, steps=1, kernel_file=5)
    assert not list(tmp_path.iterdir())


def test_kernel_of_a_file_is_used(spread: Path, tmp_path: Path) -> None:
    write_kernel(tmp_path / "prf.toml", laplace(0.4), {})
    restorer = trained(spread, tmp_path, steps=1, kernel_file=str(tmp_path / "prf.toml"))
    assert np.allclose(restorer.configuration["settings"]["kernel"], laplace(0.4), atol=1e-8)


def test_noise_is_frozen_over_the_epochs(white: Path) -> None:
    """A stored corpus has one noise realisation of a scene: every epoch gives the same crop, turned or not."""
    view = datagen.open_corpus(white).subset(split="train").select(np.arange(4))
    stored = {s["index"]: s["noisy"] for s in view}
    batches = iter(Batches([view], ("noisy", "valid"), (), batch=4, crop=48, seed=0))
    seen = 0
    for _ in range(40):  # 16 crops a sample and epoch: 16 steps of 4 are one
        batch = next(batches)
        for index, crop in zip(batch["index"].tolist(), batch["noisy"].numpy()[:, 0], strict=True):
            turned = (np.rot90(each, k) for each in (crop, crop[:, ::-1]) for k in range(4))
            assert any(np.array_equal(each, stored[index]) for each in turned)
            seen += 1
    assert seen == 160
