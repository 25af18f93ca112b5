"""BM3D in an environment of its own (benchmarks/denoisers.txt; its licence is non-commercial), on stabilised images."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import numpy as np

from denoise import vst
from denoise.evaluation import Case

PEER = Path(__file__).with_name("block_matching_peer.py")
SMOOTH_BINS = 9  # spectra are averaged over so many frequencies each way


def bm3d_images(python: Path, cases: list[Case], spectra: list[np.ndarray] | None) -> list[np.ndarray]:
    """What VST + BM3D makes of noisy images, ADU.

    Parameters
    ----------
    python : Path
        Interpreter that has bm3d.
    cases : list of Case
    spectra : list of [row, column], optional
        Noise power of each stabilised image by frequency, |FFT|^2 as NumPy has it; None: white noise of sd 1.

    Notes
    -----
    BM3D estimates E[T(x)], so the inverse is the unbiased one (Mäkitalo and Foi).
    """
    told = [(c.params["a_pixel_adu"], c.params["b_adu2"]) for c in cases]
    z = np.stack([vst.forward(c.noisy, *ab) for c, ab in zip(cases, told, strict=True)]).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("z.npy", "spectra.npy", "out.npy")]
        np.save(files[0], z)
        if spectra is not None:
            np.save(files[1], np.stack(spectra).astype(np.float32))
        subprocess.run([python, "-W", "ignore", PEER, *files], check=True)
        restored = np.load(files[2])
    return [vst.inverse_of_mean(image, *ab) for image, ab in zip(restored, told, strict=True)]


def noise_spectrum(cases: list[Case]) -> np.ndarray:
    """Power of the stabilised noise of images taken with one setting, smoothed: what no camera would know so well."""
    power = np.zeros(cases[0].noisy.shape)
    for case in cases:
        a, b = case.params["a_pixel_adu"], case.params["b_adu2"]
        noise = (vst.forward(case.noisy, a, b) - vst.forward(case.clean, a, b)) * case.valid
        power += np.abs(np.fft.fft2(noise - noise.mean())) ** 2
    power /= len(cases)
    wide = np.pad(power, SMOOTH_BINS // 2, mode="wrap")
    windows = np.lib.stride_tricks.sliding_window_view(wide, (SMOOTH_BINS, SMOOTH_BINS))
    return windows.mean((2, 3))
