"""Paths that a quadrature is fitted on, and unseen ones that its bound is measured on.

A path t [material] mm runs through several materials at once. It counts where the transmission is TRANSMISSION or
more: T(t) is the mean over the rows of S_r(t) / S_r(0), which is at least that of the signal alone.
"""

from __future__ import annotations

import itertools
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["GRID_DIRECTIONS", "TRANSMISSION", "path_grid", "random_paths"]

Floats = NDArray[np.float64]

TRANSMISSION: Final = 1e-5  # least transmission of a path that counts
GRID_DIRECTIONS: Final = 24  # mixed directions of the grid; as many again for each material left out
SHARES: Final = (0.01, 0.04, 0.1, 0.18, 0.28, 0.4, 0.52, 0.64, 0.76, 0.87, 0.95, 1.0)
ABSENT: Final = 0.25  # chance of a material to be missing from a random path


def path_grid(mu: Floats, weights: Floats, greatest_mm: Floats) -> Floats:
    """The declared paths of a fit: each material alone, pairs, mixtures, at twelve shares of their greatest length.

    Parameters
    ----------
    mu : float64 [material, energy] 1/mm
    weights : float64 [energy]
        Mean of the rows, each of sum 1.
    greatest_mm : float64 [material]

    Returns
    -------
    float64 [path, material] mm; the first is the open beam.

    """
    count = len(greatest_mm)
    single = [[float(k in chosen) for k in range(count)]
              for size in (1, 2, count) for chosen in itertools.combinations(range(count), size)]  # fmt: skip
    mixed = _additive_sequence(GRID_DIRECTIONS, count)
    parts = [np.unique(np.array(single), axis=0), mixed]
    if count > 1:
        parts += [np.where(np.arange(count) == k, 0.0, mixed) for k in range(count)]
    directions = np.concatenate(parts)
    longest = _longest(mu, weights, directions / directions.max(axis=1, keepdims=True) * greatest_mm)
    paths = longest[:, None, :] * np.array(SHARES)[:, None]
    return np.concatenate([np.zeros((1, count)), paths.reshape(-1, count)])


def random_paths(mu: Floats, weights: Floats, greatest_mm: Floats, number: int, seed: int) -> Floats:
    """Random paths, float64 [path, material] mm: directions at random, lengths even up to the longest that counts."""
    random = np.random.default_rng(seed)
    count = len(greatest_mm)
    directions = random.random((number, count))
    directions[random.random((number, count)) < ABSENT] = 0.0
    lost = np.nonzero(~directions.any(axis=1))[0]
    directions[lost, random.integers(count, size=len(lost))] = 1.0
    longest = _longest(mu, weights, directions / directions.max(axis=1, keepdims=True) * greatest_mm)
    return longest * random.random((number, 1))


def _longest(mu: Floats, weights: Floats, paths: Floats) -> Floats:
    """Paths [path, material] cut back to where the transmission is TRANSMISSION.

    ln T is convex along a path and falls, so Newton's steps from 0 stay below the root.
    """
    depth = paths @ mu
    share = np.zeros(len(paths))
    for _ in range(100):
        left = weights * np.exp(-depth * share[:, None])
        through = left.sum(axis=1)
        step = np.log(through / TRANSMISSION) * through / np.maximum((left * depth).sum(axis=1), 1e-300)
        further = np.minimum(share + step, 1.0)
        done = np.abs(further - share).max() < 1e-6
        share = further
        if done:
            break
    return np.asarray(paths * share[:, None])


def _additive_sequence(number: int, count: int) -> Floats:
    """Evenly spread points [number, count] in (0, 1): multiples of powers of the generalised golden ratio (Roberts)."""
    ratio = 2.0
    for _ in range(60):
        ratio = (1.0 + ratio) ** (1.0 / (count + 1))
    steps = ratio ** -np.arange(1.0, count + 1.0)
    return np.asarray((0.5 + np.arange(1.0, number + 1.0)[:, None] * steps) % 1.0)
