"""The built wheel stands alone: installed elsewhere it simulates from another directory."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from xsim.host import best_cpu_level

ROOT = Path(__file__).parents[1]


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A bare interpreter that sees a wheel for this processor, and dependencies of this one but no editable xsim."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-Cbuild-dir=" + str(folder / "build"),
        f"-Ccmake.define.XSIM_LEVELS={best_cpu_level()}", "-w", folder, ROOT, cwd=folder)  # fmt: skip
    wheel = next(folder.glob("xsim-*.whl"))
    run(*pip, "install", "--quiet", "--no-deps", "--target", folder / "site", wheel, cwd=folder)
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    return python, {"PYTHONPATH": f"{folder / 'site'}{os.pathsep}{sysconfig.get_path('purelib')}"}


def test_wheel_simulates_from_another_directory(installed: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    python, environment = installed
    where = run(python, "-c", "import xsim; print(xsim.__file__)", cwd=tmp_path, **environment)
    assert "site" in where and str(ROOT) not in where
    run(python, "-m", "xsim.cli", "simulate", "phantom:bearing-bracket", "-o", "out", cwd=tmp_path, **environment)
    assert (tmp_path / "out" / "noisy.tif").stat().st_size > 500_000
    assert (tmp_path / "out" / "preview.png").exists()


def test_import_stays_light(installed: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    """``import xsim`` pulls in no torch, matplotlib, zarr or cupy, and prints nothing."""
    python, environment = installed
    code = "import sys, xsim; print([m for m in ('torch', 'matplotlib', 'zarr', 'cupy', 'spekpy') if m in sys.modules])"
    assert run(python, "-c", code, cwd=tmp_path, **environment).strip() == "[]"
