"""Crops of images, as torch tensors: what every dataset here gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from xsim import CorpusError

__all__ = ["IMAGES", "SCALARS", "check_crop", "crop_of", "stacked", "turned"]

IMAGES = ("noisy", "clean", "noise", "labels", "valid")
SCALARS = ("a_pixel_adu", "b_adu2", "offset_adu", "quanta_per_pixel", "voltage_kv", "exposure_mas")


def turned(image: Any, symmetry: int) -> Any:
    """One of eight symmetries, a view where the library can; quarter turns of what is not square become half turns.

    Parameters
    ----------
    image : array or tensor [row, column]
    symmetry : int
        0 to 7: bit 0 flips left and right, the others count quarter turns.
    """
    turns = symmetry >> 1 if image.shape[0] == image.shape[1] else symmetry & 2
    if isinstance(image, torch.Tensor):
        image = image.to(torch.int32) if image.dtype == torch.uint16 else image  # torch flips no uint16
        return torch.rot90(image.flip(1) if symmetry & 1 else image, turns, (0, 1))
    image = image[:, ::-1] if symmetry & 1 else image
    # np.rot90 takes 30 us, as long as a crop of 128 x 128
    return (image, image.T[::-1], image[::-1, ::-1], image.T[:, ::-1])[turns]


def crop_of(image: Any, corner: tuple[int, int], crop: tuple[int, int], symmetry: int) -> Any:
    """A window of an image, turned."""
    row, column = corner
    return turned(image[row : row + crop[0], column : column + crop[1]], symmetry)


def stacked(name: str, crops: Sequence[Any]) -> torch.Tensor:
    """Crops of one kind of image as a tensor: labels int32 [crop, row, column], others [crop, 1, row, column].

    Validity is bool, all else float32. NumPy crops are cast and copied once; tensors stay on their device.
    """
    kind = name.partition("_")[0]
    if isinstance(crops[0], torch.Tensor):
        found = torch.stack(list(crops)).to({"labels": torch.int32, "valid": torch.bool}.get(kind, torch.float32))
    else:
        whole = np.empty((len(crops), *crops[0].shape), {"labels": np.int32, "valid": np.bool_}.get(kind, np.float32))
        for place, crop in enumerate(crops):
            whole[place] = crop
        found = torch.from_numpy(whole)
    return found if kind == "labels" else found[:, None]


def check_crop(crop: int | tuple[int, int] | None, shapes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Rows and columns of a crop.

    Raises
    ------
    CorpusError
        It does not fit into the images, or is left out where they have several sizes.
    """
    if crop is None and len(set(shapes)) > 1:
        raise CorpusError(f"images of several sizes ({', '.join(map(str, sorted(set(shapes))))}) need a crop")
    asked = (crop, crop) if isinstance(crop, int) else crop or shapes[0]
    for shape in shapes:
        if not all(0 < length <= limit for length, limit in zip(asked, shape, strict=True)):
            raise CorpusError(f"crop {asked} does not fit into images of {shape}")
    return asked
