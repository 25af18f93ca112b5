"""X-rays to light: absorption in the screen, the energy-weighted Poisson draw, the spread of the light.

The light is a compound Poisson process per depth class, I = sum_c h_c * q_c: photons of a spectrum interact in the
class, each leaves an energy of the moments M1, M2, the light of it is spread by the class's own kernel h_c after the
draw, so that the noise of neighbours is correlated as in a real screen and falls more slowly with frequency than MTF^2
(Lubberts). The single model is one class in which each quantum leaves its whole energy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from xsim import material
from xsim.backend import Backend
from xsim.deposition import DEPTH_BINS, deposition_of
from xsim.detector import Detector
from xsim.light_spread import LightSpread

__all__ = [
    "PhotonLight", "absorbed_fraction", "count_photons", "draw_light", "photon_light", "shine", "spread_light",
    "take_light",
]  # fmt: skip

FOLD_PX = 128  # XSIM_FOLD


@dataclass(frozen=True)
class PhotonLight:
    """What one photon that arrives gives each depth class, in the order that X-rays meet them.

    Attributes
    ----------
    share : float64 [class, energy]
        Probability to interact first in the class.
    depositing : float64 [class, energy]
        The same, and to leave any energy.
    first : float64 [class, energy] keV
        Mean light of a photon that interacts there: energy left, times the light gain.
    second : float64 [class, energy] keV^2
        Mean of its square.
    """

    share: np.ndarray
    depositing: np.ndarray
    first: np.ndarray
    second: np.ndarray


def absorbed_fraction(detector: Detector, energy_kev: np.ndarray) -> np.ndarray:
    """Share of photons that the screen absorbs: 1 - exp(-(mu / rho) m), m the areal density; 1 for an ideal response.

    Parameters
    ----------
    detector : Detector
    energy_kev : float64 [energy]

    Returns
    -------
    float64 [energy]

    """
    if detector.response == "ideal":
        return np.ones_like(energy_kev)
    screen = detector.scintillator
    areal_g_cm2 = screen.areal_density_mg_cm2 / 1000.0
    mass = material.mass_attenuation(material.resolve(screen.material), energy_kev)
    return np.asarray(-np.expm1(-mass * areal_g_cm2))


def photon_light(detector: Detector, energy_kev: np.ndarray, classes: int | None = None) -> PhotonLight:
    """Moments of the light of a photon, by the depth class it first interacts in.

    All light of a photon counts as from there: fluorescence that is absorbed elsewhere moves its energy, not its light.

    Parameters
    ----------
    detector : Detector
    energy_kev : float64 [energy]
    classes : int, optional
        Depth classes; by default the screen's own.

    """
    screen = detector.scintillator
    if detector.response == "ideal" or screen.model == "single":
        share = absorbed_fraction(detector, energy_kev)[None]
        return PhotonLight(share, share, energy_kev[None], energy_kev[None] ** 2)
    classes = screen.classes if classes is None else classes
    from_slab = screen.deposition == "slab"
    edges = slice_edges(classes, DEPTH_BINS if from_slab else 1)
    middles = 0.5 * (edges[1:] + edges[:-1])
    substance, areal_g_cm2 = material.resolve(screen.material), screen.areal_density_mg_cm2 / 1000.0
    depth = material.mass_attenuation(substance, energy_kev) * areal_g_cm2
    share = np.exp(-np.outer(edges[:-1], depth)) * -np.expm1(-np.outer(np.diff(edges), depth))
    depositing = first = second = np.ones_like(share)
    if from_slab:
        bins = (middles * DEPTH_BINS).astype(int)
        table = deposition_of(substance, screen.areal_density_mg_cm2).at(energy_kev)
        depositing, first, second = (moment[bins] for moment in table)
    gain = screen.light_gain_at(screen.sensor_distance(middles))[:, None]
    return gather(classes, middles, share, depositing, energy_kev * (gain * first), energy_kev**2 * (gain**2 * second))


def slice_edges(classes: int, bins: int) -> np.ndarray:
    """Depths 0 to 1 at which a class or a bin of the table begins or ends."""
    shared = np.lcm(classes, bins)
    steps = np.union1d(np.arange(classes + 1) * (shared // classes), np.arange(bins + 1) * (shared // bins))
    return np.asarray(steps / shared)


def gather(
    classes: int, middles: np.ndarray, share: np.ndarray, depositing: np.ndarray, first: np.ndarray, second: np.ndarray
) -> PhotonLight:
    """Slices [slice, energy] to the classes that they lie in, moments by their shares."""
    of_class = (middles * classes).astype(int)
    if len(of_class) == classes:
        return PhotonLight(share, share * depositing, first, second)
    starts = np.searchsorted(of_class, np.arange(classes))
    total = np.add.reduceat(share, starts, axis=0)
    held = np.where(total > 0.0, total, 1.0)
    means = (np.add.reduceat(share * moment, starts, axis=0) / held for moment in (first, second))
    return PhotonLight(total, np.add.reduceat(share * depositing, starts, axis=0), *means)


def draw_light(signal: Any, variance: Any, seed: int, frame: int, backend: Backend) -> Any:
    """One exposure: light of the quanta absorbed, before it spreads, float32 keV.

    Of the shape of the signal, [row, column] or [class, row, column]; each class has draws of its own.
    """
    light = backend.xp.empty(signal.shape, np.float32)
    rows, columns = signal.shape[-2:]
    backend.launch(
        "draw_quanta", signal.size // (rows * columns) * -(-rows * columns // backend.lanes), signal=signal,
        variance=variance, light=light, seed=seed, pixels=rows * columns, frame=frame,
    )  # fmt: skip
    return light


def take_light(
    signal: Any, variance: Any, detector: Detector, spread: LightSpread, seed: int, frame: int, backend: Backend
) -> Any:
    """Light of one exposure where the sensor sees it: drawn, spread, and counted where the screen says so.

    With lag a panel sees light of the frames before as well; those before frame 0 are counted down from 2^32.

    Parameters
    ----------
    signal, variance : float32 [row + margin, column + margin] or [class, ...] keV, keV^2
    detector : Detector
    spread : LightSpread
        Of that detector.
    seed, frame : int
    backend : Backend

    Returns
    -------
    float32 [row, column] keV

    """
    return shine(
        lambda at: draw_light(signal, variance, seed, at, backend), signal, detector, spread, seed, frame, backend
    )


def shine(
    draw: Callable[[int], Any], signal: Any, detector: Detector, spread: LightSpread, seed: int, frame: int,
    backend: Backend,
) -> Any:  # fmt: skip
    """As ``take_light``, of quanta that ``draw`` gives for the number of a frame."""
    drawn = draw(frame)
    if spread.lag is not None and not spread.is_line:
        weights = spread.lag.frames
        drawn = np.float32(weights[0]) * drawn + np.float32(1.0 - weights.sum()) * signal
        for ago, share in enumerate(weights[1:], 1):  # one fixed order of addition
            drawn += np.float32(share) * draw((frame - ago) % 2**32)
    light = spread_light(drawn, spread, backend)
    counted = detector.scintillator.light_photons_per_kev
    if counted is None or detector.response == "ideal":
        return light
    return count_photons(light, counted, seed, frame, backend)


def count_photons(light: Any, photons_per_kev: float, seed: int, frame: int, backend: Backend) -> Any:
    """Light after its spread as photons that are detected: a Poisson draw of each pixel, back in keV."""
    drawn = backend.xp.empty(light.shape, np.float32)
    backend.launch(
        "draw_photons", light.size, light=light, drawn=drawn, seed=seed, pixels=light.size, frame=frame,
        photons_per_kev=photons_per_kev,
    )  # fmt: skip
    return drawn


def spread_light(light: Any, spread: LightSpread, backend: Backend) -> Any:
    """Convolve the light of each depth class with its kernel, add them and crop the margin; no pixel below nought.

    A kernel of a sharp screen has entries below nought: beside an edge of hardly any light its sum may fall below it,
    where there is no light to see.

    Parameters
    ----------
    light : float32 [row, column] or [class, row, column] keV
    spread : LightSpread
    backend : Backend

    Returns
    -------
    float32 [row - 2 n, column - 2 m], n and m of the spread's margin.

    """
    found = convolved(light, spread, backend)
    return backend.xp.maximum(found, np.float32(0), out=found) if float(spread.kernels.min()) < 0.0 else found


def convolved(light: Any, spread: LightSpread, backend: Backend) -> Any:
    """Light of all classes after its spread, as ``spread_light`` but for what falls below nought."""
    xp = backend.xp
    above, beside = spread.margin
    light = light.reshape(-1, *light.shape[-2:])
    rows, columns = light.shape[1] - 2 * (above - spread.late_lines), light.shape[2] - 2 * beside
    classes, _, width = spread.kernels.shape
    found = xp.empty((rows, columns), np.float32)
    items = rows * -(-columns // backend.lanes)
    if above == spread.late_lines:
        backend.launch(
            "spread_along", items, light=light, weights=xp.asarray(spread.kernels), spread=found, plane=light[0].size,
            rows=rows, columns=columns, radius=beside, stride=light.shape[2], step=1, classes=classes,
        )  # fmt: skip
        return found if spread.lag is None or not spread.is_line else spread.lag.along(found, spread.late_lines)
    radius, common = width // 2, {"radii": xp.asarray(spread.radii), "rows": rows, "columns": columns, "margin": beside}
    common |= {"light": light, "spread": found, "radius": radius, "classes": classes}
    if radius <= FOLD_PX:
        quadrants = np.ascontiguousarray(spread.kernels[:, radius:, radius:])
        backend.launch("spread_mirrored", items, quadrants=xp.asarray(quadrants), **common)
    else:
        backend.launch("spread_light", items, kernels=xp.asarray(spread.kernels), **common)
    if spread.glare is None:
        return found
    return found + spread_glare(light, spread, backend)


def spread_glare(light: Any, spread: LightSpread, backend: Backend) -> Any:
    """Glare of the light of all classes: along the rows, then along the columns."""
    assert spread.glare is not None
    xp, radius, weights = backend.xp, len(spread.glare) // 2, backend.xp.asarray(spread.glare)
    spare = spread.margin[1] - radius
    total = light[0]
    for k in range(1, len(light)):  # one fixed order of addition
        total = total + light[k]
    total = xp.ascontiguousarray(total[spare : total.shape[0] - spare, spare : total.shape[1] - spare])
    rows, columns = total.shape[0], total.shape[1] - 2 * radius
    across = xp.empty((rows, columns), np.float32)
    groups = -(-columns // backend.lanes)
    common = {"columns": columns, "radius": radius, "classes": 1, "weights": weights, "plane": 0}
    backend.launch(
        "spread_along", rows * groups, light=total, spread=across, rows=rows, stride=total.shape[1], step=1, **common
    )
    glare = xp.empty((rows - 2 * radius, columns), np.float32)
    backend.launch(
        "spread_along", glare.shape[0] * groups, light=across, spread=glare, rows=glare.shape[0], stride=columns,
        step=columns, **common,
    )  # fmt: skip
    return glare
