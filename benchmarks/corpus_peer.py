"""The corpus job of corpus.py as one would write it with gVirtualXRay, NumPy, SciPy and zarr:

    .venv-peers/bin/python benchmarks/corpus_peer.py JOB.npz OUT.zarr

JOB.npz holds the meshes, the beam, the screen and the camera, and for each scene its poses and materials. Meshes are
loaded once and posed for each scene. An image is the energy that reaches each pixel times the share that the screen
absorbs, per pixel; quanta are drawn by NumPy, light spreads by SciPy's FFT with the same kernel, grey values are
rounded; arrays, codec, chunks and shards are those of xsim's store. Prints seconds for the scenes and for the store.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from gvxrPython3 import gvxr as g
from scipy.fft import irfft2, next_fast_len, rfft2
from zarr.codecs import BloscCodec, Crc32cCodec

ARRAYS = {"noisy": "uint16", "clean": "float32", "noise": "float32", "valid": "uint8"}


def main() -> None:
    file, out = Path(sys.argv[1]), Path(sys.argv[2])
    with np.load(file, allow_pickle=False) as store:
        job = {key: store[key] for key in store.files}
    station(job)
    load(job)
    image = np.zeros((int(job["pixels"]),) * 2, np.float32)
    open_beam = project(job, -1, image).copy()
    spread = Spread(job["kernel"], image.shape)
    arrays = create(job, out)
    scenes, size = len(job["poses"]), int(job["shard"])
    rendered = stored = 0.0
    for first in range(0, scenes, size):
        start = time.perf_counter()
        places = range(first, min(first + size, scenes))
        samples = [sample(job, project(job, place, image) / open_beam, spread, place) for place in places]
        middle = time.perf_counter()
        for name, array in arrays.items():
            array[first : first + len(samples)] = np.stack([each[name] for each in samples])
        stored += time.perf_counter() - middle
        rendered += middle - start
    print(f"RESULT {rendered} {stored} {g.getOpenGlRenderer()}", flush=True)


def station(job: dict[str, Any]) -> None:
    pixels, pitch = int(job["pixels"]), float(job["pitch_mm"])
    g.useLogFile(str(Path(tempfile.gettempdir()) / f"gvxr-corpus-{time.time_ns()}.log"))
    g.createOpenGLContext()
    g.setSourcePosition(0, 0, -float(job["sod_mm"]), "mm")
    g.usePointSource()
    g.setDetectorPosition(0, 0, float(job["sdd_mm"] - job["sod_mm"]), "mm")
    g.setDetectorUpVector(0, 1, 0)
    g.setDetectorNumberOfPixels(pixels, pixels)
    g.setDetectorPixelSize(pitch, pitch, "mm")
    for energy, count in zip(job["energy_kev"], job["photons"], strict=True):
        g.addEnergyBinToSpectrum(float(energy), "keV", float(count))


def load(job: dict[str, Any]) -> None:
    for k in range(int(job["meshes"])):
        vertices, faces = job[f"vertices{k}"], job[f"faces{k}"]
        g.makeTriangularMesh(f"body{k}", vertices.ravel().tolist(), faces.ravel().tolist(), "mm")
        g.addPolygonMeshAsInnerSurface(f"body{k}")


def project(job: dict[str, Any], scene: int, image: np.ndarray) -> np.ndarray:
    """Energy that reaches each pixel, mirrored to xsim's columns; of no bodies where the scene is -1."""
    away = np.eye(4)
    away[0, 3] = 1e5
    for k in range(int(job["meshes"])):
        matrix = away if scene < 0 else job["poses"][scene, k]
        g.setLocalTransformationMatrix(f"body{k}", matrix.ravel(order="F").tolist())
        formula = str(job["materials"][max(scene, 0), k])
        (g.setElement if formula.isalpha() and len(formula) <= 2 else g.setCompound)(f"body{k}", formula)
        g.setDensity(f"body{k}", float(job["densities"][max(scene, 0), k]), "g/cm3")
    g.computeXRayImage(image, True)
    return image[:, ::-1]


class Spread:
    """Convolution with the screen's kernel by Fourier transform, borders mirrored, its transform taken once."""

    def __init__(self, kernel: np.ndarray, shape: tuple[int, ...]) -> None:
        self.margin = kernel.shape[0] // 2
        self.size = tuple(next_fast_len(length + 2 * self.margin, real=True) for length in shape)
        self.transfer = rfft2(kernel.astype(np.float32), self.size)

    def __call__(self, light: np.ndarray) -> np.ndarray:
        padded = np.pad(light, self.margin, mode="reflect")
        spread = irfft2(rfft2(padded, self.size) * self.transfer, self.size)
        inner = slice(2 * self.margin, 2 * self.margin + light.shape[0])
        return spread[inner, inner].astype(np.float32)


def sample(job: dict[str, Any], transmission: np.ndarray, spread: Spread, scene: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng([7, scene])
    quanta = transmission * np.float32(job["quanta"][scene])
    gain, offset = float(job["gain_adu_per_quantum"]), float(job["offset_adu"])
    clean = np.round((offset + gain * spread(quanta)) * 16) / np.float32(16)
    light = spread(random.poisson(quanta).astype(np.float32))
    read = random.standard_normal(light.shape, dtype=np.float32) * np.float32(job["read_noise_adu"])
    noisy = np.clip(np.round(offset + gain * light + read), 0, 65535).astype(np.uint16)
    noise = noisy.astype(np.float32) - clean.astype(np.float32)
    return {"noisy": noisy, "clean": clean, "noise": noise, "valid": (noisy < 65535).astype(np.uint8)}


def create(job: dict[str, Any], out: Path) -> dict[str, Any]:
    group = zarr.create_group(out, zarr_format=3)
    pixels, scenes, size = int(job["pixels"]), len(job["poses"]), int(job["shard"])
    arrays = {}
    for name, dtype in ARRAYS.items():
        packed = BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle", typesize=np.dtype(dtype).itemsize)
        arrays[name] = group.create_array(
            name, shape=(scenes, pixels, pixels), dtype=dtype, chunks=(1, pixels, pixels),
            shards=(size, pixels, pixels), compressors=[packed, Crc32cCodec()],
        )  # fmt: skip
    return arrays


if __name__ == "__main__":
    main()
