"""The clean image as it is before any light spreads: what a restorer that also deblurs is trained on."""

from __future__ import annotations

import functools
import operator

import numpy as np

from xsim.radiograph import Exposure
from xsim.sensor import record

__all__ = ["sharp_image"]


def sharp_image(exposure: Exposure) -> np.ndarray:
    """Clean image of a screen that does not spread its light, float32 [row, column] ADU, on a grid of 1/16.

    No screen blur, no glare and no lag. The focal spot, the aperture of the pixels and the motion of a belt are in it:
    they are geometry, before the screen. Without spread it is ``Radiograph.clean``, bit for bit.

    Parameters
    ----------
    exposure : Exposure
        From `expose`.
    """
    xp = exposure.backend.xp
    rows, columns = exposure.mean_light.shape
    above, beside = exposure.spread.margin
    light = exposure.signal[..., above : above + rows, beside : beside + columns]
    if light.ndim == 3:  # one fixed order of addition
        light = functools.reduce(operator.add, light)
    light = xp.ascontiguousarray(light)
    camera = exposure.camera
    if camera is not None:
        image = camera.clean(light.reshape(-1, camera.pattern.gain.size)).reshape(light.shape)
    else:
        image = record(light, light, xp.ones(light.shape, np.uint8), exposure.readout, 0, 0, exposure.backend)["clean"]
    return np.asarray(exposure.backend.to_numpy(xp.ascontiguousarray(image)))
