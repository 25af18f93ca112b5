"""Heel effect: the spectrum and the fluence change along the tube's axis.

A ray that leaves the target at a lower angle comes through more of it. The surface of a reflection target stands at
the anode angle alpha to the central ray c; with a the direction to the anode, across c, a ray d leaves at the angle
beta above it::

    sin(beta) = (sin(alpha) c - cos(alpha) a) . d

The emission at beta is that of the tube model for an anode of that angle (``xsim.tube``). Below 2 degrees, where the
grid ends, it is that of 2 degrees, less in proportion to sin(beta): a guess that ends in nothing at the surface.

All spectra of an image are near sums of a few of them. Those are chosen from the spectra themselves, the central one
first, so that the signals behind water, aluminium and iron come out best; each pixel then is a weighted sum of as many
images, the weights by least squares.

Left out: the longer way of oblique rays through the filters, and the focal spot that looks wider from one side.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from xsim import material
from xsim.absorption import BeamWeights
from xsim.errors import SceneError
from xsim.geometry import View
from xsim.scene import Scene
from xsim.source import Source
from xsim.spectrum import Spectrum

__all__ = ["HeelBasis", "heel_basis", "heel_beams", "take_off_sines"]

Floats = np.ndarray
#: Absorbers behind which the basis has to be right, mm.
PATHS_MM = {"water": (0.0, 30.0, 100.0, 200.0), "Al": (2.0, 10.0, 40.0), "Fe": (1.0, 5.0, 20.0)}
MOST_SPECTRA, TOLERANCE = 4, 1e-3
FAINTEST = 1e-6  # share of the open beam's energy
ANGLES = 65
LOWEST_DEG = (
    2.0  # the grid's; from there the output falls to nothing at the target's surface, in proportion to the sine
)


@dataclass(frozen=True)
class HeelBasis:
    """A few spectra of which every ray's is a sum.

    Attributes
    ----------
    spectra : tuple of Spectrum
        The first is the central one.
    sine : float64 [angle], ascending
    weight : float64 [angle, spectrum]
        Share of each spectrum at each sine of the take-off angle.
    error : float
        Greatest relative error of a signal or variance behind the test absorbers.

    """

    spectra: tuple[Spectrum, ...]
    sine: Floats
    weight: Floats
    error: float

    def shares(self, sine: Floats) -> Floats:
        """Share of each spectrum at sines of any shape, float64 [spectrum, ...]."""
        grazing = np.clip(sine / np.sin(np.radians(LOWEST_DEG)), 0.0, 1.0)
        return np.stack([np.interp(sine, self.sine, weight) * grazing for weight in self.weight.T])


def heel_basis(source: Source, edges_kev: Sequence[float], lowest_deg: float, highest_deg: float) -> HeelBasis:
    """Basis for take-off angles from the lowest to the highest: one to four spectra, as few as keep within 1e-3.

    The angles are widened to whole degrees, so that near geometries share a basis, kept from call to call.
    """
    low_deg = min(max(float(np.floor(lowest_deg)), LOWEST_DEG), source.anode_angle_deg)
    high_deg = max(float(np.ceil(highest_deg)), source.anode_angle_deg)
    return _basis_of(source.model_dump_json(), tuple(edges_kev), low_deg, high_deg)


@functools.lru_cache(maxsize=64)
def _basis_of(source_json: str, edges_kev: tuple[float, ...], low_deg: float, high_deg: float) -> HeelBasis:
    source = Source.model_validate_json(source_json)
    alpha, low, high = np.sin(np.radians([source.anode_angle_deg, low_deg, high_deg]))
    sine = np.unique(np.append(np.geomspace(low, high, ANGLES), alpha))
    spectra = [source.photons(edges_kev, float(np.degrees(np.arcsin(s)))) for s in sine]
    signals = _signals(spectra)  # [angle, test]
    chosen = [int(np.flatnonzero(sine == alpha)[0])]
    while True:
        weight = _weights(signals, chosen)
        errors = np.abs(weight @ signals[chosen] / signals - 1.0).max(axis=1)
        if len(chosen) == MOST_SPECTRA or errors.max() <= TOLERANCE:
            break
        chosen.append(int(errors.argmax()))
    return HeelBasis(tuple(spectra[k] for k in chosen), sine, weight, float(errors.max()))


def _signals(spectra: Sequence[Spectrum]) -> Floats:
    """Energy and its square behind the test absorbers, float64 [spectrum, test]; the spectra share their bins.

    Absorbers that take all but 1e-6 of a spectrum's energy test nothing and are left out.
    """
    energy = spectra[0].energy_kev
    through = [np.exp(-material.attenuation(name, energy) * t) for name, paths in PATHS_MM.items() for t in paths]
    photons = np.array([spectrum.photons_per_bin for spectrum in spectra])
    passed = np.array(through).T
    first, second = photons * energy @ passed, photons * energy**2 @ passed
    seen = (first >= FAINTEST * (photons @ energy)[:, None]).all(axis=0)
    return np.concatenate([first[:, seen], second[:, seen]], axis=1)


def _weights(signals: Floats, chosen: list[int]) -> Floats:
    """Weights [angle, chosen] of least relative squares; of a chosen spectrum exactly itself."""
    weight = np.empty((len(signals), len(chosen)))
    for row, wanted in enumerate(signals):
        weight[row] = np.linalg.lstsq((signals[chosen] / wanted).T, np.ones(wanted.size), rcond=None)[0]
    weight[chosen] = np.eye(len(chosen))
    return weight


def take_off_sines(source: Source, view: View) -> Floats:
    """Sine of the take-off angle of each pixel's ray, float64 [row, column]; negative below the target's surface.

    The central ray is that to the middle of the image.
    """
    central = view.to_middle / np.linalg.norm(view.to_middle)
    to_anode = np.asarray(source.anode_direction, np.float64)
    to_anode = to_anode - (to_anode @ central) * central
    if np.linalg.norm(to_anode) < 1e-6:
        raise SceneError(f"anode_direction {source.anode_direction} lies along the beam (it is across it) turn it")
    to_anode /= np.linalg.norm(to_anode)
    alpha = np.radians(source.anode_angle_deg)
    normal = np.sin(alpha) * central - np.cos(alpha) * to_anode
    column, row = np.arange(view.columns)[None, :], np.arange(view.rows)[:, None]
    above, square = 0.0, 0.0
    for axis in range(3):
        way = view.origin[axis] + view.column[axis] * column + view.row[axis] * row
        above, square = above + normal[axis] * way, square + way**2
    return np.asarray(above / np.sqrt(square))


def heel_beams(scene: Scene, view: View, weights: BeamWeights) -> list[tuple[BeamWeights, Floats]]:
    """Beams of which an image under the heel effect is the sum, each with its share of every pixel.

    Parameters
    ----------
    scene : Scene
        Its source with ``heel``.
    view : View
        Its middle is the central ray.
    weights : BeamWeights
        Of the central ray, at the energies of its spectrum.

    Returns
    -------
    list of (BeamWeights, float32 [row, column])
        The central beam first.

    Raises
    ------
    SceneError
        Weights at other energies; an anode along the beam.

    """
    sine = take_off_sines(scene.source, view)
    lowest_deg, highest_deg = np.degrees(np.arcsin([sine.min(), sine.max()]))
    basis = heel_basis(scene.source, scene.edges_kev, lowest_deg, highest_deg)
    central = basis.spectra[0]
    if not np.array_equal(weights.energy_kev, central.energy_kev):
        # nodes of a quadrature would err by 1 to 2 % on the anode's side
        raise SceneError(
            f"heel at {weights.energy_kev.size} energies (they stand for one spectrum, and each ray has its own) "
            "use all energies"
        )
    lit = central.photons > 0
    beams = []
    for spectrum, share in zip(basis.spectra, basis.shares(sine), strict=True):
        ratio = np.divide(spectrum.photons, central.photons, out=np.zeros(lit.size), where=lit)
        beam = replace(weights, signal_kev=weights.signal_kev * ratio, variance_kev2=weights.variance_kev2 * ratio)
        beams.append((beam, share.astype(np.float32)))
    return beams
