"""What both sides of a comparison share: how an image is timed, and how a peer's process answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

MARK = "PEER "
TURN_S = 0.25


@dataclass(frozen=True)
class Peer:
    """A peer ready on a case.

    ``work`` makes one image; ``transmission`` makes shares of the open beam of it, untimed; ``device`` is what it
    runs on.
    """

    work: Callable[[], np.ndarray]
    transmission: Callable[[np.ndarray], np.ndarray] = lambda image: image
    device: str = "CPU"


class UnavailableError(Exception):
    """The peer cannot do the case on this machine."""


def turn(work: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """An image and the median time of a call [ms], of calls for a quarter of a second and at least one."""
    spent: list[float] = []
    while sum(spent) < TURN_S:
        start = time.perf_counter()
        image = work()
        spent.append(time.perf_counter() - start)
    return image, 1e3 * float(np.median(spent))
