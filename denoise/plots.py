"""Plots of a restoration. The only module here that knows matplotlib, and only when something is plotted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from denoise.detection import Hunt
from xsim import ModelError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["LINES", "Curve", "Panel", "curves_plot", "found_plot", "loss_plot", "profile_plot"]

# colour, width, dash: told apart without colour as well
LINES = {
    "noisy": ("#9aa5ae", 0.7, "-"),
    "Gaussian": ("#d55e00", 1.3, "--"),
    "restored": ("#0072b2", 1.6, "-"),
    "clean": ("#111111", 1.0, ":"),
}
SURROUND_PX = 12  # shown around the part
FOUND, MISSED = "#39d353", "#ff9f1c"
# of models and of filters, in their order: safe for colour-blind eyes, and told apart by their dash as well
MODELS = (("#0072b2", "-"), ("#cc3311", "-"), ("#117733", "-"), ("#aa4499", "-"), ("#6a3d9a", "-"), ("#111111", "-"))
FILTERS = (("#d55e00", "--"), ("#b8860b", "-."), ("#44aa99", "--"), ("#882255", "-."), ("#999933", "--"))


@dataclass(frozen=True)
class Curve:
    """A line of a panel.

    Attributes
    ----------
    name : str
    kind : {"noisy", "filter", "model", "clean"}
    x, y : float64 [point]
    low, high : float64 [point], optional
        Ends of the bar at each point.
    """

    name: str
    kind: str
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None


@dataclass(frozen=True)
class Panel:
    """Axes with curves: labels, limits, whether an axis is logarithmic, and whether its numbers are no powers."""

    title: str
    x_label: str
    y_label: str
    curves: Sequence[Curve]
    x_limits: tuple[float, float] | None = None
    y_limits: tuple[float, float] | None = None
    log_x: bool = False
    log_y: bool = False
    plain_x: bool = False


def curves_plot(panels: Sequence[Panel]) -> Figure:
    """Panels side by side under one legend; a restoration has the same line in all of them."""
    figure = _figure(4.9 * len(panels), 4.3)
    names = {curve.name: curve.kind for panel in panels for curve in panel.curves}
    styles = _styles(names)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for curve in panel.curves:
            colour, dash, width = styles[curve.name]
            axes.plot(curve.x, curve.y, color=colour, ls=dash, lw=width, label=curve.name)
            if curve.low is not None and curve.high is not None:
                axes.vlines(curve.x, curve.low, curve.high, color=colour, lw=0.8, alpha=0.6)
                axes.plot(curve.x, curve.y, "o", color=colour, ms=3.5)
        axes.set_title(panel.title, loc="left", fontsize=10)
        axes.set(xlabel=panel.x_label, ylabel=panel.y_label)
        axes.set_xscale("log" if panel.log_x else "linear")
        if panel.plain_x:
            for ticks in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
                ticks("{x:g}")
        axes.set_yscale("log" if panel.log_y else "linear")
        axes.set(**{key: limits for key, limits in (("xlim", panel.x_limits), ("ylim", panel.y_limits)) if limits})
        axes.grid(color="#e3e7ea", lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    lines = {line.get_label(): line for axes in figure.axes for line in axes.get_lines() if line.get_label() in names}
    figure.legend([lines[name] for name in names], list(names), ncols=min(len(names), 6), frameon=False,
                  loc="outside upper center", fontsize=9)  # fmt: skip
    return figure


def _styles(names: Mapping[str, str]) -> dict[str, tuple[str, Any, float]]:
    """Colour, dash and width of each restoration by name and kind."""
    styles: dict[str, tuple[str, Any, float]] = {}
    for kind, series, width in (("model", MODELS, 2.0), ("filter", FILTERS, 1.3)):
        of_kind = [name for name, each in names.items() if each == kind]
        styles |= {name: (*series[k % len(series)], width) for k, name in enumerate(of_kind)}
    fixed = {"noisy": ("#8a949c", "-", 1.3), "clean": ("#111111", ":", 1.5)}
    return styles | {name: fixed[kind] for name, kind in names.items() if kind in fixed}


def _figure(width_in: float, height_in: float) -> Figure:
    try:
        from matplotlib.figure import Figure as NewFigure
    except ImportError:
        raise ModelError("matplotlib is not installed (plots need it) pip install 'xsim[train]'") from None
    return NewFigure(figsize=(width_in, height_in), layout="constrained")


def profile_plot(profiles: Mapping[str, Mapping[str, np.ndarray]], pitch_mm: float) -> Figure:
    """Pixel values along a line.

    Parameters
    ----------
    profiles : {title: {"noisy" | "Gaussian" | "restored" | "clean": [column] ADU}}
        One panel each, below each other.
    pitch_mm : float
        Of the detector.
    """
    figure = _figure(11, 2.8 * len(profiles))
    panels = figure.subplots(len(profiles), 1, sharex=True, squeeze=False)[:, 0]
    for panel, (title, lines) in zip(panels, profiles.items(), strict=True):
        for name, values in lines.items():
            colour, width, dash = LINES[name]
            panel.plot(np.arange(len(values)) * pitch_mm, values, color=colour, lw=width, ls=dash, label=name)
        smooth = np.concatenate([values for name, values in lines.items() if name != "noisy"])
        spread = float(np.ptp(smooth))
        panel.set_ylim(smooth.min() - 0.5 * spread, smooth.max() + 0.5 * spread)
        panel.set_ylabel("pixel value, ADU")
        panel.set_title(title, loc="left", fontsize=10)
        panel.margins(x=0)
        panel.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel("distance along the detector row, mm")
    lines, names = panels[0].get_legend_handles_labels()
    figure.legend(lines, names, ncols=len(names), frameon=False, loc="outside upper right", fontsize=9)
    return figure


def found_plot(
    panels: Sequence[tuple[str, np.ndarray, Hunt]], labels: np.ndarray, window: tuple[float, float]
) -> Figure:
    """Images side by side with the spheres found (whole circle), missed (broken circle) and false alarms (cross).

    Parameters
    ----------
    panels : sequence of (title, image [row, column] ADU, what was found in it)
    labels : uint16 [row, column]
    window : lowest and highest pixel value shown
    """
    part = np.nonzero(ndimage.binary_dilation(labels > 0, iterations=SURROUND_PX))
    first, last = np.min(part, axis=1), np.max(part, axis=1)
    rows, columns = last - first
    figure = _figure(5.6 * len(panels), 5.6 * rows / columns + 0.5)
    for axes, (title, image, found) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        axes.imshow(image, cmap="gray", vmin=window[0], vmax=window[1], interpolation="nearest")
        for chosen, colour, dash in ((found.found, FOUND, "-"), (found.missed, MISSED, (0, (2, 2)))):
            for label in chosen:
                _circle(axes, labels, label, colour, dash)
        alarms = _middles(found.alarms)
        axes.plot(alarms[:, 1], alarms[:, 0], "x", color="#ff4d4d", ms=6, mew=1.3)
        total = len(found.found) + len(found.missed)
        axes.set_title(f"{title}: {len(found.found)} of {total} found, {len(alarms)} false alarms", fontsize=11)
        axes.set(xlim=(first[1], last[1]), ylim=(last[0], first[0]))
        axes.set_axis_off()
    return figure


def _circle(axes: Axes, labels: np.ndarray, label: int, colour: str, dash: Any) -> None:
    from matplotlib.patches import Circle

    rows, columns = np.nonzero(labels == label)
    radius = max(np.ptp(rows), np.ptp(columns)) / 2 + 4
    middle = ((columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2)
    axes.add_patch(Circle(middle, radius, fill=False, color=colour, lw=1.3, ls=dash))


def _middles(alarms: np.ndarray) -> np.ndarray:
    """Row and column of each group of touching pixels, [group, 2]."""
    groups, count = ndimage.label(alarms, np.ones((3, 3)))
    return np.array(ndimage.center_of_mass(alarms, groups, range(1, count + 1))).reshape(count, 2)


def loss_plot(log: Sequence[Mapping[str, str]]) -> Figure:
    """Loss against steps, from the rows of a training log."""
    figure = _figure(11, 3.0)
    axes = figure.subplots()
    steps = [int(row["step"]) for row in log]
    axes.plot(steps, [float(row["train_loss"]) for row in log], color="#9aa5ae", lw=0.9, label="training")
    held = [(int(row["step"]), float(row["val_loss"])) for row in log if row["val_loss"]]
    if held:
        axes.plot(
            *zip(*held, strict=True), "o-", color="#0072b2", ms=3, lw=1.3, label="scenes held out, averaged weights"
        )
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("mean squared error")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    return figure
