"""Where the time of a sample goes: the functions of each stage, timed as they are called within one process."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import datagen
from datagen.store import create_store

__all__ = ["STAGES", "stage_seconds"]

#: Stage and the functions it is, by where they are looked up; what a stage calls of another is the other's.
STAGES = {
    "scene drawn and checked": ("datagen.scenes.draw_scene",),
    "projection, attenuation": ("xsim.radiograph.absorb_view",),
    "light spread": ("xsim.radiograph.spread_light", "xsim.scintillator.spread_light"),
    "quanta drawn": ("xsim.scintillator.draw_light",),
    "read-out": ("xsim.radiograph.record",),
    "tables, checks": ("datagen.sample._describe", "datagen.images.check_image"),
    "compressed, hashed, written": ("datagen.shard.write_commit",),
    "else": (),
}


class Clock:
    """Seconds by stage; the time of an inner stage is not counted in the outer."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self.stack: list[float] = []

    def timed(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.stack.append(0.0)
            start = time.perf_counter()
            try:
                return work(*arguments, **named)
            finally:
                took = time.perf_counter() - start
                self.spent[stage] += took - self.stack.pop()
                if self.stack:
                    self.stack[-1] += took

        return call


def stage_seconds(corpus: Path, out: Path, backend: str) -> dict[str, float]:
    """Milliseconds a sample of each stage, over the corpus' second shard."""
    import importlib

    known = datagen.load_corpus(corpus)
    create_store(known, out)
    datagen.write_shard(known, out, 0, backend)
    clock, patches = Clock(), []
    for stage, functions in STAGES.items():
        for name in functions:
            module, function = name.rsplit(".", 1)
            work = getattr(importlib.import_module(module), function)
            patches.append(patch(name, clock.timed(stage, work)))
    for each in patches:
        each.start()
    start = time.perf_counter()
    record = datagen.write_shard(known, out, 1, backend)
    whole = time.perf_counter() - start
    for each in patches:
        each.stop()
    clock.spent["else"] = whole - sum(clock.spent.values())
    return {stage: 1e3 * clock.spent[stage] / record["samples"] for stage in STAGES}
