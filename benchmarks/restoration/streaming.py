"""Lines through the small U-Net: the bits of the whole image, lines a second, and what the core could do at best.

The floor is the multiply-adds of a pixel over the most multiply-adds a second that one core was seen to do in the same
run, in a wide convolution and in a matrix product. Rates a core are per second of processor time: others on the machine
do not count.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import denoise
from denoise.machine import one_thread_each
from denoise.methods import method_named
from denoise.networks import make_network
from denoise.restorer import Restorer
from restoration import Corpora
from restoration.noise_cnn import model

A, B = 0.3, -74.0
COLUMNS, BLOCK_LINES = 1024, 64
SHAPES = ((1, 1), (3, 700), (257, 131), (511, 509), (130, 2051), (1000, 333), (64, 64), (2049, 77))
BLOCKS = (1, 64, 37, 128, 300)
CHILD = """
import re, sys, denoise
from pathlib import Path
from denoise.formats import RawLayout
model, folder, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
denoise.apply(model, f"{folder}/{rows}.raw", f"{folder}/{rows}.tif", layout=RawLayout((rows, 1024)),
              a_pixel_adu=0.3, b_adu2=-74.0, state="raw")
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024)
"""


def run(corpora: Corpora, seed: int, quick: bool) -> dict[str, Any]:
    path = model(corpora, seed, quick)
    unet = denoise.load(path)
    shapes = SHAPES[:3] if quick else SHAPES
    macs, peak = multiply_adds(unet.network), peak_per_s()
    rate, seconds = streamed_rate(unet, 4 if quick else 24)
    stream = denoise.Stream(unet, COLUMNS, A, B, BLOCK_LINES)
    return {
        "differing_pixels": {
            "unet": float(differing(unet, shapes)),
            "dncnn": float(differing(reference(unet), shapes[:4])),
        },
        "mpixel_per_s_and_core": rate / 1e6,
        "mpixel_per_s": wall_rate(unet, 256 if quick else 2048) / 1e6,
        "multiply_adds_per_pixel": macs,
        "halo_factor": stream.grid.rows_seen / stream.grid.lines,
        "peak_gmac_per_s_and_core": peak / 1e9,
        "floor_mpixel_per_s_and_core": peak / macs / 1e6,
        "share_of_peak": rate * macs / peak,
        "share_of_peak_with_halo": rate * macs * stream.grid.rows_seen / stream.grid.lines / peak,
        "latency_lines": stream.latency_lines,
        "block_ms": 1e3 * seconds,
        "memory_growth_mib": memory_growth(path, (256, 1024) if quick else (2048, 16384)),
    }


def reference(restorer: Restorer) -> Restorer:
    """DnCNN of random weights: bits do not ask for good ones."""
    torch.manual_seed(0)
    network = make_network("dncnn").eval().requires_grad_(False).to(memory_format=torch.channels_last)
    settings = {"domain": "vst", "anchor_px": restorer.anchor_px}
    configuration = {**restorer.configuration, "settings": settings}
    return Restorer(network, method_named("noise_cnn"), configuration, torch.device("cpu"), "dncnn", "")


def differing(restorer: Restorer, shapes: tuple[tuple[int, int], ...]) -> int:
    """Pixels whose bits differ from those of one call of the network on the whole image, streamed or in windows."""
    count = 0
    for shape in shapes:
        noisy = lines_of(*shape)
        a, b = np.full(shape, A, np.float32), np.full(shape, B, np.float32)
        whole = restorer.restore_whole(noisy, a, b, restorer.anchor_px)[0, 0].cpu().numpy()
        for lines in (16, BLOCK_LINES):
            stream, found, row, turn = denoise.Stream(restorer, shape[1], A, B, lines), [], 0, 0
            while row < shape[0]:
                found.append(stream.push(noisy[row : row + BLOCKS[turn % len(BLOCKS)]]))
                row, turn = row + BLOCKS[turn % len(BLOCKS)], turn + 1
            count += int((np.concatenate([*found, stream.flush()]) != whole).sum())
        count += int((restorer.restore(noisy, a, b, restorer.anchor_px) != whole).sum())
    return count


def lines_of(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(rows + columns).normal(900, 14, (rows, columns)).astype(np.float32)


def multiply_adds(network: nn.Module, side: int = 256) -> float:
    """Of all convolutions, per pixel of the image."""
    total = 0

    def count(layer: nn.Module, given: Any, result: torch.Tensor) -> None:
        nonlocal total
        # transposed: each pixel that comes in meets every weight of its channel
        pixels = given[0] if isinstance(layer, nn.ConvTranspose2d) else result
        total += pixels[0, 0].numel() * layer.weight.numel()

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    with torch.inference_mode():
        network(torch.zeros(1, 1, side, side))
    for hook in hooks:
        hook.remove()
    return total / side**2


def peak_per_s() -> float:
    """Most multiply-adds a second of one core, in a wide convolution or a matrix product."""
    layer = nn.Conv2d(64, 64, 3, padding=1).to(memory_format=torch.channels_last)
    image = torch.randn(1, 64, 256, 256).to(memory_format=torch.channels_last)
    first, second = torch.randn(2, 1536, 1536)
    with torch.inference_mode(), one_thread_each(1):
        by_layer = 64 * 64 * 9 * 256**2 / best(lambda: layer(image))
        return max(by_layer, 1536**3 / best(lambda: first @ second))


def best(work: Callable[[], Any], turns: int = 7) -> float:
    """Least processor time of some turns, after one that warms up, s."""
    work()
    found = []
    for _ in range(turns):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def streamed_rate(restorer: Restorer, blocks: int) -> tuple[float, float]:
    """Pixels a second of one core, and how long a block takes on the wall [s], median."""
    stream, block = denoise.Stream(restorer, COLUMNS, A, B, BLOCK_LINES), lines_of(BLOCK_LINES, COLUMNS)
    for _ in range(4):
        stream.push(block)
    spent, waited = [], []
    for _ in range(blocks):
        start, wall = time.process_time(), time.perf_counter()
        given = stream.push(block)
        spent.append(time.process_time() - start)
        waited.append(time.perf_counter() - wall)
        assert len(given) == BLOCK_LINES
    return block.size / float(np.median(spent)), float(np.median(waited))


def wall_rate(restorer: Restorer, rows: int) -> float:
    """Pixels a second of the machine, for a whole image."""
    noisy = lines_of(rows, COLUMNS)
    a, b = np.full(noisy.shape, A, np.float32), np.full(noisy.shape, B, np.float32)
    start = time.perf_counter()
    restorer.restore(noisy, a, b, restorer.anchor_px)
    return noisy.size / (time.perf_counter() - start)


def memory_growth(model: Path, rows: tuple[int, int]) -> float:
    """By how much the greatest resident memory of `denoise.apply` is more for the longer of two files, MiB."""
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for count in rows:
            np.memmap(f"{folder}/{count}.raw", np.uint16, "w+", shape=(count, COLUMNS))[:] = 900
            command = [sys.executable, "-W", "ignore", "-c", CHILD, str(model), folder, str(count)]
            found.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    return found[1] - found[0]
