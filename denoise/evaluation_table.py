"""The figures of an evaluation as numbers for a file and as lines for a terminal."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from denoise.contaminants import FALSE_ALARMS, Contaminants
from denoise.evaluation import Evaluation
from denoise.fidelity import bias_uncertainty
from denoise.restorations import Restoration
from denoise.station import Transfer
from denoise.uncertainty import Figure, mean_figure, ratio_figure

__all__ = ["numbers", "outside_text", "row_of", "table"]


def numbers(evaluation: Evaluation) -> dict[str, Any]:
    """All figures, JSON-able; intervals are 95 % over images."""
    clean = evaluation.transfer.get("clean")
    return {
        "corpus": evaluation.corpus,
        "split": evaluation.split,
        "images": len(evaluation.cases),
        "left_out": evaluation.left_out,
        "settings": {name: len(places) for name, places in evaluation.settings.items()},
        "false_alarm_rate": FALSE_ALARMS,
        "contaminants": len(evaluation.hunted.image) if evaluation.hunted else 0,
        "bias_uncertainty": bias_uncertainty(evaluation.cases),
        "models": {
            k: {**told, "images_outside_training": evaluation.outside[k]} for k, told in evaluation.models.items()
        },
        "restorations": {
            name: {
                **row_of(evaluation, restoration),
                "contaminants": found_numbers(restoration.contaminants),
                "transfer": transfer_numbers(evaluation.transfer.get(name), clean),
            }
            for name, restoration in evaluation.restorations.items()
        },
    }


def row_of(evaluation: Evaluation, restoration: Restoration) -> dict[str, Any]:
    """Means, intervals and worst setting of a restoration."""
    found: dict[str, Any] = {"kind": restoration.kind, "tuning": dict(restoration.tuning)}
    if restoration.kind != "clean":
        gain = restoration.psnr_db - evaluation.restorations["noisy"].psnr_db
        by_setting = {name: float(gain[places].mean()) for name, places in evaluation.settings.items()}
        worst = min(by_setting, key=lambda name: by_setting[name])
        found |= {
            "psnr_db": plain(mean_figure(restoration.psnr_db)),
            "gain_over_noisy_db": plain(mean_figure(gain)),
            "gain_by_setting_db": by_setting,
            "worst_setting": {"name": worst, "gain_over_noisy_db": by_setting[worst]},
            "ssim": plain(mean_figure(restoration.ssim)),
            "bias": plain(ratio_figure(restoration.error_adu, restoration.signal_adu)),
            "bias_in_contaminants": plain(ratio_figure(restoration.target_error_adu, restoration.target_signal_adu)),
        }
    found["structure"] = {
        kind: {**each.correlation.plain(), "spread": each.spread, "significance": each.significance}
        for kind, each in restoration.structure.items()
    }
    return found


def plain(figure: Figure | None) -> dict[str, float | None] | None:
    return figure.plain() if figure else None


def found_numbers(found: Contaminants | None) -> dict[str, Any] | None:
    """Figures of detection."""
    if found is None:
        return None
    cnr = found.contrast_to_noise
    return {
        "true_positive_rate": plain(found.rate),
        "area_under_roc": plain(found.area),
        "contrast_to_noise": cnr if np.isfinite(cnr) else None,
        "contrast_recovery": plain(found.contrast_recovery),
        "smallest_sphere": asdict(found.smallest) if found.smallest else None,
        "by_radius": listed(found.curve),
        "roc": listed(found.roc),
        "froc": listed(found.froc),
    }


def listed(curve: Any) -> dict[str, Any] | None:
    """Arrays of a curve as lists."""
    if curve is None:
        return None
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in asdict(curve).items()}


def transfer_numbers(transfer: Transfer | None, clean: Transfer | None) -> dict[str, Any] | None:
    """Sharpness and noise of a restoration, and the share of the camera's own sharpness that is left."""
    if transfer is None or clean is None:
        return None
    half = {name: edge.frequency_of(0.5) if edge else None for name, edge in transfer.mtf.items()}
    own = {name: edge.frequency_of(0.5) if edge else None for name, edge in clean.mtf.items()}
    cut = transfer.noise.along_u
    return {
        "mtf50_per_mm": half,
        "mtf50_over_clean": {name: half[name] / own[name] if half[name] and own[name] else None for name in half},  # type: ignore[operator]
        "ctf": {
            name: {"frequency_per_mm": each.frequency_per_mm.tolist(), "ctf": each.ctf.tolist()}
            for name, each in transfer.ctf.items()
        },
        "noise_power": {"frequency_per_mm": cut.frequency_per_mm.tolist(), "nps_adu2_mm2": cut.nps_adu2_mm2.tolist()},
    }


def table(evaluation: Evaluation) -> str:
    """Lines for a terminal: one for each restoration, then what is to be known of them."""
    found = numbers(evaluation)
    wide = max(len(name) for name in found["restorations"])
    head = ("PSNR dB", "gain dB (95 %)", "worst", "SSIM", "bias %", "AUC", "found %", "r50 mm", "MTF50", "edges")
    widths = (8, 21, 7, 7, 9, 6, 8, 7, 6, 7)
    lines = [" ".join([f"{'':<{wide}}", *(f"{text:>{width}}" for text, width in zip(head, widths, strict=True))])]
    for name, each in found["restorations"].items():
        cells = cells_of(each)
        lines.append(" ".join([f"{name:<{wide}}", *(f"{c:>{w}}" for c, w in zip(cells, widths, strict=True))]))
    lines += [
        f"{found['images']} images of {found['corpus']!r} ({found['split']}), {found['contaminants']} contaminants",
        f"found: at {FALSE_ALARMS:g} false alarms a pixel; r50: radius of which half are found; MTF50: of a 5 % edge, "
        "over the clean one's;",
        "edges: by how many standard deviations the energy of what was taken away follows the edges of the part",
    ]
    lines.append(f"bias to expect from the quanta alone: {100 * found['bias_uncertainty']:.4f} %")
    if not found["contaminants"]:
        lines.append(
            "no contaminants to find (no target lies in a body, away from its outline): no figures of detection"
        )
    lines += [outside_text(name, model, found["images"]) for name, model in found["models"].items()]
    if evaluation.reason:
        lines.append(f"no figures of sharpness: {evaluation.reason}")
    lines += [f"left out: {text}" for text in evaluation.left_out]
    return "\n".join(line for line in lines if line)


def outside_text(name: str, model: dict[str, Any], images: int) -> str:
    """How many images a model was not trained for; empty where it was for all."""
    count = model["images_outside_training"]
    return f"{name}: {count} of {images} images lie outside the conditions it was trained on" if count else ""


def cells_of(row: dict[str, Any]) -> list[str]:
    """Cells of a line of the table."""
    gain, found, transfer = row.get("gain_over_noisy_db"), row["contaminants"] or {}, row["transfer"] or {}
    sphere = found.get("smallest_sphere") or {}
    return [
        value_of(row.get("psnr_db"), "{:.2f}"),
        gain_text(gain),
        f"{row['worst_setting']['gain_over_noisy_db']:+.2f}" if "worst_setting" in row else "-",
        value_of(row.get("ssim"), "{:.4f}"),
        value_of(row.get("bias"), "{:+.4f}", 100),
        value_of(found.get("area_under_roc"), "{:.3f}"),
        value_of(found.get("true_positive_rate"), "{:.1f}", 100),
        radius_text(sphere),
        number(transfer.get("mtf50_over_clean", {}).get("low"), "{:.2f}"),
        number(row["structure"].get("energy_at_edges", {}).get("significance"), "{:+.1f}"),
    ]


def gain_text(gain: dict[str, float | None] | None) -> str:
    """A gain and its interval."""
    if gain is None or gain["value"] == gain["low"] == 0.0:
        return "-"
    ends = "" if gain["low"] is None else f" ({gain['low']:+.2f} {gain['high']:+.2f})"
    return f"{gain['value']:+.2f}{ends}"


def radius_text(sphere: dict[str, Any]) -> str:
    """Radius of the smallest sphere found, or where it lies."""
    if sphere.get("radius_mm"):
        return f"{sphere['radius_mm']:.3f}"
    return {"below": "< all", "above": "> all"}.get(sphere.get("inside", ""), "-")


def value_of(figure: dict[str, Any] | None, form: str, scale: float = 1.0) -> str:
    return "-" if figure is None else form.format(scale * figure["value"])


def number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
