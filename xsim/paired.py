"""A second camera that sees what the first one saw: the same scene, tube charge and pixels behind another screen.

With the same quanta the thicker screen absorbs every quantum that the thinner one does, and further ones. Photons of
the energy E that arrive are a Poisson process; those that a screen of the same material and the areal density m stops
are thinned from it by 1 - exp(-(mu / rho) m), and those that the thicker one stops beyond that depth are the rest of
its own, independent of the first (superposition of Poisson processes). In the two moments that quanta are drawn by,

    light of the thicker = light of the thinner + own light,  M1 own = M1 thick - M1 thin,  M2 own = M2 thick - M2 thin,

so that before the light spreads both have their means and variances, and their covariance is the variance of the
thinner, M2 thin. Each screen then spreads its light, and each sensor adds its noise, by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from pydantic import ValidationError

from xsim.camera_file import overridden
from xsim.detector import Detector
from xsim.errors import SceneError
from xsim.quadrature import Quadrature
from xsim.radiograph import PAIR, SAME_QUANTA, Exposure, expose_at
from xsim.scene import Scene
from xsim.schema import first_problem
from xsim.scintillator import draw_light, shine

__all__ = ["check_pair", "expose_paired", "paired_scene"]

OWN = {"preset", "second_layer"}  # of the first camera alone
SAME = ("kind", "response", "rows", "columns", "pitch_mm")
OTHER_PAIR = 1 << 61  # bit that tells the second camera's serial number from the first's


def paired_scene(scene: Scene, fields: Mapping[str, Any], same_quanta: bool = False) -> Scene:
    """The scene seen by another camera of the same pixel grid.

    Parameters
    ----------
    scene : Scene
    fields : mapping
        Of ``[detector]``, in place of those that its camera has; a table replaces the same fields of a table. With a
        ``preset`` its camera has the grid alone of the scene's.
    same_quanta : bool
        Whether it shall be fit for ``expose_paired(..., same_quanta=True)``.

    Raises
    ------
    SceneError
        The fields make no camera, or not one that sees the same. One line.
    """
    held = set(SAME) | ({"correction"} if "preset" in fields else set(Detector.model_fields) - OWN)
    known = scene.detector.model_dump(include=held, exclude_none=True)
    try:
        camera = Detector.model_validate(overridden(known, dict(fields)), context={"directory": scene.directory})
    except ValidationError as error:
        raise SceneError(f"pair: {first_problem(error)}") from None
    if camera.sensor.serial == scene.detector.sensor.serial:
        own = camera.sensor.model_copy(update={"serial": camera.sensor.serial ^ OTHER_PAIR})
        camera = camera.model_copy(update={"sensor": own})
    other = scene.model_copy(update={"detector": camera, "second_exposure": None})
    check_pair(scene, other, same_quanta)
    return other


def check_pair(first: Scene, other: Scene, same_quanta: bool) -> None:
    """Refuse cameras that do not see the same.

    Parameters
    ----------
    first, other : Scene
        That differ in their detectors alone.
    same_quanta : bool

    Raises
    ------
    SceneError
        The second takes two images, their pixels differ, or its screen does not absorb every quantum that the first
        one does.
    """
    one, two = first.detector, other.detector
    if two.second_layer is not None:
        raise SceneError("the pair's camera has a second_layer (a pair is one other image) use one layer")
    for name in SAME:
        if getattr(one, name) != getattr(two, name):
            raise SceneError(f"the cameras of a pair differ in {name} (they share a pixel grid) leave it out")
    if not same_quanta:
        return
    thin, thick = one.scintillator, two.scintillator
    if thin.model != "single" or thick.model != "single" or one.response == "ideal":
        raise SceneError('the same quanta need screens without depth classes (model = "single") or same_quanta = false')
    if thin.material != thick.material or one.filters != two.filters:
        raise SceneError("the same quanta need screens of one material and filters (the pair's differ) make them alike")
    if thick.areal_density_mg_cm2 < thin.areal_density_mg_cm2:
        raise SceneError(
            f"the pair's screen is the thinner one ({thick.areal_density_mg_cm2:g} of "
            f"{thin.areal_density_mg_cm2:g} mg/cm2: not all quanta are its own) swap them, or same_quanta = false"
        )
    if one.sensor.tdi_stages != two.sensor.tdi_stages:
        raise SceneError("the same quanta need as many tdi_stages (the pair's differ) make them alike")


def expose_paired(
    first: Exposure, other: Scene, same_quanta: bool = False, quadratures: Mapping[str, Quadrature] | None = None
) -> Exposure:
    """Exposure of the same scene at the same tube charge by another camera; record its frames by the same seed.

    Parameters
    ----------
    first : Exposure
    other : Scene
        From `paired_scene`.
    same_quanta : bool
        Whether the quanta that the first screen absorbs are absorbed by the second one as well: the noise of both is
        correlated as that of one exposure. Else the second image is another exposure, its noise independent.
    quadratures : mapping of str to Quadrature, optional
        As for `expose`.

    Raises
    ------
    SceneError
        As for `check_pair`.
    """
    check_pair(first.scene, other, same_quanta)
    second = expose_at(other, first.mas, first.backend, quadratures)
    if not same_quanta:
        return replace(second, channel=PAIR)
    known = {each.name: getattr(second, each.name) for each in fields(second)}
    return ThickExposure(**{**known, "channel": SAME_QUANTA}, thin=first)


@dataclass(frozen=True, kw_only=True)
class ThickExposure(Exposure):
    """Exposure whose quanta are those of a thinner screen and further ones of its own.

    Attributes
    ----------
    thin : Exposure
    """

    thin: Exposure

    def take_light(self, seed: int, frame: int, tube_seed: int) -> Any:
        """Light of one exposure after its spread; both screens are in one beam, ``tube_seed`` is the thinner's seed."""
        (signal, variance), (thin, thin_variance) = (each.at_output(tube_seed, frame) for each in (self, self.thin))
        here, there = self._overlap()
        own, own_variance = signal.copy(), variance.copy()
        for image, taken in ((own, thin), (own_variance, thin_variance)):
            image[here] = self.backend.xp.maximum(image[here] - taken[there], np.float32(0))

        def draw(at: int) -> Any:
            light = draw_light(own, own_variance, seed, at, self.backend)
            light[here] += draw_light(thin, thin_variance, tube_seed, at, self.backend)[there]
            return light

        return shine(draw, signal, self.scene.detector, self.spread, seed, frame, self.backend)

    def _overlap(self) -> tuple[Any, Any]:
        """Where both images with their margins show the same pixels: in this one, in the thinner's."""
        cuts = []
        for own, other in ((self.spread, self.thin.spread), (self.thin.spread, self.spread)):
            spare = [max(a - b, 0) for a, b in zip(own.margin, other.margin, strict=True)]
            cuts.append((..., *(slice(each, -each or None) for each in spare)))
        return cuts[0], cuts[1]
