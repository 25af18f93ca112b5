"""The queue of shards on more workers than this machine has, from what was measured on its own.

Each worker takes the next shard when it is free. A shard takes one of the measured times to simulate and compress, then
is written: writers share the store's bandwidth, one after the other. The job's own process serves one worker at a time.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass

__all__ = ["QueueCosts", "simulate_queue"]


@dataclass(frozen=True)
class QueueCosts:
    """What was measured: seconds of one shard on one core, each; of the parent per shard; of a worker's start; and of
    the store per shard when one writes (0: each worker has a disk of its own)."""

    shard_s: tuple[float, ...]
    parent_s: float
    start_s: float
    store_s: float = 0.0


def simulate_queue(costs: QueueCosts, workers: int, shards: int, seed: int = 0) -> float:
    """Seconds until the last shard is committed."""
    draw = random.Random(seed)
    parent_free = store_free = 0.0
    free = [costs.start_s] * workers
    heapq.heapify(free)
    last = 0.0
    for _ in range(shards):
        taken = max(heapq.heappop(free), parent_free)
        parent_free = taken + costs.parent_s
        made = parent_free + draw.choice(costs.shard_s)
        store_free = max(made, store_free) + costs.store_s
        heapq.heappush(free, store_free if costs.store_s else made)
        last = max(last, store_free, made)
    return last
