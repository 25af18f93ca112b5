"""The bodies of a scene as its images' metadata list them."""

from __future__ import annotations

from typing import Any

from xsim.mesh import MeshBody
from xsim.scene import Scene
from xsim.volume import VolumeBody

__all__ = ["describe_bodies"]


def describe_bodies(scene: Scene) -> list[dict[str, Any]]:
    """Per body: label, name, kind, material, priority; of a file its hash and part; of a defect its place."""
    described: list[dict[str, Any]] = []
    kinds = {MeshBody: "mesh", VolumeBody: "volume"}
    for index, body in enumerate(scene.bodies):
        defect = scene.defect[index - len(scene.body)] if index >= len(scene.body) else None
        kind = kinds.get(type(body)) or getattr(body, "shape", "")
        several = body.materials()
        entry = {
            "label": index + 1,
            "name": scene.body_name(index),
            "class": "defect" if defect else kind,
            "material": several[0] if len(several) == 1 else list(several),
            "priority": body.priority,
        }
        if isinstance(body, MeshBody):
            mesh = scene.mesh_of(body)
            entry["mesh_sha256"] = mesh.sha256
            entry |= {k: v for k, v in (("part", body.part), ("repaired", mesh.repaired)) if v}
        if isinstance(body, VolumeBody):
            entry["volume_sha256"] = scene.volume_of(body).sha256
        if defect:
            entry |= {"shape": kind, "inside": defect.inside, "position_mm": list(body.position_mm)}
        described.append(entry)
    return described
