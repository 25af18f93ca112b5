"""Options of commands that have to know the station of real images, and what is in the beam already."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from xsim.errors import MeasurementError, SceneError
from xsim.frames import read_frames, read_image
from xsim.real_image import Background
from xsim.scene import Scene
from xsim.scene_file import load_scene, scene_from_dict

__all__ = ["add_background_options", "add_station_options", "background_from_options", "both", "station_from_options"]


def both(name: str) -> list[str]:
    """An option with dashes, and as scene files write it."""
    return list(dict.fromkeys([f"--{name.replace('_', '-')}", f"--{name}"]))


def add_station_options(group: Any) -> None:
    """Options that ``station_from_options`` reads, for an ``argparse`` parser or group of one."""
    group.add_argument("--scene", help="scene file of the station; its bodies are not looked at")
    group.add_argument("--detector", help="instead: a camera, by name or file (.toml), with what follows")
    group.add_argument(*both("voltage_kv"), type=float, help="of the tube")
    group.add_argument("--filter", action="append", default=[], metavar="MATERIAL:MM", help="repeatable")
    group.add_argument(*both("sod_mm"), type=float, help="source to object")
    group.add_argument(*both("sdd_mm"), type=float, help="source to detector")
    group.add_argument("--state", choices=("raw", "offset_corrected", "flat_field_corrected"), help="of the images")
    group.add_argument("--frames", type=int, help="exposures that an image is the mean of")


def add_background_options(group: Any) -> None:
    """Options that ``background_from_options`` reads."""
    group.add_argument("--background", metavar="MATERIAL", help="what is in the beam already (default: nothing)")
    group.add_argument("--add", action="store_true", help="bodies come on top of it and displace none of it")
    group.add_argument(*both("open_beam_adu"), type=float, help="grey value of the open beam in the middle")
    group.add_argument(*both("open_beam_percent"), type=float, help="or the percentile of each image that shows it")
    group.add_argument("--flat", type=Path, help="or frames of it, in the images' state")
    group.add_argument("--dark", type=Path, help="frames without radiation, in the images' state")
    group.add_argument(*both("black_adu"), type=float, help="grey value of no light (default: the camera's)")


def background_from_options(options: argparse.Namespace) -> Background:
    """What the options say of the background.

    Raises
    ------
    MeasurementError
        The open beam's level cannot be known, or a file of frames cannot be read.

    """
    frames = {name: read_frames([path]).pixels if path else None for name, path in
              (("flat", options.flat), ("dark", options.dark))}  # fmt: skip
    told = options.open_beam_adu, options.open_beam_percent, options.flat
    if options.detector and options.background and all(way is None for way in told):
        raise MeasurementError(
            "the open beam's level is not known (a camera alone tells no exposure) give --open-beam-percent, "
            "--open-beam-adu, --flat, or --scene"
        )
    return Background(
        options.background, not options.add, options.open_beam_adu, options.open_beam_percent, **frames,
        black_adu=options.black_adu,
    )  # fmt: skip


def station_from_options(options: argparse.Namespace, file: Path) -> Scene:
    """The station that an image was taken at: of a scene file, of options, or of the image's own metadata.

    Parameters
    ----------
    options : Namespace
        Of ``add_station_options``.
    file : Path
        The image, TIFF or npy.

    Raises
    ------
    XsimError
        None of the three tells it, or they contradict each other.

    """
    if options.scene and options.detector:
        raise SceneError("both --scene and --detector given (an image has one station) keep one")
    for name in ("voltage_kv", "filter", "sod_mm", "sdd_mm"):
        if getattr(options, name) and not options.detector:
            raise SceneError(f"--{name.replace('_', '-')} goes with --detector (a scene has its own) leave it out")
    changes = {k: v for k, v in (("state", options.state), ("frames", options.frames)) if v is not None}
    if options.detector:
        return station_of_camera(options, file, changes)
    if options.scene:
        station = load_scene(options.scene)
    else:
        told = read_image(file)[1].get("scene")
        if not isinstance(told, dict):
            raise SceneError(f"the station of {file} is not known (the file tells none) give --scene or --detector")
        station = scene_from_dict({k: v for k, v in told.items() if k not in ("body", "defect")})
    if not changes:
        return station
    told = station.model_dump(exclude_none=True, exclude={"body", "defect"})
    return scene_from_dict({**told, "acquisition": {**told["acquisition"], **changes}}, station.directory)


def station_of_camera(options: argparse.Namespace, file: Path, changes: dict[str, Any]) -> Scene:
    """A camera behind a tube, of the image's size."""
    for name in ("voltage_kv", "sod_mm", "sdd_mm"):
        if getattr(options, name) is None:
            raise SceneError(
                f"--{name.replace('_', '-')} is missing (a camera alone is no station) give it, or --scene"
            )
    rows, columns = np.shape(read_image(file)[0])[-2:]
    return scene_from_dict({
        "source": {"voltage_kv": options.voltage_kv, "current_ma": 1.0, "filters": [sheet(t) for t in options.filter]},
        "geometry": {"sod_mm": options.sod_mm, "sdd_mm": options.sdd_mm},
        "acquisition": {"target_gv": 0.7, "subpixels": 4, **changes},
        "detector": {"preset": options.detector, "rows": rows, "columns": columns},
    })  # fmt: skip


def sheet(text: str) -> dict[str, Any]:
    """Material and thickness of a filter."""
    name, _, thickness = text.rpartition(":")
    try:
        return {"material": name, "thickness_mm": float(thickness)}
    except ValueError:
        raise SceneError(f"--filter {text!r} not understood (material and thickness) write it like Al:2") from None
