"""What is trained on what: a method with all its settings, and the training samples of a corpus."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import datagen
from denoise.conditions import check_corpus, views_of
from denoise.methods import Method, method_named
from denoise.settings import Settings, settings_of
from xsim import ModelError

__all__ = ["Task", "prepared", "resumed", "task_of"]

FREE = ("save_minutes",)  # settings that another value of changes nothing


@dataclass(frozen=True)
class Task:
    """A training before it begins. ``task_of`` makes one.

    Attributes
    ----------
    name : str
        Of the method.
    method : Method
    given : dict
        Settings that were given.
    settings : Settings
        The trainer's own.
    told : dict
        All settings, and what the method measured beforehand.
    corpus : datagen.Corpus
    views : list of CorpusView
        Its training samples.
    """

    name: str
    method: Method
    given: dict[str, Any]
    settings: Settings
    told: dict[str, Any]
    corpus: datagen.Corpus
    views: list[datagen.CorpusView]

    def described(self) -> dict[str, Any]:
        """What tells it from another; JSON-able."""
        corpus = {"name": self.corpus.name, "sha256": self.corpus.sha256, "train_samples": sum(map(len, self.views))}
        return {"method": self.name, "corpus": corpus, "given": self.given, "settings": self.told}


def task_of(corpus_path: str | os.PathLike[str], name: str, given: Mapping[str, Any]) -> Task:
    """Settings made whole, and the corpus looked at.

    Raises
    ------
    ModelError
        An unknown method or setting, or a value that makes no sense.
    CorpusError
        The corpus cannot be used.
    """
    method = method_named(name)
    settings, told = settings_of(method, given)
    corpus = datagen.open_corpus(corpus_path)
    views = views_of(corpus, "train", settings.formats)
    check_corpus(corpus, views, settings.crop, method.images)
    return Task(name, method, dict(given), settings, told, corpus, views)


def prepared(task: Task) -> Task:
    """The task with what its method measures before the first step."""
    return replace(task, told={**task.told, **task.method.prepare(task.views, task.told)})


def resumed(task: Task, facts: Mapping[str, Any], where: object) -> Task:
    """The task with what its method had measured before the run was stopped.

    Parameters
    ----------
    task : Task
    facts : mapping
        Of the stopped run.
    where : path
        That it is kept in.

    Raises
    ------
    ModelError
        The run was of another method, corpus or settings.
    """
    if facts["method"] != task.name:
        raise ModelError(f"{where} is a run of method {facts['method']} (given {task.name}) leave it out, or --force")
    left, now = facts["corpus"], task.described()["corpus"]
    if left != now:
        told = ", ".join(f"{key} {str(left[key])[:12]}" for key in now if left[key] != now[key])
        raise ModelError(f"{where} is a run on another corpus than {task.corpus.path} ({told}) give that, or --force")
    before = facts["settings"]
    for name, value in task.told.items():
        if name not in FREE and before.get(name) != value:
            raise ModelError(
                f"{where} is a run with {name} = {before.get(name)} (given {value}) leave it out, or --force"
            )
    return replace(task, told={**before, **{name: task.told[name] for name in FREE}})
