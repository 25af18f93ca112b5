"""Training a restorer on a corpus, top to bottom: what is trained on what, one step, the loop, the file.

The same corpus, settings and seed give the same weights for a number of ``steps``, on any number of cores of one kind
of processor, in one go or killed and resumed; a budget in ``minutes`` ends where the clock says.
"""

from __future__ import annotations

import copy
import math
import os
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from denoise.batches import Batches, check_finite, validation_batch
from denoise.checkpoint import check_new_model, versions, write_checkpoint
from denoise.conditions import conditions_of
from denoise.journal import Journal
from denoise.learner import Learner, Piece, has_running_statistics
from denoise.machine import one_thread_each, pick_precision, random_numbers, repeatable
from denoise.methods import Batch, Moment
from denoise.networks import NoisePredictor, make_network
from denoise.ranks import Ranks, joined
from denoise.run_state import RunFolder
from denoise.settings import network_settings
from denoise.task import Task, prepared, resumed, task_of
from xsim import ModelError, write_whole

__all__ = ["train"]

NETWORK, RIVAL, VALIDATION = range(3)  # whose turn it is: each has random numbers of its own


def train(
    corpus_path: str | os.PathLike[str],
    method: str | None = None,
    out: str | os.PathLike[str] = "model.safetensors",
    *,
    overwrite: bool = False,
    resume: bool = False,
    device: str = "auto",
    progress: bool = True,
    tensorboard: str | os.PathLike[str] | None = None,
    **settings: Any,
) -> Path:
    """Train a restorer and save it, with its log (.csv) and, while it runs, its state (.run) beside it.

    Started by torchrun it trains on all processes together.

    Parameters
    ----------
    corpus_path : path
        A store that ``datagen.generate`` made.
    method : str, optional
        One of ``denoise.methods.METHODS``; default: noise_cnn.
    out : path
        The model, .safetensors.
    overwrite : bool
        Whether ``out``, its log and the state of a stopped run may be replaced.
    resume : bool
        Go on with the run that was stopped, with its settings; the weights come out as without the stop, bit for bit
        (on a GPU with ``deterministic``; not with ``minutes``, where the clock has a say).
    device : str
        "auto" (a GPU where torch finds one), "cpu" or "cuda".
    progress : bool
        Whether to show a progress line on stderr.
    tensorboard : path, optional
        Folder for its files.
    **settings
        See `Settings`; the method's own; those of the network, named ``network.NAME``.

    Returns
    -------
    Path of the model

    Raises
    ------
    ModelError
        A setting makes no sense, training diverges, or the stopped run is another.
    CorpusError
        The corpus cannot be used.
    OutputError
        The model cannot be written.
    """
    target, folder = Path(out), RunFolder(Path(out))
    with joined(device) as ranks:
        check_new_model(target, overwrite)
        if resume:
            tensors, facts = folder.read()
            task = task_of(corpus_path, method or facts["method"], {**facts["given"], **settings})
            run = Run(resumed(task, facts, folder.path), ranks)
            run.go_on(tensors, facts)
        else:
            folder.check_new(overwrite)
            run = Run(prepared(task_of(corpus_path, method or "noise_cnn", settings)), ranks)
            if ranks.first:
                folder.remove()
        run.fit(folder, progress, tensorboard)
        if ranks.first:
            run.write(target)
            folder.remove()
    return target


class Run:
    """One training: the weights, their average, and what has happened so far."""

    def __init__(self, task: Task, ranks: Ranks) -> None:
        self.task, self.ranks, self.method, settings = task, ranks, task.method, task.settings
        self.options = {**self.method.network_options(task.told), **network_settings(task.told)}
        with torch.random.fork_rng(devices=[]):  # torch's own random numbers are left alone
            torch.manual_seed(settings.seed)
            network = make_network(settings.network, **self.options)
            rival = self.method.rival.make(task.told) if self.method.rival else None
        if settings.crop % network.multiple:
            raise ModelError(f"crop {settings.crop} must be a multiple of {network.multiple} (the network halves it)")
        self.network: NoisePredictor = network.to(ranks.device, memory_format=torch.channels_last)
        sees_level = ":" in settings.network or self.options.get("level_free") is False
        self.precision = pick_precision(settings.precision, ranks.device, sees_level)
        self.learner = Learner(self.network, settings, ranks, self.precision)
        self.rival = Learner(rival.to(ranks.device), settings, ranks, self.precision) if rival else None
        self.averaged = copy.deepcopy(self.network).eval().requires_grad_(False)
        together = ranks.device.type == "cpu" and not any(map(has_running_statistics, (network, rival or network)))
        self.parts = settings.parts if together else 1
        self.journal, self.step, self.seconds = Journal(), 0, 0.0
        self.batches, self.held_out = self.crops()

    def crops(self) -> tuple[Batches, Batch | None]:
        """Batches of this process to train on, and one to validate with."""
        task, settings, ranks = self.task, self.task.settings, self.ranks
        if settings.batch % ranks.world_size:
            raise ModelError(f"batch {settings.batch} does not divide by {ranks.world_size} processes (it is of all)")
        read = {"images": self.method.images, "scalars": self.method.scalars}
        place = {"rank": ranks.rank, "world_size": ranks.world_size, "workers": settings.workers}
        size = {"crop": settings.crop, "seed": settings.seed}
        batches = Batches(
            task.views,
            **read,
            **place,
            **size,
            batch=settings.batch // ranks.world_size,
            pin=ranks.device.type == "cuda",
        )
        val = [task.corpus.subset(name, "val") for name in settings.formats or task.corpus.formats]
        held_out = validation_batch(val, **read, **size)
        check_finite(held_out or {}, task.corpus.path)
        return batches, held_out

    def share(self) -> float:
        """How much of the run is done, 0 to 1; the same for all processes."""
        done = self.step / self.task.settings.steps
        if self.task.settings.minutes:
            done = max(done, self.ranks.agreed(self.seconds / (60.0 * self.task.settings.minutes)))
        return min(1.0, done)

    def rate(self, share: float) -> float:
        """Learning rate: a warm-up, then a cosine down to 0 at the end."""
        warm = min(1.0, (self.step + 1) / self.task.settings.warm_up)
        return self.task.settings.learning_rate * warm * 0.5 * (1.0 + math.cos(math.pi * share))

    def fit(self, folder: RunFolder, progress: bool = False, tensorboard: str | os.PathLike[str] | None = None) -> None:
        """Train until the steps or the minutes are used up, keeping the state in a folder every so often."""
        first, settings = self.ranks.first, self.task.settings
        with (
            one_thread_each(self.parts) as pool,
            repeatable(settings.deterministic),
            self.journal.shown(progress and first, tensorboard if first else None),
        ):
            source, share = iter(self.batches), self.share()
            kept = time.monotonic()
            start = kept - self.seconds
            while share < 1.0:
                batch, rate = next(source), self.rate(share)
                loss = self.advance(batch, share, rate, pool)
                if not math.isfinite(loss):
                    check_finite(batch, self.task.corpus.path)
                    raise ModelError(f"training diverged at step {self.step} (no finite loss) lower the learning rate")
                self.seconds = time.monotonic() - start
                share = self.share()
                if not first:
                    continue
                self.journal.note(self.step, self.seconds, rate, loss, share, partial(self.validate, share, pool))
                if share < 1.0 and time.monotonic() - kept >= 60.0 * settings.save_minutes:
                    folder.keep(self.tensors(), self.facts(), self.journal.table())
                    kept = time.monotonic()

    def advance(self, batch: Batch, share: float, rate: float, pool: ThreadPoolExecutor) -> float:
        """One step, the rival's before the network's; returns the loss."""
        if self.rival is not None:
            rivalry = self.rival.advance(self.rival_loss, self.pieces(batch, share, RIVAL), rate, pool)
            if not math.isfinite(rivalry):
                return rivalry
        loss = self.learner.advance(self.loss, self.pieces(batch, share, NETWORK), rate, pool)
        self.step += 1
        keep = min(self.task.settings.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for mean, weight in zip(self.averaged.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(weight, 1.0 - keep)
            for mean, value in zip(self.averaged.buffers(), self.network.buffers(), strict=True):
                mean.copy_(value)
        return loss

    def loss(self, batch: Batch, moment: Moment) -> tuple[Tensor, Tensor]:
        return self.method.loss(self.network, batch, self.task.told, moment)

    def rival_loss(self, batch: Batch, moment: Moment) -> tuple[Tensor, Tensor]:
        return self.method.rival.loss(self.rival.network, self.network, batch, self.task.told, moment)

    def validate(self, share: float, pool: ThreadPoolExecutor) -> float | None:
        """Loss of the averaged weights on crops held out; None without any."""
        if self.held_out is None:
            return None

        def measure(piece: Piece) -> tuple[float, float]:
            with torch.no_grad(), self.learner.autocast():
                total, terms = self.method.loss(self.averaged, piece[0], self.task.told, piece[1])
            return float(total), float(terms)

        pieces = self.pieces(self.held_out, share, VALIDATION)
        totals, terms = zip(*pool.map(measure, pieces), strict=True)
        return sum(totals) / max(1.0, sum(terms))

    def pieces(self, batch: Batch, share: float, turn: int) -> list[Piece]:
        """A batch cut into parts, each with the random numbers that its loss may use; of validation always the same."""
        cut = {name: each.to(self.ranks.device, non_blocking=True).chunk(self.parts) for name, each in batch.items()}
        parts = [dict(zip(cut, piece, strict=True)) for piece in zip(*cut.values(), strict=True)]
        place = (turn, 0 if turn == VALIDATION else self.step, self.ranks.rank)
        rival = self.rival.network if self.rival else None
        seeds = (random_numbers(self.task.settings.seed, *place, number) for number in range(len(parts)))
        return [(part, Moment(self.step, share, seed, rival)) for part, seed in zip(parts, seeds, strict=True)]

    def tensors(self) -> dict[str, Tensor]:
        """All numbers of the run that its next steps depend on."""
        held = {"learner": self.learner.tensors(), "averaged": self.averaged.state_dict()}
        if self.rival:
            held["rival"] = self.rival.tensors()
        return {f"{who}.{name}": each for who, tensors in held.items() for name, each in tensors.items()}

    def facts(self) -> dict[str, Any]:
        """All else that they depend on, and what tells the run from another; JSON-able."""
        now = {"step": self.step, "seconds": self.seconds, "place": self.batches.place()}
        return {**self.task.described(), **now, "journal": self.journal.state(), "versions": versions()}

    def go_on(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Take up what ``tensors`` and ``facts`` gave."""
        if (made := facts["versions"]) != versions():
            told = ", ".join(f"{name} {made[name]}" for name in made)
            text = f"the run was begun with {told}: its weights may come out others in the last bits"
            warnings.warn(text, stacklevel=3)
        held: dict[str, dict[str, Tensor]] = {"rival": {}}
        for name, each in tensors.items():
            who, _, rest = name.partition(".")
            held.setdefault(who, {})[rest] = each
        self.learner.go_on(held["learner"])
        self.averaged.load_state_dict(held["averaged"])
        if self.rival:
            self.rival.go_on(held["rival"])
        self.step, self.seconds = facts["step"], facts["seconds"]
        self.journal.go_on(facts["journal"])
        self.batches.go_on(facts["place"])

    def write(self, target: Path) -> None:
        """Write the model, and its log beside it."""
        task = self.task
        outcome = {"steps": self.step, "seconds": round(self.seconds, 1), **self.journal.last_losses()}
        used = {"device": str(self.ranks.device), "processes": self.ranks.world_size, "precision": str(self.precision)}
        configuration = {
            "method": task.name,
            "network": task.settings.network,
            "network_options": {**self.options, **self.network.found},
            "settings": task.told,
            **conditions_of(task.corpus, task.views, self.method.images, self.method.source),
            "versions": versions(),
            "training": {**outcome, **used},
        }
        if not self.learner.optimizer.state:
            raise ModelError(f"nothing learnt in {self.step} steps (no pixel of the crops counts) give larger crops")
        write_whole(target.with_suffix(".csv"), lambda path: path.write_text(self.journal.table()))
        write_checkpoint(target, self.averaged.state_dict(), configuration)
        if text := self.method.doubt(outcome, task.told):
            warnings.warn(f"{target.name}: {text}", stacklevel=3)


class _Callable(ModuleType):
    """``denoise.train`` is this module and is called as the function, whichever of both was imported first."""

    def __call__(self, *arguments: Any, **named: Any) -> Path:
        return train(*arguments, **named)


sys.modules[__name__].__class__ = _Callable
