"""What is known of a real image at its station: the open beam, the background's thickness, the bodies' transmission."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import cpu_levels
from inserted import BODIES, PLACE, Case

from xsim import Background, attenuation, expose, insert, scene_from_dict
from xsim.background import Hardening


@pytest.mark.parametrize("material", ["PMMA", "Al", "Fe"])
def test_thickness_follows_from_the_transmission(material: str) -> None:
    """Inverts Beer-Lambert over the whole spectrum, energy by energy, to 0.1 %."""
    empty = Case("cascade").exposures()[0]
    hardening = Hardening.behind(empty.weights, material)
    thickness = np.array([0.05, 0.5, 3.0, 12.0])
    light = empty.weights.signal_kev @ np.exp(-np.outer(hardening.attenuation, thickness))
    found = hardening.thickness_mm(light.sum(axis=0) / empty.weights.signal_kev.sum())
    np.testing.assert_allclose(found, thickness, rtol=1e-3)
    share, _ = hardening.of_classes(found)
    np.testing.assert_allclose(share, light / light.sum(axis=0), rtol=1e-3)


def test_the_ways_to_tell_the_open_beam_agree() -> None:
    case = Case(side=96)
    scene = case.scene()
    image = case.exposures()[0].record(1).noisy.astype(np.uint16)
    bare = replace(case, block=None).exposures()[0]
    flat = np.stack([bare.record(2, k).noisy for k in range(8)])
    dark = np.full((2, 96, 96), float(case.exposures()[0].readout.offset_adu))
    middle = float(bare.record(2).expected[48, 48])
    part = image.copy()
    part[:20] = flat[0, :20]  # open beam above the block
    ways = {
        "exposure": (image, Background("PMMA")),
        "flat": (image, Background("PMMA", flat=flat, dark=dark)),
        "adu": (image, Background("PMMA", open_beam_adu=middle)),
        "percent": (part, Background("PMMA", open_beam_percent=90.0)),
    }
    found = {name: insert(pixels, scene, case.tables, how) for name, (pixels, how) in ways.items()}
    for name, one in found.items():
        low, high = one.metadata["background_thickness_mm"]
        assert high == pytest.approx(30.0, rel=0.05), name
        if name != "percent":
            assert low == pytest.approx(30.0, rel=0.05), name
        assert np.abs(one.transmission - found["exposure"].transmission).max() < 0.005, name


def test_a_body_on_top_displaces_nothing() -> None:
    """By Beer-Lambert of one energy behind a body much wider than the spread."""
    case = Case(side=64, body="glass 3 mm")
    mapping = case.scene().model_dump(exclude_none=True)
    mapping["source"] = {"energy_kev": 60.0, "current_ma": 1.0}
    scene = scene_from_dict(mapping)
    image = expose(scene, "cpu").record(1).noisy.astype(np.uint16)
    plate = [{"shape": "box", "size_mm": [20.0, 20.0, 2.0], "material": "glass", "position_mm": PLACE}]
    inside, on_top = (insert(image, scene, plate, Background("PMMA", is_replaced=way)) for way in (True, False))
    glass, pmma = (float(attenuation(name, 60.0)) for name in ("glass", "PMMA"))
    assert inside.transmission[32, 32] == pytest.approx(np.exp(-2.0 * (glass - pmma)), rel=1e-3)
    assert on_top.transmission[32, 32] == pytest.approx(np.exp(-2.0 * glass), rel=1e-3)


@pytest.mark.parametrize("at", [(2, 60), (40, 71)], ids=["above", "right"])
def test_a_body_over_the_edge_of_the_image(at: tuple[int, int]) -> None:
    """Half of it is seen; the transmission of the scene with it, to 0.5 % of the open beam."""
    case = Case(body="glass 3 mm", side=72)
    image = case.exposures()[0].record(1).noisy.astype(np.uint16)
    found = insert(image, case.scene(), [{**BODIES["glass 3 mm"], "at": at}], case.background)
    place = [found.instances[0][f"{axis}_mm"] for axis in "xyz"]
    ball = {**BODIES["glass 3 mm"], "position_mm": place, "priority": 1}
    empty, full = expose(case.scene(), "cpu"), expose(case.scene(ball), "cpu")
    assert np.abs(found.transmission - full.mean_light / empty.mean_light).max() < 0.005
    rows, columns = np.nonzero(found.labels)
    assert rows.min() == 0 or columns.max() == 71
    assert found.instances[0]["row"] == pytest.approx(at[0], abs=0.01)


def digest() -> str:
    """Hash of the image, labels and table of an insertion."""
    case = Case("cascade", body="glass 3 mm", side=72)
    image = case.exposures()[0].record(1).noisy.astype(np.uint16)
    table = {**BODIES["glass 3 mm"], "rotation_deg": "random"}
    found = insert(image, case.scene(), [table], case.background, seed=3)
    content = found.image.tobytes() + found.labels.tobytes() + str(found.instances).encode()
    return hashlib.sha256(content).hexdigest()


def test_bytes_do_not_depend_on_the_processor() -> None:
    """On the lowest level of the kernels and of NumPy, with one thread, as here."""
    lowest = {"XSIM_CPU_LEVEL": cpu_levels()[0], "XSIM_THREADS": "1", "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3",
              "OPENBLAS_CORETYPE": "Nehalem", "PYTHONPATH": str(Path(__file__).parent)}  # fmt: skip
    program = "import test_insertion_stations; print(test_insertion_stations.digest())"
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **lowest}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-1] == digest()


STATIONS: dict[str, dict[str, Any]] = {
    "focal spot": {"source": {"focal_spot_mm": 0.6}},
    "heel": {"source": {"heel": True, "anode_direction": [1.0, 0.0, 0.0]}},
    "filters and parallel beam": {"geometry": {"beam": "parallel"}},
    "glare": {"detector": {"scintillator": {"glare_share": 0.03, "glare_mm": 1.0}}},
    "belt": {
        "acquisition": {"belt_speed_m_s": 0.2, "line_rate_hz": 1600.0, "lines": 64, "travel_samples": 5},
        "detector": {"kind": "line_scan", "rows": 1},
    },
}


@pytest.mark.parametrize("name", STATIONS)
def test_transmission_at_other_stations(name: str) -> None:
    """That of the exposures without and with the body, to 0.5 % of the open beam."""
    case = Case(body="glass 3 mm")
    scenes = []
    for scene in (case.scene(), case.scene(*case.tables)):
        mapping = scene.model_dump(exclude_none=True)
        for table, changes in STATIONS[name].items():
            screen = mapping["detector"]["scintillator"] | changes.get("scintillator", {})
            mapping[table] = {**mapping[table], **changes}
            mapping["detector"]["scintillator"] = screen
        mapping["detector"].pop("preset", None)
        scenes.append(scene_from_dict(mapping))
    exposures = [expose(scene, "cpu") for scene in scenes]
    image = exposures[0].record(1).noisy.astype(np.uint16)
    found = insert(image, scenes[0], case.tables, case.background)
    wanted = exposures[1].mean_light / exposures[0].mean_light
    assert wanted.min() < 0.9
    assert np.abs(found.transmission - wanted).max() < 0.005
    assert (found.labels == exposures[1].labels - (exposures[1].labels > 0)).all()


@pytest.mark.parametrize("shift, limit", [(1.0, 0.006), (0.2, 0.03)], ids=["beside the edge", "on the edge"])
def test_mean_at_an_edge_of_the_background(shift: float, limit: float) -> None:
    """A steel sphere 1 mm inside a plate of 20 mm aluminium, and on its edge, where the level is that of both sides."""
    case = Case(side=72)
    station = case.scene().model_dump(exclude_none=True)
    plate = {"shape": "box", "size_mm": [200.0, 200.0, 20.0], "material": "Al", "position_mm": [100.0, 0.0, 0.0]}
    ball = {**BODIES["steel 0.8 mm"], "position_mm": [shift, 0.05, 0.0], "priority": 1}
    empty, full = (
        expose(scene_from_dict({**station, "body": bodies}), "cpu").record(1) for bodies in ([plate], [plate, ball])
    )
    found = insert(empty.noisy.astype(np.uint16), case.scene(), [ball], Background("Al"))
    signal = full.expected - found.black_adu
    assert np.abs((found.clean(empty.expected) - full.expected) / signal).max() < limit
