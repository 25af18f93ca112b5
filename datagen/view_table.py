"""Tables of a store as columns: words decoded, whole numbers as such."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["decoded"]


def decoded(
    values: np.ndarray, columns: Sequence[str], words: dict[str, list[Any]], whole: Sequence[str]
) -> dict[str, np.ndarray]:
    """Columns by name.

    Parameters
    ----------
    values : float64 [row, column]
        NaN where a value does not apply.
    columns : sequence of str
    words : dict
        {column: list that its numbers point into}.
    whole : sequence of str
        Columns of whole numbers.

    Returns
    -------
    dict of [row]
        Words: str, "" where they do not apply. Whole numbers: int64, where all of a column apply. Else float64.
    """
    found: dict[str, np.ndarray] = {}
    for place, name in enumerate(columns):
        column = values[:, place]
        lacking = np.isnan(column)
        if name in words:
            known = np.array([str(word) for word in words[name]] + [""])
            found[name] = known[np.where(lacking, len(known) - 1, column).astype(np.int64)]
        elif name in whole and not lacking.any():
            found[name] = column.astype(np.int64)
        else:
            found[name] = column.copy()
    return found
