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

__all__ = ["BeamWeights", "Expected", "beam_weights", "dark_time_s", "expected_signal", "exposure_mas"]


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
    beam = scene.beam
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
        A dose or grey value is asked for that no exposure reaches, or one that is there without any.
    """
    acquisition, sensor = scene.acquisition, scene.detector.sensor
    if acquisition.exposure_s is not None:
        return scene.source.current_ma * acquisition.exposure_s * sensor.tdi_stages
    beam = beam_weights(scene, view, 1.0)
    if acquisition.quanta_per_pixel is not None:
        wanted, per_mas = acquisition.quanta_per_pixel, beam.quanta
    else:
        wanted = wanted_adu(scene)
        per_mas = float(beam.signal_kev.sum()) * sensor.gain_adu_per_kev
    if not per_mas > 0:
        raise SceneError("the source gives no quanta behind its filters (no exposure is long enough) use thinner ones")
    if acquisition.quanta_per_pixel is None and acquisition.line_rate_hz is None:
        # a panel's dark signal grows with the exposure, in the middle of the image as elsewhere
        per_mas += dark_adu_per_s(scene) / scene.source.current_ma / view.middle_share
    return float(f"{wanted / per_mas:.9g}")


def wanted_adu(scene: Scene) -> float:
    """Grey value that an open beam asked for adds to the offset, and to the dark signal of a line."""
    run, sensor = scene.acquisition, scene.detector.sensor
    share, dark = 0.7 if run.target_gv is None else run.target_gv, 0.0
    if run.line_rate_hz is not None:
        dark = dark_adu_per_s(scene) * dark_time_s(scene, 0.0)
    wanted = share * sensor.full_scale_adu - sensor.offset_adu - dark
    if not wanted > 0:
        below = "offset" if dark == 0.0 else "offset and dark signal"
        raise SceneError(
            f"target_gv = {share:g} lies below the {below} ({sensor.offset_adu + dark:.6g} of "
            f"{sensor.full_scale_adu:.6g} ADU) raise it, or give exposure_s"
        )
    return wanted


def dark_adu_per_s(scene: Scene) -> float:
    sensor = scene.detector.sensor
    return sensor.dark_current_e_s * sensor.adu_per_charge


def dark_time_s(scene: Scene, mas: float) -> float:
    """Time over which a pixel collects dark current in an exposure.

    A panel's is that of the tube charge [mAs]. A line lasts its own time, whatever the dose: that scales the tube's
    output alone. Its stages collect one after the other.
    """
    run = scene.acquisition
    if run.line_rate_hz is None:
        return mas / scene.source.current_ma
    return scene.detector.sensor.tdi_stages * (1.0 / run.line_rate_hz if run.exposure_s is None else run.exposure_s)


def beam_record(weights: BeamWeights, materials: tuple[material.Material, ...], view: View, xp: Any) -> dict[str, Any]:
    """The kernels' ``Beam``: the energies that carry signal, and how each material takes them away."""
    used = (weights.signal_kev + weights.variance_kev2 > 0).any(axis=0)
    used[0] |= not used.any()  # a beam of no energies would leave the images as they were
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
