"""COCO: 16-bit PNG images and one annotations.json with a box and a mask for each visible body."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from datagen.corpus import CorpusView
from datagen.export.writer import Sample, Writer, sample_id
from xsim import CorpusError

__all__ = ["CocoWriter", "label_runs"]

IMAGES = ("noisy", "labels")
PARTS = "annotations.parts"
LABELS = 1 << 16  # more than a sample has


class CocoWriter(Writer):
    """images/ID.png, annotations.json, params.csv, instances.csv.

    A category is an instance group: the [[body]] table of the corpus file, or the kind of a scene family, that a body
    came from. Annotations say material, target (whether it is what an inspection looks for) and contrast_to_noise too.
    The id of an image is its sample's place in the corpus, that of an annotation 65536 x image + label.
    """

    about = "16-bit PNG images and annotations.json with boxes and masks"

    def __init__(self, view: CorpusView, images: Sequence[str]) -> None:
        if tuple(images) != IMAGES:
            raise CorpusError("a COCO export has noisy images and masks of the labels (no choice) leave --images out")
        super().__init__(view, images)
        groups = view.reader.instance_words["group"]
        self.categories = [
            {"id": place + 1, "name": str(name), "supercategory": view.corpus.name} for place, name in enumerate(groups)
        ]
        self._category = {each["name"]: each["id"] for each in self.categories}

    @classmethod
    def default_images(cls, view: CorpusView) -> list[str]:
        """Noisy images, and labels for the masks."""
        return list(IMAGES)

    def write_part(self, folder: Path, number: int, samples: Iterable[Sample]) -> None:
        for name in ("images", PARTS):
            (folder / name).mkdir(exist_ok=True)
        images, annotations = [], []
        for sample in samples:
            name = f"{sample_id(sample['index'])}.png"
            Image.fromarray(sample["noisy"]).save(folder / "images" / name, compress_level=1)
            rows, columns = sample["noisy"].shape
            images.append({"id": sample["index"], "file_name": name, "height": rows, "width": columns})
            annotations += self._annotations(sample)
        for kind, listed in (("images", images), ("annotations", annotations)):
            lines = "".join(f"{json.dumps(each, allow_nan=False)}\n" for each in listed)
            (folder / PARTS / f"{kind}-{number:06d}.jsonl").write_text(lines)

    def _annotations(self, sample: Sample) -> Iterator[dict[str, Any]]:
        runs = label_runs(sample["labels"])
        for body in sample["instances"]:
            if body["label"] not in runs:
                continue  # hidden, or out of view
            counts, box, area = runs[body["label"]]
            yield {
                "id": sample["index"] * LABELS + body["label"],
                "image_id": sample["index"],
                "category_id": self._category[str(body["group"])],
                "bbox": box,
                "area": area,
                "iscrowd": 0,
                "segmentation": {"size": list(sample["labels"].shape), "counts": counts},
                "material": body["material"],
                "target": bool(body.get("target")),
                "contrast_to_noise": body["contrast_to_noise"],
            }

    def finish(self, folder: Path, parts: int) -> None:
        corpus = self.view.corpus
        info = {"description": corpus.name, "corpus_sha256": corpus.sha256, "split": self.view.split}
        with (folder / "annotations.json").open("w", encoding="utf-8") as file:
            file.write(f'{{"info": {json.dumps(info)}, "licenses": [], "categories": {json.dumps(self.categories)}')
            for kind in ("images", "annotations"):
                file.write(f',\n"{kind}": [')
                for place, line in enumerate(self._lines(folder, kind, parts)):
                    file.write(f"{',' if place else ''}\n{line}")
                file.write("]")
            file.write("}\n")
        super().finish(folder, parts)

    def clear(self, folder: Path) -> None:
        if (folder / PARTS).is_dir():
            shutil.rmtree(folder / PARTS)

    def _lines(self, folder: Path, kind: str, parts: int) -> Iterator[str]:
        for number in range(parts):
            with (folder / PARTS / f"{kind}-{number:06d}.jsonl").open(encoding="utf-8") as file:
                yield from (line.rstrip("\n") for line in file)


def label_runs(labels: np.ndarray) -> dict[int, tuple[list[int], list[int], int]]:
    """Masks of all labels of an image, background aside, in one pass.

    Parameters
    ----------
    labels : uint16 [row, column]

    Returns
    -------
    dict of label to (counts, box, area)
        Counts: COCO's run-length encoding, down the columns, background first. Box: x, y, width, height [pixel]. Area:
        pixels.
    """
    down = labels.T.ravel()
    where = np.flatnonzero(down)
    values = down[where]
    order = np.argsort(values, kind="stable")
    values, where = values[order], where[order]
    limits = np.flatnonzero(np.diff(values, prepend=0)) if len(values) else np.zeros(0, dtype=np.int64)
    found = {}
    for place in np.split(where, limits[1:]) if len(limits) else []:
        column, row = np.divmod(place, labels.shape[0])
        breaks = np.flatnonzero(np.diff(place) > 1)
        starts = place[np.concatenate([[0], breaks + 1])]
        stops = place[np.concatenate([breaks, [len(place) - 1]])] + 1
        edges = np.stack([starts, stops], axis=1).ravel()
        ends = [labels.size] if edges[-1] < labels.size else []  # no run of no pixels at the end
        counts = np.diff(edges, prepend=0, append=ends).tolist()
        left, top = int(column.min()), int(row.min())
        box = [left, top, int(column.max()) + 1 - left, int(row.max()) + 1 - top]
        found[int(down[place[0]])] = (counts, box, len(place))
    return found
