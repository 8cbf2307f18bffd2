"""What is known of a range of blocks: its logs, their digest, and how sure it is that none is missing."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SINGLE: Final = "single"
WITNESSED: Final = "witnessed"
PROVED: Final = "proved"
GRADES: Final = (SINGLE, WITNESSED, PROVED)
"""From read once, over read twice (or by two endpoints) alike, to proved by headers, blooms and receipts."""

LOT_BLOCKS: Final = 50
"""Blocks that are proved one by one at a time, and kept together on file."""

_MODULUS: Final = 1 << 256


def log_digest(logs: Iterable[Mapping[str, Any]]) -> int:
    """Return the digest of a set of raw logs: the sum of their SHA-256 modulo 2^256.

    It does not depend on the order, nor on how a node spells hex, and the digest of two ranges is the sum
    of theirs (AdHash: Bellare and Micciancio, "A New Paradigm for Collision-Free Hashing", 1997). It is to
    compare readings of one range; it is no commitment against whoever can choose the logs.
    """
    total = 0
    for log in logs:
        place = (log["blockHash"], log["transactionHash"], log["address"], *log["topics"], log["data"])
        text = f"{int(log['logIndex'], 16)}|{'|'.join(place)}"
        total += int.from_bytes(sha256(text.lower().encode()).digest())
    return total % _MODULUS


@dataclass(frozen=True, slots=True)
class Segment:
    """Blocks ``first`` to ``last`` as they were read; ``hash`` is that of the last one.

    A hash of None (of the block before the first one read) fits any. ``witnesses``: the endpoints that
    gave it. ``disputed``: another reading gave other logs, and neither is proved.
    """

    first: int
    last: int
    hash: str | None
    logs: int = 0
    digest: int = 0
    grade: str = PROVED
    witnesses: tuple[str, ...] = ()
    disputed: bool = False

    @property
    def blocks(self) -> int:
        """How many blocks it covers."""
        return self.last - self.first + 1

    def joined(self, following: Segment) -> Segment:
        """Return the segment over both; the lower grade of the two is that of the whole."""
        if following.first != self.last + 1:
            raise ValueError(f"block {following.first} does not follow {self.last}")
        return Segment(
            self.first,
            following.last,
            following.hash,
            self.logs + following.logs,
            (self.digest + following.digest) % _MODULUS,
            min(self.grade, following.grade, key=GRADES.index),
            tuple(sorted({*self.witnesses, *following.witnesses})),
            self.disputed or following.disputed,
        )

    def agrees_with(self, other: Segment) -> bool:
        """Say whether two readings of the same blocks gave the same logs of the same chain."""
        return (self.logs, self.digest, self.hash) == (other.logs, other.digest, other.hash)

    def encode(self) -> dict[str, Any]:
        """Return its fields of a stored document; what goes without saying (no logs, proved) is left out."""
        told: dict[str, Any] = {"number": self.last, "hash": self.hash}
        if self.first != self.last:
            told["first"] = self.first
        if self.logs:
            told |= {"logs": self.logs, "digest": f"{self.digest:064x}"}
        if self.grade != PROVED:
            told["grade"] = self.grade
        if self.witnesses:
            told["witnesses"] = list(self.witnesses)
        if self.disputed:
            told["disputed"] = True
        return told

    @classmethod
    def decode(cls, told: Mapping[str, Any]) -> Segment:
        """Return the segment of a stored document."""
        return cls(
            int(told.get("first", told["number"])),
            int(told["number"]),
            told["hash"],
            int(told.get("logs", 0)),
            int(told.get("digest", "0"), 16),
            told.get("grade", PROVED),
            tuple(told.get("witnesses", ())),
            bool(told.get("disputed", False)),
        )
