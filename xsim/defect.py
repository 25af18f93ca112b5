"""[[defect]]: a body inside another, that replaces it there and goes where it goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, Literal, TypeAlias, TypeVar

import numpy as np
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator
from scipy.spatial import QhullError

from xsim.clearance import Host, host_of
from xsim.errors import SceneError, nearest_names
from xsim.geometry import rotation_angles, rotation_matrix
from xsim.mesh import Mesh
from xsim.outline import Outline, outline_of
from xsim.primitive import Box, PosedBody, Solid, Vector
from xsim.schema import NonNegative, StrictModel
from xsim.volume import Volume

__all__ = ["MOST_BODIES", "Defect", "place_defects"]

B = TypeVar("B", bound=PosedBody)

Shape: TypeAlias = Solid | Mesh | Volume

MOST_BODIES = 65535  # labels are 16-bit
TRIES = 2000
ROUNDING = 1e-9  # of the defect's size: how far rounding may take it outside


class Defect(StrictModel, Generic[B]):
    """A body of any shape, placed inside another.

    Attributes
    ----------
    inside : str
        Name of the body, or of a defect before this one, that it displaces.
    at_mm : (x, y, z)
        Its place in the frame of that body; or
    placement : "random"
        anywhere in it, uniformly, ``clearance_mm`` or more from its surface. The same ``seed`` and number in the file
        give the same place.
    body : Body
        Its shape, material, name and turn in the frame of the body around it. In a file its keys stand beside the
        others.

    """

    inside: str
    at_mm: Vector | None = None
    placement: Literal["random"] | None = None
    clearance_mm: NonNegative = 0.0
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**64)] = 0
    body: B

    @model_validator(mode="before")
    @classmethod
    def _gather_body(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "body" in data:
            return data
        for key, instead in (("position_mm", "use at_mm"), ("priority", "it ranks just above the body around it")):
            if key in data:
                raise ValueError(f"a defect has no {key} (it is placed in the body around it) {instead}")
        own = {key: value for key, value in data.items() if key in cls.model_fields}
        return {**own, "body": {key: value for key, value in data.items() if key not in own}}

    @model_validator(mode="after")
    def _placed_one_way(self) -> Defect[B]:
        if (self.at_mm is None) == (self.placement is None):
            given = "both given" if self.placement else "neither given"
            raise ValueError(f'a defect needs at_mm = [x, y, z] or placement = "random" ({given}) keep one')
        if self.placement is None and {"clearance_mm", "seed"} & self.model_fields_set:
            raise ValueError('clearance_mm and seed go with placement = "random" (at_mm is given) take them out')
        return self

    @model_serializer(mode="wrap")
    def _as_in_a_file(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        table = handler(self)
        body = {key: value for key, value in table.pop("body").items() if key not in ("position_mm", "priority")}
        if self.placement is None:
            del table["clearance_mm"], table["seed"]
        return {**body, **table}


def place_defects(
    defects: Sequence[Defect[B]], bodies: Sequence[B], names: Sequence[str], shape_of: Callable[[B], Shape]
) -> tuple[tuple[B, ...], tuple[tuple[int, ...], ...]]:
    """The bodies and, after them, the defects as bodies of the world; and how they rank.

    Parameters
    ----------
    defects : sequence of Defect
    bodies, names : sequence
        Of the scene, the defects aside.
    shape_of : callable
        Solid or surface of a body, in its own frame.

    Returns
    -------
    bodies : tuple of Body
    ranks : tuple of (priority, place of the body in the file, place of the defect in it, ...)
        Of each: the greater displaces the lesser. A defect ranks above the body around it
        and below all that displace that one.

    Raises
    ------
    SceneError
        There is no such body, or no room in it, or the defect reaches outside.

    """
    if len(bodies) + len(defects) > MOST_BODIES:
        raise SceneError(f"more than {MOST_BODIES} bodies and defects (labels are 16-bit) take some out")
    everything, names = list(bodies), list(names)
    ranks: list[tuple[int, ...]] = [(body.priority, k) for k, body in enumerate(bodies)]
    for number, defect in enumerate(defects):
        name = defect.body.name or f"defect {number + 1}"
        index = host_index(defect.inside, names, name)
        host = everything[index]
        place = find_place(defect, name, number, shape_of(host), shape_of(defect.body))
        turn = rotation_matrix(host.rotation_deg) @ rotation_matrix(defect.body.rotation_deg)
        x, y, z = (float(v) for v in host.to_world(place))
        pose = {"name": name, "position_mm": (x, y, z), "rotation_deg": rotation_angles(turn)}
        everything.append(defect.body.model_copy(update={**pose, "priority": host.priority}))
        names.append(name)
        ranks.append((*ranks[index], number))
    return tuple(everything), tuple(ranks)


def host_index(inside: str, names: Sequence[str], defect: str) -> int:
    """Index of the body that a defect lies in."""
    found = [k for k, name in enumerate(names) if name == inside]
    if len(found) == 1:
        return found[0]
    if found:
        raise SceneError(f"{defect!r} is inside {inside!r} ({len(found)} bodies are called that) name them apart")
    near = nearest_names(inside, names, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"bodies: {', '.join(names[:8]) or 'none'}"
    raise SceneError(f"{defect!r} is inside {inside!r} (no body before it is called that) {hint}")


def boxed(shape: Shape) -> Solid | Mesh:
    """The shape, or the box of a volume."""
    if not isinstance(shape, Volume):
        return shape
    x, y, z = (float(edge) for edge in np.ptp(shape.corners, axis=0))
    return Box(shape="box", size_mm=(x, y, z), material="air")  # of what does not matter here


def find_place(defect: Defect[B], name: str, number: int, host_shape: Shape, shape: Shape) -> np.ndarray:
    """Where a defect lies in the frame of the body around it, float64 [3] mm."""
    host = host_of(boxed(host_shape))
    try:
        outline = outline_of(boxed(shape), defect.body.rotation_deg)
    except QhullError:
        raise SceneError(f"{name!r} has no volume (its mesh is flat) give a closed mesh") from None
    if defect.at_mm is None:
        return draw_place(defect, name, number, host, outline)
    clearance = host.clearance(outline, np.asarray(defect.at_mm))
    if clearance < -ROUNDING * outline.size_mm:
        raise SceneError(
            f"{name!r} reaches outside {defect.inside!r} (by {-clearance:.3g} mm at at_mm = {list(defect.at_mm)}) "
            "move it inwards or make it smaller"
        )
    return np.asarray(defect.at_mm)


def draw_place(defect: Defect[B], name: str, number: int, host: Host, outline: Outline) -> np.ndarray:
    """A place drawn uniformly from those that keep the clearance, float64 [3] mm."""
    slack = ROUNDING * outline.size_mm
    low = host.low - outline.low + defect.clearance_mm
    high = host.high - outline.high - defect.clearance_mm
    if (low > high).any():
        raise SceneError(
            f"{name!r} does not fit inside {defect.inside!r} ({float((low - high).max()):.3g} mm too long along "
            f"{'xyz'[int((low - high).argmax())]}, clearance_mm = {defect.clearance_mm:g}) make it smaller"
        )
    words = np.random.Philox(key=[defect.seed, number])
    for _ in range(TRIES):
        share = (words.random_raw(3) >> np.uint64(11)) * 2.0**-53
        place = np.asarray(low + share * (high - low))
        if host.clearance(outline, place, defect.clearance_mm - slack) >= defect.clearance_mm - slack:
            return place
    raise SceneError(
        f"no place found for {name!r} inside {defect.inside!r} (none of {TRIES} was {defect.clearance_mm:g} mm or more "
        "from the surface) make it smaller, lower clearance_mm, or give at_mm"
    )
