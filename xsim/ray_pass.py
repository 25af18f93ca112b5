"""One pass of the kernel over the tiles of a view: what rays meet of bodies that are placed and drawn."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from xsim.backend import Backend
from xsim.geometry import View
from xsim.material import Material
from xsim.memory import GIB, out_of_memory, require_memory
from xsim.placement import Placement
from xsim.records import Drawing, Tiles, draw

__all__ = ["Arrangement", "Prepared", "no_beam", "run", "see"]

SLOTS = 8  # crossings a ray is first given room for
FLOAT_ROWS, INTEGER_ROWS = 2, 3  # scratch numbers of a pixel, as in kernels/tile.h


@dataclass(frozen=True, eq=False)
class Arrangement:
    """What is known of a scene's bodies before any view.

    Attributes
    ----------
    materials : tuple of Material
    rank_materials : int32 [rank]
        Place of each body's material among them; -1 - k for the volume k of those that may overlap.
    rank_labels : uint16 [1 + rank]
        Label of each body; 0 first.
    placement : Placement
    apart : bool [rank]
        Whether a body overlaps nothing, itself included.
    """

    materials: tuple[Material, ...]
    rank_materials: np.ndarray
    rank_labels: np.ndarray
    placement: Placement
    apart: np.ndarray


@dataclass(frozen=True)
class Prepared:
    """A scene as one view sees it, ready for the kernel: bodies that overlap nothing, and those that may."""

    arrangement: Arrangement
    apart: Drawing
    together: Drawing


def no_beam(materials: int) -> dict[str, Any]:
    """The kernels' ``Beam`` where no signal is asked for."""
    nothing = dict.fromkeys(("attenuation", "signal_weights", "variance_weights"))
    return {**nothing, "axis_distance_mm": 0.0, "energies": 0, "materials": materials, "classes": 1}


def see(bodies: Arrangement, view: View, backend: Backend) -> Prepared:
    """Bodies as a view sees them.

    Depths stay small in float32: those of a body apart are counted from its own middle, those of the others from
    their common one.
    """
    tiles, placement, apart = Tiles.of(view, backend), bodies.placement, bodies.apart
    references = np.zeros(len(apart))
    if len(apart):
        near, far = placement.middles(view)
        references = 0.5 * (near + far)
        if not apart.all():
            references[~apart] = 0.5 * (near[~apart].min() + far[~apart].max())
    places = {found: k for k, found in enumerate(bodies.materials)}
    drawings = (draw(view, placement, chosen, references, places, tiles, backend) for chosen in (apart, ~apart))
    return Prepared(bodies, *drawings)


def run(
    drawn: Prepared, view: View, backend: Backend, images: dict[str, type], beam: dict[str, Any], active: Any = None
) -> dict[str, Any]:
    """Images [row, column] of a prepared scene by name, "lengths" [material, row, column], and the fault images.

    "signal" and "variance" of a beam of several depth classes are [class, row, column].
    A ray with more crossings than there are slots has its tile done again with more.
    """
    xp, tiles, shape = backend.xp, Tiles.of(view, backend), (view.rows, view.columns)
    bodies = drawn.arrangement
    materials = len(bodies.materials)
    found = new_images(backend, shape, materials, images, blank=active is not None, classes=beam["classes"])
    deepest, any_fault = xp.zeros(tiles.count, np.int32), xp.zeros(1, np.int32)
    with fault_images(backend, shape, any_fault) as faults:
        arguments = {
            **dict.fromkeys(("lengths", "labels", "signal", "variance")), **found,
            "apart": drawn.apart.arguments, "together": drawn.together.arguments, "beam": beam, "deepest": deepest,
            "resolved": {**faults, "materials": xp.asarray(bodies.rank_materials), "any_fault": any_fault,
                         "image_columns": view.columns, "fault_length_mm": fault_length_mm(view)},
            "labels_of_rank": xp.asarray(bodies.rank_labels), "view": view.directions,
            "pixels": view.rows * view.columns, "tiling": tiles.record,
        }  # fmt: skip
        slots = 0 if bodies.apart.all() else SLOTS
        while active is None or len(active):
            rows = FLOAT_ROWS + materials + slots, INTEGER_ROWS + slots
            count = tiles.count if active is None else len(active)
            backend.launch_tiles("project_scene", count, rows, **arguments, active=active, slots=slots)
            slots = int(deepest.max()) if slots else 0
            active = xp.nonzero(deepest)[0].astype(np.int32)
            deepest.fill(0)
    return found | faults


def fault_length_mm(view: View) -> float:
    """Length from which a stretch that is left before it is entered is a fault of the mesh.

    Rounding a corner by 1/8192 pixel moves a face met at a cosine of 0.02 by 50 times that; twice that is allowed for.
    """
    steps = (view.column, view.row, view.source_column, view.source_row)
    return max(1e-2, 100.0 / 8192.0 * max(float(np.linalg.norm(step)) for step in steps))


def new_images(
    backend: Backend, shape: tuple[int, int], materials: int, images: dict[str, type], blank: bool, classes: int = 1
) -> dict[str, Any]:
    """Images of zeros, or of anything where every pixel is going to be written.

    Raises
    ------
    OutOfMemoryError
        They do not fit into memory; with the bytes needed.

    """
    make = backend.xp.zeros if blank else backend.xp.empty
    several = {"lengths": (materials, *shape)}
    if classes > 1:
        several |= dict.fromkeys(("signal", "variance"), (classes, *shape))
    shapes: dict[str, tuple[int, ...]] = {name: several.get(name, shape) for name in images}
    needed = sum(math.prod(shapes[name]) * np.dtype(dtype).itemsize for name, dtype in images.items())
    needed += 5 * math.prod(shape)  # faults
    name, hint = f"an image of {shape[0]} x {shape[1]} rays", "use fewer pixels or subpixels"
    if needed > GIB and backend.name == "cpu":  # the system grants more than it has
        require_memory(name, needed, hint)
    try:
        return {name: make(shapes[name], dtype) for name, dtype in images.items()}
    except MemoryError as error:
        raise out_of_memory(name, needed, hint) from error


@contextmanager
def fault_images(backend: Backend, shape: tuple[int, int], any_fault: Any) -> Iterator[dict[str, Any]]:
    """Images "faults" uint8 and "faulty_bodies" int32 [row, column], zero; seldom written, kept from call to call.

    At the end they become copies where there was a fault, else zeros that take no memory.
    """
    xp, pixels = backend.xp, shape[0] * shape[1]
    blocks = backend.blank.take(1, pixels + -(-pixels // 4))
    bodies, kinds = blocks[1][:pixels].reshape(shape), blocks[1][pixels:].view(np.uint8)[:pixels].reshape(shape)
    images = {"faults": kinds, "faulty_bodies": bodies}
    yield images
    for name, image in list(images.items()):
        images[name] = image.copy() if int(any_fault[0]) else xp.broadcast_to(xp.zeros((), image.dtype), shape)
    if int(any_fault[0]):
        blocks[1].fill(0)
    backend.blank.put_back(blocks)
