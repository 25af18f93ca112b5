"""From a scene to the radiograph its camera records: noisy, clean, noise, expected, valid, labels."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xsim.absorption import BeamWeights, beam_weights
from xsim.backend import Backend, get_backend
from xsim.body_table import describe_bodies
from xsim.camera import Camera
from xsim.errors import SceneError
from xsim.fixed_pattern import camera_key
from xsim.open_beam import own_camera
from xsim.resources import VERSION
from xsim.sampling import Absorbed, absorb_view, describe_rays, exposure_of
from xsim.scene import Scene
from xsim.scintillator import draw_light, light_kernel, spread_light
from xsim.sensor import Readout, readout_of, record
from xsim.travel import ripple_factors, travel_of

__all__ = ["Exposure", "Radiograph", "expose", "simulate"]

CHANNELS = ("first", "second_layer", "second_exposure")
FIRST, SECOND_LAYER, SECOND_EXPOSURE = range(3)
OF_CHANNELS = 8  # the second ones draw by keys of these purposes, above those of a camera


@dataclass(frozen=True)
class Radiograph:
    """One frame of a simulated camera. Images are [row, column], row 0 at the top.

    Attributes
    ----------
    noisy : float32 ADU
        What the camera records; whole numbers. For the ideal response keV, as for all four.
    clean : float32 ADU
        The same without noise, saturation or rounding, on a grid of 1/16 ADU: the training target.
    noise : float32 ADU
        noisy - clean; ``noisy == clean + noise`` bit for bit.
    expected : float32 ADU
        Mean of noisy over many frames of this camera, exact further than some read noise from the rails.
    valid : bool
        False where saturated, or where a ray met a faulty mesh.
    labels : uint16
        0 background, k the k-th of ``Scene.bodies`` (the scene file's bodies, then its defects): the highest
        (priority, then place) on the ray.
    metadata : dict
        Scene, seed, frame and derived numbers; JSON-able. Variance of noisy = a_pixel_adu * x + b_adu2, x the raw
        value with its offset.
    second : Radiograph
        The other image of dual energy: of the second layer, or of the second exposure. None where there is none.

    """

    noisy: np.ndarray
    clean: np.ndarray
    noise: np.ndarray
    expected: np.ndarray
    valid: np.ndarray
    labels: np.ndarray
    metadata: dict[str, Any]
    second: Radiograph | None = None


@dataclass(frozen=True)
class Exposure:
    """All of an image that is not random, in the memory of the backend. Frames are recorded from it.

    Attributes
    ----------
    signal, variance : float32 [row + margin, column + margin]
        Mean energy absorbed [keV] and its variance [keV^2], with the kernel's margin.
    mean_light : float32 [row, column] keV
    valid : uint8 [row, column]
    labels : uint16 [row, column]

    """

    scene: Scene
    backend: Backend
    weights: BeamWeights
    mas: float
    kernel: np.ndarray
    readout: Readout
    signal: Any
    variance: Any
    mean_light: Any
    valid: Any
    labels: Any
    derived: dict[str, Any]
    camera: Camera | None = None  # None where all pixels are alike, one frame is taken and nothing corrected
    channel: int = FIRST
    second: Exposure | None = None

    def record(self, seed: int = 0, frame: int = 0) -> Radiograph:
        """One frame.

        Parameters
        ----------
        seed : int
            0 to 2^64 - 1. The same seed and frame give the same bytes.
        frame : int
            0 to 2^32 - 1; frames of one seed are independent.

        """
        machine = self.backend
        found = {name: machine.to_numpy(image) for name, image in self.images(seed, frame).items()}
        metadata = self.metadata(seed, frame, found["noisy"], found["valid"])
        if self.second is None:
            return Radiograph(**found, metadata=metadata, second=None)
        second = self.second.record(seed, frame)
        known = {**second.metadata, "channel": CHANNELS[self.second.channel], "scene": metadata["scene"]}
        return Radiograph(**found, metadata=metadata, second=replace(second, metadata=known))

    def images(self, seed: int = 0, frame: int = 0) -> dict[str, Any]:
        """The images of one frame, by the names of ``Radiograph``, left in the memory of the backend.

        NumPy or CuPy arrays: another library on the same machine takes them by DLPack, without a copy
        (``torch.from_dlpack(images["noisy"])``). ``second.images`` gives those of the other image of dual energy.
        """
        check_seed(seed, frame, self.scene.acquisition.frames)
        valid, own = self.valid.copy(), seed if self.channel == FIRST else camera_key(seed, OF_CHANNELS + self.channel)
        tube = seed if self.channel == SECOND_LAYER else own  # both layers are in one beam

        def take_light(_: int, each: int) -> Any:
            return self.take_light(own, each, tube)

        if self.camera is not None:
            found = self.camera.record(take_light, self.mean_light, valid, own, frame)
        else:
            light = take_light(own, frame)
            found = record(light, self.mean_light, valid, self.readout, own, frame, self.backend)
        return {**found, "valid": valid.astype(bool), "labels": self.labels}

    def take_light(self, seed: int, frame: int, tube_seed: int) -> Any:
        """Light of one exposure after its spread, float32 [row, column] keV; the tube ripples by a seed of its own."""
        signal, variance = self.signal, self.variance
        ripple = ripple_factors(self.scene.acquisition, signal.shape[-2], tube_seed, frame, self.backend)
        if ripple is not None:
            signal, variance = signal * ripple, variance * ripple
        return spread_light(draw_light(signal, variance, seed, frame, self.backend), self.kernel, self.backend)

    def saturated_share(self, noisy: np.ndarray, valid: np.ndarray) -> float:
        """Share of the pixels that saturated."""
        if self.camera is None:
            return float((noisy >= self.readout.saturation_adu).mean())
        able = self.backend.to_numpy(self.valid).astype(bool).reshape(-1, self.camera.pattern.defects.size)
        able = able & (self.backend.to_numpy(self.camera.pattern.defects) == 0)
        return float((able & ~valid.reshape(able.shape)).mean())

    def metadata(self, seed: int, frame: int, noisy: np.ndarray, valid: np.ndarray) -> dict[str, Any]:
        """Everything needed to make the frame again, and what it came to."""
        return {
            "xsim": VERSION,
            "backend": self.backend.name,
            "seed": seed,
            "frame": frame,
            "state": self.scene.acquisition.state,
            **self.derived,
            "mean_adu": float(noisy.mean(dtype=np.float64)),
            "saturated_share": self.saturated_share(noisy, valid),
            "invalid_share": float(1.0 - valid.mean()),
            "scene": json.loads(self.scene.model_dump_json(exclude_none=True)),
        }


def simulate(
    scene: Scene,
    seed: int = 0,
    backend: str = "auto",
    frame: int = 0,
    threads: int | None = None,
) -> Radiograph:
    """Radiograph of a scene.

    Parameters
    ----------
    scene : Scene
        From ``load_scene`` or built in code.
    seed, frame : int
        Same numbers, same bytes, on any number of threads and any x86-64 level.
    backend : {"auto", "cpu", "cuda"}
    threads : int, optional
        CPU threads; all cores by default.

    Raises
    ------
    XsimError
        The scene cannot be simulated; one line.

    """
    check_seed(seed, frame)
    return expose(scene, get_backend(backend, threads)).record(seed, frame)


def expose(scene: Scene, backend: Backend | str = "auto") -> Exposure:
    """Project, attenuate and absorb: everything of a scene's image but the draws.

    Many frames of one scene share it, and so may many exposures one scene.

    Parameters
    ----------
    scene : Scene
    backend : Backend or {"auto", "cpu", "cuda"}

    Raises
    ------
    XsimError
        The scene cannot be simulated; one line.

    """
    backend = get_backend(backend) if isinstance(backend, str) else backend
    mas = exposure_of(scene, scene.view)
    first, other = expose_at(scene, mas, backend), scene.second
    if other is None:
        return first
    is_layer = scene.detector.second_layer is not None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="shells of mesh")  # told of the first image
        second = expose_at(other, mas if is_layer else exposure_of(other, other.view), backend)
    return replace(first, second=replace(second, channel=SECOND_LAYER if is_layer else SECOND_EXPOSURE))


def expose_at(scene: Scene, mas: float, backend: Backend) -> Exposure:
    """One image of a scene at a tube charge [mAs]."""
    kernel = light_kernel(scene.detector)
    above, beside = (length // 2 for length in kernel.shape)
    view = scene.view
    weights = beam_weights(scene, view, mas)
    travel = travel_of(scene.geometry, scene.acquisition, scene.detector)
    seen = absorb_view(scene, view, (above, beside), weights, backend, travel)
    mean_light = spread_light(seen.signal, kernel, backend)
    inner = slice(above, above + view.rows), slice(beside, beside + view.columns)
    readout = readout_of(scene.detector, float(mean_light.max()))
    camera = own_camera(scene, kernel, weights, mas, backend)
    exposure = Exposure(
        scene, backend, weights, mas, kernel, readout, seen.signal, seen.variance, mean_light,
        seen.sound[inner].astype(np.uint8), backend.xp.ascontiguousarray(seen.labels[inner]),
        derived_numbers(scene, weights, mas, kernel, readout, seen, camera), camera,
    )  # fmt: skip
    if float(mean_light.max()) * readout.gain_adu_per_kev < 1.0 and scene.detector.response != "ideal":
        warnings.warn("the frame is black (less than 1 ADU of signal anywhere) raise exposure_s or voltage_kv",
                      stacklevel=4)  # fmt: skip
    return exposure


def derived_numbers(
    scene: Scene,
    weights: BeamWeights,
    mas: float,
    kernel: np.ndarray,
    readout: Readout,
    seen: Absorbed,
    camera: Camera | None = None,
) -> dict[str, Any]:
    """Exposure, gain and noise of a frame.

    The pixelwise variance of the spread light is s sum(h^2) times its mean, s = M2 / M1 the energy a quantum weighs;
    s changes with hardening, so the frame's slope takes the mean M2 over the mean M1.
    """
    squares = float((kernel.astype(np.float64) ** 2).sum())
    total = float(seen.signal.mean(dtype=np.float64))
    weight_kev = float(seen.variance.mean(dtype=np.float64)) / total if total > 0 else 0.0
    gain, offset = readout.gain_adu_per_kev, readout.offset_adu
    slope = gain * weight_kev * squares
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


def check_seed(seed: int, frame: int, exposures: int = 1) -> None:
    if not 0 <= seed < 2**64:
        raise SceneError(f"seed {seed} does not fit (64 bits, not negative) use 0 to 2^64 - 1")
    if not 0 <= frame < 2**32 // exposures:
        most = f"2^32 / {exposures}" if exposures > 1 else "2^32"
        raise SceneError(f"frame {frame} does not fit (32 bits, not negative) use 0 to {most} - 1")
