"""Fits of few energies, kept on disk: one takes 0.1 to 20 s, and a sweep or a second run asks for the same again.

The name of a file is the hash of all that a fit depends on: bins, weights, materials down to their elements, greatest
paths, number of energies, the version of xsim and that of the attenuation tables.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xsim.disk_cache import cache_directory, keep
from xsim.material import Material
from xsim.quadrature import MOST, Quadrature, fit_quadrature
from xsim.resources import VERSION

__all__ = ["kept_quadrature", "quadrature_directory"]

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]

LAYOUT: Final = 1


def quadrature_directory() -> Path:
    """Where fits are kept on this platform."""
    return cache_directory("quadrature")


def kept_quadrature(energy_kev: Floats, rows: Floats, greatest_path_mm: Mapping[Material, float]) -> Quadrature:
    """The fit of `fit_quadrature`, from memory or disk where it was made before.

    Rows are brought to a sum of 1 and to single precision first, so that neither the exposure nor the last bit of a
    double makes a fit of its own.

    Parameters
    ----------
    energy_kev : float64 [energy]
    rows : float64 [row, energy]
    greatest_path_mm : mapping of Material to float

    Raises
    ------
    SpectrumError
        As `fit_quadrature`.

    """
    shares = (rows / rows.sum(axis=1, keepdims=True)).astype(np.float32).astype(np.float64)
    materials = [[each.name, each.weight_fractions, each.density_g_cm3] for each in greatest_path_mm]
    setting = {
        "layout": LAYOUT, "xsim": VERSION, "xraylib": importlib.metadata.version("xraylib"), "most": MOST,
        "energy_kev": np.asarray(energy_kev).tolist(), "rows": shares.tolist(), "materials": materials,
        "greatest_path_mm": [*greatest_path_mm.values()],
    }  # fmt: skip
    return _kept(json.dumps(setting, sort_keys=True), quadrature_directory())


@functools.lru_cache(maxsize=64)
def _kept(setting: str, directory: Path) -> Quadrature:
    path = directory / f"{hashlib.sha256(setting.encode()).hexdigest()[:32]}.json"
    found = _read(path)
    if found is None:
        asked = json.loads(setting)
        materials = [Material(name, tuple(map(tuple, parts)), density) for name, parts, density in asked["materials"]]
        found = fit_quadrature(
            np.array(asked["energy_kev"]), np.array(asked["rows"]), materials, asked["greatest_path_mm"]
        )
        _write(path, found)
    return found


def _read(path: Path) -> Quadrature | None:
    try:
        return Quadrature.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.info("few energies %s are fitted again (%s)", path, error)
        return None


def _write(path: Path, fit: Quadrature) -> None:
    keep(path, lambda stream: stream.write(json.dumps(fit.to_json()).encode()))
