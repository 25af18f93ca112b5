"""Where the few energies of a quadrature lie, and what they weigh.

The relative error of row r on path j is e_rj = sum_k w_rk exp(-sum_m mu_m(E_k) t_jm) / S_r(t_j) - 1. For given
energies each row's weights are a non-negative least-squares problem; the energies follow by Levenberg-Marquardt steps
on what the weights leave (variable projection: Golub and Pereyra 1973, Kaufman 1975). Lawson's re-weighting (1961)
brings the sum of squares towards the greatest error, and linear programmes on the linearised errors finish it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xsim.material import HIGHEST_KEV, LOWEST_KEV, Material, attenuation_table, edges_kev

__all__ = ["AttenuationCurve", "Fit", "Problem", "edges_between", "fit_nodes", "polish"]

Floats = NDArray[np.float64]

POINTS: Final = 2000  # of the interpolation of ln mu over ln E
EDGE_GAP: Final = 2e-4  # relative distance that a node keeps from a K edge
COUNTS: Final = 1e-4  # share of the open beam below an edge from which on it is one to the nodes
LONGEST_STEP: Final = 0.15  # of a node in ln E, least squares


class AttenuationCurve:
    """ln mu over ln E of several materials, with its slope, for energies that move."""

    def __init__(self, materials: tuple[Material, ...], low_kev: float, high_kev: float) -> None:
        cuts = np.array(sorted({edge for each in materials for edge in edges_kev(each, low_kev, high_kev)}))
        steps = np.concatenate([np.geomspace(low_kev, high_kev, POINTS), cuts * (1 - 1e-7), cuts * (1 + 1e-7)])
        self._at = np.log(np.sort(steps))
        self._values = np.log(attenuation_table(materials, np.exp(self._at)))

    def __call__(self, log_energy: Floats) -> tuple[Floats, Floats]:
        """Attenuation mu and d mu / d ln E, both [material, node] 1/mm."""
        values, above, below = (
            np.array([np.interp(log_energy + shift, self._at, row) for row in self._values])
            for shift in (0.0, 1e-4, -1e-4)
        )
        mu = np.exp(values)
        return mu, mu * (above - below) / 2e-4


@dataclass(frozen=True)
class Problem:
    """Paths [path, material] mm, 1 / S [row, path] on them, and the range of each node in ln E, [node]."""

    curve: AttenuationCurve
    paths: Floats
    inverse: Floats
    low: Floats
    high: Floats

    def within(self, low: Floats, high: Floats) -> Problem:
        return replace(self, low=low, high=high)

    def joined(self, paths: Floats, inverse: Floats) -> Problem:
        """With further paths."""
        return replace(
            self, paths=np.concatenate([self.paths, paths]), inverse=np.concatenate([self.inverse, inverse], axis=1)
        )

    def kernel(self, nodes: Floats) -> tuple[Floats, Floats]:
        """exp(-mu t) and its derivative to the nodes, both [path, node]."""
        mu, slope = self.curve(nodes)
        through = np.exp(-self.paths @ mu)
        return through, -(self.paths @ slope) * through

    def errors(self, through: Floats, weights: Floats) -> Floats:
        """Relative errors [row, path] of weights [row, node]."""
        return np.asarray(self.inverse * (weights @ through.T) - 1.0)


@dataclass(frozen=True)
class Fit:
    """Nodes in ln E [node], their weights [row, node], and the greatest relative error on the paths."""

    nodes: Floats
    weights: Floats
    error: float


def fit_nodes(problem: Problem, start: Floats, rounds: int) -> Fit:
    """Least squares from a start, re-weighted some rounds; the round of the smallest greatest error counts."""
    importance = np.ones_like(problem.inverse)
    nodes, best = start, None
    for turn in range(rounds + 1):
        nodes, weights = _levenberg_marquardt(problem, nodes, importance, 40 if turn == 0 else 6)
        errors = np.abs(problem.errors(problem.kernel(nodes)[0], weights))
        greatest = float(errors.max())
        if best is None or greatest < best.error:
            best = Fit(nodes, weights, greatest)
        importance = importance * (0.02 + errors / greatest) ** 0.3
        importance /= importance.max()
    assert best is not None
    return best


def _weights(problem: Problem, through: Floats, importance: Floats) -> tuple[Floats, Floats]:
    """Non-negative weights [row, node] and what they leave, [row, path]."""
    from scipy.optimize import nnls

    weights, left = [], []
    for inverse, each in zip(problem.inverse, importance, strict=True):
        matrix = through * (inverse * each)[:, None]
        q, r = np.linalg.qr(matrix)
        weights.append(nnls(r, q.T @ each)[0])
        left.append(matrix @ weights[-1] - each)
    return np.array(weights), np.array(left)


def _normal_equations(
    problem: Problem, nodes: Floats, weights: Floats, left: Floats, importance: Floats
) -> tuple[Floats, Floats]:
    """Gauss-Newton matrix [node, node] and gradient [node]; what the weights can follow is projected out."""
    through, slope = problem.kernel(nodes)
    matrix, gradient = np.zeros((len(nodes),) * 2), np.zeros(len(nodes))
    for inverse, each, row, rest in zip(problem.inverse, importance, weights, left, strict=True):
        scale = (inverse * each)[:, None]
        q, _ = np.linalg.qr(through[:, row > 0] * scale)
        moved = slope * scale * row
        moved -= q @ (q.T @ moved)
        matrix += moved.T @ moved
        gradient += moved.T @ rest
    return matrix, gradient


def _levenberg_marquardt(problem: Problem, nodes: Floats, importance: Floats, steps: int) -> tuple[Floats, Floats]:
    """Nodes and weights of the smallest weighted sum of squares near a start."""
    weights, left = _weights(problem, problem.kernel(nodes)[0], importance)
    cost, damping = float((left**2).sum()), 1e-2
    for _ in range(steps):
        matrix, gradient = _normal_equations(problem, nodes, weights, left, importance)
        diagonal = np.diag(matrix) + 1e-12 * np.trace(matrix) + 1e-300
        for _ in range(6):
            step = -np.linalg.solve(matrix + np.diag(damping * diagonal), gradient)
            moved = np.clip(nodes + np.clip(step, -LONGEST_STEP, LONGEST_STEP), problem.low, problem.high)
            new_weights, new_left = _weights(problem, problem.kernel(moved)[0], importance)
            new_cost = float((new_left**2).sum())
            if new_cost < cost:
                break
            damping *= 5.0
        else:
            break
        gain = 1.0 - new_cost / cost
        nodes, weights, left, cost = moved, new_weights, new_left, new_cost
        damping = max(damping / 5.0, 1e-9)
        if gain < 1e-4:
            break
    return nodes, weights


def polish(problem: Problem, fit: Fit, enough: float, steps: int) -> Fit:
    """Bring the greatest error down: linear programmes in nodes and weights, within a radius that adapts.

    Only paths that a programme's answer makes the worst are its constraints; others join as they turn up.
    """
    radius, best = 0.03, fit
    through, slope = problem.kernel(fit.nodes)
    errors = np.abs(problem.errors(through, fit.weights))
    active = errors > 0.6 * fit.error
    active[:, ::5] = True
    for _ in range(steps):
        found = _programme(problem, best, through, slope, active, radius)
        if found is None:
            break
        step, weights, promised = found
        linear = np.abs(problem.inverse * (weights @ through.T + (best.weights * step) @ slope.T) - 1.0)
        active |= linear > 1.05 * promised
        moved_through, moved_slope = problem.kernel(best.nodes + step)
        errors = np.abs(problem.errors(moved_through, weights))
        greatest = float(errors.max())
        if greatest < best.error:
            gain = 1.0 - greatest / best.error
            best, through, slope = Fit(best.nodes + step, weights, greatest), moved_through, moved_slope
            active |= errors > 0.7 * greatest
            if greatest < enough or gain < 0.005:
                break
        elif linear.max() <= 1.3 * promised:
            radius *= 0.4
    return best


def _programme(
    problem: Problem, fit: Fit, through: Floats, slope: Floats, active: NDArray[np.bool_], radius: float
) -> tuple[Floats, Floats, float] | None:
    """Step of the nodes [node] and weights [row, node] of the smallest greatest linearised error, and that error."""
    from scipy.optimize import linprog
    from scipy.sparse import coo_matrix, vstack

    rows, count = fit.weights.shape
    row, path = np.nonzero(active)
    number, unknowns = len(row), count + rows * count + 1
    scale = problem.inverse[row, path][:, None]
    values = np.concatenate([(scale * through[path]).ravel(), (scale * slope[path] * fit.weights[row]).ravel()])
    of_weights = (count + row[:, None] * count + np.arange(count)).ravel()
    columns = np.concatenate([of_weights, np.tile(np.arange(count), number)])
    matrix = coo_matrix((values, (np.tile(np.repeat(np.arange(number), count), 2), columns)), (number, unknowns))
    bound = coo_matrix((-np.ones(number), (np.arange(number), np.full(number, unknowns - 1))), (number, unknowns))
    low, high = np.maximum(-radius, problem.low - fit.nodes), np.minimum(radius, problem.high - fit.nodes)
    found = linprog(
        np.arange(unknowns) == unknowns - 1,
        A_ub=vstack([matrix + bound, bound - matrix]).tocsr(),
        b_ub=np.concatenate([np.ones(number), -np.ones(number)]),
        bounds=[*zip(low, high, strict=True), *[(0, None)] * (unknowns - count)],
        method="highs",
    )
    if found.status != 0:
        return None
    return found.x[:count], found.x[count:-1].reshape(rows, count), float(found.x[-1])


def edges_between(energy: Floats, mean: Floats, specs: tuple[Material, ...], low: float, high: float) -> list[float]:
    """K edges of the materials with a bin above them and a share of the open beam below that counts."""
    edges = set()
    for number in {number for each in specs for number, _ in each.weight_fractions}:
        element = Material("element", ((number, 1.0),), 1.0)
        edges |= set(edges_kev(element, LOWEST_KEV, HIGHEST_KEV)[-1:])
    last = energy[energy < high][-2]
    return sorted(edge for edge in edges if low < edge < last and mean[energy < edge].sum() > COUNTS)
