"""Figures of a named camera at its typical exposure: response, transfer, noise, efficiency, photon transfer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from xsim.cameras import NamedCamera
from xsim.noise_power import NoisePowerCut, noise_power
from xsim.photon_transfer import PhotonTransfer, photon_transfer
from xsim.radiograph import expose
from xsim.scene import Scene
from xsim.screen_theory import ScreenTheory, screen_theory
from xsim.units import REFERENCE_DISTANCE_MM

__all__ = ["CameraFigures", "camera_figures", "measured_noise_power", "measured_transfer"]

LEVELS = (0.003, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0, 1.15)  # of full scale
PAIR = 2
SIZE = 256  # rows and columns of a simulated image
REGION = 128


@dataclass(frozen=True)
class CameraFigures:
    """What follows from a camera's numbers.

    Attributes
    ----------
    name : str
    theory : ScreenTheory
        At the typical exposure.
    black_adu : float
        Grey value without light.
    open_share : float
        Grey value of the typical open beam, of full scale.
    quanta : float
        Quanta absorbed in a pixel of it.
    snr : float
        Of a pixel of it, by theory, without fixed pattern.
    full_scale_quanta : float
        Quanta absorbed that fill a pixel, at the typical spectrum.
    dynamic_range_db : float
        Full scale over the noise without light.

    """

    name: str
    theory: ScreenTheory
    black_adu: float
    open_share: float
    quanta: float
    snr: float
    full_scale_quanta: float
    dynamic_range_db: float

    def frequency_at(self, modulation: float) -> float:
        """Frequency at which the MTF falls to a value, 1/mm; infinite where it does not below Nyquist."""
        mtf, frequency = self.theory.mtf, self.theory.frequency_per_mm
        below = np.nonzero(mtf < modulation)[0]
        if not len(below):
            return math.inf
        k = int(below[0])
        return float(np.interp(-modulation, -mtf[k - 1 : k + 1], frequency[k - 1 : k + 1]))

    def table(self) -> list[tuple[str, str]]:
        """Names and values, for a table."""
        theory = self.theory
        half, fifth = (self.frequency_at(value) for value in (0.5, 0.2))
        middle = len(theory.dqe) // 2
        return [
            ("photons that leave energy (A_Q)", f"{100 * theory.quantum_absorption:.1f} %"),
            ("Swank factor (A_S)", f"{theory.swank_factor:.3f}"),
            ("DQE at 0 and at half of Nyquist", f"{theory.dqe[0]:.3f}, {theory.dqe[middle]:.3f}"),
            ("MTF 0.5 and 0.2 at", f"{told(half)}, {told(fifth)} 1/mm"),
            ("Nyquist frequency", f"{theory.frequency_per_mm[-1]:.3g} 1/mm"),
            ("quanta in a pixel, typical", f"{self.quanta:.3g}"),
            ("open beam, typical", f"{100 * self.open_share:.0f} % of full scale"),
            ("SNR of a pixel there", f"{self.snr:.3g}"),
            ("quanta that fill a pixel", f"{self.full_scale_quanta:.3g}"),
            ("dynamic range", f"{self.dynamic_range_db:.1f} dB"),
        ]


def told(frequency_per_mm: float) -> str:
    """A frequency, or that it lies beyond Nyquist."""
    return f"{frequency_per_mm:.2f}" if math.isfinite(frequency_per_mm) else "beyond Nyquist"


def camera_figures(camera: NamedCamera) -> CameraFigures:
    """Figures of a camera; SceneError where its file names no typical exposure."""
    scene = camera.open_beam(16, 16)
    exposure = expose(scene, "cpu")
    facts, sensor = exposure.derived, camera.detector.sensor
    arriving, dark_e = quanta_per_mm2(scene, exposure.mas), float(facts.get("dark_e") or 0.0)
    theory = screen_theory(scene.detector, scene.beam, arriving, dark_e=dark_e)
    mean_adu = float(exposure.mean_light.mean()) * sensor.gain_adu_per_kev
    black = float(facts["offset_adu"])
    variance = float(facts["a_pixel_adu"]) * (mean_adu + black) + float(facts["b_adu2"])
    dark = math.sqrt(float(facts["a_pixel_adu"]) * black + float(facts["b_adu2"]))
    quanta, room = float(facts["quanta_per_pixel"]), sensor.full_scale_adu - black
    return CameraFigures(
        camera.name, theory, black, (mean_adu + black) / sensor.full_scale_adu, quanta,
        mean_adu / math.sqrt(variance), quanta * room / mean_adu, 20 * math.log10(room / dark),
    )  # fmt: skip


def quanta_per_mm2(scene: Scene, mas: float) -> float:
    """Photons that arrive in the middle of the detector."""
    return scene.beam.fluence * mas * (REFERENCE_DISTANCE_MM / scene.view.axis_distance_mm) ** 2


def measured_noise_power(camera: NamedCamera, frames: int = 8, seed: int = 1) -> NoisePowerCut:
    """NNPS along the rows of simulated frames of the typical open beam, their fixed pattern taken away."""
    exposure = expose(camera.open_beam(SIZE, SIZE), "cpu")
    images = [exposure.images(seed, frame) for frame in range(frames)]
    noise = np.stack([image["noisy"] - image["expected"] for image in images])
    level = float(np.mean(images[0]["expected"])) - float(exposure.derived["offset_adu"])
    return noise_power(noise + np.float32(level), camera.detector.pitch_mm, REGION).along_u


def measured_transfer(camera: NamedCamera, open_share: float, seed: int = 1) -> PhotonTransfer:
    """Photon transfer curve of the simulated camera: pairs of frames from darkness to above its full scale.

    ``open_share`` is that of its ``CameraFigures``.
    """
    scene = camera.open_beam(SIZE, SIZE)
    acquisition, mas = scene.acquisition, expose(scene, "cpu").mas
    time_s = acquisition.exposure_s or 1.0 / (acquisition.line_rate_hz or 1.0)
    run = scene if acquisition.exposure_s else camera.open_beam(SIZE, SIZE, exposure_s=time_s)
    levels = []
    for number, level in enumerate(LEVELS):
        current_ma = level / open_share * mas / (time_s * scene.detector.sensor.tdi_stages)
        lit = run.model_copy(update={"source": run.source.model_copy(update={"current_ma": current_ma})})
        lit._memo = {}
        exposure = expose(lit, "cpu")
        levels.append(np.stack([exposure.images(seed, PAIR * number + k)["noisy"] for k in range(PAIR)]))
    return photon_transfer(levels)
