"""Plots of a restoration. The only module here that knows matplotlib, and only when something is plotted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from denoise.detection import Hunt
from xsim import ModelError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["LINES", "found_plot", "loss_plot", "profile_plot"]

# colour, width, dash: told apart without colour as well
LINES = {
    "noisy": ("#9aa5ae", 0.7, "-"),
    "Gaussian": ("#d55e00", 1.3, "--"),
    "restored": ("#0072b2", 1.6, "-"),
    "clean": ("#111111", 1.0, ":"),
}
SURROUND_PX = 12  # shown around the part
FOUND, MISSED = "#39d353", "#ff9f1c"


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
