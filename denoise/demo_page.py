"""The page that the demo ends with: pictures side by side, a profile, spheres before and after, the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from scipy import ndimage

from denoise.detection import Hunt, hunt, threshold_at
from denoise.evaluation import FALSE_ALARMS, Case
from denoise.plots import found_plot, loss_plot, profile_plot
from denoise.restorer import Restorer
from xsim import Page, Picture, Tile, figure_png, grey_png

__all__ = ["Restored", "write_page"]

VIEW = np.s_[262:454, 156:348]  # of the phantom: spheres of 2 mm (top) to 0.7 mm (bottom)
PROFILE_ROW = 337  # across the spheres of 1.5 mm
PROFILE_COLUMNS = slice(46, 466)  # the block and some open beam on both sides
NOISE_WINDOW = 3.0  # standard deviations either way
KINDS = {"noisy": "noisy", "gaussian": "tuned Gaussian", "median": "tuned median", "restored": "restored"}


@dataclass(frozen=True)
class Restored:
    """Frames of the phantom at one dose, restored.

    Attributes
    ----------
    cases : list of Case
    images : list of float32 [row, column] ADU
    gaussian : float32 [row, column] ADU
        The first frame under the Gaussian that was best on the unseen scenes of that dose.
    """

    cases: Sequence[Case]
    images: Sequence[np.ndarray]
    gaussian: np.ndarray

    @classmethod
    def of(cls, restorer: Restorer, cases: Sequence[Case], sigma_px: float) -> Self:
        images = [restorer(case.noisy, case.params["a_pixel_adu"], case.params["b_adu2"]) for case in cases]
        return cls(cases, images, ndimage.gaussian_filter(cases[0].noisy, sigma_px))

    def hunts(self) -> dict[str, list[Hunt]]:
        """What is found in each frame, before and after, each at its own threshold of the same false-alarm rate."""
        regions = [case.region for case in self.cases]
        found = {}
        for name, images in (("noisy", [case.noisy for case in self.cases]), ("restored", self.images)):
            scores = [case.score(image) for case, image in zip(self.cases, images, strict=True)]
            threshold = threshold_at(scores, regions, FALSE_ALARMS)
            found[name] = [hunt(each, region, threshold) for each, region in zip(scores, regions, strict=True)]
        return found


def write_page(
    path: Path, numbers: Mapping[str, Any], shown: Mapping[float, Restored], log: Sequence[Mapping[str, str]]
) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
    numbers : dict
        Of the demo: doses, bars, corpus, training.
    shown : {quanta per pixel: Restored}
    log : rows of the training log
    """
    page = Page(
        "From a scene file to a restored radiograph",
        "Aluminium spheres in an acrylic block, simulated as a flat panel would record them, and restored by a small "
        "network that was trained a few minutes ago on other simulated scenes.",
    )
    add_numbers(page, numbers)
    add_pictures(page, shown)
    add_profile(page, shown)
    add_spheres(page, shown)
    add_training(page, numbers, log)
    page.write(path)


def add_numbers(page: Page, numbers: Mapping[str, Any]) -> None:
    doses = numbers["doses"]
    page.tiles(summary_tiles(doses))
    page.heading("The numbers")
    page.paragraph(
        f"{next(iter(doses.values()))['images']} scenes at each dose that the network has not seen: other positions, "
        "sizes, voltages and filters, and a larger picture than it was trained on. The dose is that of an open-beam "
        "pixel, in absorbed quanta. Gaussian and median have the setting that is best on these very images."
    )
    page.table(
        "Means over the scenes; PSNR and SSIM relative to the open beam. Bias is the mean error over the mean signal, "
        "of all pixels, of those the part covers, and of those spheres cover (what a filter takes off their shadow). "
        f"Spheres found at {FALSE_ALARMS:g} false alarms per sphere-free pixel.",
        ["dose and image", "PSNR, dB", "gain, dB", "SSIM", "bias, %", "in the part", "in spheres", "spheres found, %"],
        [row_of(dose, each, kind) for dose, each in doses.items() for kind in KINDS],
    )
    told = [f"{dose}: {100 * each['bias_uncertainty']:.4f} %" for dose, each in doses.items()]
    page.paragraph(
        "The restored image takes its mean over wide windows from the noisy one, so its bias is what the finite number "
        "of quanta in these scenes gives any unbiased measurement. One standard deviation of that, by quanta per "
        f"pixel, is {', '.join(told)}."
    )
    page.table(
        "What this demo has to keep at every dose",
        ["requirement", "worst of the doses", "kept"],
        [(bar["bar"], f"{bar['worst']:.3g}", "yes" if bar["kept"] else "NO") for bar in numbers["bars"]],
    )


def row_of(dose: str, figures: Mapping[str, Any], kind: str) -> tuple[str, ...]:
    """Row of the table of numbers."""
    found = figures[kind]
    gain = found["psnr_db"] - figures["noisy"]["psnr_db"]
    biases = (f"{100 * found[part]:+.3f}" for part in ("bias", "bias_in_part", "bias_in_spheres"))
    shown = (f"{found['psnr_db']:.2f}", f"{gain:+.2f}", f"{found['ssim']:.4f}", *biases)
    return (f"{dose} quanta, {KINDS[kind]}", *shown, percent(found["true_positive_rate"]))


def summary_tiles(doses: Mapping[str, Any]) -> list[Tile]:
    """The page in five numbers or so."""
    tiles = [
        Tile(
            f"{dose} quanta per pixel",
            f"{each['gain_over_noisy_db']:+.1f} dB",
            f"over noisy; {each['gain_over_classical_db']:+.1f} dB over the better tuned filter",
        )
        for dose, each in doses.items()
    ]
    dose, low = next(iter(doses.items()))
    before, after = (percent(low[kind]["true_positive_rate"]) for kind in ("noisy", "restored"))
    tiles.append(Tile("spheres found", f"{before} → {after} %", f"noisy to restored, at {dose} quanta per pixel"))
    bias = max(abs(each["restored"]["bias"]) for each in doses.values())
    return [*tiles, Tile("largest bias", f"{100 * bias:.3f} %", "of the mean signal, over the doses")]


def percent(share: float | None) -> str:
    return "none to find" if share is None else f"{100 * share:.1f}"


def add_pictures(page: Page, shown: Mapping[float, Restored]) -> None:
    page.heading("Side by side")
    page.paragraph(
        "Part of phantom:spheres-in-acrylic, which is not in the corpus either: spheres of 2, 1.5, 1 and 0.7 mm in "
        "rows, at 80 kV. The four images of a dose share one grey scale, its two noise images another. What too few "
        "quanta tell stays lost: compare the smallest spheres at the lowest dose."
    )
    for dose, restored in shown.items():
        case, image = restored.cases[0], restored.images[0]
        low, high = window(case.clean[VIEW])
        noise = case.noisy - case.clean
        limit = NOISE_WINDOW * float(noise[VIEW].std())
        panels = [
            ("clean", "the camera without noise", case.clean, low, high),
            ("noisy", "what the camera records", case.noisy, low, high),
            ("best tuned Gaussian", "tuned on the unseen scenes", restored.gaussian, low, high),
            ("restored", "noisy minus predicted noise", image, low, high),
            ("true noise", "noisy - clean", noise, -limit, limit),
            ("predicted noise", "noisy - restored", case.noisy - image, -limit, limit),
        ]
        page.heading(f"{dose:g} quanta per pixel", 3)
        page.pictures(
            f"{dose:g} quanta per pixel in the open beam; {low:.0f} (black) to {high:.0f} ADU, noise ±{limit:.1f} ADU.",
            [
                Picture(grey_png(pixels[VIEW], below, above), f"{name}: {what}", f"{name}, {dose:g} quanta per pixel")
                for name, what, pixels, below, above in panels
            ],
            least_width_rem=19,
            pixels=True,
        )


def window(clean: np.ndarray) -> tuple[float, float]:
    """Grey scale that shows a clean image and some noise beyond it."""
    low, high = np.percentile(clean, [0.2, 99.8])
    spare = 0.6 * (high - low)
    return float(low - spare), float(high + spare)


def add_profile(page: Page, shown: Mapping[float, Restored]) -> None:
    page.heading("A line profile")
    profiles = {}
    for dose, restored in shown.items():
        images = {
            "noisy": restored.cases[0].noisy,
            "Gaussian": restored.gaussian,
            "restored": restored.images[0],
            "clean": restored.cases[0].clean,
        }
        title = f"{dose:g} quanta per pixel"
        profiles[title] = {name: image[PROFILE_ROW, PROFILE_COLUMNS] for name, image in images.items()}
    pitch_mm = next(iter(shown.values())).cases[0].params["pitch_mm"]
    plot = figure_png(profile_plot(profiles, pitch_mm))
    about = (
        "One detector row through the 1.5 mm spheres. The noisy line leaves the frame where noise exceeds the shadow."
    )
    page.pictures(about, [Picture(plot, "", "Pixel values along a row: noisy, Gaussian, restored and clean")])


def add_spheres(page: Page, shown: Mapping[float, Restored]) -> None:
    page.heading("Spheres found by a threshold, before and after")
    page.paragraph(
        "A pixel's score is how much darker it is than its surroundings, in log transmission. Each image has the "
        f"threshold that {FALSE_ALARMS:g} of its sphere-free pixels exceed; a sphere is found where one of its pixels "
        "does. Whole circle: found; broken circle: missed; cross: false alarm."
    )
    hunts = {dose: restored.hunts() for dose, restored in shown.items()}
    for dose, restored in list(shown.items())[:2]:
        case = restored.cases[0]
        limits = window(case.clean[VIEW])
        pairs = (
            ("before", case.noisy, hunts[dose]["noisy"][0]),
            ("after", restored.images[0], hunts[dose]["restored"][0]),
        )
        plot = figure_png(found_plot(pairs, case.labels, limits), 110)
        about = f"{dose:g} quanta per pixel: noisy image (before) and restored image (after)."
        page.pictures(about, [Picture(plot, "", f"Spheres found before and after at {dose:g} quanta per pixel")])
    columns = [f"{dose:g} quanta, {name}" for dose in hunts for name in ("noisy", "restored")]
    frames = len(next(iter(shown.values())).cases)
    rows = []
    for diameter, labels in by_diameter(next(iter(shown.values())).cases[0]).items():
        shares = [found_of(hunts[dose][name], labels) for dose in hunts for name in ("noisy", "restored")]
        rows.append((f"{diameter:g} mm", *map(percent, shares)))
    page.table(
        f"Share of the phantom's spheres found, in %, by diameter, over {frames} frames", ["diameter", *columns], rows
    )


def by_diameter(case: Case) -> dict[float, set[int]]:
    """Labels of the phantom's spheres by diameter [mm], largest first."""
    sizes: dict[float, set[int]] = {}
    for label, body in enumerate(case.params["scene"]["body"], 1):
        if body["shape"] == "sphere":
            sizes.setdefault(2 * body["radius_mm"], set()).add(label)
    return dict(sorted(sizes.items(), reverse=True))


def found_of(hunts: Sequence[Hunt], labels: set[int]) -> float | None:
    """Share of some spheres that was found, over frames."""
    found, missed = (sum(len(labels & set(getattr(each, part))) for each in hunts) for part in ("found", "missed"))
    return found / (found + missed) if found + missed else None


def add_training(page: Page, numbers: Mapping[str, Any], log: Sequence[Mapping[str, str]]) -> None:
    training, corpus = numbers["training"], numbers["corpus"]
    page.heading("How it was trained")
    page.paragraph(
        f"{corpus['train_samples']} simulated images of the corpus {corpus['name']!r}, {training['steps']} steps in "
        f"{training['seconds']:.0f} s on {training['device']}. Network input is T(noisy), T the generalised Anscombe "
        "transform that gives the noise of any dose and gain the same variance; its target is T(noisy) - T(clean)."
    )
    plot = figure_png(loss_plot(log))
    page.pictures("1 would be a network that predicts no noise at all.", [Picture(plot, "", "Loss against steps")], 24)
