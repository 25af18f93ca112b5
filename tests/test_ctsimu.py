"""CTSimU 2D conformity: the published qualification of radiographic simulators (BAM, toolbox ``ctsimu``, Apache-2.0).

Scenes and figures are those of the toolbox's scenarios and documentation. Where the toolbox is installed its own
evaluation is asked too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from line_spread import blurred_edge, covered_share, edge_profile, gaussian_width_px, line_spread
from random_meshes import Surface, joined
from station import lengths_of, only, save, station

from xsim import Scene, attenuation, simulate
from xsim.backend import Backend

OPEN_BEAM_GV = 60000.0
STEPS_MM = (41.00, 35.89, 30.79, 25.68, 20.58, 15.47, 10.36, 5.26, 0.15)
STEPS_AL_GV = (6432, 8496, 11217, 14816, 19560, 25837, 34127, 45054, 59512)
STEPS_TI_GV = (34, 86, 219, 555, 1407, 3573, 9073, 22994, 58381)
STEP_PX = 1000 / 11
MU_PER_MM = {"Al": 0.0544638, "Ti": 0.18234}  # the toolbox's, 80 keV


def grey_values(scene: Scene, backend: Backend) -> np.ndarray:
    """Flat-field corrected image of an ideal detector, float64 [row, column] GV."""
    open_beam = scene.model_copy(update={"body": ()})
    image, flat = (
        simulate(s, backend=backend.name.split("-")[0]).expected.astype(np.float64) for s in (scene, open_beam)
    )
    return np.asarray(OPEN_BEAM_GV * image / flat)


def of_attenuation(name: str, energy_kev: float, per_mm: float) -> dict[str, Any]:
    """A material at the density that gives it a linear attenuation: it is geometry that is tested, not mu."""
    return {
        "name": name,
        "density_g_cm3": per_mm / float(attenuation({"name": name, "density_g_cm3": 1.0}, energy_kev)),
    }


def interface_px(row: np.ndarray) -> np.ndarray:
    """Left face of the right-hand piece: a gap above, contact in the middle, overlap below; columns at a row."""
    gap = np.maximum(4 * STEP_PX - row, 0) * 5 / (3 * STEP_PX)
    return np.asarray(500 + gap - np.maximum(row - 7 * STEP_PX, 0) * 10 / (3 * STEP_PX))


def right_piece(folder: Path, px_mm: float) -> dict[str, Any]:
    """Nine prisms that touch, one to a step, in one mesh."""
    prisms = []
    for k, thickness in enumerate(STEPS_MM):
        top, bottom = (9 - k) * STEP_PX, (10 - k) * STEP_PX
        left = interface_px(np.array([top, bottom]))
        outline = np.array([[left[0], top], [909, top], [909, bottom], [left[1], bottom]])
        ring = (outline - 500) * px_mm
        points = np.concatenate([np.column_stack([ring, np.full(4, z)]) for z in (-thickness / 2, thickness / 2)])
        sides = [[a, (a + 1) % 4, (a + 1) % 4 + 4, a + 4] for a in range(4)]
        quads = np.array([[3, 2, 1, 0], [4, 5, 6, 7], *sides])
        prisms.append(Surface(points, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])))
    return save(folder, "right", *joined(prisms))


def step_wedge(folder: Path, right: str) -> Scene:
    """2D-SW-3: two wedges, the right one before the left where they overlap.

    The scenario's steps are shells about the source, equally thick on every ray. Flat ones are seen from 100 m.
    """
    sod, sdd, pitch = 1e5, 1e5 + 100.0, 0.1
    px_mm = pitch * sod / sdd
    left = []
    for k, thickness in enumerate(STEPS_MM):
        size = [410 * px_mm, STEP_PX * px_mm, thickness]
        place = [(295 - 500) * px_mm, ((9.5 - k) * STEP_PX - 500) * px_mm, 0.0]
        left.append({"shape": "box", "size_mm": size, "position_mm": place})
    aluminium = of_attenuation("Al", 80.0, MU_PER_MM["Al"])
    return station(
        *({**box, "material": aluminium} for box in left),
        {**right_piece(folder, px_mm), "material": of_attenuation(right, 80.0, MU_PER_MM[right]), "priority": 1},
        shape=(1000, 1000), pitch_mm=pitch, sod_mm=sod, sdd_mm=sdd, source={"energy_kev": 80.0}, response="ideal",
        directory=folder,
    )  # fmt: skip


@pytest.mark.parametrize("right", ["Al", "Ti"])
def test_sw_3_has_the_steps_of_the_table_and_no_seam(backend: Backend, tmp_path: Path, right: str) -> None:
    """Steps within 1 GV, the piece that each ray must meet, and no step of 24 GV where the pieces touch or overlap."""
    image = grey_values(step_wedge(tmp_path, right), backend)
    row, column = np.meshgrid(np.arange(1000) + 0.5, np.arange(1000) + 0.5, indexing="ij")
    step = 9 - np.floor(row / STEP_PX).astype(int)  # 0 is the thickest
    edge = interface_px(row)
    between = np.abs(row / STEP_PX - np.round(row / STEP_PX)) * STEP_PX < 0.1  # rows that a step begins on
    sides = [np.abs(column - at) < 0.1 for at in (90, 500, 909, edge)]
    inner = (column > 90) & (column < 909) & (step >= 0) & (step < 9) & ~between & ~np.any(sides, axis=0)
    for k in range(9):
        here = inner & (step == k)
        for piece, table in ((column < np.minimum(edge, 500), STEPS_AL_GV), (column > edge, dict(
            Al=STEPS_AL_GV, Ti=STEPS_TI_GV)[right])):  # fmt: skip
            assert np.abs(image[here & piece] - table[k]).max() < 1.0, k
    gap = inner & (column > 500) & (column < edge)
    assert gap.sum() > 500 and np.abs(image[gap] - OPEN_BEAM_GV).max() < 1e-2
    if right == "Al":
        seam = np.abs(np.diff(image[int(4 * STEP_PX) + 1 : int(10 * STEP_PX), 91:908], axis=1)).max()
        assert seam < 1.0  # asked: 24


@pytest.mark.slow
@pytest.mark.parametrize("right", ["Al", "Ti"])
def test_sw_3_by_the_toolbox_has_no_anomaly(backend: Backend, tmp_path: Path, right: str) -> None:
    pytest.importorskip("ctsimu", reason="the CTSimU toolbox is not installed")
    from ctsimu.evaluation.test2D_SW_3 import Test2D_SW_3
    from ctsimu.image import Image

    evaluation = Test2D_SW_3(resultFileDirectory=str(tmp_path), name="SW3")
    evaluation.subtests = [f"Al_{right}"]
    image = Image()
    image.shape(1000, 1000, 0, np.dtype("float64"))
    image.px[:] = np.round(grey_values(step_wedge(tmp_path, right), backend))
    evaluation.run(image)
    summary = (tmp_path / f"SW3_Al_{right}_summary.txt").read_text()
    assert "Number of detected grey value anomalies: 0 " in summary


def test_fb_2_open_beam_falls_as_cosine_over_distance_squared(backend: Backend) -> None:
    """Row through the centre and the corner, of the brightest pixel, within 1e-4 of the published shares."""
    scene = station(
        shape=(501, 501), pitch_mm=0.4, sod_mm=5.0, sdd_mm=30.0, source={"energy_kev": 80.0}, response="ideal"
    )
    image = simulate(scene, backend=backend.name.split("-")[0]).expected.astype(np.float64)
    share = image / image[250, 250]
    wanted = [0.02373, 0.04329, 0.08945, 0.21601, 0.57606]
    assert np.abs(share[250, [0, 50, 100, 150, 200]] - wanted).max() < 1e-4
    corners = share[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert np.abs(corners - 0.008936).max() < 1e-4
    assert np.ptp(corners) < 1e-9 and np.abs(share - share.T).max() < 1e-7


def edge(rows: int, subpixels: int = 1) -> Scene:
    """2D-WE-2: a sheet of 0.01 mm whose corner is on the axis, turned by 3 degrees, half way to the detector.

    At a density at which nothing comes through: the scenario's absorber is ideal.
    """
    turn, side = np.deg2rad(3.0), 5.0
    middle = side / 2 * np.array([-np.cos(turn) - np.sin(turn), np.cos(turn) - np.sin(turn)])
    return station(
        {"shape": "box", "size_mm": [side, side, 0.01], "position_mm": [*middle.tolist(), 0.0],
         "rotation_deg": [0.0, 0.0, 3.0], "material": {"name": "W", "density_g_cm3": 1e4}},
        shape=(rows, rows), pitch_mm=0.008, source={"energy_kev": 50.0}, response="ideal",
        acquisition={"exposure_s": 0.1, "subpixels": subpixels},
    )  # fmt: skip


def test_we_2_partly_covers_1053_pixels(backend: Backend) -> None:
    """A pixel is partly covered where some of its corners are: rays through all corners of 1001 x 1001 pixels."""
    covered = only(lengths_of(edge(1002), backend)) > 0
    corners = np.stack([covered[:-1, :-1], covered[:-1, 1:], covered[1:, :-1], covered[1:, 1:]])
    partly = corners.any(axis=0) & ~corners.all(axis=0)
    exact = covered_share(1001)
    assert ((exact > 0) & (exact < 1)).sum() == 1053
    assert partly.sum() == 1053
    assert (partly == (exact > 0) & (exact < 1)).all()


def test_we_2_grey_values_are_the_share_left_open(backend: Backend) -> None:
    """With 16 x 16 rays a pixel: none partly covered that is not, and the share to 1 / 16 over the cut's length."""
    scene = edge(301, subpixels=16)
    image, exact = grey_values(scene, backend) / OPEN_BEAM_GV, 1 - covered_share(301)
    true, found = (exact > 0) & (exact < 1), (image > 1e-5) & (image < 1 - 1e-5)
    assert not (found & ~true).any()
    assert found.sum() > 0.93 * true.sum()  # the rest are cut by less than the distance of two rays
    gap = (image - exact)[true]
    assert np.abs(gap).max() < 1 / 16 and np.sqrt((gap**2).mean()) < 0.01
    assert np.abs(image - exact)[~true].max() < 1e-5


#: Standard deviation of the spot, and of the line spread that the toolbox finds [um].
SPOTS_UM = [(8.0, 9.579), (24.0, 24.552)]


@pytest.mark.parametrize(("spot_um", "published_um"), SPOTS_UM)
def test_we_1_evaluation_finds_the_published_width(spot_um: float, published_um: float) -> None:
    """An exactly blurred edge: the evaluation itself, before an image is held against it.

    The toolbox smooths the profile by fits that stop before they converge; its figures are wider than the line
    spread by what that adds. Converged, the width is that of spot, pixel and profile bins put together.
    """
    image = blurred_edge(1001, spot_um / 8, parts=4)
    position, profile = edge_profile(image, parts=8)
    width_um = 8 * gaussian_width_px(position, line_spread(profile), spot_um / 8)
    assert width_um == pytest.approx(np.sqrt(spot_um**2 + 2 * 8**2 / 12), rel=0.005)
    mtf = pytest.importorskip("ctsimu.image_analysis.mtf", reason="the CTSimU toolbox is not installed")
    spread = mtf.MTF(positions=position, ESF=profile / profile.max())[1]
    assert 8 * gaussian_width_px(position, spread, spot_um / 8) == pytest.approx(published_um, rel=0.01)
