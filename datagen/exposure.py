"""Dose asked for in quanta per pixel, turned into the exposure time that gives it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import xsim
from xsim import SceneError

__all__ = ["settle_exposure"]


def settle_exposure(mapping: dict[str, Any], directory: Path) -> None:
    """Replace ``acquisition.quanta_per_pixel`` by ``exposure_s``, in place.

    The quanta absorbed in an open-beam pixel on the axis grow in proportion to the exposure time, so one pixel exposed
    for a second without any body says how long it takes.

    Parameters
    ----------
    mapping : dict
        A drawn scene.
    directory : Path
        What its relative names start from.

    Raises
    ------
    SceneError
        Where both a dose and a time are given, the dose is not above zero, or the source gives nothing.
    """
    acquisition = mapping.get("acquisition")
    if not isinstance(acquisition, dict) or "quanta_per_pixel" not in acquisition:
        return
    quanta = acquisition.pop("quanta_per_pixel")
    for other in ("exposure_s", "target_gv"):
        if other in acquisition:
            raise SceneError(
                f"acquisition: both quanta_per_pixel and {other} given (one follows from the other) keep one"
            )
    if isinstance(quanta, bool) or not isinstance(quanta, (int, float)) or not 0 < quanta < float("inf"):
        raise SceneError(f"acquisition.quanta_per_pixel must be a number above 0 (given {quanta!r})")
    one_pixel = {**mapping.get("detector", {}), "rows": 1, "columns": 1}
    open_beam = {**mapping, "body": [], "acquisition": {**acquisition, "exposure_s": 1.0}, "detector": one_pixel}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # how dark one second would be does not matter
        per_second = xsim.simulate(xsim.scene_from_dict(open_beam, directory), backend="cpu", threads=1).metadata[
            "quanta_per_pixel"
        ]
    if not per_second > 0:
        raise SceneError(
            "the source gives no quanta behind its filters (so no exposure reaches a dose) use thinner ones"
        )
    acquisition["exposure_s"] = float(f"{quanta / per_second:.9g}")
