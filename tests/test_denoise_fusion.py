from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import xsim
from xsim import ModelError

pywt = pytest.importorskip("pywt")

from denoise.cli import main  # noqa: E402
from denoise.fusion import LEVELS, RULES, WAVELET, Beam, fuse, sampled, weighted  # noqa: E402

LOW = Beam(a=2.0, b=16.0 - 2.0 * 300.0, offset_adu=300.0, open_beam_adu=2300.0)
HIGH = Beam(a=3.0, b=16.0 - 3.0 * 300.0, offset_adu=300.0, open_beam_adu=3300.0)
SIZES = [(1, 1), (5, 7), (13, 40), (128, 128), (131, 177)]


def exposed(beam: Beam, attenuation: np.ndarray, seed: int) -> np.ndarray:
    """A frame of white Poisson-Gaussian noise, 16 bits."""
    random = np.random.default_rng(seed)
    signal = (beam.open_beam_adu - beam.offset_adu) * np.exp(-attenuation)
    read = (beam.a * beam.offset_adu + beam.b) ** 0.5
    x = beam.offset_adu + beam.a * random.poisson(signal / beam.a) + random.normal(0.0, read, signal.shape)
    return np.clip(np.rint(x), 0, 65535).astype(np.uint16)


def plate(shape: tuple[int, int]) -> np.ndarray:
    """-ln T of a stepped plate with thin strips."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return 0.3 + 0.8 * (columns > shape[1] / 2) + 0.2 * (rows % 11 < 3)


@pytest.mark.parametrize("approximation", ["mean", "weighted"])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shape", SIZES)
def test_an_image_fused_with_itself_is_that_image(shape: tuple[int, int], rule: str, approximation: str) -> None:
    """Pixels far below the offset and above the open beam included: no logarithm gives way."""
    image = exposed(LOW, 6.0 * plate(shape), 1).astype(np.float64)
    image.flat[0] = 0.0
    image.flat[-1] = 65535.0
    found = fuse(image, image, LOW, LOW, rule=rule, approximation=approximation)
    assert found.contrast_ratio == 1.0
    assert found.image.dtype == np.float32 and found.image.shape == shape
    np.testing.assert_allclose(found.image, image, rtol=1e-6, atol=1e-3)
    assert (np.rint(found.image) == image).all()


def test_attenuation_is_minus_log_transmission_and_has_an_inverse() -> None:
    image = np.array([[0.0, 290.0, 300.0, 310.0, 1300.0, 2300.0, 6e4]])
    found = LOW.attenuation(image)
    np.testing.assert_allclose(LOW.grey_values(found), image, atol=1e-8)
    np.testing.assert_allclose(found[0, 4:6], [np.log(2.0), 0.0], atol=1e-4)


def test_variance_of_attenuation_is_that_of_drawn_frames() -> None:
    """To first order: 60 quanta and more."""
    depth = np.repeat(np.array([[0.0, 0.7, 1.5, 2.5]]), 20000, axis=0)
    noisy = exposed(LOW, depth, 3)
    mean = 300.0 + 2000.0 * np.exp(-depth)
    np.testing.assert_allclose(LOW.attenuation(noisy).var(axis=0), LOW.variance(mean)[0], rtol=0.05)


def test_a_detail_that_one_energy_shows_is_in_the_fused_image() -> None:
    """Noise-free: a speck of the low image only, a scratch of the high one only, both with their own contrast."""
    depth = np.full((128, 128), 0.5)
    low, high = depth.copy(), depth.copy()
    low[30:33, 30:33] += 0.5
    high[90:92, :] += 0.4
    frames = [
        beam.offset_adu + (beam.open_beam_adu - beam.offset_adu) * np.exp(-each)
        for beam, each in ((LOW, low), (HIGH, high))
    ]
    found = fuse(*frames, LOW, replace(HIGH, a=LOW.a, b=LOW.b, open_beam_adu=2300.0 + 1000.0))
    attenuation = LOW.attenuation(found.image)
    assert attenuation[31, 31] - 0.5 == pytest.approx(0.5, rel=0.2)
    assert attenuation[90:92].mean() - 0.5 == pytest.approx(0.4, rel=0.2)
    assert abs(attenuation[60, 60] - 0.5) < 0.02


def test_the_high_energy_is_brought_to_the_contrast_of_the_low_one() -> None:
    depth = plate((96, 96))
    found = fuse(exposed(LOW, depth, 1), exposed(HIGH, depth / 1.7, 2), LOW, HIGH)
    assert found.contrast_ratio == pytest.approx(1.7, rel=0.01)
    flat = np.zeros((96, 96))
    assert fuse(exposed(LOW, flat, 1), exposed(HIGH, flat, 2), LOW, HIGH).contrast_ratio == 1.0


def test_the_weighted_sum_of_white_noise_is_as_good_as_both_together() -> None:
    """Inverse variances add up: no other mean of two has less noise, and the plain one has more."""
    depth = np.full((256, 256), 0.7)
    frames = exposed(LOW, depth, 5), exposed(HIGH, depth, 6)
    noise = [float(beam.attenuation(each).var()) for beam, each in zip((LOW, HIGH), frames, strict=True)]
    found = fuse(*frames, LOW, HIGH, rule="sum", approximation="weighted")
    best = 1.0 / (1.0 / noise[0] + 1.0 / noise[1] / found.contrast_ratio**2)
    assert float(LOW.attenuation(found.image).var()) == pytest.approx(best, rel=0.02)
    greater = fuse(*frames, LOW, HIGH, rule="max", approximation="weighted")
    assert float(LOW.attenuation(greater.image).var()) < 1.1 * best, "noise is not chosen because it is great"


def test_variances_lie_where_their_coefficients_do() -> None:
    """A step of the noise between columns: coefficients half a filter away from it have the variance of their side."""
    random = np.random.default_rng(4)
    sd = np.where(np.arange(512) < 301, 1.0, 5.0)
    images = random.normal(0.0, sd, (20, 320, 512))
    for level in range(1, LEVELS + 1):
        bands = np.stack([pywt.wavedec2(each, WAVELET, mode="symmetric", level=LEVELS)[-level][0] for each in images])
        told = sampled(np.broadcast_to(sd**2, (320, 512)), bands.shape[1:], level)[0]
        found = bands[:, 2:-2].var(axis=(0, 1))
        near = np.abs(np.arange(told.size) - (301 / 2**level + 2.5)) < 3.6
        assert near.sum() < 9
        np.testing.assert_allclose(found[~near][8:-8], told[~near][8:-8], rtol=0.3)


def test_weighted_mean_of_equals() -> None:
    one = np.random.default_rng(0).normal(size=(4, 4))
    assert (weighted([one, one], [np.full((4, 4), 0.1), np.full((4, 4), 3.0)]) == one).all()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"rule": "most"}, "unknown rule 'most'"),
        ({"approximation": "median"}, "unknown approximation"),
        ({"high": np.ones((8, 9))}, r"\(8, 8\) and \(8, 9\)"),
    ],
)
def test_what_cannot_be_fused(change: dict, problem: str) -> None:
    given = {"low": np.ones((8, 8)), "high": np.ones((8, 8)), "low_beam": LOW, "high_beam": HIGH, **change}
    with pytest.raises(ModelError, match=problem):
        fuse(**given)
    with pytest.raises(ModelError, match="inf ADU"):
        Beam(1.0, 0.0, 100.0, float("inf"))
    with pytest.raises(ModelError, match="not above the offset"):
        Beam(1.0, 0.0, 300.0, 300.0)
    with pytest.raises(ModelError, match="a must be above 0"):
        Beam(0.0, 0.0, 300.0, 900.0)


def metadata(beam: Beam, **more: object) -> dict:
    return {
        "image": "noisy", "state": "raw", "offset_adu": beam.offset_adu, "a_pixel_adu": beam.a, "b_adu2": beam.b,
        "gain_adu_per_quantum": beam.a, "quanta_per_pixel": (beam.open_beam_adu - beam.offset_adu) / beam.a, **more,
    }  # fmt: skip


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "low.tif", tmp_path / "high.tif"
    for path, beam, seed in zip(paths, (LOW, HIGH), (1, 2), strict=True):
        xsim.write_tiff(path, exposed(beam, plate((40, 51)), seed), metadata(beam))
    return paths


def told(path: Path, capsys: pytest.CaptureFixture, *arguments: object) -> str:
    """The one line of a command that fails."""
    assert main(["fuse", *map(str, arguments), "-o", str(path)]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


def test_command_fuses_what_the_function_does(pair: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "fused.tif"
    assert main(["fuse", *map(str, pair), "-o", str(out), "--rule", "sum"]) == 0
    image, facts = xsim.read_tiff(out)
    expected = fuse(*(xsim.read_tiff(path)[0] for path in pair), LOW, HIGH, rule="sum")
    assert image.dtype == np.uint16 and (image == np.rint(expected.image)).all()
    assert facts["image"] == "fused" and facts["state"] == "raw" and "a_pixel_adu" not in facts
    assert facts["fused_of"]["contrast_ratio"] == [pytest.approx(expected.contrast_ratio)]


def test_command_takes_stacks_and_told_facts(tmp_path: Path) -> None:
    """Restored images tell the noise of their source; a file of another program tells nothing."""
    frames = [np.stack([exposed(beam, plate((20, 20)), seed) for seed in (1, 2)]) for beam in (LOW, HIGH)]
    told_pair, bare = [], []
    for name, frame, beam in zip(("low", "high"), frames, (LOW, HIGH), strict=True):
        facts = metadata(beam, image="restored", source_noise={"a_pixel_adu": beam.a, "b_adu2": beam.b})
        facts = {k: v for k, v in facts.items() if k not in ("a_pixel_adu", "b_adu2")}
        told_pair.append(tmp_path / f"{name}.tif")
        bare.append(tmp_path / f"{name}-bare.tif")
        xsim.write_tiff(told_pair[-1], frame, facts)
        xsim.write_tiff(bare[-1], frame)
    given = ["--a", "2", "3", "--b", "-584", "-884", "--offset", "300", "300", "--open-beam", "2300", "3300"]
    images = []
    for paths, more in ((told_pair, []), (bare, given)):
        out = tmp_path / f"fused-{len(images)}.tif"
        assert main(["fuse", *map(str, paths), "-o", str(out), *more]) == 0
        images.append(xsim.read_tiff(out)[0])
    assert images[0].shape == (2, 20, 20) and (images[0] == images[1]).all()


def test_command_says_in_one_line_what_is_wrong(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    low, high = pair
    frame = xsim.read_tiff(high)[0]
    out, other = tmp_path / "fused.tif", tmp_path / "other.tif"

    def against(pixels: np.ndarray, **facts: object) -> str:
        xsim.write_tiff(other, pixels, metadata(HIGH, **facts))
        return told(out, capsys, low, other)

    assert "is 'flat_field_corrected'" in against(frame, state="flat_field_corrected")
    assert "is 'restored'" in against(frame, image="restored")
    assert "has shape (40, 50)" in against(frame[:, 1:])
    assert "is no 16-bit grey image (uint8" in against(frame.astype(np.uint8))
    assert "is no 16-bit grey image (float32" in against(frame.astype(np.float32))
    assert "its metadata says 'clean'" in against(frame, image="clean")
    assert "give --open-beam LOW HIGH" in against(frame, quanta_per_pixel=None, gain_adu_per_quantum=None)
    assert "unknown rule" in told(out, capsys, low, high, "--rule", "best")
    assert "not read" in told(out, capsys, low, tmp_path / "none.tif")
    assert not out.exists()
    out.write_text("kept")
    assert "there already" in told(out, capsys, low, high)
    assert out.read_text() == "kept"
