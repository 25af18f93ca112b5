"""Make the meshes in phantoms/: python tools/make_phantom_meshes.py (needs manifold3d, for trimesh's booleans)."""

from pathlib import Path

import numpy as np
import trimesh

OUT = Path(__file__).parents[1] / "phantoms"


def cylinder(radius, height, at, axis=(0, 0, 1)):
    turn = trimesh.geometry.align_vectors([0, 0, 1], axis)
    turn[:3, 3] = at
    return trimesh.creation.cylinder(radius, height, sections=96, transform=turn)


def bearing_bracket():
    """A foot with four screw holes, a rib on either side, and a bored boss with a grease hole. mm."""
    foot = trimesh.creation.box((80, 50, 8))
    boss = cylinder(17, 46, (0, 0, 22), axis=(0, 1, 0))
    web = trimesh.creation.box((34, 46, 22), transform=trimesh.transformations.translation_matrix((0, 0, 11)))
    rib = trimesh.creation.extrude_polygon(_triangle(), 6)
    ribs = []
    for side in (1, -1):
        turned = rib.copy()
        turned.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, (1, 0, 0)))
        if side < 0:
            turned.apply_transform(trimesh.transformations.rotation_matrix(np.pi, (0, 0, 1)))
        turned.apply_translation((0, 3 * side, 4))
        ribs.append(turned)
    solid = trimesh.boolean.union([foot, boss, web, *ribs], engine="manifold")
    holes = [cylinder(3.3, 20, (x, y, 0)) for x in (-32, 32) for y in (-17, 17)]
    bores = [cylinder(10, 60, (0, 0, 22), axis=(0, 1, 0)), cylinder(2, 20, (0, 0, 38))]
    return trimesh.boolean.difference([solid, *holes, *bores], engine="manifold")


def _triangle():
    from shapely.geometry import Polygon

    return Polygon([(15, 0), (38, 0), (15, 16)])


if __name__ == "__main__":
    part = bearing_bracket()
    assert part.is_watertight and part.is_winding_consistent and part.volume > 0
    part.export(OUT / "bearing-bracket.stl")
    print(len(part.faces), "triangles,", round(part.volume / 1000, 2), "cm3", part.bounds.tolist())
