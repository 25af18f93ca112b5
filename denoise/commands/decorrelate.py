"""``denoise decorrelate``."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from denoise.decorrelation import (
    MOST_PERCENT,
    Residual,
    check_residual,
    decorrelated,
    noise_correlation,
    noise_kernel,
    reach_of,
    residual_correlation,
    residual_of,
    variance_factor,
)
from denoise.kernel_file import read_kernel, write_kernel
from xsim import MeasurementError, OutputError, read_tiff, write_tiff, write_whole

__all__ = ["add"]


def add(commands: Any) -> None:
    """Add the command to the subparsers."""
    parser = commands.add_parser(
        "decorrelate",
        help="make the noise of frames white, or find the kernel that does",
        description="Divide frames by the root of their noise power. The kernel is that of a file, or found in the "
        "frames themselves, two or more of one scene at rest. Correlation above 20 %% left over is an error.",
        epilog="example: denoise decorrelate --estimate frames.tif -o prf.toml; "
        "denoise decorrelate image.tif --kernel prf.toml -o white.tif",
    )
    parser.add_argument("frames", metavar="FRAMES.tif", type=Path, help="an image, or a stack of one scene at rest")
    parser.add_argument("-o", "--output", type=Path, required=True, help="OUT.tif, float32; or the kernel's file")
    parser.add_argument("--estimate", action="store_true", help="write the kernel only, OUT.json or OUT.toml")
    parser.add_argument("--kernel", metavar="FILE", type=Path, help="kernel that --estimate wrote")
    parser.add_argument("--root", choices=("fft", "toeplitz"), default="fft", help="default: %(default)s")
    parser.add_argument("--report", metavar="FILE.json", type=Path, help="write the figures there too")
    parser.add_argument("--force", action="store_true", help="replace what is there")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Decorrelate, or estimate.

    Raises
    ------
    MeasurementError
        No frames, no kernel, or too much correlation left over.
    OutputError
        A file cannot be read or written, or is there already.
    """
    from denoise.new_file import check_new

    for path in (options.output, options.report):
        if path is not None:
            check_new(path, options.force)
    if options.report and options.report.resolve() == options.output.resolve():
        raise OutputError(f"{options.report} is the output too (one would replace the other) give another --report")
    image, metadata = read_tiff(options.frames)
    if image.dtype.kind not in "uif" or image.ndim not in (2, 3) or not np.isfinite(image).all():
        raise MeasurementError(f"{options.frames} holds no grey frames ({image.dtype}, shape {image.shape}) give some")
    frames = image if image.ndim == 3 else image[None]
    figures = _estimate(frames, options) if options.estimate else _decorrelate(frames, metadata, options)
    if options.report:
        text = json.dumps(figures, indent=2, allow_nan=False) + "\n"
        write_whole(options.report, lambda path: path.write_text(text))
    print(f"{options.output} written" + "".join(f"; {name} {value:.4g}" for name, value in figures.items()))


def _estimate(frames: np.ndarray, options: argparse.Namespace) -> dict[str, float]:
    if options.kernel:
        raise MeasurementError("--estimate finds a kernel (--kernel gives one) leave one of them out")
    if options.output.suffix not in (".json", ".toml"):
        raise MeasurementError(f"{options.output} is no name for a kernel (text is written) end it in .json or .toml")
    kernel, figures = _found(frames, options)
    write_kernel(options.output, kernel, {"frames": options.frames.name, **figures})
    return figures


def _decorrelate(frames: np.ndarray, metadata: dict[str, Any], options: argparse.Namespace) -> dict[str, float]:
    if options.kernel:
        kernel = read_kernel(options.kernel)
        out = decorrelated(frames, kernel)
        figures = {"variance_factor": variance_factor(kernel)}
        if len(frames) > 1:
            left = residual_correlation(out)
            check_residual(left, str(options.frames))
            figures |= _told(left)
    else:
        kernel, figures = _found(frames, options)
        out = decorrelated(frames, kernel)
    factor = figures["variance_factor"]
    noise = {n: (np.asarray(metadata[n]) * factor).tolist() for n in ("a_pixel_adu", "b_adu2") if n in metadata}
    if "kernel_sum_squares" in metadata:
        noise["kernel_sum_squares"] = 1.0
    told = {**metadata, **noise, "image": "decorrelated", "decorrelated_from": options.frames.name}
    pixels = out.astype(np.float32)
    write_tiff(options.output, pixels if len(pixels) > 1 else pixels[0], told)
    return figures


def _found(frames: np.ndarray, options: argparse.Namespace) -> tuple[np.ndarray, dict[str, float]]:
    """Kernel of frames, and its figures; of four frames or more the odd ones judge what the even ones gave."""
    if len(frames) < 2:
        raise MeasurementError(
            f"{options.frames} is one frame (it tells no noise) give several of a scene, or --kernel"
        )
    halves = (frames[::2], frames[1::2]) if len(frames) > 3 else (frames, frames)
    reach = reach_of(halves[0])
    first = noise_correlation(halves[0], reach).coefficient
    chance = residual_of(first, (len(frames) - 1) * frames[0].size).chance_percent
    if chance > MOST_PERCENT:
        raise MeasurementError(
            f"{options.frames} has too few pixels ({chance:.3g} % of correlation by chance alone, "
            f"at most {MOST_PERCENT:g}) give more frames"
        )
    pixels = (len(halves[0]) - 1) * frames[0].size
    white = decorrelated(halves[1], noise_kernel(first, options.root))
    left = residual_correlation(white, kernel_pixels=pixels if halves[1] is not halves[0] else float("inf"))
    check_residual(left, str(options.frames))
    whole = noise_correlation(frames, reach)
    kernel = noise_kernel(whole.coefficient, options.root)
    return kernel, {"correlation_percent": whole.sum_percent, "variance_factor": variance_factor(kernel), **_told(left)}


def _told(left: Residual) -> dict[str, float]:
    return {f"residual_{name}": value for name, value in asdict(left).items()}
