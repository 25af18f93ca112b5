"""Published acceptance figures, measured by the evaluation that was published with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_focal_spot import edge

from xsim.backend import Backend
from xsim.radiograph import expose

EDGE_RAD = np.deg2rad(3.0)


def line_profile(self: Any, x0: float, y0: float, x1: float, y1: float, width: float = 1, resolution: float = 1) -> Any:
    """As the toolbox's: grey values by the area a pixel shares with a bin; here by 24 x 24 parts, there by polygons.

    The toolbox's own takes a quarter of an hour.
    """
    length = np.hypot(x1 - x0, y1 - y0)
    bins = int(np.ceil(length / resolution))
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    row, column = np.mgrid[int(y0) - 130 : int(y0) + 131, int(min(x0, x1)) - 20 : int(max(x0, x1)) + 21]
    grey = self.px.astype(np.float64)[row, column]
    total, count = np.zeros(bins), np.zeros(bins)
    parts = (np.arange(24) + 0.5) / 24
    for right in parts:
        for down in parts:
            x, y = column + right - x0, row + down - y0
            along, across = x * ux + y * uy, y * ux - x * uy
            inside = (np.abs(across) < width / 2) & (along >= 0) & (along < bins * resolution)
            place = (along[inside] / resolution).astype(int)
            count += np.bincount(place, minlength=bins)
            total += np.bincount(place, grey[inside], minlength=bins)
    return total / count, (np.arange(bins) + 0.5) * resolution, resolution


def sharp_edge(image_class: Any, side: int = 1001, parts: int = 16) -> tuple[Any, Any]:
    """Flat field and sharp edge image, by parts of pixels; the toolbox's own takes twenty minutes."""
    place = (np.arange(side * parts) + 0.5) / parts - side / 2
    image = np.empty((side, side), np.float32)
    for row in range(side):
        y = place[row * parts : (row + 1) * parts, None]
        across = place * np.cos(EDGE_RAD) + y * np.sin(EDGE_RAD)
        below = y * np.cos(EDGE_RAD) - place * np.sin(EDGE_RAD)
        covered = (across < 0) & (below > 0)
        image[row] = 1 - covered.reshape(parts, side, parts).mean(axis=(0, 2))
    found = []
    for pixels in (np.ones_like(image), image):
        one = image_class()
        one.px, one.width, one.height = pixels, side, side
        found.append(one)
    return found[0], found[1]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("default")  # the toolbox's own
def test_ctsimu_we_1_by_its_own_evaluation(backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2D-WE-1 (BAM): line-spread sigma 9.579 and 24.552 um, MTF20 29.852 and 11.770 per mm, all within 1 %.

    The toolbox's own smoothing, slope, fit and spectrum (pip install ctsimu), in its own geometry, but one energy: the
    tungsten of the edge is opaque in either case.
    """
    pytest.importorskip("ctsimu")
    from ctsimu.evaluation.test2D_WE_1 import Test2D_WE_1
    from ctsimu.geometry import Geometry
    from ctsimu.image import Image
    from ctsimu.processing.pipeline import Pipeline

    monkeypatch.setattr(Image, "lineProfile", line_profile)
    monkeypatch.setattr(Geometry, "create_detector_flat_field_sphere", lambda *_: sharp_edge(Image))
    evaluation = Test2D_WE_1()
    evaluation.setResultFileDirectory(str(tmp_path))
    for name in ("spot1", "spot2"):
        evaluation.addSubtest(name)
    evaluation.pipe = Pipeline()
    evaluation.prepare()
    for k, (sigma_um, wanted_um, mtf20) in enumerate([(8.0, 9.579, 29.852), (24.0, 24.552, 11.770)]):
        spot = {"focal_spot_sigma_mm": sigma_um / 1000, "focal_spot_samples": 63}
        scene = edge(tmp_path, spot, side=1001, acquisition={"exposure_s": 1.0, "subpixels": 4})
        signal = backend.to_numpy(expose(scene, backend).signal)
        image = Image()
        image.px, image.width, image.height = signal * np.float32(60000 / signal.max()), 1001, 1001
        if len(evaluation.results) <= k:
            evaluation.prepareRun(k)
        evaluation.run(image)
        found = evaluation.results[k]
        assert 1000 * found.measuredGaussianSigmaMM == pytest.approx(wanted_um, rel=0.01)
        assert found.MTF20freq_measured / found.pixelSize == pytest.approx(mtf20, rel=0.01)
