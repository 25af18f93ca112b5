"""``denoise apply``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from denoise.commands.common import add_common
from xsim import ModelError

if TYPE_CHECKING:
    from denoise.formats import RawLayout

__all__ = ["add"]

PIPE = "-"
FORMATS = """\
IN is a TIFF, DICOM or DICONDE file, a zarr array, a corpus or one of its formats (corpus.zarr/NAME), with --shape a RAW
file; or several files, a folder, a pattern in quotes: then OUT is a folder. OUT is written in the format of its ending:
.tif .dcm .zarr .raw. 16 bits stay 16 bits.

A line-scan camera's lines go through a pipe: --stream --shape COLUMNS, RAW in and RAW out.

example: denoise apply model.safetensors noisy.tif -o restored.tif
         denoise apply model.safetensors scan.raw --shape 4096,1024 --a 0.31 --b -25 --state raw -o restored.raw
         grab | denoise apply model.safetensors - --stream --shape 1024 --noise camera.toml --state raw -o - | show
"""


def add(commands: Any) -> None:
    """Add the command to the subparsers."""
    command = commands.add_parser(
        "apply",
        help="restore images",
        description="Restore images. Files of xsim tell their noise and state; of others you do.",
        epilog=FORMATS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("model", metavar="MODEL", help="model that denoise train made")
    command.add_argument("images", metavar="IN", nargs="+", help="noisy frames")
    command.add_argument("-o", "--output", required=True, metavar="OUT", help="restored frames")
    noise = command.add_argument_group("noise and state, Var x = a x + b")
    noise.add_argument("--a", help="slope of a pixel's variance against its value, ADU: a number, or a file of them")
    noise.add_argument("--b", help="that variance at value 0, ADU^2")
    noise.add_argument("--noise", metavar="FILE", help="both: .toml of xsim characterize; .npy, .npz or .tif of arrays")
    noise.add_argument("--state", help="raw, offset_corrected or flat_field_corrected")
    raw = command.add_argument_group("RAW")
    raw.add_argument("--shape", metavar="R,C[,PAGES]", help="rows, columns, pages; with --stream only the columns")
    raw.add_argument("--dtype", default="uint16", help="uint16, int16 or float32 (default: %(default)s)")
    raw.add_argument("--header-bytes", type=int, default=0, metavar="N", help="before the first pixel; kept")
    raw.add_argument("--byte-order", choices=("little", "big"), default="little", help="default: %(default)s")
    raw.add_argument("--stream", action="store_true", help="read lines from stdin (IN is -), write lines to stdout")
    raw.add_argument(
        "--block-lines", type=int, default=64, metavar="N", help="that the network sees at once (default: 64)"
    )
    command.add_argument("--float32", action="store_true", help="write float32, not whole numbers")
    add_common(command)
    command.set_defaults(run=_apply)


def _apply(options: argparse.Namespace) -> None:
    if options.stream or PIPE in options.images:
        _stream(options)
        return
    from denoise.image_files import apply

    source = options.images[0] if len(options.images) == 1 else options.images
    written = apply(
        options.model,
        source,
        options.output,
        a_pixel_adu=options.a,
        b_adu2=options.b,
        noise=options.noise,
        state=options.state,
        layout=_layout(options),
        float32=options.float32,
        overwrite=options.force,
        device=options.device,
    )
    print(f"{written} written")


def _layout(options: argparse.Namespace) -> RawLayout | None:
    from denoise.formats import RawLayout

    if options.shape is None:
        return None
    return RawLayout(_numbers(options.shape), options.dtype, options.header_bytes, options.byte_order)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(each) for each in text.split(","))
    except ValueError:
        raise ModelError(f"--shape {text!r} not understood (whole numbers) give rows,columns") from None


def _stream(options: argparse.Namespace) -> None:
    from denoise.frame_noise import Told
    from denoise.line_pipe import LineFormat, pipe
    from denoise.restorer import load

    if options.images != [PIPE] or options.output != PIPE or not options.stream:
        raise ModelError("lines go through a pipe (--stream reads stdin and writes stdout) give - --stream -o -")
    shape = _numbers(options.shape or "0")
    if len(shape) != 1 or shape[0] < 1:
        raise ModelError("a stream has columns alone (lines come until the pipe ends) give --shape COLUMNS")
    told = Told.of(options.a, options.b, options.noise, options.state)
    layout = LineFormat(shape[0], options.dtype, options.header_bytes, options.byte_order, options.float32)
    restorer = load(options.model, options.device)
    pipe(restorer, told, layout, sys.stdin.buffer, sys.stdout.buffer, options.block_lines)
