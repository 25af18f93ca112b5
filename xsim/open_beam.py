"""The camera of a scene, and the beam without bodies that its gain frames are taken in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from xsim.absorption import BeamWeights, dark_time_s
from xsim.backend import Backend
from xsim.camera import Camera
from xsim.correction import OpenBeam, camera_of
from xsim.light_spread import LightSpread
from xsim.sampling import absorb_view
from xsim.scene import Scene
from xsim.scintillator import spread_light, take_light

__all__ = ["open_beam", "own_camera"]


def own_camera(scene: Scene, spread: LightSpread, weights: BeamWeights, mas: float, backend: Backend) -> Camera | None:
    """The camera of a scene with what tells its pixels apart and its corrections; None where it has neither."""
    run, detector = scene.acquisition, scene.detector
    if detector.response == "ideal" or (run.state == "raw" and run.frames == 1 and detector.sensor.is_plain):
        return None
    beam = open_beam(scene, spread, weights, backend) if run.state == "flat_field_corrected" else None
    rows = 1 if detector.kind == "line_scan" else detector.rows
    return camera_of(detector, rows, dark_time_s(scene, mas), backend, run.state, run.frames, beam)


def open_beam(scene: Scene, spread: LightSpread, weights: BeamWeights, backend: Backend) -> OpenBeam:
    """The beam of a scene without its bodies; one line of a line scan."""
    spread = replace(spread, lag=None)  # of a steady beam: it changes no mean
    one = {"subpixels": 1, "travel_samples": None} | ({"lines": 1} if scene.belt is not None else {})
    bare = scene.model_copy(update={"body": (), "defect": (), "acquisition": scene.acquisition.model_copy(update=one)})
    bare._memo = {}
    seen = absorb_view(bare, bare.view, spread.margin, weights, backend)

    def draw(factor: float, seed: int, frame: int) -> Any:
        share = np.float32(factor)
        return take_light(seen.signal * share, seen.variance * share, scene.detector, spread, seed, frame, backend)

    return OpenBeam(spread_light(seen.signal, spread, backend), draw)
