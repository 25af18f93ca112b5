"""The scenes that projection.py gives to every engine, and what each pixel of them should hold.

The source is at z = -SOD, the detector at z = SDD - SOD, x runs along columns and y along rows; all lengths in mm.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

import xsim

SOD, SDD, SIDE = 500.0, 1000.0, 100.0
RADIUS = 20.0
VOLUME_SIDE = 64.0
EDGE_SAMPLES = 4  # points per axis in a voxel that the sphere's surface crosses
INNER_MM = 1.0  # paths shorter than this lie at the rim, where facets and voxels are rightly not a sphere
WRONG = 0.02  # of transmission; the facets of these meshes are off by less
MONO = {"energy_kev": 80.0}
TUBE = {"voltage_kv": 120, "filters": [{"material": "Al", "thickness_mm": 2.0}]}
AL = ("Al", 2.699)
PMMA: dict[str, Any] = {"name": "PMMA", "formula": "C5H8O2", "density_g_cm3": 1.18}
MESH_PEERS = ("gvxr", "embree", "open3d")


@dataclass(frozen=True)
class Group:
    """What adds up to one material, for peers that know no overlap: surfaces of displaced bodies are turned around."""

    formula: str
    density_g_cm3: float
    material: Any  # as scene files name it
    mesh: trimesh.Trimesh


@dataclass(frozen=True)
class Case:
    """One scene, one image.

    ``lengths`` gives the exact path length per material; ``bodies`` and ``groups`` are empty where it is a volume.
    """

    key: str
    title: str
    pixels: int
    source: dict[str, Any]
    peers: tuple[str, ...]
    lengths: Callable[[int], dict[str, np.ndarray]]
    bodies: Callable[[], list[dict[str, Any]]] = list
    groups: Callable[[], list[Group]] = list
    voxels: int = 0

    @functools.cached_property
    def beam(self) -> tuple[np.ndarray, np.ndarray]:
        """Energies [keV] and photons of each, their sum 1e6."""
        if "energy_kev" in self.source:
            return np.array([self.source["energy_kev"]]), np.array([1e6])
        filters = [(layer["material"], layer["thickness_mm"]) for layer in self.source["filters"]]
        spectrum = xsim.tube_spectrum(self.source["voltage_kv"], filters=filters)
        photons = spectrum.photons * spectrum.bin_width_kev
        used = photons > 0
        return spectrum.energy_kev[used], 1e6 * photons[used] / photons.sum()

    def transmission(self) -> np.ndarray:
        """Share of the energy that reaches each pixel, float64 [row, column]."""
        energies, photons = self.beam
        lengths = self.lengths(self.pixels)
        attenuation = {name: xsim.attenuation(MATERIALS[name], energies) for name in lengths}
        through = np.zeros((self.pixels, self.pixels))
        for k, weight in enumerate(photons * energies / (photons * energies).sum()):
            through += weight * np.exp(-sum(attenuation[name][k] * length for name, length in lengths.items()))
        return through

    def errors(self, transmission: np.ndarray) -> dict[str, float]:
        """How far an image is from the exact one, turned to where it is nearest: engines differ in their row 0."""
        exact = self.transmission()
        images = [np.rot90(image, k) for image in (transmission, transmission[:, ::-1]) for k in range(4)]
        capped = [np.minimum(np.abs(np.nan_to_num(image, nan=9.0) - exact), 1.0) for image in images]
        nearest = min(range(8), key=lambda k: capped[k].mean())
        found = {
            "wrong_pixels": int((capped[nearest] > WRONG).sum()),
            "mean_transmission": float(capped[nearest].mean()),
            "max_transmission": float(capped[nearest].max()),
        }
        lengths = self.lengths(self.pixels)
        if len(lengths) == 1 and len(self.beam[0]) == 1:
            found |= length_errors(images[nearest], lengths["Al"], float(xsim.attenuation("Al", self.beam[0])[0]))
        return found

    def write(self, folder: Path) -> Path:
        """The scene as arrays, for peers.py."""
        energies, photons = self.beam
        fields: dict[str, Any] = {"pixels": self.pixels, "sod": SOD, "sdd": SDD, "side": SIDE,
                                  "energy_kev": energies, "photons": photons}  # fmt: skip
        groups = self.groups()
        fields["groups"] = len(groups)
        for k, group in enumerate(groups):
            fields |= {f"vertices{k}": group.mesh.vertices, f"faces{k}": group.mesh.faces,
                       f"formula{k}": group.formula, f"density{k}": group.density_g_cm3,
                       f"attenuation{k}": xsim.attenuation(group.material, energies)}  # fmt: skip
        if self.voxels:
            fields |= {"volume_side": VOLUME_SIDE, "volume_file": str(volume_file(folder, self.voxels)),
                       "attenuation0": xsim.attenuation("Al", energies)}  # fmt: skip
        np.savez(folder / "case.npz", **fields)
        return folder / "case.npz"


MATERIALS = {"Al": "Al", "PMMA": PMMA}


def length_errors(transmission: np.ndarray, exact_mm: np.ndarray, attenuation: float) -> dict[str, float]:
    """Path lengths read back from transmission, beside the exact ones."""
    error = np.abs(-np.log(np.maximum(transmission.astype(np.float64), 1e-300)) / attenuation - exact_mm)
    return {"mean_mm": float(error.mean()), "max_mm": float(error.max()),
            "inner_max_mm": float(error[exact_mm > INNER_MM].max())}  # fmt: skip


def rays(pixels: int) -> np.ndarray:
    """Unit directions from the source to pixel centres, float64 [row, column, 3]."""
    across = (np.arange(pixels) - 0.5 * (pixels - 1)) * SIDE / pixels
    towards = np.stack(np.broadcast_arrays(across[None, :], across[:, None], SDD), axis=-1)
    return towards / np.linalg.norm(towards, axis=-1, keepdims=True)


def sphere_length(ways: np.ndarray, centre: np.ndarray, radius: float) -> np.ndarray:
    to_source = np.array([0.0, 0.0, -SOD]) - centre
    half = ways @ to_source
    return 2.0 * np.sqrt(np.maximum(half * half - (to_source @ to_source - radius**2), 0.0))


def box_length(ways: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    source = np.array([0.0, 0.0, -SOD])
    near, far = (low - source) / ways, (high - source) / ways  # pixel centres of even images: no direction is 0
    return np.maximum(np.maximum(near, far).min(axis=-1) - np.minimum(near, far).max(axis=-1), 0.0)


@functools.lru_cache(maxsize=2)
def ball_lengths(pixels: int) -> dict[str, np.ndarray]:
    return {"Al": sphere_length(rays(pixels), np.zeros(3), RADIUS)}


@functools.lru_cache(maxsize=1)
def block_lengths(pixels: int) -> dict[str, np.ndarray]:
    ways = rays(pixels)
    block, steps, balls = block_parts()
    aluminium = sum(box_length(ways, low, high) for low, high in steps)
    aluminium = aluminium + sum(sphere_length(ways, centre, radius) for centre, radius in balls)
    return {"Al": aluminium, "PMMA": box_length(ways, *block) - aluminium}


@functools.lru_cache(maxsize=2)
def ball(level: int) -> trimesh.Trimesh:
    return trimesh.creation.icosphere(level, radius=RADIUS)


def block_parts() -> tuple[tuple, list[tuple], list[tuple]]:
    """An acrylic block; eight aluminium steps of 1 to 8 mm and 200 aluminium spheres inside it, apart."""
    half = np.array([22.0, 22.0, 10.0])
    steps = [(np.array([-20.0 + 5 * k, -20.0, -4.0]), np.array([-15.5 + 5 * k, -14.0, k - 3.0])) for k in range(8)]
    generator, balls = np.random.default_rng(7), []
    while len(balls) < 200:
        radius, centre = generator.uniform(0.3, 1.0), generator.uniform((-20, -12, -8), (20, 20, 8))
        if all(np.linalg.norm(centre - c) > radius + r + 0.05 for c, r in balls):
            balls.append((centre, radius))
    return (-half, half), steps, balls


@functools.lru_cache(maxsize=1)
def block_meshes() -> tuple[trimesh.Trimesh, list[trimesh.Trimesh]]:
    block, steps, balls = block_parts()
    inside = [trimesh.creation.box(bounds=step) for step in steps]
    for centre, radius in balls:
        inside.append(trimesh.creation.icosphere(3, radius=radius))
        inside[-1].apply_translation(centre)
    return trimesh.creation.box(bounds=block), inside


def block_bodies() -> list[dict[str, Any]]:
    block, inside = block_meshes()
    return [{"mesh": block, "material": PMMA}, *({"mesh": mesh, "material": "Al"} for mesh in inside)]


def block_groups() -> list[Group]:
    block, inside = block_meshes()
    whole = trimesh.util.concatenate(inside)
    turned = trimesh.Trimesh(whole.vertices, whole.faces[:, ::-1], process=False)
    return [Group(*AL, "Al", whole), Group("C5H8O2", 1.18, PMMA, trimesh.util.concatenate([block, turned]))]


def volume_file(folder: Path, voxels: int) -> Path:
    """Share of each voxel inside the sphere, float32 [z, y, x], as .npy; kept in the folder."""
    target = folder / f"ball-{voxels}.npy"
    if not target.exists():
        np.save(target, ball_volume(voxels))
    return target


def ball_volume(voxels: int) -> np.ndarray:
    """Voxels that the surface crosses are sampled at points; the others are 0 or 1."""
    step = VOLUME_SIDE / voxels
    middle = (np.arange(voxels) + 0.5) * step - 0.5 * VOLUME_SIDE
    offsets = ((np.arange(EDGE_SAMPLES) + 0.5) / EDGE_SAMPLES - 0.5) * step
    points = np.stack(np.meshgrid(offsets, offsets, offsets, indexing="ij"), axis=-1).reshape(-1, 3)
    volume = np.empty((voxels,) * 3, np.float32)
    for k, z in enumerate(middle):
        distance = np.sqrt(z * z + middle[:, None] ** 2 + middle[None, :] ** 2)
        volume[k] = distance < RADIUS
        row, column = np.nonzero(np.abs(distance - RADIUS) < step)
        edge = np.stack(np.broadcast_arrays(z, middle[row], middle[column]), axis=-1)
        inside = ((edge[:, None] + points) ** 2).sum(axis=-1) < RADIUS**2
        volume[k, row, column] = inside.mean(axis=1)
    return volume


def mesh_cases() -> list[Case]:
    def one(level: int, pixels: int) -> Case:
        def bodies() -> list[dict[str, Any]]:
            return [{"mesh": ball(level), "material": "Al"}]

        key = f"sphere-{20 * 4**level}-{pixels}"
        return Case(key, "sphere, 80 keV", pixels, MONO, MESH_PEERS, ball_lengths, bodies,
                    lambda: [Group(*AL, "Al", ball(level))])  # fmt: skip

    title = "acrylic block with 208 aluminium meshes, "
    rest: tuple = (MESH_PEERS, block_lengths, block_bodies, block_groups)
    return [one(6, 1024), one(8, 1024), one(8, 2048), Case("block-mono", title + "80 keV", 1024, MONO, *rest),
            Case("block-bins", title + "120 kV, all bins", 1024, TUBE, *rest)]  # fmt: skip


def voxel_cases() -> list[Case]:
    """DiffDRR is asked for the small image only: the others take it minutes each."""

    def one(voxels: int, pixels: int, *more: str) -> Case:
        return Case(f"voxels-{voxels}-{pixels}", "sphere in voxels, 80 keV", pixels, MONO,
                    ("gecatsim", "astra", *more), ball_lengths, voxels=voxels)  # fmt: skip

    return [one(256, 256, "diffdrr-siddon", "diffdrr-trilinear"), one(256, 1024), one(512, 1024)]
