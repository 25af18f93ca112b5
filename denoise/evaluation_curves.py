"""Curves of an evaluation's page: ROC, FROC, detection by radius, MTF, CTF, noise power."""

from __future__ import annotations

import numpy as np

from denoise.evaluation import Evaluation
from denoise.plots import Curve, Panel
from denoise.restorations import Restoration

__all__ = ["compared", "detection_panels", "noise_panels", "sharpness_panels"]


def compared(evaluation: Evaluation) -> list[Restoration]:
    """Restorations whose curves are drawn: noisy, the filters best in PSNR and in detection, the models, clean."""
    every = list(evaluation.restorations.values())
    filters = [each for each in every if each.kind == "filter"]
    kept = {each.name for each in every if each.kind != "filter"}
    if filters:
        kept.add(max(filters, key=lambda each: float(each.psnr_db.mean())).name)
        kept.add(max(filters, key=found_share).name)
    return [each for each in every if each.name in kept]


def found_share(restoration: Restoration) -> float:
    """Share of contaminants found; -1 where none are told."""
    found = restoration.contaminants
    return found.rate.value if found and found.rate else -1.0


def detection_panels(evaluation: Evaluation) -> list[Panel]:
    """ROC, FROC and detection by radius."""
    told = [(each, each.contaminants) for each in compared(evaluation) if each.contaminants]
    roc, froc, radius = [], [], []
    for each, found in told:
        name, kind = each.name, each.kind
        roc.append(Curve(name, kind, found.roc.false_positive_share, found.roc.true_positive_share))
        froc.append(Curve(name, kind, found.froc.false_alarms_per_image, found.froc.true_positive_share))
        if found.curve:
            c = found.curve
            radius.append(Curve(name, kind, c.radius_mm, c.found, c.low, c.high))
    panels = [
        Panel("ROC", "lookalikes reported, share", "contaminants found, share", roc, (0, 1), (0, 1.02)),
        Panel("FROC", "false alarms per image", "contaminants found, share", froc, None, (0, 1.02), log_x=True),
    ]
    if radius:
        label = "radius, mm"
        panels.append(
            Panel("By radius", label, "contaminants found, share", radius, None, (0, 1.02), log_x=True, plain_x=True)
        )
    return panels


def sharpness_panels(evaluation: Evaluation) -> list[Panel]:
    """MTF at both contrasts, and CTF at the lower."""
    curves: dict[str, list[Curve]] = {"high": [], "low": [], "ctf": []}
    nyquist = 0.5 / evaluation.cases[0].params["pitch_mm"]
    for each in compared(evaluation):
        transfer = evaluation.transfer[each.name]
        for contrast, edge in transfer.mtf.items():
            if edge is not None:
                below = edge.frequency_per_mm <= nyquist
                curves[contrast].append(Curve(each.name, each.kind, edge.frequency_per_mm[below], edge.mtf[below]))
        if "low" in transfer.ctf:
            bars = transfer.ctf["low"]
            curves["ctf"].append(Curve(each.name, each.kind, bars.frequency_per_mm, bars.ctf))
    titles = {"high": "MTF, edge of 50 %", "low": "MTF, edge of 5 %", "ctf": "CTF, bars of 5 %"}
    label = "frequency on the detector, 1/mm"
    return [
        Panel(titles[key], label, key.upper() if key == "ctf" else "MTF", each, (0, nyquist), (-0.05, 1.3))
        for key, each in curves.items()
        if each
    ]


def noise_panels(evaluation: Evaluation) -> list[Panel]:
    """Noise power of the restored open beam, and of what was taken away."""
    left, taken = [], []
    for each in compared(evaluation):
        transfer = evaluation.transfer[each.name]
        cut = transfer.noise.along_u
        if each.kind != "clean":
            left.append(Curve(each.name, each.kind, cut.frequency_per_mm, np.maximum(cut.nps_adu2_mm2, 1e-12)))
        if each.kind == "noisy":
            taken.append(Curve(each.name, each.kind, cut.frequency_per_mm, cut.nps_adu2_mm2))
        elif transfer.taken is not None and each.kind != "clean":
            part = transfer.taken.along_u
            taken.append(Curve(each.name, each.kind, part.frequency_per_mm, part.nps_adu2_mm2))
    label, power = "frequency on the detector, 1/mm", "noise power, ADU² mm²"
    return [
        Panel("left in the open beam", label, power, left, log_y=True),
        Panel("taken away", label, power, taken, log_y=True),
    ]
