"""What an audit comes to: a word for each question, the figure it rests on, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats

from denoise.audit import Audit
from denoise.audit_contrast import Recovered

__all__ = ["Limits", "Line", "as_json", "as_text", "overall", "verdict"]

Word = Literal["pass", "fail", "undecided"]
ROSE = 5.0  # signal to noise from which something is seen for sure (Rose, J. Opt. Soc. Am. 38 (1948) 196)


@dataclass(frozen=True)
class Limits:
    """What is good enough.

    Attributes
    ----------
    gain_db : float
        At least, of the error over that of the noisy frames.
    bias_percent, region_bias_percent : float
        At most, of the whole image; of a band of levels or a tile.
    structure_percent : float
        Of what was taken away: at most so much may be the same in every frame.
    correlation : float
        How far the autocorrelation of what was taken away may be off that of the noise, beyond what the noise that was
        left explains: of a fraction q left by the best linear restorer, q / (1 - q).
    noise_percent : float
        How far the noise may be off what the restorer is told.
    outside_percent : float
        Share of pixels that may be outside the trained range.
    contrast_percent : float
        How far the contrast of a sphere may be off.
    smallest_mm : float, optional
        Diameter from which spheres count, seen in a noisy frame or not; by default those do that are seen there.
    """

    gain_db: float = 3.0
    bias_percent: float = 0.1
    region_bias_percent: float = 0.5
    structure_percent: float = 2.0
    correlation: float = 0.05
    noise_percent: float = 5.0
    outside_percent: float = 1.0
    contrast_percent: float = 20.0
    smallest_mm: float | None = None


@dataclass(frozen=True)
class Line:
    """One question of the verdict."""

    question: str
    word: Word
    figure: str
    why: str


def verdict(audit: Audit, limits: Limits | None = None) -> list[Line]:
    """A line for each question."""
    chosen = limits or Limits()
    return [ask(audit, chosen) for ask in QUESTIONS]


def overall(lines: list[Line]) -> Word:
    """The worst word."""
    words = {line.word for line in lines}
    return "fail" if "fail" in words else "undecided" if "undecided" in words else "pass"


def repeats(audit: Audit, limits: Limits) -> Line:
    found, question = audit.steadiness, "frames are repeats"
    flicker = 100.0 * float(found.brightness.std())
    shift = f"{float(np.abs(found.shift_px).max()):.3f} px (+- {found.shift_error_px:.3f} sd)"
    figure = f"brightness scatters by {flicker:.3f} %, shifts up to {shift}, memory {found.memory:+.3f}"
    if found.moves:
        return Line(question, "fail", figure, "the scene moved: nothing below can be trusted, take it anew")
    if found.remembers:
        return Line(question, "fail", figure, "frames know of those before (lag, slow drift): wait longer between them")
    why = "the tube flickers: taken out of all figures" if found.flickers else "they differ in noise alone"
    return Line(question, "pass", figure, why)


def noise(audit: Audit, limits: Limits) -> Line:
    sd, question = audit.range.noise_sd, "noise is as told"
    off = 100.0 * (sd.value - 1.0)
    figure = f"{sd.value:.3f} of the noise told ({sd.low:.3f} to {sd.high:.3f})"
    if abs(off) <= limits.noise_percent:
        return Line(question, "pass", figure, f"within {limits.noise_percent:g} %")
    side = "more" if off > 0 else "less"
    return Line(question, "fail", figure, f"{abs(off):.0f} % {side} than a and b say: measure them (xsim characterize)")


def trained(audit: Audit, limits: Limits) -> Line:
    found, question = audit.range, "inside the trained range"
    figure = f"{100.0 * found.outside_share:.2f} % of the pixels outside"
    if found.trained_high is None:
        return Line(question, "undecided", "range not known", "the model does not tell what it was trained on")
    if found.conditions:
        return Line(question, "fail", figure, "; ".join(found.conditions))
    if 100.0 * found.outside_share > limits.outside_percent:
        low = "?" if found.trained_low is None else f"{found.trained_low:.3g}"
        levels = f"levels {found.level_low:.3g} to {found.level_high:.3g} standard deviations"
        return Line(question, "fail", figure, f"{levels}, trained on {low} to {found.trained_high:.3g}")
    return Line(question, "pass", figure, f"at most {limits.outside_percent:g} % may be")


def error(audit: Audit, limits: Limits) -> Line:
    gain, noisy = audit.gain_db, audit.noise_variance_adu2.value**0.5
    if gain is None:
        figure = f"at most {max(audit.squared_error_adu2.high, 0.0) ** 0.5:.3g} ADU, {noisy:.3g} in a noisy frame"
        return Line("error", "undecided", figure, "it does not stand out of its own uncertainty: take more frames")
    size = max(audit.squared_error_adu2.value, 0.0) ** 0.5
    figure = f"{size:.3g} ADU rms, {gain.value:+.2f} dB over noisy ({gain.low:+.2f} to {gain.high:+.2f})"
    return Line("error", sided(gain.low, gain.high, limits.gain_db), figure, f"at least {limits.gain_db:+g} dB asked")


def bias(audit: Audit, limits: Limits) -> Line:
    found, limit, question = audit.bias, limits.bias_percent, "bias of the whole image"
    reach = 100.0 * float(stats.t.isf(0.025, audit.frames - 1)) * found.error
    size = abs(100.0 * found.share)
    word = sided(-size - reach, -size + reach, -limit)
    return Line(question, word, f"{100 * found.share:+.4f} % (+- {reach:.4f})", f"at most {limit:g} % asked")


def regional_bias(audit: Audit, limits: Limits) -> Line:
    regions = [*audit.bias_by_level, *audit.bias_by_tile]
    limit, question = limits.region_bias_percent, "bias of regions"
    worst = max(regions, key=lambda region: region.sure_share)
    beyond = sum(100.0 * region.sure_share > limit for region in regions)
    figure = f"{100 * worst.share:+.3f} % (+- {100 * worst.error:.3f} sd) in {worst.region}"
    if beyond:
        return Line(question, "fail", figure, f"{beyond} of {len(regions)} are off by more than {limit:g} % for sure")
    return Line(question, "pass", figure, f"none is off by more than {limit:g} % for sure")


def removed(audit: Audit, limits: Limits) -> Line:
    share, question = audit.structure_share, "only noise is taken away"
    figure = f"{100 * share.value:.2f} % of it is structure ({100 * share.low:.2f} to {100 * share.high:.2f})"
    word = sided(-100 * share.high, -100 * share.low, -limits.structure_percent)
    difference = audit.correlation_difference
    if difference is None:
        return Line(question, word, figure, f"at most {limits.structure_percent:g} % asked; too small for correlation")
    left = min(max(audit.squared_error_adu2.value / audit.noise_variance_adu2.value, 0.0), 0.9)
    most = limits.correlation + left / (1.0 - left)
    figure += f", its correlation {difference:.3f} off the noise's"
    why = f"at most {limits.structure_percent:g} % and {most:.3f} asked"
    return Line(question, "fail" if difference > most else word, figure, why)


def contrast(audit: Audit, limits: Limits) -> Line:
    question, off = "contrast is kept", 0.01 * limits.contrast_percent
    if audit.contrast is None:
        return Line(question, "undecided", "not measured", "the station is not known: --scene, or --detector and more")
    if not audit.contrast:
        return Line(question, "undecided", "not measured", "no sphere fits into the image or the region: smaller ones")
    looked = [each for each in audit.contrast if counts(each, limits)]
    if not looked:
        why = f"no sphere stands out of the noise (SNR {ROSE:g}): insert larger or denser ones"
        return Line(question, "undecided", "nothing to judge by", why)
    words = {each.diameter_mm: kept(each, off) for each in looked}
    worst = min(looked, key=lambda each: 1.0 - abs(each.recovered.value - 1.0))
    figure = f"{told(worst)} at {worst.diameter_mm:g} mm, of {len(looked)} sizes from {looked[0].diameter_mm:g} mm"
    if lost := [f"{size:g} mm" for size, word in words.items() if word == "fail"]:
        return Line(question, "fail", figure, f"off by more than {limits.contrast_percent:g} %: {', '.join(lost)}")
    word: Word = "undecided" if "undecided" in words.values() else "pass"
    return Line(question, word, figure, f"within {limits.contrast_percent:g} % asked")


def counts(each: Recovered, limits: Limits) -> bool:
    """Whether a size is judged: it can be seen in a noisy frame, or it was asked for."""
    if limits.smallest_mm is not None:
        return each.diameter_mm >= limits.smallest_mm * (1 - 1e-9)
    return each.signal_to_noise >= ROSE


def kept(each: Recovered, off: float) -> Word:
    low, high = each.recovered.low, each.recovered.high
    if 1.0 - off <= low and high <= 1.0 + off:
        return "pass"
    return "fail" if high < 1.0 - off or low > 1.0 + off else "undecided"


def told(each: Recovered) -> str:
    """Contrast recovered, in words."""
    found = each.recovered
    return f"{100 * found.value:.0f} % ({100 * found.low:.0f} to {100 * found.high:.0f})"


def sided(low: float, high: float, least: float) -> Word:
    """Whether an interval is above a least value, below it, or holds it."""
    return "pass" if low >= least else "fail" if high < least else "undecided"


QUESTIONS: tuple[Callable[[Audit, Limits], Line], ...] = (
    repeats, noise, trained, error, bias, regional_bias, removed, contrast,
)  # fmt: skip


def as_text(audit: Audit, lines: list[Line], name: str) -> str:
    """The verdict for a terminal."""
    wide = max(len(line.question) for line in lines)
    head = f"{name} on {audit.frames} frames of {audit.rows} x {audit.columns}: {overall(lines).upper()}"
    rows = [f"  {line.word:<9}  {line.question:<{wide}}  {line.figure} ({line.why})" for line in lines]
    table = [
        f"  {each.diameter_mm:>6g} mm  {told(each):<20} contrast {100 * each.contrast:.3g} %, "
        f"SNR {each.signal_to_noise:.3g}, {each.places} places"
        for each in audit.contrast or ()
    ]
    return "\n".join([head, *rows, *(["contrast recovered"] if table else []), *table])


def as_json(audit: Audit, lines: list[Line], limits: Limits) -> dict[str, Any]:
    """All figures but the images; JSON-able."""
    found = {name: value for name, value in vars(audit).items() if name not in ("mean", "restored_mean")}
    found["range"] = {name: value for name, value in vars(audit.range).items() if name != "outside"}
    found["steadiness"] = {
        **vars(audit.steadiness),
        **{name: getattr(audit.steadiness, name) for name in ("flickers", "moves", "remembers")},
    }
    told_lines = [asdict(line) for line in lines]
    return plain({"verdict": overall(lines), "lines": told_lines, "limits": asdict(limits), **found})


def plain(value: Any) -> Any:
    """Arrays as lists, dataclasses as mappings, what is no number as None."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(each) for each in value]
    if hasattr(value, "__dataclass_fields__"):
        return plain(vars(value))
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
