"""Figures of several seeds against the bars of restoration_bars.toml."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from scipy.stats import t as student

BARS = Path(__file__).parents[1] / "restoration_bars.toml"
Figure = float | Mapping[str, float]  # of a run: a number, or one for each setting


@dataclass(frozen=True)
class Judged:
    """A figure over the seeds.

    Attributes
    ----------
    mean : float
        Over seeds of the mean over settings.
    interval : float
        Half-width of the 95 % interval of that mean by Student's t, NaN for one seed.
    least, greatest : float
        Over settings and seeds.
    """

    mean: float
    interval: float
    least: float
    greatest: float

    @classmethod
    def of(cls, runs: Sequence[Figure]) -> Judged:
        settings = [list(run.values()) if isinstance(run, Mapping) else [float(run)] for run in runs]
        means = [mean(each) for each in settings]
        spread = stdev(means) / len(means) ** 0.5 * student.ppf(0.975, len(means) - 1) if len(means) > 1 else math.nan
        return cls(mean(means), spread, min(map(min, settings)), max(map(max, settings)))


@dataclass(frozen=True)
class Verdict:
    """A bar and what was found; ``holds`` is None where it was not measured."""

    bar: Mapping[str, Any]
    found: Judged | None
    holds: bool | None


def read_bars(gpu: bool) -> list[dict[str, Any]]:
    """The bars; those of a GPU only where training ran on one."""
    return [bar for bar in tomllib.loads(BARS.read_text())["bar"] if gpu or not bar.get("gpu")]


def judge(results: Mapping[str, Mapping[str, Mapping[str, Figure]]], gpu: bool) -> list[Verdict]:
    """Each bar against results[system][seed][figure]."""
    verdicts = []
    for bar in read_bars(gpu):
        runs = [run[bar["figure"]] for run in results.get(bar["system"], {}).values() if bar["figure"] in run]
        found = Judged.of(runs) if runs else None
        verdicts.append(Verdict(bar, found, None if found is None else holds(bar, found)))
    return verdicts


def holds(bar: Mapping[str, Any], found: Judged) -> bool:
    if "at_most" in bar:
        return (found.greatest if bar.get("worst") else found.mean) <= bar["at_most"]
    value = found.least if bar.get("worst") else found.mean
    return value > bar["above"] if "above" in bar else value >= bar["at_least"]


def asked(bar: Mapping[str, Any]) -> str:
    """The bar in words: "at least 3"."""
    key = next(key for key in ("at_least", "at_most", "above") if key in bar)
    return f"{key.replace('_', ' ')} {bar[key]:g}"
