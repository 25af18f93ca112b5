"""What a restorer leaves of sharpness: MTF of a slanted edge, CTF of a bar chart, at a contrast that is chosen.

A network is not linear, so its transfer function is that of the test object: an edge or bars of one contrast, at the
noise of one exposure. Both objects are thin sheets of tungsten in the plane of the part, simulated by a station of
xsim's; the images of many exposures are restored one by one and averaged, so that what is measured is the mean
response and no remaining noise.

The contrast transfer function is (max - min) / (max + min) of a square wave over that of a wide plate. All pixels of a
group of bars have their phase (the bars are slanted, so all phases occur) and the harmonics up to the Nyquist frequency
are fitted, five at most; max and min are those of the fit in the middle of bars and gaps. So noise has no bias, and a
reversed phase is negative. For a linear system it is Coltman's series, 4/pi (M(f) - M(3 f)/3 + M(5 f)/5 - ...), as far
as it lies below the Nyquist frequency.

Sources: ISO 12233:2017 annex D; Coltman, J. Opt. Soc. Am. 44 (1954) 468.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import xsim
from xsim import MeasurementError

__all__ = [
    "Bars",
    "Chart",
    "ContrastTransfer",
    "bar_chart",
    "chart_bodies",
    "ctf",
    "edge_bodies",
    "frames_of",
    "mtf",
    "sheet_thickness_mm",
]

SLANT_DEG = 4.0
SHEET = "W"
SUBPIXELS = 5  # rays along a pixel's side: one alone would alias the bars before the camera does
CYCLES_PER_PX = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45)
HARMONICS = 5
BORDER_PX = 5.0  # of a cell of the chart, on each side
REACH_PX = 24.0  # of the line spread: noise beyond it stays out


@dataclass(frozen=True)
class Bars:
    """A group of slanted bars; lengths in pixels of the image.

    Attributes
    ----------
    row, column : float
        Of its middle.
    period_px : float
        Bars and gaps are half of it wide.
    count : int
        Bars, odd: one is in the middle.
    length_px : float
    """

    row: float
    column: float
    period_px: float
    count: int
    length_px: float


@dataclass(frozen=True)
class Chart:
    """Groups of bars, and the square plate whose contrast is that of frequency 0.

    Attributes
    ----------
    groups : tuple of Bars
    plate_row, plate_column, plate_px : float
        Middle and side of the plate.
    """

    groups: tuple[Bars, ...]
    plate_row: float
    plate_column: float
    plate_px: float


@dataclass(frozen=True)
class ContrastTransfer:
    """CTF of an image of a chart, float64 [group] at frequency_per_mm [group] on the detector."""

    frequency_per_mm: np.ndarray
    ctf: np.ndarray


def bar_chart(rows: int, columns: int, cycles_per_px: Sequence[float] = CYCLES_PER_PX) -> Chart:
    """A chart for an image of this size: a square of cells in its middle, the plate first.

    Raises
    ------
    MeasurementError
        The image is too small for three bars of the lowest frequency.
    """
    across = int(np.ceil(np.sqrt(len(cycles_per_px) + 1)))
    cell = min(rows, columns) / across
    room = cell - 2 * BORDER_PX
    if room * min(cycles_per_px) < 2.5:
        raise MeasurementError(f"an image of {rows} x {columns} is too small for the bar chart (three bars a group)")
    steps = [(np.array(divmod(k, across)) - (across - 1) / 2) * cell for k in range(len(cycles_per_px) + 1)]
    places = [((rows - 1) / 2 + float(down), (columns - 1) / 2 + float(right)) for down, right in steps]
    groups = []
    for frequency, (row, column) in zip(cycles_per_px, places[1:], strict=True):
        fitting = int(room * frequency + 0.5)  # the last gap may be left out
        groups.append(Bars(row, column, 1.0 / frequency, fitting - 1 + fitting % 2, room))
    return Chart(tuple(groups), *places[0], room)


def edge_bodies(scene: xsim.Scene, thickness_mm: float) -> list[dict[str, Any]]:
    """A sheet whose slanted edge crosses the middle of the image, as ``xsim.place_bodies`` takes it."""
    view = scene.view
    size = 3.0 * max(view.rows, view.columns)
    tilt = np.radians(SLANT_DEG)
    middle = ((view.rows - 1) / 2 + 0.5 * size * np.sin(tilt), (view.columns - 1) / 2 + 0.5 * size * np.cos(tilt))
    return [sheet(scene, middle, (size, size), thickness_mm)]


def chart_bodies(scene: xsim.Scene, chart: Chart, thickness_mm: float) -> list[dict[str, Any]]:
    """Plate and bars of a chart, as ``xsim.place_bodies`` takes them."""
    plate = (chart.plate_px, chart.plate_px)
    bodies = [sheet(scene, (chart.plate_row, chart.plate_column), plate, thickness_mm)]
    sine, cosine = np.sin(np.radians(SLANT_DEG)), np.cos(np.radians(SLANT_DEG))
    for group in chart.groups:
        for k in range(group.count):
            along = (k - (group.count - 1) / 2) * group.period_px
            middle = (group.row + along * sine, group.column + along * cosine)
            bodies.append(sheet(scene, middle, (0.5 * group.period_px, group.length_px), thickness_mm))
    return bodies


def sheet(
    scene: xsim.Scene, middle: tuple[float, float], size_px: tuple[float, float], thickness_mm: float
) -> dict[str, Any]:
    """A slanted rectangle in the plane of the part by its place (row, column) and size (across, along) in the image."""
    view, (row, column) = scene.view, middle
    share = float(view.project(np.zeros(3))[0])
    step_column, step_row = (view.source_column + share * view.column, view.source_row + share * view.row)
    place = view.source + share * view.origin + row * step_row + column * step_column
    wide, high = float(np.linalg.norm(step_column)), float(np.linalg.norm(step_row))
    mirrored = np.sign(np.cross(step_column, step_row)[2])  # a line scan's rows run against y
    return {
        "shape": "box", "material": SHEET, "size_mm": [size_px[0] * wide, size_px[1] * high, thickness_mm],
        "position_mm": [float(x) for x in place], "rotation_deg": [0.0, 0.0, float(mirrored) * SLANT_DEG],
    }  # fmt: skip


def sheet_thickness_mm(scene: xsim.Scene, contrast: float) -> float:
    """Thickness of tungsten that takes a share ``contrast`` of the open beam's signal, 0 to 1, to 1 % of it."""
    level = mean_signal(scene, None)
    low, high = 1e-6, 1.0
    for _ in range(14):
        middle = (low * high) ** 0.5
        found = 1.0 - mean_signal(scene, middle) / level
        if abs(found / contrast - 1.0) < 0.01:
            return middle
        low, high = (middle, high) if found < contrast else (low, middle)
    return middle


def mean_signal(scene: xsim.Scene, thickness_mm: float | None) -> float:
    """Clean signal in the middle of the image [ADU], behind a sheet or none."""
    lines = scene.detector.kind == "line_scan"  # whose rows are the lines of its acquisition
    size = {"columns": 16} if lines else {"rows": 16, "columns": 16}
    parts = {"detector": scene.detector.model_copy(update=size)}
    if lines:
        parts["acquisition"] = scene.acquisition.model_copy(update={"lines": 16})
    small = scene.model_copy(update=parts)
    bodies = [] if thickness_mm is None else [sheet(small, (7.5, 7.5), (64.0, 64.0), thickness_mm)]
    frame = xsim.simulate(xsim.place_bodies(bodies, small, 0))
    return float(frame.clean[4:12, 4:12].mean(dtype=np.float64)) - float(frame.metadata["offset_adu"])


def frames_of(scene: xsim.Scene, bodies: Sequence[dict[str, Any]], count: int, seed: int) -> list[xsim.Radiograph]:
    """Exposures of these bodies by a scene's station, 5 x 5 rays a pixel at least; ``clean`` is that of all."""
    fine = scene.acquisition.model_copy(update={"subpixels": max(SUBPIXELS, scene.acquisition.subpixels)})
    exposure = xsim.expose(xsim.place_bodies(bodies, scene.model_copy(update={"acquisition": fine}), seed))
    return [exposure.record(seed, frame) for frame in range(count)]


def mtf(images: Sequence[np.ndarray], pitch_mm: float, reach_px: float = REACH_PX) -> xsim.EdgeMtf:
    """MTF of the mean of images of a slanted edge; see ``xsim.slanted_edge_mtf``.

    Parameters
    ----------
    images : sequence of [row, column] ADU
    pitch_mm : float
    reach_px : float
        Half the width of the line spread that counts.

    Raises
    ------
    MeasurementError
        No edge is found in it.
    """
    return xsim.slanted_edge_mtf(np.mean(images, axis=0, dtype=np.float64), pitch_mm, reach_px=reach_px)


def ctf(images: Sequence[np.ndarray], chart: Chart, pitch_mm: float, offset_adu: float) -> ContrastTransfer:
    """CTF of the mean of images of a chart.

    Parameters
    ----------
    images : sequence of [row, column] ADU
    chart : Chart
    pitch_mm : float
    offset_adu : float
        Pixel value without radiation.

    Raises
    ------
    MeasurementError
        The plate has no contrast.
    """
    signal = np.mean(images, axis=0, dtype=np.float64) - offset_adu
    plate = plate_modulation(signal, chart)
    if not plate > 0.0:
        raise MeasurementError(
            "the plate of the bar chart is not darker than its surroundings (no contrast to compare with)"
        )
    found = np.array([bar_modulation(signal, group) for group in chart.groups]) / plate
    return ContrastTransfer(np.array([1.0 / group.period_px for group in chart.groups]) / pitch_mm, found)


def along_and_across(shape: tuple[int, ...], row: float, column: float) -> tuple[np.ndarray, np.ndarray]:
    """Distances [px] of all pixels from a point along a bar and across it."""
    down, right = np.meshgrid(np.arange(shape[0]) - row, np.arange(shape[1]) - column, indexing="ij")
    sine, cosine = np.sin(np.radians(SLANT_DEG)), np.cos(np.radians(SLANT_DEG))
    return cosine * down - sine * right, sine * down + cosine * right


def plate_modulation(signal: np.ndarray, chart: Chart) -> float:
    """Modulation between the middle of the plate and what is just outside it."""
    along, across = along_and_across(signal.shape, chart.plate_row, chart.plate_column)
    farthest = np.maximum(np.abs(along), np.abs(across)) / (0.5 * chart.plate_px)
    outside = 0.5 * chart.plate_px + BORDER_PX - 1.0
    inside, around = farthest < 0.5, np.abs(np.maximum(np.abs(along), np.abs(across)) - outside) < 1.0
    dark, bright = signal[inside].mean(), signal[around].mean()
    return float((bright - dark) / (bright + dark))


def bar_modulation(signal: np.ndarray, group: Bars) -> float:
    """Modulation of a group, by harmonics fitted to its inner pixels; background of first order."""
    along, across = along_and_across(signal.shape, group.row, group.column)
    half = (0.5 * group.count - 1.0) * group.period_px
    inner = (np.abs(across) <= half) & (np.abs(along) <= 0.5 * group.length_px - 4.0)
    phase = 2.0 * np.pi * across[inner] / group.period_px
    columns = [np.ones_like(phase), along[inner], across[inner]]
    # harmonics beyond the Nyquist frequency look like others: pixels do not tell them apart
    columns += [np.cos(k * phase) for k in range(1, HARMONICS + 1) if k == 1 or k <= 0.5 * group.period_px]
    fitted = np.linalg.lstsq(np.stack(columns, axis=1), signal[inner], rcond=None)[0]
    level, waves = fitted[0], fitted[3:]
    return float(-waves[0::2].sum() / (level + waves[1::2].sum()))
