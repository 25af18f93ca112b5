"""The one kernel source in other compilers: NVRTC for each architecture, and the host's sanitizers."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import host_library
import numpy as np
import pytest

from xsim.backend import CUDA_OPTIONS, get_backend, kernel_source
from xsim.kernel_arguments import ARGUMENTS

# Double on purpose: vertices and clusters are projected, planes of triangles made and analytic solids intersected in
# double, all inside the kernels that meet both. Their float part, the edges and depths of a triangle, is checked apart
# by PROBE.
DOUBLE_KERNELS = {"project_vertices", "count_bins", "project_scene"}
PROBE = """
extern "C" __global__ void meet_triangle_probe(const Outline* t, const Plane* p, i32 column, i32 row, float* depth) {
  const Edges e = edges_at(*t, column, row);
  if ((e.value[0] | e.value[1] | e.value[2]) >= 0)
    *depth = depth_of(*p, (float)e.value[1], (float)e.value[2], (float)e.value[0]);
}
"""


class Nvrtc:
    """NVIDIA's run-time compiler alone: no toolkit, no driver, no GPU."""

    def __init__(self) -> None:
        spec = importlib.util.find_spec("nvidia")
        folders = list(spec.submodule_search_locations or ()) if spec else []
        found = [p for folder in folders for p in sorted(Path(folder).rglob("libnvrtc.so.*"))]
        if not found:
            pytest.skip("nvidia-cuda-nvrtc is not installed")
        self._library = ctypes.CDLL(str(found[0]))

    def compile(self, source: str, architecture: str) -> tuple[str, bytes]:
        """PTX, and the binary of a real architecture (sm_..)."""
        program = ctypes.c_void_p()
        self._call("CreateProgram", ctypes.byref(program), source.encode(), b"xsim.cu", 0, None, None)
        options = [option.encode() for option in (*CUDA_OPTIONS, f"--gpu-architecture={architecture}")]
        result = self._library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
        assert result == 0, self._text(program, "ProgramLog").decode()
        return self._text(program, "PTX").decode(), self._text(program, "CUBIN")

    def _text(self, program: ctypes.c_void_p, what: str) -> bytes:
        size = ctypes.c_size_t()
        self._call(f"Get{what}Size", program, ctypes.byref(size))
        text = ctypes.create_string_buffer(size.value)
        self._call(f"Get{what}", program, text)
        return text.raw

    def _call(self, name: str, *arguments: object) -> None:
        result = getattr(self._library, f"nvrtc{name}")(*arguments)
        assert result == 0, f"nvrtc{name}: {result}"


def kernels_of(ptx: str) -> dict[str, str]:
    """Text of each kernel, with whatever functions it calls inlined; none is left to call."""
    assert not re.search(r"^\s*(\.visible\s+)?\.func", ptx, re.MULTILINE)
    parts = re.split(r"\.entry\s+(\w+)", ptx)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


LATER = [pytest.param(each, marks=pytest.mark.slow) for each in ("sm_80", "sm_90", "sm_120")]


@pytest.mark.parametrize("architecture", ["sm_75", *LATER])
def test_every_kernel_compiles_by_nvrtc_alone(architecture: str) -> None:
    """Float kernels hold no double, and nothing is contracted: a fused multiply-add rounds once, the host twice."""
    ptx, binary = Nvrtc().compile(kernel_source() + PROBE, architecture)
    kernels = kernels_of(ptx)
    assert set(kernels) == set(ARGUMENTS) | {"meet_triangle_probe"}
    assert binary[:4] == b"\x7fELF"
    assert {name for name, text in kernels.items() if ".f64" in text} == DOUBLE_KERNELS
    assert "mul.rn.f32" in ptx or "mul.f32" in ptx
    assert not re.search(r"\b(fma|mad)(\.\w+)*\.f(32|64)\b", ptx)


@pytest.mark.parametrize(
    "pixel_major",
    [pytest.param(False, id="loops of a CPU"), pytest.param(True, id="loops of a GPU", marks=pytest.mark.slow)],
)
def test_sanitizers_have_nothing_to_report(tmp_path: Path, pixel_major: bool) -> None:
    """Addresses, undefined behaviour, float to integer overflow and division by zero, over every kind of scene."""
    if host_library.compiler() is None or (runtime := host_library.address_sanitizer()) is None:
        pytest.skip("no compiler with an address sanitizer")
    library = host_library.build(tmp_path, *host_library.SANITIZE, pixel_major=pixel_major)

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "LD_PRELOAD": runtime, "ASAN_OPTIONS": "detect_leaks=0"}
        command = [sys.executable, host_library.__file__, str(library), *options]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)

    done = run(*(["--pixel-major"] if pixel_major else []))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ERROR" not in done.stderr and "runtime error" not in done.stderr, done.stderr
    overrun = run("--overrun")
    assert overrun.returncode != 0 and "heap-buffer-overflow" in overrun.stderr


def test_the_loops_of_a_gpu_give_the_bytes_of_the_loops_of_a_cpu(tmp_path: Path) -> None:
    """All six images of every kind of scene. Compares the order of the work, not the arithmetic of a GPU."""
    if host_library.compiler() is None:
        pytest.skip("no compiler")
    library = host_library.build(tmp_path, "-O2", pixel_major=True)
    by_pixel = host_library.LibraryBackend(library, threads=2, pixel_major=True)
    for name, scene in host_library.scenes(tmp_path):
        one = host_library.render(scene, by_pixel)
        other = host_library.render(scene, get_backend("cpu"))
        for image in ("noisy", "clean", "noise", "expected", "valid", "labels"):
            assert np.array_equal(getattr(one, image), getattr(other, image)), (name, image)
