"""Plots of a corpus. The only module here that knows matplotlib, and only when something is plotted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from datagen.distribution import Choice, Distribution, Integers, LogUniform, numbers_of
from datagen.drawn_values import DrawnValues
from xsim import CorpusError, write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["histogram_figure", "write_figure"]

DRAWN, ASKED = "#56b4e9", "#d55e00"
COLUMNS, PANEL_IN = 4, (3.2, 2.3)
BINS, MOST_BARS, LONGEST_WORDS = 24, 24, 40


def histogram_figure(drawn: DrawnValues, title: str) -> Figure:
    """A panel for each parameter: what was drawn as bars, what the file asks for as a line or as marks.

    Parameters
    ----------
    drawn : DrawnValues
    title : str
        Above all.

    Raises
    ------
    CorpusError
        Nothing was drawn, or matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure as NewFigure
    except ImportError:
        raise CorpusError("matplotlib is not installed (histograms need it) pip install 'xsim[plots]'") from None
    if not drawn.values:
        raise CorpusError(f"nothing to plot ({drawn.reason or 'the corpus file draws no value'}) leave histograms out")
    columns = min(COLUMNS, len(drawn.values))
    rows = -(-len(drawn.values) // columns)
    figure = NewFigure(figsize=(columns * PANEL_IN[0], rows * PANEL_IN[1] + 0.5), layout="constrained")
    figure.suptitle(title, fontsize=10, x=0.01, ha="left", parse_math=False)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, (name, values) in zip(panels, drawn.values.items(), strict=False):
        _panel(panel, np.asarray(values), drawn.asked.get(name), drawn.words.get(name))
        panel.set_title(name, fontsize=8, loc="left", parse_math=False)
        panel.tick_params(labelsize=7)
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels[len(drawn.values) :]:
        panel.set_visible(False)
    return figure


def _panel(panel: Axes, values: np.ndarray, asked: Distribution | None, words: list[Any] | None) -> None:
    found, counts = np.unique(values, return_counts=True)
    discrete = isinstance(asked, (Choice, Integers)) or len(found) == 1 or (asked is None and len(found) <= 3)
    if discrete and len(found) <= MOST_BARS:
        wanted = _expected_counts(asked, len(values))
        places = sorted({*found, *wanted})
        heights = dict(zip(found, counts, strict=True))
        panel.bar(range(len(places)), [heights.get(each, 0) for each in places], color=DRAWN, width=0.7)
        if wanted:
            panel.plot(range(len(places)), [wanted.get(each, 0) for each in places], "_", color=ASKED, ms=14, mew=2)
        panel.set_xticks(range(len(places)), [_label(each, words, len(places)) for each in places], parse_math=False)
        return
    if isinstance(asked, LogUniform):
        edges = np.geomspace(values.min(), values.max(), BINS + 1)
        panel.set_xscale("log")
    else:
        edges = np.linspace(values.min(), values.max(), BINS + 1)
    panel.hist(values, edges, color=DRAWN)
    below = None if asked is None else asked.share_below(edges)
    if below is not None:
        panel.stairs(len(values) * np.diff(below), edges, color=ASKED, lw=1.5)


def _expected_counts(asked: Distribution | None, count: int) -> dict[float, float]:
    """{value or code: expected number} of a choice or of whole numbers; empty where it is not known."""
    if isinstance(asked, Integers):
        low, high = asked.integers
        return {float(k): count / (high - low + 1) for k in range(low, high + 1)}
    if not isinstance(asked, Choice) or any(isinstance(option, Distribution) for option in asked.choice):
        return {}
    expected: dict[float, float] = {}
    for index, (option, share) in enumerate(zip(asked.choice, asked.shares, strict=True)):
        key = float(option) if numbers_of(asked) else float(asked.first_code + index)
        expected[key] = expected.get(key, 0.0) + share * count
    return expected


def _label(value: float, words: list[Any] | None, places: int) -> str:
    text, most = f"{value:g}" if words is None else str(words[int(value)]), max(3, LONGEST_WORDS // places)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def write_figure(path: Path, figure: Figure, mark: str) -> None:
    """Write a figure as a PNG that says what made it.

    Raises
    ------
    OutputError
        The folder is missing, full or read-only.
    """
    write_whole(path, lambda target: figure.savefig(target, format="png", dpi=110, metadata={"Software": mark}))
