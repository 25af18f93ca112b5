"""The ``characterize`` command: from frames on disk to a detector-characteristics file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from xsim.characterize import Characteristics, characterize, write_characteristics
from xsim.errors import MeasurementError
from xsim.frames import ENDINGS, Frames, read_frames, region

__all__ = ["add_characterize_command"]

FOLDER = """\
A folder holds one entry a light level, three or more, and one or more of darks, whose names begin with "dark": each
a TIFF or npy stack of frames, or a folder of single frames (of a folder that xsim simulate wrote, noisy.tif counts).
Two frames or more of each. The same entries may be listed one by one instead.

example: xsim characterize frames/ -o camera.toml
  frames/dark.tif  frames/10uA.tif  frames/50uA.tif  frames/200uA/0001.tif ...
"""


def add_characterize_command(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``xsim characterize``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = (
        "Gain, offset, noise and pixel response of a camera, from darks and open beams at three levels."
    )
    parser.epilog = FOLDER
    parser.add_argument("entries", type=Path, nargs="+", metavar="FOLDER_OR_FILE", help="see below")
    parser.add_argument("-o", "--output", type=Path, required=True, help="TOML file to write")
    parser.add_argument("--roi", metavar="r0:r1,c0:c1", help="rows and columns to use, ends exclusive")
    parser.add_argument("--pitch-mm", type=float, help="pixel pitch (default: the files' metadata)")
    parser.add_argument("--quantum-kev", type=float, help="energy that a quantum weighs: gives the gain per keV too")
    parser.add_argument("--json", action="store_true", help="print all numbers as JSON")
    parser.set_defaults(run=run_characterize)


def run_characterize(options: argparse.Namespace) -> None:
    """Read darks and levels, characterize, write the file and say what was found."""
    chosen = region(options.roi) if options.roi else None
    entries = listed(options.entries)
    darks = [files_of(entry) for entry in entries if is_dark(entry)]
    lit = [files_of(entry) for entry in entries if not is_dark(entry)]
    if not darks:
        raise MeasurementError(
            f"no darks among {', '.join(e.name for e in entries[:6])} (the offset and the read noise come from them) "
            'name them "dark..."'
        )
    dark = read_frames([file for files in darks for file in files], chosen)
    levels = [read_frames(files, chosen) for files in lit]
    weight = options.quantum_kev
    if weight is not None and not 0 < weight < float("inf"):
        raise MeasurementError(f"--quantum-kev {weight:g} (must be above 0) give the energy in keV")
    pitch = pitch_of(options.pitch_mm, [dark, *levels])
    found = characterize(dark.pixels, [level.pixels for level in levels], pitch, weight)
    write_characteristics(options.output, found)
    if options.json:
        print(json.dumps(found.model_dump(), indent=1))
    else:
        print(summary(found))
        print(f"{options.output} written")


def listed(entries: Sequence[Path]) -> list[Path]:
    """What a single folder holds, or the entries themselves."""
    if len(entries) != 1 or not entries[0].is_dir():
        return list(entries)
    inside = [path for path in entries[0].iterdir() if path.is_dir() or path.suffix.lower() in ENDINGS]
    if not inside:
        raise MeasurementError(f"{entries[0]} holds no frames ({', '.join(ENDINGS)} or folders of them) give another")
    return sorted(path for path in inside if not path.name.startswith("."))


def files_of(entry: Path) -> list[Path]:
    """Files of one level."""
    if not entry.is_dir():
        return [entry]
    if (entry / "noisy.tif").exists():
        return [entry / "noisy.tif"]
    files = sorted(path for path in entry.iterdir() if path.suffix.lower() in ENDINGS)
    if not files:
        raise MeasurementError(f"{entry} holds no frames ({', '.join(ENDINGS)}) take it away or fill it")
    return files


def is_dark(entry: Path) -> bool:
    return entry.name.lower().startswith("dark")


def pitch_of(given_mm: float | None, frames: Sequence[Frames]) -> float | None:
    if given_mm is not None and not 0 < given_mm < float("inf"):
        raise MeasurementError(f"pixel pitch {given_mm:g} mm (must be above 0) give --pitch-mm")
    told = {pitch for f in frames if (pitch := f.told("pitch_mm")) is not None}
    if given_mm is None and len(told) > 1:
        raise MeasurementError(f"pixel pitches differ, {sorted(told)} mm (one camera has one) give --pitch-mm")
    return given_mm if given_mm is not None else next(iter(told), None)


def summary(found: Characteristics) -> str:
    """The main numbers, a line each."""
    reach = found.kernel.shape[0] // 2
    share = float(np.max(found.kernel))
    return (
        f"offset            {found.offset_adu:.2f} ADU\n"
        f"read noise        {found.read_noise_adu:.3g} ADU\n"
        f"gain              {found.gain_adu_per_quantum:.4g} ADU per quantum-equivalent, at NPS(0)\n"
        f"pixelwise slope   {found.a_pixel_adu:.4g} ADU, {found.pixelwise_over_gain:.3g} of the gain; "
        f"b {found.b_adu2:.4g} ADU2\n"
        f"linearity         {found.linearity_percent:.2g} % off the line, over {len(found.level_mean_adu) - 1} levels\n"
        f"pixel response    {100 * share:.3g} % in the middle pixel, {reach} pixels far, "
        f"sum of squares {found.response_sum_squares:.3g}"
    )
