"""Audit of a restorer on repeated frames of a real scene, of which no clean image exists.

What is measured: whether the frames are repeats at all, whether their noise is what the restorer is told, what of them
is outside its training, its error, its bias, what it took away besides noise, and how much contrast of inserted spheres
it leaves. `denoise.audit_verdict` says what of that is good enough.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from denoise.audit_contrast import Recovered, Restore, Spheres, contrast_recovered
from denoise.audit_figures import Bias, Estimate, bias_of, error_of, pair_products, structure_share, tile_gains_db
from denoise.audit_range import Range, noise_correlation, range_of
from denoise.conditions import outside, sample_conditions
from denoise.noise_facts import NoiseLaw
from denoise.repeats import Steadiness, steadiness
from xsim import MeasurementError

__all__ = ["Audit", "audit_repeats"]


@dataclass(frozen=True)
class Audit:
    """All that was measured.

    Attributes
    ----------
    frames, rows, columns : int
    counted_share : float
        Of the pixels: neither saturated nor without any noise.
    steadiness : Steadiness
    range : Range
    squared_error_adu2, noise_variance_adu2 : Estimate
        Mean over the pixels of E (f(y) - x)^2 and of E (y - x)^2.
    gain_db : Estimate or None
        Their ratio; None where no error stands out of its own.
    bias : Bias
        Of the whole image.
    bias_by_level, bias_by_tile : list of Bias
    structure_share : Estimate
        Of what was taken away: what is the same in every frame.
    noise_correlation, removed_correlation : float64 [2 reach + 1, 2 reach + 1] or None
        Autocorrelation of the noise and of what changes from frame to frame in what was taken away.
    contrast : list of Recovered, or None where none was asked for
    mean, restored_mean : float32 [row, column] ADU
    gain_map_db : float64 [tile]
    black_adu : float
    """

    frames: int
    rows: int
    columns: int
    counted_share: float
    steadiness: Steadiness
    range: Range
    squared_error_adu2: Estimate
    noise_variance_adu2: Estimate
    gain_db: Estimate | None
    bias: Bias
    bias_by_level: list[Bias]
    bias_by_tile: list[Bias]
    structure_share: Estimate
    noise_correlation: np.ndarray | None
    removed_correlation: np.ndarray | None
    contrast: list[Recovered] | None
    mean: np.ndarray
    restored_mean: np.ndarray
    gain_map_db: np.ndarray
    black_adu: float

    @property
    def correlation_difference(self) -> float | None:
        """Greatest difference of the two autocorrelations at any lag."""
        if self.noise_correlation is None or self.removed_correlation is None:
            return None
        return float(np.abs(self.noise_correlation - self.removed_correlation).max())


def audit_repeats(
    noisy: np.ndarray,
    restore: Restore,
    noise: NoiseLaw,
    black_adu: float,
    *,
    trained: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    saturation_adu: float | None = None,
    spheres: Spheres | None = None,
    seed: int = 0,
    tick: Callable[[], None] = lambda: None,
) -> Audit:
    """Audit a restorer on repeated frames of one scene.

    Parameters
    ----------
    noisy : [frame, row, column] ADU
        Four frames or more, as the camera gave them.
    restore : callable
        From a frame [row, column] to the restored one, ADU.
    noise : NoiseLaw
        Var y = a y + b, what the restorer is told.
    black_adu : float
        Grey value of no light.
    trained : mapping, optional
        Configuration of the model's file, for what is outside its range.
    metadata : mapping, optional
        Of the frames, as xsim writes it.
    saturation_adu : float, optional
        Grey value from which a pixel counts as saturated; by default the greatest that the frames' type holds.
    spheres : Spheres, optional
        Without them contrast is not measured.
    seed : int
        Of the spheres' places.
    tick : callable
        Called after each restoration.

    Raises
    ------
    XsimError
        Too few frames, no pixel that counts, or spheres that the frames do not fit.
    """
    stack = np.asarray(noisy)
    if stack.ndim != 3 or len(stack) < 4:
        raise MeasurementError(f"frames of shape {stack.shape} (frame, row, column; 4 or more) give repeated frames")
    restored = np.stack([restored_frame(restore, frame, tick) for frame in stack])
    valid = counted(stack, saturation_adu)
    steady = steadiness(stack, black_adu)
    even = np.stack(
        [((y - black_adu) / g + black_adu).astype(np.float32) for y, g in zip(stack, steady.brightness, strict=True)]
    )
    mean = even.mean(axis=0, dtype=np.float64)
    correlation = noise_correlation(stack)
    told = sample_conditions(metadata or {})
    told.pop("kernel_sum_squares", None)  # which the frames themselves tell
    model = trained or {}
    products = pair_products(stack, restored, steady.brightness, black_adu, valid)
    whole, levels, tiles = bias_of(stack, restored, steady.brightness, black_adu, valid)
    return Audit(
        frames=len(stack),
        rows=stack.shape[1],
        columns=stack.shape[2],
        counted_share=float(valid.mean()),
        steadiness=steady,
        range=range_of(even, mean, *noise, valid, model, outside(told, model.get("conditions", {})), correlation),
        **error_of(products),
        bias=whole,
        bias_by_level=levels,
        bias_by_tile=tiles,
        structure_share=structure_share(products),
        noise_correlation=correlation,
        removed_correlation=noise_correlation(stack - restored),
        contrast=None if spheres is None else contrast_recovered(stack, restored, restore, spheres, seed, tick),
        mean=mean.astype(np.float32),
        restored_mean=restored.mean(axis=0, dtype=np.float64).astype(np.float32),
        gain_map_db=tile_gains_db(products),
        black_adu=float(black_adu),
    )


def restored_frame(restore: Restore, frame: np.ndarray, tick: Callable[[], None]) -> np.ndarray:
    found = np.asarray(restore(frame), np.float32)
    if found.shape != frame.shape or not np.isfinite(found).all():
        raise MeasurementError(f"the restorer gives {found.shape} or no numbers of a frame {frame.shape} (mend it)")
    tick()
    return found


def counted(stack: np.ndarray, saturation_adu: float | None) -> np.ndarray:
    """Pixels that count, bool [row, column]: saturated in no frame, and not the same in all.

    Raises
    ------
    MeasurementError
        There is none.
    """
    top = float(np.iinfo(stack.dtype).max) if stack.dtype.kind in "ui" else np.inf
    top = min(top, np.inf if saturation_adu is None else saturation_adu)
    valid = (stack < top).all(axis=0) & (stack != stack[0]).any(axis=0)
    if not valid.any():
        raise MeasurementError("no pixel of the frames counts (all are saturated or the same) lower the exposure")
    return np.asarray(valid)
