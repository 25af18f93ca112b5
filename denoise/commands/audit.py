"""``denoise audit``."""

from __future__ import annotations

import argparse
import json
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any

from denoise.commands.common import add_common
from denoise.commands.noise import add_noise_options, noise_from_options
from xsim import (
    MeasurementError,
    ModelError,
    add_background_options,
    add_station_options,
    background_from_options,
    read_characteristics,
    station_from_options,
    write_whole,
)

__all__ = ["add"]

EXAMPLE = """\
TIFFs of xsim tell noise, state and station themselves; of others the options do. Exit code 0: audited, whatever the
verdict; with --strict 1 where it is not PASS; 2: bad input.

examples:
  denoise audit repeats/ --model m.safetensors -o audit.html
  denoise audit stack.tif --model m.safetensors --noise camera.toml --state raw --black-adu 300 \\
      --scene station.toml --background PMMA --material Al -o audit.html
"""
LIMITS = {
    "gain_db": "error below that of noisy frames, dB, at least",
    "bias_percent": "bias of the whole image, %%, at most",
    "region_bias_percent": "bias of a region, %%, at most",
    "structure_percent": "structure in what was taken away, %%, at most",
    "correlation": "its correlation off that of the noise, at most",
    "noise_percent": "noise off what a and b say, %%, at most",
    "outside_percent": "pixels outside the trained range, %%, at most",
    "contrast_percent": "contrast of a sphere off, %%, at most",
    "smallest_mm": "diameter from which spheres count, seen in noisy frames or not",
}


def add(commands: Any) -> None:
    """Add the command to the subparsers."""
    command = commands.add_parser(
        "audit",
        help="judge a restorer on repeated frames of a real scene",
        description="Error, bias, what is taken away and contrast kept, from repeated frames, without a clean image.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("repeats", type=Path, metavar="REPEATS", help="folder of TIFF frames, or a stack; 4 or more")
    command.add_argument("--model", required=True, help="model that denoise train made")
    command.add_argument("-o", "--output", type=Path, metavar="AUDIT.html", help="write the page there")
    command.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    command.add_argument("--strict", action="store_true", help="exit with 1 where the verdict is not PASS")
    add_noise_options(command.add_argument_group("noise"))
    spheres = command.add_argument_group("spheres")
    spheres.add_argument("--no-contrast", action="store_true", help="insert none")
    spheres.add_argument("--material", default="316L", help="of the spheres (default: %(default)s)")
    spheres.add_argument("--sizes-mm", type=float, nargs="+", metavar="D", help="diameters (default: 0.2 to 3)")
    spheres.add_argument("--places", type=int, default=16, help="of each size (default: %(default)s)")
    spheres.add_argument("--region", metavar="r0:r1,c0:c1", help="rows and columns to insert into")
    spheres.add_argument("--seed", type=int, default=0, help="of their places (default: %(default)s)")
    add_station_options(command.add_argument_group("station"))
    add_background_options(command.add_argument_group("background"))
    limits = command.add_argument_group("limits of the verdict")
    for name, text in LIMITS.items():
        limits.add_argument(f"--limit-{name.replace('_', '-')}", type=float, dest=f"limit_{name}", help=text)
    add_common(command)
    command.set_defaults(run=_audit)


def _audit(options: argparse.Namespace) -> None:
    from denoise.audit_page import write_page
    from denoise.audit_verdict import Limits, as_json, as_text, overall, verdict
    from denoise.new_file import check_new
    from denoise.repeats import read_repeats
    from denoise.restorer import load

    for path in (options.output, options.json):
        if path:
            check_new(path, options.force)
    restorer = load(options.model, options.device)
    audit = _measured(options, restorer, read_repeats(options.repeats))
    names = [field.name for field in fields(Limits)]
    limits = Limits(**{name: value for name in names if (value := getattr(options, f"limit_{name}")) is not None})
    lines = verdict(audit, limits)
    print(as_text(audit, lines, restorer.name))
    if options.json:
        text = json.dumps(as_json(audit, lines, limits), indent=1, allow_nan=False) + "\n"
        write_whole(options.json, lambda path: path.write_text(text))
    if options.output:
        write_page(options.output, audit, lines, limits, restorer.name, str(options.repeats))
        print(f"{options.output} written")
    if options.strict and overall(lines) != "pass":
        raise SystemExit(1)


def _measured(options: argparse.Namespace, restorer: Any, repeats: Any) -> Any:
    """The audit, with a line that tells how far it is."""
    from tqdm import tqdm

    from denoise.audit import audit_repeats

    state = options.state or repeats.metadata.get("state")
    if state is None:
        raise ModelError(f"{repeats.file} does not tell its state (raw, offset_corrected, ...) give --state")
    restorer.check_state(state)
    law = noise_from_options(options, repeats.metadata, state, repeats.pixels.shape[1:], options.frames or 1)
    spheres, black = _spheres(options, repeats), _black(options, repeats.metadata)
    with tqdm(desc="restoring", unit="frame") as bar, warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*trained on.*")  # the verdict tells, once
        return audit_repeats(
            repeats.pixels,
            lambda frame: restorer(frame, *law),
            law,
            black,
            trained=restorer.configuration,
            metadata=repeats.metadata,
            saturation_adu=repeats.metadata.get("saturation_adu"),
            spheres=spheres,
            seed=options.seed,
            tick=bar.update,
        )


def _spheres(options: argparse.Namespace, repeats: Any) -> Any:
    """What to insert; None where nothing is asked for, or the station is told by nothing."""
    from denoise.audit_contrast import SIZES_MM, Spheres

    told = options.scene or options.detector or isinstance(repeats.metadata.get("scene"), dict)
    if options.no_contrast or not told:
        return None
    sizes = options.sizes_mm or SIZES_MM
    if not all(0 < size < float("inf") for size in sizes) or options.places < 2:
        raise MeasurementError("diameters must be above 0 and --places 2 or more (means have an interval) mend them")
    station, background = station_from_options(options, repeats.file), background_from_options(options)
    return Spheres(station, background, options.material, sizes, options.places, _region(options.region))


def _region(text: str | None) -> tuple[slice, slice] | None:
    """Rows and columns of r0:r1,c0:c1."""
    if text is None:
        return None
    try:
        (r0, r1), (c0, c1) = ((int(n) for n in part.split(":")) for part in text.split(","))
    except ValueError:
        raise MeasurementError(f"--region {text!r} not understood (rows, columns) write it like 0:100,0:256") from None
    return slice(r0, r1), slice(c0, c1)


def _black(options: argparse.Namespace, metadata: dict[str, Any]) -> float:
    """Grey value of no light."""
    if options.black_adu is not None:
        return float(options.black_adu)
    if options.noise and options.noise.suffix != ".npz":
        is_raw = (options.state or metadata.get("state")) == "raw"
        return float(read_characteristics(options.noise).offset_adu if is_raw else options.pedestal_adu)
    found = metadata.get("offset_adu")
    if not isinstance(found, (int, float)):
        raise MeasurementError("the grey value of no light is not known (bias is relative to what is above it) give "
                               "--black-adu")  # fmt: skip
    return float(found)
