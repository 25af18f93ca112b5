"""Decorrelation: its laws, the wrong formula as an oracle that must fail, the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

import xsim
from denoise.cli import main
from denoise.decorrelation import (
    Residual,
    check_residual,
    decorrelated,
    noise_correlation,
    noise_kernel,
    reach_of,
    reblurred,
    residual_correlation,
    variance_factor,
    whitening_taps,
)
from denoise.kernel_file import as_kernel, read_kernel
from xsim import MeasurementError

GAIN, OFFSET = 10.0, 100.0


def laplace(b_px: float, reach: int = 3) -> np.ndarray:
    """Light of a quantum, Laplace along both axes, integrated over the pixels."""
    edge = np.arange(-reach, reach + 2) - 0.5
    below = np.where(edge < 0, 0.5 * np.exp(edge / b_px), 1 - 0.5 * np.exp(-np.abs(edge) / b_px))
    line = np.diff(below)
    return np.outer(line, line) / line.sum() ** 2


def simulated(count: int, side: int, kernel: np.ndarray, read_adu: float = 0.0, seed: int = 0) -> np.ndarray:
    """Frames of a smooth scene: quanta, spread after the draw, on a grid that is larger by the light's reach."""
    rng, margin = np.random.default_rng(seed), kernel.shape[0] // 2
    ramp = np.linspace(0.7, 1.3, side + 2 * margin)
    quanta = rng.poisson(200 * np.outer(ramp, ramp), (count, len(ramp), len(ramp))).astype(float)
    light = np.stack([signal.fftconvolve(each, kernel, "valid") for each in quanta])
    return OFFSET + GAIN * light + read_adu * rng.standard_normal(light.shape)


def by_the_slides(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The formula of the slides: division by |F h|^2."""
    H = np.fft.fft2(kernel, image.shape[-2:])
    moved = np.fft.ifft2(np.fft.fft2(image - image.mean()) / np.abs(H) ** 2).real
    return moved + image.mean()


@pytest.fixture(scope="module")
def h() -> np.ndarray:
    return laplace(0.5)


@pytest.fixture(scope="module")
def frames(h: np.ndarray) -> np.ndarray:
    return simulated(24, 256, h)


def test_sum_of_the_correlation_is_that_of_the_kernel(h: np.ndarray, frames: np.ndarray) -> None:
    """100 (1 / sum h^2 - 1) %, 389.6 for Laplace b = 0.5 px (the poster's "about 350")."""
    assert 100 * (1 / (h**2).sum() - 1) == pytest.approx(389.6, abs=0.05)
    error = 489.6 * np.sqrt(169 / frames.size)  # of the power near zero, smoothed over the window
    assert noise_correlation(frames).sum_percent == pytest.approx(389.6, abs=3 * error)


def test_two_frames_have_the_factor_of_the_mean_that_holds_them(h: np.ndarray) -> None:
    """Without sqrt(K / (K - 1)) two frames would show half the variance; the coefficients stand either way."""
    found = noise_correlation(simulated(2, 512, h))
    assert found.variance_adu2 == pytest.approx(1.0, abs=0.02)
    assert found.along_rows == pytest.approx(float((h[1:] * h[:-1]).sum() / (h**2).sum()), abs=0.02)


@pytest.mark.parametrize(("root", "error"), [("fft", 1e-6), ("toeplitz", 1e-3)])
def test_root_of_the_exact_autocorrelation_is_the_kernel(h: np.ndarray, root: str, error: float) -> None:
    exact = signal.convolve2d(h, h)
    wide = np.pad(h, 3)
    assert np.abs(noise_kernel(exact / exact.max(), root) - wide).max() < error


def test_decorrelation_and_blur_undo_each_other(h: np.ndarray) -> None:
    image = np.random.default_rng(1).uniform(0, 1000, (2, 40, 56))
    inner = (slice(None), slice(8, -8), slice(8, -8))  # away from the border, whose mirror image is blurred too
    assert np.abs(reblurred(decorrelated(image, h), h) - image)[inner].max() < 1.0
    assert np.abs(decorrelated(reblurred(image, h), h) - image)[inner].max() < 1.0
    assert np.allclose(decorrelated(np.full((20, 30), 77.0), h), 77.0)


def test_decorrelated_quanta_are_those_before_the_light_spread(h: np.ndarray) -> None:
    rng = np.random.default_rng(2)
    quanta = rng.poisson(100.0, (134, 134)).astype(float)
    back = decorrelated(signal.convolve2d(quanta, h, "valid"), h)[16:-16, 16:-16]
    assert np.abs(back - quanta[19:-19, 19:-19]).max() < 0.01


def test_noise_is_white_after_it_and_the_slides_formula_fails(frames: np.ndarray, h: np.ndarray) -> None:
    """The kernel comes from the even frames, the residual from the odd ones. Pilot: 381 % and noise x8; 0 %, x2.2."""
    kernel = noise_kernel(noise_correlation(frames[::2]).coefficient)
    right, wrong = decorrelated(frames[1::2], kernel), by_the_slides(frames[1::2], h)
    left, slides = residual_correlation(right), residual_correlation(wrong)
    check_residual(left)
    assert left.percent - left.chance_percent < 10 and abs(left.nearest) <= 0.02
    with pytest.raises(MeasurementError, match="of correlation is left"):
        check_residual(slides)
    assert slides.percent == pytest.approx(385, rel=0.1) and slides.nearest < -0.4
    sd = [np.std((f - f.mean(0))[:, 30:-30, 30:-30]) for f in (frames[1::2], right, wrong)]
    assert sd[1] / sd[0] == pytest.approx(2.213, rel=0.03) and sd[2] / sd[0] == pytest.approx(8.13, rel=0.03)
    assert variance_factor(kernel) ** 0.5 == pytest.approx(sd[1] / sd[0], rel=0.02)


def test_light_that_reaches_further_gets_a_larger_window(h: np.ndarray) -> None:
    """What is beyond the window of the kernel would stay; the window of the judgement is the same."""
    wide = laplace(1.5, 12)
    noisy = simulated(24, 200, wide)
    reach = reach_of(noisy[::2])
    assert (
        reach > 6 == reach_of(simulated(24, 200, h)) == reach_of(np.random.default_rng(3).normal(size=(24, 200, 200)))
    )
    left = [
        residual_correlation(decorrelated(noisy[1::2], noise_kernel(noise_correlation(noisy[::2], each).coefficient)))
        for each in (6, reach)
    ]
    assert left[1].percent - left[1].chance_percent < 0.7 * (left[0].percent - left[0].chance_percent)
    assert reach_of(noisy[:, :30, :30]) == 6  # no room for more


def test_root_of_total_noise_beats_the_optical_response_with_read_noise(h: np.ndarray) -> None:
    """Read noise has not passed the screen: division by the light's own response blows it up."""
    noisy = simulated(24, 200, h, read_adu=60.0)
    kernel = noise_kernel(noise_correlation(noisy[::2]).coefficient)
    total, optical = (residual_correlation(decorrelated(noisy[1::2], each)) for each in (kernel, h))
    assert total.percent - total.chance_percent < 10
    assert optical.percent > 160
    with pytest.raises(MeasurementError, match="of correlation is left"):
        check_residual(optical)


def test_floor_bounds_the_amplification() -> None:
    """A wide kernel that kills the Nyquist frequency: no frequency gains more than 1 / floor."""
    wide = laplace(3.0, 10)
    assert variance_factor(wide, 1e-6) > variance_factor(wide, 0.1)
    spike = np.zeros((97, 97))
    spike[48, 48] = 1.0
    assert np.abs(np.fft.fft2(decorrelated(spike, wide, 0.1))).max() <= 10.0 * 1.05


def test_taps_do_what_the_transform_does(h: np.ndarray, frames: np.ndarray) -> None:
    taps = whitening_taps(h)
    assert taps.sum() == pytest.approx(1.0)
    direct = signal.fftconvolve(frames[0], taps, "valid")
    reach = taps.shape[0] // 2
    exact = decorrelated(frames[0], h)[reach:-reach, reach:-reach]
    assert np.std(direct - exact) < 0.01 * np.std(frames[0] - frames[1]) and taps.shape[0] < 25


def test_a_blinking_pixel_does_not_hide_the_rest(h: np.ndarray) -> None:
    noisy = simulated(8, 128, h)
    before = noise_correlation(noisy).sum_percent
    noisy[:, 60, 61] += 1e5 * np.random.default_rng(3).standard_normal(8)
    assert noise_correlation(noisy).sum_percent == pytest.approx(before, rel=0.02)


def test_white_noise_has_nothing_to_take_away() -> None:
    white = np.random.default_rng(4).standard_normal((16, 128, 128))
    left = residual_correlation(white)
    assert left.percent == pytest.approx(left.chance_percent, rel=0.2)
    kernel = noise_kernel(noise_correlation(white).coefficient)
    assert kernel[6, 6] == pytest.approx(1.0, abs=0.1) and variance_factor(kernel) == pytest.approx(1.0, abs=0.1)


def test_bad_input() -> None:
    noise = np.random.default_rng(5).standard_normal((2, 64, 64))
    with pytest.raises(MeasurementError, match="tell no noise"):
        noise_correlation(noise[0])
    high_pass = np.diff(noise, axis=2)
    coefficient = noise_correlation(high_pass).coefficient
    coefficient[6, 6] -= coefficient.sum()
    with pytest.raises(MeasurementError, match="without power at zero"):
        noise_kernel(coefficient)
    for values, message in (([[1, 2], [3]], "rows of equally"), ([[1.0, 1.0]], "odd rows"), ([[-1.0]], "above 0")):
        with pytest.raises(MeasurementError, match=message):
            as_kernel(values)
    check_residual(Residual(29.0, 10.0, 0.0))


# the command


@pytest.fixture
def stack(frames: np.ndarray, tmp_path: Path) -> Path:
    path = tmp_path / "frames.tif"
    xsim.write_tiff(path, np.rint(frames[:, :160, :160]).astype(np.uint16), {"a_pixel_adu": 2.04, "b_adu2": -204.0})
    return path


@pytest.mark.parametrize("name", ["prf.json", "prf.toml"])
def test_command_estimates_a_kernel_and_uses_it(stack: Path, tmp_path: Path, h: np.ndarray, name: str) -> None:
    kernel, out, report = tmp_path / name, tmp_path / "white.tif", tmp_path / "report.json"
    assert main(["decorrelate", "--estimate", str(stack), "-o", str(kernel)]) == 0
    assert np.abs(read_kernel(kernel) - np.pad(h, 3)).max() < 0.02
    line = ["decorrelate", str(stack), "--kernel", str(kernel), "-o", str(out), "--report", str(report)]
    assert main(line) == 0
    pixels, metadata = xsim.read_tiff(out)
    figures = json.loads(report.read_text())
    assert pixels.dtype == np.float32 and pixels.shape == (24, 160, 160) and metadata["image"] == "decorrelated"
    assert metadata["a_pixel_adu"] == pytest.approx(2.04 * figures["variance_factor"])
    assert figures["residual_percent"] < 20 + figures["residual_chance_percent"]
    before = out.read_bytes()
    assert main(line) == 2 and out.read_bytes() == before
    assert main([*line[:-1], str(out), "--force"]) == 2 and out.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["one.tif", "-o", "white.tif"], "is one frame"),
        (["two.tif", "-o", "white.tif"], "too few pixels"),
        (["frames.tif", "-o", "white.tif", "--kernel", "wrong.json"], "of correlation is left"),
        (["frames.tif", "-o", "white.tif", "--kernel", "none.json"], "none.json not read"),
        (["frames.tif", "-o", "white.tif", "--kernel", "text.json"], "is no kernel file"),
        (["--estimate", "frames.tif", "-o", "white.tif"], "end it in .json"),
    ],
)
def test_command_refuses_in_one_line(
    stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: list[str], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    pixels, _ = xsim.read_tiff(stack)
    xsim.write_tiff("one.tif", pixels[0])
    xsim.write_tiff("two.tif", pixels[:2])
    Path("wrong.json").write_text(json.dumps({"kernel": laplace(1.5).tolist()}))
    Path("text.json").write_text("kernel")
    assert main(["decorrelate", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1 and not Path("white.tif").exists()
