"""``denoise train``."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from denoise.commands.common import add_common
from xsim import ModelError

__all__ = ["add"]

OPTIONS = (
    "network",
    "network_radius",
    "steps",
    "minutes",
    "batch",
    "crop",
    "learning_rate",
    "seed",
    "workers",
    "formats",
)
WITHOUT_END = 1 << 40  # steps, where the clock alone says when


def add(commands: Any) -> None:
    """Add the command to the subparsers."""
    command = commands.add_parser(
        "train",
        help="train a restorer on a corpus",
        description="Train a restorer on a corpus. Writes the model, and its log as a .csv of the same name; while it "
        "runs, its state into a folder of the same name with .run. torchrun starts it on several GPUs.",
        epilog="example: denoise train corpus.zarr -o model.safetensors --minutes 4",
    )
    add_option = command.add_argument
    add_option("corpus", metavar="CORPUS", help="store that datagen generate made")
    add_option("-o", "--output", type=Path, default=Path("model.safetensors"), help="model (default: %(default)s)")
    add_option("--method", help="noise_cnn (default), noise2noise, ...")
    add_option("--network", help="unet (small and fast), dncnn (the reference) or package.module:Class")
    add_option("--network-radius", type=int, metavar="PX", help="how far pixels of the latter see (default: measured)")
    add_option("--steps", type=int, help="train so many steps at most (default: 4000)")
    add_option("--minutes", type=float, help="train so long at most")
    add_option("--batch", type=int, help="crops per step (default: 16)")
    add_option("--crop", type=int, help="their side in pixels (default: 64)")
    add_option("--learning-rate", type=float, help="default: 0.001; up to 0.004 for a run of minutes")
    add_option("--seed", type=int, help="same seed and steps, same model (default: 0)")
    add_option("--workers", type=int, help="processes that read the corpus (default: none of their own)")
    add_option("--format", dest="formats", action="append", metavar="NAME", help="detector format (default: all)")
    add_option(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other setting of the trainer or the method, or, as network.NAME=VALUE, of the network",
    )
    add_option("--resume", action="store_true", help="go on with the run that was stopped, with its settings")
    add_option("--tensorboard", type=Path, metavar="DIR", help="write TensorBoard's files there")
    add_common(command)
    command.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> None:
    from denoise.train import train

    given = {name: value for name in OPTIONS if (value := getattr(options, name)) is not None}
    given |= dict(map(named_value, options.settings))
    if "minutes" in given and not options.resume:
        given.setdefault("steps", WITHOUT_END)
    told = {"overwrite": options.force, "resume": options.resume, "device": options.device}
    model = train(options.corpus, options.method, options.output, tensorboard=options.tensorboard, **told, **given)
    if os.environ.get("RANK", "0") == "0":
        print(f"{model} written; next: denoise evaluate {model} {options.corpus}")


def named_value(text: str) -> tuple[str, Any]:
    """Name and value of NAME=VALUE: a number, true, false or a list as JSON has them, else a word.

    Raises
    ------
    ModelError
        There is no name or no value.
    """
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise ModelError(f"--set takes NAME=VALUE (given {text!r}) for example --set domain=linear")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
