"""From a scene to the radiograph its camera records: noisy, clean, noise, expected, valid, labels."""

from __future__ import annotations

import functools
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xsim.absorption import BeamWeights, beam_weights
from xsim.backend import Backend, get_backend
from xsim.camera import Camera
from xsim.energies import few_energies
from xsim.errors import SceneError
from xsim.exposure_numbers import class_means, derived_numbers
from xsim.fixed_pattern import camera_key
from xsim.light_spread import LightSpread, light_spread
from xsim.open_beam import own_camera
from xsim.quadrature import Quadrature
from xsim.resources import VERSION
from xsim.sampling import absorb_view, drifted, exposure_of
from xsim.scene import Scene
from xsim.scintillator import spread_light, take_light
from xsim.sensor import Readout, readout_of, record
from xsim.travel import ripple_factors, travel_of

__all__ = ["Exposure", "Radiograph", "expose", "simulate"]

CHANNELS = ("first", "second_layer", "second_exposure", "pair", "pair_same_quanta")
FIRST, SECOND_LAYER, SECOND_EXPOSURE, PAIR, SAME_QUANTA = range(5)
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
    spread : LightSpread
    signal, variance : float32 [row + margin, column + margin], with depth classes [class, row + margin, ...]
        Mean energy absorbed [keV] and its variance [keV^2], with the kernel's margin.
    mean_light : float32 [row, column] keV
    valid : uint8 [row, column]
    labels : uint16 [row, column]

    """

    scene: Scene
    backend: Backend
    weights: BeamWeights
    mas: float
    spread: LightSpread
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

    @functools.cached_property
    def kernel(self) -> np.ndarray:
        """Point response of the mean light, [2 n + 1, 2 m + 1]: that of each depth class by its share of the light."""
        return self.spread.mean_kernel(class_means(self.signal))

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
        tube = seed if self.channel in (SECOND_LAYER, SAME_QUANTA) else own  # both are in one beam
        take_light = functools.partial(self.take_light, tube_seed=tube)
        if self.camera is not None:
            found = self.camera.record(take_light, self.mean_light, valid, own, frame)
        else:
            light = take_light(own, frame)
            found = record(light, self.mean_light, valid, self.readout, own, frame, self.backend)
        return {**found, "valid": valid.astype(bool), "labels": self.labels}

    def take_light(self, seed: int, frame: int, tube_seed: int) -> Any:
        """Light of one exposure after its spread, float32 [row, column] keV; the tube ripples by a seed of its own."""
        signal, variance = self.at_output(tube_seed, frame)
        return take_light(signal, variance, self.scene.detector, self.spread, seed, frame, self.backend)

    def at_output(self, tube_seed: int, frame: int) -> tuple[Any, Any]:
        """Signal and variance at the output that the tube has in a frame."""
        above, run, stages = self.spread.margin[0], self.scene.acquisition, self.scene.detector.sensor.tdi_stages
        lines = range(-above, self.signal.shape[-2] - above)
        ripple = ripple_factors(run, stages, lines, tube_seed, frame, self.backend)
        return (self.signal, self.variance) if ripple is None else (self.signal * ripple, self.variance * ripple)

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
    quadratures: Mapping[str, Quadrature] | None = None,
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
    quadratures : mapping of str to Quadrature, optional
        As for `expose`.

    Raises
    ------
    XsimError
        The scene cannot be simulated; one line.

    """
    check_seed(seed, frame)
    return expose(scene, backend, quadratures, threads).record(seed, frame)


def expose(
    scene: Scene,
    backend: Backend | str = "auto",
    quadratures: Mapping[str, Quadrature] | None = None,
    threads: int | None = None,
) -> Exposure:
    """Project, attenuate and absorb: everything of a scene's image but the draws.

    Many frames of one scene share it, and so may many exposures one scene.

    Parameters
    ----------
    scene : Scene
    backend : Backend or {"auto", "cpu", "cuda"}
    quadratures : mapping of str to Quadrature, optional
        For a scene of few energies: fits that many scenes share (``shared_quadratures``), instead of one of its own.
        All bins are used where the one of its beam is off by more than 0.1 % here, or where there is none.
    threads : int, optional
        As for `simulate`.

    Raises
    ------
    XsimError
        The scene cannot be simulated; one line.

    """
    backend = get_backend(backend, threads) if isinstance(backend, str) else backend
    mas = exposure_of(scene, scene.view)
    first, other = expose_at(scene, mas, backend, quadratures), scene.second
    if other is None:
        return first
    is_layer = scene.detector.second_layer is not None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="shells of mesh")  # told of the first image
        own_mas = mas if is_layer else exposure_of(other, other.view)
        second = expose_at(other, own_mas, backend, quadratures)
    return replace(first, second=replace(second, channel=SECOND_LAYER if is_layer else SECOND_EXPOSURE))


def expose_at(
    scene: Scene, mas: float, backend: Backend, quadratures: Mapping[str, Quadrature] | None = None
) -> Exposure:
    """One image of a scene at a tube charge [mAs]."""
    spread = light_spread(scene.detector, period_of(scene, mas))
    above, beside = spread.margin
    view = scene.view
    weights = beam_weights(scene, view, mas)
    travel = travel_of(scene.geometry, scene.acquisition, scene.detector)
    used, told = few_energies(scene, weights, quadratures)
    seen = drifted(scene, absorb_view(scene, view, (above, beside), used, backend, travel), backend)
    mean_light = spread_light(seen.signal, spread, backend)
    inner = slice(above, above + view.rows), slice(beside, beside + view.columns)
    readout = readout_of(scene.detector, float(mean_light.max()))
    camera = own_camera(scene, spread, weights, mas, backend)
    exposure = Exposure(
        scene, backend, weights, mas, spread, readout, seen.signal, seen.variance, mean_light,
        seen.sound[inner].astype(np.uint8), backend.xp.ascontiguousarray(seen.labels[inner]),
        derived_numbers(scene, weights, mas, spread, readout, seen, camera) | told, camera,
    )  # fmt: skip
    if float(mean_light.max()) * readout.gain_adu_per_kev < 1.0 and scene.detector.response != "ideal":
        warnings.warn("the frame is black (less than 1 ADU of signal anywhere) raise exposure_s or voltage_kv",
                      stacklevel=4)  # fmt: skip
    return exposure


def period_of(scene: Scene, mas: float) -> float:
    """Time from line to line of a scan, from frame to frame of a panel that is read without a pause [s]."""
    rate = scene.acquisition.line_rate_hz
    return mas / scene.source.current_ma if rate is None else 1.0 / rate


def check_seed(seed: int, frame: int, exposures: int = 1) -> None:
    if not 0 <= seed < 2**64:
        raise SceneError(f"seed {seed} does not fit (64 bits, not negative) use 0 to 2^64 - 1")
    if not 0 <= frame < 2**32 // exposures:
        most = f"2^32 / {exposures}" if exposures > 1 else "2^32"
        raise SceneError(f"frame {frame} does not fit (32 bits, not negative) use 0 to {most} - 1")
