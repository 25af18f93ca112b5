"""``xsim detectors``: list, compare and show cameras."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xsim.cameras import NamedCamera, named_camera, named_cameras

if TYPE_CHECKING:
    from xsim.camera_figures import CameraFigures

__all__ = ["add_detectors"]


def add_detectors(parser: argparse.ArgumentParser) -> None:
    """Give ``xsim detectors`` its commands; by itself it lists."""
    parser.set_defaults(run=run_list)
    commands = parser.add_subparsers(metavar="COMMAND")
    add = commands.add_parser("list", help="the cameras that ship, a line each (default)")
    add.set_defaults(run=run_list)
    add = commands.add_parser(
        "compare",
        help="figures of several cameras side by side, each at its own typical exposure",
        epilog="example: xsim detectors compare generic-linescan-gos-400um c14300-like",
    )
    add.add_argument("names", nargs="+", metavar="NAME", help="a preset, or a camera file (.toml)")
    add.set_defaults(run=run_compare)
    add = commands.add_parser(
        "show",
        help="every number of a camera with its source; with -o a page of MTF, NPS, DQE, photon transfer, response",
        epilog="example: xsim detectors show xrd1621-like -o xrd1621.html",
    )
    add.add_argument("name", metavar="NAME", help="a preset, or a camera file (.toml)")
    add.add_argument("-o", "--output", type=Path, help="HTML file to write (needs matplotlib)")
    add.set_defaults(run=run_show)


def run_list(options: argparse.Namespace) -> None:
    """Print a line a camera."""
    rows = [("name", "pixels", "pitch_mm", "screen", "mg/cm2", "bits", "sources*", "title")]
    for camera in named_cameras():
        detector, found = camera.detector, camera.sourced()
        pixels = f"{detector.columns}" if detector.kind == "line_scan" else f"{detector.columns}x{detector.rows}"
        screen = detector.scintillator
        sources = "/".join(str(found[kind]) for kind in ("data sheet", "literature", "placeholder"))
        size = (pixels, f"{detector.pitch_mm:g}")
        light = (material_name(screen.material), f"{screen.areal_density_mg_cm2:g}")
        rows.append((camera.name, *size, *light, str(detector.sensor.adc_bits), sources, camera.about.title))
    print_table(rows)
    print("\n* numbers from a data sheet / from literature / placeholders.")
    print("A number from no data sheet describes a class, not a product. Each one's source: xsim detectors show NAME")


def run_compare(options: argparse.Namespace) -> None:
    """Print figures side by side."""
    from xsim.camera_figures import camera_figures

    found = [camera_figures(named_camera(name)) for name in options.names]
    rows: list[Sequence[str]] = [("", *(each.name for each in found))]
    for label, *values in zip(*(each.table() for each in found), strict=True):
        rows.append((label[0], label[1], *(value[1] for value in values)))
    print_table(rows)


def run_show(options: argparse.Namespace) -> None:
    """Print a camera's numbers and figures; write its page."""
    from xsim.camera_figures import camera_figures

    camera = named_camera(options.name)
    print(f"{camera.name}: {camera.about.title}")
    print_table([(field, format_number(value), camera.about.source_of(field) or "source not said")
                 for field, value in camera.numbers.items()])  # fmt: skip
    figures = camera_figures(camera)
    print()
    print_table(figures.table())
    if options.output is not None:
        write_page(options.output, camera, figures)
        print(f"\nwritten to {options.output}")


def write_page(path: Path, camera: NamedCamera, figures: CameraFigures) -> None:
    """The page of one camera, whole or not at all."""
    from xsim.image_io import write_whole
    from xsim.report.camera import camera_page

    text = camera_page(camera, figures)
    write_whole(path, lambda target: target.write_text(text, encoding="utf-8"))


def material_name(material: str | dict[str, Any]) -> str:
    """A material as a word."""
    return material if isinstance(material, str) else str(material.get("formula") or material.get("name") or "mixture")


def format_number(value: Any) -> str:
    """A number, or how many a list has."""
    return f"list of {len(value)}" if isinstance(value, list) else f"{value:g}"


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns aligned to the left; the last is as wide as it likes."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]) - 1)]
    for row in rows:
        print("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip())
