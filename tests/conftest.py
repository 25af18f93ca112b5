"""The machine is a test parameter: every numeric test runs on each one present."""

from __future__ import annotations

import importlib.util

import pytest

from xsim.backend import Backend, get_backend
from xsim.host import CPU_LEVELS, best_cpu_level


@pytest.fixture(
    scope="session",
    params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)],
)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each machine that runs kernels; a CUDA device only under ``-m cuda``."""
    if request.param == "cuda" and importlib.util.find_spec("cupy") is None:
        pytest.skip("cupy is not installed")
    return get_backend(request.param)


def cpu_levels() -> list[str]:
    """Host libraries this processor can run, lowest first."""
    best = best_cpu_level()
    return [best] if best == "generic" else [k for k in CPU_LEVELS if k <= best]


@pytest.fixture(scope="session", params=cpu_levels())
def level(request: pytest.FixtureRequest) -> str:
    """Each x86-64 level that this processor has."""
    return str(request.param)
