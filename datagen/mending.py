"""The descriptions of a store: which are damaged, and what they were.

Commit records and the root's description hold hashes of all the others, and these tell of every candidate for a
damaged one whether it is what was there: the copy beside the commit records, and what the corpus file gives.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from datagen.corpus_file import CorpusFile
from datagen.place import Place
from datagen.root import COPIES, MARK, OLDEST, ROOT, SEAL, out_of_reach, read_copies, root_intact
from datagen.seal import digest_of, read_group
from datagen.store import describe_store, render_copies

__all__ = ["Descriptions"]


@dataclass
class Descriptions:
    """The descriptions of a store as they lie there, and what is known of them.

    Attributes
    ----------
    place : Place
    told : list of dict
        The ``metadata`` of commit records: what their shards were read by.
    corpus : CorpusFile, optional
    """

    place: Place
    told: list[dict[str, str]]
    corpus: CorpusFile | None = None
    _read: dict[str, bytes] = field(default_factory=dict)

    def wrong(self) -> dict[str, bytes | None]:
        """Damaged descriptions by their names in the store: what each was, None where that cannot be known."""
        names = dict.fromkeys(self.names)
        if self._vouched:
            names |= dict.fromkeys([COPIES, ROOT])
        return {name: self._was(name) for name in names if not self._is(name, self._content(name))}

    @property
    def names(self) -> list[str]:
        """Names in the store of the descriptions that are known."""
        return list(dict.fromkeys([*self.digests, *self._good_root_digests]))

    @property
    def root(self) -> dict[str, Any]:
        """What the root says or said, empty where that cannot be known."""
        if self._old:
            return self._old
        content = self._root
        return {} if content is None else dict(read_group(content)[MARK])

    @cached_property
    def digests(self) -> dict[str, str]:
        """Hashes that most commit records tell."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for metadata in self.told:
            for name, digest in metadata.items():
                counts[name][digest] += 1
        return {name: each.most_common(1)[0][0] for name, each in counts.items()}

    @cached_property
    def _vouched(self) -> bool:
        """Whether the store is of a layout in which the root has a hash."""
        return not self._old and (ROOT in self.digests or self._root is not None)

    @cached_property
    def _old(self) -> dict[str, Any]:
        """What the root of an earlier layout says, which has no hash; empty where it is of this one."""
        try:
            description = json.loads(self._content(ROOT))["attributes"][MARK]
            return dict(description) if description["schema"] == OLDEST and SEAL not in description else {}
        except (ValueError, KeyError, TypeError):
            return {}

    @cached_property
    def _root(self) -> bytes | None:
        """The root as it was."""
        for content in self._candidates(ROOT):
            if root_intact(content) and self.digests.get(ROOT, digest_of(content)) == digest_of(content):
                return content
        return None

    @cached_property
    def _good_root_digests(self) -> dict[str, str]:
        return {} if self._old else dict(self.root.get("descriptions", {}))

    def _is(self, name: str, content: bytes) -> bool:
        if name in self.digests:
            return digest_of(content) == self.digests[name]
        if name == ROOT:
            return content == self._root
        if name == COPIES:
            return read_copies(content) is not None
        return digest_of(content) == self._good_root_digests[name]

    def _was(self, name: str) -> bytes | None:
        return next((each for each in self._candidates(name) if self._is(name, each)), None)

    def _candidates(self, name: str) -> Iterable[bytes]:
        yield self._content(name)
        if name == COPIES:
            parts = {key: self._was(key) for key in [*self._good_root_digests, ROOT]}
            whole = {key: content for key, content in parts.items() if content is not None}
            if len(whole) == len(parts):
                yield render_copies(whole)
        else:
            copy = self._copies.get(name)
            if isinstance(copy, str):
                yield copy.encode()
        if name in self._remade:
            yield self._remade[name]

    @cached_property
    def _copies(self) -> dict[str, Any]:
        """Copies as far as they can be read: what they are worth is for the hashes to say."""
        try:
            return dict(json.loads(self._content(COPIES))["attributes"]["descriptions"])
        except (ValueError, KeyError, TypeError):
            return {}

    @cached_property
    def _remade(self) -> dict[str, bytes]:
        """What the corpus file gives, where the commit records do not contradict it."""
        if self.corpus is None:
            return {}
        made = describe_store(self.corpus)
        agrees = all(digest_of(made.get(name, b"")) == digest for name, digest in self.digests.items())
        return made if agrees else {}

    def _content(self, name: str) -> bytes:
        """A description as it lies there, empty where it is lost."""
        if name not in self._read:
            try:
                self._read[name] = self.place.read(name)
            except OSError as error:
                if not self.place.lost(error):
                    raise out_of_reach(self.place, error) from None
                self._read[name] = b""
        return self._read[name]
