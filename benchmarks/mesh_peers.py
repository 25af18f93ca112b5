"""Peers that take triangles. Each says in one place how its image comes about; peers.py runs them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from peer import Peer

NEXT_MM = 1e-3  # how far behind a hit Embree's next ray starts


def gvxr(case: dict[str, Any]) -> Peer:
    """gVirtualXRay: OpenGL, on the GPU of its EGL or on Mesa's llvmpipe where there is none.

    Its own outer surface leaves an image of zeros in 2.1.0, so the body around the others is given with their
    surfaces turned inside out.
    """
    from gvxrPython3 import gvxr as g

    pixels, side, distance = int(case["pixels"]), float(case["side"]), float(case["sdd"] - case["sod"])
    g.useLogFile(str(Path(tempfile.gettempdir()) / f"gvxr-{os.getpid()}.log"))
    g.createOpenGLContext()
    g.setSourcePosition(0, -float(case["sod"]), 0, "mm")
    g.usePointSource()
    g.setDetectorPosition(0, distance, 0, "mm")
    g.setDetectorUpVector(0, 0, 1)
    g.setDetectorNumberOfPixels(pixels, pixels)
    g.setDetectorPixelSize(side / pixels, side / pixels, "mm")
    energies, photons = case["energy_kev"], case["photons"]
    for k in range(int(case["groups"])):
        vertices, faces = case[f"vertices{k}"], case[f"faces{k}"]
        turned = np.stack([vertices[:, 0], vertices[:, 2], -vertices[:, 1]], axis=1).astype(np.float32)
        g.makeTriangularMesh(f"body{k}", turned.ravel().tolist(), faces.ravel().tolist(), "mm")
        set_gvxr_material(g, case, k)
        g.addPolygonMeshAsInnerSurface(f"body{k}")
    if len(energies) == 1:
        g.setMonoChromatic(float(energies[0]), "keV", 1)
    for energy, count in zip(energies, photons, strict=True) if len(energies) > 1 else ():
        g.addEnergyBinToSpectrum(float(energy), "keV", float(count))
    image = np.zeros((pixels, pixels), np.float32)

    def work() -> np.ndarray:
        g.computeXRayImage(image, True)  # the energy that reaches each pixel
        return image

    return Peer(work, lambda found: found / found[0, 0], str(g.getOpenGlRenderer()))  # the corner is open beam


def set_gvxr_material(g: Any, case: dict[str, Any], k: int) -> None:
    """Our attenuation where there is one energy; its own tables, by formula and density, for a spectrum."""
    name, formula = f"body{k}", str(case[f"formula{k}"])
    if len(case["energy_kev"]) == 1:
        g.setLinearAttenuationCoefficient(name, 10 * float(case[f"attenuation{k}"][0]), "cm-1")
        return
    (g.setElement if formula == "Al" else g.setCompound)(name, formula)
    g.setDensity(name, float(case[f"density{k}"]), "g/cm3")


def embree(case: dict[str, Any]) -> Peer:
    """Embree by hand: the first hit, then again behind it until nothing is hit. Its trees are built before."""
    from embreex import rtcore_scene
    from embreex.mesh_construction import TriangleMesh

    origin, towards = rays(case)
    source = np.broadcast_to(origin, towards.shape).astype(np.float32)

    def length_of(k: int) -> Callable[[], np.ndarray]:
        scene = rtcore_scene.EmbreeScene()
        TriangleMesh(scene, case[f"vertices{k}"].astype(np.float32), case[f"faces{k}"].astype(np.int32))
        scene.run(source[:1], towards[:1])

        def length() -> np.ndarray:
            total, left = np.zeros(len(towards)), np.arange(len(towards))
            start, passed, sign = source.copy(), np.zeros(len(towards)), -1.0
            while True:
                hits = scene.run(start[left], towards[left], query="INTERSECT", output=True)
                met = hits["primID"] >= 0
                left = left[met]
                if not len(left):
                    return total.astype(np.float32)
                depth = passed[left] + hits["tfar"][met]
                total[left] += sign * depth
                sign = -sign
                passed[left] = depth + NEXT_MM
                start[left] = source[left] + passed[left, None].astype(np.float32) * towards[left]

        return length

    return summed(case, length_of)


def open3d(case: dict[str, Any]) -> Peer:
    """Open3D's RaycastingScene (Embree inside): every hit listed, depths added by the sign of the face."""
    import open3d as o3d

    origin, towards = rays(case)
    lines = o3d.core.Tensor(np.concatenate([np.broadcast_to(origin, towards.shape), towards], axis=1, dtype=np.float32))

    def length_of(k: int) -> Callable[[], np.ndarray]:
        vertices, faces = case[f"vertices{k}"].astype(np.float32), case[f"faces{k}"].astype(np.uint32)
        a, b, c = (vertices[faces[:, i]] for i in range(3))
        normals = np.cross(b - a, c - a)
        scene = o3d.t.geometry.RaycastingScene()
        scene.add_triangles(o3d.core.Tensor(vertices), o3d.core.Tensor(faces))
        scene.count_intersections(lines[:1])  # builds the tree

        def length() -> np.ndarray:
            hits = scene.list_intersections(lines)
            ray, face = hits["ray_ids"].numpy(), hits["primitive_ids"].numpy()
            signs = np.sign(np.einsum("ij,ij->i", towards[ray], normals[face]))
            depths = signs * hits["t_hit"].numpy()
            return np.bincount(ray, weights=depths, minlength=len(towards)).astype(np.float32)

        return length

    return summed(case, length_of)


def rays(case: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The source and unit directions to pixel centres, float32 [ray, 3]."""
    pixels = int(case["pixels"])
    across = (np.arange(pixels) - 0.5 * (pixels - 1)) * float(case["side"]) / pixels
    towards = np.stack(np.broadcast_arrays(across[None, :], across[:, None], float(case["sdd"])), axis=-1)
    towards = (towards / np.linalg.norm(towards, axis=-1, keepdims=True)).reshape(-1, 3)
    return np.array([0, 0, -float(case["sod"])], np.float32), towards.astype(np.float32)


def summed(case: dict[str, Any], length_of: Callable[[int], Callable[[], np.ndarray]]) -> Peer:
    """A peer that gives path lengths: Beer-Lambert's law added in NumPy, an energy at a time, in float32."""
    lengths = [length_of(k) for k in range(int(case["groups"]))]
    weights = case["energy_kev"] * case["photons"]
    weights = (weights / weights.sum()).astype(np.float32)
    attenuation = [case[f"attenuation{k}"].astype(np.float32) for k in range(len(lengths))]

    def work() -> np.ndarray:
        found = [length() for length in lengths]
        signal = np.zeros_like(found[0])
        for i, weight in enumerate(weights):
            depth = attenuation[0][i] * found[0]
            for k in range(1, len(found)):
                depth += attenuation[k][i] * found[k]
            np.negative(depth, out=depth)
            signal += weight * np.exp(depth, out=depth)
        return signal.reshape(int(case["pixels"]), -1)

    return Peer(work)
