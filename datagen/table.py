"""Columns of the two tables of a corpus: parameters of each sample, instances in each sample.

Every value is a float64, NaN where it does not apply; whole numbers up to 2**53 are exact. Words are stored as their
place in a list that stands in the table's attributes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from datagen.beams import asks_for_few
from datagen.corpus_file import CorpusFile
from datagen.distribution import Choice, Distribution, numbers_of, walk
from datagen.family_scene import FAMILY
from datagen.header import SPLITS

__all__ = [
    "INSTANCE_COLUMNS",
    "STATES",
    "ParameterTable",
    "class_of",
    "instance_words",
    "material_name",
    "parameter_table",
]

WHOLE = ("scene", "frame", "seed", "redraws", "bodies", "adc_bits")
# columns that the radiograph's metadata gives under the same name
MEASURED = (
    "exposure_mas", "quanta_per_pixel", "mean_energy_kev", "a_pixel_adu", "b_adu2", "offset_adu", "saturation_adu",
    "gain_adu_per_kev", "gain_adu_per_quantum", "read_noise_adu", "kernel_sum_squares", "adc_bits", "pitch_mm",
    "saturated_share", "invalid_share",
)  # fmt: skip
MEASURED_TOO = ("second", "pair")  # other images with a column of each as well, NAME_second
OWN = ("scene", "frame", "seed", "split", "redraws", "bodies", "voltage_kv", "state")
STATES = ("raw", "offset_corrected", "flat_field_corrected")  # of correction, words of the column
IMAGE = "image"  # name of the real one, of a corpus with a background
FEW = ("energies", "energies_bound")  # of a corpus that asks for few energies
INSTANCE_COLUMNS = (
    "label", "group", "class", "material", "x_mm", "y_mm", "z_mm", "size_x_mm", "size_y_mm", "size_z_mm",
    "row_first", "row_stop", "column_first", "column_stop", "pixels", "contrast_adu", "contrast_to_noise",
    "target",
)  # fmt: skip
SEVERAL = "several"
CLASSES = ("box", "cone", "cylinder", "ellipsoid", "mesh", "sphere", "spheres", "step_wedge", "tube", "volume")
INSTANCE_WHOLE = ("label", "target", "row_first", "row_stop", "column_first", "column_stop", "pixels")


def material_name(material: Any) -> str:
    """How a table names a material: its name, or the formula of a compound; that of voxels of several is none."""
    if material is None:
        return SEVERAL
    if isinstance(material, dict):
        return str(material.get("formula") or json.dumps(material, sort_keys=True, default=str))
    return str(material)


def class_of(body: dict[str, Any]) -> str:
    """Kind of a body: its shape, or mesh, or volume."""
    return str(body.get("shape") or ("volume" if "volume" in body else "mesh"))


@lru_cache(8)
def instance_words(corpus: CorpusFile) -> dict[str, list[str]]:
    """The lists that codes of the instance table point into."""
    materials: set[str] = set()
    classes = {class_of(rule.template) for rule in corpus.bodies}
    for rule in corpus.bodies:
        _gather_materials(rule.template.get("material"), materials)
    for rule in corpus.families:
        classes.update(CLASSES)
        materials.add(SEVERAL)
        for material in rule.family.material_options():
            _gather_materials(material, materials)
    return {"group": list(corpus.groups), "class": sorted(classes), "material": sorted(materials)}


def _gather_materials(value: Any, found: set[str]) -> None:
    if isinstance(value, Choice):
        for option in value.choice:
            _gather_materials(option, found)
    elif isinstance(value, dict) and isinstance(value.get("formula"), Choice):
        found.update(map(str, value["formula"].choice))
    else:
        found.add(material_name(value))


@dataclass(frozen=True)
class ParameterTable:
    """The parameter columns of a corpus: fixed ones first, then one per drawn value, by its dotted name."""

    corpus: CorpusFile

    @cached_property
    def _named(self) -> list[tuple[str, Distribution]]:
        """Everything that is drawn into a column, by its name; several may share one."""
        formats = self.corpus.formats
        keys = dict.fromkeys([*self.corpus.tables, *(key for each in formats for key in each.tables)])
        parts = {key: [self.corpus.tables_of(each).get(key) for each in formats] for key in keys}
        parts["detector"] = [each.detector for each in formats]
        found: list[tuple[str, Distribution]] = [(table.name, table.row) for table in self.corpus.conditions]
        for rule in self.corpus.families:
            found += rule.distributions()
        found += [pair for key, items in parts.items() for item in items for pair in walk(item, key)]
        for body in self.corpus.bodies:
            if body.count is None:
                found += walk(body.template, f"body.{body.name}")
            elif isinstance(body.count, Distribution):
                found.append((f"body.{body.name}.count", body.count))
        return found

    @cached_property
    def _drawn(self) -> dict[str, Distribution]:
        found: dict[str, Distribution] = {}
        for path, distribution in self._named:
            found.setdefault(path, distribution)
        return found

    @cached_property
    def columns(self) -> list[str]:
        """Names, in order."""
        family = [FAMILY] if self.corpus.families else []
        image = [IMAGE] if self.corpus.background is not None else []
        return [*OWN, *image, *self._few, *MEASURED, *self._of_others, *family, *self._drawn]

    @cached_property
    def whole(self) -> list[str]:
        """Names of the columns that hold whole numbers."""
        bits = [name for name in self._of_others if name.rpartition("_")[0] in ("adc_bits", "energies")]
        return [*WHOLE, *self._few[:1], *bits]

    @cached_property
    def _few(self) -> tuple[str, ...]:
        return FEW if asks_for_few(self.corpus) else ()

    @cached_property
    def _of_others(self) -> list[str]:
        held = [other for other in MEASURED_TOO if any(other in each.others for each in self.corpus.formats)]
        voltage = ["voltage_kv_second"] if "second_exposure" in self.corpus.tables else []
        return [*voltage, *(f"{name}_{other}" for other in held for name in (*self._few, *MEASURED))]

    @cached_property
    def words(self) -> dict[str, list[Any]]:
        """Lists that codes point into: of the split, and of choices between other things than numbers."""
        lists: dict[str, list[Any]] = {"split": list(SPLITS), "state": list(STATES)}
        if self.corpus.background is not None:
            lists[IMAGE] = list(self.corpus.background.files)
        if self.corpus.families:
            lists[FAMILY] = [rule.name for rule in self.corpus.families]
        for path, distribution in self._named:
            if isinstance(distribution, Choice) and not numbers_of(distribution):
                options = distribution.choice
                told = lists.setdefault(path, [])
                if len(told) == distribution.first_code and not any(isinstance(each, Distribution) for each in options):
                    told += [option if isinstance(option, str) else _text(option) for option in options]
        return {path: told for path, told in lists.items() if told}

    def row(self, own: dict[str, Any], metadata: dict[str, dict[str, Any]], drawn: dict[str, float]) -> list[float]:
        """One row, NaN where a column does not apply to this sample.

        Parameters
        ----------
        own : dict
            Columns that the corpus gives.
        metadata : dict of str to dict
            Of the radiographs: of the first under "", of the others by their names.
        drawn : dict
        """
        given = {**drawn, **own}
        for name, told in metadata.items():
            given |= {f"{key}_{name}" if name else key: told.get(key) for key in (*self._few, *MEASURED)}
        values = [given.get(column) for column in self.columns]
        return [float("nan") if value is None else float(value) for value in values]


def _text(option: Any) -> str:
    """An option of a choice as words: distributions inside are shown as the corpus file has them."""
    return json.dumps(option, default=lambda each: each.model_dump(exclude_none=True))


@lru_cache(8)
def parameter_table(corpus: CorpusFile) -> ParameterTable:
    """The table of a corpus, worked out once: every sample asks for it."""
    return ParameterTable(corpus)
