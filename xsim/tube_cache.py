"""Tube spectra from spekpy, when it is installed, kept on disk since each takes 0.3 to 4 s.

spekpy is optional (extra ``spectra``): it brings matplotlib and takes two seconds to import, so it
is imported only where a spectrum is not in the cache yet.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from xsim.disk_cache import cache_directory, keep
from xsim.errors import SpectrumError
from xsim.tube import Emission, Floats, bin_edges_kev
from xsim.units import MM2_PER_CM2

__all__ = ["emission_from_spekpy", "run_spekpy"]

logger = logging.getLogger(__name__)

FINE_BIN_KEV: Final = 0.1
COARSE_BIN_KEV: Final = 0.5  # of transmission targets, which take five times as long
LOWEST_KV: Final = 10.0
#: Highest voltage that spekpy's electron tables reach, by target.
HIGHEST_KV: Final = {
    "W": 500.0, "Cr": 50.0, "Cu": 50.0, "Mo": 50.0, "Rh": 50.0, "Ag": 50.0, "Au": 50.0
}  # fmt: skip
ANGLES_DEG: Final = (1.0, 89.0)
FORWARD_DEG: Final = -90.0  # how spekpy names the far side of a transmission target
THICKNESSES_UM: Final = (0.1, 1000.0)


def emission_from_spekpy(
    voltage_kv: float, target: str, anode_angle_deg: float = 12.0, thickness_um: float | None = None
) -> Emission:
    """Bare target by spekpy, from the cache where it is there.

    Parameters
    ----------
    voltage_kv : float
    target : str
    anode_angle_deg : float
        Of a reflection target (``casim``), on its central ray.
    thickness_um : float, optional
        Of a transmission target (``kqp``), seen straight from behind; its angle then means nothing.

    Raises
    ------
    SpectrumError
        Target, voltage, angle or thickness outside spekpy's tables; spekpy is not installed.

    """
    _check(voltage_kv, target, anode_angle_deg, thickness_um)
    try:
        version = importlib.metadata.version("spekpy")
    except importlib.metadata.PackageNotFoundError as error:
        raise SpectrumError(
            f"target {target} by spekpy (it is not installed; the grids are reflection targets, W 10-500 kV, others "
            "10-50 kV, 6-30 degrees) pip install 'xsim[spectra]'"
        ) from error
    setting: dict[str, Any] = {
        "layout": 1, "spekpy": version, "physics": "casim", "bin_kev": FINE_BIN_KEV,
        "target": target, "voltage_kv": float(voltage_kv), "angle_deg": float(anode_angle_deg),
    }  # fmt: skip
    if thickness_um is not None:
        setting |= {
            "physics": "kqp",
            "bin_kev": COARSE_BIN_KEV,
            "angle_deg": FORWARD_DEG,
            "thickness_um": float(thickness_um),
        }
    name = hashlib.sha256(json.dumps(setting, sort_keys=True).encode()).hexdigest()[:32]
    path = cache_directory("spectra") / f"{name}.npz"
    emission = _read(path, voltage_kv)
    if emission is None:
        emission = run_spekpy(voltage_kv, target, anode_angle_deg, thickness_um)
        _write(path, emission, json.dumps(setting))
    return emission


def run_spekpy(voltage_kv: float, target: str, anode_angle_deg: float, thickness_um: float | None = None) -> Emission:
    """Compute a bare target with spekpy, past the cache."""
    import spekpy

    kind: dict[str, Any] = {"th": anode_angle_deg, "physics": "casim", "dk": FINE_BIN_KEV}
    if thickness_um is not None:
        kind = {"th": FORWARD_DEG, "physics": "kqp", "dk": COARSE_BIN_KEV, "trans": True, "thick": thickness_um}
    model = spekpy.Spek(kvp=voltage_kv, targ=target, **kind)
    energy, continuum = model.get_spectrum(char=False)
    _, lines = model.get_spectrum(brem=False)
    return _gather(voltage_kv, energy, continuum / MM2_PER_CM2, lines / MM2_PER_CM2, kind["dk"])


def _gather(
    voltage_kv: float, energy_kev: Floats, continuum: Floats, lines: Floats, fine_kev: float = FINE_BIN_KEV
) -> Emission:
    """Average the continuum [fine] over 1 keV bins; keep the fine bins that hold lines."""
    edges = bin_edges_kev(voltage_kv)
    fine_edges = np.append(energy_kev - 0.5 * fine_kev, voltage_kv)
    running = np.concatenate(([0.0], np.cumsum(continuum * np.diff(fine_edges))))
    held = lines > 0.0
    return Emission(
        voltage_kv=voltage_kv,
        continuum=np.diff(np.interp(edges, fine_edges, running)) / np.diff(edges),
        line_energy_kev=energy_kev[held],
        line_photons=lines[held] * fine_kev,
    )


def _check(voltage_kv: float, target: str, anode_angle_deg: float, thickness_um: float | None) -> None:
    if target not in HIGHEST_KV:
        raise SpectrumError(f"target {target!r} (spekpy models {', '.join(HIGHEST_KV)})")
    if not LOWEST_KV <= voltage_kv <= HIGHEST_KV[target]:
        raise SpectrumError(
            f"voltage_kv {voltage_kv:g} (spekpy models {target} targets from {LOWEST_KV:g} to "
            f"{HIGHEST_KV[target]:g} kV) choose one inside, or give a spectrum table"
        )
    if thickness_um is not None:
        if not THICKNESSES_UM[0] <= thickness_um <= THICKNESSES_UM[1]:
            raise SpectrumError(
                f"target_thickness_um {thickness_um:g} (a transmission target has {THICKNESSES_UM[0]:g} to "
                f"{THICKNESSES_UM[1]:g}) choose one inside"
            )
        return
    if not ANGLES_DEG[0] <= anode_angle_deg <= ANGLES_DEG[1]:
        raise SpectrumError(
            f"anode_angle_deg {anode_angle_deg:g} (a reflection target has "
            f"{ANGLES_DEG[0]:g} to {ANGLES_DEG[1]:g} degrees)"
        )


def _read(path: Path, voltage_kv: float) -> Emission | None:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return Emission(voltage_kv, stored["continuum"], stored["line_energy_kev"], stored["line_photons"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        logger.info("tube spectrum %s is computed again (%s)", path, error)
        return None


def _write(path: Path, emission: Emission, setting: str) -> None:
    arrays: dict[str, Any] = {"continuum": emission.continuum, "line_energy_kev": emission.line_energy_kev,
              "line_photons": emission.line_photons}  # fmt: skip
    keep(path, lambda stream: np.savez(stream, setting=np.array(setting), **arrays))
