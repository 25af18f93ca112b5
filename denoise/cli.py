"""The ``denoise`` command."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from denoise.commands import decorrelate
from xsim import CommandParser, run_command, write_whole

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit codes are those of ``xsim.run_command``."""
    return run_command("denoise", _parser().parse_args(arguments), "stopped (nothing was written)")


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="denoise",
        description="Restorers for radiographs, trained on simulated corpora.",
        epilog="example: denoise apply model.safetensors noisy.tif -o restored.tif",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands)
    _add_apply(commands)
    _add_evaluate(commands)
    decorrelate.add(commands)
    return parser


def _add_train(commands: Any) -> None:
    add = commands.add_parser(
        "train",
        help="train a restorer on a corpus",
        description="Train a restorer on a corpus. Writes the model, and its log as a .csv of the same name.",
        epilog="example: denoise train corpus.zarr -o model.safetensors --minutes 4",
    )
    add.add_argument("corpus", metavar="CORPUS", help="store that datagen generate made")
    add.add_argument(
        "-o", "--output", type=Path, default=Path("model.safetensors"), help="model (default: %(default)s)"
    )
    add.add_argument("--method", default="noise_cnn", help="default: %(default)s")
    add.add_argument("--network", help="unet (small and fast, the default) or dncnn (the reference)")
    add.add_argument("--domain", help="vst (variance-stabilised, the default) or linear")
    add.add_argument("--steps", type=int, help="train so many steps at most (default: 4000)")
    add.add_argument("--minutes", type=float, help="train so long at most")
    add.add_argument("--batch", type=int, help="crops per step (default: 16)")
    add.add_argument("--crop", type=int, help="their side in pixels (default: 64)")
    add.add_argument("--learning-rate", type=float, help="default: 0.001; up to 0.004 for a run of minutes")
    add.add_argument("--seed", type=int, help="same seed and steps, same model (default: 0)")
    add.add_argument("--workers", type=int, help="processes that read the corpus (default: none of their own)")
    _add_common(add)
    add.set_defaults(run=_train)


def _add_apply(commands: Any) -> None:
    add = commands.add_parser(
        "apply",
        help="restore a 16-bit TIFF",
        description="Restore a 16-bit TIFF, every page of it. A TIFF of xsim tells its noise; of others you do.",
        epilog="example: denoise apply model.safetensors noisy.tif -o restored.tif",
    )
    add.add_argument("model", metavar="MODEL", help="model that denoise train made")
    add.add_argument("image", metavar="IN.tif", help="noisy frame")
    add.add_argument("-o", "--output", type=Path, required=True, help="restored frame, OUT.tif")
    add.add_argument("--a", type=float, help="slope of a pixel's variance against its value, ADU (Var x = a x + b)")
    add.add_argument("--b", type=float, help="that variance at value 0, ADU^2")
    add.add_argument("--state", help="raw, offset_corrected or flat_field_corrected, where the file doesn't tell")
    _add_common(add)
    add.set_defaults(run=_apply)


def _add_evaluate(commands: Any) -> None:
    add = commands.add_parser(
        "evaluate",
        help="judge a restorer on a part of a corpus",
        description="PSNR, SSIM, bias and spheres found, beside those of the noisy images and of tuned filters.",
        epilog="example: denoise evaluate model.safetensors corpus.zarr",
    )
    add.add_argument("model", metavar="MODEL", help="model that denoise train made")
    add.add_argument("corpus", metavar="CORPUS", help="store that datagen generate made")
    add.add_argument("--split", choices=("train", "val", "test"), default="test", help="default: %(default)s")
    add.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    _add_common(add)
    add.set_defaults(run=_evaluate)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="replace what is there")


def _train(options: argparse.Namespace) -> None:
    from denoise.trainer import train

    names = ("network", "domain", "steps", "minutes", "batch", "crop", "learning_rate", "seed", "workers")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if "minutes" in given:
        given.setdefault("steps", 1 << 40)  # the clock alone says when
    model = train(
        options.corpus, options.method, options.output, overwrite=options.force, device=options.device, **given
    )
    print(f"{model} written; next: denoise evaluate {model} {options.corpus}")


def _apply(options: argparse.Namespace) -> None:
    from denoise.restorer import apply

    given = {"a_pixel_adu": options.a, "b_adu2": options.b, "state": options.state, "device": options.device}
    print(f"{apply(options.model, options.image, options.output, overwrite=options.force, **given)} written")


def _evaluate(options: argparse.Namespace) -> None:
    from tqdm import tqdm

    import datagen
    from denoise.checkpoint import check_new
    from denoise.evaluation import by_dose, corpus_cases, figures, table
    from denoise.restorer import load

    if options.json:
        check_new(options.json, options.force)
    restorer = load(options.model, options.device)
    groups = by_dose(corpus_cases(datagen.open_corpus(options.corpus), options.split))
    with tqdm(total=sum(len(cases) + 3 for cases in groups.values()), desc="restoring") as bar:
        found = {name: figures(restorer, cases, bar.update) for name, cases in groups.items()}
    print(table(found))
    if options.json:
        text = json.dumps(found, indent=2, allow_nan=False) + "\n"
        write_whole(options.json, lambda path: path.write_text(text))


if __name__ == "__main__":
    sys.exit(main())
