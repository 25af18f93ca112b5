"""The same scenes in xsim: every call of a benchmark to the engine's projection goes through `signal_work`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from cases import SDD, SIDE, SOD, VOLUME_SIDE, Case, volume_file

import xsim
from xsim.absorption import BeamWeights, beam_weights, expected_signal
from xsim.backend import Backend
from xsim.energies import few_energies


def signal_work(scene: xsim.Scene, machine: Backend, weights: BeamWeights | None = None) -> Callable[[], np.ndarray]:
    """One image from a scene in memory: energy that reaches each pixel, float32 [row, column] keV on the host."""
    view = scene.view
    if weights is None:
        weights = beam_weights(scene, view, 1.0)

    def work() -> np.ndarray:
        return machine.to_numpy(expected_signal(scene, view, weights, machine, variance=False, labels=False).signal)

    return work


def few_work(scene: xsim.Scene, machine: Backend) -> tuple[Callable[[], np.ndarray], dict[str, Any]]:
    """The same image at the few energies that stand for the spectrum, and what is known of their fit."""
    asked = scene.model_copy(update={"acquisition": scene.acquisition.model_copy(update={"energies": "few"})})
    start = time.perf_counter()
    weights, told = few_energies(asked, beam_weights(asked, asked.view, 1.0))
    return signal_work(scene, machine, weights), told["energies"] | {"fit_ms": 1e3 * (time.perf_counter() - start)}


def open_beam(scene: xsim.Scene, machine: Backend) -> np.ndarray:
    """The image without bodies."""
    return signal_work(xsim.Scene(**{**dict(scene), "body": ()}), machine)()


def scene_of(case: Case, folder: Path) -> xsim.Scene:
    """Scene of a case; its meshes or volume go through files in the folder."""
    bodies = [volume_body(case, folder)] if case.voxels else mesh_bodies(case.bodies(), folder)
    return station(bodies, case.source, case.pixels, folder)


def station(bodies: list[dict[str, Any]], source: dict[str, Any], pixels: int, folder: Path) -> xsim.Scene:
    detector = {"preset": "generic-gos-200um", "response": "ideal", "rows": pixels, "columns": pixels,
                "pitch_mm": SIDE / pixels}  # fmt: skip
    geometry = {"sod_mm": SOD, "sdd_mm": SDD}
    return xsim.scene_from_dict({"source": source, "geometry": geometry, "detector": detector, "body": bodies}, folder)


def mesh_bodies(bodies: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    return [mesh_body(body["mesh"], body["material"], f"{k}.ply", folder) for k, body in enumerate(bodies)]


def mesh_body(mesh: trimesh.Trimesh, material: Any, name: str, folder: Path) -> dict[str, Any]:
    mesh.export(folder / name)
    return {"mesh": name, "mesh_unit": "mm", "material": material}


def volume_body(case: Case, folder: Path) -> dict[str, Any]:
    """A volume in memory whose values are shares of aluminium's density."""
    voxels = np.load(volume_file(folder, case.voxels), allow_pickle=False)
    return {"volume": voxels, "voxel_mm": VOLUME_SIDE / case.voxels, "material": "Al"}
