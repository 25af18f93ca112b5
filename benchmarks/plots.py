"""Plots of saved results, docs/images/BENCHMARK-MACHINE.png:  python benchmarks/plots.py"""

from __future__ import annotations

from statistics import median
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from store import IMAGES, load, slug
from tables import NAMES

WIDTH_IN, DPI = 9.0, 110


def main() -> None:
    for benchmark, draw in {"projection": draw_projection, "cost": draw_cost}.items():
        for result in load(benchmark):
            figure = draw(result)
            target = IMAGES / f"{benchmark}-{slug(result['machine'])}.png"
            figure.savefig(target, dpi=DPI, metadata={"Software": None})
            plt.close(figure)
            print(f"written: {target}")


def draw_projection(result: dict[str, Any]) -> plt.Figure:
    """Milliseconds of each engine on each case."""
    rows = [row for row in result["rows"] if row["ours"].get("ms") or any(p.get("ms") for p in row["peers"].values())]
    figure, axes = plt.subplots(figsize=(WIDTH_IN, 0.55 * len(rows) + 1.8), layout="constrained")
    for k, name in enumerate(["xsim", *NAMES]):
        found = [(row["ours"] if name == "xsim" else row["peers"].get(name, {})) for row in rows]
        points = [(median(f["ms"]), place) for place, f in enumerate(found) if f.get("ms") and "problem" not in f]
        if points:
            mark = {"marker": "D", "s": 70, "color": "black"} if name == "xsim" else {"marker": "o", "color": f"C{k}"}
            axes.scatter(*zip(*points, strict=True), label=NAMES.get(name, name), zorder=3, **mark)
    axes.set_yticks(range(len(rows)), [label(row) for row in rows], fontsize=8)
    axes.set(xscale="log", xlabel="ms per image (median)", title=result["machine"])
    axes.invert_yaxis()
    axes.grid(axis="both", which="both", alpha=0.25)
    figure.legend(loc="outside lower center", ncols=4, fontsize=8)
    return figure


def label(row: dict[str, Any]) -> str:
    size = f"{row['voxels']}³ voxels" if row["voxels"] else f"{row['triangles']} triangles"
    return f"{row['title']}\n{size}, {row['pixels']}²"


def draw_cost(result: dict[str, Any]) -> plt.Figure:
    """Measured points and the fit, time and memory over triangles, a line for each image size."""
    parts = [("times", "time_fit", "ms", 1.0, "ms per image")]
    if result["memory"]:
        parts.append(("memory", "memory_fit", "bytes", 2.0**-20, "working set, MiB"))
    sizes = sorted({point["pixels"] for point in result["times"]})
    figure, panels = plt.subplots(1, len(parts), figsize=(WIDTH_IN, 4.2), layout="constrained", squeeze=False)
    for axes, (key, fit, what, factor, name) in zip(panels[0], parts, strict=True):
        points, found = result[key], result[fit]
        counts = np.geomspace(min(p["triangles"] for p in points), max(p["triangles"] for p in points), 100)
        for k, pixels in enumerate(sizes):
            mine = [(p["triangles"], factor * p[what]) for p in points if p["pixels"] == pixels]
            line = found["constant"] + found["per_triangle"] * counts + found["per_pixel"] * pixels
            if not mine:
                continue
            axes.plot(*zip(*mine, strict=True), "o", color=f"C{k}", label=f"{round(pixels**0.5)}²")
            axes.plot(counts, factor * line, "-", color=f"C{k}", linewidth=1)
        axes.set(xscale="log", yscale="log", xlabel="triangles", ylabel=name)
        axes.grid(which="both", alpha=0.25)
    figure.legend(*panels[0][0].get_legend_handles_labels(), title="pixels", loc="outside right center", fontsize=8)
    figure.suptitle(f"{result['machine']}: measured (points) and fitted (lines)", fontsize=10)
    return figure


if __name__ == "__main__":
    main()
