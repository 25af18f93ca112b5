"""A sensor before a lamp: frames of given light, without tube, part or screen, as EMVA 1288 measures cameras."""

from __future__ import annotations

from typing import Any

import numpy as np

from xsim.backend import Backend
from xsim.correction import camera_of
from xsim.detector import Detector

__all__ = ["light_frame"]


def light_frame(
    detector: Detector,
    light_kev: float | np.ndarray,
    exposure_s: float,
    backend: Backend,
    seed: int = 0,
    frame: int = 0,
    frames: int = 1,
) -> dict[str, Any]:
    """One raw image of steady light, which has no quanta of its own but the electrons that it frees.

    Parameters
    ----------
    detector : Detector
        A panel; its pixels and its sensor count.
    light_kev : float or float32 [row, column]
        Light that reaches each pixel in an exposure, in keV of absorbed X-rays: ``electrons_per_kev`` times this many
        electrons from a pixel without gaps of quantum efficiency 1.
    exposure_s : float
        Time of the dark current.
    backend : Backend
    seed, frame : int
        As for ``simulate``.
    frames : int
        Exposures that the image is the mean of.

    Returns
    -------
    dict with noisy, clean, noise, expected: float32 [row, column] ADU; valid: bool

    """
    xp, shape = backend.xp, (detector.rows, detector.columns)
    camera = camera_of(detector, detector.rows, exposure_s, backend, frames=frames)
    light = xp.ascontiguousarray(xp.broadcast_to(xp.asarray(light_kev, np.float32), shape))
    valid = xp.ones(shape, np.uint8)
    found = camera.record(lambda seed, frame: light, light, valid, seed, frame)
    return {**found, "valid": valid.astype(bool)}
