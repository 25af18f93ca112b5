"""Simulated bodies in real images: the image that its camera would have recorded with the body in the beam."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xsim.backend import Backend, get_backend
from xsim.errors import MeasurementError, SceneError
from xsim.foreign_body import Window, place_bodies, window_of
from xsim.instance_table import instance_table
from xsim.passage import passage
from xsim.radiograph import check_seed
from xsim.real_image import Background, RealImage
from xsim.resources import VERSION
from xsim.sampling import penumbra_px
from xsim.scene import Scene
from xsim.thinning import Thinning, thin

__all__ = ["Insertion", "Prepared", "insert", "prepare"]


@dataclass(frozen=True)
class Insertion:
    """An image with bodies in it.

    Attributes
    ----------
    image : array [row, column] or [frame, row, column], dtype of the image given, ADU
    labels : uint16 [row, column]
        0 where the image is, k where the k-th body is seen, overlapping ones by priority.
    valid : bool, shape of the image
        False where the image was saturated; such pixels keep their value.
    transmission : float32 [row, column]
        What the signal above black was multiplied by.
    added_adu : float32 [row, column]
        What was added to it where a body lets more through than what it displaces.
    black_adu : float32 [row, column]
        Grey value of no light.
    expected : float32 [row, column]
        Mean grey value with the bodies, by the image's local level.
    instances : list of dict
        A row for each body; JSON-able.
    metadata : dict
        Station, bodies, seed and numbers; JSON-able.

    """

    image: np.ndarray
    labels: np.ndarray
    valid: np.ndarray
    transmission: np.ndarray
    added_adu: np.ndarray
    black_adu: np.ndarray
    expected: np.ndarray
    instances: list[dict[str, Any]]
    metadata: dict[str, Any]

    def clean(self, image: np.ndarray) -> np.ndarray:
        """The bodies in an image without noise of the same place, a mean of many frames, float32 [row, column]."""
        return with_bodies(image, self.black_adu, self.transmission, self.added_adu)


def with_bodies(image: np.ndarray, black: np.ndarray, transmission: np.ndarray, added_adu: np.ndarray) -> np.ndarray:
    """Mean grey values with bodies, from those without, float32 [row, column]."""
    return np.asarray(black + transmission * (np.asarray(image, np.float32) - black) + added_adu, np.float32)


@dataclass(frozen=True)
class Prepared:
    """All of an insertion that is not drawn.

    Attributes
    ----------
    real : RealImage
    scene : Scene
        The station with the bodies alone.
    window : Window
        Rows and columns that change.
    thinning : Thinning
        Of the window.
    labels : uint16 [row, column]
        Of the whole image.

    """

    real: RealImage
    scene: Scene
    window: Window
    thinning: Thinning
    labels: np.ndarray

    @property
    def part(self) -> tuple[slice, slice]:
        return slice(*self.window[:2]), slice(*self.window[2:])

    def whole(self, image: np.ndarray, fill: float) -> np.ndarray:
        """An image of the window in the whole image, float32."""
        found = np.full(self.labels.shape, fill, np.float32)
        found[self.part] = image
        return found

    def record(self, frame: np.ndarray, seed: int, number: int) -> np.ndarray:
        """One frame [row, column] with the bodies, in its own dtype; the frame given stays as it is."""
        found, part = frame.copy(), frame[self.part]
        black = self.real.black_adu[self.part]
        grey = black + self.thinning.transmission * (part - black) + self.thinning.noise(seed, number)
        grey = np.where(self.real.saturated(part, self.part), part, grey)
        if np.issubdtype(frame.dtype, np.integer):
            end = np.iinfo(frame.dtype)
            grey = np.clip(np.floor(grey + 0.5), max(end.min, 0), min(end.max, self.real.end_adu))
        found[self.part] = np.where(self.changed, grey, part).astype(frame.dtype)
        return found

    @property
    def changed(self) -> np.ndarray:
        """Pixels of the window whose mean is another, bool [row, column]."""
        return np.asarray((self.thinning.transmission != 1.0) | (self.thinning.added_adu != 0.0))


def insert(
    image: np.ndarray, station: Scene, bodies: Sequence[Mapping[str, Any]], background: Background | None = None,
    *, seed: int = 0, frame: int = 0, region: tuple[slice, slice] | None = None, backend: str = "auto",
    threads: int | None = None,
) -> Insertion:  # fmt: skip
    """Put bodies into an image that a camera took: signal times their blurred transmission, and the noise made right.

    Parameters
    ----------
    image : array [row, column], or [frame, row, column] of frames of one static scene
        Grey values as the camera gave them, ADU; whole numbers stay whole numbers. Not changed.
    station : Scene
        Source, geometry, detector and ``acquisition`` (exposure, frames, state) that the image was taken with; what
        bodies it has are not looked at.
    bodies : sequence of mapping
        [[body]] tables of a scene file, none perhaps; a place by ``at = [row, column]``, by ``position_mm``, or drawn.
    background : Background, optional
        What stands in the beam already and how its thickness is known; open beam by default.
    seed : int
        The same seed gives the same bytes.
    frame : int
        Number of the first frame; frames of one seed have the same places, and noise of their own.
    region : two slices, optional
        Rows and columns for places that are drawn.
    backend : {"auto", "cpu", "cuda"}
    threads : int, optional
        CPU threads; all cores by default.

    Raises
    ------
    XsimError
        The image does not belong to the station, or the bodies fit nowhere; one line.

    """
    frames = np.asarray(image)
    stack = frames[None] if frames.ndim == 2 else frames
    check_seed(seed, frame)
    machine = get_backend(backend, threads)
    prepared = prepare(stack, station, bodies, background or Background(), seed, region, machine)
    real, whole = prepared.real, (slice(0, stack.shape[1]), slice(0, stack.shape[2]))
    found = np.stack([prepared.record(each, seed, frame + k) for k, each in enumerate(stack)])
    valid = np.stack([~real.saturated(each, whole) for each in stack])
    transmission = prepared.whole(prepared.thinning.transmission, 1.0)
    added, black = prepared.whole(prepared.thinning.added_adu, 0.0), real.black_adu.astype(np.float32)
    one = 0 if frames.ndim == 2 else slice(None)
    return Insertion(
        found[one], prepared.labels, valid[one], transmission, added, black,
        with_bodies(real.black_adu + real.signal_adu, black, transmission, added),
        instance_table(prepared.scene, bodies, prepared.labels, real, transmission, added),
        {**describe(prepared, seed), "frame": frame, "backend": machine.name},
    )  # fmt: skip


def describe(prepared: Prepared, seed: int) -> dict[str, Any]:
    """How to make it again, and the numbers it was made with; JSON-able."""
    scene = prepared.scene
    return {
        "xsim": VERSION, "seed": seed, "state": scene.acquisition.state, **prepared.real.describe(),
        "scene": json.loads(scene.model_dump_json(exclude_none=True)),
    }  # fmt: skip


def prepare(
    stack: np.ndarray, station: Scene, bodies: Sequence[Mapping[str, Any]], background: Background, seed: int,
    region: tuple[slice, slice] | None, backend: Backend,
) -> Prepared:  # fmt: skip
    """Everything but the draws."""
    check(stack, station)
    scene = place_bodies(bodies, station, seed, region)
    real = RealImage.of(stack, scene, background, backend)
    view, spread = scene.view, real.spread
    above, beside = spread.margin
    reach = int(np.ceil(penumbra_px(scene, view))) + 1
    low_row, stop_row, low_column, stop_column = window_of(scene, view, reach) if bodies else (0, 1, 0, 1)
    window = (
        max(0, low_row - 2 * above), min(view.rows, stop_row + 2 * above),
        max(0, low_column - 2 * beside), min(view.columns, stop_column + 2 * beside),
    )  # fmt: skip
    if not bodies:
        window = (0, 1, 0, 1)  # nothing changes there either
    elif window[0] >= window[1] or window[2] >= window[3]:
        raise SceneError("no body is seen in the image (all are beside it) move them")
    wide = window[0] - above, window[1] + above, window[2] - beside, window[3] + beside
    light, weight, thickness = real.quanta_in(wide, backend)
    passed, labels = passage(scene, real.hardening, wide, thickness, background.is_replaced, backend)
    part = slice(*window[:2]), slice(*window[2:])
    thinning = thin(light, weight, passed, real.pixels.within(part), real.signal_adu[part], spread, backend)
    inner = labels[above : labels.shape[0] - above, beside : labels.shape[1] - beside]
    whole = np.zeros(stack.shape[1:], np.uint16)
    whole[part] = inner
    return Prepared(real, scene, window, thinning, whole)


def check(stack: np.ndarray, station: Scene) -> None:
    """Refuse what is no image of that station."""
    view, detector = station.view, station.detector
    if stack.ndim != 3 or stack.dtype.kind not in "uif" or 0 in stack.shape:
        raise MeasurementError(
            f"an image of shape {stack.shape[1:]} and {stack.dtype} (rows x columns of grey values needed) convert it"
        )
    if stack.shape[1:] != (view.rows, view.columns):
        raise MeasurementError(
            f"the image has {stack.shape[1]} x {stack.shape[2]} pixels (the station's camera {view.rows} x "
            f"{view.columns}) set rows and columns in [detector]"
        )
    if detector.response == "ideal":
        raise SceneError('an ideal response takes no real images (response = "ideal") name the camera')
    if not np.isfinite(stack).all():
        raise MeasurementError("the image holds pixels that are no numbers (nan or infinite) mend it first")
