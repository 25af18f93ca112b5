"""The cards in a store: written when it is made, its state told anew when the last shard is committed.

Nothing reads them back and no record holds their hash: they are their owner's to change. Only the line of the README
that tells the state is written again.
"""

from __future__ import annotations

import json

from datagen.card import Totals, finished, readme
from datagen.commit import commit_numbers, read_commits
from datagen.corpus_file import CorpusFile
from datagen.croissant import croissant
from datagen.layout import Layout
from datagen.place import Place, Where, open_place
from datagen.root import ROOT, DamagedError, read_root, within_reach
from xsim import OutputError

__all__ = ["CROISSANT", "README", "update_cards", "write_cards"]

README, CROISSANT = "README.md", "croissant.json"


def write_cards(corpus: CorpusFile, out: Where) -> None:
    """Write the cards that a store lacks.

    Raises
    ------
    CorpusError
        The store is out of reach.
    OutputError
        One cannot be written.
    """
    place = open_place(out)
    provenance = read_root(place).get("provenance")
    if provenance is None:
        return  # a store of an earlier version, which tells less than they would say
    versions = provenance["versions"]
    with within_reach(place):
        lacking = [name for name in (README, CROISSANT) if not place.exists(name)]
        digest = place.sha256(ROOT)
    told = croissant(corpus, Layout(corpus), digest, versions["xsim"])
    contents = {README: readme(corpus, versions), CROISSANT: json.dumps(told, indent=1, ensure_ascii=False) + "\n"}
    for name in lacking:
        _write(place, name, contents[name])


def update_cards(out: Where) -> None:
    """Tell in the README what a store holds whose every shard is committed and undamaged; where there is one.

    Raises
    ------
    CorpusError
        The store is out of reach.
    OutputError
        It cannot be written.
    """
    place = open_place(out)
    with within_reach(place):
        known = place.read(README) if place.exists(README) else None
    if known is None or len(commit_numbers(place)) < read_root(place)["shards"]:
        return
    try:
        totals = Totals.of(read_commits(place))
    except DamagedError:
        return  # the shard of another task, whose job mends it
    if totals.shards == read_root(place)["shards"]:
        try:
            text = finished(known.decode(), totals)
        except UnicodeDecodeError:
            return  # its owner's own
        if text.encode() != known:
            _write(place, README, text)


def _write(place: Place, name: str, text: str) -> None:
    try:
        place.write(name, text.encode())
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"cannot write {name} to {place} ({reason}) make room and run it again") from None
