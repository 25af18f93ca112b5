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
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

import datagen
from denoise.batches import Batches, validation_batch
from denoise.checkpoint import check_new, versions, write_checkpoint
from denoise.conditions import check_corpus, conditions_of, views_of
from denoise.machine import one_thread_each, pick_device
from denoise.methods import Batch, Method, Moment, method_named
from denoise.networks import NoisePredictor, make_network
from denoise.settings import Settings, network_settings, settings_of
from xsim import ModelError, OutputError, write_whole

__all__ = ["train"]

VALIDATIONS = 20
LOG_EVERY = 20
COLUMNS = ("step", "seconds", "learning_rate", "train_loss", "val_loss")
VALIDATION = -1  # in place of a rank: random numbers of its own

Loss = Callable[[Batch, Moment], tuple[Tensor, Tensor]]


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
        One of ``denoise.methods.METHODS``: noise_cnn, noise2noise, ...
    out : path
        The model, .safetensors.
    overwrite : bool
        Whether ``out`` and its log may replace what is there.
    device : str
        "auto" (a GPU where torch finds one), "cpu" or "cuda".
    progress : bool
        Whether to show a progress line on stderr.
    **settings
        See `Settings`; the method's own; those of the network, named ``network.NAME``.

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
    way, machine = method_named(method), pick_device(device)
    chosen, told = settings_of(way, settings)
    target, log = model_files(Path(out), overwrite)
    corpus = datagen.open_corpus(corpus_path)
    views = views_of(corpus, "train", chosen.formats)
    check_corpus(corpus, views, chosen.crop, way.images)
    told |= way.prepare(views, told)
    options = {**way.network_options(told), **network_settings(told)}
    run = Run(new_network(chosen, options).to(machine), way, chosen, told, machine)
    run.fit(
        iter(
            Batches(
                views, way.images, way.scalars, **{name: told[name] for name in ("batch", "crop", "seed", "workers")}
            )
        ),
        held_out(corpus, way, chosen),
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
    if text := way.doubt(configuration["training"], told):
        warnings.warn(f"{target.name}: {text}", stacklevel=2)
    return target


def model_files(target: Path, overwrite: bool) -> tuple[Path, Path]:
    """The model and its log, of one name; refused where they would replace something."""
    if target.suffix != ".safetensors":
        raise OutputError(f"{target} is no name for a model (its log gets the same with .csv) end it in .safetensors")
    log = target.with_suffix(".csv")
    for path in (target, log):
        check_new(path, overwrite)
    return target, log


def held_out(corpus: datagen.Corpus, method: Method, settings: Settings) -> Batch | None:
    """Crops to validate with."""
    views = [corpus.subset(name, "val") for name in settings.formats or corpus.formats]
    return validation_batch(views, method.images, method.scalars, settings.crop, settings.seed)


def new_network(settings: Settings, options: dict[str, Any]) -> NoisePredictor:
    """Network with the random weights of a seed, leaving torch's own random numbers alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = make_network(settings.network, **options).to(memory_format=torch.channels_last)
    if settings.crop % network.multiple:
        raise ModelError(f"crop {settings.crop} must be a multiple of {network.multiple} (the network halves it)")
    return network


def generator(*words: int) -> torch.Generator:
    """Random numbers of a place in a training; any of its words makes them others."""
    seed = int(np.random.SeedSequence([each & 0xFFFFFFFF for each in words]).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(seed)


class Learner:
    """A network with its optimiser, which takes a step when it is told a loss.

    Parameters
    ----------
    network : module
    settings : Settings
    """

    def __init__(self, network: nn.Module, settings: Settings) -> None:
        self.network, self.clip = network, settings.clip
        self.weights = list(network.parameters())
        self.optimizer = torch.optim.AdamW(
            self.weights, lr=settings.learning_rate, betas=settings.betas, weight_decay=settings.weight_decay
        )

    def advance(self, loss: Loss, work: list[tuple[Batch, Moment]], rate: float, pool: ThreadPoolExecutor) -> float:
        """One step towards a smaller mean loss over all pieces of a batch; returns that mean."""

        def differentiate(piece: tuple[Batch, Moment]) -> tuple[Tensor, ...]:
            total, terms = loss(*piece)
            if total.requires_grad:
                return total.detach(), terms, *torch.autograd.grad(total, self.weights, materialize_grads=True)
            return total, terms, *map(torch.zeros_like, self.weights)

        totals, terms, *gradients = zip(*pool.map(differentiate, work), strict=True)
        count = float(sum(map(float, terms)))
        if count == 0:
            return 0.0
        for weight, found in zip(self.weights, gradients, strict=True):
            weight.grad = torch.stack(found).sum(0) / count
        nn.utils.clip_grad_norm_(self.weights, self.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        return sum(map(float, totals)) / count


class Run:
    """One training: the weights, their average, and what has happened so far."""

    def __init__(
        self, network: NoisePredictor, method: Method, settings: Settings, told: dict[str, Any], device: torch.device
    ) -> None:
        self.network, self.averaged = network, copy.deepcopy(network).eval().requires_grad_(False)
        self.method, self.settings, self.told, self.device = method, settings, told, device
        self.learner = Learner(network, settings)
        self.rival = Learner(self.new_rival(), settings) if method.rival else None
        self.parts = settings.parts if device.type == "cpu" else 1
        self.step, self.seconds = 0, 0.0
        self.rows: list[dict[str, Any]] = []

    def new_rival(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            return self.method.rival.make(self.told).to(self.device)

    def share(self) -> float:
        """How much of the run is done, 0 to 1."""
        spent = self.seconds / (60.0 * self.settings.minutes) if self.settings.minutes else 0.0
        return min(1.0, max(self.step / self.settings.steps, spent))

    def fit(self, source: Iterator[Batch], held_out: Batch | None, progress: bool) -> None:
        """Train until the steps or the minutes are used up."""
        form = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
        start, recent, validated = time.monotonic(), [], 0
        with (
            one_thread_each(self.parts) as pool,
            tqdm(total=1000, desc="training", bar_format=form, disable=not progress) as bar,
        ):
            while (share := self.share()) < 1.0:
                recent.append(self.advance(next(source), share, pool))
                self.seconds = time.monotonic() - start
                due = self.share() * VALIDATIONS >= validated + 1
                if self.step % LOG_EVERY and not due:
                    continue
                row = {
                    "step": self.step,
                    "seconds": round(self.seconds, 3),
                    "learning_rate": self.learner.optimizer.param_groups[0]["lr"],
                }
                row["train_loss"], recent = sum(recent) / len(recent), []
                if due and held_out:
                    row["val_loss"] = self.validate(held_out, pool)
                validated += due
                self.rows.append(row)
                bar.set_postfix_str(f"step {self.step}, loss {row['train_loss']:.4f}", refresh=False)
                bar.update(int(1000 * self.share()) - bar.n)

    def rate(self, share: float) -> float:
        """Learning rate: a warm-up, then a cosine down to 0 at the end."""
        warm = min(1.0, (self.step + 1) / self.settings.warm_up)
        return self.settings.learning_rate * warm * 0.5 * (1.0 + math.cos(math.pi * share))

    def advance(self, batch: Batch, share: float, pool: ThreadPoolExecutor) -> float:
        """One step, the rival's before the network's; returns the loss."""
        rate, work = self.rate(share), self.pieces(batch, share, 0)
        if self.rival is not None:
            self.rival.advance(self.rival_loss, work, rate, pool)
            work = [(piece, moment) for piece, moment in self.pieces(batch, share, 1)]
        loss = self.learner.advance(self.loss, work, rate, pool)
        if not math.isfinite(loss):
            raise ModelError(f"training diverged (loss is {loss} at step {self.step}) lower the learning rate")
        self.step += 1
        keep = min(self.settings.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for mean, weight in zip(self.averaged.parameters(), self.learner.weights, strict=True):
                mean.lerp_(weight, 1.0 - keep)
            for mean, value in zip(self.averaged.buffers(), self.network.buffers(), strict=True):
                mean.copy_(value)
        return loss

    def loss(self, batch: Batch, moment: Moment) -> tuple[Tensor, Tensor]:
        return self.method.loss(self.network, batch, self.told, moment)

    def rival_loss(self, batch: Batch, moment: Moment) -> tuple[Tensor, Tensor]:
        return self.method.rival.loss(self.rival.network, self.network, batch, self.told, moment)

    def validate(self, batch: Batch, pool: ThreadPoolExecutor) -> float:
        """Loss of the averaged weights on crops held out."""

        def measure(piece: tuple[Batch, Moment]) -> tuple[float, float]:
            with torch.no_grad():
                total, terms = self.method.loss(self.averaged, piece[0], self.told, piece[1])
            return float(total), float(terms)

        totals, terms = zip(*pool.map(measure, self.pieces(batch, self.share(), VALIDATION)), strict=True)
        return sum(totals) / max(1.0, sum(terms))

    def pieces(self, batch: Batch, share: float, turn: int) -> list[tuple[Batch, Moment]]:
        """A batch cut into parts, each with the random numbers that its loss may use."""
        cut = {name: each.to(self.device).chunk(self.parts) for name, each in batch.items()}
        parts = [dict(zip(cut, piece, strict=True)) for piece in zip(*cut.values(), strict=True)]
        step = 0 if turn == VALIDATION else self.step
        rival = self.rival.network if self.rival else None
        return [
            (part, Moment(self.step, share, generator(self.settings.seed, step, turn, number), rival))
            for number, part in enumerate(parts)
        ]

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


class _Callable(ModuleType):
    """``denoise.train`` is this module and is called as the function, whichever of both was imported first."""

    def __call__(self, *arguments: Any, **named: Any) -> Path:
        return train(*arguments, **named)


sys.modules[__name__].__class__ = _Callable
