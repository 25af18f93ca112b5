"""What tells the pixels of one camera apart: sensitivity, dark signal, offset, defects; drawn from its serial number.

A value belongs to a place on the sensor, counted from its middle (row r of R is at r - R // 2), so that a smaller
image of the same camera shows the middle of the larger one's pattern.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from xsim.backend import Backend
from xsim.electronics import Sensor

__all__ = ["DEFECT_CLASSES", "FixedPattern", "camera_key", "draw_words", "fixed_pattern", "normals"]

#: Names of the values of ``FixedPattern.defects``.
DEFECT_CLASSES = ("sound", "dead", "hot", "over-responding", "under-responding", "noisy", "cluster", "line")
PIXELS, COLUMNS, ROWS, TAPS, TILES, CLUSTERS = range(24, 30)  # streams of the camera's key
MIDDLE = 1 << 20  # the sensor's middle in the generator's counters
CELL = 32  # px; a cluster at the most in each square of so many
BLOCK_ROWS = 256
QUANTILE = 2  # function of the kernel `evaluate`
NOISY_STEP = 10.0  # half the step of a noisy pixel, in read noises: a standard deviation of 10, E2597 asks for 6


@dataclass(frozen=True)
class FixedPattern:
    """Of each pixel of a camera, in the memory of the backend; [row, column] as one axis, of a line camera [column].

    Attributes
    ----------
    gain : float32
        Sensitivity; 1 of an ideal pixel.
    dark : float32
        Dark signal beside the dark current's mean, per exposure [electrons; of the short form keV].
    offset : float32
        Same unit.
    flicker : float32
        Half the step between the two levels of a noisy pixel, same unit; 0 elsewhere.
    defects : uint8
        Place in ``DEFECT_CLASSES``.

    """

    gain: Any
    dark: Any
    offset: Any
    flicker: Any
    defects: Any


def camera_key(serial: int, purpose: int) -> int:
    """Key of a camera's own random numbers: no image's seed by accident (SplitMix64, Steele et al. 2014)."""
    z = serial
    for addend in (0, purpose):  # each turn is one to one: no two serials have a key in common
        z = (z + addend + 0x9E3779B97F4A7C15) % 2**64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        z ^= z >> 31
    return z


def draw_words(rows: Any, columns: Any, stream: int, key: int, backend: Backend) -> Any:
    """Random words uint32 [row, column, 4] of the counters (column, row, stream, 0)."""
    xp = backend.xp
    counters = xp.zeros((len(rows), len(columns), 4), np.uint32)
    counters[:, :, 0] = xp.asarray(columns).astype(np.uint32)[None, :]
    counters[:, :, 1] = xp.asarray(rows).astype(np.uint32)[:, None]
    counters[:, :, 2] = stream
    words = xp.empty_like(counters)
    backend.launch("random_words", counters.size // 4, counters=counters, words=words, seed=key)
    return words


def uniforms(words: Any) -> Any:
    """Float32 in (0, 1) of words, as the kernels make them: 23 bits, neither end."""
    return ((words >> 9).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-23)


def normals(words: Any, backend: Backend) -> Any:
    """Standard normal float32 of words."""
    x = backend.xp.ascontiguousarray(uniforms(words))
    y = backend.xp.empty_like(x)
    backend.launch("evaluate", x.size, x=x, y=y, function=QUANTILE)
    return y


def fixed_pattern(sensor: Sensor, rows: int, columns: int, backend: Backend) -> FixedPattern:
    """Pattern of a camera's pixels; a line camera has one row. The last few are kept."""
    machine: Any = backend
    return _fixed_pattern(sensor, rows, columns, machine)


@functools.lru_cache(maxsize=2)
def _fixed_pattern(sensor: Sensor, rows: int, columns: int, backend: Any) -> FixedPattern:
    key = camera_key(sensor.serial, 0)
    at_row, at_column = (np.arange(n) - n // 2 + MIDDLE for n in (rows, columns))
    gain, offset = seams(sensor, at_row, at_column, key, backend)
    xp = backend.xp
    dark, flicker = xp.zeros((rows, columns), np.float32), xp.zeros((rows, columns), np.float32)
    defects = xp.asarray(patches(sensor, at_row, at_column, key, backend))
    for first in range(0, rows, BLOCK_ROWS):
        band = slice(first, first + BLOCK_ROWS)
        words = draw_words(at_row[band], at_column, PIXELS, key, backend)
        if sensor.prnu_share:
            gain[band] += np.float32(sensor.prnu_share) * normals(words[..., 0], backend)
        if sensor.dsnu_e:
            offset[band] += np.float32(sensor.dsnu_e) * normals(words[..., 1], backend)
        chosen = single_defects(sensor, uniforms(words[..., 2]), xp)
        defects[band] = xp.where(defects[band] == 0, chosen, defects[band])
        apply_defects(sensor, defects[band], uniforms(words[..., 3]), gain[band], dark[band], flicker[band])
    maps = (xp.maximum(gain, np.float32(0)), dark, offset, flicker, defects)
    return FixedPattern(*(image.reshape(-1) for image in maps))


def seams(sensor: Sensor, at_row: np.ndarray, at_column: np.ndarray, key: int, backend: Backend) -> tuple[Any, Any]:
    """Sensitivity and offset that columns, taps and tiles have in common, [row, column]."""
    xp, shape = backend.xp, (len(at_row), len(at_column))
    gain, offset = xp.ones(shape, np.float32), xp.zeros(shape, np.float32)
    one = np.array([MIDDLE])
    parts = (
        (COLUMNS, one, at_column, sensor.prnu_column_share, sensor.dsnu_column_e),
        (TAPS, one, part_of(at_column, sensor.tap_columns), sensor.prnu_tap_share, sensor.dsnu_tap_e),
        (TILES, part_of(at_row, sensor.tile_rows), part_of(at_column, sensor.tile_columns), sensor.prnu_tile_share,
         sensor.dsnu_tile_e),
    )  # fmt: skip
    for stream, rows, columns, share, electrons in parts:
        if share or electrons:
            words = draw_words(rows, columns, stream, key, backend)
            gain += np.float32(share) * normals(words[..., 0], backend)
            offset += np.float32(electrons) * normals(words[..., 1], backend)
    return gain, offset


def part_of(places: np.ndarray, size: int | None) -> np.ndarray:
    """Number of the tap or tile that a row or column is in; a seam runs through the sensor's middle."""
    return np.full_like(places, MIDDLE) if size is None else (places - MIDDLE) // size + MIDDLE


def single_defects(sensor: Sensor, u: Any, xp: Any) -> Any:
    """Class of each pixel by itself: the shares laid end to end on (0, 1)."""
    ends = np.cumsum(sensor.defects.pixel_shares)
    found = xp.zeros(u.shape, np.uint8)
    for kind in range(len(ends), 0, -1):
        found[u < np.float32(ends[kind - 1])] = kind
    return found


def apply_defects(sensor: Sensor, defects: Any, u: Any, gain: Any, dark: Any, flicker: Any) -> None:
    """What bad pixels do to the maps, in place; u in (0, 1) says how bad a pixel is."""
    name = DEFECT_CLASSES.index
    full_scale = sensor.full_scale_adu / sensor.adu_per_charge
    gain[(defects == name("dead")) | (defects >= name("cluster"))] = 0
    hot = defects == name("hot")
    dark[hot] = np.float32(full_scale) * (np.float32(0.1) + np.float32(sensor.defects.hot_level - 0.1) * u[hot])
    over, under = defects == name("over-responding"), defects == name("under-responding")
    gain[over] = np.float32(1.4) + np.float32(0.6) * u[over]
    gain[under] = np.float32(0.1) + np.float32(0.45) * u[under]
    step = NOISY_STEP * max(sensor.read_noise_charge, 1.0 / sensor.adu_per_charge)
    flicker[defects == name("noisy")] = np.float32(step)


def patches(sensor: Sensor, at_row: np.ndarray, at_column: np.ndarray, key: int, backend: Backend) -> np.ndarray:
    """Clusters and lines, uint8 [row, column] of classes, on the host."""
    found, kinds = np.zeros((len(at_row), len(at_column)), np.uint8), sensor.defects
    name = DEFECT_CLASSES.index
    if kinds.clusters_per_mpx:
        for row, column, radius in clusters(sensor, at_row, at_column, key, backend):
            rows, columns = (slice(*np.searchsorted(at, [p - radius, p + radius + 1])) for at, p in
                             ((at_row, row), (at_column, column)))  # fmt: skip
            near = (at_row[rows, None] - row) ** 2 + (at_column[None, columns] - column) ** 2 <= radius**2
            found[rows, columns][near] = name("cluster")
    one = np.array([MIDDLE])
    for share, axis, stream, at in (
        (kinds.dead_rows_share, 0, ROWS, at_row),
        (kinds.dead_columns_share, 1, COLUMNS, at_column),
    ):
        if share:
            chance = uniforms(backend.to_numpy(draw_words(one, at, stream, key, backend))[0, :, 2])
            found[np.s_[chance < share, :] if axis == 0 else np.s_[:, chance < share]] = name("line")
    return found


def clusters(
    sensor: Sensor, at_row: np.ndarray, at_column: np.ndarray, key: int, backend: Backend
) -> list[tuple[float, float, float]]:
    """Row, column and radius of each cluster that may reach into the image."""
    radius = float(np.sqrt(sensor.defects.cluster_px / np.pi))
    cells = [np.arange((at[0] - CELL) // CELL, (at[-1] + CELL) // CELL + 1) for at in (at_row, at_column)]
    words = backend.to_numpy(draw_words(cells[0], cells[1], CLUSTERS, key, backend))
    u = uniforms(words).astype(np.float64)
    there = np.argwhere(u[..., 0] < sensor.defects.clusters_per_mpx * CELL**2 / 1e6)
    return [
        (CELL * (cells[0][j] + u[j, i, 1]), CELL * (cells[1][i] + u[j, i, 2]), radius * (0.75 + 0.5 * u[j, i, 3]))
        for j, i in there
    ]
