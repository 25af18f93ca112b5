"""Another camera for the scenes of a corpus, [detector.pair]: what it may say, and the scene that it sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import xsim
from xsim import CorpusError

__all__ = ["Pair", "check_pair"]

SHARED = ("name", "kind", "rows", "columns", "pitch_mm", "response", "second_layer", "pair")


def check_pair(table: Any) -> None:
    """Refuse a [detector.pair] table, as read, that does not share the grid of its detector.

    Raises
    ------
    CorpusError
        It is no table, gives nothing, or a field that a pair has in common.
    """
    if not isinstance(table, dict) or not set(table) - {"same_quanta"}:
        raise CorpusError("detector.pair gives no field of a camera (it is another one) write [detector.pair]")
    for key in SHARED:
        if key in table:
            raise CorpusError(f"detector.pair.{key} is that of the detector (a pair shares its pixels), leave it out")
    if type(table.get("same_quanta", False)) is not bool:
        raise CorpusError(f"detector.pair.same_quanta must be true or false (given {table['same_quanta']!r})")
    if isinstance(table.get("preset", ""), dict):
        raise CorpusError("detector.pair.preset cannot be drawn, write several [[detector]] tables")


@dataclass(frozen=True)
class Pair:
    """The same scene behind another camera.

    Attributes
    ----------
    scene : xsim.Scene
    same_quanta : bool
        Whether its screen absorbs every quantum that the first one does.
    """

    scene: xsim.Scene
    same_quanta: bool

    @classmethod
    def of(cls, scene: xsim.Scene, table: dict[str, Any]) -> Pair:
        """Pair of a scene by a drawn [detector.pair].

        Raises
        ------
        SceneError
            Its fields make no camera, or none that sees the same.
        """
        fields = dict(table)
        same_quanta = bool(fields.pop("same_quanta", False))
        return cls(xsim.paired_scene(scene, fields, same_quanta), same_quanta)
