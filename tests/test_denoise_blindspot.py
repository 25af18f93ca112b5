"""The method: its loss, what it foretells, the posterior mean, and a model of it from training to restored image."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

import datagen
import xsim
from xsim import ModelError

torch = pytest.importorskip("torch")

import denoise  # noqa: E402
from denoise import blindspot, vst  # noqa: E402
from denoise.blindspot_prediction import noise_variance, posterior_mean, prediction  # noqa: E402
from denoise.cli import main  # noqa: E402
from denoise.noise_fit import fit_noise  # noqa: E402
from denoise.stream import Stream  # noqa: E402

VST = {"domain": "vst", "noise": "given", "network": "blindspot"}
A, OFFSET, READ = 2.0, 300.0, 4.0
B = READ**2 - A * OFFSET


class Told(torch.nn.Module):
    """A network that says the same of every pixel, whatever it is shown."""

    def __init__(self, mean: float, sd: float) -> None:
        super().__init__()
        self.mean = torch.nn.Parameter(torch.tensor(mean, dtype=torch.float64))
        self.sd = torch.nn.Parameter(torch.tensor(sd, dtype=torch.float64))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.stack([self.mean.expand_as(z[:, 0]), self.sd.expand_as(z[:, 0])], dim=1)


def number(value: float) -> torch.Tensor:
    return torch.full((1, 1, 1, 1), value, dtype=torch.float64)


def drawn(quanta: np.ndarray, seed: int) -> torch.Tensor:
    random = np.random.default_rng(seed)
    x = OFFSET + A * random.poisson(quanta) + random.normal(0.0, READ, quanta.shape)
    return torch.from_numpy(x)[None, None]


def test_loss_is_least_at_the_mean_and_the_variance_of_valid_pixels() -> None:
    noisy = drawn(np.full((64, 64), 50.0), 1)
    valid = torch.ones_like(noisy, dtype=torch.bool)
    valid[..., :10] = False
    noisy[..., :10] = 60000.0
    z = vst.forward(noisy[valid], A, B)
    batch = {"noisy": noisy, "valid": valid, "a": number(A), "b": number(B)}
    best = Told(float(z.mean()), float(z.std(correction=0)))
    total, count = blindspot.loss(best, batch, VST, None)
    total.backward()
    assert int(count) == 54 * 64
    assert abs(float(best.mean.grad)) < 1e-6 * float(count) and abs(float(best.sd.grad)) < 1e-6 * float(count)
    for mean, sd in ((1.01, 1.0), (0.99, 1.0), (1.0, 1.05), (1.0, 0.95)):
        assert blindspot.loss(Told(best.mean.item() * mean, best.sd.item() * sd), batch, VST, None)[0] > total
    assert total.item() / int(count) == pytest.approx(1.0, abs=0.05), "1 a pixel where nothing but noise is left"


@pytest.mark.parametrize("levels", [(12.0, 12.0), (40.0, 40.0), (40.0, 90.0), (1000.0, 1400.0)])
def test_foretold_mean_is_that_of_the_pixel_value(levels: tuple[float, float]) -> None:
    """Also where neighbours leave two levels open. The algebraic inverse of the mean alone is low by a/4 at least."""
    quanta = np.where(np.arange(1_000_000) % 2 == 0, *levels).reshape(1000, 1000)
    noisy = drawn(quanta, 2)
    z = vst.forward(noisy, A, B)
    with torch.no_grad():
        told = Told(float(z.mean()), float(z.std()))
        mean, variance = prediction(told, noisy[..., :2, :2], number(A), number(B), VST)
    assert float(mean[0, 0, 0, 0]) == pytest.approx(float(noisy.mean()), abs=1e-4 * A)
    assert float(variance[0, 0, 0, 0]) == pytest.approx(float(noisy.var()), rel=0.04)
    alone = float(vst.inverse(z.mean(), A, B)) - float(noisy.mean())
    assert alone < -0.24 * A


def test_posterior_mean_is_the_best_of_two_gaussians() -> None:
    """Its error is v_n v_p / (v_n + v_p), less than that of either; it has no bias."""
    random = torch.Generator().manual_seed(3)
    unit = torch.randn(3, 200_000, generator=random, dtype=torch.float64)
    for noise, left_open in ((1.0, 0.2), (1.0, 1.0), (1.0, 7.0)):
        clean = 100.0 + unit[0] * left_open**0.5
        noisy = clean + unit[1] * noise**0.5
        told = torch.full_like(clean, 100.0)
        found = posterior_mean(noisy, told, torch.tensor(noise + left_open), torch.tensor(noise))
        error = found - clean
        assert float(error.square().mean()) == pytest.approx(noise * left_open / (noise + left_open), rel=0.02)
        assert abs(float(error.mean())) < 5.0 * float(error.std()) / clean.numel() ** 0.5


def test_posterior_mean_between_its_ends() -> None:
    """Nothing left open: what the neighbours say, but for a thousandth; all left open: the pixel."""
    noisy, mean, noise = torch.tensor([110.0]), torch.tensor([100.0]), torch.tensor([4.0])
    for variance in (0.0, 2.0, 4.0):
        found = posterior_mean(noisy, mean, torch.tensor([variance]), noise)
        assert float(found) == pytest.approx(100.0 + 10.0 * 1e-3 / 1.001, abs=1e-4)
    assert float(posterior_mean(noisy, mean, torch.tensor([4e9]), noise)) == pytest.approx(110.0, abs=1e-4)


def test_noise_variance_stays_above_0() -> None:
    found = noise_variance(torch.tensor([[[[0.0, 250.0, 900.0]]]]), number(A).float(), number(B).float())
    assert float(found[..., 2]) == A * 900.0 + B
    assert (found > 0).all()


def test_unknown_settings() -> None:
    for change, problem in (
        ({"domain": "log"}, "unknown domain 'log'"),
        ({"noise": "white"}, "unknown noise 'white'"),
        ({"network": "unet"}, "sees the pixel it restores"),
    ):
        with pytest.raises(ModelError, match=problem):
            blindspot.network_options({**VST, **change})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A camera without light spread: its noise is independent from pixel to pixel."""
    folder = tmp_path_factory.mktemp("corpus")
    text = xsim.phantom_path("spheres-in-acrylic-corpus").read_text()
    for old, new in (
        ("scenes = 320", "scenes = 12"),
        ("rows = 128", "rows = 72"),
        ("columns = 128", "columns = 64\n[detector.scintillator]\nlight_spread_h_mm2 = 0.0\n"),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "white.toml").write_text(text)
    datagen.generate(folder / "white.toml", folder / "white.zarr", progress=False)
    return folder / "white.zarr"


def trained(corpus: Path, folder: Path, **settings: object) -> denoise.Restorer:
    out = denoise.train(
        corpus, "blindspot", folder / "m.safetensors", progress=False, crop=32, warm_up=10,
        learning_rate=8e-3, **{"network.levels": 1, "steps": 45, "batch": 4, **settings},
    )  # fmt: skip
    return denoise.load(out)


@pytest.fixture(scope="module")
def restorer(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> denoise.Restorer:
    return trained(corpus, tmp_path_factory.mktemp("model"))


def test_leak_alarm_fires_where_neighbours_foretell_noise() -> None:
    """White noise leaves all of its variance to the best of networks; one that is left half of it has learnt noise."""
    noisy, valid = drawn(np.full((64, 64), 400.0), 5), torch.ones(1, 1, 64, 64, dtype=torch.bool)
    level = vst.forward(noisy, A, B).mean()
    for left, alarm in ((1.0, False), (0.5, True)):

        def foretold(z: torch.Tensor, left: float = left) -> torch.Tensor:
            mean = z - left**0.5 * (z - level)
            return torch.cat([mean, torch.full_like(z, left**0.5)], dim=1)

        batch = {"noisy": noisy, "valid": valid, "a": number(A), "b": number(B)}
        total, count = blindspot.loss(foretold, batch, VST, None)
        told = blindspot.leak({"val_loss": float(total / count), "train_loss": 9.0}, VST)
        assert (told is not None) == alarm
    assert blindspot.leak({"val_loss": None, "train_loss": 0.2}, {"domain": "linear"}) is None


def test_restores_what_it_was_never_shown_clean(corpus: Path, restorer: denoise.Restorer) -> None:
    """After a minute's fraction of training on noisy images: 4 dB over noisy, no bias; its posterior beats its mean."""
    assert "clean" not in restorer.method.images
    view = datagen.open_corpus(corpus).subset(split="test")
    gains, over_mean, bias = [], [], []
    for k in range(len(view)):
        sample = view[k]
        a, b = (sample["params"][name] for name in ("a_pixel_adu", "b_adu2"))
        noisy, clean = sample["noisy"].astype(np.float32), sample["clean"]
        slope, shift = (np.full_like(noisy, each) for each in (a, b))
        restored = restorer.restore(noisy, slope, shift, 0)
        tensors = [torch.from_numpy(each)[None, None] for each in (noisy, slope, shift)]
        mean = prediction(restorer.network, *tensors, restorer.configuration["settings"])[0][0, 0].numpy()
        error = np.mean((restored - clean) ** 2)
        gains.append(10.0 * np.log10(np.mean((noisy - clean) ** 2) / error))
        over_mean.append(np.mean((mean - clean) ** 2) / error)
        bias.append(np.mean(restored - clean) / np.mean(clean - OFFSET))
    assert np.mean(gains) > 4.0
    assert np.mean(over_mean) > 1.0
    assert abs(np.mean(bias)) < 0.01


def test_decorrelated_frames_are_restored(
    restorer: denoise.Restorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("denoise.image_files.load", lambda *_: restorer)
    noisy = drawn(np.full((70, 66), 80.0), 6)[0, 0].numpy().astype(np.float32)
    told = {"image": "decorrelated", "state": "raw", "a_pixel_adu": A, "b_adu2": B}
    xsim.write_tiff(tmp_path / "white.tif", noisy, told)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*trained on.*")
        assert main(["apply", "m.safetensors", str(tmp_path / "white.tif"), "-o", str(tmp_path / "out.tif")]) == 0
    out = xsim.read_tiff(tmp_path / "out.tif")[0]
    assert out.std() < 0.5 * noisy.std() and out.mean() == pytest.approx(noisy.mean(), rel=1e-3)


def test_bands_give_the_whole_image(restorer: denoise.Restorer) -> None:
    """Higher than a window: lines in blocks give the same bits, one call of the network the same values."""
    noisy = drawn(np.full((1501, 50), 80.0), 4)[0, 0].numpy().astype(np.float32)
    a, b = np.full_like(noisy, A), np.full_like(noisy, B)
    found = restorer.restore(noisy, a, b, 0)
    stream = Stream(restorer, 50, anchor_px=0)
    assert stream.grid.rows_seen < 1501
    blocks = [stream.push(*(each[k : k + 100] for each in (noisy, a, b))) for k in range(0, 1501, 100)]
    assert np.array_equal(np.concatenate([*blocks, stream.flush()]), found)
    whole = restorer.restore_whole(noisy, a, b, 0)[0, 0].numpy()
    np.testing.assert_allclose(found, whole, atol=1e-3)


def test_noise_that_nobody_told_is_fitted(corpus: Path, tmp_path: Path) -> None:
    """In linear units and with the line of each image: the answer depends on no given (a, b)."""
    restorer = trained(corpus, tmp_path, domain="linear", noise="fitted", steps=30, batch=2)
    assert restorer.method.radius(restorer.network, restorer.configuration["settings"]) is None
    sample = datagen.open_corpus(corpus).subset(split="test")[0]
    noisy, clean = sample["noisy"].astype(np.float32), sample["clean"]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*trained on.*")
        found = [restorer(noisy, a, b) for a, b in ((1.0, 0.0), (40.0, -9000.0))]
    assert np.array_equal(*found)
    assert np.mean((found[0] - clean) ** 2) < 0.5 * np.mean((noisy - clean) ** 2)
    a, b = fit_noise(restorer, noisy, offset_adu=OFFSET)
    middle = float(clean.mean())
    assert a * middle + b == pytest.approx(sample["params"]["a_pixel_adu"] * (middle - OFFSET), rel=0.25)
