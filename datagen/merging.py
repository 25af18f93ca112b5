"""Joining stores of one corpus that were made in pieces: shards are copied as they are, each checked on the way."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from datagen.cards import CROISSANT, README, update_cards
from datagen.commit import SEAL as RECORD_SEAL
from datagen.commit import commit_key, commit_numbers, damage, read_commit
from datagen.lock import locked
from datagen.place import FolderPlace, Place, Where, open_place
from datagen.root import COPIES, MARK, ROOT, SEAL, DamagedError, read_checked, read_root, state_of, within_reach
from datagen.seal import digest_of, read_group, render, seal
from datagen.store import render_copies, write_descriptions
from datagen.worklist import DECISIVE
from xsim import CorpusError, OutputError

__all__ = ["Merged", "merge"]


@dataclass
class Merged:
    """What `merge` did.

    Attributes
    ----------
    shards : int
        Of the whole corpus.
    copied, kept : int
        Shards copied now, and found there.
    """

    shards: int
    copied: int = 0
    kept: int = 0

    @property
    def missing(self) -> int:
        """Shards that none of the stores has."""
        return self.shards - self.copied - self.kept


def merge(out: Where, sources: Sequence[Where], mix: bool = False, progress: bool = True) -> Merged:
    """Join stores of the same corpus: every shard that one of them has, into one store.

    Nothing is written where they do not fit together. The sources are only read. Run again, it goes on where it ended.

    Parameters
    ----------
    out : path or URL
        The store to make, or one of the same corpus to add to.
    sources : sequence of path or URL
    mix : bool
        Whether shards may be of different backends and versions.
    progress : bool
        Whether to show a bar on stderr.

    Raises
    ------
    CorpusError
        A source is no store, damaged, or does not fit; or the store is in use.
    OutputError
        The store cannot be written.
    """
    place, places = open_place(out), [open_place(each) for each in sources]
    _check_apart(place, places)
    descriptions = [_descriptions(each) for each in places]
    state, _ = state_of(place)
    if state == "other":
        raise CorpusError(f"{place} holds something else (not a corpus) choose another path")
    for each, theirs in zip(places[1:], descriptions[1:], strict=True):
        _check_same(places[0], descriptions[0], each, theirs)
    everyone = [place, *places] if state == "corpus" else places
    if state == "corpus":
        _check_same(places[0], descriptions[0], place, _descriptions(place))
    shards = read_root(places[0])["shards"]
    held = _held(everyone, mix)
    if state == "nothing":
        write_descriptions(place, descriptions[0])
    told = {name: digest_of(content) for name, content in (_descriptions(place)).items()}
    done = Merged(shards)
    every = 0.5 if sys.stderr.isatty() else 10.0
    try:
        with locked(place):
            for number, holders in tqdm(
                sorted(held.items()), unit="shard", desc="merge", disable=not progress, mininterval=every
            ):
                others = [each for each in holders if each is not place]
                if len(others) < len(holders) and _whole(place, number, contents=bool(others)):
                    done.kept += 1
                elif others:
                    _copy(place, number, others, told)
                    done.copied += 1
            _copy_cards(place, places)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write to {place} ({error.strerror or error}) make room and run it again") from None
    return done


def _copy_cards(place: Place, places: Sequence[Place]) -> None:
    """Cards that the store lacks from the first that has them; what the whole store holds is told anew."""
    for name in (README, CROISSANT):
        holder = next((each for each in places if each.exists(name)), None)
        if holder is not None and not place.exists(name):
            place.write(name, holder.read(name))
    update_cards(place)


def _check_apart(place: Place, places: Sequence[Place]) -> None:
    if not places:
        raise CorpusError("nothing to merge, name the stores that are to be joined")
    for each in places:
        if _address(each) == _address(place):
            raise CorpusError(f"{place} is the store to make and one to read (sources are not changed) name another")


def _address(place: Place) -> Any:
    return place.root.resolve() if isinstance(place, FolderPlace) else place.name


def _descriptions(place: Place) -> dict[str, bytes]:
    """Every description of a store, the root's last, each as it was written."""
    told = read_root(place).get("descriptions")
    if told is None:
        raise CorpusError(f"{place} was made by an earlier version (its description has no hashes) generate it anew")
    found = {key: read_checked(place, key, digest) for key, digest in told.items()}
    with within_reach(place):
        found[ROOT] = place.read(ROOT)
    copies = render_copies(found)
    read_checked(place, COPIES, digest_of(copies))
    return {**found, COPIES: copies, ROOT: found[ROOT]}


def _check_same(first: Place, ours: dict[str, bytes], other: Place, theirs: dict[str, bytes]) -> None:
    """Refuse stores whose shards mean other things; who made them, and of which text of the file, may differ."""
    if _meaning(ours) == _meaning(theirs):
        return
    roots = [read_root(each) for each in (first, other)]
    if roots[0]["corpus_sha256"] != roots[1]["corpus_sha256"]:
        names = " and ".join(repr(each["name"]) for each in roots)
        raise CorpusError(f"{first} and {other} are of different corpora ({names}, or one changed) merge pieces of one")
    raise CorpusError(f"{first} and {other} are described differently (other versions made them) generate one anew")


def _meaning(descriptions: dict[str, bytes]) -> dict[str, Any]:
    root = {
        key: value for key, value in read_group(descriptions[ROOT])[MARK].items() if key not in ("provenance", SEAL)
    }
    return {**descriptions, ROOT: root, COPIES: b""}


def _held(places: Sequence[Place], mix: bool) -> dict[int, list[Place]]:
    """Which stores hold each shard; those that hold the same hold the same bytes."""
    held: dict[int, list[Place]] = {}
    known: dict[int, str] = {}
    maker: dict[str, Any] = {}
    for place in places:
        for number in commit_numbers(place):
            record = _record(place, number)
            if record is None:
                continue
            theirs = {"backend": record["backend"], **{key: record["versions"].get(key) for key in DECISIVE}}
            for key, value in theirs.items():
                if maker.setdefault(key, value) != value and not mix:
                    raise CorpusError(
                        f"shard {number} of {place} was made with {key} {value}, others with {maker[key]} "
                        "(their numbers may differ) mix them knowingly with --mix"
                    )
            content = digest_of(render(record["files"]))
            if known.setdefault(number, content) != content:
                raise CorpusError(
                    f"shard {number} of {place} differs from that of {held[number][0]} (made otherwise) leave one of "
                    "the stores out"
                )
            held.setdefault(number, []).append(place)
    return held


def _record(place: Place, number: int) -> dict[str, Any] | None:
    """Record of a shard, None where it is not there or damaged: another store may have it."""
    try:
        return read_commit(place, number)
    except DamagedError:
        return None


def _whole(place: Place, number: int, contents: bool) -> bool:
    """Whether a shard is undamaged: by its contents where another store may have a better copy."""
    record = _record(place, number)
    return record is not None and damage(place, record, contents) is None


def _copy(place: Place, number: int, holders: Sequence[Place], told: dict[str, str]) -> None:
    """Copy a shard from the first store that has it undamaged; its record last."""
    wrong = ""
    for source in holders:
        try:
            record = read_commit(source, number)
            if record is None:
                raise DamagedError(f"the record of shard {number} of {source} has gone")
            for name, facts in record["files"].items():
                place.write(name, read_checked(source, name, facts["sha256"]))
            metadata = {name: told[name] for name in record["metadata"]}
            place.write(commit_key(number), render(seal({**record, "metadata": metadata}, RECORD_SEAL), dense=True))
            return
        except DamagedError as error:
            wrong = wrong or str(error)
    raise DamagedError(wrong)
