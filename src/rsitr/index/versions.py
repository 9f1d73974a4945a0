"""Versions of an index whose tiles are rows that can only be added and deleted.

A row's number begins with the version in which it was written. Readers at a version see the rows of it and of those
before it, but for what was replaced since.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from rsitr.index.condition import one_of

__all__ = ["MOST_BYTES", "VERSION_BITS", "Replaced", "State"]

VERSION_BITS = 32  # of a row's number tell which one of its version's it is
KEEP_S = 30.0
"""What was replaced stays for so long, for readers that have begun before."""
MOST_BYTES = 20_000  # of names of scenes in one state


@dataclass(frozen=True, slots=True)
class Replaced:
    """Scenes that a version replaced or took out: earlier rows of theirs are there still, and not seen.

    Attributes:
        version: of the index.
        scenes: their names.
        at: when, in seconds since 1970, by the clock of who wrote.
    """

    version: int
    scenes: tuple[str, ...]
    at: float

    @property
    def rows(self) -> str:
        """The condition of these rows."""
        return f"({one_of('scene', self.scenes)} and number < {self.version << VERSION_BITS})"


@dataclass(frozen=True, slots=True)
class State:
    """A version of an index.

    Attributes:
        version: its number.
        made: what tells an index from one that was made anew under the same name.
        n_tiles: tiles that are seen.
        kept_from: the earliest version of which all rows are there still.
        replaced: by this version and earlier ones, as far as the rows may be there.
    """

    version: int
    made: str
    n_tiles: int = 0
    kept_from: int = 0
    replaced: tuple[Replaced, ...] = ()

    @property
    def first(self) -> int:
        """The least number that a row of this version can have."""
        return self.version << VERSION_BITS

    @property
    def gone(self) -> list[Replaced]:
        """What no reader can need any more."""
        return [one for one in self.replaced if one.version <= self.kept_from]

    def seen(self) -> str:
        """The condition that a row is seen at this version."""
        latest = f"number < {(self.version + 1) << VERSION_BITS}"
        return " and ".join([latest, *(f"not {one.rows}" for one in self.replaced)])

    def is_kept(self, earlier: State) -> bool:
        """Whether all rows of an earlier version are there."""
        return self.made == earlier.made and self.kept_from <= earlier.version

    def is_same(self, other: State) -> bool:
        """Whether both are one version of one index."""
        return (self.version, self.made) == (other.version, other.made)

    def after(self, version: int, *, n_tiles: int, scenes: Sequence[str]) -> State:
        """A later version: what was replaced is kept for readers for a while, if it is not too much to note."""
        now = time.time()
        replaced = [one for one in self.replaced if one.version > self.kept_from]
        if scenes:
            replaced.append(Replaced(version, tuple(scenes), now))
        kept_from, n_bytes = self.kept_from, 0
        for one in reversed(replaced):
            n_bytes += sum(len(name.encode()) + 4 for name in one.scenes)
            if now - one.at > KEEP_S or (n_bytes > MOST_BYTES and one.version < version):
                kept_from = max(kept_from, one.version)
        return State(version, self.made, n_tiles, kept_from, tuple(replaced))

    def spell(self) -> str:
        """As its row has it."""
        replaced = [[one.version, one.scenes, one.at] for one in self.replaced]
        return json.dumps([self.made, self.n_tiles, self.kept_from, replaced], ensure_ascii=False)

    @classmethod
    def read(cls, number: int, about: str) -> State:
        """From its row."""
        made, n_tiles, kept_from, replaced = json.loads(about)
        listed = tuple(Replaced(version, tuple(scenes), at) for version, scenes, at in replaced)
        return cls(number >> VERSION_BITS, made, n_tiles, kept_from, listed)
