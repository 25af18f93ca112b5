"""The detection benchmark on restorers whose figures are known: one does nothing, one knows the clean image."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import denoise
from denoise.cases import Case

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
PARAMS = {
    "offset_adu": 100.0, "gain_adu_per_kev": 0.05, "gain_adu_per_quantum": 2.5, "mean_energy_kev": 50.0,
    "read_noise_adu": 3.0, "a_pixel_adu": 2.5, "b_adu2": 0.0,
}  # fmt: skip


def cases():
    """Two doses of three images with 25 spheres of five radii each, darker the larger they are."""
    y, x = np.mgrid[:192, :192]
    made = []
    for seed in range(6):
        labels, clean = np.ones((192, 192), np.uint16), np.full((192, 192), 600.0)
        bodies = [{"label": 1, "class": "box", "group": "block", "target": 0}]
        for k in range(25):
            radius = 1.5 + k % 5
            here = (y - 36 - 30 * (k // 5)) ** 2 + (x - 36 - 30 * (k % 5)) ** 2 <= radius**2
            labels[here], clean[here] = k + 2, 600.0 - 25.0 * radius
            sizes = {f"size_{axis}_mm": 0.4 * radius for axis in "xyz"}
            bodies.append({"label": k + 2, "class": "sphere", "group": "sphere", "target": 1, **sizes})
        noise = np.random.default_rng(seed).normal(0, 40.0 if seed < 3 else 25.0, clean.shape)
        params = {**PARAMS, "quanta_per_pixel": 100.0 if seed < 3 else 400.0, "voltage_kv": 80.0}
        made.append(Case(np.float32(clean + noise), np.float32(clean), labels, params, bodies))
    return made


@pytest.fixture(scope="module")
def detection():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        from restoration import detection
    finally:
        sys.path.remove(str(BENCHMARKS))
    return detection


class Shelf:
    """Corpora of these cases."""

    def cases(self, format, limit=None):
        return SHOWN


SHOWN = cases()


@pytest.mark.parametrize("kind", ["noisy", "clean"])
def test_figures_of_known_restorers(monkeypatch, detection, kind):
    answers = {id(case.noisy): getattr(case, kind) for case in SHOWN}
    monkeypatch.setattr(detection, "SIGMAS_PX", (1.0,))
    monkeypatch.setattr(detection, "SIZES_PX", (5,))
    monkeypatch.setattr(denoise, "load", lambda path: lambda noisy, a, b: answers[id(noisy)])
    found = detection.run(Shelf(), 0, False, Path("known.safetensors"))
    settings = {"80 kV, 100 quanta", "80 kV, 400 quanta"}
    assert set(found["clean_auc"]) == set(found["true_positive_gain"]) == settings
    assert min(found["clean_auc"].values()) > 0.99
    assert len(found["worst_radius_gain"]) == 5
    if kind == "noisy":
        assert set(found["true_positive_gain"].values()) == set(found["worst_radius_gain"].values()) == {0.0}
        assert min(found["smallest_radius_ratio"].values()) >= 1.0
    else:
        assert min(found["true_positive_gain"].values()) > 0.1
        assert min(found["worst_radius_gain"].values()) >= 0.0
        ratios = found["smallest_radius_ratio"].values()
        assert min(ratios) < 0.9 and max(ratios) <= 1.0
