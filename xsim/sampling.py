"""What a pixel absorbs: the mean over the rays from points of the focal spot to parts of the pixel.

It is energy absorbed that is averaged, never path length.
"""

from __future__ import annotations

import functools
import operator
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xsim.absorption import BeamWeights, exposure_mas
from xsim.absorption import expected_signal as expect
from xsim.backend import Backend
from xsim.focal_spot import sample_count, spot_points, spot_size_mm
from xsim.generator import drifted_output
from xsim.geometry import View
from xsim.heel import heel_beams
from xsim.line_scan import aspect_at
from xsim.projector import FLIPPED, OPEN, report_faults
from xsim.scene import Scene
from xsim.signal_to_noise import snr_mas
from xsim.silhouette import active_tiles, crossed_pixels
from xsim.travel import Travel

__all__ = [
    "Absorbed", "absorb_scene", "absorb_view", "describe_rays", "drifted", "expected_signal", "exposure_of",
    "source_views",
]  # fmt: skip


@dataclass(frozen=True)
class Absorbed:
    """What the pixels of a view absorb, in the memory of the backend.

    Attributes
    ----------
    signal, variance : float32 [row, column] or [class, row, column] keV, keV^2
    labels : uint16 [row, column]
        Of the ray from the middle of the source to the middle of the pixel, or next to it.
    sound : bool [row, column]
        Whether no ray met an open or flipped mesh.
    rays_per_pixel : float
        Mean over the image.
    """

    signal: Any
    variance: Any
    labels: Any
    sound: Any
    rays_per_pixel: float


def exposure_of(scene: Scene, view: View) -> float:
    """Tube charge [mAs]; dose, grey value or noise asked for are those of the open beam in the middle of the image."""
    if scene.acquisition.snr is not None:
        return snr_mas(scene, view)
    mas = exposure_mas(scene, view)
    return mas if scene.acquisition.exposure_s is not None else float(f"{mas / view.middle_share:.9g}")


def absorb_view(
    scene: Scene,
    view: View,
    margin: tuple[int, int],
    weights: BeamWeights,
    backend: Backend,
    travel: Travel | None = None,
) -> Absorbed:
    """What a view with a margin of so many rows and columns absorbs; of a line scan blurred by the travel."""
    if travel is None:
        return absorb_scene(scene, view.with_margin(*margin), weights, backend)
    xp = backend.xp
    seen = absorb_scene(scene, travel.fine(view.with_margin(0, margin[1]), margin[0]), weights, backend)
    unsound = travel.gather((~seen.sound).astype(np.float32))
    return Absorbed(
        travel.gather(seen.signal), travel.gather(seen.variance), xp.ascontiguousarray(travel.middles(seen.labels)),
        unsound == 0, seen.rays_per_pixel * travel.samples,
    )  # fmt: skip


def absorb_scene(scene: Scene, view: View, weights: BeamWeights, backend: Backend) -> Absorbed:
    """What the pixels of a view absorb of a beam; under a heel of a few beams, each by its share of the pixel."""
    if not scene.source.heel:
        return absorb_spot(scene, view, weights, backend)
    xp = backend.xp
    signal: Any = np.float32(0.0)
    variance: Any = np.float32(0.0)
    sound: Any = True
    with told_once():
        for beam, share in heel_beams(scene, view, weights):
            part, image = absorb_spot(scene, view, beam, backend), xp.asarray(share)
            signal, variance, sound = signal + part.signal * image, variance + part.variance * image, sound & part.sound
    floor = np.float32(0.0)  # a sum with shares below 0 may round to just below it
    return replace(part, signal=xp.maximum(signal, floor), variance=xp.maximum(variance, floor), sound=sound)


def drifted(scene: Scene, seen: Absorbed, backend: Backend) -> Absorbed:
    """The same under a tube whose output drifts along the lines of a scan; the margin is as long before as after."""
    lines, rate = scene.acquisition.lines, scene.acquisition.line_rate_hz
    if scene.source.drift_share_per_s == 0.0 or lines is None or rate is None:
        return seen
    rows = seen.signal.shape[-2]
    time_s = (np.arange(rows) - (rows - lines) // 2) / rate
    output = backend.xp.asarray(drifted_output(scene.source.drift_share_per_s, time_s)[:, None], dtype=np.float32)
    return replace(seen, signal=seen.signal * output, variance=seen.variance * output)


def absorb_spot(scene: Scene, view: View, weights: BeamWeights, backend: Backend) -> Absorbed:
    """Mean over the points of the focal spot; each pixel is seen from all of them."""
    views = source_views(scene, view)
    if len(views) == 1:
        return absorb_from(scene, view, weights, backend)
    with told_once():
        parts = (absorb_from(scene, v, weights_from(v, view, weights), backend) for v in views)
        first = next(parts)
        signal, variance, sound, rays = first.signal, first.variance, first.sound, first.rays_per_pixel
        for part in parts:
            signal = signal + part.signal
            variance = variance + part.variance
            sound = sound & part.sound
            rays += part.rays_per_pixel
    share = np.float32(1.0 / len(views))
    return Absorbed(signal * share, variance * share, first.labels, sound, rays)


def source_views(scene: Scene, view: View) -> list[View]:
    """The view from each point of the focal spot, the middle one first.

    The spot lies across the line from its middle to that of the image; its width along the image's columns.
    """
    points = spot_points(scene.source, sample_count(scene.source, penumbra_px(scene, view)))
    if len(points) == 1:
        return [view]
    axis = view.to_middle / np.linalg.norm(view.to_middle)
    across = view.column - (view.column @ axis) * axis
    across /= np.linalg.norm(across)
    down = np.cross(axis, across)
    return [view.from_point(x * across + y * down) for x, y in points]


def penumbra_px(scene: Scene, view: View) -> float:
    """Widest penumbra of a focal spot at the detector: size (1 - f) / f, f the way to the nearest body. In pixels."""
    size = max(spot_size_mm(scene.source))
    if size == 0.0 or not scene.bodies:
        return 0.0
    nearest = min(float(view.project(scene.corners(body))[..., 0].min()) for body in scene.bodies)
    nearest = min(max(nearest, 1e-3), 1.0)
    return size * (1.0 - nearest) / nearest / float(np.linalg.norm(view.column))


def weights_from(view: View, nominal: View, weights: BeamWeights) -> BeamWeights:
    """Weights of the same exposure where the source is another distance from the detector plane."""
    share = (nominal.axis_distance_mm / view.axis_distance_mm) ** 2
    return replace(weights, signal_kev=weights.signal_kev * share, variance_kev2=weights.variance_kev2 * share)


def absorb_from(scene: Scene, view: View, weights: BeamWeights, backend: Backend) -> Absorbed:
    """Mean over the parts of each pixel, seen from one point."""
    n = scene.acquisition.subpixels
    if n == 1:
        return Absorbed(*expected_signal(scene, view, weights, backend), rays_per_pixel=1.0)
    if scene.acquisition.subpixel_mode == "full":
        found = expected_signal(scene, view.refined(n), weights, backend)
        return Absorbed(*mean_of_parts(found, n, backend), rays_per_pixel=float(n * n))
    coarse = expected_signal(scene, view, weights, backend)
    open_kev = float(weights.signal_kev.sum()) * view.middle_share
    total = coarse[0] if coarse[0].ndim == 2 else coarse[0].sum(axis=0)
    crossed = crossed_pixels(scene, view, total, coarse[2], open_kev, backend)
    share = float(crossed.mean(dtype=np.float64))
    if share == 0.0:
        return Absorbed(*coarse, rays_per_pixel=1.0)
    active = active_tiles(crossed, n, backend)
    fine = mean_of_parts(expected_signal(scene, view.refined(n), weights, backend, active), n, backend)
    signal, variance = (backend.xp.where(crossed, fine[k], coarse[k]) for k in range(2))
    return Absorbed(signal, variance, coarse[2], coarse[3] & (fine[3] | ~crossed), 1.0 + share * n * n)


def expected_signal(
    scene: Scene, view: View, weights: BeamWeights, backend: Backend, active: Any = None
) -> tuple[Any, Any, Any, Any]:
    """What one ray to the middle of each pixel gives.

    Parameters
    ----------
    active : int32 array, optional
        Tiles of the view that are wanted, in ascending order; the others may hold anything.

    Returns
    -------
    signal, variance : float32 [row, column] or [class, row, column] keV, keV^2
    labels : uint16 [row, column]
    sound : bool [row, column]
    """
    found = expect(scene, view, weights, backend, active=active)
    report_faults(scene, backend.to_numpy(found.faults), backend.to_numpy(found.faulty_bodies))
    return found.signal, found.variance, found.labels, found.faults & (OPEN | FLIPPED) == 0


def mean_of_parts(found: tuple[Any, Any, Any, Any], n: int, backend: Backend) -> tuple[Any, Any, Any, Any]:
    """Images of n x n parts a pixel to pixels; the label is that of the part next to the middle."""
    xp = backend.xp
    signal, variance, labels, sound = found
    parts = [(j, i) for j in range(n) for i in range(n)]  # one fixed order of addition
    share = np.float32(1.0 / n**2)
    means = (
        xp.ascontiguousarray(sum(image[..., j::n, i::n] for j, i in parts) * share) for image in (signal, variance)
    )
    all_sound = functools.reduce(operator.and_, (sound[j::n, i::n] for j, i in parts))
    return (*means, xp.ascontiguousarray(labels[n // 2 :: n, n // 2 :: n]), all_sound)


@contextmanager
def told_once() -> Iterator[None]:
    """Pass each warning on once, however many views it comes from."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for text, kind in dict.fromkeys((str(w.message), w.category) for w in caught):
        warnings.warn(text, kind, stacklevel=4)


def describe_rays(scene: Scene, seen: Absorbed) -> dict[str, Any]:
    """Magnification, rays per pixel, penumbra and, of a line scan, the aspect of its pixels; JSON-able."""
    view, geometry = scene.view, scene.geometry
    parallel = geometry.beam == "parallel"
    facts: dict[str, Any] = {
        "magnification": 1.0 if parallel else geometry.sdd_mm / geometry.sod_mm,
        "rays_per_pixel": seen.rays_per_pixel,
    }
    if scene.source.has_focal_spot:
        facts["focal_spot_effective_mm"] = list(spot_size_mm(scene.source))
        facts["penumbra_px"] = penumbra_px(scene, view)
        facts["focal_spot_samples"] = sample_count(scene.source, facts["penumbra_px"])
    if scene.belt is not None:
        middles = [0.5 * (c.min(axis=0) + c.max(axis=0)) for c in map(scene.corners, scene.bodies)]
        facts["line_step_mm"] = scene.belt.step_mm
        facts["aspect"] = aspect_at(view, np.zeros(3))
        facts["aspect_of_bodies"] = [aspect_at(view, middle) for middle in middles]
    return facts
