"""How far a chain has been read, as values: the cursor, a removal under way, what was published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from shared.domain.blocks import Header
    from shared.ports import Document, RawLog


@dataclass(frozen=True, slots=True)
class Removal:
    """Blocks (number by hash) that were taken back at a value of the reorg counter, down to ``ancestor``."""

    counter: int
    ancestor: int
    blocks: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last block read; ``window`` ends with it. A hash of None (before the first block) fits any."""

    window: tuple[tuple[int, str | None], ...]
    pending: Removal | None = None

    @classmethod
    def before(cls, block: int) -> Cursor:
        """Return a cursor that has read nothing, whose first block is this one."""
        return cls(((block - 1, None),))

    @classmethod
    def decode(cls, document: Document) -> Cursor:
        """Return the cursor of a stored document."""
        window = tuple((int(entry["number"]), entry["hash"]) for entry in document["window"])
        pending = document["pending"]
        removal = pending and Removal(pending["counter"], pending["ancestor"], pending["blocks"])
        return cls(window, removal)

    def encode(self) -> Document:
        """Return its fields of a stored document."""
        return {
            "readThrough": self.number,
            "hash": self.hash,
            # Objects, because Firestore has no lists of lists.
            "window": [{"number": number, "hash": block_hash} for number, block_hash in self.window],
            "pending": None
            if self.pending is None
            else {
                "counter": self.pending.counter,
                "ancestor": self.pending.ancestor,
                "blocks": dict(self.pending.blocks),
            },
        }

    @property
    def number(self) -> int:
        """The height of the last block read."""
        return self.window[-1][0]

    @property
    def hash(self) -> str | None:
        """The hash of the last block read."""
        return self.window[-1][1]

    def moved(self, headers: Iterable[Header], final: int) -> Cursor:
        """Return the cursor past these blocks; of those up to height ``final`` only the newest is kept."""
        window = [*self.window, *((header.number, header.hash) for header in headers)]
        settled = sum(number <= final for number, _ in window)
        return Cursor(tuple(window[max(settled - 1, 0) :]))

    def cut(self, ancestor: int) -> Cursor:
        """Return the cursor back at a block of its window, nothing pending."""
        return Cursor(tuple(entry for entry in self.window if entry[0] <= ancestor))


@dataclass(frozen=True, slots=True)
class PublishedBlock:
    """Part of a block above finality whose logs were published, or were about to be."""

    key: str
    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Batch:
    """The logs about to be published, by block hash; ``kept`` heads those that a reorg may take back."""

    logs_by_block: Mapping[str, Sequence[RawLog]]
    kept: Sequence[Header] = ()
