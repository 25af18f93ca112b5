"""From a scene to the radiograph its camera records: noisy, clean, noise, expected, valid, labels."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xsim.absorption import BeamWeights, beam_weights
from xsim.backend import Backend, get_backend
from xsim.energies import few_energies
from xsim.errors import SceneError
from xsim.light_spread import LightSpread, light_spread
from xsim.mesh import MeshBody
from xsim.quadrature import Quadrature
from xsim.resources import VERSION
from xsim.sampling import Absorbed, absorb_scene, describe_rays, exposure_of
from xsim.scene import Scene
from xsim.scintillator import count_photons, draw_light, spread_light
from xsim.sensor import Readout, readout_of, record
from xsim.volume import VolumeBody

__all__ = ["Exposure", "Radiograph", "expose", "simulate"]


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

    """

    noisy: np.ndarray
    clean: np.ndarray
    noise: np.ndarray
    expected: np.ndarray
    valid: np.ndarray
    labels: np.ndarray
    metadata: dict[str, Any]


@dataclass(frozen=True)
class Exposure:
    """All of an image that is not random, in the memory of the backend. Frames are recorded from it.

    Attributes
    ----------
    kernel : float64 or float32 [2 n + 1, 2 m + 1]
        Point response of the mean light of the frame: that of each depth class by its share of the light.
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
    kernel: np.ndarray
    spread: LightSpread
    readout: Readout
    signal: Any
    variance: Any
    mean_light: Any
    valid: Any
    labels: Any
    derived: dict[str, Any]

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
        return Radiograph(**found, metadata=self.metadata(seed, frame, found["noisy"], found["valid"]))

    def images(self, seed: int = 0, frame: int = 0) -> dict[str, Any]:
        """The images of one frame, by the names of ``Radiograph``, left in the memory of the backend.

        NumPy or CuPy arrays: another library on the same machine takes them by DLPack, without a copy
        (``torch.from_dlpack(images["noisy"])``).
        """
        check_seed(seed, frame)
        machine = self.backend
        light = draw_light(self.signal, self.variance, seed, frame, machine)
        spread = spread_light(light, self.spread, machine)
        counted = self.scene.detector.scintillator.light_photons_per_kev
        if counted is not None and self.scene.detector.response != "ideal":
            spread = count_photons(spread, counted, seed, frame, machine)
        valid = self.valid.copy()
        found = record(spread, self.mean_light, valid, self.readout, seed, frame, machine)
        return {**found, "valid": valid.astype(bool), "labels": self.labels}

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
            "saturated_share": float((noisy >= self.readout.saturation_adu).mean()),
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
    return expose(scene, get_backend(backend, threads), quadratures).record(seed, frame)


def expose(
    scene: Scene, backend: Backend | str = "auto", quadratures: Mapping[str, Quadrature] | None = None
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

    Raises
    ------
    XsimError
        The scene cannot be simulated; one line.

    """
    backend = get_backend(backend) if isinstance(backend, str) else backend
    spread = light_spread(scene.detector)
    above, beside = spread.margin
    view = scene.view
    mas = exposure_of(scene, view)
    weights = beam_weights(scene, view, mas)
    used, told = few_energies(scene, weights, quadratures)
    seen = absorb_scene(scene, view.with_margin(above, beside), used, backend)
    mean_light = spread_light(seen.signal, spread, backend)
    inner = slice(above, above + view.rows), slice(beside, beside + view.columns)
    readout = readout_of(scene.detector, float(mean_light.max()))
    exposure = Exposure(
        scene, backend, weights, mas, spread.mean_kernel(class_means(seen.signal)), spread, readout, seen.signal,
        seen.variance, mean_light,
        seen.sound[inner].astype(np.uint8), backend.xp.ascontiguousarray(seen.labels[inner]),
        derived_numbers(scene, weights, mas, spread, readout, seen) | told,
    )  # fmt: skip
    if float(mean_light.max()) * readout.gain_adu_per_kev < 1.0 and scene.detector.response != "ideal":
        warnings.warn("the frame is black (less than 1 ADU of signal anywhere) raise exposure_s or voltage_kv",
                      stacklevel=3)  # fmt: skip
    return exposure


def derived_numbers(
    scene: Scene,
    weights: BeamWeights,
    mas: float,
    spread: LightSpread,
    readout: Readout,
    seen: Absorbed,
) -> dict[str, Any]:
    """Exposure, gain and noise of a frame.

    The pixelwise variance of the spread light is s sum(h^2) times its mean, s = M2 / M1 the energy a quantum weighs;
    s changes with hardening, so the frame's slope takes the mean M2 over the mean M1. With depth classes M1 and M2 are
    sums over them, and sum(h^2) is their mean by M2. Photons of the light that are counted add their own 1 / n.
    """
    means, seconds = class_means(seen.signal), class_means(seen.variance)
    total, second = float(means.sum()), float(seconds.sum())
    weight_kev = second / total if total > 0 else 0.0
    squares = spread.sum_squares(seconds)
    counted = scene.detector.scintillator.light_photons_per_kev if scene.detector.response != "ideal" else None
    gain, offset = readout.gain_adu_per_kev, readout.offset_adu
    slope = gain * weight_kev * squares + (gain / counted if counted else 0.0)
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
    }


def class_means(image: Any) -> np.ndarray:
    """Mean of each depth class's image, float64 [class]."""
    return np.array([float(plane.mean(dtype=np.float64)) for plane in image.reshape(-1, *image.shape[-2:])])


def describe_bodies(scene: Scene) -> list[dict[str, Any]]:
    """Per body: label, name, kind, material, priority; of a file its hash and part; of a defect its place."""
    described: list[dict[str, Any]] = []
    kinds = {MeshBody: "mesh", VolumeBody: "volume"}
    for index, body in enumerate(scene.bodies):
        defect = scene.defect[index - len(scene.body)] if index >= len(scene.body) else None
        kind = kinds.get(type(body)) or getattr(body, "shape", "")
        several = body.materials()
        entry = {
            "label": index + 1,
            "name": scene.body_name(index),
            "class": "defect" if defect else kind,
            "material": several[0] if len(several) == 1 else list(several),
            "priority": body.priority,
        }
        if isinstance(body, MeshBody):
            mesh = scene.mesh_of(body)
            entry["mesh_sha256"] = mesh.sha256
            entry |= {k: v for k, v in (("part", body.part), ("repaired", mesh.repaired)) if v}
        if isinstance(body, VolumeBody):
            entry["volume_sha256"] = scene.volume_of(body).sha256
        if defect:
            entry |= {"shape": kind, "inside": defect.inside, "position_mm": list(body.position_mm)}
        described.append(entry)
    return described


def check_seed(seed: int, frame: int) -> None:
    if not 0 <= seed < 2**64:
        raise SceneError(f"seed {seed} does not fit (64 bits, not negative) use 0 to 2^64 - 1")
    if not 0 <= frame < 2**32:
        raise SceneError(f"frame {frame} does not fit (32 bits, not negative) use 0 to 2^32 - 1")
