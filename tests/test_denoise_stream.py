"""Tiles and streams: the bits of the network's one call on the whole image, whatever the size and the blocks."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xsim import ModelError

torch = pytest.importorskip("torch")

import denoise  # noqa: E402
from denoise.anchor import Anchor, anchored  # noqa: E402
from denoise.methods import method_named  # noqa: E402
from denoise.networks import make_network  # noqa: E402
from denoise.restorer import Restorer  # noqa: E402
from denoise.tiles import BLOCK_LINES, TILE_COLUMNS, WINDOW_PX, Grid, spans  # noqa: E402

A, B = 0.3, -74.0


def made(network: str = "unet", anchor_px: int = 64, **options) -> Restorer:
    """Restorer with random weights."""
    torch.manual_seed(0)
    net = make_network(network, **options).eval().requires_grad_(False).to(memory_format=torch.channels_last)
    configuration = {
        "method": "noise_cnn",
        "settings": {"domain": "vst", "anchor_px": anchor_px},
        "states": ["raw"],
        "conditions": {},
    }
    return Restorer(net, method_named("noise_cnn"), configuration, torch.device("cpu"), "m.safetensors", "0")


UNET, DNCNN = made(features=8, widest=16), made("dncnn", features=8, layers=5)


def image(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(rows * 7919 + columns).normal(900, 20, (rows, columns)).astype(np.float32)


def full(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    return np.full(shape, A, np.float32), np.full(shape, B, np.float32)


def one_call(restorer: Restorer, noisy: np.ndarray) -> np.ndarray:
    """The network on the whole image at once: no windows, no blocks."""
    return restorer.restore_whole(noisy, *full(noisy.shape), restorer.anchor_px)[0, 0].numpy()


def streamed(restorer: Restorer, noisy: np.ndarray, blocks: list[int], lines: int = BLOCK_LINES) -> np.ndarray:
    stream, found, row, turn = denoise.Stream(restorer, noisy.shape[1], A, B, block_lines=lines), [], 0, 0
    while row < len(noisy):
        count = blocks[turn % len(blocks)]
        found.append(stream.push(noisy[row : row + count]))
        row, turn = row + count, turn + 1
        assert sum(map(len, found)) >= min(row, len(noisy)) - stream.latency_lines
    return np.concatenate([*found, stream.flush()])


@pytest.mark.parametrize("restorer", [UNET, DNCNN], ids=["unet", "dncnn"])
@settings(max_examples=3, deadline=None, derandomize=True)
@given(
    rows=st.integers(1, 330),
    columns=st.integers(1, 300),
    blocks=st.lists(st.sampled_from([1, 2, 7, 64, 65, 300]), min_size=1, max_size=4),
    lines=st.sampled_from([8, 64, 100]),
)
@example(rows=350, columns=289, blocks=[7, 65], lines=8)
def test_streamed_equals_one_call_in_every_bit(restorer, rows, columns, blocks, lines) -> None:
    noisy = image(rows, columns)
    whole = one_call(restorer, noisy)
    np.testing.assert_array_equal(streamed(restorer, noisy, blocks, lines), whole)
    np.testing.assert_array_equal(restorer.restore(noisy, *full(noisy.shape), restorer.anchor_px), whole)


@pytest.mark.parametrize("shape", [(117, 1537), (33, 2051)])
def test_tiles_across_columns_equal_one_call(shape: tuple[int, int]) -> None:
    restorer, noisy = made(), image(*shape)
    assert len(Grid.of(shape[1], restorer.reach, restorer.multiple).columns) == 2
    np.testing.assert_array_equal(streamed(restorer, noisy, [50]), one_call(restorer, noisy))


@given(length=st.integers(1, 900), step=st.integers(1, 40), reach=st.integers(0, 30), multiple=st.sampled_from([1, 4]))
def test_spans_give_an_axis_once_from_windows_of_one_length(length, step, reach, multiple) -> None:
    length, step, reach = length * multiple, step * multiple, reach * multiple
    found = spans(length, step, reach)
    assert [place for s in found for place in range(s.first, s.last)] == list(range(length))
    assert {s.stop - s.start for s in found} == {min(length, step + 2 * reach)}
    for s in found:
        assert s.start == 0 or s.first - s.start >= reach
        assert s.stop == length or s.stop - s.last >= reach
        assert s.start % multiple == 0 and s.stop % multiple == 0


@given(columns=st.integers(1, 20000), lines=st.integers(1, 200), radius=st.integers(0, 40))
def test_windows_are_neither_small_nor_very_wide(columns, lines, radius) -> None:
    grid = Grid.of(columns, radius, 4, lines)
    seen = grid.columns[0].stop - grid.columns[0].start
    assert grid.rows_seen * seen >= WINDOW_PX and grid.lines >= lines
    assert seen <= 1.5 * TILE_COLUMNS + 2 * (radius + 4) + 4 and 0 <= grid.width - columns < 4


@given(
    rows=st.integers(1, 90), columns=st.integers(1, 30), half_width=st.integers(0, 20), blocks=st.lists(
        st.integers(1, 40), min_size=1, max_size=5
    ),
)  # fmt: skip
@settings(deadline=None)
def test_anchored_lines_are_those_of_the_whole_image(rows, columns, half_width, blocks) -> None:
    noisy = torch.from_numpy(image(rows, columns))[None, None]
    restored = noisy.flip(2) * 0.9
    anchor, found, row, turn = Anchor(half_width), [], 0, 0
    while row < rows:
        part = slice(row, row + blocks[turn % len(blocks)])
        found.append(anchor.push(restored[:, :, part], noisy[:, :, part]))
        row, turn = part.stop, turn + 1
    left = anchor.flush()
    given_lines = torch.cat([*found, *([] if left is None else [left])], dim=2)
    assert torch.equal(given_lines, anchored(restored, noisy, half_width))


def test_memory_does_not_grow_with_the_number_of_lines() -> None:
    """Peak of what NumPy holds; torch's own is that of one window."""
    restorer = made("dncnn", features=4, layers=3)
    block = image(64, 256)

    def peak(blocks: int) -> int:
        stream = denoise.Stream(restorer, 256, A, B)
        tracemalloc.start()
        try:
            for _ in range(blocks):
                stream.push(block)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(12), peak(28)
    assert many < 1.1 * few and few < 60 * block.nbytes


def test_latency_is_what_the_windows_need() -> None:
    """Not one line less: a smaller number would be broken by some line."""
    stream = denoise.Stream(UNET, 1024, A, B)
    assert stream.latency_lines == 64 + 24 + 64 - 1
    given_lines, worst = 0, 0
    for row, line in enumerate(image(300, 1024)):
        given_lines += len(stream.push(line))
        worst = max(worst, row + 1 - given_lines)
    assert worst == stream.latency_lines


def test_noise_per_block_and_per_column() -> None:
    noisy = image(150, 70)
    slopes = np.linspace(0.2, 0.4, 70)
    each = np.broadcast_to(slopes, noisy.shape)
    expected = UNET.restore(noisy, each.astype(np.float32), np.full(noisy.shape, B, np.float32), 64)
    columns, blocks = denoise.Stream(UNET, 70, slopes, B), denoise.Stream(UNET, 70)
    np.testing.assert_array_equal(np.concatenate([columns.push(noisy), columns.flush()]), expected)
    parts = [blocks.push(noisy[k : k + 40], each[k : k + 40], B) for k in range(0, 150, 40)]
    np.testing.assert_array_equal(np.concatenate([*parts, blocks.flush()]), expected)


def test_what_a_stream_refuses() -> None:
    stream = denoise.Stream(UNET, 8, A, B)
    with pytest.raises(ModelError, match="8 columns"):
        stream.push(np.zeros((3, 9)))
    with pytest.raises(ModelError, match="no numbers"):
        stream.push(np.full((1, 8), np.nan))
    with pytest.raises(ModelError, match="numbers needed"):
        stream.push(np.full((1, 8), 1j))
    assert len(stream.flush()) == 0
    with pytest.raises(ModelError, match="has ended"):
        stream.push(np.zeros((1, 8)))
    with pytest.raises(ModelError, match="no noise"):
        denoise.Stream(UNET, 8).push(np.zeros((1, 8)))
    with pytest.raises(ModelError, match="above 0"):
        denoise.Stream(UNET, 8, -1.0, B)
    with pytest.raises(ModelError, match="above 0"):
        denoise.Stream(UNET, 0, A, B)
    with pytest.raises(ModelError, match="do not fit"):
        denoise.Stream(UNET, 8, np.ones(7), B)
    with pytest.raises(ModelError, match="'offset_corrected' is not what"):
        denoise.Stream(UNET, 8, A, B, state="offset_corrected")
