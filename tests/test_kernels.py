"""The parts of the kernels: random words, functions, Poisson draws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from xsim.backend import Backend

EXPONENTIAL, LOGARITHM, QUANTILE = 0, 1, 2
MEANS = (0.1, 0.5, 2.0, 5.0, 9.99, 10.0, 30.0, 100.0, 1e3, 1e4, 1e5, 1e6)


def random_words(backend: Backend, counters: list[list[int]], key: tuple[int, int]) -> np.ndarray:
    given = backend.xp.asarray(np.array(counters, np.uint32))
    words = backend.xp.zeros_like(given)
    backend.launch("random_words", len(counters), counters=given, words=words, seed=key[0] | key[1] << 32)
    return backend.to_numpy(words)


def evaluate(backend: Backend, x: np.ndarray, function: int) -> np.ndarray:
    given = backend.xp.asarray(np.ascontiguousarray(x, np.float32))
    y = backend.xp.empty_like(given)
    backend.launch("evaluate", x.size, x=given, y=y, function=function)
    return backend.to_numpy(y).astype(np.float64)


def draw(backend: Backend, mean: float, count: int, seed: int = 1, frame: int = 0) -> np.ndarray:
    """Poisson draws of one mean: quanta of 1 keV."""
    signal = backend.xp.full(count, mean, np.float32)
    light = backend.xp.empty_like(signal)
    backend.launch(
        "draw_quanta", -(-count // backend.lanes), signal=signal, variance=signal, light=light, seed=seed, pixels=count,
        frame=frame,
    )  # fmt: skip
    return backend.to_numpy(light)


def every_float(low: float, high: float, count: int) -> np.ndarray:
    """Floats evenly spread over the bit patterns of [low, high], ends included; 0 < low or high < 0."""
    ends = np.array([low, high], np.float32).view(np.uint32).astype(np.int64)
    return np.linspace(ends[0], ends[1], count).round().astype(np.uint32).view(np.float32)


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ([0, 0, 0, 0], (0, 0), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, (0xFFFFFFFF,) * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            (0xA4093822, 0x299F31D0),
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_gives_the_known_answers_of_random123(
    backend: Backend, counter: list[int], key: tuple[int, int], words: list[int]
) -> None:
    assert random_words(backend, [counter], key)[0].tolist() == words


def test_exponential_errs_by_less_than_1_2e_7_over_all_of_its_range(backend: Backend) -> None:
    x = np.concatenate([-every_float(1e-8, 87, 4_000_000), every_float(1e-8, 88, 1_000_000), [0, -0.0]])
    wanted = np.exp(x.astype(np.float64))
    assert np.abs(evaluate(backend, x, EXPONENTIAL) / wanted - 1).max() < 1.2e-7
    assert (evaluate(backend, np.array([-87.01, -1e3, -3e38, -np.inf]), EXPONENTIAL) == 0).all()


def test_logarithm_errs_by_less_than_1_5e_7_of_its_value_or_of_1(backend: Backend) -> None:
    x = np.concatenate([every_float(1.2e-38, 3.4e38, 4_000_000), every_float(0.5, 2, 1_000_000)])
    wanted = np.log(x.astype(np.float64))
    error = np.abs(evaluate(backend, x, LOGARITHM) - wanted) / np.maximum(np.abs(wanted), 1)
    assert error.max() < 1.5e-7


def test_normal_quantile_errs_by_less_than_5e_7_of_its_value_or_of_1(backend: Backend) -> None:
    """Over every value that a uniform draw can take, against the inverse of the error function in float64."""
    p = (np.arange(2**23) + 0.5) * 2.0**-23
    wanted = special.ndtri(p)
    error = np.abs(evaluate(backend, p, QUANTILE) - wanted) / np.maximum(np.abs(wanted), 1)
    assert error.max() < 5e-7


def chi_square_p(draws: np.ndarray, mean: float) -> float:
    """p of Pearson's chi-square against the Poisson law; cells of at least 20 expected counts, both tails pooled."""
    law = stats.poisson(mean)
    low, high = int(draws.min()), int(draws.max())
    first, last = int(law.ppf(30 / draws.size)), int(law.isf(30 / draws.size))
    cells = min(last - first, 2000)
    edges = np.unique(np.linspace(first, last, cells + 1).round()).astype(int)
    counts = np.histogram(draws, np.concatenate([[min(low, first) - 1], edges, [max(high, last) + 1]]))[0]
    below = np.concatenate([[0], law.cdf(edges - 1), [1]])
    expected = np.diff(below) * draws.size
    keep = expected > 0
    assert counts[~keep].sum() == 0
    return float(stats.chisquare(counts[keep], expected[keep] * counts.sum() / expected[keep].sum()).pvalue)


def test_poisson_follows_the_law_at_twelve_means(backend: Backend) -> None:
    """Chi-square of 1e7 draws a mean, Sidak at 1 % over the twelve."""
    p = {mean: chi_square_p(draw(backend, mean, 10_000_000), mean) for mean in MEANS}
    assert min(p.values()) > 1 - 0.99 ** (1 / len(MEANS)), p


@pytest.mark.parametrize("mean", [0.01, 3.0, 9.5, 12.0])
def test_no_poisson_draw_is_one_that_never_happens(backend: Backend, mean: float) -> None:
    """In 3e7 draws nothing beyond the quantile of 1e-12: an outlier would pass for a defect of the part."""
    greatest = max(draw(backend, mean, 10_000_000, frame=frame).max() for frame in range(3))
    assert greatest <= stats.poisson(mean).isf(1e-12)


@pytest.mark.parametrize("mean", [1e7, 1e9, 1.07e9, 1.08e9, 3e9, 1e12])
def test_poisson_stays_exact_where_float_integers_end(backend: Backend, mean: float) -> None:
    """Mean and variance of 1e6 draws within five standard errors, above 2^24 too."""
    draws = draw(backend, mean, 1_000_000).astype(np.float64)
    held = float(np.float32(mean))
    assert abs(draws.mean() - held) < 5 * np.sqrt(held / draws.size)
    assert abs(draws.var() / held - 1) < 5 * np.sqrt(2 / draws.size)


@pytest.mark.parametrize("mean", [1e15, 1e20, 3e38])
def test_noise_below_the_last_bit_of_a_float_is_none(backend: Backend, mean: float) -> None:
    assert np.abs(draw(backend, mean, 1000) / mean - 1).max() < 2e-7


def test_draws_of_pixels_frames_and_seeds_do_not_correlate(backend: Backend) -> None:
    count = 1_000_000
    base = draw(backend, 50.0, count)
    others = {
        "next pixel": np.roll(base, 1),
        "next frame": draw(backend, 50.0, count, frame=1),
        "next seed": draw(backend, 50.0, count, seed=2),
        "high seed": draw(backend, 50.0, count, seed=1 | 1 << 32),
    }
    for name, other in others.items():
        assert abs(np.corrcoef(base, other)[0, 1]) < 5 / np.sqrt(count), name


def test_a_dark_pixel_draws_nothing(backend: Backend) -> None:
    assert (draw(backend, 0.0, 1000) == 0).all()
