"""How far a chain has been read, as values: the cursor, a removal under way, what was published."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from shared.domain.completeness import Segment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.domain.blocks import Header
    from shared.ports import Document, RawLog, Spent

_JOINED_BLOCKS: Final = 64
"""Blocks below the window and above finality are remembered by so many together."""
_MOST_SEGMENTS: Final = 512
"""A cursor never remembers more: finality that stands still for days must not fill its document."""


@dataclass(frozen=True, slots=True)
class Removal:
    """Blocks (number by hash) that were taken back at a value of the reorg counter, down to ``ancestor``."""

    counter: int
    ancestor: int
    blocks: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Cursor:
    """What was read: ``window`` ends with the last block read.

    It begins with a block that is certified, which nothing takes back; then come the blocks that a reorg
    may take back, one by one near the tip, joined further down.
    """

    window: tuple[Segment, ...]
    pending: Removal | None = None

    @classmethod
    def before(cls, block: int) -> Cursor:
        """Return a cursor that has read nothing, whose first block is this one."""
        return cls((Segment(block - 1, block - 1, None),))

    @classmethod
    def decode(cls, document: Document) -> Cursor:
        """Return the cursor of a stored document."""
        pending = document["pending"]
        removal = pending and Removal(pending["counter"], pending["ancestor"], pending["blocks"])
        return cls(tuple(Segment.decode(each) for each in document["window"]), removal)

    def encode(self) -> Document:
        """Return its fields of a stored document."""
        return {
            "readThrough": self.number,
            "hash": self.hash,
            "window": [segment.encode() for segment in self.window],
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
        return self.window[-1].last

    @property
    def hash(self) -> str | None:
        """The hash of the last block read."""
        return self.window[-1].hash

    @property
    def certified(self) -> int:
        """The height of the last block that nothing takes back any more."""
        return self.window[0].last

    def contradicts(self, header: Header) -> bool:
        """Say whether another block was read at this one's height, that a reorg may take back."""
        read = (segment.hash for segment in self.window[1:] if segment.last == header.number)
        return any(block_hash not in (None, header.hash) for block_hash in read)

    def through(self, height: int, grades: Sequence[str]) -> int:
        """Return how far all is of these grades, given that it is through ``height``, certified or lower."""
        if height < self.certified:
            return height
        for segment in self.window[1:]:
            if segment.grade not in grades:
                break
            height = segment.last
        return height

    def moved(self, read: Sequence[Segment], certain: int, single: int) -> tuple[Cursor, list[Segment]]:
        """Return the cursor past these segments, and the segments that are certain now.

        ``certain``: through this height no block is taken back any more; ``single``: above it blocks are
        remembered one by one.
        """
        anchor, *window = *self.window, *read
        settled = []
        while window and window[0].last <= certain:
            anchor = window.pop(0)
            settled.append(anchor)
        anchor = Segment(anchor.last, anchor.last, anchor.hash)
        return Cursor((anchor, *_joined(window, single))), settled

    def replaced(self, by: Segment) -> Cursor:
        """Return the cursor with another reading of the same blocks in place of the one it has."""
        window = (by if (s.first, s.last) == (by.first, by.last) else s for s in self.window)
        return Cursor(tuple(window), self.pending)

    def cut(self, ancestor: int) -> Cursor:
        """Return the cursor back at a block of its window, nothing pending."""
        return Cursor(tuple(segment for segment in self.window if segment.last <= ancestor))


def _joined(window: Sequence[Segment], single: int) -> list[Segment]:
    joined: list[Segment] = []
    for segment in window:
        if (
            joined
            and segment.last <= single
            and (len(window) > _MOST_SEGMENTS or joined[-1].blocks + segment.blocks <= _JOINED_BLOCKS)
        ):
            joined[-1] = joined[-1].joined(segment)
        else:
            joined.append(segment)
    return joined


@dataclass(frozen=True, slots=True)
class PublishedBlock:
    """Part of a block above finality whose logs were published, or were about to be."""

    key: str
    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class BlockRead:
    """The logs of one block that has any; ``senders`` by transaction hash where they were asked for.

    ``spent`` is what each of its transactions used and paid, where receipts were read.
    """

    header: Header
    logs: Sequence[RawLog]
    senders: Mapping[str, str] = field(default_factory=dict)
    spent: Mapping[str, Spent] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WindowRead:
    """What reading a window of blocks gave: segments without a gap, and the blocks with logs in order."""

    segments: Sequence[Segment]
    blocks: Sequence[BlockRead]
