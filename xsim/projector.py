"""Path length per material along every ray: solids and triangles together, overlap resolved by priority."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast
from weakref import WeakKeyDictionary

import numpy as np

from xsim import material
from xsim.backend import Backend, get_backend
from xsim.errors import MeshError
from xsim.geometry import View, rotation_matrix
from xsim.mesh import Mesh
from xsim.placement import place_bodies, stand_alone
from xsim.primitive import Solid
from xsim.ray_pass import Arrangement, Prepared, no_beam, run, see
from xsim.scene import Scene
from xsim.volume import Densities, Labels, Volume, VolumeBody

__all__ = ["Projection", "path_lengths", "project"]

CHECK_PIXELS = 512
OPEN, FLIPPED, NESTED = 1, 2, 4


@dataclass(frozen=True)
class Projection:
    """What rays meet, in the memory of the backend.

    Attributes
    ----------
    materials : tuple of Material
    lengths_mm : float32 [material, row, column]
    labels : uint16 [row, column]
        1-based place in the file of the highest body on the ray; 0 where there is none.
    faults : uint8 [row, column]
        OR of 1 (open), 2 (flipped), 4 (shells of one body overlap).
    faulty_bodies : int32 [row, column]
        8 * rank + faults of one faulty body, the gravest; 0 where none.

    """

    materials: tuple[material.Material, ...]
    lengths_mm: Any
    labels: Any
    faults: Any
    faulty_bodies: Any


def path_lengths(scene: Scene, backend: str = "auto", threads: int | None = None) -> dict[str, np.ndarray]:
    """Length of each ray inside each material.

    Parameters
    ----------
    scene : Scene
    backend : {"auto", "cpu", "cuda"}
    threads : int, optional

    Returns
    -------
    dict of material name to float32 [rows, columns] mm

    Raises
    ------
    MeshError
        A mesh is open or flipped and the scene does not allow it.

    """
    machine = get_backend(backend, threads)
    found = project(scene, scene.view, machine)
    report_faults(scene, machine.to_numpy(found.faults), machine.to_numpy(found.faulty_bodies))
    lengths = machine.to_numpy(found.lengths_mm)
    return {m.name: lengths[k] for k, m in enumerate(found.materials)}


def project(scene: Scene, view: View, backend: Backend) -> Projection:
    """Path lengths, labels and faults of a scene seen in a view."""
    drawn = prepare(scene, view, backend)
    images: dict[str, type] = {"lengths": np.float32, "labels": np.uint16}
    found = run(drawn, view, backend, images, no_beam(len(drawn.arrangement.materials)))
    return Projection(
        drawn.arrangement.materials, found["lengths"], found["labels"], found["faults"], found["faulty_bodies"]
    )


def prepare(scene: Scene, view: View, backend: Backend) -> Prepared:
    """Check the scene, sort out its bodies, draw up their records."""
    scene.check()
    return see(arrange(scene, backend), view, backend)


def arrange(scene: Scene, backend: Backend) -> Arrangement:
    """Bodies of a scene by rank; looked up once a scene.

    A body stands apart when the box around it meets no other's, and it is an analytic solid or a mesh that was found
    not to cross itself.
    """
    held = scene.memo.get("arrangement")
    if held is not None and held[0] is scene.bodies and held[1] is backend.xp:
        return cast(Arrangement, held[2])
    order = scene.by_rank()
    shapes = [with_contents(scene, k) for k in order]
    of_body = [[material.resolve(spec) for spec in body.materials()] for body in scene.bodies]
    materials = tuple(dict.fromkeys(found for several in of_body for found in several))
    rotations = rotation_matrix(np.array([scene.bodies[k].rotation_deg for k in order]).reshape(-1, 3))
    positions = np.array([scene.bodies[k].position_mm for k in order]).reshape(-1, 3)
    placement = place_bodies(shapes, rotations, positions, backend)
    alone = stand_alone(*placement.bounds) if shapes else np.zeros(0, bool)
    apart = np.array([
        bool(lonely) and not (isinstance(shape, Mesh) and crosses_itself(shape, backend))
        for shape, lonely in zip(shapes, alone, strict=True)
    ], bool)  # fmt: skip
    found = Arrangement(
        materials, rank_materials(shapes, apart, [materials.index(of_body[k][0]) if of_body[k] else 0 for k in order]),
        np.array([0, *(k + 1 for k in order)], np.uint16), placement, apart,
    )  # fmt: skip
    scene.memo["arrangement"] = (scene.bodies, backend.xp, found)
    return found


def with_contents(scene: Scene, index: int) -> Solid | Mesh | tuple[Volume, Labels | Densities]:
    """Shape of a body; that of a volume with what its values mean."""
    body, shape = scene.bodies[index], scene.shape_of(index)
    if isinstance(shape, Volume):
        assert isinstance(body, VolumeBody)
        return shape, body.contents()
    return shape


def rank_materials(shapes: Sequence[Any], apart: np.ndarray, places: list[int]) -> np.ndarray:
    """Of each body by rank: the place of its material, or -1 - k for the volume k of those that may overlap."""
    found = np.array(places or [0], np.int32)
    volumes = [rank for rank, shape in enumerate(shapes) if isinstance(shape, tuple) and not apart[rank]]
    found[volumes] = -1 - np.arange(len(volumes))
    return found


#: Whether a mesh was found to cross itself; forgotten with the mesh.
_CROSSES_ITSELF: WeakKeyDictionary[Mesh, bool] = WeakKeyDictionary()


def crosses_itself(mesh: Mesh, backend: Backend) -> bool:
    """Whether shells of a mesh overlap or are flipped, by the crossings of 512 x 512 rays; looked up once a mesh.

    A flipped shell before a greater sound one would only shorten the sum, untold. What none of these rays meets is
    narrower than a 512th of the mesh.
    """
    if mesh not in _CROSSES_ITSELF:
        placement = place_bodies([mesh], np.eye(3)[None], np.zeros((1, 3)), backend)
        steel, one = (material.resolve("Fe"),), np.zeros(1, np.int32)  # of what does not matter here
        alone = Arrangement(steel, one, np.array([0, 1], np.uint16), placement, np.zeros(1, bool))
        view = View.around(mesh.corners, CHECK_PIXELS)
        found = run(see(alone, view, backend), view, backend, {}, no_beam(1))
        _CROSSES_ITSELF[mesh] = bool((found["faults"] & (NESTED | FLIPPED)).any())
    return _CROSSES_ITSELF[mesh]


def report_faults(scene: Scene, faults: np.ndarray, faulty_bodies: np.ndarray) -> None:
    """Refuse open and flipped meshes unless allowed; warn of shells that overlap.

    Raises
    ------
    MeshError
        Which body, how many rays, how to allow it.

    """
    if not faults.any():
        return
    order, told = scene.by_rank(), faulty_bodies[faults > 0]
    for rank in np.unique(told >> 3):
        faults_of_body = told[told >> 3 == rank]
        body, name = scene.bodies[order[rank]], scene.body_name(order[rank])
        odd, turned, nested = (int((faults_of_body & bit > 0).sum()) for bit in (OPEN, FLIPPED, NESTED))
        if (odd or turned) and not getattr(body, "allow_open", False):
            what = f"open (on {odd} of {faults.size} rays it is entered and left unequally often)"
            if turned > odd:
                what = f"flipped (on {turned} of {faults.size} rays it is left before it is entered)"
            raise MeshError(
                f"mesh {name!r} is {what} set repair = true to close and turn it, or allow_open = true to mark those "
                "rays invalid"
            )
        if nested:
            warnings.warn(
                f"shells of mesh {name!r} overlap on {nested} rays (counted once there)",
                stacklevel=3,
            )
