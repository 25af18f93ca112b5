"""One page of an evaluation, for who decides whether a restorer may be used: verdict, table, pictures, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from denoise.contaminants import FALSE_ALARMS
from denoise.evaluation import Evaluation
from denoise.evaluation_curves import detection_panels, noise_panels, sharpness_panels
from denoise.evaluation_pictures import add_pictures
from denoise.evaluation_table import gain_text, number, numbers, outside_text, radius_text, value_of
from denoise.plots import Panel, curves_plot
from denoise.station import CONTRASTS
from xsim import Page, Picture, Tile, figure_png

__all__ = ["write_evaluation_page"]

STRUCTURE = {"level": "level", "gradient": "edges (signed)", "energy_at_edges": "energy at edges"}
NOTICED = 3.0  # standard deviations from which on structure is called so


def write_evaluation_page(path: Path, evaluation: Evaluation) -> None:
    """Write the page.

    Raises
    ------
    ModelError
        matplotlib is not installed.
    OutputError
        The page cannot be written.
    """
    found = numbers(evaluation)
    models = ", ".join(found["models"])
    page = Page(
        f"What {models} restore{'s' if len(found['models']) == 1 else ''}",
        f"{found['images']} simulated radiographs of the corpus {found['corpus']!r}, part {found['split']!r}, whose "
        "clean form is "
        f"known, and {found['contaminants']} contaminants in them.",
    )
    add_verdict(page, found)
    add_figures(page, found)
    add_pictures(page, evaluation)
    add_detection(page, evaluation, found)
    add_sharpness(page, evaluation, found)
    add_structure(page, found)
    add_settings(page, found)
    add_method(page, evaluation, found)
    page.write(path)


def add_verdict(page: Page, found: Mapping[str, Any]) -> None:
    """Tiles of the first model, and what is to be said of each in a sentence or two."""
    rows = found["restorations"]
    first = next(iter(found["models"]))
    page.tiles(tiles_of(first, rows, found["bias_uncertainty"]))
    page.heading("In short")
    for name in found["models"]:
        page.paragraph(" ".join(sentences(name, rows, found)))


def tiles_of(name: str, rows: Mapping[str, Any], chance: float) -> list[Tile]:
    """A model in five numbers or so."""
    row, noisy = rows[name], rows["noisy"]
    worst = row["worst_setting"]
    note = f"mean; worst setting {worst['gain_over_noisy_db']:+.1f} dB ({worst['name']} quanta)"
    tiles = [Tile(f"{name}: PSNR over noisy", f"{row['gain_over_noisy_db']['value']:+.1f} dB", note)]
    rates = [(each["contaminants"] or {}).get("true_positive_rate") for each in (noisy, row)]
    if all(rates):
        before, after = (f"{100 * rate['value']:.0f}" for rate in rates)
        tiles.append(
            Tile("contaminants found", f"{before} → {after} %", f"noisy to restored, at {FALSE_ALARMS:g} false alarms")
        )
    spheres = [radius_text((each["contaminants"] or {}).get("smallest_sphere") or {}) for each in (noisy, row)]
    if spheres[1] != "-":
        tiles.append(Tile("smallest radius found", f"{spheres[1]} mm", f"by half; noisy: {spheres[0]} mm"))
    share = ((row["transfer"] or {}).get("mtf50_over_clean") or {}).get("low")
    if share:
        tiles.append(Tile("sharpness kept", f"{100 * share:.0f} %", "MTF50 of a 5 % edge over the camera's own"))
    bias = row["bias"]["value"]
    return [*tiles, Tile("bias", f"{100 * bias:+.3f} %", f"of the signal; quanta alone give ± {100 * chance:.3f} %")]


def sentences(name: str, rows: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """What an inspector should know of a model, losses first named as such."""
    row = rows[name]
    filters = {k: each for k, each in rows.items() if each["kind"] == "filter"}
    told = [f"{name}: {row['gain_over_noisy_db']['value']:+.2f} dB over noisy."]
    if filters:
        best = max(filters, key=lambda k: filters[k]["psnr_db"]["value"])
        ahead = row["psnr_db"]["value"] - filters[best]["psnr_db"]["value"]
        told.append(
            f"It {'gains' if ahead > 0 else 'LOSES'} {abs(ahead):.2f} dB {'over' if ahead > 0 else 'to'} the best "
            "classical "
            f"denoiser ({best}, tuned on these very images)."
        )
    rates = {
        k: each["contaminants"]["true_positive_rate"]["value"]
        for k, each in rows.items()
        if each["contaminants"] and each["contaminants"]["true_positive_rate"] and each["kind"] != "clean"
    }
    if name in rates:
        others = {k: rate for k, rate in rates.items() if rows[k]["kind"] in ("noisy", "filter")}
        rival = max(others, key=lambda k: others[k])
        verb = "finds more contaminants than" if rates[name] > others[rival] else "does NOT find more contaminants than"
        told.append(
            f"It {verb} the best of the others ({100 * rates[name]:.0f} %; {rival} {100 * others[rival]:.0f} %)."
        )
    recovery = (row["contaminants"] or {}).get("contrast_recovery")
    if recovery:
        told.append(f"Contaminants keep {100 * recovery['value']:.0f} % of their contrast.")
    edges = row["structure"].get("energy_at_edges")
    own = rows["clean"]["structure"].get("energy_at_edges", {}).get("significance", 0.0)
    if edges and abs(edges["significance"]) > NOTICED + abs(own):
        what = "noise is left at edges" if edges["value"] < 0 else "edges are taken away with the noise"
        told.append(f"What it takes away follows the part ({edges['significance']:+.0f} standard deviations): {what}.")
    return told


def add_figures(page: Page, found: Mapping[str, Any]) -> None:
    """The table of means."""
    page.heading("The figures")
    columns = [
        "image", "PSNR, dB", "over noisy, dB (95 %)", "worst setting, dB", "SSIM", "bias, %", "in contaminants, %",
        "AUC", "found, % (95 %)", "radius found by half, mm", "CNR", "contrast kept, %",
    ]  # fmt: skip
    page.table(
        "Means over the images, in brackets the 95 % interval over images (bootstrap); PSNR and SSIM relative to the "
        "open "
        "beam. Classical denoisers have the setting that is best on these very images, at each dose.",
        columns,
        [figures_row(name, row) for name, row in found["restorations"].items()],
    )
    if not found["contaminants"]:
        page.paragraph("No contaminant lies in a body away from its outline: there are no figures of detection.")
    for text in found["left_out"]:
        page.paragraph(f"Left out: {text}.")
    for name, model in found["models"].items():
        if text := outside_text(name, model, found["images"]):
            page.paragraph(f"{text}.")


def figures_row(name: str, row: Mapping[str, Any]) -> list[str]:
    """Row of the table of means."""
    hit = row["contaminants"] or {}
    return [
        name,
        value_of(row.get("psnr_db"), "{:.2f}"),
        gain_text(row.get("gain_over_noisy_db")),
        f"{row['worst_setting']['gain_over_noisy_db']:+.2f}" if "worst_setting" in row else "-",
        value_of(row.get("ssim"), "{:.4f}"),
        value_of(row.get("bias"), "{:+.3f}", 100),
        value_of(row.get("bias_in_contaminants"), "{:+.2f}", 100),
        value_of(hit.get("area_under_roc"), "{:.3f}"),
        share_text(hit.get("true_positive_rate")),
        sphere_text(hit.get("smallest_sphere") or {}),
        number(hit.get("contrast_to_noise"), "{:.1f}") if row["kind"] != "clean" else "-",
        value_of(hit.get("contrast_recovery"), "{:.0f}", 100),
    ]


def share_text(figure: Mapping[str, Any] | None) -> str:
    """A share in percent with its interval."""
    if figure is None:
        return "-"
    ends = "" if figure["low"] is None else f" ({100 * figure['low']:.0f} to {100 * figure['high']:.0f})"
    return f"{100 * figure['value']:.1f}{ends}"


def sphere_text(sphere: Mapping[str, Any]) -> str:
    """Radius found by half, with its interval."""
    if not sphere.get("radius_mm"):
        return radius_text(dict(sphere))
    ends = [number(sphere[key], "{:.2f}") for key in ("low_mm", "high_mm")]
    return f"{sphere['radius_mm']:.2f} ({ends[0]} to {ends[1]})"


def add_detection(page: Page, evaluation: Evaluation, found: Mapping[str, Any]) -> None:
    """ROC, FROC and detection by radius."""
    if not found["contaminants"]:
        return
    page.heading("Contaminants found by a threshold")
    page.paragraph(
        "A pixel's score is how much it differs from its surroundings, in log transmission. ROC: contaminants "
        "against footprints of the "
        "same shape at empty places of the same image. FROC: contaminants found against groups of pixels that are "
        "falsely reported. By "
        f"radius: share found where {FALSE_ALARMS:g} of the empty pixels exceed the threshold; bars are 95 % intervals."
    )
    add_plot(page, detection_panels(evaluation), "ROC, FROC, and share of contaminants found by radius")


def add_sharpness(page: Page, evaluation: Evaluation, found: Mapping[str, Any]) -> None:
    """MTF, CTF and noise power."""
    page.heading("Sharpness and noise")
    if evaluation.objects is None:
        page.paragraph(f"Not measured: {evaluation.reason}.")
        return
    quanta = evaluation.objects.station.quanta_per_pixel
    page.paragraph(
        f"Test objects before the corpus's own camera at {quanta:.0f} quanta per open-beam pixel: a slanted edge and "
        "a bar chart that "
        "take 50 % or 5 % of the signal, and the open beam. A network is not linear: at low contrast it may take for "
        "noise what it keeps "
        "at high contrast. Images of many exposures are restored one by one and averaged, so these are mean responses."
    )
    add_plot(page, sharpness_panels(evaluation), "MTF at high and low contrast, CTF at low contrast")
    rows = [(name, *sharpness_cells(row["transfer"])) for name, row in found["restorations"].items()]
    columns = ["image", "MTF50 at 50 %, 1/mm", "at 5 %, 1/mm", "over the camera's, at 50 %", "at 5 %"]
    page.table("Frequency on the detector at which the MTF falls to one half.", columns, rows)
    page.paragraph(
        "Noise power of the restored open beam, and of what was taken from it: where the second falls below the "
        "camera's own "
        "noise (the grey line), noise of that frequency was left in the image."
    )
    add_plot(page, noise_panels(evaluation), "Noise power of restored open beam and of what was taken away")


def sharpness_cells(transfer: Mapping[str, Any]) -> list[str]:
    """Frequencies at which the MTF is one half, at both contrasts, and over the camera's own."""
    keys = ("mtf50_per_mm", "mtf50_over_clean")
    return [number(transfer[key].get(contrast), "{:.2f}") for key in keys for contrast in CONTRASTS]


def add_plot(page: Page, panels: Sequence[Panel], alt: str) -> None:
    if panels:
        page.pictures("", [Picture(figure_png(curves_plot(panels), 110), "", alt)])


def add_structure(page: Page, found: Mapping[str, Any]) -> None:
    """Correlation of what was taken away with the part."""
    page.heading("Structure in what was taken away")
    page.paragraph(
        "Noise knows nothing of the part. Correlation of noisy - restored, in units of the noise, with the clean "
        "level and with the size of its "
        "gradient, and of its energy with that gradient: above 0, edges are taken away with the noise; below 0, "
        "noise is left at edges. In "
        "brackets: standard deviations of chance. The last row is the camera's own noise: at edges light of several "
        "brightnesses mixes, so its energy there is not quite a x + b."
    )
    rows = [
        (
            "clean (what is taken away is the noise itself)" if row["kind"] == "clean" else name,
            *(structure_text(row["structure"].get(kind)) for kind in STRUCTURE),
        )
        for name, row in found["restorations"].items()
        if row["structure"]
    ]
    page.table("Correlation, means over the images.", ["image", *STRUCTURE.values()], rows)


def structure_text(each: Mapping[str, Any] | None) -> str:
    return "-" if each is None else f"{each['value']:+.4f} ({each['significance']:+.1f})"


def add_settings(page: Page, found: Mapping[str, Any]) -> None:
    """Gain by setting."""
    page.heading("By setting")
    rows = [
        (name, *(f"{row['gain_by_setting_db'][setting]:+.2f}" for setting in found["settings"]))
        for name, row in found["restorations"].items()
        if row["kind"] in ("filter", "model")
    ]
    columns = [f"{name} quanta ({count} images)" for name, count in found["settings"].items()]
    page.table("PSNR over the noisy image, dB, by quanta absorbed per open-beam pixel.", ["image", *columns], rows)


def add_method(page: Page, evaluation: Evaluation, found: Mapping[str, Any]) -> None:
    """How it was measured, and with what."""
    page.heading("How it was measured")
    for name, model in found["models"].items():
        corpus = model["corpus"]
        page.paragraph(
            f"{name}: {model['method']}, network {model['network']}, trained on {corpus['train_samples']} images of "
            f"{corpus['name']!r}; "
            f"sha256 {model['sha256'][:16]}."
        )
    tuning = [
        f"{name} {', '.join(f'{value:g}' for value in row['tuning'].values())}"
        for name, row in found["restorations"].items()
        if row["tuning"]
    ]
    page.paragraph(f"Settings of the classical denoisers, one for each range of dose: {'; '.join(tuning)}.")
    page.paragraph(
        "Contaminants are looked for inside the bodies they lie in, away from outlines, where the clean image is "
        "even to 1 %: clutter of the part "
        "itself is left out, since no restorer answers for it. The radius found by half is a logistic fit of found "
        "and missed against the logarithm "
        "of the radius; contaminants that are no spheres count by half the geometric mean of their sizes. CNR is "
        "contrast over the noise left "
        "beside the contaminant; where a restorer leaves next to none it says little: see the contrast kept."
    )
    if evaluation.reason:
        page.paragraph(f"Sharpness was not measured: {evaluation.reason}.")
