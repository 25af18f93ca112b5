"""The corrections of a station: dark and gain frames with noise of their own, and bad pixels filled from good ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Calibration", "Repair", "flat_factors", "plan_repair"]

LEAST_RESPONSE = 0.05  # a pixel that shows less than this share of the mean open beam is not divided by its own
AROUND = tuple((j, i) for j in (-1, 0, 1) for i in (-1, 0, 1) if j or i)


@dataclass(frozen=True)
class Repair:
    """Passes over bad pixels, a patch from outside in: places [bad], neighbours and their shares [bad, 8]."""

    passes: tuple[tuple[Any, Any, Any], ...]

    def fill(self, image: Any) -> None:
        """Replace the bad pixels of [repeat, pattern] float32, in place."""
        for places, neighbours, shares in self.passes:
            total = image[:, neighbours[:, 0]] * shares[:, 0]
            for k in range(1, neighbours.shape[1]):  # one fixed order of addition
                total = total + image[:, neighbours[:, k]] * shares[:, k]
            image[:, places] = total


@dataclass(frozen=True)
class Calibration:
    """What corrects a frame: corrected = (raw - dark) flat + pedestal, then the repair.

    Attributes
    ----------
    dark : float32 [pattern] ADU
        Mean of the dark frames; None in the raw state.
    flat : float32 [pattern]
        Mean over the good pixels of the gain frames less dark, over each pixel's own; None without a gain correction.
    ideal_flat : float32 [pattern]
        The same of an ideal camera without noise: the shading of the open beam alone.
    repair : Repair or None

    """

    dark: Any = None
    flat: Any = None
    ideal_flat: Any = None
    repair: Repair | None = None


def flat_factors(response: Any, good: Any, xp: Any) -> Any:
    """Mean response of the good pixels over that of each; 1 where a pixel hardly responds."""
    mean = xp.mean(response[good], dtype=np.float64) if bool(good.any()) else 1.0
    level = np.float32(float(mean))
    answers = response > np.float32(LEAST_RESPONSE) * level
    return xp.where(answers, level / xp.where(answers, response, level), np.float32(1.0))


def plan_repair(defects: np.ndarray, xp: Any) -> Repair:
    """How to fill bad pixels: each by the mean of its good or filled neighbours of eight, patches from outside in.

    Parameters
    ----------
    defects : uint8 [row, column]
        0 where a pixel is good; on the host. A line camera has one row.

    """
    bad, passes = defects != 0, []
    rows, columns = bad.shape
    while bad.any() and not bad.all():
        known = np.pad(~bad, 1)
        near = np.stack([known[1 + j : 1 + j + rows, 1 + i : 1 + i + columns] for j, i in AROUND], axis=-1)
        ready = bad & near.any(axis=-1)
        row, column = np.nonzero(ready)
        at = [np.clip(p[:, None] + [d[k] for d in AROUND], 0, n - 1) for k, (p, n) in
              enumerate(((row, rows), (column, columns)))]  # fmt: skip
        shares = near[ready] / near[ready].sum(axis=-1, keepdims=True)
        found = (row * columns + column, at[0] * columns + at[1], shares.astype(np.float32))
        passes.append(tuple(map(xp.asarray, found)))
        bad = bad & ~ready
    return Repair(tuple(passes))
