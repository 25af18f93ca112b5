"""The line Var y = a x + b from images alone, by a blind network that needs no training: the mean of the neighbours."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from xsim import ModelError

torch = pytest.importorskip("torch")

from denoise.blindspot_network import neighbour_mean  # noqa: E402
from denoise.noise_fit import fit_noise, fitted_lines, likeliest_line, rough_line  # noqa: E402

VST = {"domain": "vst", "noise": "fitted"}
LINEAR = {"domain": "linear", "noise": "fitted", "noise_scale_adu": 30.0}


class NeighbourMean(torch.nn.Module):
    """Mean of eight neighbours, and what these spread by: more at edges, 9/8 of the noise elsewhere."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        mean = neighbour_mean(z)
        wide = torch.nn.functional.avg_pool2d(z, 5, 1, 2)
        square = torch.nn.functional.avg_pool2d(z * z, 5, 1, 2)
        around = (25.0 * (square - wide**2) - (z - wide) ** 2).clamp(min=0.1) / 24.0  # nearly blind: one part in 25
        return torch.cat([mean, around.sqrt()], dim=1)


def wedge(a: float, offset: float, read: float, seed: int, quanta: float = 1500.0) -> np.ndarray:
    """Eight steps from 3 % to all of the open beam with strips across, of white Poisson-Gaussian noise, float32 ADU."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:128, :160]
    share = np.geomspace(0.03, 1.0, 8)[columns // 20] * np.where(rows % 32 < 3, 0.7, 1.0)
    x = offset + a * random.poisson(quanta * share) + random.normal(0.0, read, share.shape)
    return np.rint(x).astype(np.float32)


def restorer(settings: dict, method: str = "blindspot") -> SimpleNamespace:
    configuration = {"method": method, "settings": settings}
    return SimpleNamespace(
        network=NeighbourMean(), configuration=configuration, device=torch.device("cpu"), name="m.safetensors"
    )


@pytest.mark.parametrize("settings", [VST, LINEAR], ids=["vst", "linear"])
@pytest.mark.parametrize(
    ("a", "offset", "read"), [(2.0, 300.0, 4.0), (0.6, 100.0, 9.0), (11.0, 0.0, 30.0)], ids=["usual", "low", "high"]
)
def test_a_camera_that_nobody_knows(a: float, offset: float, read: float, settings: dict) -> None:
    """From four frames, nothing else given. Without the share g of the neighbours' noise a would be 12 % too high."""
    frames = np.stack([wedge(a, offset, read, seed) for seed in range(4)])
    found_a, found_b = fit_noise(restorer(settings), frames)
    assert found_a == pytest.approx(a, rel=0.03)
    dark = -found_b / found_a
    assert dark == pytest.approx(offset - read**2 / a, abs=0.02 * a * 1500)


def test_one_frame_is_within_the_bars() -> None:
    """a within 10 %, b within 25 %, of each of many frames."""
    for seed in range(10, 15):
        a, b = fit_noise(restorer(VST), wedge(2.0, 300.0, 4.0, seed))
        assert a == pytest.approx(2.0, rel=0.1) and b == pytest.approx(16.0 - 600.0, rel=0.25)


def test_a_known_offset_narrows_the_fit() -> None:
    """Two levels only, 55 and 100 %: the line is long to the offset, below which it cannot be without one."""
    errors = {None: [], 300.0: []}
    for seed in range(6):
        frame = wedge(2.0, 300.0, 4.0, seed)[:, 120:]
        for offset, found in errors.items():
            found.append(fit_noise(restorer(VST), frame, offset_adu=offset)[0] / 2.0 - 1.0)
    assert np.mean(np.abs(errors[300.0])) < 0.5 * np.mean(np.abs(errors[None]))


def test_a_dark_frame_leaves_the_slope_alone_to_fit() -> None:
    """From two levels of one frame, both parameters within the bars that the whole line misses there."""
    for seed in range(3):
        frame = wedge(2.0, 300.0, 4.0, seed)[:, 120:]
        a, b = fit_noise(restorer(VST), frame, offset_adu=300.0, read_noise_adu=4.0)
        assert a == pytest.approx(2.0, rel=0.06)
        assert a * 300.0 + b == pytest.approx(16.0)


def test_each_image_of_a_batch_has_its_own_line() -> None:
    cameras = [(2.0, 300.0, 4.0), (0.6, 100.0, 2.0)]
    noisy = torch.from_numpy(np.stack([wedge(*camera, 3) for camera in cameras]))[:, None]
    nothing = torch.ones(1, 1, 1, 1)
    a, b = fitted_lines(NeighbourMean(), noisy, nothing, nothing, VST)
    assert a.shape == b.shape == (2, 1, 1, 1)
    for k, (slope, offset, read) in enumerate(cameras):
        assert float(a[k]) == pytest.approx(slope, rel=0.1)
        assert float(b[k]) == pytest.approx(read**2 - slope * offset, rel=0.25)


def test_where_no_line_fits_the_given_one_counts() -> None:
    """An image without noise, and one of a single value."""
    flat = torch.full((1, 1, 32, 32), 700.0)
    a, b = fitted_lines(NeighbourMean(), flat, torch.full((1, 1, 1, 1), 3.0), torch.full((1, 1, 1, 1), -5.0), VST)
    assert (float(a), float(b)) == (3.0, -5.0)
    with pytest.raises(ModelError, match="no line"):
        fit_noise(restorer(VST), flat[0, 0].numpy())


def test_likeliest_line_finds_the_line_of_its_own_noise() -> None:
    """Drawn residuals, some outliers: within five standard errors of the information matrix."""
    random = np.random.default_rng(8)
    mean = random.uniform(400.0, 3000.0, 200_000)
    variance = 1.7 * mean - 400.0
    residual = random.normal(0.0, np.sqrt(variance))
    residual[::1000] = 4000.0
    a, b = likeliest_line(residual, mean, (1.0, 0.0))
    information = 0.5 * np.array([[(mean**2 / variance**2).sum(), (mean / variance**2).sum()], [0.0, 0.0]])
    information[1] = [information[0, 1], 0.5 * (1.0 / variance**2).sum()]
    errors = np.sqrt(np.diag(np.linalg.inv(information)))
    assert abs(a - 1.7) < 5.0 * errors[0] and abs(b + 400.0) < 5.0 * errors[1]


def test_likeliest_line_is_not_negative_at_the_offset() -> None:
    random = np.random.default_rng(9)
    mean = random.uniform(350.0, 500.0, 2000)
    residual = random.normal(0.0, np.sqrt(2.0 * (mean - 300.0)))
    for seed in range(20):
        some = np.random.default_rng(seed).integers(0, 2000, 400)
        a, b = likeliest_line(residual[some], mean[some], (2.0, -600.0), offset_adu=300.0)
        assert a * 300.0 + b >= -1e-9


def test_rough_line_is_a_start() -> None:
    a, b = rough_line([torch.from_numpy(wedge(2.0, 300.0, 4.0, 1))[None, None]])
    assert a == pytest.approx(2.0, rel=0.3) and b == pytest.approx(-584.0, rel=0.5)


def test_what_cannot_be_fitted() -> None:
    with pytest.raises(ModelError, match="is a noise_cnn model"):
        fit_noise(restorer(VST, "noise_cnn"), np.ones((16, 16)))
    with pytest.raises(ModelError, match="images of 8 x 8 pixels at least"):
        fit_noise(restorer(VST), np.ones((4, 16)))
    with pytest.raises(ModelError, match="images of 8 x 8 pixels at least"):
        fit_noise(restorer(VST), [])
