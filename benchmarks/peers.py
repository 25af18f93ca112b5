"""One peer on one case, run by projection.py in the peers' own environment:  python peers.py PEER CASE.npz

CASE.npz holds the triangles of every body in mm (source at z = -sod, detector at z = sdd - sod, x along columns,
y along rows), its attenuation per energy in 1/mm, and the spectrum. Prints one line of JSON: milliseconds of each
repeat, and the file the image went to.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np


def repeat(work: Callable[[], np.ndarray], repeats: int) -> tuple[np.ndarray, list[float]]:
    image, spent = work(), []
    for _ in range(repeats):
        start = time.perf_counter()
        image = work()
        spent.append(1e3 * (time.perf_counter() - start))
    return image, spent


def gvxr(case: dict[str, np.ndarray]) -> Callable[[], np.ndarray]:
    """gVirtualXRay: Mesa's llvmpipe where there is no GPU.

    Its own outer surface leaves an image of zeros in 2.1.0, so the body around the others is given with their
    surfaces turned inside out.
    """
    from gvxrPython3 import gvxr as g

    n, sod, sdd, side = (float(case[k]) for k in ("pixels", "sod", "sdd", "side"))
    g.useLogFile(str(Path(sys.argv[2]).with_suffix(".gvxr.log")))
    g.createOpenGLContext()
    g.setSourcePosition(0, -sod, 0, "mm")
    g.usePointSource()
    g.setDetectorPosition(0, sdd - sod, 0, "mm")
    g.setDetectorUpVector(0, 0, 1)
    g.setDetectorNumberOfPixels(int(n), int(n))
    g.setDetectorPixelSize(side / n, side / n, "mm")
    energies, photons = case["energy_kev"], case["photons"]
    for k in range(int(case["groups"])):
        vertices, faces = case[f"vertices{k}"], case[f"faces{k}"]
        turned = np.stack([vertices[:, 0], vertices[:, 2], -vertices[:, 1]], axis=1).astype(np.float32)
        name = f"body{k}"
        g.makeTriangularMesh(name, turned.ravel().tolist(), faces.ravel().tolist(), "mm")
        if len(energies) == 1:
            g.setLinearAttenuationCoefficient(name, 10 * float(case[f"attenuation{k}"][0]), "cm-1")
        elif str(case[f"formula{k}"]) == "Al":
            g.setElement(name, "Al")
        else:
            g.setCompound(name, str(case[f"formula{k}"]))
        if len(energies) > 1:
            g.setDensity(name, float(case[f"density{k}"]), "g/cm3")
        g.addPolygonMeshAsInnerSurface(name)
    if len(energies) == 1:
        g.setMonoChromatic(float(energies[0]), "keV", 1)
    for energy, count in zip(energies, photons, strict=True) if len(energies) > 1 else ():
        g.addEnergyBinToSpectrum(float(energy), "keV", float(count))
    image = np.zeros((int(n), int(n)), np.float32)

    def work() -> np.ndarray:
        g.computeXRayImage(image, len(energies) > 1)
        return image / image.max()

    return work


def embree(case: dict[str, np.ndarray]) -> Callable[[], np.ndarray]:
    """Embree by hand, one body: the first hit, then again behind it, until nothing is hit. Its tree is built before."""
    from embreex import rtcore_scene
    from embreex.mesh_construction import TriangleMesh

    n, sod, sdd, side = (float(case[k]) for k in ("pixels", "sod", "sdd", "side"))
    pixels, step = int(n), side / n
    across = (np.arange(pixels) - 0.5 * (pixels - 1)) * step
    towards = np.stack(np.broadcast_arrays(across[None, :], across[:, None], sdd), axis=-1).reshape(-1, 3)
    towards = (towards / np.linalg.norm(towards, axis=1, keepdims=True)).astype(np.float32)
    source = np.zeros_like(towards)
    source[:, 2] = -sod
    scene = rtcore_scene.EmbreeScene()
    TriangleMesh(scene, case["vertices0"].astype(np.float32), case["faces0"].astype(np.int32))
    scene.run(source[:1], towards[:1])

    def work() -> np.ndarray:
        length, left = np.zeros(pixels * pixels), np.arange(pixels * pixels)
        start, passed, sign = source.copy(), np.zeros(pixels * pixels), -1.0
        while len(left):
            hits = scene.run(start[left], towards[left], query="INTERSECT", output=True)
            met = hits["primID"] >= 0
            left = left[met]
            if not len(left):
                break
            depth = passed[left] + hits["tfar"][met]
            length[left] += sign * depth
            sign = -sign
            passed[left] = depth + 1e-3
            start[left] = source[left] + passed[left, None].astype(np.float32) * towards[left]
        return np.exp(-float(case["attenuation0"][0]) * length).reshape(pixels, pixels)

    return work


if __name__ == "__main__":
    with np.load(sys.argv[2], allow_pickle=False) as store:
        loaded = dict(store)
    result, spent = repeat({"gvxr": gvxr, "embree": embree}[sys.argv[1]](loaded), int(loaded["repeats"]))
    target = Path(sys.argv[2]).with_suffix(f".{sys.argv[1]}.npy")
    np.save(target, result.astype(np.float32))
    print("RESULT " + json.dumps({"ms": spent, "image": str(target)}))
