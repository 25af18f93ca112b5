"""Whether a store is as it was written: every byte of it read, what is damaged said, un-committed or mended."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from datagen.cards import CROISSANT, README
from datagen.commit import commit_key, commit_numbers, damaged_file, read_commit, uncommit
from datagen.corpus_file import CorpusFile, load_corpus
from datagen.detector_format import COMMITS
from datagen.lock import LEASES, LOCK, locked
from datagen.mending import Descriptions
from datagen.place import Place, Where, open_place
from datagen.root import COPIES, ROOT, DamagedError, out_of_reach, state_of
from xsim import CorpusError, OutputError

__all__ = ["Verdict", "verify"]


@dataclass
class Verdict:
    """What `verify` found.

    Attributes
    ----------
    shards, planned : int
        Commit records read, and shards that the whole corpus has (0 where the store no longer says).
    files, bytes : int
        Read.
    damaged : dict of int to str
        What is wrong, by the number of the shard.
    descriptions : dict of str to bool
        Damaged zarr.json files by their names in the store; whether each has been, or with ``keep`` could be, mended.
    orphans : list of str
        Files of shards that are not committed, and what interrupted writes left.
    strangers : list of str
        Files that are no part of a store.
    """

    shards: int = 0
    planned: int = 0
    files: int = 0
    bytes: int = 0
    damaged: dict[int, str] = field(default_factory=dict)
    descriptions: dict[str, bool] = field(default_factory=dict)
    orphans: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def count(self, record: dict[str, Any] | None, number: int, wrong: str | None) -> None:
        """Add a shard, by its record if that can be read."""
        self.shards += 1
        if record is not None:
            self.files += len(record["files"])
            self.bytes += sum(each["bytes"] for each in record["files"].values())
        if wrong:
            self.damaged[number] = wrong

    @property
    def intact(self) -> bool:
        """Whether everything that is committed was as it was written."""
        return not self.damaged and not self.descriptions


def verify(
    out: Where,
    keep: bool = False,
    clean: bool = False,
    corpus: Where | CorpusFile | None = None,
    progress: bool = True,
) -> Verdict:
    """Read every byte of a store and hold it against the hashes of its commit records.

    Shards that are damaged are un-committed, so that `generate` makes them again; their files stay until then.
    Descriptions that are damaged are mended from the store's copy of them, or from the corpus file.

    Parameters
    ----------
    out : path or URL
    keep : bool
        Whether to change nothing, only to say.
    clean : bool
        Whether to remove the orphans.
    corpus : path, "phantom:NAME" or CorpusFile, optional
        The corpus file, for descriptions that the store has lost altogether.
    progress : bool
        Whether to show a bar on stderr.

    Raises
    ------
    CorpusError
        There is no store, it is out of reach, or in use by another job while something is to be changed.
    OutputError
        What is to be changed cannot be written.
    """
    place = open_place(out)
    known = corpus if isinstance(corpus, CorpusFile) or corpus is None else load_corpus(str(corpus))
    _check_there(place)
    verdict, records = Verdict(), dict[int, dict[str, Any]]()
    every = 0.5 if sys.stderr.isatty() else 10.0
    for number in tqdm(commit_numbers(place), unit="shard", desc="verify", disable=not progress, mininterval=every):
        record, wrong = _inspect(place, number)
        if record is not None:
            records[number] = {key: record[key] for key in ("metadata", "files", "corpus_sha256")}
        if record is not None or wrong:
            verdict.count(record, number, wrong)
    descriptions = Descriptions(place, [record["metadata"] for record in records.values()], known)
    mend = descriptions.wrong()
    verdict.descriptions = {name: content is not None for name, content in mend.items()}
    verdict.planned = descriptions.root.get("shards", 0)
    foreign = _foreign(records, descriptions)
    verdict.damaged = foreign | verdict.damaged
    owned = {name for record in records.values() for name in record["files"]}
    _list_others(place, owned, descriptions, verdict)
    try:
        if not keep and not verdict.intact:
            _change(place, verdict, mend, set(foreign))
        if clean and verdict.orphans:
            _clean(place, verdict, set(records))
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write to {place} ({error.strerror or error}) look only, with --keep") from None
    return verdict


def _check_there(place: Place) -> None:
    try:
        state = state_of(place)[0]
    except DamagedError:
        return  # damaged, which is for the verdict to say
    if state != "corpus":
        what = "nothing is there" if state == "nothing" else "it has no corpus description"
        raise CorpusError(f"{place} is not a corpus ({what}) make one with: datagen generate CORPUS {place}")


def _inspect(place: Place, number: int) -> tuple[dict[str, Any] | None, str | None]:
    """Record of a shard, None where it cannot be read, and what is wrong with the shard."""
    try:
        record = read_commit(place, number)
    except DamagedError:
        return None, f"{commit_key(number)} is not as it was written"
    return record, damaged_file(place, record, contents=True) if record else None


def _foreign(records: dict[int, dict[str, Any]], descriptions: Descriptions) -> dict[int, str]:
    """Shards of another corpus, or written for other descriptions than most."""
    found, whose = {}, descriptions.root.get("corpus_sha256")
    for number, record in records.items():
        for name, digest in record["metadata"].items():
            if descriptions.digests[name] != digest:
                found[number] = f"it was written for another {name}"
        if whose is not None and record["corpus_sha256"] != whose:
            found[number] = "it is of another corpus"
    return found


def _list_others(place: Place, owned: set[str], descriptions: Descriptions, verdict: Verdict) -> None:
    """List files that no committed shard has."""
    if not place.lists:
        return
    groups = {f"{name}/{ROOT}" for name in descriptions.root.get("formats", [])}
    described = {ROOT, COPIES, README, CROISSANT, *groups, *descriptions.names}
    arrays = tuple(f"{name.removesuffix(ROOT)}c/" for name in descriptions.names if name.count("/") == 2)
    record = re.compile(rf"{COMMITS}/\d+/zarr\.json")
    try:
        for name in place.files():
            if name in owned or name in described or record.fullmatch(name) or name.startswith((LOCK, f"{LEASES}/")):
                continue
            ours = name.startswith(arrays) or name.endswith(".partial")
            (verdict.orphans if ours else verdict.strangers).append(name)
    except OSError as error:
        raise out_of_reach(place, error) from None


def _change(place: Place, verdict: Verdict, mend: dict[str, bytes | None], foreign: set[int]) -> None:
    """Mend descriptions and un-commit shards that are still damaged when no other job writes."""
    with locked(place):
        for name, content in sorted(mend.items(), key=lambda item: item[0] == ROOT):
            if content is not None:
                place.write(name, content)
        for number in verdict.damaged:
            if number in foreign or _inspect(place, number)[1]:
                uncommit(place, number)


def _clean(place: Place, verdict: Verdict, known: set[int]) -> None:
    """Remove orphans, but for files of shards that were committed since they were listed."""
    with locked(place):
        since = [read_commit(place, number) for number in commit_numbers(place) if number not in known]
        spared = {name for record in since if record for name in record["files"]}
        for name in verdict.orphans:
            if name not in spared:
                place.delete(name)
