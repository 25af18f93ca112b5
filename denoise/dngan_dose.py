"""DNGAN trained without clean images: towards a frame of the same scene at a higher dose.

The corpus has a [second_exposure] in the beam of the first with another mAs, as the paper's pairs of 100 and 5 or
2 mAs:
noisy is the low dose, noisy_second the high one, which is brought to the scale of the first (`denoise.dngan.wanted`).
Its own noise is a part mAs / mAs_second of the variance of the first's: 0.05 or 0.02. What is regressed is the mean of
T of such a frame, below T(clean) by about that part of 1 / (2 T): 0.005 of a standard deviation for T = 5, which is
left as it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

import datagen
from denoise import dngan
from denoise.methods import Settings
from xsim import CorpusError

__all__ = ["METHOD", "prepare"]

LEAST_RATIO = 2.0  # of the two mAs


def prepare(views: list[datagen.CorpusView], settings: Settings) -> dict[str, Any]:
    """As `denoise.dngan.prepare`, of dose pairs only.

    Raises
    ------
    CorpusError
        The second exposures are of other beams, or of no higher dose.
    """
    ratios = []
    for view in views:
        table = view.table()
        if not np.array_equal(table["voltage_kv"], table["voltage_kv_second"], equal_nan=True):
            raise CorpusError(
                f"{view.corpus.path}: {view.format} has second exposures of another voltage (dual energy, no dose "
                "pairs) give [second_exposure] the voltage of the first"
            )
        if not np.allclose(table["mean_energy_kev"], table["mean_energy_kev_second"], rtol=1e-3):
            raise CorpusError(
                f"{view.corpus.path}: {view.format} has second exposures of another mean energy (other filters, no "
                "dose pairs) give [second_exposure] the filters of the first"
            )
        ratios.append(table["exposure_mas_second"] / table["exposure_mas"])
    least = float(np.concatenate(ratios).min())
    if not least >= LEAST_RATIO:
        raise CorpusError(
            f"{views[0].corpus.path}: second exposures of {least:.3g} times the mAs are no high dose (at least "
            f"{LEAST_RATIO:g} times) give [second_exposure] more"
        )
    return {**dngan.prepare(views, settings), "dose_ratio": [least, float(np.concatenate(ratios).max())]}


METHOD = replace(
    dngan.METHOD,
    images=("noisy", "noisy_second", "valid", "valid_second"),
    scalars=("offset_adu", "offset_adu_second", "exposure_mas", "exposure_mas_second"),
    prepare=prepare,
)
