"""Scene files: TOML, nested tables, and the phantoms that ship with the package."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xsim.errors import SceneError, nearest_names
from xsim.resources import package_directory
from xsim.scene import Scene
from xsim.schema import first_problem

__all__ = ["load_scene", "phantom_names", "phantom_path", "scene_from_dict"]


def phantom_names() -> list[str]:
    """Scenes that ship with the package; a corpus file among them has corpus in its name."""
    return sorted(p.stem for p in package_directory("_phantoms").glob("*.toml"))


def phantom_path(name: str) -> Path:
    """File of a shipped scene or corpus.

    Raises
    ------
    SceneError
        There is none of that name; the message lists them.

    """
    if name not in phantom_names():
        near = nearest_names(name, phantom_names(), 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(phantom_names())}"
        raise SceneError(f"unknown phantom {name!r} ({hint})")
    return package_directory("_phantoms") / f"{name}.toml"


def load_scene(path: str | Path) -> Scene:
    """Scene of a TOML file, or of a shipped phantom by ``"phantom:NAME"``.

    Raises
    ------
    SceneError
        The file is missing, does not parse, or holds what no station can do. One line.

    """
    text = str(path)
    file = phantom_path(text.removeprefix("phantom:")) if text.startswith("phantom:") else Path(path)
    try:
        mapping = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SceneError(
            f"scene {file} not found (no such file) try: xsim init, or phantom:{phantom_names()[0]}"
        ) from None
    except OSError as error:
        raise SceneError(f"scene {file} not read ({error.strerror}) check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SceneError(f"scene {file} is no TOML ({error}) mend that place") from error
    if "corpus" in mapping:
        raise SceneError(f"{file} is a corpus file (it has [corpus]) use: datagen generate {file} OUT")
    return scene_from_dict(mapping, file.parent)


def scene_from_dict(mapping: Mapping[str, Any], directory: str | Path = ".") -> Scene:
    """Scene of nested tables as a scene file has them.

    Parameters
    ----------
    mapping : mapping
        [source], [geometry], [acquisition], [detector], [[body]] under the keys of the file format.
    directory : path
        Folder that mesh and table paths are relative to.

    Raises
    ------
    SceneError
        The first fault found, with the key's place. One line.
    XsimError
        An unknown material, an unreadable mesh, a spectrum outside its model.

    """
    try:
        scene = Scene.model_validate(dict(mapping), context={"directory": Path(directory)})
    except ValidationError as error:
        raise SceneError(first_problem(error)) from None
    scene._directory = Path(directory)
    scene.source._directory = Path(directory)
    scene.check()
    scene.warn()
    return scene
