"""The page of an audit: the verdict first, then what it rests on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from denoise.audit import Audit
from denoise.audit_verdict import ROSE, Limits, Line, overall, told
from denoise.repeats import tiles_of
from xsim import Page, Picture, Tile, grey_png

__all__ = ["write_page"]

LARGEST_PX = 768  # a side of a picture; larger images are shown by every n-th pixel
WORDS = {"pass": "PASS", "fail": "FAIL", "undecided": "UNDECIDED"}
MAP_RANGE_DB = 20.0


def write_page(path: Path, audit: Audit, lines: list[Line], limits: Limits, name: str, source: str) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
    audit : Audit
    lines : list of Line
    limits : Limits
    name, source : str
        Of the model, and of the frames.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    page = Page(
        f"Audit of {name}: {WORDS[overall(lines)]}",
        f"{audit.frames} repeated frames of {audit.rows} x {audit.columns} pixels ({source}). No clean image was used: "
        "the scene is what all frames have in common.",
    )
    page.tiles(tiles(audit))
    page.table(
        "Verdict", ["question", "word", "found", "why"],
        [(line.question, WORDS[line.word], line.figure, line.why) for line in lines],
    )  # fmt: skip
    if audit.contrast:
        add_contrast(page, audit, limits)
    add_removed(page, audit)
    add_pictures(page, audit)
    add_regions(page, audit)
    page.write(path)


def tiles(audit: Audit) -> list[Tile]:
    gain, share = audit.gain_db, audit.structure_share
    return [
        Tile("error against noisy frames", "-" if gain is None else f"{gain.value:+.2f} dB",
             "not told" if gain is None else f"{gain.low:+.2f} to {gain.high:+.2f}"),
        Tile("bias", f"{100 * audit.bias.share:+.3f} %", f"standard error {100 * audit.bias.error:.4f} %"),
        Tile("structure in what was taken away", f"{100 * share.value:.2f} %",
             f"{100 * share.low:.2f} to {100 * share.high:.2f}"),
        Tile("outside the trained range", f"{100 * audit.range.outside_share:.2f} %", "of the pixels"),
    ]  # fmt: skip


def add_contrast(page: Page, audit: Audit, limits: Limits) -> None:
    page.heading("Contrast of inserted spheres")
    page.paragraph(
        "Spheres were inserted into the frames as the camera would have recorded them, the frames restored with and "
        "without. Recovered is the share of the shadow that is left: 100 % is all of it, 0 % a sphere that was erased. "
        f"A signal-to-noise ratio of {ROSE:g} in a noisy frame is what is seen for sure."
    )
    page.table(
        "Means over the places, with the 95 % interval of the mean",
        ["diameter", "recovered", "contrast inserted", "SNR in a noisy frame", "places"],
        [
            (f"{each.diameter_mm:g} mm", told(each), f"{100 * each.contrast:.3g} %", f"{each.signal_to_noise:.3g}",
             each.places)
            for each in audit.contrast or ()
        ],
    )  # fmt: skip


def add_removed(page: Page, audit: Audit) -> None:
    page.heading("What was taken away")
    share = audit.structure_share
    page.paragraph(
        f"Of noisy - restored, {100 * share.value:.2f} % ({100 * share.low:.2f} to {100 * share.high:.2f}) is the same "
        "in every frame: the scene, not noise. What changes from frame to frame should be correlated as the noise is; "
        "the slower part of the noise that stays behind is missing in it."
    )
    if audit.noise_correlation is None or audit.removed_correlation is None:
        return
    middle = audit.noise_correlation.shape[0] // 2
    lags = {"next in the row": (0, 1), "next in the column": (1, 0), "across the corner": (1, 1), "two further": (0, 2)}
    page.table(
        "Correlation with a neighbour", ["neighbour", "noise", "taken away"],
        [
            (name, *(f"{c[middle + j, middle + i]:+.3f}" for c in (audit.noise_correlation, audit.removed_correlation)))
            for name, (j, i) in lags.items()
        ],
    )  # fmt: skip


def add_pictures(page: Page, audit: Audit) -> None:
    low, high = (float(p) for p in np.percentile(audit.restored_mean, [0.5, 99.5]))
    shape, sd = audit.mean.shape, audit.noise_variance_adu2.value**0.5
    change = audit.restored_mean - audit.mean
    gains = spread(np.nan_to_num(audit.gain_map_db, nan=MAP_RANGE_DB), shape)
    noise = spread(np.nan_to_num(audit.range.noise_sd_map, nan=1.0), shape)
    page.heading("Where")
    page.pictures(
        "Grey values of both means are shown alike.",
        [
            Picture(shown(audit.mean, low, high), "mean of the frames", "mean frame"),
            Picture(shown(audit.restored_mean, low, high), "mean of the restored frames", "mean restored frame"),
            Picture(
                shown(change, -0.5 * sd, 0.5 * sd),
                "restored - noisy means, black and white half a noise's standard deviation: structure here is bias",
                "difference of the means",
            ),
            Picture(shown(gains, 0.0, MAP_RANGE_DB), f"gain by tile, black 0, white {MAP_RANGE_DB:g} dB", "gain map"),
            Picture(
                shown(audit.range.outside.astype(np.float64), 0.0, 1.0),
                "white: level outside the trained range", "map of what is outside the trained range",
            ),
            Picture(shown(noise, 0.8, 1.2), "noise over what a and b say, black 0.8, white 1.2", "noise map"),
        ],
        least_width_rem=18.0, pixels=True,
    )  # fmt: skip


def add_regions(page: Page, audit: Audit) -> None:
    page.heading("Bias by region")
    worst = sorted(audit.bias_by_tile, key=lambda region: -region.sure_share)[:6]
    page.table(
        "Mean of restored - noisy over the signal above black; what is sure is beyond chance over all regions (5 %)",
        ["region", "signal, ADU", "bias, %", "standard error, %", "sure, %"],
        [
            (r.region, f"{r.signal_adu:.0f}", f"{100 * r.share:+.3f}", f"{100 * r.error:.3f}",
             f"{100 * r.sure_share:.3f}")
            for r in [audit.bias, *audit.bias_by_level, *worst]
        ],
    )  # fmt: skip


def spread(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Image of a value of each tile."""
    image = np.zeros(shape)
    for tile, value in zip(tiles_of(shape), values, strict=True):
        image[tile] = value
    return image


def shown(image: np.ndarray, low: float, high: float) -> bytes:
    step = -(-max(image.shape) // LARGEST_PX)
    return grey_png(image[::step, ::step], low, high)
