"""Screens with depth classes: images against the theory of the cascade, and the single model inside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from reference import spread as spread_reference
from station import solid, station
from test_noise import FAR, TUBE, flat, frames

from xsim import Scene, material
from xsim.backend import Backend
from xsim.detector import Detector
from xsim.light_spread import light_spread
from xsim.radiograph import expose
from xsim.scintillator import draw_light, photon_light, spread_light
from xsim.screen_theory import screen_theory
from xsim.slab import Slab, deposit
from xsim.spectrum import tube_spectrum

CASCADE = {"model": "cascade", "light_spread_h_mm2": 0.5, "light_loss": 0.4}
GLARE = {"glare_share": 0.02, "glare_mm": 1.0}
SILENT = {"read_noise_adu": 0.0, "offset_adu": 0.0}


def panel(pitch_mm: float = 0.2, **screen: Any) -> Detector:
    return Detector(preset="generic-gos-200um", pitch_mm=pitch_mm, scintillator={**CASCADE, **screen})


def edge_scene(pitch_mm: float, **screen: Any) -> Scene:
    """An opaque plate over half of the panel, its edge 3 degrees off the columns."""
    turn = np.radians(3.0)
    plate = {"shape": "box", "size_mm": [80.0, 160.0, 4.0], "material": "Pb", "rotation_deg": [0.0, 0.0, 3.0]}
    return station(
        {**plate, "position_mm": [40 * np.cos(turn), 40 * np.sin(turn), 0.0]}, shape=(120, 200), pitch_mm=pitch_mm,
        scintillator={"model": "cascade", "light_spread_h_mm2": 0.0, **screen}, **FAR,
        acquisition={"quanta_per_pixel": 1e4, "subpixels": 8},
    )  # fmt: skip


def slanted_edge_mtf(light: np.ndarray, pitch_mm: float, frequency: np.ndarray) -> np.ndarray:
    """From pixels by their distance to the edge, a tenth of a pixel a bin; [frequency]."""
    fine, (rows, columns) = 10, light.shape
    y, x = np.meshgrid(np.arange(rows) - (rows - 1) / 2, np.arange(columns) - (columns - 1) / 2, indexing="ij")
    distance = (x * np.cos(np.radians(3)) + y * np.sin(np.radians(3))) * fine
    reach = 80 * fine
    chosen = np.abs(distance) < reach
    place = np.floor(distance[chosen]).astype(int) + reach
    edge = np.bincount(place, light[chosen], 2 * reach) / np.bincount(place, minlength=2 * reach)
    line = -np.diff(edge)
    at = (np.arange(len(line)) - len(line) / 2) * pitch_mm / fine
    cycles = np.exp(-2j * np.pi * np.outer(frequency, at)) @ line
    return np.asarray(np.abs(cycles) / line.sum() / np.sinc(frequency * pitch_mm / fine) ** 2)


@pytest.mark.parametrize(
    "screen",
    [
        {"light_spread_sigma_mm": 0.2, "spread_depth": 0.5, "light_loss": 0.5},
        {"light_spread_sigma_mm": 0.2, "spread_depth": 0.5, "irradiated": "back", **GLARE},
        {"light_spread_h_mm2": 0.15, "light_loss": 0.3},
        {"light_mtf": ((0.5, 0.87), (1.0, 0.57), (2.0, 0.11)), "spread_depth": 0.3, "depth_classes": 6},
    ],
    ids=["gaussian", "back, glare", "narrow", "measured"],
)
def test_a_slanted_edge_shows_the_light_times_the_aperture(backend: Backend, screen: dict[str, Any]) -> None:
    """Against sum m1 T(f) sinc(f a) at every frequency to Nyquist, within 0.01, narrow light as well as wide."""
    scene = edge_scene(0.1, **screen)
    light = backend.to_numpy(expose(scene, backend).mean_light).astype(np.float64)
    theory = screen_theory(scene.detector, scene.source.photons(), frequency_per_mm=np.linspace(0, 5, 26))
    measured = slanted_edge_mtf(light, 0.1, theory.frequency_per_mm)
    assert np.abs(measured - theory.mtf).max() < 0.01
    assert theory.mtf[10] < 0.8


@pytest.mark.parametrize("classes", [4, pytest.param(7, marks=pytest.mark.slow)])
def test_noise_power_is_that_of_the_cascade_in_every_band(backend: Backend, classes: int) -> None:
    """Eight radial bands to Nyquist within 2 %, the first known to 0.5 %: sum m2 H(f)^2, H = T(f).

    A Gaussian spread, so that aliases end soon. MTF^2 alone is further off: light from near the sensor keeps its noise.
    """
    size, count = 256, 200
    screen = {"model": "cascade", "light_spread_h_mm2": 0.0, "light_spread_sigma_mm": 0.25, "light_loss": 0.5,
              "depth_classes": classes, **GLARE}  # fmt: skip
    exposure = flat(backend, 0.5, (size, size), scintillator=screen, sensor=SILENT)
    detector, gain = exposure.scene.detector, exposure.derived["gain_adu_per_kev"]
    measured = np.zeros((size, size))
    window = np.outer(np.hanning(size), np.hanning(size))
    for noise in frames(exposure, count):
        measured += np.abs(np.fft.fft2(window * noise)) ** 2 / (window**2).sum() / count
    moments = exposure.weights.signal_kev.sum(axis=1), exposure.weights.variance_kev2.sum(axis=1)
    frequency = np.abs(np.fft.fftfreq(size, detector.pitch_mm))
    distances = detector.scintillator.sensor_distance((np.arange(classes) + 0.5) / classes)
    spreads = [
        gaussian_transfer(detector, float(w), frequency) for w in detector.scintillator.spread_width_at(distances)
    ]
    theory = gain**2 * np.tensordot(moments[1], np.square(spreads), axes=1) + 1 / 12
    light = np.tensordot(moments[0], spreads, axes=1) / moments[0].sum()
    band = (np.hypot(frequency[:, None], frequency) / frequency.max() * 8).astype(int)
    ratio, lubberts = [], []
    for k in range(8):
        chosen = (band == k) & (np.hypot(frequency[:, None], frequency) > 3 / (size * detector.pitch_mm))
        ratio.append(measured[chosen].sum() / theory[chosen].sum())
        lubberts.append((theory[0, 0] * light[chosen] ** 2).sum() / theory[chosen].sum())
    assert np.abs(np.array(ratio) - 1).max() < 0.02, ratio
    assert min(lubberts) < 0.9


def gaussian_transfer(detector: Detector, width: float, frequency: np.ndarray) -> np.ndarray:
    """T(f) of a Gaussian, and a glare that is added up by pixels, [frequency, frequency]."""
    screen, pitch = detector.scintillator, detector.pitch_mm
    light = np.exp(-2 * (np.pi * width * screen.light_spread_sigma_mm * frequency) ** 2)
    alias = frequency[:, None] + np.arange(-60, 61) / pitch
    glare = (np.exp(-2 * (np.pi * screen.glare_mm * alias) ** 2) * np.sinc(alias * pitch)).sum(axis=1)
    return (1 - screen.glare_share) * np.outer(light, light) + screen.glare_share * np.outer(glare, glare)


@pytest.mark.parametrize(
    ("substance", "areal", "energy_kev", "back"),
    [("Gd2O2S:Tb", 134.55, 60.0, False), ("CsI:Tl", 225.5, 50.0, True)],
)
def test_dqe_at_zero_is_absorption_times_swank(
    backend: Backend, substance: str, areal: float, energy_kev: float, back: bool
) -> None:
    """Mean^2 / variance a photon that arrives, from 2e6 pixels before the spread: A_Q A_S of fresh histories, 0.5 %."""
    screen = {"model": "cascade", "material": substance, "areal_density_mg_cm2": areal, "light_loss": 0.4,
              "irradiated": "back" if back else "front"}  # fmt: skip
    source = {"energy_kev": energy_kev}
    scene = station(
        shape=(512, 512), source=source, acquisition={"quanta_per_pixel": 400.0}, scintillator=screen, **FAR
    )
    exposure = expose(scene, backend)
    light = [
        sum(backend.to_numpy(draw_light(exposure.signal, exposure.variance, 3, frame, backend)).astype(np.float64))
        for frame in range(8)
    ]
    bins = 64
    left = deposit(Slab.of(material.resolve(substance), areal, energy_kev), energy_kev, bins, 6000, seed=11)
    depth = float(material.mass_attenuation(material.resolve(substance), energy_kev)) * areal / 1000
    share = -np.diff(np.exp(-depth * np.linspace(0, 1, bins + 1)))
    gain = 1 - 0.4 * ((np.arange(bins) + 0.5) / bins if back else 1 - (np.arange(bins) + 0.5) / bins)
    absorption = share @ (left > 0).mean(axis=1)
    first, second = share @ (gain * left.mean(axis=1)), share @ (gain**2 * (left**2).mean(axis=1))
    arriving = 400.0 / absorption
    measured = np.mean(light) ** 2 / np.var(light) / arriving
    assert measured == pytest.approx(absorption * first**2 / (absorption * second), rel=0.005)
    theory = screen_theory(scene.detector, scene.source.photons(), 1e8)
    assert theory.quantum_absorption == pytest.approx(absorption, rel=0.002)
    assert theory.dqe[0] == pytest.approx(theory.quantum_absorption * theory.swank_factor, rel=1e-3)


def test_a_thick_screen_is_blurrier_and_more_efficient() -> None:
    """GOS of 33.91 and 134.55 mg/cm2 at 70 kV W, 2.5 mm Al: spread in proportion to the thickness."""
    spectrum = tube_spectrum(70.0, filters=[("Al", 2.5)])
    thin, thick = (
        screen_theory(panel(areal_density_mg_cm2=areal, light_spread_h_mm2=(areal / 134.55) ** 2), spectrum)
        for areal in (33.91, 134.55)
    )
    assert (thick.mtf[1:] < thin.mtf[1:]).all()
    assert thick.quantum_absorption > 1.4 * thin.quantum_absorption
    assert thick.dqe[0] > 1.2 * thin.dqe[0]
    assert thick.dqe[-1] < thin.dqe[-1]


def test_light_that_starts_near_the_sensor_is_sharper_and_more() -> None:
    """Back irradiation puts most of it there; without X-rays lost on the way nothing else changes."""
    spectrum = tube_spectrum(100.0, filters=[("Al", 2.0)])
    front, back = (screen_theory(panel(irradiated=side), spectrum) for side in ("front", "back"))
    assert (back.mtf[1:] > front.mtf[1:]).all()
    assert back.mean_kev > front.mean_kev
    assert back.quantum_absorption == front.quantum_absorption


@pytest.mark.parametrize("classes", [1, 3, 8])
def test_classes_share_out_what_a_photon_gives(classes: int) -> None:
    """However many: the same photons, light and squares in all, where light is collected alike from all depths."""
    energy = np.array([30.0, 51.0, 90.0])
    detector = panel(light_loss=0.0)
    one, many = photon_light(detector, energy, 16), photon_light(detector, energy, classes)
    for moment in ("first", "second"):
        total = [(found.share * getattr(found, moment)).sum(axis=0) for found in (one, many)]
        assert np.allclose(*total, rtol=1e-12)
    assert np.allclose(one.depositing.sum(axis=0), many.depositing.sum(axis=0), rtol=1e-12)


def test_one_class_that_leaves_all_is_the_single_model(backend: Backend) -> None:
    """Bit for bit, of a ball before the panel."""
    found = []
    for screen in ({}, {"model": "cascade", "depth_classes": 1, "deposition": "complete"}):
        scene = station(solid("sphere", 2.5), shape=(48, 70), source=TUBE, scintillator=screen)
        image = expose(scene, backend).record(4, 2)
        found.append((image.noisy, image.clean, image.expected))
    for one, other in zip(*found, strict=True):
        assert (one == other).all()


@pytest.mark.parametrize(
    "screen", [{}, GLARE, {"depth_classes": 8, "spread_depth": 0.0}], ids=["plain", "glare", "eight"]
)
def test_classes_spread_as_the_sum_over_their_kernels(backend: Backend, screen: dict[str, Any]) -> None:
    """Folded on the machine, summed plainly in float64 here; 2e-6."""
    spread = light_spread(panel(**screen))
    above, beside = spread.margin
    generator = np.random.default_rng(3)
    light = generator.uniform(0, 1e6, (len(spread.kernels), 21 + 2 * above, 75 + 2 * beside)).astype(np.float32)
    got = backend.to_numpy(spread_light(backend.xp.asarray(light), spread, backend))
    wanted = sum(spread_reference(plane, kernel) for plane, kernel in zip(light, spread.whole, strict=True))
    assert got.shape == (21, 75)
    assert np.abs(got / wanted - 1).max() < 2e-6
    assert np.allclose(spread.whole.sum(axis=(1, 2)), 1, atol=1e-6)


def test_wide_kernels_of_classes_spread_without_folding(backend: Backend) -> None:
    """A Gaussian beyond the reach of the folded kernel."""
    spread = light_spread(panel(0.02, light_spread_h_mm2=0.0, light_spread_sigma_mm=0.5, depth_classes=2))
    assert spread.radii.max() > 128
    size = 2 * spread.margin[0] + 3
    light = np.random.default_rng(3).uniform(0, 1e3, (2, size, size)).astype(np.float32)
    got = backend.to_numpy(spread_light(backend.xp.asarray(light), spread, backend))
    wanted = [
        sum((plane[r : r + size - 2, c : c + size - 2] * k).sum() for plane, k in zip(light, spread.whole, strict=True))
        for r in range(3) for c in range(3)
    ]  # fmt: skip
    assert np.abs(got.ravel() / wanted - 1).max() < 5e-5  # 1e5 products added in float32
