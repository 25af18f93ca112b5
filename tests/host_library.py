"""Host libraries built on the spot: under sanitizers, or with the loops that a GPU thread runs.

As a script, ``python host_library.py LIBRARY [--pixel-major]`` runs every kind of scene through one such library;
``--overrun`` reads one float too many, to see that a sanitizer would tell.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import random_meshes
import trimesh
from station import random_pose, save, solid, station

from xsim import Radiograph, Scene, scene_from_dict
from xsim.backend import CpuBackend
from xsim.host import HOST_ARGUMENTS
from xsim.kernel_arguments import ARGUMENTS
from xsim.radiograph import expose
from xsim.resources import package_directory

BATCH = 4096  # pixels whose scratch lies side by side where a GPU's loops run
# As in kernels/CMakeLists.txt: what decides the bits.
FLAGS = ("-std=c++17", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared")
SANITIZE = (
    "-O1", "-g", "-fsanitize=address,undefined,float-cast-overflow,float-divide-by-zero",
    "-fno-sanitize-recover=all", "-fno-omit-frame-pointer",
)  # fmt: skip


def compiler() -> str | None:
    return shutil.which(os.environ.get("CXX", "c++"))


def address_sanitizer() -> str | None:
    """Its runtime, to be loaded before Python's own allocations; None where the compiler has none."""
    found = subprocess.run(
        [str(compiler()), "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    return found if Path(found).is_absolute() else None


def build(folder: Path, *flags: str, pixel_major: bool = False) -> Path:
    """Compile the installed headers; ``pixel_major`` with the loops and the single lane of a GPU thread."""
    source = folder / "kernels"
    shutil.copytree(package_directory("_kernels"), source, ignore=shutil.ignore_patterns("*.so"))
    platform = (source / "platform.h").read_text()
    if pixel_major:
        for line, replaced in (
            ("#define XSIM_PIXEL_MAJOR 0", "#define XSIM_PIXEL_MAJOR 1"),
            ("#define XSIM_LANES 64", "#define XSIM_LANES 1"),
            ("#define XSIM_SPAN 16", "#define XSIM_SPAN 1"),
        ):
            assert platform.count(line) == 1
            platform = platform.replace(line, replaced)
        (source / "platform.h").write_text(platform)
    (source / "host.cpp").write_text('#include "xsim.h"\n')
    library = folder / "libxsim_test.so"
    command = [str(compiler()), *FLAGS, *flags, str(source / "host.cpp"), "-o", str(library)]
    subprocess.run(command, check=True)
    return library


class LibraryBackend(CpuBackend):
    """The CPU backend over a library of one's own."""

    def __init__(self, path: Path, threads: int = 1, pixel_major: bool = False) -> None:
        super().__init__(threads)
        self._library = ctypes.CDLL(str(path))
        for kernel in ARGUMENTS:
            getattr(self._library, kernel).argtypes = HOST_ARGUMENTS
        if pixel_major:
            self.pixel_major, self.lanes, self.tile_shape = True, 1, (16, 16)

    def launch_tiles(self, kernel: str, tiles: int, rows: tuple[int, int], **arguments: Any) -> None:
        """As a GPU runs them: a pixel an item, the scratch of a batch of them side by side."""
        if not self.pixel_major:
            super().launch_tiles(kernel, tiles, rows, **arguments)
            return
        items = tiles * self.tile_shape[0] * self.tile_shape[1]
        blocks = {"floats": np.zeros(rows[0] * BATCH, np.float32), "integers": np.zeros(rows[1] * BATCH, np.int32)}
        for begin in range(0, items, BATCH):
            self.launch(kernel, min(begin + BATCH, items), begin=begin, **arguments, **blocks, stride=BATCH)


def scenes(folder: Path) -> Iterator[tuple[str, Scene]]:
    """Scenes that between them reach every branch of the kernels; sizes that fill no vector and no tile."""
    generator = np.random.default_rng(7)
    ball = trimesh.creation.icosphere(2, 6.0)
    ring = trimesh.creation.torus(8.0, 2.5, major_sections=24, minor_sections=12)
    mesh, torus = save(folder, "ball", ball.vertices, ball.faces), save(folder, "ring", ring.vertices, ring.faces)
    holed = save(folder, "holed", ball.vertices, ball.faces[:-7])
    plate = trimesh.creation.box((4.0, 600.0, 1400.0)).subdivide()
    behind = save(folder, "behind", plate.vertices + np.array([9.0, 0, -390.0]), plate.faces)
    wedge = {"shape": "step_wedge", "steps_mm": [1.0, 4.0, 9.0], "step_length_mm": 3.0, "width_mm": 8.0}
    tube = {"voltage_kv": 90.0, "filters": [{"material": "Al", "thickness_mm": 2.0}]}
    yield "empty", station(shape=(33, 70))
    yield "one pixel", station({"shape": "sphere", "radius_mm": 2.0}, shape=(1, 1))
    yield (
        "overlaps",
        station(
            {"shape": "box", "size_mm": [9.0, 8.0, 7.0], "material": "PMMA", **random_pose(generator)},
            {**mesh, **random_pose(generator, 2.0), "priority": 2},
            {**torus, **random_pose(generator, 2.0), "material": "Fe"},
            {"shape": "cylinder", "radius_mm": 2.0, "height_mm": 18.0, "priority": 1, **random_pose(generator)},
            {"shape": "sphere", "radius_mm": 3.0, "material": "air", "priority": 3},
            {**wedge, **random_pose(generator, 3.0)},
            *({**solid(shape, 7.0), **random_pose(generator, 4.0)} for shape in ("ellipsoid", "cone", "tube")),
            shape=(83, 101), directory=folder, source=tube,
        ),
    )  # fmt: skip
    apart = [{**torus, "position_mm": [-11.0, 0, 0]}, {**solid("cone", 7.0), "position_mm": [9.0, 0, 2.0]}]
    yield "apart", station(*apart, {**wedge, "position_mm": [9.0, 11.0, 0]}, shape=(130, 300), directory=folder)
    voxels = generator.integers(0, 3, (21, 19, 23), np.uint8)
    voxels[3:19, 2:18, 1:18] = 1
    labels = {"volume": voxels, "voxel_mm": 0.3, "labels": {"0": "nothing", "1": "Al", "2": "water"}, "material": None}
    half = {"volume": generator.random((1, 33, 27)).astype(np.float16), "voxel_mm": (0.2, 0.3, 4.0)}
    rows = [{"value": k, "densities_g_cm3": {"water": 0.3 * k, "Ca": 0.1 * k * k}} for k in range(4)]
    mixed = {"volume": (voxels + 1).astype(np.int16), "voxel_mm": 0.2, "mixtures": rows, "material": None}
    ball = {"shape": "sphere", "radius_mm": 2.0, "material": "Fe"}
    yield "volumes", station(ball, {**labels, **random_pose(generator, 1.0)}, shape=(49, 67))
    posed = [{**body, **random_pose(generator)} for body in (labels, half, mixed)]
    yield (
        "volumes apart",
        station(*({**body, "position_mm": [9.0 * k - 9.0, 0, 0]} for k, body in enumerate(posed)), shape=(65, 170)),
    )
    yield "behind the source", station(behind, shape=(65, 65), pitch_mm=1.0, directory=folder)
    yield "open", station({**holed, "allow_open": True}, shape=(65, 97), directory=folder)
    yield "dark", station({"shape": "sphere", "radius_mm": 4.0, "material": "Pb"}, acquisition={"exposure_s": 1e-7})
    yield "saturated", station({"shape": "sphere", "radius_mm": 4.0}, acquisition={"exposure_s": 1.0})
    yield from posed_scenes([{**torus, "position_mm": [-11.0, 0, 0]}, {**wedge, **random_pose(generator, 3.0)}], folder)
    yield "ideal", station({"shape": "sphere", "radius_mm": 4.0}, response="ideal")
    yield from hard_scenes(folder, generator, mesh)
    yield from camera_scenes()
    yield from screen_scenes(tube)


def camera_scenes() -> Iterator[tuple[str, Scene]]:
    """Electrons, fixed pattern, bad pixels and corrections of a panel; stages, travel and two layers of a line."""
    kinds = {"dead_share": 0.02, "hot_share": 0.02, "noisy_share": 0.02, "clusters_per_mpx": 900.0}
    sensor = {"electrons_per_kev": 1.0, "prnu_share": 0.02, "dsnu_e": 90.0, "full_well_e": 1.5e6, "row_noise_e": 30.0,
              "column_noise_e": 20.0, "dark_current_e_s": 90.0, "defects": kinds}  # fmt: skip
    ball, run = {"shape": "sphere", "radius_mm": 4.0}, {"target_gv": 0.7, "frames": 3}
    yield "camera", station(ball, shape=(37, 53), acquisition=run, sensor=sensor)
    corrected = {**run, "frames": 35, "state": "flat_field_corrected"}
    ways = {"interpolate_defects": True, "gain_frames": 40, "pedestal_adu": 50.0}
    yield "corrected", station(ball, shape=(19, 53), acquisition=corrected, sensor=sensor, correction=ways)
    for counted in (None, 50.0):
        screen = {"light_photons_per_kev": counted} if counted else {}
        flood = {"quanta_per_pixel": 1e11}
        yield "flooded", station(ball, acquisition=flood, sensor={} if counted else sensor, scintillator=screen)
    belt = {"belt_speed_m_s": 0.2, "line_rate_hz": 1000.0, "lines": 37, "tdi_speed_mismatch": 0.05}
    line = {"electrons_per_kev": 1.0, "tdi_stages": 8, "row_noise_e": 30.0}
    layer = {"scintillator": {"material": "CsI", "areal_density_mg_cm2": 100.0, "light_spread_h_mm2": 0.3}}
    camera = {"preset": "generic-line-400um", "columns": 83, "sensor": line, "second_layer": layer}
    yield "stages", scene_from_dict({"source": {"energy_kev": 60.0}, "acquisition": belt, "detector": camera})


def screen_scenes(tube: dict[str, Any]) -> Iterator[tuple[str, Scene]]:
    """Depth classes with glare and counted light, few quanta and many; spread beyond what is folded; a line."""
    ball = {"shape": "sphere", "radius_mm": 2.0}
    screen = {"model": "cascade", "light_loss": 0.3, "glare_share": 0.02, "glare_mm": 1.0}
    counted = {**screen, "depth_classes": 3, "light_photons_per_kev": 0.5}
    for name, exposure_s in (("depth classes", 0.01), ("depth classes, few quanta", 1e-4)):
        yield (
            name,
            station(ball, shape=(33, 70), source=tube, acquisition={"exposure_s": exposure_s}, scintillator=counted),
        )
    wide = {"model": "cascade", "depth_classes": 2, "light_spread_h_mm2": 0.0, "light_spread_sigma_mm": 0.4}
    yield "wide spread", station(shape=(17, 30), pitch_mm=0.02, scintillator=wide)
    belt = {"belt_speed_m_s": 0.2, "line_rate_hz": 1000.0, "lines": 21}
    line = {"preset": "generic-line-400um", "columns": 83, "scintillator": screen}
    beam = {"source": {"energy_kev": 60.0}, "geometry": {"sod_mm": 500.0, "sdd_mm": 1000.0}}
    yield (
        "line of depth classes",
        scene_from_dict({**beam, "acquisition": belt, "detector": line, "body": [{**ball, "material": "Al"}]}),
    )


def hard_scenes(folder: Path, generator: np.random.Generator, mesh: dict[str, str]) -> Iterator[tuple[str, Scene]]:
    """Many poses of one mesh, rays through edges and along faces, a source far away, several rays a pixel."""
    grid = 4.0 * np.array(list(np.ndindex(6, 5, 1))) - [10.0, 8.0, 0.0]
    poses = [{"position_mm": place.tolist(), "priority": k % 3} for k, place in enumerate(grid)]
    turned = [{**random_pose(generator), **pose, "material": ("Al", "Fe")[k % 2]} for k, pose in enumerate(poses)]
    yield "instances", station(*({**mesh, **body} for body in turned), shape=(67, 90), directory=folder, pitch_mm=0.9)
    cells, needle = (random_meshes.random_surface(generator, 9.0, kind) for kind in ("cubes", "needle"))
    square = random_meshes.cubes(generator)
    edges = (
        save(folder, "square", 2.0 * square.vertices - 5.0, square.faces),
        {**save(folder, "cells", *cells), "material": "Ti"},
        {**save(folder, "needle", *needle), "material": "Fe"},
    )
    yield "edges", station(*edges, shape=(65, 65), pitch_mm=0.5, directory=folder)
    bodies = (mesh, {**solid("cone", 8.0), **random_pose(generator, 3.0), "material": "PMMA"})
    yield "far", station(*bodies, shape=(41, 77), pitch_mm=0.6, sod_mm=1e5, sdd_mm=2e5, directory=folder)
    several = {"exposure_s": 0.1, "subpixels": 3}
    yield "subpixels", station(*bodies, shape=(19, 37), pitch_mm=1.2, acquisition=several, directory=folder)


def posed_scenes(bodies: list[dict[str, Any]], folder: Path) -> Iterator[tuple[str, Scene]]:
    """An oblique panel with a focal spot and sub-pixels, a parallel beam, a line scan of solids."""
    tables: dict[str, Any] = {
        "source": {"energy_kev": 60.0, "focal_spot_mm": [0.6, 0.3], "focal_spot_samples": 5},
        "acquisition": {"exposure_s": 0.001, "subpixels": 3, "subpixel_mode": "adaptive"},
        "detector": {"preset": "generic-gos-200um", "rows": 45, "columns": 83, "pitch_mm": 1.1},
        "body": [{"material": "Al", **body} for body in bodies],
    }
    pose = {"source_position_mm": [90.0, -60.0, -400.0], "detector_position_mm": [-60.0, 40.0, 300.0],
            "detector_rotation_deg": [20.0, -30.0, 40.0]}  # fmt: skip
    yield "oblique", scene_from_dict({**tables, "geometry": pose}, folder)
    tables["source"] = {"energy_kev": 60.0}
    parallel = {"beam": "parallel", "beam_direction": [0.02, 0.01, 1.0], "detector_rotation_deg": [10.0, 20.0, 30.0]}
    yield "parallel", scene_from_dict({**tables, "geometry": parallel}, folder)
    belt = {"belt_speed_m_s": 0.2, "line_rate_hz": 1000.0, "lines": 77}
    camera = {"preset": "generic-line-400um", "columns": 83}
    yield (
        "line scan",
        scene_from_dict({**tables, "acquisition": belt, "detector": camera, "body": tables["body"][1:]}, folder),
    )


def render(scene: Scene, backend: CpuBackend, seed: int = 5, frame: int = 0) -> Radiograph:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*frame is black.*")
        return expose(scene, backend).record(seed, frame)


def main() -> None:
    pixel_major = "--pixel-major" in sys.argv
    if "--overrun" in sys.argv:
        x, y = np.ones(1000, np.float32), np.ones(1001, np.float32)
        LibraryBackend(Path(sys.argv[1])).launch("evaluate", 1001, x=x, y=y, function=0)
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, scene in scenes(Path(folder)):
            for threads in (1, 2):
                render(scene, LibraryBackend(Path(sys.argv[1]), threads, pixel_major))
            print("ran", name, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
