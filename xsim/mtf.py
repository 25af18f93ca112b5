"""Modulation transfer function from the image of a slanted edge (ISO 12233, IEC 62220-1-1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xsim.errors import MeasurementError

__all__ = ["EdgeMtf", "slanted_edge_mtf"]

LINE_STEPS = 30
LEAST_SHIFT_PX = 1.0
MOST_EMPTY = 0.2
MOST_SLOPE = 0.6  # 31 degrees


@dataclass(frozen=True)
class EdgeMtf:
    """MTF across an edge, and what it was made from.

    Attributes
    ----------
    frequency_per_mm, mtf : float64 [frequency]
        0 to twice the Nyquist frequency of the pixels, along the edge's normal; the MTF is 1 at 0.
    nyquist_per_mm : float
    angle_deg : float
        Of the edge to the pixel grid, positive from the grid's axis towards greater columns (rows).
    across : {"columns", "rows"}
        What a profile across the edge runs along.
    position_mm, edge_spread : float64 [bin]
        Distance from the edge, and the mean pixel value there, in the units of the image.
    line_spread : float64 [bin - 1]
        Windowed slope of the edge spread, per mm, midway between the bins; its integral is 1.

    """

    frequency_per_mm: np.ndarray
    mtf: np.ndarray
    nyquist_per_mm: float
    angle_deg: float
    across: str
    position_mm: np.ndarray
    edge_spread: np.ndarray
    line_spread: np.ndarray

    def at(self, frequency_per_mm: np.ndarray | float) -> np.ndarray:
        """MTF at given frequencies, by linear interpolation."""
        return np.asarray(np.interp(frequency_per_mm, self.frequency_per_mm, self.mtf))

    def frequency_of(self, level: float) -> float | None:
        """Lowest frequency [1/mm] at which the MTF falls to a level; None where it does not."""
        below = np.nonzero(self.mtf <= level)[0]
        if len(below) == 0 or below[0] == 0:
            return None
        k = below[0]
        share = (self.mtf[k - 1] - level) / (self.mtf[k - 1] - self.mtf[k])
        f = self.frequency_per_mm
        return float(f[k - 1] + share * (f[k] - f[k - 1]))


def slanted_edge_mtf(
    image: np.ndarray, pitch_mm: float, oversampling: int = 8, reach_px: float | None = None
) -> EdgeMtf:
    """MTF from a straight edge a few degrees off the columns or the rows.

    The edge is a line fitted through the centroids of the rows' slopes. Pixels are sorted by their distance from it
    into bins of 1 / oversampling pixel, which give the edge spread; its differences, tapered towards the ends (Tukey,
    0.5), the line spread; its transform is divided by what bins and differences take, sinc(f / oversampling) each.

    Parameters
    ----------
    image : [row, column] or [frame, row, column]
        One edge, linear in exposure; frames are averaged.
    pitch_mm : float
    oversampling : int
    reach_px : float, optional
        Half the width of the line spread that is kept; as far as the image allows, at most 50 pixels, by default. A
        short one keeps noise out and cuts off long tails.

    Raises
    ------
    MeasurementError
        No edge, or one that is parallel to the pixels, too steep or too near the border.

    Sources: ISO 12233:2017 annex D; IEC 62220-1-1:2015, 5.1.

    """
    pixels = np.asarray(image, np.float64)
    pixels = pixels.mean(axis=0) if pixels.ndim == 3 else pixels
    if pixels.ndim != 2 or min(pixels.shape) < 16:
        raise MeasurementError(f"an image of {pixels.shape} is too small for an edge (16 pixels at least) give more")
    slopes = [float(np.abs(np.diff(pixels.mean(axis=axis))).max()) for axis in (0, 1)]
    across = "columns" if slopes[0] >= slopes[1] else "rows"
    pixels = pixels if across == "columns" else pixels.T
    start, slope = edge_line(pixels)
    check_line(pixels.shape, start, slope)
    position, spread = edge_spread(pixels, start, slope, oversampling, reach_px or 50.0)
    line, frequency, mtf = transform(spread, oversampling)
    return EdgeMtf(
        frequency / pitch_mm, mtf, 0.5 / pitch_mm, float(np.degrees(np.arctan(slope))), across, position * pitch_mm,
        spread, line / pitch_mm,
    )  # fmt: skip


def edge_line(pixels: np.ndarray) -> tuple[float, float]:
    """Column of the edge in row 0 and its change per row, by centroids of the slopes about the line found so far."""
    rows, columns = pixels.shape
    row, between = np.arange(rows), np.arange(columns - 1) + 0.5
    steps = np.diff(pixels, axis=1)
    steps *= np.sign(steps.sum())
    quarter = max(rows // 4, 1)
    ends = [ridge(steps[part].mean(axis=0)) for part in (slice(0, quarter), slice(rows - quarter, rows))]
    slope = (ends[1] - ends[0]) / max(rows - quarter, 1)
    start = ends[0] - slope * (quarter - 1) / 2
    half = 8.0
    for _ in range(LINE_STEPS):
        distance = between - (start + slope * row)[:, None]
        weight = np.where(np.abs(distance) < half, np.cos(0.5 * np.pi * distance / half) ** 2, 0.0) * steps
        total = weight.sum(axis=1)
        good = total > 0.25 * np.median(total)
        if np.median(total) <= 0 or good.sum() < 8:
            raise MeasurementError("no edge found (no slope stands out of the noise) cut out one straight edge")
        centre = (weight * between).sum(axis=1)[good] / total[good]
        fitted = np.polyfit(row[good], centre, 1)
        moved = max(abs(fitted[1] - start), abs(fitted[0] - slope) * rows)
        slope, start = float(fitted[0]), float(fitted[1])
        if moved < 1e-5:
            break
    return start, slope


def ridge(steps: np.ndarray) -> float:
    """Place of the greatest slope of a profile, smoothed over five pixels."""
    return float(np.argmax(np.convolve(steps, np.ones(5), mode="same"))) + 0.5


def check_line(shape: tuple[int, ...], start: float, slope: float) -> None:
    rows, columns = shape
    if abs(slope) > MOST_SLOPE:
        raise MeasurementError(
            f"the edge is {np.degrees(np.arctan(abs(slope))):.1f} degrees off the pixels (2 to 10 are good) turn it"
        )
    if abs(slope) * rows < LEAST_SHIFT_PX:
        raise MeasurementError(
            f"the edge shifts by {abs(slope) * rows:.2f} pixels over the image (1 or more fill all phases) "
            "tilt it or take more of it"
        )
    ends = (start, start + slope * (rows - 1))
    if min(ends) < 8 or max(ends) > columns - 9:
        raise MeasurementError("the edge comes within 8 pixels of the border (its tails are cut) take more around it")


def edge_spread(
    pixels: np.ndarray, start: float, slope: float, oversampling: int, reach_px: float
) -> tuple[np.ndarray, np.ndarray]:
    """Bin middles [px] and mean pixel values at them; every bin is as far from the edge as each row reaches."""
    rows, columns = pixels.shape
    cosine = 1.0 / np.hypot(1.0, slope)
    middle = start + slope * np.arange(rows)
    reach = min(reach_px, cosine * float(min(middle.min(), columns - 1 - middle.max())))
    half = int(reach * oversampling) - 1
    place = cosine * (np.arange(columns) - middle[:, None]) * oversampling
    index = np.rint(place).astype(int)
    kept = np.abs(index) <= half
    index, place = index[kept] + half, place[kept]
    bins = 2 * half + 1
    count = np.bincount(index, minlength=bins)
    if (count == 0).mean() > MOST_EMPTY:
        raise MeasurementError(
            f"{100 * (count == 0).mean():.0f} % of the bins across the edge are empty (the edge repeats few phases of "
            "the pixels) tilt it or lower the oversampling"
        )
    full = count > 0
    at = np.arange(bins) - half
    mean = np.bincount(index, pixels[kept], minlength=bins)[full] / count[full]
    drawn = np.bincount(index, place, minlength=bins)[full] / count[full]
    mean -= np.gradient(mean, at[full]) * (drawn - at[full])  # to the middle of the bin
    return at / oversampling, np.interp(at, at[full], mean)


def transform(spread: np.ndarray, oversampling: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Line spread [1/px], frequencies 0 to 1 [1/px] and MTF of an edge spread."""
    line = np.diff(spread) * oversampling
    line *= np.sign(line.sum())
    ramp = np.minimum(np.arange(len(line)) + 0.5, len(line) - 0.5 - np.arange(len(line))) / (0.25 * len(line))
    line = line * np.sin(0.5 * np.pi * np.minimum(ramp, 1.0)) ** 2
    line = line * (oversampling / line.sum())
    size = oversampling * 512
    frequency = np.fft.rfftfreq(size, 1.0 / oversampling)
    kept = frequency <= 1.0
    taken = np.sinc(frequency[kept] / oversampling) ** 2
    return line, frequency[kept], np.abs(np.fft.rfft(line, size))[kept] / oversampling / taken
