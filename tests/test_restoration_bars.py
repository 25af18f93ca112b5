"""The judge of benchmarks/restoration.py: bars hold, fail or are not measured as their words say."""

import math
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def bars():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        from restoration import bars
    finally:
        sys.path.remove(str(BENCHMARKS))
    return bars


@pytest.mark.parametrize(
    ("bar", "runs", "expected"),
    [
        ({"at_least": 3.0}, [3.0, 3.0], True),
        ({"at_least": 3.0}, [{"low": 2.0, "high": 4.0}, {"low": 2.5, "high": 3.6}], True),
        ({"at_least": 3.0, "worst": True}, [{"low": 2.0, "high": 4.0}, {"low": 3.5, "high": 3.6}], False),
        ({"above": 0.0}, [0.0], False),
        ({"above": 0.0}, [1e-6], True),
        ({"at_most": 0.1}, [0.05, 0.16], False),
        ({"at_most": 0.1, "worst": True}, [{"low": 0.0, "high": 0.11}], False),
        ({"at_most": 0}, [0], True),
    ],
)
def test_bar_holds_by_its_words(bars, bar, runs, expected):
    assert bars.holds(bar, bars.Judged.of(runs)) is expected


def test_figure_is_mean_of_settings_then_of_seeds_with_students_interval(bars):
    found = bars.Judged.of([{"a": 1.0, "b": 3.0}, {"a": 2.0, "b": 4.0}, {"a": 3.0, "b": 5.0}])
    assert (found.mean, found.least, found.greatest) == (3.0, 1.0, 5.0)
    assert found.interval == pytest.approx(4.30265 / math.sqrt(3.0), rel=1e-5)
    assert math.isnan(bars.Judged.of([1.0]).interval)


def test_every_bar_is_judged_and_what_was_not_measured_is_not_called_held(bars):
    two_cores, with_gpu = bars.judge({}, gpu=False), bars.judge({}, gpu=True)
    assert 15 < len(two_cores) < len(with_gpu)
    assert all(verdict.holds is None for verdict in with_gpu)
    results = {"streaming": {"0": {"differing_pixels": 0, "mpixel_per_s_and_core": 0.4}}}
    told = {v.bar["figure"]: v.holds for v in bars.judge(results, gpu=False) if v.bar["system"] == "streaming"}
    assert told == {"differing_pixels": True, "mpixel_per_s_and_core": False}
