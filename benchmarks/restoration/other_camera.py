"""Another camera's frames, restored by a model of the drawn cameras once `xsim characterize` has supplied a and b.

Cameras that ship, of other makes than any of the corpus: pitch, screen, electronics, fixed pattern, lag of their own.
Each is characterized by darks and three levels of its open beam, and sees a part at two doses, raw and
flat-field-corrected. The clean image, of an ideal camera, is what restored frames are compared with; for their bias the
mean of that camera's frames, whose own correction is off by as much as its dark and gain frames are.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import denoise
import xsim
from denoise.noise_facts import NoiseLaw, camera_noise, column_noise, flat_factors, noise_of_corrected, smoothed
from restoration import Corpora
from xsim.characterize import characterize, write_characteristics

CAMERAS = ("dexela-2923-like", "c7942-like", "xrd1621-like", "generic-linescan-gos-400um")
STATES = ("raw", "flat_field_corrected")
QUANTA = (100.0, 1000.0)
FLATS = (0.1, 0.25, 0.5)  # of full scale
FRAMES, FLAT_FRAMES, SIDE = 4, 8, 256
FORMATS = ["wide", "corrected"]
STEPS, QUICK_STEPS = 1200, 60
RECIPE = {"learning_rate": 4e-3, "crop": 64, "batch": 16}


@dataclass(frozen=True)
class Station:
    """A camera that ships, cut to a side, behind the tube that it is typically used with."""

    camera: str
    side: int = SIDE

    def scene(self, share: float, *bodies: Mapping[str, Any], state: str = "raw") -> xsim.Scene:
        """At a share of the typical tube current: the time, and so the dark current, stays as it is."""
        typical = xsim.read_camera_file(self.camera)[1]["typical"]
        source, run = {**typical["source"]}, {**typical["acquisition"], "state": state}
        source["current_ma"] = max(share * source["current_ma"], 1e-12)
        camera = {"preset": self.camera, "columns": self.side, "correction": {"pedestal_adu": 100.0}}
        if "lines" in run:
            run["lines"] = self.side
        else:
            camera["rows"] = self.side
        run |= {"subpixels": 2, "subpixel_mode": "adaptive"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pixels longer than wide
            return xsim.scene_from_dict({
                "source": source, "geometry": typical["geometry"], "acquisition": run, "detector": camera,
                "body": list(bodies),
            })  # fmt: skip

    def exposure(self, share: float, *bodies: Mapping[str, Any], state: str = "raw") -> xsim.Exposure:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of black frames, which darks are
            return xsim.expose(self.scene(share, *bodies, state=state), "cpu")

    def part(self) -> list[dict[str, Any]]:
        """A block with spheres and a bar, as large as the field of view allows."""
        scene = self.scene(1.0)
        view_mm = self.side * scene.detector.pitch_mm * scene.geometry.sod_mm / scene.geometry.sdd_mm
        unit = view_mm / 10.0
        places = ((0.15, -2.0, -1.5), (0.3, 0.0, -1.5), (0.6, 2.0, -1.0), (0.2, -1.5, 1.2), (0.4, 0.8, 1.5))
        spheres = [
            {"shape": "sphere", "radius_mm": radius * unit, "material": "Al", "priority": 1,
             "position_mm": [x * unit, y * unit, 0.0]}
            for radius, x, y in places
        ]  # fmt: skip
        block = {"shape": "box", "size_mm": [7 * unit, 6 * unit, 15.0], "material": "PMMA", "rotation_deg": [0, 0, 15]}
        bar = {"shape": "box", "size_mm": [0.5 * unit, 20 * unit, 2.0], "material": "Al", "rotation_deg": [0, 0, 40],
               "position_mm": [3.5 * unit, 0, -20.0]}  # fmt: skip
        return [block, bar, *spheres]


@dataclass(frozen=True)
class Characterized:
    """What darks and flats of a camera told."""

    station: Station
    darks: np.ndarray
    flats: list[np.ndarray]
    file: Path
    quanta: float  # in an open-beam pixel at the typical current

    @classmethod
    def of(cls, station: Station, folder: Path) -> Characterized:
        """Frames simulated as a user takes them, and the file of ``xsim characterize``."""
        full = station.exposure(1.0)
        signal = float((full.record(0).expected - full.derived["offset_adu"]).mean())
        room = full.derived["saturation_adu"] - full.derived["offset_adu"]
        darks = recorded(station.exposure(0.0), FLAT_FRAMES, 90)
        flats = [recorded(station.exposure(grey * room / signal), FLAT_FRAMES, 91 + k) for k, grey in enumerate(FLATS)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = characterize(darks, flats, pitch_mm=full.derived["pitch_mm"])
        file = folder / f"{station.camera}.toml"
        write_characteristics(file, found)
        return cls(station, darks, flats, file, float(full.derived["quanta_per_pixel"]))

    def noise(self, state: str, pedestal_adu: float) -> NoiseLaw:
        """a and b of frames in a state; of a line camera by column."""
        if state == "raw":
            return camera_noise(self.file)
        if xsim.read_camera_file(self.station.camera)[0]["kind"] != "line_scan":
            return camera_noise(self.file, state, dark=self.darks, flat=self.flats[-1], pedestal_adu=pedestal_adu)
        dark = self.darks.mean(axis=(0, 1))
        factors = flat_factors(self.flats[-1], dark, per_column=True)
        law = column_noise(self.darks, self.flats)
        return smoothed(noise_of_corrected(*law, factors=factors, dark_adu=dark, pedestal_adu=pedestal_adu))


def recorded(exposure: xsim.Exposure, count: int, seed: int) -> np.ndarray:
    return np.stack([exposure.record(seed, k).noisy for k in range(count)])


def settings_of(
    restorer: denoise.Restorer, camera: Characterized, state: str, quanta: float, seed: int, frames: int
) -> dict[str, float]:
    """Figures of a camera, a state and a dose: gain over noisy frames, and bias."""
    station = camera.station
    exposure = station.exposure(quanta / camera.quanta, *station.part(), state=state)
    images = [exposure.record(100 + seed, k) for k in range(frames)]
    clean, mean, black = images[0].clean, images[0].expected, images[0].metadata["offset_adu"]
    law = camera.noise(state, black)
    valid = np.all([image.valid for image in images], axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of conditions outside the trained ones: that is what this is about
        restored = [restorer(image.noisy, *law, state=state) for image in images]
    noisy, part = [image.noisy for image in images], valid & (images[0].labels > 0)
    return {
        "gain_over_noisy_db": squares_db(noisy, clean, valid) - squares_db(restored, clean, valid),
        "gain_to_camera_mean_db": squares_db(noisy, mean, valid) - squares_db(restored, mean, valid),
        "bias_percent": abs(bias_percent(restored, mean, valid, black)),
        # against the same frames: their own noise in the part's mean would hide it
        "bias_in_part_percent": abs(bias_percent(restored, np.mean(noisy, axis=0), part, black)),
    }


def squares_db(images: list[np.ndarray], truth: np.ndarray, valid: np.ndarray) -> float:
    return float(10.0 * np.log10(np.mean([(image - truth)[valid].astype(np.float64) ** 2 for image in images])))


def bias_percent(images: list[np.ndarray], truth: np.ndarray, valid: np.ndarray, black: float) -> float:
    signal = float((truth[valid] - black).mean(dtype=np.float64))
    return 100.0 * float(np.mean([(image - truth)[valid].mean(dtype=np.float64) for image in images])) / signal


def model(corpora: Corpora, seed: int, quick: bool) -> Path:
    """One model of both raw and corrected frames of the drawn cameras."""
    steps = QUICK_STEPS if quick else STEPS
    target = corpora.work / f"other-camera-{seed}-{steps}.safetensors"
    if not target.exists():
        denoise.train(corpora.train, "noise_cnn", target, formats=FORMATS, steps=steps, seed=seed, **RECIPE)
    return target


def run(corpora: Corpora, seed: int, quick: bool) -> dict[str, Any]:
    return figures(denoise.load(model(corpora, seed, quick)), seed, quick)


def figures(restorer: denoise.Restorer, seed: int, quick: bool) -> dict[str, Any]:
    """By camera, state and dose."""
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in CAMERAS[:1] if quick else CAMERAS:
            camera = Characterized.of(Station(name, 128 if quick else SIDE), Path(folder))
            for state in STATES:
                for quanta in QUANTA:
                    setting = f"{name}, {state}, {quanta:g} quanta"
                    for figure, value in settings_of(restorer, camera, state, quanta, seed, FRAMES).items():
                        found.setdefault(figure, {})[setting] = value
    return found
