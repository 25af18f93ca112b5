"""The corpus that corpus.py times: its file, and the same scenes as arrays for a peer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import trimesh

import datagen
from datagen.placement import rotation
from xsim.absorption import beam_weights
from xsim.radiograph import expose

PIXELS, PEBBLES, SHARD = 512, 8, 32
MATERIALS = {"Al": ("Al", 2.699), "Fe": ("Fe", 7.874), "glass": ("SiO2", 2.23), "PVC": ("C2H3Cl", 1.406)}
GRID_MM = ((-16, -16), (0, -16), (16, -16), (-16, 0), (16, 0), (-16, 16), (0, 16), (16, 16))
PLATE = """
[[body]]
name = "plate"
mesh = "plate.stl"
mesh_unit = "mm"
material = { formula = "C5H8O2", density_g_cm3 = 1.19 }
position_mm = [0, 0, 25]
"""
HEAD = """
[corpus]
name = "pebbles"
scenes = {scenes}
seed = 5
shard_samples = {shard}
[source]
voltage_kv = 120
filters = [{{ material = "Al", thickness_mm = 2.0 }}]
[geometry]
sod_mm = 700
sdd_mm = 1000
[acquisition]
quanta_per_pixel = {{ log_uniform = [100, 3000] }}
energies = "{energies}"
[detector]
preset = "generic-gos-200um"
rows = {pixels}
columns = {pixels}
"""
PEBBLE = """
[[body]]
name = "pebble {k}"
mesh = "pebble{k}.stl"
mesh_unit = "mm"
material = {{ choice = [{materials}] }}
position_mm = [{{ uniform = [{x0}, {x1}] }}, {{ uniform = [{y0}, {y1}] }}, {{ uniform = [-10, 10] }}]
rotation_deg = [{{ uniform = [0, 360] }}, {{ uniform = [0, 360] }}, {{ uniform = [0, 360] }}]
"""


def write_job(folder: Path, scenes: int, energies: str = "few") -> Path:
    """The corpus file and its meshes: eight pebbles of 1280 triangles, each posed anew in each scene, and a plate."""
    random = np.random.default_rng(3)
    for k in range(PEBBLES):
        pebble = trimesh.creation.icosphere(3, radius=5.0)
        waves = np.sin(pebble.vertices @ random.uniform(-0.6, 0.6, (3, 4)) + random.uniform(0, 6, 4)).sum(axis=1)
        pebble.vertices *= (1 + 0.06 * waves[:, None]) * random.uniform(0.6, 1.0, 3)
        pebble.export(folder / f"pebble{k}.stl")
    trimesh.creation.box((60, 60, 10)).export(folder / "plate.stl")
    materials = ", ".join(
        f'{{ formula = "{formula}", density_g_cm3 = {density} }}' for formula, density in MATERIALS.values()
    )
    text = HEAD.format(scenes=scenes, shard=SHARD, pixels=PIXELS, energies=energies) + PLATE
    for k, (x, y) in enumerate(GRID_MM):
        text += PEBBLE.format(k=k, materials=materials, x0=x - 2, x1=x + 2, y0=y - 2, y1=y + 2)
    target = folder / f"pebbles-{scenes}-{energies}.toml"
    target.write_text(text)
    return target


def triangles(folder: Path) -> int:
    return sum(len(trimesh.load(file).faces) for file in folder.glob("*.stl"))


def write_peer_job(corpus: Path, target: Path, scenes: int) -> np.ndarray:
    """The first scenes for corpus_peer.py; returns the clean image of the first, in shares of its open beam."""
    known = datagen.load_corpus(corpus)
    drawn = [datagen.draw_scene(known, k)[0] for k in range(scenes)]
    names = [Path(body["mesh"]).name for body in drawn[0].mapping["body"]]
    meshes = {}
    for k, name in enumerate(names):
        mesh = trimesh.load(corpus.parent / name)
        meshes |= {f"vertices{k}": mesh.vertices.astype(np.float32), f"faces{k}": mesh.faces.astype(np.int32)}
    exposure = expose(drawn[0].scene, "cpu")
    told = exposure.record(0).metadata
    weights = beam_weights(drawn[0].scene, drawn[0].scene.view, 1.0)
    np.savez(
        target, meshes=len(names), **meshes, pixels=PIXELS, pitch_mm=told["pitch_mm"], sod_mm=700.0, sdd_mm=1000.0,
        energy_kev=weights.energy_kev, photons=weights.signal_kev.sum(axis=0) / weights.energy_kev,
        poses=np.array([[pose(body) for body in each.mapping["body"]] for each in drawn]),
        materials=np.array([[body["material"]["formula"] for body in each.mapping["body"]] for each in drawn]),
        densities=np.array([[body["material"]["density_g_cm3"] for body in each.mapping["body"]] for each in drawn]),
        quanta=np.array([each.mapping["acquisition"]["quanta_per_pixel"] for each in drawn]),
        kernel=exposure.kernel, shard=min(SHARD, scenes), offset_adu=told["offset_adu"],
        gain_adu_per_quantum=told["gain_adu_per_quantum"], read_noise_adu=told["read_noise_adu"],
    )  # fmt: skip
    light = exposure.backend.to_numpy(exposure.mean_light)
    return np.asarray(light / float(weights.signal_kev.sum()) / exposure.mas, np.float32)


def pose(body: dict[str, Any]) -> np.ndarray:
    """Matrix from the body's frame to the world's, float64 [4, 4] mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(body.get("rotation_deg", (0, 0, 0)))
    matrix[:3, 3] = body["position_mm"]
    return matrix


__all__ = ["PIXELS", "SHARD", "triangles", "write_job", "write_peer_job"]
