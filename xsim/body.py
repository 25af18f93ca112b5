"""What a [[body]] table may be: an analytic solid, a mesh or a volume."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import Discriminator, Tag

from xsim.errors import nearest_names
from xsim.mesh import MeshBody
from xsim.primitive import Box, Cone, Cylinder, Ellipsoid, PosedBody, Sphere, Spheres, StepWedge, Tube
from xsim.volume import VolumeBody

__all__ = ["Body", "check_shape"]

SHAPES = ("box", "sphere", "ellipsoid", "cylinder", "cone", "tube", "step_wedge", "spheres")


def body_kind(value: Any) -> str:
    """Which model reads a [[body]] table: its shape, "mesh" or "volume"."""
    if isinstance(value, PosedBody):
        kinds = {MeshBody: "mesh", VolumeBody: "volume"}
        return kinds.get(type(value)) or str(getattr(value, "shape", ""))
    if not isinstance(value, dict):
        return "mesh"
    return str(value.get("shape", "volume" if "volume" in value else "mesh"))


def check_shape(table: Any) -> None:
    """Name the nearest shape where a [[body]] has an unknown one."""
    if not isinstance(table, dict) or ("shape" not in table and ("mesh" in table or "volume" in table)):
        return
    shape = table.get("shape")
    if shape is None:
        raise ValueError(f"a body has no shape and no mesh or volume (it needs one) use one of {', '.join(SHAPES)}")
    if shape not in SHAPES:
        near = nearest_names(str(shape), SHAPES, 1)
        raise ValueError(f"unknown shape {shape!r} (did you mean {near[0] if near else ' or '.join(SHAPES)!r}?)")


Body: TypeAlias = Annotated[
    Annotated[Box, Tag("box")]
    | Annotated[Sphere, Tag("sphere")]
    | Annotated[Ellipsoid, Tag("ellipsoid")]
    | Annotated[Cylinder, Tag("cylinder")]
    | Annotated[Cone, Tag("cone")]
    | Annotated[Tube, Tag("tube")]
    | Annotated[StepWedge, Tag("step_wedge")]
    | Annotated[Spheres, Tag("spheres")]
    | Annotated[MeshBody, Tag("mesh")]
    | Annotated[VolumeBody, Tag("volume")],
    Discriminator(body_kind),
]
