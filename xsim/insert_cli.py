"""The ``insert`` command: bodies into real images."""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import Any

from tqdm import tqdm

from xsim.errors import SceneError
from xsim.frames import region
from xsim.insert_files import FileInsertion, image_files, targets_of
from xsim.station_options import (
    add_background_options,
    add_station_options,
    background_from_options,
    both,
    station_from_options,
)

__all__ = ["add_insert_command"]

SIZES = {
    "sphere": {"diameter_mm"}, "cylinder": {"diameter_mm", "length_mm"}, "wire": {"diameter_mm", "length_mm"},
    "box": {"size_mm"}, "shard": {"size_mm"},
}  # fmt: skip
KINDS = tuple(SIZES)
MESHES = (".stl", ".obj", ".ply", ".3mf", ".off", ".glb")
EXAMPLE = """\
The station is a scene file, or a camera with its tube and distances, or what the image's own file tells (xsim's do).

examples:
  xsim insert real.tif --scene station.toml --background PMMA --body sphere --material 316L --diameter_mm 0.8 -o out
  xsim insert images/ --detector camera.toml --voltage_kv 80 --filter Al:2 --sod_mm 600 --sdd_mm 900 \\
      --state flat_field_corrected --background PMMA --open_beam_percent 99.5 \\
      --body wire --material Cu --diameter_mm 0.3 --length_mm 8 --count 3 -o out
"""


def add_insert_command(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``xsim insert``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "Puts simulated bodies into real images: blurred transmission, noise made right, labels."
    parser.epilog = EXAMPLE
    parser.add_argument("inputs", type=Path, nargs="+", metavar="IMAGE_OR_FOLDER", help="TIFF (also stacks) or npy")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the results")
    add_body_options(parser.add_argument_group("bodies"))
    add_station_options(parser.add_argument_group("station"))
    add_background_options(parser.add_argument_group("background"))
    parser.add_argument("--seed", type=int, default=0, help="same seed, same bytes (default 0)")
    parser.add_argument("--backend", choices=("auto", "cpu", "cuda"), default="auto")
    parser.set_defaults(run=run_insert)


def add_body_options(group: Any) -> None:
    group.add_argument("--body", metavar="KIND", help=f"{', '.join(KINDS)}, or a mesh file")
    group.add_argument("--material", help="a name as in scene files")
    group.add_argument(*both("diameter_mm"), type=float, help="of a sphere, cylinder or wire")
    group.add_argument(*both("length_mm"), type=float, help="of a cylinder or wire")
    group.add_argument(*both("size_mm"), type=float, nargs=3, metavar=("X", "Y", "Z"), help="of a box or shard")
    group.add_argument(*both("mesh_unit"), help="um, mm, cm, m or in: of a mesh file")
    group.add_argument(*both("rotation_deg"), nargs="+", metavar="X Y Z", help='about x, y, z; or "random"')
    group.add_argument("--at", action="append", metavar="ROW,COLUMN", help="where, repeatable (default: drawn)")
    group.add_argument("--count", type=int, help="so many at random places (default 1)")
    group.add_argument(*both("depth_mm"), type=float, default=0.0, help="along z from the object's plane (default 0)")
    group.add_argument("--region", metavar="r0:r1,c0:c1", help="rows and columns that places are drawn from")
    group.add_argument("--bodies", type=Path, metavar="FILE", help="instead: a TOML file with [[body]] tables")


def run_insert(options: argparse.Namespace) -> None:
    """Insert into every file and say what came of it."""
    files = image_files(options.inputs)
    bodies, background = bodies_of(options), background_from_options(options)
    chosen = region(options.region) if options.region else None
    jobs = [FileInsertion(f, t, options.seed) for f, t in zip(files, targets_of(files, options.output), strict=True)]
    for job in tqdm(jobs, unit="image", disable=len(jobs) < 2):
        found = job.run(station_from_options(options, job.file), bodies, background, chosen, options.backend)
        rows = [row for row in found.instances if row["pixels"]]
        told = ", ".join(
            f"{row['class']} at {row['row']:.0f},{row['column']:.0f} (contrast {100 * (row['contrast'] or 0.0):.3g} %, "
            f"CNR {row['contrast_to_noise'] or 0.0:.3g})" for row in rows[:4]
        )  # fmt: skip
        more = f" and {len(rows) - 4} more" if len(rows) > 4 else ""
        tqdm.write(f"{job.targets[0]}: {told or 'no body seen'}{more}")


def bodies_of(options: argparse.Namespace) -> list[dict[str, Any]]:
    """[[body]] tables of the options or of a file."""
    if options.bodies is not None:
        if (
            options.body
            or options.at
            or options.count
            or options.material
            or told_sizes(options)
            or options.rotation_deg
        ):
            raise SceneError("both --bodies and a body by options given (the file has places too) keep one")
        return bodies_in(options.bodies)
    if options.body is None or options.material is None:
        raise SceneError("no body told (a shape and a material are needed) give --body and --material, or --bodies")
    places = [place(text) for text in options.at or ()]
    if places and options.count:
        raise SceneError(f"both --at and --count {options.count} given (places are told or drawn) keep one")
    if options.count is not None and options.count < 1:
        raise SceneError(f"--count {options.count} (1 or more bodies) ask for one at least")
    table = body_table(options)
    return [{**table, "at": at} for at in places] or [dict(table) for _ in range(options.count or 1)]


def bodies_in(file: Path) -> list[dict[str, Any]]:
    """[[body]] tables of a file; mesh paths are relative to it."""
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
        tables = found.get("body", [])
    except OSError as error:
        raise SceneError(f"{file} not read ({error.strerror or error}) check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SceneError(f"{file} is no TOML ({error}) mend that place") from error
    if others := sorted(set(found) - {"body"}):
        raise SceneError(f"{file} has [{others[0]}] (bodies alone are inserted) leave it out, or give it as --scene")
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise SceneError(f"{file} has no [[body]] (there is nothing to insert) add one")
    for table in tables:
        for key in ("mesh", "volume"):
            if isinstance(table.get(key), str):
                table[key] = str((file.parent / table[key]).resolve())
    return tables


def place(text: str) -> list[float]:
    """Row and column of a text."""
    try:
        row, column = (float(part) for part in text.split(","))
    except ValueError:
        raise SceneError(f"--at {text!r} not understood (a row and a column) write it like 120,340") from None
    return [row, column]


def body_table(options: argparse.Namespace) -> dict[str, Any]:
    """The [[body]] table of a kind with its sizes."""
    known = options.body in SIZES or Path(options.body).suffix.lower() in MESHES
    own = SIZES.get(options.body, {"mesh_unit"})
    if known and (strange := [name for name in told_sizes(options) if name not in own]):
        raise SceneError(f"--{strange[0].replace('_', '-')} given for a {options.body} (it has none) leave it out")
    kind, table = options.body, {"material": options.material, "depth_mm": options.depth_mm, "class": options.body}
    turn: Any = None
    if kind == "sphere":
        table |= {"shape": "sphere", "radius_mm": 0.5 * wanted(options, "diameter_mm")}
    elif kind in ("cylinder", "wire"):
        size = {"radius_mm": 0.5 * wanted(options, "diameter_mm"), "height_mm": wanted(options, "length_mm")}
        table |= {"shape": "cylinder", **size}
        turn = (0.0, 90.0, 0.0) if kind == "wire" else None  # across the beam, along the rows
    elif kind in ("box", "shard"):
        table |= {"shape": "box", "size_mm": wanted(options, "size_mm")}
        turn = "random" if kind == "shard" else None
    elif Path(kind).suffix.lower() in MESHES:
        unit = {"mesh_unit": options.mesh_unit} if options.mesh_unit else {}
        table |= {"mesh": str(Path(kind).resolve()), "class": Path(kind).stem, **unit}
    else:
        raise SceneError(f"--body {kind!r} is no shape ({', '.join(KINDS)}, or a mesh file) use one; others: --bodies")
    told = turn_of(options.rotation_deg) if options.rotation_deg else turn
    return table if told is None else {**table, "rotation_deg": told}


def told_sizes(options: argparse.Namespace) -> list[str]:
    """Names of the sizes that were given."""
    return [name for name in ("diameter_mm", "length_mm", "size_mm", "mesh_unit") if getattr(options, name) is not None]


def wanted(options: argparse.Namespace, name: str) -> Any:
    """A size that a kind needs."""
    value = getattr(options, name)
    if value is None:
        raise SceneError(f"--{name.replace('_', '-')} is missing (a {options.body} has one) give it")
    return value


def turn_of(words: list[str]) -> Any:
    """Three angles, or "random"."""
    if words == ["random"]:
        return "random"
    try:
        x, y, z = (float(word) for word in words)
    except ValueError:
        raise SceneError(f'--rotation-deg {" ".join(words)} (three angles, or "random") write 0 90 0') from None
    return x, y, z
