"""The whole way, once: simulate spheres in acrylic, make a corpus, train, restore what was never seen, and show it.

python -m denoise.demo demo-out
"""

# ruff: noqa: T201 (a command prints its results)
from __future__ import annotations

import argparse
import csv
import json
import platform
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

import datagen
import denoise
import xsim
from denoise.demo_page import Restored, write_page
from denoise.evaluation import Case, case_of_radiograph, figures
from xsim import OutputError, XsimError, check_folder, write_whole

__all__ = ["bars", "main", "run", "unseen_cases"]

PHANTOM = "phantom:spheres-in-acrylic"
CORPUS = "phantom:spheres-in-acrylic-corpus"
DOSES = (40.0, 250.0, 2000.0)  # quanta absorbed per open-beam pixel
SCENES = 24
SIDE_PX = 256
UNSEEN_SEED = 1_000_003  # of scenes; the corpus has another
FRAMES = 4  # of the phantom at each dose, for the spheres found by diameter
MARK = ".xsim-demo"
# minutes, not hours: a greater learning rate than the trainer's own gains about 1 dB in them
RECIPE = {"steps": 3000, "learning_rate": 4e-3, "crop": 64, "batch": 16}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0, or 2 for bad input, told in one line."""
    parser = argparse.ArgumentParser(
        prog="python -m denoise.demo",
        description="Simulate, make a corpus, train, restore, and write one page that shows it.",
        epilog="example: python -m denoise.demo demo-out",
    )
    parser.add_argument("out", type=Path, nargs="?", default=Path("demo-out"), help="folder (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=3.5, help="longest training (default: %(default)s)")
    options = parser.parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: print(f"demo: warning: {message}", file=sys.stderr)
        try:
            run(options.out, options.minutes)
        except XsimError as error:
            print(f"demo: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("demo: stopped (the corpus is kept) the same command goes on from there", file=sys.stderr)
            return 130
    return 0


def run(out: Path, minutes: float = 3.5, scenes: int = SCENES) -> dict[str, Any]:
    """Do it all; returns what is written to numbers.json.

    Parameters
    ----------
    out : Path
        Folder; new, empty, or of an earlier demo.
    minutes : float
        Longest training.
    scenes : int
        Unseen scenes at each dose.

    Raises
    ------
    XsimError
        The folder is in use for something else, or cannot be written.
    """
    claim(out)
    clock = Clock()
    say(f"1/5  simulating {PHANTOM} at {len(DOSES)} doses ({FRAMES} frames each)")
    phantom = phantom_cases()
    image = phantom[DOSES[0]][0]
    xsim.write_tiff(out / "noisy.tif", image.noisy.astype(np.uint16), {"image": "noisy", **image.params})
    clock.lap("phantom")
    say(f"2/5  generating the corpus {CORPUS}")
    datagen.generate(CORPUS, out / "corpus.zarr")
    clock.lap("corpus")
    say(f"3/5  training, {minutes:g} minutes at most")
    model = denoise.train(out / "corpus.zarr", out=out / "model.safetensors", overwrite=True, minutes=minutes, **RECIPE)
    clock.lap("training")
    say(f"4/5  restoring {scenes} unseen scenes at each dose, and tuning the classical filters on them")
    restorer = denoise.load(model)
    doses = judge(restorer, scenes)
    denoise.apply(model, out / "noisy.tif", out / "restored.tif", overwrite=True)
    clock.lap("restoring")
    say("5/5  writing the page")
    shown = {dose: Restored.of(restorer, cases, doses[dose]["gaussian"]["sigma_px"]) for dose, cases in phantom.items()}
    numbers = collect(doses, restorer.configuration)
    with (out / "model.csv").open(newline="") as log:
        write_page(out / "index.html", numbers, shown, list(csv.DictReader(log)))
    clock.lap("page")
    numbers["seconds"] = clock.seconds
    text = json.dumps(numbers, indent=2, allow_nan=False)
    write_whole(out / "numbers.json", lambda path: path.write_text(text + "\n"))
    print(summary(numbers))
    print(f"done in {sum(clock.seconds.values()):.0f} s: open {out / 'index.html'}")
    return numbers


def collect(doses: dict[float, dict[str, Any]], configuration: dict[str, Any]) -> dict[str, Any]:
    """What the page and numbers.json tell."""
    return {
        "doses": {f"{dose:g}": found for dose, found in doses.items()},
        "bars": bars(doses),
        "corpus": configuration["corpus"],
        "training": configuration["training"],
        "versions": {**configuration["versions"], "processor": platform.machine()},
    }


class Clock:
    """Seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, stage: str) -> None:
        now = time.monotonic()
        self.seconds[stage], self._last = round(now - self._last, 1), now


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def claim(out: Path) -> None:
    """Take a folder for the demo: what it writes there may replace only what a demo wrote."""
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).exists():
        raise OutputError(f"{out} holds other files (the demo would write among them) choose another folder")
    check_folder(out)
    write_whole(out / MARK, lambda path: path.write_text("made by python -m denoise.demo\n"))


def phantom_cases() -> dict[float, list[Case]]:
    """Frames of the shipped phantom at each dose."""
    scene = xsim.load_scene(PHANTOM)
    cases: dict[float, list[Case]] = {dose: [] for dose in DOSES}
    for dose in tqdm([dose for dose in DOSES for _ in range(FRAMES)], desc="phantom", unit="frame"):
        exposure = type(scene.acquisition)(quanta_per_pixel=dose)
        exposed = scene.model_copy(update={"acquisition": exposure})
        cases[dose].append(case_of_radiograph(xsim.simulate(exposed, seed=UNSEEN_SEED, frame=len(cases[dose]))))
    return cases


def unseen_cases(corpus: str, dose: float, count: int, side_px: int = SIDE_PX) -> list[Case]:
    """Scenes like those of a corpus file that are not in it, on a larger detector, at one dose.

    Parameters
    ----------
    corpus : corpus file
    dose : quanta absorbed per open-beam pixel
    count : scenes
    side_px : rows and columns
    """
    file = datagen.load_corpus(corpus)
    size = {"rows": side_px, "columns": side_px}
    unseen = replace(
        file,
        header=file.header.model_copy(update={"seed": UNSEEN_SEED + round(dose)}),
        formats=tuple(replace(each, **size, detector={**each.detector, **size}) for each in file.formats),
        tables={**file.tables, "acquisition": {"quanta_per_pixel": dose}},
    )
    cases = []
    for index in tqdm(range(count), desc=f"scenes, {dose:g} quanta", unit="scene", leave=False):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*out of view.*")  # the corpus has such scenes too
            scene, _ = datagen.draw_scene(unseen, index)
            cases.append(case_of_radiograph(xsim.simulate(scene.scene, seed=UNSEEN_SEED + index)))
    return cases


def judge(restorer: denoise.Restorer, scenes: int) -> dict[float, dict[str, Any]]:
    """Figures at each dose."""
    found = {}
    for dose in DOSES:
        cases = unseen_cases(CORPUS, dose, scenes)
        with tqdm(total=len(cases) + 3, desc=f"restoring, {dose:g} quanta", unit="step") as bar:
            found[dose] = figures(restorer, cases, bar.update)
    return found


def bars(doses: dict[float, dict[str, Any]]) -> list[dict[str, Any]]:
    """What the demo promises, the worst of the doses, and whether it was kept."""
    table = list(doses.values())
    over_noisy = min(each["gain_over_noisy_db"] for each in table)
    over_classical = min(each["gain_over_classical_db"] for each in table)
    bias = max(abs(each["restored"]["bias"]) for each in table)
    gained = [each["restored"]["true_positive_rate"] - each["noisy"]["true_positive_rate"] for each in table]
    judged = (
        ("PSNR over the noisy image, at least 3 dB", over_noisy, over_noisy >= 3.0),
        ("PSNR over the better tuned filter, at least 1 dB", over_classical, over_classical >= 1.0),
        ("bias below 0.001 of the signal", bias, bias < 1e-3),
        ("share of spheres found: restored less noisy, not below 0", min(gained), min(gained) >= 0.0),
    )
    return [{"bar": text, "worst": worst, "kept": kept} for text, worst, kept in judged]


def summary(numbers: dict[str, Any]) -> str:
    """The figures as lines for a terminal."""
    lines = ["quanta/pixel   PSNR noisy  Gaussian  median  restored   bias       spheres found noisy -> restored"]
    for dose, each in numbers["doses"].items():
        rates = [100 * each[kind]["true_positive_rate"] for kind in ("noisy", "restored")]
        levels = [each[kind]["psnr_db"] for kind in ("noisy", "gaussian", "median", "restored")]
        lines.append(
            f"{dose:>12}   {levels[0]:10.2f}  {levels[1]:8.2f}  {levels[2]:6.2f}  {levels[3]:8.2f}   "
            f"{100 * each['restored']['bias']:+.3f} %   {rates[0]:.0f} % -> {rates[1]:.0f} % of {each['spheres']}"
        )
    lines += [
        f"{'kept' if bar['kept'] else 'MISSED':>6}  {bar['bar']} (worst {bar['worst']:.3g})" for bar in numbers["bars"]
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
