"""Polychromatic Beer-Lambert: from path lengths to the energy that the screen absorbs in each pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xsim import material
from xsim.backend import Backend
from xsim.errors import SceneError
from xsim.geometry import View
from xsim.projector import prepare
from xsim.ray_pass import run
from xsim.scene import Scene
from xsim.scintillator import photon_light
from xsim.units import REFERENCE_DISTANCE_MM

__all__ = ["BeamWeights", "Expected", "beam_weights", "expected_signal", "exposure_mas"]


@dataclass(frozen=True)
class BeamWeights:
    """What one pixel on the axis absorbs without a body, per depth class of the screen and energy.

    With N photons arriving at energy E and the share eta absorbed: signal N eta E [keV], variance N eta E^2 [keV^2];
    in the cascade eta of the class and the first two moments of a photon's light instead of E and E^2.
    """

    energy_kev: np.ndarray  # float64 [energy]
    signal_kev: np.ndarray  # float64 [class, energy]
    variance_kev2: np.ndarray  # float64 [class, energy]
    cascade_quanta: float | None = None  # quanta that leave energy, where each leaves not all of its own

    @property
    def quanta(self) -> float:
        """Number of quanta absorbed per pixel."""
        if self.cascade_quanta is not None:
            return self.cascade_quanta
        return float((self.signal_kev / self.energy_kev).sum())


@dataclass(frozen=True)
class Expected:
    """What the pixels of a view absorb in the mean, in the memory of the backend.

    Attributes
    ----------
    signal, variance : float32 [row, column], of a screen with depth classes [class, row, column]
        keV and keV^2; no variance where none was asked for.
    labels : uint16 [row, column]
        None where they were not asked for.
    faults : uint8 [row, column]
    faulty_bodies : int32 [row, column]
        As in ``Projection``.

    """

    signal: Any
    variance: Any
    labels: Any
    faults: Any
    faulty_bodies: Any


def beam_weights(scene: Scene, view: View, mas: float) -> BeamWeights:
    """Weights of an exposure: photons per mAs at 1 m, inverse square to the detector, pixel area, absorption."""
    beam = scene.source.photons(scene.edges_kev).filtered(scene.detector.sheets)
    area = scene.detector.pitch_mm**2 * (REFERENCE_DISTANCE_MM / view.axis_distance_mm) ** 2
    photons = beam.photons * beam.bin_width_kev * area * mas
    light = photon_light(scene.detector, beam.energy_kev)
    absorbed = photons * light.share
    is_cascade = scene.detector.response != "ideal" and scene.detector.scintillator.model == "cascade"
    quanta = float((photons * light.depositing).sum()) if is_cascade else None
    return BeamWeights(beam.energy_kev, absorbed * light.first, absorbed * light.second, quanta)


def exposure_mas(scene: Scene, view: View) -> float:
    """Tube charge of the exposure [mAs]; nine digits of it where it follows from a dose or a grey value.

    Raises
    ------
    SceneError
        A dose or grey value is asked for that no exposure reaches.
    """
    acquisition, sensor = scene.acquisition, scene.detector.sensor
    if acquisition.exposure_s is not None:
        return scene.source.current_ma * acquisition.exposure_s * sensor.tdi_stages
    beam = beam_weights(scene, view, 1.0)
    if acquisition.quanta_per_pixel is not None:
        wanted, per_mas = acquisition.quanta_per_pixel, beam.quanta
    else:
        share = 0.7 if acquisition.target_gv is None else acquisition.target_gv
        wanted = max(share * sensor.full_scale_adu - sensor.offset_adu, 0.0)
        per_mas = float(beam.signal_kev.sum()) * sensor.gain_adu_per_kev
    if not per_mas > 0:
        raise SceneError("the source gives no quanta behind its filters (no exposure is long enough) use thinner ones")
    return float(f"{wanted / per_mas:.9g}")


def beam_record(weights: BeamWeights, materials: tuple[material.Material, ...], view: View, xp: Any) -> dict[str, Any]:
    """The kernels' ``Beam``: the energies that carry signal, and how each material takes them away."""
    used = (weights.signal_kev + weights.variance_kev2 > 0).any(axis=0)
    table = material.attenuation_table(materials, weights.energy_kev)
    return {
        "attenuation": xp.asarray(np.ascontiguousarray(table.T[used] / np.log(2.0), np.float32)),
        "signal_weights": xp.asarray(np.ascontiguousarray(weights.signal_kev[:, used], np.float32)),
        "variance_weights": xp.asarray(np.ascontiguousarray(weights.variance_kev2[:, used], np.float32)),
        "axis_distance_mm": view.axis_distance_mm,
        "energies": int(used.sum()),
        "materials": len(materials),
        "classes": len(weights.signal_kev),
    }


def expected_signal(
    scene: Scene,
    view: View,
    weights: BeamWeights,
    backend: Backend,
    variance: bool = True,
    active: Any = None,
    labels: bool = True,
) -> Expected:
    """Mean and variance of the energy absorbed in each pixel, in one pass and without an image of path lengths.

    Parameters
    ----------
    scene : Scene
    view : View
    weights : BeamWeights
    backend : Backend
    variance : bool
        Whether the variance is wanted.
    active : int32 [tile], optional
        Numbers of the tiles (``Tiles.of(view, backend)``) to work on; the others stay zero.
    labels : bool
        Whether labels are wanted.

    Raises
    ------
    BackendError
        The images do not fit into memory.

    """
    drawn = prepare(scene, view, backend)
    beam = beam_record(weights, drawn.arrangement.materials, view, backend.xp)
    images: dict[str, type] = {"signal": np.float32}
    if labels:
        images["labels"] = np.uint16
    if variance:
        images["variance"] = np.float32
    found = run(drawn, view, backend, images, beam, active)
    return Expected(
        found["signal"], found.get("variance"), found.get("labels"), found["faults"], found["faulty_bodies"]
    )
