"""Exposure, gain and noise of a frame, worked out before any is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from xsim.absorption import BeamWeights
from xsim.body_table import describe_bodies
from xsim.camera import Camera
from xsim.light_spread import LightSpread
from xsim.sampling import Absorbed, describe_rays
from xsim.scene import Scene
from xsim.sensor import Readout

__all__ = ["class_means", "derived_numbers"]


def derived_numbers(
    scene: Scene,
    weights: BeamWeights,
    mas: float,
    spread: LightSpread,
    readout: Readout,
    seen: Absorbed,
    camera: Camera | None = None,
) -> dict[str, Any]:
    """Exposure, gain and noise of a frame.

    The pixelwise variance of the spread light is s sum(h^2) times its mean, s = M2 / M1 the energy a quantum weighs;
    s changes with hardening, so the frame's slope takes the mean M2 over the mean M1. With depth classes M1 and M2 are
    sums over them, and sum(h^2) is their mean by M2. Photons of the light that are counted add their own 1 / n;
    lag averages quanta.
    """
    means, seconds = class_means(seen.signal), class_means(seen.variance)
    total, second = float(means.sum()), float(seconds.sum())
    weight_kev = second / total if total > 0 else 0.0
    squares = spread.sum_squares(seconds)
    counted = scene.detector.scintillator.light_photons_per_kev if scene.detector.response != "ideal" else None
    gain, offset = readout.gain_adu_per_kev, readout.offset_adu
    late = 1.0 if spread.lag is None else spread.lag.noise(None if spread.is_line else scene.acquisition.frames)
    slope = gain * weight_kev * squares * late + (gain / counted if counted else 0.0)
    rounding = readout.step**2 / 12.0
    return {
        "detector": scene.detector.preset,
        "adc_bits": scene.detector.sensor.adc_bits if scene.detector.response != "ideal" else None,
        "saturation_adu": readout.saturation_adu,
        "offset_adu": offset,
        "read_noise_adu": readout.read_noise_adu,
        "gain_adu_per_kev": gain,
        "gain_adu_per_quantum": gain * weight_kev,
        "kernel_sum_squares": squares,
        "a_pixel_adu": slope,
        "b_adu2": readout.read_noise_adu**2 + rounding - slope * offset,
        "exposure_mas": mas,
        "quanta_per_pixel": weights.quanta * scene.view.middle_share,
        "mean_energy_kev": float(weights.signal_kev.sum()) / weights.quanta if weights.quanta else 0.0,
        "pitch_mm": scene.detector.pitch_mm,
        **describe_rays(scene, seen),
        "bodies": describe_bodies(scene),
        **({} if camera is None else camera.describe(slope)),
    }


def class_means(image: Any) -> np.ndarray:
    """Mean of each depth class's image, float64 [class]."""
    return np.array([float(plane.mean(dtype=np.float64)) for plane in image.reshape(-1, *image.shape[-2:])])
