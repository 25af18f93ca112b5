"""Pictures of an evaluation's page: contaminants found, missed, falsely reported; what was taken away; errors."""

from __future__ import annotations

import numpy as np

from denoise.cases import Case
from denoise.detection import hunt
from denoise.evaluation import Evaluation
from denoise.evaluation_curves import found_share
from denoise.plots import found_plot
from denoise.restorations import Restoration
from xsim import Page, Picture, figure_png, grey_png

__all__ = ["add_pictures"]

MOST_MODELS = 3  # beside each other
NOISE_WINDOW = 3.0  # standard deviations either way
ENLARGED_PX = 96  # side of the part that pictures show of an image


def add_pictures(page: Page, evaluation: Evaluation) -> None:
    """Marked pictures and details of an image of low, middle and high dose."""
    page.heading("What it looks like")
    hunted = evaluation.hunted is not None
    if hunted:
        page.paragraph(
            "Whole circle: found; broken circle: missed; cross: false alarm, each at the threshold of its own that "
            "1e-4 of all empty pixels "
            "exceed. Grey runs over the levels of the inspected bodies; what is brighter or darker is white or "
            "black. Contaminants near an outline are not judged and not marked."
        )
    names = list(evaluation.settings)
    for place in evaluation.restorations["noisy"].shown:
        case = evaluation.cases[place]
        setting = next(name for name in names if place in evaluation.settings[name])
        p = case.params
        page.heading(f"{p['quanta_per_pixel']:.0f} quanta per pixel (setting {setting})", 3)
        if hunted and case.region is not None and (case.region.targets > 0).any():
            add_marked(page, evaluation, place)
        add_details(page, evaluation, place)


def side_by_side(evaluation: Evaluation) -> list[Restoration]:
    """Noisy, the filter that finds most (best PSNR where there is nothing to find), the first models."""
    every = list(evaluation.restorations.values())
    filters = [each for each in every if each.kind == "filter"]
    best = max(filters, key=lambda each: (found_share(each), float(each.psnr_db.mean())), default=None)
    models = [each for each in every if each.kind == "model"][:MOST_MODELS]
    return [evaluation.restorations["noisy"], *([best] if best else []), *models]


def add_marked(page: Page, evaluation: Evaluation, place: int) -> None:
    """An image in each restoration with what is found in it."""
    case = evaluation.cases[place]
    region = case.region
    assert region is not None and evaluation.hunted is not None
    number, panels = evaluation.hunted.places.index(place), []
    for each in side_by_side(evaluation):
        assert each.contaminants is not None
        image = each.shown[place]
        panels.append((each.name, image, hunt(case.score(image), region, each.contaminants.threshold[number])))
    plot = figure_png(found_plot(panels, case.labels, grey_window(case)), 80)
    page.pictures("", [Picture(plot, "", "Contaminants found, missed and falsely reported")])


def add_details(page: Page, evaluation: Evaluation, place: int) -> None:
    """Enlarged part: clean, restorations, their errors and what they took away."""
    case = evaluation.cases[place]
    part = detail(case)
    low, high = grey_window(case)
    noise = case.noisy - case.clean
    limit = NOISE_WINDOW * float(noise[part].std())
    shown = side_by_side(evaluation)
    images = [
        ("clean", "the camera without noise", case.clean),
        *((each.name, "", each.shown[place]) for each in shown),
    ]
    pictures = [picture(image[part], low, high, name, what) for name, what, image in images]
    page.pictures(f"Detail; {low:.0f} (black) to {high:.0f} ADU.", pictures, 13, pixels=True)
    taken = [picture(noise[part], -limit, limit, "true noise", "noisy - clean")]
    taken += [
        picture((case.noisy - each.shown[place])[part], -limit, limit, f"{each.name}, taken away", "noisy - restored")
        for each in shown[1:]
    ]
    page.pictures(f"What was taken away; ± {limit:.1f} ADU.", taken, 13, pixels=True)
    small = 0.3 * limit
    errors = [
        picture((each.shown[place] - case.clean)[part], -small, small, f"{each.name}, error", "restored - clean")
        for each in shown[1:]
    ]
    page.pictures(f"What is wrong; ± {small:.1f} ADU.", errors, 13, pixels=True)


def picture(pixels: np.ndarray, low: float, high: float, name: str, what: str) -> Picture:
    caption = f"{name}: {what}" if what else name
    return Picture(grey_png(pixels, low, high), caption, caption)


def detail(case: Case) -> tuple[slice, slice]:
    """Part of an image around its contaminants, or around its middle."""
    shown = np.isin(case.labels, case.targets)
    rows, columns = np.nonzero(shown) if shown.any() else (np.array([n // 2]) for n in case.labels.shape)
    parts = []
    for places, length in zip((rows, columns), case.labels.shape, strict=True):
        first = int(np.clip(np.median(places) - ENLARGED_PX // 2, 0, max(length - ENLARGED_PX, 0)))
        parts.append(slice(first, first + ENLARGED_PX))
    return parts[0], parts[1]


def grey_window(case: Case) -> tuple[float, float]:
    """Black and white [ADU]: the levels of the clean image where contaminants are looked for, and some noise."""
    region = case.region
    inside = (region.free | (region.targets > 0)) if region else case.valid
    values = case.clean[inside] if inside.any() else case.clean
    low, high = np.percentile(values, [0.5, 99.5])
    spare = max(0.5 * (high - low), float((case.noisy - case.clean)[inside if inside.any() else case.valid].std()))
    return float(low - spare), float(high + spare)
