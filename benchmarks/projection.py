"""Projection of triangles against the peers, on the same scenes in one run.

    python benchmarks/projection.py [--peers-python .venv-peers/bin/python] [--repeats 5] [--save]

Ours: the same triangles, no analytic substitute; one image of the energy that reaches each pixel, from meshes in memory
to a signal in memory. `make bench` makes the peers' environment. Times are medians; compare within one run only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from first_image import machine_name

import xsim
from xsim.absorption import absorb, beam_weights
from xsim.backend import get_backend
from xsim.projector import project

SOD, SDD, SIDE = 500.0, 1000.0, 100.0
PMMA = {"name": "PMMA", "formula": "C5H8O2", "density_g_cm3": 1.18}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers-python", type=Path, default=Path(".venv-peers/bin/python"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/projection-MACHINE.json")
    options = parser.parse_args()
    machine = get_backend("cpu")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, bodies, pixels, source in cases(Path(folder)):
            row = {"case": name, "pixels": pixels, "triangles": sum(len(b["mesh"].faces) for b in bodies)}
            image, row["ours_ms"] = ours(bodies, pixels, source, Path(folder), machine, options.repeats)
            case = write_case(Path(folder), bodies, pixels, source, options.repeats)
            for peer in ("gvxr", "embree") if len(bodies) == 1 else ("gvxr",):
                row |= run_peer(options.peers_python, peer, case, image)
            rows.append(row)
            print_row(row)
    print(f"machine: {machine_name(machine)}")
    if options.save:
        slug = "".join(c if c.isalnum() else "-" for c in machine_name(machine).lower()).strip("-")
        target = Path(__file__).parent / "results" / f"projection-{slug}.json"
        target.write_text(json.dumps({"machine": machine_name(machine), "rows": rows}, indent=1) + "\n")


def cases(folder: Path) -> list[tuple[str, list[dict[str, Any]], int, dict[str, Any]]]:
    """Name, bodies, pixels and source of each case."""
    mono, tube = {"energy_kev": 80.0}, {"voltage_kv": 120, "filters": [{"material": "Al", "thickness_mm": 2.0}]}
    fine, finer = (trimesh.creation.icosphere(level, radius=20.0) for level in (6, 8))
    alone = [[{"mesh": mesh, "material": "Al"}] for mesh in (fine, finer)]
    return [
        ("sphere", alone[0], 1024, mono),
        ("sphere", alone[1], 1024, mono),
        ("sphere", alone[1], 2048, mono),
        ("block of 208 bodies, one energy", block(), 1024, mono),
        ("block of 208 bodies, all bins", block(), 1024, tube),
    ]


def block() -> list[dict[str, Any]]:
    """Eight aluminium steps and 200 aluminium spheres in an acrylic block, every one a mesh."""
    bodies = [{"mesh": trimesh.creation.box((44, 44, 20)), "material": PMMA}]
    for k in range(8):
        box = trimesh.creation.box((4.5, 6, k + 1.0))
        box.apply_translation((-17.75 + 5 * k, -17, -4 + (k + 1) / 2))
        bodies.append({"mesh": box, "material": "Al"})
    generator, placed = np.random.default_rng(7), []
    while len(placed) < 200:
        radius, centre = generator.uniform(0.3, 1.0), generator.uniform((-20, -12, -8), (20, 20, 8))
        if all(np.linalg.norm(centre - c) > radius + r + 0.05 for c, r in placed):
            placed.append((centre, radius))
            sphere = trimesh.creation.icosphere(3, radius=radius)
            sphere.apply_translation(centre)
            bodies.append({"mesh": sphere, "material": "Al"})
    return bodies


def ours(bodies, pixels, source, folder, machine, repeats) -> tuple[np.ndarray, list[float]]:
    for k, body in enumerate(bodies):
        body["mesh"].export(folder / f"{k}.ply")
    scene = xsim.scene_from_dict(
        {
            "source": source,
            "geometry": {"sod_mm": SOD, "sdd_mm": SDD},
            "detector": {"preset": "generic-gos-200um", "response": "ideal", "rows": pixels, "columns": pixels,
                         "pitch_mm": SIDE / pixels},
            "body": [{"mesh": f"{k}.ply", "mesh_unit": "mm", "material": b["material"]} for k, b in enumerate(bodies)],
        },
        folder,
    )  # fmt: skip
    view = scene.view
    weights = beam_weights(scene, view, 1.0)

    def work() -> np.ndarray:
        return absorb(project(scene, view, machine), view, weights, machine)[0]

    image, spent = work(), []
    for _ in range(repeats):
        start = time.perf_counter()
        image = work()
        spent.append(1e3 * (time.perf_counter() - start))
    open_beam = absorb(project(xsim.Scene(**{**dict(scene), "body": ()}), view, machine), view, weights, machine)[0]
    return image / open_beam, spent


def write_case(folder, bodies, pixels, source, repeats) -> Path:
    """The scene for peers that add up lengths: aluminium, and the block with the aluminium's surfaces turned around."""
    groups = [("Al", "Al", 2.699, merged([b["mesh"] for b in bodies if b["material"] == "Al"], False))]
    if len(bodies) > 1:
        hollow = [bodies[0]["mesh"], merged([b["mesh"] for b in bodies[1:]], True)]
        groups.append(("C5H8O2", PMMA, 1.18, merged(hollow, False)))
    beam = xsim.tube_spectrum(120, filters=[("Al", 2.0)]) if "voltage_kv" in source else None
    energy = np.array([80.0]) if beam is None else beam.energy_kev
    fields: dict[str, Any] = {
        "pixels": pixels, "sod": SOD, "sdd": SDD, "side": SIDE, "repeats": repeats, "groups": len(groups),
        "energy_kev": energy, "photons": np.ones(1) if beam is None else 1e6 * beam.photons / beam.photons.sum(),
    }  # fmt: skip
    for k, (formula, material, density, mesh) in enumerate(groups):
        fields |= {f"vertices{k}": mesh.vertices, f"faces{k}": mesh.faces, f"formula{k}": formula,
                   f"density{k}": density, f"attenuation{k}": xsim.attenuation(material, energy)}  # fmt: skip
    np.savez(folder / "case.npz", **fields)
    return folder / "case.npz"


def merged(meshes: list[trimesh.Trimesh], inside_out: bool) -> trimesh.Trimesh:
    whole = trimesh.util.concatenate(meshes)
    faces = whole.faces[:, ::-1] if inside_out else whole.faces
    return trimesh.Trimesh(whole.vertices, faces, process=False)


def run_peer(python: Path, peer: str, case: Path, image: np.ndarray) -> dict[str, Any]:
    """Times of a peer and its greatest and mean difference from ours in transmission, the image turned as it lies."""
    if not python.exists():
        return {f"{peer}_ms": None}
    command = [str(python), "-W", "ignore", str(Path(__file__).with_name("peers.py")), peer, str(case)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    told = [line[7:] for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not told:
        return {f"{peer}_ms": None, f"{peer}_problem": (done.stderr.strip().splitlines() or ["no output"])[-1]}
    result = json.loads(told[0])
    theirs = np.load(result["image"], allow_pickle=False)
    turns = [np.rot90(m, k) for m in (theirs, theirs[:, ::-1]) for k in range(4)]
    nearest = min((np.abs(turn - image) for turn in turns), key=np.mean)
    return {f"{peer}_ms": result["ms"], f"{peer}_mean_difference": float(nearest.mean()),
            f"{peer}_pixels_off_by_2_percent": int((nearest > 0.02).sum())}  # fmt: skip


def print_row(row: dict[str, Any]) -> None:
    mine = statistics.median(row["ours_ms"])
    text = f"{row['case']}, {row['triangles']} triangles, {row['pixels']}^2: ours {mine:.1f} ms"
    for peer in ("gvxr", "embree"):
        if row.get(f"{peer}_ms"):
            theirs = statistics.median(row[f"{peer}_ms"])
            text += f"; {peer} {theirs:.0f} ms = {theirs / mine:.0f}x, mean difference "
            text += f"{row[f'{peer}_mean_difference']:.1e}, {row[f'{peer}_pixels_off_by_2_percent']} pixels off by 2 %"
        elif f"{peer}_problem" in row:
            text += f"; {peer}: {row[f'{peer}_problem']}"
    print(text, flush=True)


if __name__ == "__main__":
    main()
