"""Training a restorer on a corpus, top to bottom: settings, data, one step, the loop, the file.

The same corpus, settings and seed give the same weights for a number of ``steps``, on any number of cores of one kind
of processor; a budget in ``minutes`` ends where the clock says.
"""

from __future__ import annotations

import copy
import csv
import io
import math
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

import datagen
from denoise.batches import asked, batches, validation_batch
from denoise.checkpoint import check_new, versions, write_checkpoint
from denoise.conditions import check_corpus, conditions_of, noise_scale_adu, train_views
from denoise.machine import one_thread_each, pick_device
from denoise.methods import Method, method_named
from denoise.networks import NoisePredictor, make_network
from xsim import ModelError, OutputError, write_whole

__all__ = ["Settings", "train"]

VALIDATIONS = 20
LOG_EVERY = 20
COLUMNS = ("step", "seconds", "learning_rate", "train_loss", "val_loss")


@dataclass(frozen=True)
class Settings:
    """What training may be told; all of it is kept in the checkpoint.

    Attributes
    ----------
    network : {"unet", "dncnn"}
    domain : {"vst", "linear"}
        Variance-stabilised, or the images as they are.
    steps : int
        At most so many.
    minutes : float, optional
        At most so long. The learning rate falls with whichever share of the two is greater.
    batch, crop : int
        Crops per step, and their side in pixels.
    learning_rate, weight_decay : float
        Of AdamW; the rate warms up over ``warm_up`` steps and falls as a cosine.
    average : float
        Decay of the exponential average of the weights, which is what is saved; (1 + k) / (10 + k) at step k while that
        is less, so that a short run does not save its beginning.
    clip : float
        Greatest norm of the gradient.
    parts : int
        Pieces a batch is cut into, each differentiated by one thread. On busy cores that is several times faster than
        many threads in one convolution, which wait for each other at every layer; and the sum has one order.
    anchor_px : int
        Half-width of the window over which a restored image keeps the mean of the noisy one; 0: not at all.
    seed : int
    workers : int
        Processes that read the corpus; 0: none of their own.
    """

    network: str = "unet"
    domain: str = "vst"
    steps: int = 4000
    minutes: float | None = None
    batch: int = 16
    crop: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    warm_up: int = 50
    average: float = 0.999
    clip: float = 1.0
    parts: int = 4
    anchor_px: int = 64
    seed: int = 0
    workers: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "crop", "learning_rate", "warm_up", "clip", "parts"):
            if not getattr(self, name) > 0:
                raise ModelError(f"{name} must be above 0 (given {getattr(self, name)!r})")
        if self.minutes is not None and not 0 < self.minutes < math.inf:
            raise ModelError(f"minutes must be above 0 (given {self.minutes!r})")
        if self.anchor_px < 0:
            raise ModelError(f"anchor_px must not be negative (given {self.anchor_px!r})")


def train(
    corpus_path: str | os.PathLike[str],
    method: str = "noise_cnn",
    out: str | os.PathLike[str] = "model.safetensors",
    *,
    overwrite: bool = False,
    device: str = "auto",
    progress: bool = True,
    **settings: Any,
) -> Path:
    """Train a restorer and save it, with its log as a .csv of the same name beside it.

    Parameters
    ----------
    corpus_path : path
        A store that ``datagen.generate`` made.
    method : str
        "noise_cnn".
    out : path
        The model, .safetensors.
    overwrite : bool
        Whether ``out`` and its log may replace what is there.
    device : str
        "auto" (a GPU where torch finds one), "cpu" or "cuda".
    progress : bool
        Whether to show a progress line on stderr.
    **settings
        See `Settings`.

    Returns
    -------
    Path of the model

    Raises
    ------
    ModelError
        A setting makes no sense, or training diverges.
    CorpusError
        The corpus cannot be used.
    OutputError
        The model cannot be written.
    """
    try:
        chosen = Settings(**settings)
    except TypeError as error:
        raise ModelError(f"unknown setting ({error})") from None
    way, machine = method_named(method), pick_device(device)
    target, log = model_files(Path(out), overwrite)
    corpus = datagen.open_corpus(corpus_path)
    views = train_views(corpus)
    check_corpus(corpus, views, chosen.crop)
    told = {**asdict(chosen), "noise_scale_adu": noise_scale_adu(views)}
    options = way.network_options(told)
    run = Run(new_network(chosen, options).to(machine), way, chosen, told, machine)
    run.fit(
        batches(views, chosen.crop, chosen.batch, chosen.seed, chosen.workers),
        validation_batch(corpus, chosen.crop, chosen.seed),
        progress,
    )
    configuration = {
        "method": method,
        "network": chosen.network,
        "network_options": options,
        "settings": told,
        **conditions_of(corpus, views),
        "versions": versions(),
        "training": run.outcome(),
    }
    write_whole(log, lambda path: path.write_text(run.table()))
    write_checkpoint(target, run.averaged.state_dict(), configuration)
    return target


def model_files(target: Path, overwrite: bool) -> tuple[Path, Path]:
    """The model and its log, of one name; refused where they would replace something."""
    if target.suffix != ".safetensors":
        raise OutputError(f"{target} is no name for a model (its log gets the same with .csv) end it in .safetensors")
    log = target.with_suffix(".csv")
    for path in (target, log):
        check_new(path, overwrite)
    return target, log


def new_network(settings: Settings, options: dict[str, Any]) -> NoisePredictor:
    """Network with the random weights of a seed, leaving torch's own random numbers alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = make_network(settings.network, **options).to(memory_format=torch.channels_last)
    if settings.crop % network.multiple:
        raise ModelError(f"crop {settings.crop} must be a multiple of {network.multiple} (the network halves it)")
    return network


class Run:
    """One training: the weights, their average, and what has happened so far."""

    def __init__(
        self, network: NoisePredictor, method: Method, settings: Settings, told: dict[str, Any], device: torch.device
    ) -> None:
        self.network, self.averaged = network, copy.deepcopy(network).requires_grad_(False)
        self.method, self.settings, self.told, self.device = method, settings, told, device
        self.weights = list(network.parameters())
        self.optimizer = torch.optim.AdamW(self.weights, lr=settings.learning_rate, weight_decay=settings.weight_decay)
        self.step, self.seconds = 0, 0.0
        self.rows: list[dict[str, Any]] = []

    def share(self) -> float:
        """How much of the run is done, 0 to 1."""
        spent = self.seconds / (60.0 * self.settings.minutes) if self.settings.minutes else 0.0
        return min(1.0, max(self.step / self.settings.steps, spent))

    def fit(self, source: Iterator[dict[str, Tensor]], held_out: dict[str, Tensor] | None, progress: bool) -> None:
        """Train until the steps or the minutes are used up."""
        form = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
        parts = self.settings.parts if self.device.type == "cpu" else 1
        start, recent, validated = time.monotonic(), [], 0
        with (
            one_thread_each(parts) as pool,
            tqdm(total=1000, desc="training", bar_format=form, disable=not progress) as bar,
        ):
            while (share := self.share()) < 1.0:
                recent.append(self.advance(next(source), share, parts, pool))
                self.seconds = time.monotonic() - start
                due = self.share() * VALIDATIONS >= validated + 1
                if self.step % LOG_EVERY and not due:
                    continue
                row = {
                    "step": self.step,
                    "seconds": round(self.seconds, 3),
                    "learning_rate": self.optimizer.param_groups[0]["lr"],
                }
                row["train_loss"], recent = sum(recent) / len(recent), []
                if due and held_out:
                    row["val_loss"] = self.validate(held_out, parts, pool)
                validated += due
                self.rows.append(row)
                bar.set_postfix_str(f"step {self.step}, loss {row['train_loss']:.4f}", refresh=False)
                bar.update(int(1000 * self.share()) - bar.n)

    def rate(self, share: float) -> float:
        warm = min(1.0, (self.step + 1) / self.settings.warm_up)
        return self.settings.learning_rate * warm * 0.5 * (1.0 + math.cos(math.pi * share))

    def advance(self, batch: dict[str, Tensor], share: float, parts: int, pool: ThreadPoolExecutor) -> float:
        """One step; returns its loss."""

        def differentiate(piece: dict[str, Tensor]) -> tuple[float, tuple[Tensor, ...], int]:
            loss = self.method.loss(self.network, piece, self.told)
            return loss.item(), torch.autograd.grad(loss, self.weights), asked(piece)

        results = list(pool.map(differentiate, self.pieces(batch, parts)))
        count = max(1, sum(size for _, _, size in results))
        loss = sum(value * size for value, _, size in results) / count
        if not math.isfinite(loss):
            raise ModelError(f"training diverged (loss is {loss} at step {self.step}) lower the learning rate")
        for index, weight in enumerate(self.weights):
            weight.grad = torch.stack([found[index] * (size / count) for _, found, size in results]).sum(0)
        nn.utils.clip_grad_norm_(self.weights, self.settings.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(share)
        self.optimizer.step()
        self.step += 1
        keep = min(self.settings.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for mean, weight in zip(self.averaged.parameters(), self.weights, strict=True):
                mean.lerp_(weight, 1.0 - keep)
        return loss

    def validate(self, batch: dict[str, Tensor], parts: int, pool: ThreadPoolExecutor) -> float:
        """Loss of the averaged weights on crops held out."""

        def measure(piece: dict[str, Tensor]) -> tuple[float, int]:
            with torch.no_grad():
                return self.method.loss(self.averaged, piece, self.told).item(), asked(piece)

        results = list(pool.map(measure, self.pieces(batch, parts)))
        return sum(value * size for value, size in results) / max(1, sum(size for _, size in results))

    def pieces(self, batch: dict[str, Tensor], parts: int) -> list[dict[str, Tensor]]:
        cut = {name: each.to(self.device).chunk(parts) for name, each in batch.items()}
        return [dict(zip(cut, piece, strict=True)) for piece in zip(*cut.values(), strict=True)]

    def outcome(self) -> dict[str, Any]:
        """What is told of the run in the checkpoint."""
        validated = [row["val_loss"] for row in self.rows if "val_loss" in row]
        last = [row["train_loss"] for row in self.rows[-10:]]
        return {
            "steps": self.step,
            "seconds": round(self.seconds, 1),
            "train_loss": sum(last) / len(last),
            "val_loss": validated[-1] if validated else None,
            "device": str(self.device),
        }

    def table(self) -> str:
        """The log as CSV text."""
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()
