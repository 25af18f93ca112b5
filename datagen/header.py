"""The [corpus] table of a corpus file."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from datagen.problem import first_problem, nearest
from xsim import CorpusError

__all__ = ["OPTIONAL", "SPLITS", "Header", "Split", "read_header"]

SPLITS = ("train", "val", "test")
OPTIONAL = ("sharp", "repeat", "thickness")  # what a corpus may store beside what each does


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Split(_Table):
    """Share of the scenes, not of the samples, in each part."""

    train: Annotated[float, Field(ge=0, le=1)] = 0.8
    val: Annotated[float, Field(ge=0, le=1)] = 0.1
    test: Annotated[float, Field(ge=0, le=1)] = 0.1

    @model_validator(mode="after")
    def _whole(self) -> Self:
        total = self.train + self.val + self.test
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"train, val and test add up to {total:g}, they must add up to 1")
        return self


Words = Annotated[str, Field(min_length=1, max_length=10000)]


class Header(_Table):
    """The [corpus] table.

    ``store`` names what is stored of each sample beside noisy, clean, noise, labels and valid; see ``Layout.arrays``.
    ``noise = "derived"`` leaves noise out, which readers then take as noisy - clean. ``description``, ``license`` and
    ``author`` are for the store's card.
    """

    name: Annotated[str, Field(min_length=1)]
    scenes: Annotated[int, Field(ge=1, le=10**12)]
    seed: Annotated[int, Field(ge=0)] = 0
    shard_samples: Annotated[int, Field(ge=1)] = 64
    frames_per_scene: Annotated[int, Field(ge=1, le=10**6)] = 1
    redraws: Annotated[int, Field(ge=0, le=1000)] = 20
    failure_budget: Annotated[float, Field(ge=0, le=1)] = 0.5  # share of draws that may give no valid scene
    saturated_share: Annotated[float, Field(ge=0, le=1)] | None = None
    split: Split = Split()
    store: tuple[Literal["sharp", "repeat", "thickness"], ...] = ()
    noise: Literal["stored", "derived"] = "stored"
    description: Words | None = None
    license: Words | None = None
    author: Words | None = None


def read_header(document: dict[str, Any]) -> Header:
    """The [corpus] table of a file as read.

    Raises
    ------
    CorpusError
        It is missing, or not understood.
    """
    if "corpus" not in document:
        close = nearest("corpus", document)
        raise CorpusError(f"no [corpus] table ({f'did you mean [{close}]?' if close else 'is this a scene file?'})")
    if not isinstance(document["corpus"], dict):
        raise CorpusError("corpus is not a table, write [corpus]")
    try:
        return Header.model_validate(document["corpus"])
    except ValidationError as error:
        known = Split.model_fields if "split" in error.errors()[0]["loc"][:-1] else Header.model_fields
        raise CorpusError(f"corpus: {first_problem(error, known)}") from None
