"""How far a restored image is from the clean one to a feature network.

The perceptual distance ratio of an image x is

    PDR = mean over tiles and scales of |f(x) - f(c)| / |f(c)|

f the features of a tile at one scale, |.| the root of the sum of squares, c the clean image: 0 for the clean image
itself, and without unit. (The paper of DNGAN tells a PDR; its formula was not to be found, so its figures and these
are not to be compared.) It is the measure of the network that it is taken with, and a restorer that was trained against
that network has an advantage in it: judge by another one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from denoise import vst
from denoise.features import FeatureNet, relative_distance

__all__ = ["perceptual_distance_ratio"]


def perceptual_distance_ratio(
    features: FeatureNet,
    image: np.ndarray,
    clean: np.ndarray,
    a_pixel_adu: Any,
    b_adu2: Any,
    valid: np.ndarray | None = None,
    tile_px: int = 64,
) -> float:
    """PDR of an image.

    Parameters
    ----------
    features : FeatureNet
    image, clean : [row, column] ADU
    a_pixel_adu, b_adu2 : float or array
        Noise of the frame that the image was restored from, Var x = a x + b: features see images in its units.
    valid : bool [row, column], optional
        Pixels that count; the others are taken for clean.
    tile_px : int
        Side of the tiles; what is left over at the lower and right edge does not count. A smaller image is one tile.
    """
    counted = np.ones(clean.shape, bool) if valid is None else valid
    pair = np.stack([np.where(counted, image, clean), clean])
    z = torch.from_numpy(np.asarray(vst.forward(pair, a_pixel_adu, b_adu2), np.float32))
    with torch.inference_mode():
        found, wanted = (tiles(each, tile_px) for each in z)
        return float(relative_distance(features.network, found, wanted).mean())


def tiles(image: Tensor, side: int) -> Tensor:
    """Tiles [tile, 1, row, column] of an image [row, column]."""
    rows, columns = (min(side, length) for length in image.shape)
    return image.unfold(0, rows, rows).unfold(1, columns, columns).reshape(-1, 1, rows, columns)
