"""Deblurring: the operator against theory and simulation, the ways back of cold and of conditional diffusion."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import xsim

torch = pytest.importorskip("torch")

from denoise import cold_deblur, deblur, diffusion_deblur, mtf_blur, screen_pair  # noqa: E402
from denoise.methods import Moment  # noqa: E402

F = mtf_blur.FREQUENCIES_PER_PX
RATIO = (1 + 9.0 * F**2) / (1 + 75.0 * F**2)  # H of 0.09 and 0.75 mm2 on pixels of 0.1 mm
SETTINGS = {"mtf_ratio": RATIO.tolist(), "residual": "kept", "offset_adu": 100.0}


def tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image, np.float32))[None, None]


def scenery(rows: int = 96, columns: int = 80, seed: int = 0) -> torch.Tensor:
    """Plates on a bright field, in units of it."""
    random, image = np.random.default_rng(seed), np.ones((rows, columns))
    for _ in range(12):
        top, left = random.integers(rows - 8), random.integers(columns - 8)
        image[top : top + random.integers(3, 30), left : left + random.integers(3, 30)] *= random.uniform(0.4, 0.95)
    return tensor(image)


ONE_ENERGY = {"energy_kev": 45.0}
TUBE = {"voltage_kv": 70.0, "filters": [{"material": "Al", "thickness_mm": 1.0}]}


def pair_scene(
    spread: tuple[float, float] = (0.09, 0.75), source: dict[str, Any] = ONE_ENERGY
) -> tuple[xsim.Scene, xsim.Scene]:
    """A scene behind the thin and the thick screen; of one energy their signals are in one proportion."""
    thin = xsim.scene_from_dict(
        {
            "source": source,
            "geometry": {"sod_mm": 500, "sdd_mm": 550},
            "acquisition": {"quanta_per_pixel": 2000},
            "detector": {
                "preset": "generic-gos-200um", "rows": 96, "columns": 90, "pitch_mm": 0.1,
                "scintillator": {"areal_density_mg_cm2": 33.91, "light_spread_h_mm2": spread[0]},
            },
            "body": [
                {"shape": "box", "size_mm": [3, 4, 2], "material": "Al", "rotation_deg": [0, 0, 20]},
                {"shape": "sphere", "radius_mm": 0.6, "material": "Fe", "position_mm": [2, 1, 0]},
            ],
        }
    )  # fmt: skip
    return thin, xsim.paired_scene(
        thin, {"scintillator": {"areal_density_mg_cm2": 134.55, "light_spread_h_mm2": spread[1]}}
    )


def test_blur_multiplies_a_wave_by_the_ratio_at_its_frequency() -> None:
    """Waves that continue as their mirror images, of every orientation."""
    rows, columns = 64, 48
    for j, k in ((0, 5), (17, 0), (40, 31), (63, 47)):
        wave = np.outer(
            np.cos(np.pi * j * (np.arange(rows) + 0.5) / rows), np.cos(np.pi * k * (np.arange(columns) + 0.5) / columns)
        )
        expected = np.interp(np.hypot(j / (2 * rows), k / (2 * columns)), F, RATIO)
        found = deblur.blurred(tensor(wave), SETTINGS)[0, 0].numpy()
        assert np.abs(found - expected * wave).max() < 2e-3


def test_blur_keeps_the_sum_and_is_reached_in_proportion_to_time() -> None:
    x = scenery()
    end = deblur.blurred(x, SETTINGS)
    assert float(end.mean()) == pytest.approx(float(x.mean()), rel=1e-6)
    assert torch.equal(mtf_blur.degraded(x, end, 0.0), x)
    assert torch.allclose(mtf_blur.degraded(x, end, 1.0), end, atol=1e-7)
    middle = mtf_blur.degraded(x, end, 0.5)
    assert torch.allclose(middle, (x + end) / 2, atol=1e-7)


def test_ratio_is_that_of_theory_clipped_and_floored() -> None:
    thin, thick = pair_scene()
    ratio = screen_pair.ratio_of(screen_pair.ScreenPair(thin, thick, False))
    assert ratio[0] == 1.0 and np.abs(ratio - RATIO).max() < 1e-6
    assert (screen_pair.ratio_of(screen_pair.ScreenPair(thick, thin, False)) == 1.0).all(), "a gain is not a blur"
    both = pair_scene((20.0, 40.0))
    mtf = [screen_pair.theory_mtf(scene) for scene in both]
    low = mtf[0] < 0.05
    ratio = screen_pair.ratio_of(screen_pair.ScreenPair(*both, False))
    assert (
        low.any() and np.allclose(ratio[low], mtf[1][low] / 0.05) and np.allclose(ratio[~low], (mtf[1] / mtf[0])[~low])
    )


def test_blurred_thin_screen_is_the_thick_screen() -> None:
    """Of one energy the target is the thin screen's image times a constant, and B takes it to the thick one's."""
    images = [xsim.simulate(scene, 1) for scene in pair_scene()]
    thin, thick = (tensor(image.clean - image.metadata["offset_adu"]) for image in images)
    target = deblur.target_of(thin, thick, SETTINGS)
    inner = (..., slice(10, -10), slice(10, -10))
    share = (target / thin)[inner]
    assert float(share.std() / share.mean()) < 2e-3
    level = float(thick.max())
    assert float((deblur.blurred(target, SETTINGS) - thick)[inner].abs().max()) < 4e-3 * level
    assert float((target - thick)[inner].abs().max()) > 0.1 * level


def test_target_is_the_thick_screen_without_its_blur() -> None:
    """Of a tube, hard photons count more behind matter: against a simulation of the thick screen with little spread."""
    scenes = [*pair_scene(source=TUBE), pair_scene((0.09, 0.09), TUBE)[1]]
    first = xsim.expose(scenes[0])
    exposures = [first, *(xsim.expose_paired(first, scene) for scene in scenes[1:])]
    thin, thick, truth = (tensor(each.record(1).clean - 300.0) for each in exposures)
    inner, level = (..., slice(12, -12), slice(12, -12)), float(truth.max())

    def error(image: torch.Tensor) -> float:
        return float(((image - truth)[inner] ** 2).mean().sqrt()) / level

    found, factor = deblur.target_of(thin, thick, SETTINGS), thick.sum() / thin.sum()
    assert error(found) < 3e-3 and error(found) < 0.25 * error(thin * factor), "one factor for all is not enough"


@pytest.mark.parametrize("residual", cold_deblur.RESIDUALS)
def test_sampling_is_its_closed_form(residual: str) -> None:
    """Step by step against y + (I - B) mean f, or mean f, for a network of random weights."""
    settings = {**SETTINGS, "residual": residual}
    torch.manual_seed(3)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, padding=1), torch.nn.Tanh(), torch.nn.Conv2d(8, 1, 3, padding=1)
    )
    y = scenery()
    with torch.no_grad():
        found, predictions = cold_deblur.sample(y, lambda x, s: x + (0.5 + s) * network(x), 20, settings)
    assert len(predictions) == 20
    assert float((predictions[0] - predictions[-1]).abs().max()) > 0.01, "steps differ"
    assert float((found - cold_deblur.closed_form(y, predictions, settings)).abs().max()) < 1e-5
    if residual == "kept":
        mean = torch.stack(predictions).double().mean(0)
        by = torch.as_tensor(mtf_blur.response(RATIO.tolist(), y)).double()
        assert float((found - (y + mean - mtf_blur.filtered(mean, by))).abs().max()) < 1e-5
        assert float(found.mean()) == pytest.approx(float(y.mean()), abs=1e-6), "the mean is that of y"


def test_what_is_known_of_the_scene_comes_back_and_noise_stays_or_goes() -> None:
    truth = scenery()
    noise = 0.01 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(1))
    y = deblur.blurred(truth, SETTINGS) + noise
    kept, _ = cold_deblur.sample(y, lambda x, s: truth, 20, SETTINGS)
    removed, _ = cold_deblur.sample(y, lambda x, s: truth, 20, {**SETTINGS, "residual": "removed"})
    assert float((kept - truth - noise).abs().max()) < 1e-5
    assert float((removed - truth).abs().max()) < 1e-5


def pair_batch() -> dict[str, torch.Tensor]:
    """What a corpus stores of the thin and the thick screen, as a batch of one."""
    scenes = pair_scene(source=TUBE)
    first = xsim.expose(scenes[0])
    images = [first.record(2), xsim.expose_paired(first, scenes[1], same_quanta=True).record(2)]
    batch = {}
    for suffix, image in zip(("", "_pair"), images, strict=True):
        batch |= {f"{name}{suffix}": tensor(getattr(image, name)) for name in ("noisy", "clean")}
        batch[f"valid{suffix}"] = torch.from_numpy(image.valid)[None, None]
        for name, key in (("a", "a_pixel_adu"), ("b", "b_adu2"), ("offset_adu", "offset_adu")):
            batch[f"{name}{suffix}"] = torch.full((1, 1, 1, 1), image.metadata[key])
    return batch


def test_training_ends_where_sampling_begins() -> None:
    """B x0 + n of training is the frame of the thick screen; without noise its noise-free image."""
    batch = pair_batch()
    for noise, name in ((True, "noisy_pair"), (False, "clean_pair")):
        settings = {**SETTINGS, "noise": noise, "noise_free_share": 0.0}
        moment = Moment(0, 0.0, torch.Generator().manual_seed(0))
        frame, added, target, valid = deblur.training_pair(batch, settings, moment)
        assert torch.allclose(frame.image * frame.scale_adu + batch["offset_adu_pair"], batch[name], atol=0.01)
        end = deblur.blurred(target, settings) + added
        assert float((end - frame.image)[..., 10:-10, 10:-10].abs().max()) < 0.01 and valid.all()
        assert bool((added != 0).any()) is noise and bool((frame.sd > 0).any()) is noise
        assert float(target.max()) == pytest.approx(1.0, abs=0.05)


def test_a_share_of_the_crops_is_noise_free() -> None:
    settings, noisy = {"noise": True, "noise_free_share": 0.25}, torch.zeros(4000, 1, 1, 1)
    moment = Moment(0, 0.0, torch.Generator().manual_seed(0))
    share = deblur.draw_noise_share(noisy, settings, moment)
    assert set(share.unique().tolist()) == {0.0, 1.0} and float(share.mean()) == pytest.approx(0.75, abs=0.03)
    assert not deblur.draw_noise_share(noisy, {**settings, "noise": False}, moment).any()


@pytest.mark.parametrize("residual", cold_deblur.RESIDUALS)
def test_loss_is_naught_for_a_network_that_knows(residual: str) -> None:
    """f = x0 at every time, for the network that gives what the linear estimate lacks; and not for one that gives 0."""
    batch = pair_batch()
    flat = {"target_power": (1e-3 / (1 + (F / 0.02) ** 2)).tolist(), "noise_power_shape": [1.0] * len(F)}
    settings = {**SETTINGS, **flat, "noise": True, "noise_free_share": 0.0, "residual": residual, "time_steps": 20}
    _, _, target, _ = deblur.training_pair(batch, settings, Moment(0, 0.0, torch.Generator().manual_seed(0)))

    def knowing(inputs: torch.Tensor) -> torch.Tensor:
        """W x / e is the second input and the noise over e the third: their ratio tells e."""
        frame = deblur.frame_of(batch["noisy_pair"], batch["a_pair"], batch["b_pair"], batch["offset_adu_pair"])
        error = (frame.sd / inputs[:, 2:3]).mean()
        return target / error - inputs[:, 1:2]

    losses = []
    for network in (knowing, lambda inputs: 0 * inputs[:, :1]):
        total, terms = cold_deblur.loss(network, batch, settings, Moment(0, 0.0, torch.Generator().manual_seed(0)))
        assert terms == target.numel()
        losses.append(float(total / terms))
    assert losses[0] < 1e-3 < 0.1 < losses[1]


@pytest.mark.parametrize("share", [0.2, 1.0])
def test_linear_estimate_is_as_good_as_it_says_and_the_best(share: float) -> None:
    """On a random field of the power S under white noise; with a wrong noise it is worse."""
    random, size = np.random.default_rng(5), 192
    power = 0.05 / (1 + (F / 0.05) ** 2)
    field = mtf_blur.filtered(
        tensor(random.standard_normal((size, size))), mtf_blur.response(power**0.5, torch.empty(size, size))
    )
    settings = {**SETTINGS, "target_power": power.tolist(), "noise_power_shape": [1.0] * len(F)}
    sd = 0.03
    y = mtf_blur.degraded(field, deblur.blurred(field, settings), share)
    y = y + sd * torch.randn(y.shape, generator=torch.Generator().manual_seed(2))

    def error(told: float) -> tuple[float, float]:
        frame = deblur.Frame(y, torch.full_like(y, told), torch.ones(1, 1, 1, 1))
        linear = deblur.linear_estimate(frame, y, share, settings)
        return float(((linear.image - field) ** 2).mean().sqrt()), float(linear.error)

    found, said = error(sd)
    assert found == pytest.approx(said - deblur.LEAST_ERROR, rel=0.04)
    assert all(error(factor * sd)[0] > 1.03 * found for factor in (0.3, 3.0))


def test_frames_of_any_dose_and_gain_look_alike() -> None:
    x = scenery()
    frames = [
        deblur.frame_of(100 + level * x, torch.tensor(0.01 * level), torch.tensor(-1.0 * level), 100.0)
        for level in (50.0, 9000.0)
    ]
    assert torch.allclose(frames[0].image, frames[1].image, atol=1e-5)
    assert float(frames[0].image.max()) == pytest.approx(1.0, abs=0.01)
    assert float(frames[1].scale_adu) == pytest.approx(9000.0, rel=0.01)
    dark = deblur.frame_of(torch.full_like(x, 100.0), torch.tensor(1.0), torch.tensor(0.0), 100.0)
    assert float(dark.scale_adu) == pytest.approx(100.0), "10 standard deviations, not nothing"


def test_ddim_follows_a_network_that_knows() -> None:
    """With the true v of a residual r the deterministic way ends in r; noise comes from the seed alone."""
    r = 0.3 * torch.randn((2, 1, 24, 24), generator=torch.Generator().manual_seed(4))
    frame = SimpleNamespace(image=torch.zeros_like(r), sd=torch.ones_like(r))
    linear = deblur.Linear(torch.zeros_like(r), torch.ones(2, 1, 1, 1))

    def knowing(inputs: torch.Tensor) -> torch.Tensor:
        z, time = inputs[:, :1], inputs[:, -1:]
        signal, spread = torch.cos(0.5 * torch.pi * time), torch.sin(0.5 * torch.pi * time)
        noise = (z - signal * r[: len(z)]) / spread
        return signal * noise - spread * r[: len(z)]

    found = diffusion_deblur.ddim(knowing, frame, linear, {"ddim_steps": 50, "seed": 3})
    assert float((found - r).abs().max()) < 1e-4

    def blind(inputs: torch.Tensor) -> torch.Tensor:
        return 0.2 * inputs[:, :1]

    runs = [diffusion_deblur.ddim(blind, frame, linear, {"ddim_steps": 5, "seed": seed}) for seed in (3, 3, 4)]
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])
    one = SimpleNamespace(image=frame.image[:1], sd=frame.sd[:1])
    its = deblur.Linear(linear.image[:1], linear.error[:1])
    alone = diffusion_deblur.ddim(blind, one, its, {"ddim_steps": 5, "seed": 3})
    assert torch.equal(alone, runs[0][:1])
