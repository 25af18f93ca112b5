"""Noisy images of a corpus, or of one of its formats (corpus.zarr/NAME), each with its own noise and state.

A model that restores another camera's frames gets those, with their noise: of `noisy_pair` that is `a_pixel_adu_pair`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import datagen
from denoise.formats.frames import Frames
from xsim import ModelError

__all__ = ["read"]


@contextmanager
def read(path: Path, image: str = "noisy") -> Iterator[Frames]:
    """Samples of a format, in the order of the corpus.

    Parameters
    ----------
    path : Path
    image : str
        Stored image that is asked for: noisy, noisy_pair ...

    Raises
    ------
    ModelError
        Several formats, and none named; or no samples, or none of that image.
    """
    store, name = (path, None) if (path / "commits").is_dir() else (path.parent, path.name)
    corpus = datagen.open_corpus(store)
    if name is None and len(corpus.formats) > 1:
        raise ModelError(f"{store} has several formats ({', '.join(corpus.formats)}) give {store}/{corpus.formats[0]}")
    if name is not None and name not in corpus.formats:
        raise ModelError(f"{store} has no format {name!r} (it has {', '.join(corpus.formats)}) give one of them")
    view = corpus.subset(name or corpus.formats[0])
    if len(view) == 0:
        raise ModelError(f"{path} has no samples (none is finished) run datagen generate")
    if image not in view.images:
        held = ", ".join(name for name in view.images if name.startswith("noisy"))
        raise ModelError(f"{path} has no {image} images (which this model restores; it has {held}) choose another")
    table, own = view.table(), image.removeprefix("noisy")

    kept: dict[int, np.ndarray] = {}

    def rows_of(page: int, start: int, stop: int) -> np.ndarray:
        if page not in kept:
            kept.clear()
            kept[page] = np.asarray(view.sample(page, (image,))[image], np.uint16)
        return kept[page][start:stop]

    def facts(page: int) -> dict[str, float | str]:
        told = {key: values[page].item() for key, values in table.items() if values[page].dtype.kind in "fiuU"}
        return told | {key.removesuffix(own): value for key, value in told.items() if own and key.endswith(own)}

    state = corpus.description["corpus"].get("acquisition", {}).get("state", "raw")  # of stores that have no column
    metadata = {"corpus": corpus.name, "sha256": corpus.sha256, "format": view.format, "state": state,
                "samples": table["index"].tolist()}  # fmt: skip
    yield Frames(path, "corpus", (len(view), *view.shape), np.dtype(np.uint16), rows_of, metadata, True, facts)
