"""Dual energy: a second layer behind the first, or a second exposure; the log ratio and its calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xsim
from xsim import cli, material
from xsim.backend import Backend
from xsim.dual_energy import DualEnergy
from xsim.radiograph import expose
from xsim.scene import Scene

TUBE = {"voltage_kv": 140.0, "filters": [{"material": "Al", "thickness_mm": 2.0}]}
GOS = {"formula": "Gd2O2S", "density_g_cm3": 7.34}
SANDWICH = {
    "scintillator": {"material": GOS, "areal_density_mg_cm2": 40.0},
    "second_layer": {
        "filters": [{"material": "Cu", "thickness_mm": 0.6}],
        "scintillator": {"material": GOS, "areal_density_mg_cm2": 150.0, "light_spread_h_mm2": 1.0},
    },
}  # fmt: skip
SCREEN = {"material": GOS, "areal_density_mg_cm2": 150.0}
BEHIND = {"electrons_per_kev": 1.0, "gain_adu_per_kev": 0.04, "prnu_share": 0.05, "serial": 4}
WAYS = ("sandwich", "two exposures")
THICKNESS_MM = {"PMMA": (10.0, 30.0, 70.0, 120.0), "Al": (3.0, 10.0, 25.0, 50.0), "Fe": (0.5, 1.0, 3.0, 6.0)}


def station_of(way: str, *, size: int = 48, source: dict[str, Any] | None = None, **tables: Any) -> Scene:
    detector = {"preset": "generic-gos-200um", "rows": size, "columns": size}
    scene = {"source": source or TUBE, "geometry": {"sod_mm": 2e4, "sdd_mm": 4e4},
             "acquisition": {"target_gv": 0.8, "state": "flat_field_corrected", "frames": 16}}  # fmt: skip
    if way == "sandwich":
        return xsim.scene_from_dict({**scene, "detector": {**detector, **SANDWICH}, **tables})
    other = {"voltage_kv": 80.0}
    return xsim.scene_from_dict({**scene, "detector": detector, "second_exposure": other, **tables})


def behind(layer: dict[str, Any], preset: str = "generic-gos-200um") -> dict[str, Any]:
    second = {"scintillator": SCREEN, **layer}
    return {"second_exposure": None, "detector": {"preset": preset, "second_layer": second}}


def slab(name: str, thickness_mm: float) -> list[dict[str, Any]]:
    return [{"shape": "box", "size_mm": [50.0, 50.0, thickness_mm], "material": name}]


def attenuations(way: str, name: str, thickness_mm: float, backend: Backend) -> list[float]:
    """-ln of the mean grey value behind a slab over that of the open beam, of the first and the second image."""
    found = []
    for body in ([], slab(name, thickness_mm)):
        image = expose(station_of(way, body=body), backend).record(5)
        assert image.second is not None
        found.append([float(i.noisy.mean(dtype=np.float64)) for i in (image, image.second)])
    return [float(np.log(found[0][k] / found[1][k])) for k in (0, 1)]


@pytest.mark.filterwarnings("ignore:.*out of view")
@pytest.mark.parametrize("way", WAYS)
def test_the_log_ratio_grows_with_the_atomic_number_and_is_calibrated_over_thickness(
    backend: Backend, way: str
) -> None:
    """Corrected noisy images. Raw: monotone in Z at like attenuation; calibrated: within 2 % over thickness, and of the
    value that follows from mu of the material alone, 2 %; heavier materials apart by more than 10 %."""
    calibration = DualEnergy.of(station_of(way))
    ratios, raw = {}, {}
    for name, thicknesses in THICKNESS_MM.items():
        pairs = np.array([attenuations(way, name, t, backend) for t in thicknesses])
        ratios[name] = calibration.log_ratio(pairs[:, 0], pairs[:, 1])
        low, high = sorted(pairs[2], key=lambda x: -x)  # the softer beam is attenuated more
        raw[name] = low / high
        assert ratios[name].max() / ratios[name].min() < 1.02, name
        assert ratios[name].mean() == pytest.approx(calibration.log_ratio_of(name), rel=0.02)
    assert raw["PMMA"] < raw["Al"] < raw["Fe"]
    assert 1.21 * ratios["PMMA"].mean() < 1.1 * ratios["Al"].mean() < ratios["Fe"].mean()


def test_basis_lengths_are_those_that_the_two_beams_crossed(backend: Backend) -> None:
    """PMMA and iron one behind the other: 1e-5 mm; attenuations that no lengths give have none."""
    scene = station_of("sandwich")
    calibration = DualEnergy.of(scene)
    lengths = np.array([[40.0, 2.0], [5.0, 4.0], [0.0, 1.0]])
    seen = [channel.attenuation(lengths)[0] for channel in (calibration.first, calibration.second)]
    assert np.abs(calibration.lengths_mm(*seen).T - lengths).max() < 1e-5
    assert np.isnan(calibration.log_ratio(np.array([1.0]), np.array([50.0])))[0]


def test_the_second_layer_sees_what_the_first_lets_through(backend: Backend) -> None:
    """One energy: quanta of the second layer = N exp(-mu m of screen 1 - mu t of copper) A_Q of screen 2; 1e-6."""
    energy = np.array([90.0])
    mono = station_of("sandwich", source={"energy_kev": 90.0}, acquisition={"exposure_s": 0.1}, body=slab("Al", 5.0))
    first = expose(mono, backend)
    assert first.second is not None and first.second.mas == first.mas
    screen = float(material.mass_attenuation(material.resolve(GOS), energy)[0])
    absorbed = [-np.expm1(-screen * m / 1000) for m in (40.0, 150.0)]
    copper = 0.6 * float(material.attenuation("Cu", energy)[0])
    wanted = np.exp(-screen * 0.040 - copper) * absorbed[1] / absorbed[0]
    light = [float(backend.to_numpy(e.signal).mean(dtype=np.float64)) for e in (first, first.second)]
    assert light[1] / light[0] == pytest.approx(wanted, rel=1e-6)


def test_the_layers_absorb_different_quanta_in_one_beam(backend: Backend) -> None:
    """Noise uncorrelated: |r| < 4 / sqrt(pixels); different fixed patterns; the tube's ripple is common to both."""
    image = expose(station_of("sandwich", size=128, acquisition={"target_gv": 0.5}), backend).record(3)
    assert image.second is not None
    noise = [(i.noisy - i.expected).ravel() for i in (image, image.second)]
    assert abs(np.corrcoef(*noise)[0, 1]) < 4 / 128
    belt = {"belt_speed_m_s": 0.5, "line_rate_hz": 2500.0, "lines": 200, "exposure_s": 4e-4, "tube_ripple_share": 0.05}
    line = {"preset": "generic-line-400um", "columns": 64, **SANDWICH}
    scan = station_of("sandwich", acquisition=belt, detector=line, geometry={"sod_mm": 400.0, "sdd_mm": 800.0})
    image = expose(scan, backend).record(3)
    assert image.second is not None
    rows = [(i.noisy - i.expected).mean(axis=1) for i in (image, image.second)]
    assert np.corrcoef(*rows)[0, 1] > 0.9


@pytest.mark.parametrize("own", [None, BEHIND, {**BEHIND, "serial": 5}])
def test_fixed_patterns_of_the_layers_differ(backend: Backend, own: dict[str, Any] | None) -> None:
    detector = {"preset": "generic-gos-200um", "rows": 64, "columns": 64, **SANDWICH}
    rough = {"sensor": {"prnu_share": 0.05, "serial": 4}}
    if own is not None:
        rough["second_layer"] = {**SANDWICH["second_layer"], "sensor": own}
    scene = station_of("sandwich", detector={**detector, **rough}, acquisition={"target_gv": 0.5})
    exposure = expose(scene, backend)
    assert exposure.camera is not None and exposure.second is not None and exposure.second.camera is not None
    gains = [backend.to_numpy(e.camera.pattern.gain) for e in (exposure, exposure.second) if e.camera]
    assert abs(np.corrcoef(*gains)[0, 1]) < 4 / 64 and gains[1].std() == pytest.approx(0.05, rel=0.1)


def test_a_second_exposure_is_the_image_of_a_station_in_that_beam(backend: Backend) -> None:
    other = {"voltage_kv": 60.0, "filters": [{"material": "Cu", "thickness_mm": 0.1}], "target_gv": 0.4}
    body = slab("Al", 8.0)
    image = expose(station_of("two exposures", second_exposure=other, body=body), backend).record(2)
    source = {"voltage_kv": 60.0, "filters": other["filters"]}
    run = {"target_gv": 0.4, "state": "flat_field_corrected", "frames": 16}
    alone = expose(station_of("two", source=source, second_exposure=None, acquisition=run, body=body), backend).record(
        2
    )
    assert image.second is not None and alone.second is None
    assert np.array_equal(image.second.clean, alone.clean) and not np.array_equal(image.second.noisy, alone.noisy)
    assert image.second.metadata["channel"] == "second_exposure"
    assert image.second.metadata["scene"] == image.metadata["scene"]


def test_simulate_writes_the_second_image_beside_the_first(tmp_path: Path) -> None:
    scene = tmp_path / "scene.toml"
    scene.write_text(
        "[source]\nvoltage_kv = 120\n[detector]\npreset = 'generic-gos-200um'\nrows = 32\ncolumns = 32\n"
        "[second_exposure]\nvoltage_kv = 60\n"
    )
    assert cli.main(["simulate", str(scene), "-o", str(tmp_path / "out")]) == 0
    one, _ = xsim.read_tiff(tmp_path / "out" / "noisy.tif")
    two, data = xsim.read_tiff(tmp_path / "out" / "second" / "noisy.tif")
    assert one.shape == two.shape and not np.array_equal(one, two)
    assert data["channel"] == "second_exposure" and data["scene"]["second_exposure"]["voltage_kv"] == 60


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"second_exposure": {"current_ma": 2.0}}, ["the same beam twice", "voltage_kv"]),
        ({"second_exposure": {"voltage_kv": 60.0, "energy_kev": 50.0}}, ["source needs one of"]),
        (behind({"sensor": {**BEHIND, "tdi_stages": 4}}), ["tdi_stages = 4 needs a line camera"]),
        (behind({"sensor": {**BEHIND, "column_noise_e": 4.0}}, preset="generic-line-400um"), ["column noise"]),
        (behind({"sensor": BEHIND, "scintillator": {**SCREEN, "light_photons_per_kev": 2.0}}), ["counted twice"]),
        ({"detector": {"preset": "generic-gos-200um", **SANDWICH}}, ["both second_layer and second_exposure"]),
        ({"detector": {"preset": "generic-gos-200um", "response": "ideal", **SANDWICH}}, ["no screen to stand behind"]),
    ],
)
def test_what_cannot_be_two_images_is_refused_in_one_line(tables: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(xsim.SceneError) as refused:
        station_of("two exposures", **tables)
    assert "\n" not in str(refused.value)
    for word in words:
        assert word in str(refused.value)


def test_one_image_or_one_energy_gives_no_calibration() -> None:
    with pytest.raises(xsim.SceneError, match="one image only"):
        DualEnergy.of(station_of("two exposures", second_exposure=None))
    with pytest.raises(xsim.SceneError, match="they tell nothing apart"):
        DualEnergy.of(station_of("two exposures", second_exposure={"voltage_kv": 140.0}))
