"""Two images of one part in two beams, and the calibrated log ratio that tells light materials from heavy ones.

Attenuations L = -ln T of both images are turned into lengths of two basis materials a, b that give the same two
(Alvarez, Macovski, Energy-selective reconstructions in X-ray computerised tomography, Phys. Med. Biol. 21 (1976) 733),
by Newton's method on L_k(t_a, t_b) = -ln sum_E w_k exp(-mu_a t_a - mu_b t_b) / sum_E w_k. The log ratio is that of
single energies E_low, E_high,

    R = (mu_a(E_low) t_a + mu_b(E_low) t_b) / (mu_a(E_high) t_a + mu_b(E_high) t_b),

free of beam hardening: a number of the material alone, not of its thickness, as far as the bases span its mu(E).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xsim import material
from xsim.absorption import BeamWeights, beam_weights
from xsim.errors import SceneError
from xsim.material import Spec
from xsim.scene import Scene

__all__ = ["DualEnergy"]

STEPS = 30
CLOSE = 1e-9  # of the attenuations, where Newton's method ends
CHUNK = 4096  # pixels at a time
FARTHEST_STEP = 1.0  # greatest change of an attenuation in one step


@dataclass(frozen=True)
class Channel:
    """One beam as a screen sees it: shares of the open-beam signal, and mu of the two bases [basis, energy] 1/mm."""

    shares: np.ndarray
    mu: np.ndarray

    @property
    def mean_mu(self) -> np.ndarray:
        """Of the open beam, [basis]."""
        return np.asarray(self.mu @ self.shares)

    def attenuation(self, lengths_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """L [pixel] of lengths [pixel, basis], and its derivatives [pixel, basis] 1/mm."""
        depth = lengths_mm @ self.mu
        least = depth.min(axis=1, keepdims=True)
        left = self.shares * np.exp(least - depth)
        total = left.sum(axis=1)
        return least[:, 0] - np.log(total), (left @ self.mu.T) / total[:, None]


@dataclass(frozen=True)
class DualEnergy:
    """The two beams of a scene, calibrated in two basis materials.

    Attributes
    ----------
    basis : names of the two materials
    first, second : Channel
        Of the scene's image and of its second one.
    energy_kev : (low, high)
        The energies that the log ratio stands for.
    mu_per_mm : float64 [2, 2]
        mu of basis b at energy k, [k, b].

    """

    basis: tuple[str, str]
    first: Channel
    second: Channel
    energy_kev: tuple[float, float]
    mu_per_mm: np.ndarray

    @classmethod
    def of(cls, scene: Scene, basis: tuple[Spec, Spec] = ("PMMA", "Fe")) -> DualEnergy:
        """Calibration of a scene with a second layer or a second exposure.

        Parameters
        ----------
        scene : Scene
        basis : two materials
            Without an absorption edge inside the spectrum.

        Raises
        ------
        SceneError
            The scene has one image only, or both images have one mean energy.
        MaterialError
            An unknown material.

        """
        other = scene.second
        if other is None:
            raise SceneError("one image only (dual energy needs two) add detector.second_layer or second_exposure")
        both = tuple(material.resolve(spec) for spec in basis)
        beams = [beam_weights(each, each.view, 1.0) for each in (scene, other)]
        channels = [channel_of(weights, both) for weights in beams]
        middles = sorted(mean_energy_kev(weights) for weights in beams)
        if middles[1] < 1.01 * middles[0]:
            raise SceneError(
                f"both images are taken at {middles[0]:.4g} keV (they tell nothing apart) filter one of them more"
            )
        mu = np.array([material.attenuation(m, np.array(middles)) for m in both]).T
        return cls((both[0].name, both[1].name), channels[0], channels[1], (middles[0], middles[1]), mu)

    def lengths_mm(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Lengths of the basis materials that give these attenuations.

        Parameters
        ----------
        first, second : float [...]
            -ln(signal / open beam) of the two images, both without offset.

        Returns
        -------
        float64 [2, ...] mm
            NaN where there are none.

        """
        wanted = np.stack([np.asarray(first, np.float64), np.asarray(second, np.float64)], axis=-1)
        flat = wanted.reshape(-1, 2)
        parts = [self._solve(flat[k : k + CHUNK]) for k in range(0, len(flat), CHUNK)]
        return np.moveaxis(np.concatenate(parts).reshape(wanted.shape), -1, 0)

    def log_ratio(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """R of two attenuations, float64 [...]: near 1 of plastics, and the greater the heavier the material."""
        low, high = np.tensordot(self.mu_per_mm, self.lengths_mm(first, second), 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(low / high)

    def log_ratio_of(self, spec: Spec) -> float:
        """R of a material by its own attenuation."""
        low, high = material.attenuation(spec, np.array(self.energy_kev))
        return float(low / high)

    def _solve(self, wanted: np.ndarray) -> np.ndarray:
        """Newton's method from the open beam's straight line, [pixel, 2]."""
        lengths = np.linalg.solve(np.stack([c.mean_mu for c in (self.first, self.second)]), wanted.T).T
        gap = np.full_like(wanted, np.inf)
        for _ in range(STEPS):
            found = [channel.attenuation(lengths) for channel in (self.first, self.second)]
            gap = wanted - np.stack([value for value, _ in found], axis=-1)
            if np.nanmax(np.abs(gap), initial=0.0) < CLOSE:
                break
            gap_now = gap * np.minimum(1.0, FARTHEST_STEP / np.maximum(np.abs(gap).max(axis=1), 1e-30))[:, None]
            slopes = np.stack([slope for _, slope in found], axis=1)
            lengths = lengths + np.linalg.solve(slopes, gap_now[..., None])[..., 0]
        lengths[~(np.abs(gap).max(axis=1) < 1e-6)] = np.nan
        return lengths


def channel_of(weights: BeamWeights, basis: tuple[material.Material, ...]) -> Channel:
    """Beam of a screen's weights, of all its depth classes together."""
    signal = weights.signal_kev.reshape(-1, weights.energy_kev.size).sum(axis=0)
    used = signal > 0
    table = np.array([material.attenuation(m, weights.energy_kev[used]) for m in basis])
    return Channel(signal[used] / signal.sum(), table)


def mean_energy_kev(weights: BeamWeights) -> float:
    """Mean energy of the signal of an open beam."""
    signal = weights.signal_kev.reshape(-1, weights.energy_kev.size).sum(axis=0)
    return float(signal @ weights.energy_kev / signal.sum())
