"""The label image against the oracle's, where bodies overlap by priority: solids, meshes, and both on one ray.

Two tiers. Inside, where all eight neighbours have the same label in the oracle's image, every label is equal. On
the silhouettes at most one in a hundred differs, and as many go to a higher body as to a lower one.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import reference
from random_meshes import Surface
from random_scenes import RADIUS_MM, Body, random_bodies, scene_of
from scipy import ndimage

from xsim import simulate
from xsim.backend import Backend
from xsim.projector import project

SCENES = pytest.mark.parametrize(
    "scenes", [range(20), pytest.param(range(20, 120), marks=pytest.mark.slow)], ids=["20", "100 more"]
)


def spans(body: Body, table: object, rays: reference.Rays) -> list[list[tuple[float, float]]]:
    """Where a body is on each ray, float64 mm."""
    if not isinstance(body.form, Surface):
        return reference.spans_of(reference.body_pieces(table, rays))
    from_place = body.place - rays.foot
    along = (from_place * rays.direction).sum(axis=1, keepdims=True) * rays.direction
    near = np.nonzero(np.linalg.norm(from_place - along, axis=1) < 1.01 * RADIUS_MM)[0]
    some = reference.Rays(rays.foot[near], rays.direction[near], rays.length[near], rays.cosine[near], (1, len(near)))
    vertices = body.turn.apply(body.form.vertices) + body.place
    found: list[list[tuple[float, float]]] = [[] for _ in rays.foot]
    for ray, span in zip(near, reference.mesh_crossings(vertices, body.form.faces, some).spans, strict=True):
        found[ray] = span
    return found


@SCENES
@pytest.mark.parametrize("mix", ["solids", "meshes", "both"])
def test_labels_are_the_oracle_s_but_at_silhouettes(backend: Backend, tmp_path: Path, scenes: range, mix: str) -> None:
    higher = lower = silhouettes = inside = 0
    used: set[int] = set()
    for number in scenes:
        generator = np.random.default_rng((len(mix), number))
        bodies = random_bodies(generator, mix == "meshes", 4, overlap=True)
        if mix == "both":
            bodies[::2] = random_bodies(generator, True, 2, overlap=True)
        bodies = [replace(b, priority=int(p)) for b, p in zip(bodies, generator.integers(-1, 2, 4), strict=True)]
        scene = scene_of(bodies, tmp_path)
        rays = reference.Rays.of(scene)
        on_rays = [(b.priority, spans(b, t, rays)) for b, t in zip(bodies, scene.body, strict=True)]
        wanted = reference.resolve(on_rays)[1].reshape(rays.shape)
        found = backend.to_numpy(project(scene, scene.view, backend).labels).astype(int)
        edge = ndimage.maximum_filter(wanted, 3) != ndimage.minimum_filter(wanted, 3)
        assert (found == wanted)[~edge].all(), f"scene {number}"
        rank = np.array([0, *(1 + np.argsort(scene.by_rank()))])
        higher += int((rank[found] > rank[wanted]).sum())
        lower += int((rank[found] < rank[wanted]).sum())
        silhouettes += int(edge.sum())
        inside += int((~edge & (wanted > 0)).sum())
        used |= set(np.unique(wanted).tolist())
    assert used == {0, 1, 2, 3, 4} and silhouettes > 500 and inside > 200
    assert higher + lower <= 0.01 * silhouettes
    assert abs(higher - lower) <= 4 * np.sqrt(higher + lower) + 2


def test_labels_of_a_radiograph_are_those_of_its_rays(tmp_path: Path) -> None:
    """The blur of a screen, its margin and the draws leave them alone."""
    for number in range(5):
        scene = scene_of(random_bodies(np.random.default_rng(number), number % 2 == 1, 3, overlap=True), tmp_path)
        ideal = scene.model_copy(update={"detector": scene.detector.model_copy(update={"response": "ideal"})})
        labels = [simulate(s, backend="cpu").labels for s in (scene, ideal)]
        assert (labels[0] == labels[1]).all() and labels[0].max() > 1
