"""The tables of docs/performance.md, from the saved results; no number there is written by hand.

python benchmarks/tables.py            print them
python benchmarks/tables.py --write    put them between the marks in docs/performance.md
python benchmarks/tables.py --check    fail where the file holds others
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

from store import load, slug

DOCUMENT = Path(__file__).parents[1] / "docs" / "performance.md"
MARKED = re.compile(r"(<!-- benchmarks/tables.py (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
NAMES = {
    "gvxr": "gVirtualXRay",
    "embree": "Embree",
    "open3d": "Open3D",
    "gecatsim": "gecatsim",
    "diffdrr-siddon": "DiffDRR, Siddon",
    "diffdrr-trilinear": "DiffDRR, trilinear",
    "astra": "ASTRA",
}
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if not (options.write or options.check):
        print("\n".join(f"## {name}\n\n{table()}" for name, table in TABLES.items()))
        return
    text = DOCUMENT.read_text()
    filled = MARKED.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[3]}", text)
    if options.write:
        DOCUMENT.write_text(filled)
    elif filled != text:
        sys.exit("docs/performance.md is older than benchmarks/results (run: python benchmarks/tables.py --write)")


def by_machine(benchmark: str, table: Callable[[dict[str, Any]], list[str]], plot: bool = False) -> str:
    """A table for each machine that results were saved of, and the plot where it belongs."""
    parts = []
    for result in load(benchmark):
        parts += [f"{result['machine']}:", "", *table(result), ""]
        if plot:
            parts += [f"![{benchmark}](images/{benchmark}-{slug(result['machine'])}.png)", ""]
    return "\n".join(parts) or "Not measured.\n"


def rows_of(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    head = list(head)
    return ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]


def number(value: float) -> str:
    """Three digits; thousands apart by a thin space."""
    if value >= 1000:
        return f"{float(f'{value:.3g}'):,.0f}".replace(",", " ")
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def whole(value: int) -> str:
    return f"{value:,}".replace(",", " ")


def stages(result: dict[str, Any]) -> list[str]:
    scenes = result["scenes"]
    head = ["stage", *(f"{scene}, {what}" for scene in scenes for what in ("ms", "floor, ms"))]
    names = list(next(iter(scenes.values())))
    cells = ([name, *(number(scenes[scene][name][key]) for scene in scenes for key in ("ms", "floor_ms"))]
             for name in names)  # fmt: skip
    limits = result["limits"]
    floor = f"The floor is over {limits['gflops']:.0f} Gflop/s float32 and {limits['gbytes_s']:.1f} GB/s copied."
    return [*rows_of(head, cells), "", floor]


def detector(result: dict[str, Any]) -> list[str]:
    cases = result["cases"]
    head = ["stage", *(f"{case}, {what}" for case in cases for what in ("ms", "floor, ms"))]
    names = list(next(iter(cases.values())))
    cells = [
        [name, *(number(rows[name][key]) for rows in cases.values() for key in ("ms", "floor_ms"))] for name in names
    ]
    counts = (("draws", "draws"), ("additions and products", "operations"), ("bytes", "bytes"))
    cells += [[f"{name}, whole", *(text for rows in cases.values() for text in (whole(int(rows["whole"][key])), ""))]
              for name, key in counts]  # fmt: skip
    single = cases["single"]["whole"]["ms"]
    ratios = [f"{case} {number(rows['whole']['ms'] / single)}" for case, rows in cases.items() if case != "single"]
    return [*rows_of(head, cells), "", f"Over the single model: {', '.join(ratios)}."]


def times(result: dict[str, Any], voxels: bool) -> list[str]:
    rows = [row for row in result["rows"] if bool(row["voxels"]) == voxels]
    peers = list(dict.fromkeys(name for row in rows for name in row["peers"]))
    few = any("few" in row for row in rows)
    head = ["scene", "voxels" if voxels else "triangles", "pixels", *([] if voxels else ["energies"]), "xsim, ms",
            *(["few energies, ms (how many)"] if few else []),
            *(f"{NAMES[name]}, ms (ratio)" for name in peers)]  # fmt: skip
    cells = []
    for row in rows:
        size = [f"{row['voxels']}³"] if voxels else [whole(row["triangles"])]
        energies = [] if voxels else [str(row["bins"])]
        found = [time_cell(row["peers"].get(name)) for name in peers]
        at_few = [few_cell(row.get("few"))] if few else []
        cells.append([row["title"], *size, f"{row['pixels']}²", *energies, time_cell(row["ours"]), *at_few, *found])
    return [*rows_of(head, cells), "", *remarks(rows)]


def time_cell(found: Row | None) -> str:
    if not found or "problem" in found or not found["ms"]:
        return ""
    ratio = f" ({number(found['ratio'])}x)" if "ratio" in found else ""
    return number(median(found["ms"])) + ratio


def few_cell(found: Row | None) -> str:
    return f"{number(median(found['ms']))} ({found['nodes']})" if found else ""


def remarks(rows: list[Row]) -> list[str]:
    """Versions and devices of the peers, and what did not run and why."""
    made, failed = {}, {}
    for row in rows:
        for name, found in {"xsim": row["ours"], **row["peers"]}.items():
            if "problem" in found:
                failed.setdefault(f"{NAMES.get(name, name)}: {found['problem']}", []).append(f"{row['pixels']}²")
            elif name != "xsim":
                made[NAMES[name]] = f"{NAMES[name]} {found['version']} on {found['device']}"
    lines = ["; ".join(made.values()) + "."] if made else []
    return lines + [f"No figure ({', '.join(dict.fromkeys(where))}): {why}." for why, where in failed.items()]


def errors(result: dict[str, Any]) -> list[str]:
    head = ["scene", "pixels", "engine", "wrong pixels", "mean transmission", "greatest transmission", "mean, mm",
            "greatest, mm", "greatest inside, mm"]  # fmt: skip
    keys = ("wrong_pixels", "mean_transmission", "max_transmission", "mean_mm", "max_mm", "inner_max_mm")
    cells = []
    for row in result["rows"]:
        size = f"{row['voxels']}³ voxels" if row["voxels"] else f"{whole(row['triangles'])} triangles"
        for name, found in {"xsim": row["ours"], **row["peers"]}.items():
            if "errors" in found:
                figures = [f"{found['errors'][key]:.2g}" if key in found["errors"] else "" for key in keys]
                figures[0] = whole(found["errors"]["wrong_pixels"])
                cells.append([f"{row['title']}, {size}", f"{row['pixels']}²", NAMES.get(name, name), *figures])
    return rows_of(head, cells)


def cost(result: dict[str, Any]) -> list[str]:
    head = ["", "constant", "a triangle", "a pixel", "a row", "greatest residual"]
    cells = [[name, f"{time['constant']:.2g} ms", f"{1e6 * time['per_triangle']:.3g} ns",
              f"{1e6 * time['per_pixel']:.3g} ns", f"{1e6 * time['per_row']:.3g} ns" if "per_row" in time else "",
              f"{100 * time['greatest_residual']:.0f} %"]
             for name, time in (("time", result["time_fit"]), ("time, rows apart", result["rows_fit"]))]  # fmt: skip
    lines = []
    if "memory_fit" in result:
        memory = result["memory_fit"]
        cells.append(["working set", f"{memory['constant'] / 1e6:.2g} MB", f"{memory['per_triangle']:.3g} B",
                      f"{memory['per_pixel']:.3g} B", "", f"{100 * memory['greatest_residual']:.0f} %"])  # fmt: skip
        worst = max(result["memory"], key=lambda point: point["share_of_bar"])
        lines = ["", f"The largest working set beside 200 B a triangle and 40 B a pixel is {worst['share_of_bar']:.0%} "
                 f"of them ({whole(worst['triangles'])} triangles, {round(worst['pixels'] ** 0.5)}²)."]  # fmt: skip
    worst = max(result["times"], key=lambda point: abs(point["residual"]))
    lines += ["", f"The first fit is farthest off at {whole(worst['triangles'])} triangles on "
              f"{round(worst['pixels'] ** 0.5)}²: {worst['residual']:+.0%} of the measured time."]  # fmt: skip
    return rows_of(head, cells) + lines


def corpus(result: dict[str, Any]) -> list[str]:
    rates = {name.replace("1 workers", "one worker").replace("1 processes", "one process"): rate
             for name, rate in result["samples_s"].items()}  # fmt: skip
    rates["2 workers, all bins"] = result["all_bins_samples_s"]
    if "device_samples_s" in result:
        rates["left in the device's memory, no store"] = result["device_samples_s"]
    made = rows_of(["made by", "samples/s"], ([name, number(rate)] for name, rate in rates.items()))
    total = sum(result["stages_ms"].values())
    cells = ([stage, number(spent), f"{100 * spent / total:.0f}"] for stage, spent in result["stages_ms"].items())
    parts = rows_of(["stage, of one worker", "ms a sample", "%"], cells)
    ratio = f"Two workers over the best of gVirtualXRay: {number(result['ratio'])}x. " if result["ratio"] else ""
    beyond = ", ".join(f"{workers}: {number(rate)}" for workers, rate in result["queue"].items())
    size = f"{result['bytes_a_sample'] / 1e3:.0f} kB a sample in the store."
    shared = result["samples_s"]["2 workers"] / (2 * result["samples_s"]["1 workers"])
    told = f"Two workers of this machine do {shared:.2f} of twice what one does. "
    queue = f"Samples/s of more workers by the simulated queue, each with a core and a disk of its own: {beyond}."
    return [*made, "", *parts, "", f"{ratio}{size} {told}{queue}"]


def reading(result: dict[str, Any]) -> list[str]:
    cells = ([name, number(found["wall"]), number(found["cpu"])] for name, found in result["crops_s"].items())
    return rows_of(["way", "crops/s, wall", "crops/s, processor"], cells)


TABLES: dict[str, Callable[[], str]] = {
    "stages": lambda: by_machine("first_image", stages),
    "detector": lambda: by_machine("detector", detector),
    "triangles": lambda: by_machine("projection", lambda result: times(result, voxels=False), plot=True),
    "voxels": lambda: by_machine("projection", lambda result: times(result, voxels=True)),
    "errors": lambda: by_machine("projection", errors),
    "cost": lambda: by_machine("cost", cost, plot=True),
    "corpus": lambda: by_machine("corpus", corpus),
    "reading": lambda: by_machine("reading", reading),
}


if __name__ == "__main__":
    main()
