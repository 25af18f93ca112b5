"""Numbers drawn from one Philox substream.

Only the generator's raw 64-bit words are used: NumPy promises those for ever, not the way its ``uniform`` or ``normal``
turn them into numbers. A corpus drawn today is therefore the one drawn by next year's NumPy.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

__all__ = ["Stream", "normal_at"]

_NORMAL = NormalDist()


class Stream:
    """Draws that depend on ``entropy`` and ``key`` alone.

    Parameters
    ----------
    entropy : int
        Seed of the corpus, not negative.
    *key : int
        Address of the substream below it, for example (scene index, attempt).

    Attributes
    ----------
    rows : dict
        {table of conditions: its row}, of the scene that is being drawn.
    shares : dict
        {dotted name: uniform number} of the values of the scene that others follow.
    """

    def __init__(self, entropy: int, *key: int) -> None:
        self._bits = np.random.Philox(np.random.SeedSequence(entropy, spawn_key=key))
        self.rows: dict[str, int] = {}
        self.shares: dict[str, float] = {}

    def word(self) -> int:
        """64 random bits."""
        return int(self._bits.random_raw())

    def unit(self) -> float:
        """Uniform on [0, 1), a multiple of 2**-53."""
        return (self.word() >> 11) * 2.0**-53

    def units(self, count: int) -> np.ndarray:
        """The next ``count`` of `unit` at once, float64 [count]."""
        return np.asarray((self._bits.random_raw(count) >> np.uint64(11)) * 2.0**-53)

    def between(self, low: float, high: float) -> float:
        """Uniform on [low, high)."""
        return low + (high - low) * self.unit()

    def below(self, count: int) -> int:
        """Uniform integer in 0 .. count - 1."""
        return int(self.unit() * count)

    def normal(self, low: float = -np.inf, high: float = np.inf) -> float:
        """Standard normal restricted to [low, high], by inversion."""
        return normal_at(self.unit(), low, high)

    def unit_with(self, name: str, correlation: float) -> float:
        """Uniform on [0, 1); as a normal number correlated with that of ``shares[name]``."""
        own = (1.0 - correlation**2) ** 0.5 * self.normal()
        return min(_NORMAL.cdf(correlation * normal_at(self.shares[name]) + own), 1.0 - 2.0**-53)


def normal_at(share: float, low: float = -np.inf, high: float = np.inf) -> float:
    """Quantile of the standard normal distribution restricted to [low, high], 0 <= share < 1."""
    first, last = _NORMAL.cdf(low), _NORMAL.cdf(high)
    # half a step keeps the argument inside (0, 1), where the quantile is finite
    whole = first + (last - first) * (share + 2.0**-54)
    return _NORMAL.inv_cdf(min(max(whole, 2.0**-54), 1.0 - 2.0**-53))
