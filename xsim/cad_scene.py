"""A scene of a CAD assembly: a mesh file per part, a body per instance, a list of masses."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xsim.cad import Assembly, CadPart, Instance, read_step
from xsim.errors import OutputError, SceneError
from xsim.geometry import rotation_angles, rotation_matrix
from xsim.image_io import check_folder, write_whole
from xsim.part_list import WeighedPart, csv_text, materials_of, read_material_map, weigh
from xsim.resources import package_directory
from xsim.scene import Scene
from xsim.scene_file import load_scene, scene_from_dict

__all__ = ["CadOptions", "scene_from_cad"]

#: Facets keep this near the true surface, in pixels seen at the part.
CHORD_PIXELS = 0.1
STATION = ("source", "geometry", "acquisition", "detector")


@dataclass(frozen=True)
class CadOptions:
    """How an assembly becomes a scene.

    Attributes
    ----------
    template : Path or None
        Scene file whose source, geometry, acquisition and detector are taken; that of ``xsim init`` by default.
    sod_mm, sdd_mm, pitch_mm : float or None
        In place of the template's.
    chord_mm : float or None
        Greatest distance of a facet from the true surface; by default a tenth of a pixel seen at the part's side
        towards the source.
    rotation_deg : (x, y, z)
        Turn of the whole assembly.
    keep_origin : bool
        Leave the assembly where its own origin puts it, not its middle at the world's origin.

    """

    template: Path | None = None
    sod_mm: float | None = None
    sdd_mm: float | None = None
    pitch_mm: float | None = None
    chord_mm: float | None = None
    rotation_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    keep_origin: bool = False


def scene_from_cad(
    step: Path, materials: Path, output: Path, options: CadOptions = CadOptions()
) -> tuple[Scene, list[WeighedPart], float]:
    """Write a scene file of a STEP assembly, its meshes into a folder beside it, and a list of its parts.

    Parameters
    ----------
    step, materials : Path
        ``materials`` as ``read_material_map``.
    output : Path
        Scene file, say ``scene.toml``; then the meshes go to ``scene-parts/`` and the list to ``scene-parts.csv``.
    options : CadOptions

    Returns
    -------
    scene : Scene
    parts : list of WeighedPart
    chord_mm : float

    Raises
    ------
    XsimError
        Nothing is written then.

    """
    folder, table = (output.with_name(f"{output.stem}-parts{end}") for end in ("", ".csv"))
    for target in (output, folder, table):
        if target.exists():
            raise OutputError(f"{target} is already there (it is left as it is) choose another name")
    rows, station = read_material_map(materials), read_station(options)
    assembly, chord_mm = facetted(step, options, scene_from_dict(station, output.parent))
    found = materials_of(assembly, rows, materials)
    files = mesh_names(assembly.parts)
    weighed = weigh(assembly, found, [f"{folder.name}/{file}" for file in files], chord_mm)
    bodies = [
        {**body, "material": found[i.part], "mesh": f"{folder.name}/{files[i.part]}", "mesh_unit": "mm"}
        for i, body in zip(assembly.instances, poses(assembly, options), strict=True)
    ]
    check_folder(output.parent)
    if "spectrum" in station["source"]:
        station["source"]["spectrum"] = os.path.relpath(station["source"]["spectrum"], output.parent)
    text = scene_text(step.name, chord_mm, station, bodies, assembly.instances)
    write_meshes(folder, files, assembly.parts)
    with taken_back(folder, table):
        scene = scene_from_dict({**station, "body": bodies}, output.parent)
        write_whole(table, lambda path: path.write_text(csv_text(weighed), encoding="utf-8"))
        write_whole(output, lambda path: path.write_text(text, encoding="utf-8"))
    return scene, weighed, chord_mm


@contextmanager
def taken_back(folder: Path, table: Path) -> Iterator[None]:
    """What was written is removed where the rest fails."""
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        table.unlink(missing_ok=True)
        raise


def read_station(options: CadOptions) -> dict[str, Any]:
    """Source, geometry, acquisition and detector of the template, with what the options put in their place."""
    template = options.template or package_directory("templates") / "scene.toml"
    load_scene(template)  # its faults are told as those of any scene
    whole = tomllib.loads(template.read_text(encoding="utf-8"))
    station = {key: dict(whole[key]) for key in STATION if key in whole}
    if "spectrum" in station["source"]:
        station["source"]["spectrum"] = str(template.parent.resolve() / station["source"]["spectrum"])
    for table, key in (("geometry", "sod_mm"), ("geometry", "sdd_mm"), ("detector", "pitch_mm")):
        if (value := getattr(options, key)) is not None:
            station.setdefault(table, {})[key] = value
    return station


def facetted(step: Path, options: CadOptions, station: Scene) -> tuple[Assembly, float]:
    """The assembly, its facets a tenth of a pixel from the true surface or less; and that distance [mm]."""
    if options.chord_mm is not None:
        if not options.chord_mm > 0:
            raise SceneError(f"chord_mm = {options.chord_mm:g} (it must be above 0) leave it out: a tenth of a pixel")
        return read_step(step, options.chord_mm), options.chord_mm
    geometry = station.geometry
    per_mm = CHORD_PIXELS * station.detector.pitch_mm / geometry.sdd_mm
    chord_mm = per_mm * geometry.sod_mm
    assembly = read_step(step, chord_mm)
    low, high = assembly.bounds(rotation_matrix(options.rotation_deg))[:, 2]
    nearest_mm = geometry.sod_mm + (low if options.keep_origin else 0.5 * (low - high))
    needed_mm = per_mm * max(nearest_mm, 0.05 * geometry.sod_mm)
    if needed_mm > 0.95 * chord_mm:
        return assembly, chord_mm
    return read_step(step, needed_mm), needed_mm


def poses(assembly: Assembly, options: CadOptions) -> list[dict[str, Any]]:
    """Name and pose of each instance as a [[body]] has them; names by part, numbered where there are several."""
    turn = rotation_matrix(options.rotation_deg)
    middle = np.zeros(3) if options.keep_origin else assembly.bounds(turn).mean(axis=0)
    count, given = Counter(assembly.parts[i.part].name for i in assembly.instances), Counter[str]()
    found = []
    for instance in assembly.instances:
        name = assembly.parts[instance.part].name
        given[name] += 1
        position = turn @ instance.position_mm - middle
        angles = rotation_angles(turn @ instance.rotation)
        found.append({
            "name": name if count[name] == 1 else f"{name}/{given[name]}",
            "position_mm": [round(float(x), 6) + 0.0 for x in position],
            "rotation_deg": [round(float(a), 6) + 0.0 for a in angles],
        })  # fmt: skip
    return found


def mesh_names(parts: tuple[CadPart, ...]) -> list[str]:
    """A file name for each part: its own as far as every file system takes it, numbered where it is not new."""
    taken: set[str] = set()
    names = []
    for part in parts:
        stem = re.sub(r"[^\w.-]+", "-", part.name).strip("-.") or "part"
        name, number = stem[:80], 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem[:80]}-{number}"
        taken.add(name.casefold())
        names.append(f"{name}.ply")
    return names


def write_meshes(folder: Path, files: list[str], parts: tuple[CadPart, ...]) -> None:
    """Every part into a file of a new folder, which is there whole or not at all."""
    try:
        stage = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            for file, part in zip(files, parts, strict=True):
                (stage / file).write_bytes(ply_bytes(part))
            stage.chmod(0o755)
            stage.rename(folder)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    except OSError as error:
        raise OutputError(f"{folder} not written ({error.strerror or error}) choose another folder") from error


def ply_bytes(part: CadPart) -> bytes:
    """Binary PLY in single precision [mm], which is what glTF hands over."""
    from trimesh import Trimesh
    from trimesh.exchange.ply import export_ply

    return bytes(export_ply(Trimesh(part.vertices, part.faces, process=False), vertex_normal=False))


def scene_text(
    step: str, chord_mm: float, station: dict[str, Any], bodies: list[dict[str, Any]], instances: tuple[Instance, ...]
) -> str:
    """The scene file."""
    lines = [f"# {step}: {len(instances)} bodies, facets within {chord_mm:.3g} mm of the CAD surface"]
    for name, table in station.items():
        lines += ["", f"[{name}]", *(f"{key} = {toml_value(value)}" for key, value in table.items())]
    for body, instance in zip(bodies, instances, strict=True):
        path = "".join(letter if letter.isprintable() else " " for letter in " / ".join(instance.path))
        lines += ["", "[[body]]", f"# {path}"]
        lines += [f"{key} = {toml_value(value)}" for key, value in body.items()]
    return "\n".join(lines) + "\n"


def toml_value(value: Any) -> str:
    """A value as TOML writes it; strings as JSON does, which TOML reads."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{toml_value(k)} = {toml_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
