"""A few physical energies instead of all bins of a spectrum.

S_r(t) = sum_e R_re exp(-sum_m mu_m(E_e) t_m), for rows r of weights over the bins (signal and variance, of each depth
class), is replaced by sum_k w_rk exp(-sum_m mu_m(E_k) t_m): at most nine energies E_k that all rows share, weights not
negative. Fitted on a declared grid of paths through the materials; the bound is measured on 4000 paths not seen in the
fit, it is not proven. A material with a K edge in the range has to be among them: nodes lie on both sides of the edge.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xsim.errors import SpectrumError
from xsim.material import HIGHEST_KEV, LOWEST_KEV, Material, Spec, attenuation_table, resolve
from xsim.quadrature_nodes import EDGE_GAP, AttenuationCurve, Fit, Problem, edges_between, fit_nodes, polish
from xsim.quadrature_paths import TRANSMISSION, path_grid, random_paths

__all__ = ["BAR", "MOST", "UNSEEN", "Quadrature", "fit_quadrature", "measure_bound"]

Floats = NDArray[np.float64]

BAR: Final = 1e-3  # greatest relative error; above it all bins are used
MOST: Final = 9  # energies
FEWEST: Final = 4
UNSEEN: Final = 4000  # paths that the bound is measured on
SEED: Final = 20
MARGIN: Final = 0.85  # of the bar, on the grid: unseen paths lie between those of the fit
FAINT: Final = 1e-9  # share of a row below which a bin is left out of the range of the nodes
STARTS: Final = (0.5, 1.0, 0.35)  # nodes start at even shares of the mean row to this power
HOPELESS: Final = 4.0  # times the least error from which on a share of nodes is given up
DIGITS: Final = 10
LESSONS, ASKED, TAUGHT = 6, 20000, 100  # rounds of further paths, and of how many how many are added
POLISHED: Final = 3  # fits that are polished where no more nodes are left


@dataclass(frozen=True)
class Quadrature:
    """A few energies that stand for all bins, or all bins where they cannot.

    Attributes
    ----------
    energy_kev : float64 [node]
    weights : float64 [row, node]
        Of rows scaled to a sum of 1: multiply by the rows' sums.
    bound : float
        Greatest relative error over rows and unseen paths; 0 for all bins.
    materials : tuple of str
    greatest_path_mm : tuple of float
        What it was fitted on: up to this path in each material, where the transmission is 1e-5 or more.
    bins : int
        Bins it stands for.
    problem : str
        Why all bins are used; empty where they are not.
    unseen : int
        Paths that the bound was measured on.

    """

    energy_kev: Floats
    weights: Floats
    bound: float
    materials: tuple[str, ...]
    greatest_path_mm: tuple[float, ...]
    bins: int
    problem: str = ""
    unseen: int = UNSEEN

    @property
    def nodes(self) -> int:
        """Number of energies."""
        return len(self.energy_kev)

    def describe(self) -> dict[str, Any]:
        """Facts for an image's metadata; JSON-able."""
        nodes = self.bins if self.problem else self.nodes
        facts: dict[str, Any] = {"nodes": nodes, "bins": self.bins, "bound": float(f"{self.bound:.3g}")}
        facts["greatest_path_mm"] = dict(zip(self.materials, self.greatest_path_mm, strict=True))
        facts |= {"unseen_paths": self.unseen, "least_transmission": TRANSMISSION}
        return facts | ({"all_bins": self.problem} if self.problem else {})

    def to_json(self) -> dict[str, Any]:
        """Every attribute, JSON-able; floats survive to the last bit."""
        arrays = {"energy_kev": self.energy_kev.tolist(), "weights": self.weights.tolist()}
        rest = {"bound": self.bound, "materials": list(self.materials), "bins": self.bins, "problem": self.problem,
                "unseen": self.unseen}  # fmt: skip
        return arrays | {"greatest_path_mm": list(self.greatest_path_mm)} | rest

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Quadrature:
        """Inverse of `to_json`; KeyError, TypeError or ValueError where it is not one."""
        energy, weights = (np.array(stored[name], np.float64) for name in ("energy_kev", "weights"))
        if weights.ndim != 2 or weights.shape[1:] != energy.shape:
            raise ValueError("weights and energies differ in number")
        materials, greatest = tuple(map(str, stored["materials"])), tuple(map(float, stored["greatest_path_mm"]))
        return cls(energy, weights, float(stored["bound"]), materials, greatest, int(stored["bins"]),
                   str(stored["problem"]), int(stored["unseen"]))  # fmt: skip


def fit_quadrature(
    energy_kev: Floats, rows: Floats, materials: Sequence[Spec], greatest_path_mm: Sequence[float], most: int = MOST
) -> Quadrature:
    """The fewest energies, 4 to ``most``, whose measured bound is 0.1 % or less; all bins where there are none.

    Parameters
    ----------
    energy_kev : float64 [energy]
    rows : float64 [row, energy]
        Weights of the bins, not negative; each row with a positive sum.
    materials : sequence of materials
        What lies in the beam behind the source's filters.
    greatest_path_mm : sequence of float
        Greatest path through each.
    most : int
        Energies at the most.

    Raises
    ------
    SpectrumError
        Shapes that do not fit, weights that are negative or all zero, paths that are not positive.

    """
    specs = tuple(resolve(each) for each in materials)
    greatest = np.array(greatest_path_mm, np.float64)
    _check(energy_kev, rows, specs, greatest)
    rows = rows / rows.sum(axis=1, keepdims=True)
    names, paths = tuple(each.name for each in specs), tuple(map(float, greatest))
    used = rows.max(axis=0) > 0

    def all_bins(problem: str) -> Quadrature:
        return Quadrature(energy_kev[used], rows[:, used], 0.0, names, paths, int(used.sum()), problem)

    if not specs or used.sum() <= FEWEST:
        return all_bins("no material in the beam" if not specs else "the spectrum has few bins itself")
    best = math.inf
    for fit in _fits(energy_kev, rows, specs, greatest, most):
        order = np.argsort(fit.nodes)
        nodes = np.array([float(f"{value:.{DIGITS}g}") for value in np.exp(fit.nodes[order])])
        weights = np.array([[float(f"{value:.{DIGITS}g}") for value in row] for row in fit.weights[:, order]])
        bound = measure_bound(energy_kev, rows, nodes, weights, specs, greatest)
        best = min(best, bound)
        if bound <= BAR:
            return Quadrature(nodes, weights, bound, names, paths, int(used.sum()))
    if best == math.inf:
        return all_bins(f"the K edges in the beam need more than {most} energies")
    return all_bins(f"{most} energies are off by up to {100 * best:.2g} % (more than {100 * BAR:g} %)")


def measure_bound(
    energy_kev: Floats, rows: Floats, nodes_kev: Floats, weights: Floats, materials: Sequence[Spec], greatest: Floats,
    paths: int = UNSEEN, seed: int = SEED,
) -> float:  # fmt: skip
    """Greatest relative error over rows and unseen random paths.

    Parameters
    ----------
    energy_kev, rows : float64 [energy], [row, energy]
    nodes_kev, weights : float64 [node], [row, node]
        Of rows of sum 1.
    materials, greatest : as in `fit_quadrature`
    paths : int
        How many.
    seed : int
        Of the paths.

    """
    mu = attenuation_table(materials, energy_kev)
    rows = rows / rows.sum(axis=1, keepdims=True)
    unseen = random_paths(mu, rows.mean(axis=0), np.asarray(greatest, np.float64), paths, seed)
    exact = np.exp(-unseen @ mu) @ rows.T
    found = np.exp(-unseen @ attenuation_table(materials, nodes_kev)) @ weights.T
    return float(np.abs(found / exact - 1.0).max())


def _fits(energy: Floats, rows: Floats, specs: tuple[Material, ...], greatest: Floats, most: int) -> Iterator[Fit]:
    """Fits with ever more nodes whose error on the grid is near the bar."""
    seen = rows.max(axis=0) > FAINT
    low, high = float(energy[seen][0]), float(energy[seen][-1])
    mu, mean = attenuation_table(specs, energy), rows.mean(axis=0)
    curve = AttenuationCurve(specs, max(0.9 * low, LOWEST_KEV), min(1.02 * high, HIGHEST_KEV))
    nothing = np.zeros((0, len(specs))), np.zeros((len(rows), 0))
    problem = Problem(curve, *nothing, np.log([low]), np.log([high]))
    problem = problem.joined(*_exact(mu, rows, path_grid(mu, mean, greatest)))
    cuts = [low, *edges_between(energy, mean, specs, low, high), high]
    count = max(FEWEST, 2 * len(cuts) - 2)
    while count <= most:
        best = _best_fits(problem, energy, mean, cuts, count)
        fit = _polished(problem, best[: POLISHED if count == most else 1], cuts)
        yield fit
        if count == most:
            yield from _better_taught(problem, fit, cuts, mu, rows, greatest)
        count = _next_count(count, fit.error, most)


def _exact(mu: Floats, rows: Floats, paths: Floats) -> tuple[Floats, Floats]:
    """Paths, and 1 / S [row, path] on them."""
    return paths, 1.0 / (np.exp(-paths @ mu) @ rows.T).T


def _polished(problem: Problem, fits: list[Fit], cuts: list[float]) -> Fit:
    """The best of some fits, those near the bar polished until one is below it; no node crosses an edge."""
    ends = np.log(np.array(cuts))
    best = fits[0]
    for fit in fits:
        if best.error > MARGIN * BAR and fit.error < 4.0 * BAR:
            within = np.clip(np.searchsorted(ends, fit.nodes), 1, len(ends) - 1)
            bounded = problem.within(ends[within - 1] + EDGE_GAP, ends[within] - EDGE_GAP)
            best = min(best, polish(bounded, fit, 0.8 * BAR, 20), key=lambda each: each.error)
    return best


def _better_taught(
    problem: Problem, fit: Fit, cuts: list[float], mu: Floats, rows: Floats, greatest: Floats
) -> Iterator[Fit]:
    """Polish again with random paths on which the fit errs; none of them is among those that bounds are measured on."""
    for turn in range(1, LESSONS + 1):
        if fit.error > 3.0 * BAR:
            return
        paths, inverse = _exact(mu, rows, random_paths(mu, rows.mean(axis=0), greatest, ASKED, SEED + turn))
        asked = replace(problem, paths=paths, inverse=inverse)
        wrong = np.abs(asked.errors(asked.kernel(fit.nodes)[0], fit.weights)).max(axis=0)
        worst = np.argsort(-wrong)[: min(TAUGHT, int((wrong > MARGIN * BAR).sum()))]
        problem = problem.joined(paths[worst], inverse[:, worst])
        errors = problem.errors(problem.kernel(fit.nodes)[0], fit.weights)
        fit = _polished(problem, [replace(fit, error=float(np.abs(errors).max()))], cuts)
        yield fit


def _next_count(count: int, error: float, most: int) -> int:
    """One more node takes the error down to about a third; some are skipped where it is far from the bar."""
    jump = max(1, math.floor(math.log(error / BAR) / math.log(4.0)))
    return most if count < most < count + jump else count + jump


def _best_fits(problem: Problem, energy: Floats, mean: Floats, cuts: list[float], count: int) -> list[Fit]:
    """Best first: one for each share of nodes between the edges, of several starts where none is below the bar."""
    best: dict[tuple[int, ...], Fit] = {}
    for power in STARTS:
        least = min((fit.error for fit in best.values()), default=math.inf)
        kept = [numbers for numbers in best if best[numbers].error < HOPELESS * least]
        kept = kept or list(_allocations(count, len(cuts) - 1))
        for numbers in kept:
            start, low, high = _start(energy, mean, cuts, numbers, power)
            fit = fit_nodes(problem.within(low, high), start, 8)
            if numbers not in best or fit.error < best[numbers].error:
                best[numbers] = fit
        least = min(fit.error for fit in best.values())
        if least <= MARGIN * BAR or least > 4.0 * BAR:
            break
    return sorted(best.values(), key=lambda fit: fit.error)


def _allocations(count: int, segments: int) -> Iterator[tuple[int, ...]]:
    """Numbers of nodes between the edges, two at the least in each, the lowest segment getting a third or more."""
    for rest in itertools.product(range(2, count), repeat=segments - 1):
        first = count - sum(rest)
        if first >= max(2, count // 3):
            yield (first, *rest)


def _start(
    energy: Floats, mean: Floats, cuts: list[float], numbers: tuple[int, ...], power: float
) -> tuple[Floats, Floats, Floats]:
    """Nodes in ln E at even shares of the mean row to a power, and their ranges."""
    nodes: list[float] = []
    low: list[float] = []
    high: list[float] = []
    running = np.concatenate([[0.0], np.cumsum(mean**power * np.gradient(energy))])
    edges = np.concatenate([[energy[0]], 0.5 * (energy[1:] + energy[:-1]), [energy[-1]]])
    for begin, end, number in itertools.starmap(
        lambda pair, n: (*pair, n), zip(itertools.pairwise(cuts), numbers, strict=True)
    ):
        first, last = np.interp((begin, end), edges, running)
        at = np.interp(first + (last - first) * (np.arange(number) + 0.5) / number, running, edges)
        ends = begin * (1 + EDGE_GAP), end * (1 - EDGE_GAP)
        nodes += np.log(np.clip(at, *ends)).tolist()
        low += [math.log(ends[0])] * number
        high += [math.log(ends[1])] * number
    return np.array(nodes), np.array(low), np.array(high)


def _check(energy: Floats, rows: Floats, specs: tuple[Material, ...], greatest: Floats) -> None:
    if rows.ndim != 2 or rows.shape[1] != energy.size:
        raise SpectrumError(f"quadrature of {rows.shape} weights at {energy.size} energies (rows are [row, energy])")
    if not np.isfinite(rows).all() or (rows < 0).any() or not (rows.sum(axis=1) > 0).all():
        raise SpectrumError("quadrature of weights that are negative or all zero (nothing to stand for) check them")
    if greatest.shape != (len(specs),) or not np.isfinite(greatest).all() or (greatest <= 0).any():
        raise SpectrumError(f"greatest paths {greatest.tolist()} mm of {len(specs)} materials (one above 0 each)")
