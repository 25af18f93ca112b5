"""Noise of a camera's frames, Var x = a x + b, from what `xsim characterize` found: scalar, per column or per pixel.

A raw frame x of variance a x + b is corrected to y = f (x - d) + p: d the dark frame, f the factor that makes the open
beam even, p the grey value of no light. The mean of n such frames has

    Var y = a' y + b',   a' = f a / n,   b' = f^2 (a d + b) / n - a' p (+ 1/12 where it is rounded)

so the slope grows with the factor and what is left at no light with its square. That holds for what of f makes good for
fewer quanta: distance, heel, the screen. What makes good for a pixel's own sensitivity scales its signal and its noise
alike in the raw frame and back in the corrected one, whose slope it leaves as it is. The former is smooth, the latter
differs from pixel to pixel, and that is how they are told apart here: laws are smoothed.

It matters beyond the noise: a restorer sees 2 sqrt(y / a), so an a that scatters by 2 % about its neighbours' draws a
pattern of 1 % over a smooth image, which at a few thousand quanta is more than the noise.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np

from xsim import MeasurementError, read_characteristics, write_whole

__all__ = [
    "NoiseLaw",
    "camera_noise",
    "column_noise",
    "flat_factors",
    "noise_of_corrected",
    "read_law",
    "smoothed",
    "write_law",
]

STATES = ("raw", "offset_corrected", "flat_field_corrected")
ROUNDING_ADU2 = 1.0 / 12.0
LEAST_RESPONSE = 0.05  # of the mean; what shows less of the open beam is dead and keeps its value
DEGREE = 4  # of the polynomial that heel, distance and a screen's thickness are followed by
SURE = 0.1  # relative error up to which a column's slope is of use


class NoiseLaw(NamedTuple):
    """Variance of a pixel = a_pixel_adu x + b_adu2; floats, or arrays [column] or [row, column]."""

    a_pixel_adu: Any
    b_adu2: Any


def camera_noise(
    file: str | os.PathLike[str],
    state: str = "raw",
    *,
    dark: np.ndarray | None = None,
    flat: np.ndarray | None = None,
    per_column: bool = False,
    pedestal_adu: float = 0.0,
    frames: int = 1,
) -> NoiseLaw:
    """Noise of a camera's frames in a state of correction, from its file.

    Parameters
    ----------
    file : path
        That ``xsim characterize`` wrote, of raw frames.
    state : {"raw", "offset_corrected", "flat_field_corrected"}
        Of the frames that the law is for.
    dark, flat : [row, column] or [frame, row, column] ADU, optional
        Raw frames without radiation and of the open beam, that the flat-field correction was made with. Without
        ``dark`` the file's offset stands for it.
    per_column : bool
        Whether the correction has a factor for each column, as of a line camera, and not for each pixel.
    pedestal_adu : float
        Grey value of no light in a corrected frame.
    frames : int
        Exposures that a frame is the mean of.

    Returns
    -------
    NoiseLaw
        Floats for raw and offset-corrected frames, smooth arrays for flat-field-corrected ones.

    Raises
    ------
    MeasurementError
        The file is none of ``xsim characterize``, the state is unknown, or a frame that the state needs is missing.
    """
    if state not in STATES:
        raise MeasurementError(f"unknown state {state!r} (known: {', '.join(STATES)}) give one of them")
    found = read_characteristics(Path(file))
    law = NoiseLaw(found.a_pixel_adu, found.b_adu2)
    if state == "raw":
        return law if frames == 1 else noise_of_corrected(*law, frames=frames)
    # the law's constant is that at the mean offset: those of single pixels shift their values and not their noise
    rest = {"dark_adu": found.offset_adu, "pedestal_adu": pedestal_adu, "frames": frames}
    if state == "offset_corrected":
        return noise_of_corrected(*law, **rest)
    if flat is None:
        raise MeasurementError(
            "the noise of flat-field-corrected frames is not known (each pixel's factor raises it) give the raw flat "
            "frames that the correction was made with"
        )
    black = found.offset_adu if dark is None else mean_of(dark, per_column)
    return noise_of_corrected(*law, factors=smooth(flat_factors(flat, black, per_column)), **rest)


def write_law(path: str | os.PathLike[str], law: NoiseLaw, state: str | None = None) -> None:
    """Write a law as .npz with the arrays a_pixel_adu and b_adu2, which ``--noise`` of the commands reads.

    With the state of the frames that it is of, it is refused for others.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    arrays = {name: np.asarray(each, np.float64) for name, each in law._asdict().items()}
    if state is not None:
        arrays["state"] = np.array(state)
    write_whole(Path(path), lambda target: np.savez(target, **arrays))


def read_law(path: str | os.PathLike[str]) -> NoiseLaw:
    """Read a file of `write_law`.

    Raises
    ------
    MeasurementError
        It is missing, or none.
    """
    try:
        with np.load(path, allow_pickle=False) as found:
            law = NoiseLaw(*(np.asarray(found[name], np.float64) for name in NoiseLaw._fields))
    except OSError as error:
        raise MeasurementError(f"{path} not read ({error.strerror or error}) check the path") from error
    except (ValueError, EOFError, KeyError, BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise MeasurementError(f"{path} holds no a and b ({reason}) give a file of denoise noise") from error
    return law


def noise_of_corrected(
    a_pixel_adu: Any,
    b_adu2: Any,
    *,
    factors: Any = 1.0,
    dark_adu: Any = 0.0,
    pedestal_adu: float = 0.0,
    frames: int = 1,
    is_rounded: bool = True,
) -> NoiseLaw:
    """Law of corrected frames from that of raw ones; anything may be a number, [column] or [row, column].

    Parameters
    ----------
    a_pixel_adu, b_adu2
        Of a raw frame, its offset included.
    factors
        That the signal above dark is multiplied by.
    dark_adu
        Grey value that is taken off first.
    pedestal_adu : float
        Grey value that is added last.
    frames : int
        Exposures that a frame is the mean of.
    is_rounded : bool
        Whether corrected frames are whole numbers (the raw ones' rounding is in ``b_adu2``).

    Raises
    ------
    MeasurementError
        The factors or ``frames`` are not above 0.
    """
    a, b, f, d = (np.asarray(each, np.float64) for each in (a_pixel_adu, b_adu2, factors, dark_adu))
    if frames < 1 or not (f > 0).all():
        raise MeasurementError("factors and frames must be above 0 (a frame times nothing has no noise) check the flat")
    slope = f * a / frames
    shift = f**2 * (a * d + b) / frames - slope * pedestal_adu + (ROUNDING_ADU2 if is_rounded else 0.0)
    return NoiseLaw(*(float(each) if each.ndim == 0 else each for each in (slope, shift)))


def flat_factors(flat: np.ndarray, dark: Any = 0.0, per_column: bool = False) -> np.ndarray:
    """Factors of a flat-field correction: mean response of all pixels over that of each.

    Parameters
    ----------
    flat : [row, column] or [frame, row, column] ADU
        Raw frames of the open beam.
    dark : float or array ADU
        Grey value without radiation.
    per_column : bool

    Returns
    -------
    float64 [row, column], or [column]; 1 where a pixel hardly responds

    Raises
    ------
    MeasurementError
        The open beam is no brighter than the dark.
    """
    response = mean_of(flat, per_column) - dark
    level = float(response.mean())
    if not level > 0:
        raise MeasurementError("the flat is no brighter than the dark (it has no signal) check which frames are which")
    answers = response > LEAST_RESPONSE * level
    return np.where(answers, float(response[answers].mean()) / np.where(answers, response, level), 1.0)


def smoothed(law: NoiseLaw, degree: int = DEGREE) -> NoiseLaw:
    """A law [column] or [row, column] without what differs from pixel to pixel, for corrected frames.

    Parameters
    ----------
    law : NoiseLaw
    degree : int
        Of the polynomial in row and column that fits it best.
    """
    return NoiseLaw(*(smooth(np.asarray(each, np.float64), degree) for each in law))


def smooth(values: np.ndarray, degree: int = DEGREE) -> np.ndarray:
    """Polynomial that fits values [column] or [row, column] best."""
    image = np.atleast_2d(values)
    across, along = (
        np.linalg.qr(np.polynomial.legendre.legvander(np.linspace(-1, 1, n), min(degree, n - 1)))[0]
        for n in image.shape
    )
    shares = across.T @ image @ along
    shares[np.add.outer(np.arange(shares.shape[0]), np.arange(shares.shape[1])) > degree] = 0.0
    return np.asarray((across @ shares @ along.T).reshape(values.shape))


def column_noise(darks: np.ndarray, levels: Sequence[np.ndarray]) -> NoiseLaw:
    """Law of every column for itself, measured; for line cameras, whose lines all know a column's noise.

    Of raw frames it follows the sensitivities of the columns, and scatters by what the lines know it to. Before a
    restorer sees it, take it to the corrected state (`noise_of_corrected`) and smooth it (`smoothed`).

    Parameters
    ----------
    darks : [frame, line, column] ADU
        Two frames or more without radiation, raw or corrected as the levels are.
    levels : sequence of [frame, line, column] ADU
        Light levels of the open beam, two frames or more of each.

    Returns
    -------
    NoiseLaw of float64 [column]

    Raises
    ------
    MeasurementError
        Frames of different size, no light, or too few lines to know a slope to 10 %.
    """
    stacks = [np.asarray(stack, np.float64) for stack in (darks, *levels)]
    if len(stacks) < 2 or any(s.ndim != 3 or len(s) < 2 or s.shape[2] != stacks[0].shape[2] for s in stacks):
        raise MeasurementError("darks and a level at least, two frames of one width or more of each, are needed")
    degrees = [(len(s) - 1) * s.shape[1] for s in stacks]
    if (error := float(np.sqrt(2.0 / sum(degrees[1:])))) > SURE:
        raise MeasurementError(f"a column's slope would be known to {100 * error:.0f} % (too few lines) take more")
    (black, dark_variance), *lit = [column_moments(stack) for stack in stacks]
    signals = [mean - black for mean, _ in lit]
    if any(float(signal.mean()) <= 0 for signal in signals):
        raise MeasurementError("a level is no brighter than the darks (levels need radiation) check which is which")
    middle = [(float(s.mean()), float(v.mean()), n) for s, (_, v), n in zip(signals, lit, degrees[1:], strict=True)]
    weights = np.array([n * (signal / variance) ** 2 for signal, variance, n in middle])
    weights /= weights.sum()
    slopes = [(v - dark_variance) / np.maximum(s, 1e-9) for s, (_, v) in zip(signals, lit, strict=True)]
    slope = np.maximum(np.tensordot(weights, slopes, 1), 1e-3 * float(np.median(slopes)))  # a dead column has none
    return NoiseLaw(slope, dark_variance - slope * black)


def column_moments(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and temporal variance of each column [column], without what a brighter or darker frame brings."""
    mean = frames.mean(axis=0)
    pattern = mean - mean.mean()
    weight = max(float(np.vdot(pattern, pattern)), 1e-300)
    variance = np.zeros(frames.shape[2])
    for frame in frames:
        noise = frame - mean
        noise -= noise.mean()
        noise -= pattern * (np.vdot(noise, pattern) / weight)
        variance += (noise**2).mean(axis=0) / (len(frames) - 1)
    return mean.mean(axis=0), variance


def mean_of(frames: np.ndarray, per_column: bool) -> np.ndarray:
    """Mean frame [row, column], or line [column]."""
    stack = np.asarray(frames)
    if stack.ndim not in (2, 3) or stack.size == 0:
        raise MeasurementError(f"frames of shape {stack.shape} (rows, columns needed) give an image or a stack")
    mean = stack.reshape(-1, *stack.shape[-2:]).mean(axis=0, dtype=np.float64)
    return np.asarray(mean.mean(axis=0) if per_column else mean)
