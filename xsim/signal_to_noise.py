"""The exposure that gives an open-beam pixel a signal-to-noise ratio asked for.

The signal S [ADU] above black grows with the tube charge, and the variance of one pixel from frame to frame with it:

    Var = (k S + c) / n + d,   SNR^2 = S^2 / Var   =>   S = r k / 2 + sqrt((r k / 2)^2 + r (c + n d)),   r = SNR^2 / n

k: quanta after the light's spread and lag, photons of light and electrons where they are counted, and of a panel
the dark charge, which grows with the exposure; c: read noise and rounding; d: rounding of the mean of n frames.
"""

from __future__ import annotations

import math

from xsim.absorption import BeamWeights, beam_weights, dark_adu_per_s, dark_time_s
from xsim.errors import SceneError
from xsim.geometry import View
from xsim.light_spread import light_spread
from xsim.scene import Scene

__all__ = ["snr_mas"]

ROUNDING_ADU2 = 1.0 / 12.0
CLOSE = 1e-10
TURNS = 100  # of the lag, whose period is the exposure; each is closer by orders


def snr_mas(scene: Scene, view: View) -> float:
    """Tube charge [mAs] at which an open-beam pixel in the middle of the image has ``acquisition.snr``; nine digits.

    The noise of the station's own dark and gain frames, which every image shares, is not part of it.

    Raises
    ------
    SceneError
        The source gives no quanta.
    """
    weights = beam_weights(scene, view, 1.0)
    kev_per_mas = float(weights.signal_kev.sum()) * view.middle_share
    if not kev_per_mas > 0:
        raise SceneError("the source gives no quanta behind its filters (no exposure is long enough) use thinner ones")
    ideal = scene.detector.response == "ideal"
    adu_per_mas = kev_per_mas * (1.0 if ideal else scene.detector.sensor.gain_adu_per_kev)
    line_s = None if scene.acquisition.line_rate_hz is None else 1.0 / scene.acquisition.line_rate_hz
    mas = 0.0
    for _ in range(TURNS):
        period_s = mas / scene.source.current_ma if line_s is None else line_s
        before, mas = mas, wanted_signal(scene, weights, adu_per_mas, period_s) / adu_per_mas
        if abs(mas - before) <= CLOSE * mas:
            break
    return float(f"{mas:.9g}")


def wanted_signal(scene: Scene, weights: BeamWeights, adu_per_mas: float, period_s: float) -> float:
    """Signal [ADU] at which the ratio is as asked, for the lag of one period."""
    run, detector, sensor = scene.acquisition, scene.detector, scene.detector.sensor
    assert run.snr is not None
    spread = light_spread(detector, period_s)
    seconds = weights.variance_kev2.sum(axis=1)
    weight_kev = float(seconds.sum() / weights.signal_kev.sum())
    late = 1.0 if spread.lag is None else spread.lag.noise(None if spread.is_line else run.frames)
    slope = weight_kev * spread.sum_squares(seconds) * late
    wanted = run.snr**2 / run.frames
    if detector.response == "ideal":
        return wanted * slope
    slope *= sensor.gain_adu_per_kev
    if detector.scintillator.light_photons_per_kev:
        slope += sensor.gain_adu_per_kev / detector.scintillator.light_photons_per_kev
    charges = sensor.read_noise_charge**2 + sensor.row_noise_e**2 + sensor.column_noise_e**2
    constant = sensor.adu_per_charge**2 * charges + ROUNDING_ADU2
    if run.state != "raw" or run.frames > 1:
        constant += run.frames * ROUNDING_ADU2
    if sensor.has_electrons:
        slope += sensor.adu_per_charge
        dark = sensor.adu_per_charge * dark_adu_per_s(scene)  # ADU^2 a second
        if run.line_rate_hz is None:
            slope += dark / scene.source.current_ma / adu_per_mas
        else:
            constant += dark * dark_time_s(scene, 0.0)
    half = 0.5 * wanted * slope
    return half + math.sqrt(half**2 + wanted * constant)
