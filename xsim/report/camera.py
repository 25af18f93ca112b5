"""The page of a camera: its numbers with their sources, and MTF, NPS, DQE, photon transfer, spectral response."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xsim.camera_figures import CameraFigures, measured_noise_power, measured_transfer
from xsim.cameras import NamedCamera
from xsim.errors import OutputError
from xsim.noise_power import NoisePowerCut
from xsim.photon_transfer import PhotonTransfer
from xsim.report import Page, Picture, Tile, figure_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["camera_page", "camera_plots"]

INK, MARK, SOFT = "#1c2126", "#0072b2", "#d55e00"


def camera_page(camera: NamedCamera, figures: CameraFigures) -> str:
    """HTML of a camera at its typical exposure.

    Raises
    ------
    OutputError
        matplotlib is not installed.

    """
    page = Page(camera.name, camera.about.title)
    page.tiles([Tile(name, value) for name, value in figures.table()])
    page.heading("At its typical exposure")
    page.paragraph(
        "Curves are theory unless they say that they were measured from simulated frames. Theory leaves out fixed "
        "pattern, noise that rows or columns share, and lag."
    )
    plots = camera_plots(camera, figures)
    page.pictures("", [Picture(figure_png(plot, 110), text, text) for text, plot in plots.items()], 24.0)
    page.heading("Numbers")
    rows = [(name, number(value), camera.about.source_of(name) or "not said") for name, value in camera.numbers.items()]
    page.table("Each number of the camera file, and where it comes from.", ("field", "value", "source"), rows)
    return page.html()


def camera_plots(camera: NamedCamera, figures: CameraFigures) -> dict[str, Figure]:
    """MTF, NPS, DQE, photon transfer and spectral response, by what they show."""
    power, transfer = measured_noise_power(camera), measured_transfer(camera, figures.open_share)
    return {
        "Modulation transfer: light and aperture of the pixel, along the rows.": mtf_plot(figures),
        "Noise power over the signal squared: theory, and measured from simulated frames.": nps_plot(figures, power),
        "Detective quantum efficiency at the typical exposure, noise of pixels included.": dqe_plot(figures),
        "Photon transfer of simulated frames, and the line fitted to it.": transfer_plot(transfer, figures.black_adu),
        "Of a photon that arrives: chance to leave energy, and Swank factor of what it leaves.": response_plot(figures),
        "Light of a photon that arrives, in keV at the sensor's side of the screen.": light_plot(figures),
    }


def number(value: object) -> str:
    """A number of a camera file, or how many a list has."""
    return f"list of {len(value)}" if isinstance(value, list) else f"{value:g}"


def blank(title: str, across: str, up: str) -> tuple[Figure, Axes]:
    """A figure with one panel."""
    try:
        from matplotlib.figure import Figure as NewFigure
    except ImportError:
        raise OutputError("matplotlib is not installed (plots need it) pip install 'xsim[plots]'") from None
    figure = NewFigure(figsize=(5.2, 3.6), layout="constrained")
    panel = figure.subplots()
    panel.set_title(title, loc="left", fontsize=10)
    panel.set_xlabel(across)
    panel.set_ylabel(up)
    panel.grid(color="#d5dbe0", lw=0.6)
    panel.margins(x=0)
    return figure, panel


def mtf_plot(figures: CameraFigures) -> Figure:
    """MTF to Nyquist."""
    figure, panel = blank("MTF", "1/mm", "")
    panel.plot(figures.theory.frequency_per_mm, figures.theory.mtf, color=MARK)
    panel.set_ylim(0, 1.02)
    return figure


def nps_plot(figures: CameraFigures, power: NoisePowerCut) -> Figure:
    """NNPS, theory as a line, simulated frames as points."""
    figure, panel = blank("NNPS", "1/mm", "mm²")
    panel.plot(figures.theory.frequency_per_mm, figures.theory.nnps_mm2, color=MARK, label="theory")
    seen = power.frequency_per_mm <= figures.theory.frequency_per_mm[-1]
    panel.plot(
        power.frequency_per_mm[seen], power.nnps_mm2[seen], "o", ms=3, mfc="none", color=SOFT, label="simulated frames"
    )
    panel.set_yscale("log")
    panel.legend(frameon=False)
    return figure


def dqe_plot(figures: CameraFigures) -> Figure:
    """DQE to Nyquist."""
    figure, panel = blank("DQE", "1/mm", "")
    panel.plot(figures.theory.frequency_per_mm, figures.theory.dqe, color=MARK)
    panel.set_ylim(0, 1)
    return figure


def transfer_plot(transfer: PhotonTransfer, black_adu: float) -> Figure:
    """Variance against mean above darkness, both logarithmic."""
    figure, panel = blank("Photon transfer", "mean above darkness, ADU", "variance of a pixel, ADU²")
    above = transfer.mean_adu - black_adu
    signal = np.geomspace(above.min(), above.max(), 100)
    line = transfer.slope_adu * (signal + black_adu) + transfer.intercept_adu2
    panel.plot(signal[line > 0], line[line > 0], color=MARK, label=f"slope {transfer.slope_adu:.3g} ADU")
    panel.plot(above, transfer.variance_adu2, "o", ms=4, mfc="none", color=SOFT, label="simulated pairs")
    panel.set_yscale("log")
    panel.set_xscale("log")
    panel.set_ylim(bottom=0.5 * float(transfer.variance_adu2[transfer.variance_adu2 > 0].min()))
    panel.legend(frameon=False)
    return figure


def response_plot(figures: CameraFigures) -> Figure:
    """A_Q and A_S over energy."""
    figure, panel = blank("Spectral response", "keV", "")
    theory = figures.theory
    panel.plot(theory.energy_kev, theory.absorption, color=MARK, label="A_Q")
    panel.plot(theory.energy_kev, theory.swank, color=SOFT, ls="--", label="A_S")
    panel.set_ylim(0, 1.02)
    panel.legend(frameon=False)
    return figure


def light_plot(figures: CameraFigures) -> Figure:
    """Light of a photon over its energy."""
    figure, panel = blank("Light of a photon", "keV", "keV")
    panel.plot(figures.theory.energy_kev, figures.theory.light_kev, color=MARK)
    panel.plot(figures.theory.energy_kev, figures.theory.energy_kev, color=INK, lw=0.7, ls=":", label="all its energy")
    panel.legend(frameon=False)
    return figure
