"""Voxels of a sphere come to the sphere's path lengths as they get smaller, at first order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from random_meshes import Surface, surface_of_cells
from random_scenes import Body, scene_of
from scipy.spatial.transform import Rotation
from station import lengths_of, only

from xsim.backend import Backend

RADIUS_MM = 10.0
ACROSS = (8, 16, 32)  # voxels over the diameter


def voxelised_ball(radius_mm: float, pitch_mm: float, centre_mm: np.ndarray) -> np.ndarray:
    """Voxels [x, y, z] whose centre lies in a ball; the middle of the grid is the origin, two voxels wider."""
    side = 2 * int(np.ceil(radius_mm / pitch_mm)) + 4
    place = (np.arange(side) - 0.5 * (side - 1)) * pitch_mm
    x, y, z = np.meshgrid(*(place - c for c in centre_mm), indexing="ij")
    return np.asarray(x**2 + y**2 + z**2 < radius_mm**2)


@pytest.mark.parametrize("poses", [range(5), pytest.param(range(5, 100), marks=pytest.mark.slow)], ids=["5", "95 more"])
def test_the_surface_of_a_voxelised_ball_comes_to_the_ball(backend: Backend, tmp_path: Path, poses: range) -> None:
    """Mean difference over all rays that meet the ball, random centres and turns of the grid: slope at least 0.9."""
    differences = np.zeros((len(poses), len(ACROSS)))
    for number, pose in enumerate(poses):
        generator = np.random.default_rng(pose)
        turn, off = Rotation.random(random_state=generator), generator.uniform(-0.5, 0.5, 3)
        ball = Body({"shape": "sphere", "radius_mm": RADIUS_MM}, turn, np.zeros(3))
        for k, across in enumerate(ACROSS):
            pitch = 2 * RADIUS_MM / across
            filled = voxelised_ball(RADIUS_MM, pitch, off * pitch)
            cells = surface_of_cells(filled)
            surface = Surface((cells.vertices - 0.5 * np.array(filled.shape)) * pitch, cells.faces)
            exact = replace(ball, place=turn.apply(off * pitch))
            voxels, wanted = (
                only(lengths_of(scene_of([body], tmp_path), backend)).astype(np.float64)
                for body in (replace(ball, form=surface), exact)
            )
            differences[number, k] = np.abs(voxels - wanted)[wanted > 0].mean()
    means = differences.mean(axis=0)
    assert means[-1] > 1e-3, "voxels are no balls"
    slope = np.polyfit(np.log(ACROSS), -np.log(means), 1)[0]
    assert slope >= 0.9, means
