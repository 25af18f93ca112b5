"""Small stations for tests, meshes on disk for them, and what a machine projects of them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from xsim import Scene, scene_from_dict
from xsim.backend import Backend
from xsim.projector import Projection, project, report_faults


def station(
    *bodies: dict[str, Any],
    shape: tuple[int, int] = (64, 64),
    pitch_mm: float = 0.2,
    sod_mm: float = 500.0,
    sdd_mm: float = 1000.0,
    source: dict[str, Any] | None = None,
    acquisition: dict[str, Any] | None = None,
    directory: Path | str = ".",
    **detector: Any,
) -> Scene:
    """Scene of a monochromatic source (unless told otherwise) and the shipped panel cut to ``shape``."""
    camera = {"preset": "generic-gos-200um", "rows": shape[0], "columns": shape[1], "pitch_mm": pitch_mm}
    scene = {
        "source": source or {"energy_kev": 60.0},
        "geometry": {"sod_mm": float(sod_mm), "sdd_mm": float(sdd_mm)},
        "acquisition": acquisition or {"exposure_s": 0.1},
        "detector": {**camera, **detector},
        "body": [{"material": "Al", **body} for body in bodies],
    }
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*out of view.*|.*is mesh_unit right.*")
        return scene_from_dict(scene, directory)


def save(directory: Path, name: str, vertices: np.ndarray, faces: np.ndarray) -> dict[str, str]:
    """Mesh body of triangles in mm, float64 kept: PLY as text has every digit."""
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    header = (
        f"ply\nformat ascii 1.0\nelement vertex {len(mesh.vertices)}\n"
        "property double x\nproperty double y\nproperty double z\n"
        f"element face {len(mesh.faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    points = "".join(f"{x!r} {y!r} {z!r}\n" for x, y, z in mesh.vertices.tolist())
    corners = "".join(f"3 {a} {b} {c}\n" for a, b, c in mesh.faces.tolist())
    (directory / f"{name}.ply").write_text(header + points + corners)
    return {"mesh": f"{name}.ply", "mesh_unit": "mm"}


def random_pose(generator: np.random.Generator, reach_mm: float = 0.0) -> dict[str, list[float]]:
    """Any turn, and a place within ``reach_mm`` of the origin along each axis."""
    return {
        "rotation_deg": generator.uniform(-180, 180, 3).tolist(),
        "position_mm": generator.uniform(-reach_mm, reach_mm, 3).tolist(),
    }


def lengths_of(scene: Scene, backend: Backend) -> dict[str, np.ndarray]:
    """As ``path_lengths``, on a given machine."""
    found = project(scene, scene.view, backend)
    report_faults(scene, backend.to_numpy(found.faults), backend.to_numpy(found.faulty_bodies))
    lengths = backend.to_numpy(found.lengths_mm)
    return {m.name: lengths[k] for k, m in enumerate(found.materials)}


def only(lengths: dict[str, np.ndarray]) -> np.ndarray:
    (length,) = lengths.values()
    return length


def faults(projection: Projection, backend: Backend, kind: int) -> int:
    return int((backend.to_numpy(projection.faults) & kind > 0).sum())


def closed_meshes(generator: np.random.Generator) -> dict[str, trimesh.Trimesh]:
    return {
        "icosphere": trimesh.creation.icosphere(3, 40.0),
        "torus": trimesh.creation.torus(30.0, 12.0, major_sections=32, minor_sections=16),
        "hull": trimesh.convex.convex_hull(generator.normal(size=(60, 3)) * 15),
        "plate": trimesh.creation.box((90, 60, 0.5)),
    }


def solid(shape: str, radius: float) -> dict[str, Any]:
    sizes = {
        "sphere": {"radius_mm": radius},
        "cylinder": {"radius_mm": 0.6 * radius, "height_mm": 1.6 * radius},
        "ellipsoid": {"radii_mm": [radius, 0.3 * radius, 0.7 * radius]},
        "cone": {"radius_mm": 0.6 * radius, "height_mm": 1.5 * radius},
        "tube": {"radius_mm": 0.6 * radius, "inner_radius_mm": 0.4 * radius, "height_mm": 1.6 * radius},
        "box": {"size_mm": [1.2 * radius, 0.9 * radius, 1.1 * radius]},
        "step_wedge": {
            "steps_mm": [0.1 * radius, 0.9 * radius, 0.4 * radius],
            "step_length_mm": 0.4 * radius,
            "width_mm": radius,
        },
    }
    return {"shape": shape, **sizes[shape]}
