"""Folders of a user's own files that a family draws from: found and opened when the corpus file is read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeAlias

from PIL import Image
from pydantic import BeforeValidator, PrivateAttr, ValidationInfo, model_validator

from datagen.families.family import Family, Word, leaves
from xsim import XsimError

__all__ = ["FolderFamily", "PictureFolder", "files_in", "located", "pictures_in"]

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


def located(name: Any, info: ValidationInfo) -> str:
    """A folder or file relative to the corpus file as a path, or nothing.

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
    if not where.exists():
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
    if folder and not Path(folder).is_dir():
        raise ValueError(f"{name!r} is no folder, name the one that the pictures are in")
    for file in pictures_in(folder) if folder else ():
        try:
            with Image.open(file) as picture:
                picture.convert("L")
        except (OSError, ValueError, SyntaxError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"picture {file.name} not read ({reason}) take it out of {name!r}") from None
    return folder


PictureFolder: TypeAlias = Annotated[str, BeforeValidator(_checked_pictures)]


class FolderFamily(Family):
    """A family that draws from the files of a folder, or from one file.

    ``file`` is drawn from all of them unless the corpus file says which; the parameter ``family.file`` tells it.
    """

    suffixes: ClassVar[tuple[str, ...]]

    folder: str
    file: Word | None = None
    _loaded: dict[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _files(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, dict) or "folder" not in data:
            return data
        where = located(data["folder"], info)
        if not where:
            raise ValueError("folder is empty, name a folder or file beside the corpus file")
        names = [Path(where).name] if Path(where).is_file() else [each.name for each in files_in(where, cls.suffixes)]
        return {**data, "file": data.get("file") or {"choice": names}, "folder": where}

    @model_validator(mode="after")
    def _load_all(self) -> Self:
        folder = Path(self.folder)
        for name in dict.fromkeys(str(each) for each in leaves(self.file or [])):
            try:
                self._loaded[name] = self.load(folder if folder.is_file() else folder / name)
            except (OSError, XsimError) as error:
                raise ValueError(f"{name}: {' '.join(str(error).split())}") from None
        return self

    def load(self, path: Path) -> Any:
        """What scenes need of a file, checked.

        Raises
        ------
        OSError, XsimError
            It cannot be used.
        """
        raise NotImplementedError
