"""Folders of a user's own files that a family draws from: found and opened when the corpus file is read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeAlias

from PIL import Image
from pydantic import BeforeValidator, ValidationInfo

__all__ = ["PictureFolder", "files_in", "located", "pictures_in"]

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


def located(name: Any, info: ValidationInfo) -> str:
    """A folder relative to the corpus file as a path, or nothing.

    Raises
    ------
    ValueError
        There is none.
    """
    if not isinstance(name, str):
        raise ValueError(f"must be the name of a folder (given {name!r})")
    if not name:
        return ""
    where = Path((info.context or {}).get("directory", ".")) / name
    if not where.is_dir():
        raise ValueError(f"no folder {name!r} (looked in {where.parent}), it is relative to the corpus file")
    return str(where)


def files_in(folder: str, suffixes: tuple[str, ...]) -> list[Path]:
    """Files of a folder by their endings, in the order of their names.

    Raises
    ------
    ValueError
        There is none.
    """
    found = sorted(file for file in Path(folder).iterdir() if file.name.lower().endswith(suffixes))
    if not found:
        raise ValueError(f"no file in {Path(folder).name} ends in {', '.join(suffixes)}, put some there")
    return found


def pictures_in(folder: str) -> list[Path]:
    """Pictures of a folder."""
    return files_in(folder, PICTURES)


def _checked_pictures(name: Any, info: ValidationInfo) -> str:
    folder = located(name, info)
    for file in pictures_in(folder) if folder else ():
        try:
            with Image.open(file) as picture:
                picture.convert("L")
        except (OSError, ValueError, SyntaxError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"picture {file.name} not read ({reason}) take it out of {name!r}") from None
    return folder


PictureFolder: TypeAlias = Annotated[str, BeforeValidator(_checked_pictures)]
