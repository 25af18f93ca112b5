"""Judging deblurred images: PSNR and SSIM against the sharp screen, and what MTF, CTF and NNPS a restorer leaves.

Every restorer gets the frame of the thick screen and is compared with the thin screen's noise-free image on the thick
one's scale (`deblur.target_of`). Noise-free frames are the thick screen's `clean`, and the restorer is told so (Var x =
0). Overshoot is how far the MTF of a restored edge exceeds that of the thin screen's edge, in points, at most up to the
Nyquist frequency: what exceeds it was invented.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import datagen
import xsim
from denoise.deblur import target_of
from denoise.evaluation import Case, psnr_db, ssim
from denoise.restorer import Restorer
from denoise.screen_pair import ScreenPair
from denoise.sharpness import Chart, bar_chart, chart_bodies, ctf, edge_bodies, mtf, sheet_thickness_mm
from denoise.wiener import noise_to_signal, wiener

__all__ = [
    "BORDER_PX",
    "Rulers",
    "as_restore",
    "fidelity",
    "noise_free",
    "pair_cases",
    "rulers",
    "sharpness",
    "to_sharp_frame_db",
    "wiener_restore",
]

Restore = Callable[[np.ndarray, float, float], np.ndarray]  # frame [row, column] ADU, a, b -> restored
BORDER_PX = 16  # light from beyond the image is in the frames, and the target near the border is not known
NO_NOISE_A = 1e-6  # Var x = a x + b: below every rounding
CONTRAST, FRAMES, SEED, FLAT_ROI_PX = 0.5, 4, 2_000_003, 128
PAIR = "_pair"


def pair_cases(
    corpus: datagen.Corpus, format: str, split: str, settings: dict[str, Any], limit: int | None = None
) -> list[Case]:
    """Frames of the thick screen with the thin one's noise-free image on their scale.

    Parameters
    ----------
    corpus : datagen.Corpus
    format, split : str
    settings : dict
        mtf_ratio.
    limit : int, optional
        So many of them, spread over the split.
    """
    view, cases = corpus.subset(format, split), []
    for place in np.linspace(0, len(view) - 1, min(len(view), limit or len(view))).astype(int):
        names = ("noisy_pair", "clean_pair", "clean", "labels", "valid", "valid_pair")
        sample = view.sample(int(place), names)
        told = sample["params"]
        own = {name.removesuffix(PAIR): value for name, value in told.items() if name.endswith(PAIR)}
        truth = on_its_scale(sample["clean"] - told["offset_adu"], sample["clean_pair"] - own["offset_adu"], settings)
        valid = sample["valid"] & sample["valid_pair"] & inside(truth.shape)
        bodies = corpus.instances(sample["index"])
        cases.append(
            Case(sample["noisy_pair"], truth + own["offset_adu"], sample["labels"], {**told, **own}, bodies, valid)
        )
    return cases


def on_its_scale(sharp: np.ndarray, blurred: np.ndarray, settings: dict[str, Any]) -> np.ndarray:
    """`deblur.target_of` of images [row, column] above their offsets."""
    one, other = (torch.from_numpy(np.ascontiguousarray(each, np.float32))[None, None] for each in (sharp, blurred))
    return target_of(one, other, settings)[0, 0].numpy()


def inside(shape: tuple[int, ...]) -> np.ndarray:
    """Pixels away from the border."""
    mask = np.zeros(shape, bool)
    mask[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX] = True
    return mask


def noise_free(corpus: datagen.Corpus, format: str, split: str, cases: Sequence[Case]) -> list[Case]:
    """The same cases with the thick screen's noise-free image for a frame; Var x = 0 is told of it."""
    view, found = corpus.subset(format, split), []
    places = np.linspace(0, len(view) - 1, len(cases)).astype(int)
    for place, case in zip(places, cases, strict=True):
        clean = view.sample(int(place), ("clean_pair",))["clean_pair"]
        params = {**case.params, "a_pixel_adu": NO_NOISE_A, "b_adu2": -NO_NOISE_A * case.params["offset_adu"]}
        found.append(Case(clean, case.clean, case.labels, params, case.bodies, case.valid))
    return found


def as_restore(restorer: Restorer) -> Restore:
    """A model as a function; test frames may lie outside the conditions it was trained on, which are known here."""

    def restore(frame: np.ndarray, a: float, b: float) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*trained on.*")
            return restorer(frame, a, b)

    return restore


def wiener_restore(cases: Sequence[Case], settings: dict[str, Any]) -> Restore:
    """Wiener filter that knows the noise-to-signal spectrum of these very cases."""
    signals = [case.noisy - case.params["offset_adu"] for case in cases]
    truths = [case.clean - case.params["offset_adu"] for case in cases]
    ratio, nsr = settings["mtf_ratio"], noise_to_signal(signals, truths, settings["mtf_ratio"])
    offset = cases[0].params["offset_adu"]
    return lambda frame, a, b: wiener(frame - offset, ratio, nsr) + np.float32(offset)


def fidelity(restore: Restore, cases: Sequence[Case]) -> dict[str, list[float]]:
    """Of each case: psnr_db, ssim, and level_shift_percent, by how much the mean signal is another than the frame's."""
    found: dict[str, list[float]] = {"psnr_db": [], "ssim": [], "level_shift_percent": []}
    for case in cases:
        image = restore(case.noisy, case.params["a_pixel_adu"], case.params["b_adu2"])
        signal = np.mean(case.noisy - case.params["offset_adu"], dtype=np.float64)
        found["psnr_db"].append(psnr_db(image, case))
        found["ssim"].append(ssim(image, case))
        found["level_shift_percent"].append(abs(100.0 * float(np.mean(image - case.noisy, dtype=np.float64) / signal)))
    return found


@dataclass(frozen=True)
class Rulers:
    """Exposures of an edge, bars and the open beam by both screens of a pair.

    Attributes
    ----------
    edges, charts, flats : list of (xsim.Radiograph, xsim.Radiograph)
        Thin, thick.
    chart : Chart
    """

    edges: list[tuple[xsim.Radiograph, xsim.Radiograph]]
    charts: list[tuple[xsim.Radiograph, xsim.Radiograph]]
    flats: list[tuple[xsim.Radiograph, xsim.Radiograph]]
    chart: Chart


def rulers(pair: ScreenPair, frames: int = FRAMES, same_quanta: bool = True) -> Rulers:
    """Simulate them: tungsten that takes half of the thin screen's signal, in the plane of the part.

    Raises
    ------
    MeasurementError
        The images are too small for bars.
    """
    view = pair.sharp.view
    chart, thickness_mm = bar_chart(view.rows, view.columns), sheet_thickness_mm(pair.sharp, CONTRAST)
    bodies = (edge_bodies(pair.sharp, thickness_mm), chart_bodies(pair.sharp, chart, thickness_mm), [])
    edges, charts, flats = (exposures(pair, each, frames, SEED + k, same_quanta) for k, each in enumerate(bodies))
    return Rulers(edges, charts, flats, chart)


def exposures(
    pair: ScreenPair, bodies: list[dict[str, Any]], frames: int, seed: int, same_quanta: bool
) -> list[tuple[xsim.Radiograph, xsim.Radiograph]]:
    """Frames of the same bodies by the thin and the thick screen."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*out of view.*")
        thin, thick = (xsim.place_bodies(bodies, scene, seed) for scene in (pair.sharp, pair.blurred))
        first = xsim.expose(thin)
        second = xsim.expose_paired(first, thick, same_quanta)
    return [(first.record(seed, k), second.record(seed, k)) for k in range(frames)]


def sharpness(restore: Restore | None, found: Rulers, noisy: bool) -> dict[str, Any]:
    """MTF and overshoot of a restored edge, CTF of restored bars, NNPS of the restored open beam.

    Parameters
    ----------
    restore : callable or None
        None: the frames of the thin screen themselves, noise-free: what can be reached.
    found : Rulers
    noisy : bool
        Whether frames are the noisy ones; all of them are restored one by one and averaged.

    Returns
    -------
    dict
        frequency_per_mm, mtf (lists, to the Nyquist frequency), mtf_overshoot_percent, ctf {cycles a pixel: CTF}; with
        noise nnps_mm2 {1/mm: NNPS along the rows}.
    """

    def images(pairs: list[tuple[xsim.Radiograph, xsim.Radiograph]]) -> list[np.ndarray]:
        return [restored(restore, *each, noisy) for each in (pairs if noisy and restore else pairs[:1])]

    thin, thick = found.edges[0]
    told = (thin if restore is None else thick).metadata
    pitch_mm, offset_adu = told["pitch_mm"], told["offset_adu"]
    reached, edge = mtf([thin.clean], pitch_mm), mtf(images(found.edges), pitch_mm)
    low = edge.frequency_per_mm <= edge.nyquist_per_mm
    contrast = ctf(images(found.charts), found.chart, pitch_mm, offset_adu)
    figures = {
        "frequency_per_mm": edge.frequency_per_mm[low].tolist(),
        "mtf": edge.mtf[low].tolist(),
        "mtf_overshoot_percent": float(100.0 * max(0.0, (edge.mtf - reached.at(edge.frequency_per_mm))[low].max())),
        "ctf": dict(zip((contrast.frequency_per_mm * pitch_mm).round(3).tolist(), contrast.ctf.tolist(), strict=True)),
    }
    if noisy:
        flats = np.stack(images(found.flats))
        cut = xsim.noise_power(flats, pitch_mm, min(FLAT_ROI_PX, *flats.shape[1:]), offset_adu).along_u
        figures["nnps_mm2"] = dict(zip(cut.frequency_per_mm.round(3).tolist(), cut.nnps_mm2.tolist(), strict=True))
    return figures


def restored(restore: Restore | None, thin: xsim.Radiograph, thick: xsim.Radiograph, noisy: bool) -> np.ndarray:
    """One image of a ruler, restored."""
    if restore is None:
        return thin.noisy if noisy else thin.clean
    told = thick.metadata
    if noisy:
        return restore(thick.noisy, told["a_pixel_adu"], told["b_adu2"])
    return restore(thick.clean, NO_NOISE_A, -NO_NOISE_A * told["offset_adu"])


def to_sharp_frame_db(restore: Restore, found: Rulers) -> float:
    """PSNR of restored bars against the thin screen's own noisy frames: all that is there of a real pair.

    Where both screens saw the same quanta, part of the noise that is left is in the reference as well.
    """
    errors = []
    for thin, thick in found.charts:
        sharp = thin.noisy - thin.metadata["offset_adu"]
        image = restored(restore, thin, thick, True) - thick.metadata["offset_adu"]
        inner = inside(sharp.shape)
        scale = float(np.vdot(sharp[inner], image[inner]) / np.vdot(sharp[inner], sharp[inner]))
        level = float(np.percentile(thick.clean, 99) - thick.metadata["offset_adu"])
        errors.append(np.mean((image - scale * sharp)[inner] ** 2) / level**2)
    return float(-10.0 * np.log10(np.mean(errors)))
