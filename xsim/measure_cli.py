"""The ``measure`` command: rulers on image files, as a table, JSON or CSV."""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from xsim import quality
from xsim.errors import MeasurementError
from xsim.frames import Frames, read_frames, region

__all__ = ["add_measure_commands"]


@dataclass(frozen=True)
class Finding:
    """What a ruler found: numbers by name, and curves of equal length by name."""

    numbers: Mapping[str, Any]
    curves: Mapping[str, np.ndarray] = field(default_factory=dict)


def add_measure_commands(parser: argparse.ArgumentParser) -> None:
    """Commands of ``xsim measure``."""
    parser.epilog = "example: xsim measure snr out/noisy.tif --roi 0:128,0:128 (each ruler has its own --help)"
    commands = parser.add_subparsers(required=True, metavar="RULER")
    add = ruler(commands, "snr", "mean, noise and signal-to-noise ratio of a flat region", snr,
                "xsim measure snr out/noisy.tif --roi 0:128,0:128 --isrb-mm 0.2")  # fmt: skip
    add.add_argument("--isrb-mm", type=float, help="basic spatial resolution, for the normalised SNR")
    add = ruler(commands, "cnr", "contrast of the region --roi to noise of the region --background", cnr,
                "xsim measure cnr out/noisy.tif --roi 60:70,60:70 --background 0:40,0:128")  # fmt: skip
    add.add_argument("--background", required=True, metavar="r0:r1,c0:c1", help="region beside the object")
    add = ruler(commands, "mtf", "modulation transfer function of a slanted edge", mtf,
                "xsim measure mtf edge.tif --roi 100:356,100:356 --pitch-mm 0.2")  # fmt: skip
    edge_options(add)
    add = ruler(commands, "nps", "noise power spectrum of flat frames (IEC 62220-1)", nps,
                "xsim measure nps out/noisy.tif --roi-px 256 --csv")  # fmt: skip
    noise_options(add)
    add = ruler(commands, "dqe", "detective quantum efficiency from flat frames and an edge", dqe,
                "xsim measure dqe flat.tif --edge edge.tif --fluence-per-mm2 2.5e5")  # fmt: skip
    noise_options(add)
    add.add_argument("--edge", type=Path, required=True, help="image of a slanted edge")
    add.add_argument("--edge-roi", metavar="r0:r1,c0:c1", help="region of it")
    add.add_argument("--fluence-per-mm2", type=float, required=True, help="quanta that fall on a mm2 in a flat frame")
    edge_options(add)
    ruler(commands, "ptc", "photon transfer: variance against mean, one file of two frames or more a level", ptc,
          "xsim measure ptc dark.tif low.tif middle.tif high.tif")  # fmt: skip
    add = ruler(commands, "correlation", "correlation of the noise of neighbouring pixels", correlation,
                "xsim measure correlation out/noisy.tif --reach-px 8")  # fmt: skip
    add.add_argument("--reach-px", type=int, default=8, help="greatest lag (default 8)")


def ruler(
    commands: Any, name: str, text: str, measure: Callable[[argparse.Namespace], Finding], example: str
) -> argparse.ArgumentParser:
    """A command with what all rulers take."""
    add: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text, epilog=f"example: {example}")
    add.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="TIFF or npy: an image or a stack")
    add.add_argument("--roi", metavar="r0:r1,c0:c1", help="rows and columns to measure, ends exclusive")
    add.add_argument("--pitch-mm", type=float, help="pixel pitch (default: the file's metadata)")
    add.add_argument("--offset-adu", type=float, help="value without radiation (default: the metadata's, or 0)")
    form = add.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--csv", action="store_true", help="print CSV: the curves, or the numbers where there are none")
    add.set_defaults(run=lambda options: show(measure(options), options))
    return add


def edge_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--oversampling", type=int, default=8, help="bins across the edge per pixel (default 8)")
    parser.add_argument("--reach-px", type=float, help="half the width of the line spread (default: all, up to 50)")


def noise_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--roi-px", type=int, default=256, help="side of a transformed region (default 256)")
    parser.add_argument("--window", choices=("none", "hann"), default="none",
                        help="weight of a region (default none, as in the standard)")  # fmt: skip


def frames(options: argparse.Namespace) -> Frames:
    return read_frames(options.images, region(options.roi) if options.roi else None)


def offset_adu(options: argparse.Namespace, found: Frames) -> float:
    given: float | None = options.offset_adu
    return given if given is not None else found.told("offset_adu") or 0.0


def pitch_mm(options: argparse.Namespace, found: Frames) -> float:
    pitch: float | None = options.pitch_mm if options.pitch_mm is not None else found.told("pitch_mm")
    if pitch is None:
        raise MeasurementError(f"pixel pitch of {options.images[0]} unknown (frequencies need it) give --pitch-mm")
    if not 0 < pitch < float("inf"):
        raise MeasurementError(f"pixel pitch {pitch:g} mm (must be above 0) give --pitch-mm")
    return pitch


def snr(options: argparse.Namespace) -> Finding:
    found = frames(options)
    return Finding(numbers_of(quality.signal_to_noise(found.pixels, offset_adu(options, found),
                                                      options.isrb_mm)))  # fmt: skip


def cnr(options: argparse.Namespace) -> Finding:
    if not options.roi:
        raise MeasurementError("no object region given (contrast is between two regions) give --roi and --background")
    inside, beside = frames(options), read_frames(options.images, region(options.background))
    offset = offset_adu(options, inside)
    return Finding(numbers_of(quality.contrast_to_noise(inside.pixels, beside.pixels, offset)))


def mtf(options: argparse.Namespace) -> Finding:
    found = frames(options)
    edge = edge_mtf(found.pixels, pitch_mm(options, found), options)
    kept = slice(None, None, max(1, round(len(edge.mtf) / 41)))
    numbers = {"angle_deg": edge.angle_deg, "across": edge.across, "nyquist_per_mm": edge.nyquist_per_mm,
               "mtf_at_nyquist": float(edge.at(edge.nyquist_per_mm)), "mtf50_per_mm": edge.frequency_of(0.5),
               "mtf20_per_mm": edge.frequency_of(0.2), "mtf10_per_mm": edge.frequency_of(0.1)}  # fmt: skip
    return Finding(numbers, {"frequency_per_mm": edge.frequency_per_mm[kept], "mtf": edge.mtf[kept]})


def edge_mtf(pixels: np.ndarray, pitch: float, options: argparse.Namespace) -> quality.EdgeMtf:
    if not 2 <= options.oversampling <= 64:
        raise MeasurementError(f"--oversampling {options.oversampling} (2 to 64 make sense) choose 8")
    if options.reach_px is not None and options.reach_px < 2:
        raise MeasurementError(f"--reach-px {options.reach_px:g} is too short (2 pixels at least) leave it out")
    return quality.slanted_edge_mtf(pixels, pitch, options.oversampling, options.reach_px)


def nps(options: argparse.Namespace) -> Finding:
    found = frames(options)
    power = noise_power(found, options)
    u, v = power.along_u, power.along_v
    numbers = {"mean_adu": power.mean_adu, "regions": power.rois, "roi_px": power.roi_px}
    return Finding(numbers, {"frequency_per_mm": u.frequency_per_mm, "nps_u_adu2_mm2": u.nps_adu2_mm2,
                             "nps_v_adu2_mm2": v.nps_adu2_mm2, "nnps_u_mm2": u.nnps_mm2,
                             "nnps_v_mm2": v.nnps_mm2})  # fmt: skip


def noise_power(found: Frames, options: argparse.Namespace) -> quality.NoisePower:
    offset = offset_adu(options, found)
    return quality.noise_power(found.pixels, pitch_mm(options, found), options.roi_px, offset, window=options.window)


def dqe(options: argparse.Namespace) -> Finding:
    found = frames(options)
    power = noise_power(found, options)
    pixels = read_frames([options.edge], region(options.edge_roi) if options.edge_roi else None).pixels
    edge = edge_mtf(pixels, pitch_mm(options, found), options)
    cut = power.along_u if edge.across == "columns" else power.along_v
    curve = quality.detective_quantum_efficiency(edge, cut, options.fluence_per_mm2)
    numbers = {"mean_adu": power.mean_adu, "across": edge.across, "angle_deg": edge.angle_deg}
    return Finding(numbers, {"frequency_per_mm": curve.frequency_per_mm, "mtf": edge.at(curve.frequency_per_mm),
                             "nnps_mm2": cut.nnps_mm2, "dqe": curve.dqe})  # fmt: skip


def ptc(options: argparse.Namespace) -> Finding:
    chosen = region(options.roi) if options.roi else None
    curve = quality.photon_transfer([read_frames([file], chosen).pixels for file in options.images])
    numbers = {"slope_adu": curve.slope_adu, "slope_error_adu": curve.slope_error_adu,
               "intercept_adu2": curve.intercept_adu2, "gain_adu": curve.gain_adu,
               "full_well_adu": curve.full_well_adu}  # fmt: skip
    return Finding(numbers, {"mean_adu": curve.mean_adu, "variance_adu2": curve.variance_adu2,
                             "used": curve.used.astype(int)})  # fmt: skip


def correlation(options: argparse.Namespace) -> Finding:
    if options.reach_px < 1:
        raise MeasurementError(f"--reach-px {options.reach_px} (neighbours are 1 away at least) give 1 or more")
    found = quality.neighbour_correlation(frames(options).pixels, options.reach_px)
    middle = options.reach_px
    curves = {"lag_px": np.arange(middle + 1), "along_columns": found.coefficient[middle, middle:],
              "along_rows": found.coefficient[middle:, middle]}  # fmt: skip
    return Finding({k: v for k, v in numbers_of(found).items() if not k.startswith("along_")}, curves)


def numbers_of(found: Any) -> dict[str, Any]:
    """Fields of a dataclass that are numbers, by name."""
    values = {name: getattr(found, name) for name in found.__dataclass_fields__}
    return {name: value for name, value in values.items() if not isinstance(value, np.ndarray)}


def show(found: Finding, options: argparse.Namespace) -> None:
    """Print a finding as asked for."""
    if options.json:
        curves = {name: [told(value) for value in curve.tolist()] for name, curve in found.curves.items()}
        print(json.dumps({**{name: told(value) for name, value in found.numbers.items()}, **curves}, indent=1))
        return
    rows = list(zip(*found.curves.values(), strict=True))
    if options.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(found.curves or found.numbers)
        writer.writerows(rows or [tuple(found.numbers.values())])
        return
    for name, value in found.numbers.items():
        print(f"{name:<22}{shown(value)}")
    if rows:
        print("\n" + "".join(f"{name:>18}" for name in found.curves))
        print("\n".join("".join(f"{shown(value):>18}" for value in row) for row in rows))


def told(value: Any) -> Any:
    """As JSON has it: no nan."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.5g}" if isinstance(value, float) else str(value)
