"""Second readings near the tip: of blocks that are kept in case of a reorg and were not proved.

Where blocks of this chain have been proved, the same endpoint alone does not witness for itself until it had
time to; and what it witnessed is proved once a later block shows that receipts are served.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from shared.app.certificate_turns import PROVE_AGAIN_S
from shared.app.differences import both
from shared.app.second_reading import as_one
from shared.domain.completeness import GRADES, LOT_BLOCKS, PROVED, SINGLE, WITNESSED, Segment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.app.chain_cursor import Cursor, WindowRead
    from shared.app.cursor_store import CursorStore
    from shared.app.differences import Differences
    from shared.app.second_reading import SecondReading
    from shared.domain.blocks import Header
    from shared.ports import Clock

_NEVER: Final = float("inf")
_AT_ONCE_S: Final = 0.1
"""Seconds after which no further block is begun: new ones may have come."""
_TRIES: Final = 6
"""Readings, each after twice the time, until an endpoint may witness for itself what it cannot prove."""


class TipAgain:
    """Raises the grade of segments of the cursor's window; ``age_s``: at which they are read again."""

    def __init__(
        self,
        reading: SecondReading,
        differences: Differences,
        store: CursorStore,
        clock: Clock,
        age_s: float,
    ) -> None:
        self._reading = reading
        self._differences = differences
        self._store = store
        self._clock = clock
        self._age_s = age_s
        self._due: dict[Segment, float] = {}
        self._tries: dict[Segment, int] = {}
        self._proved: set[str | None] | None = None
        self._turn = -1
        self._turn_from: float | None = None
        self.proved_late = False
        """Whether this step found a block proved after or beside one that was not: receipts are back."""

    @property
    def unproved(self) -> bool:
        """Whether any block near the tip was not proved at the last step."""
        return bool(self._due)

    def step(self, cursor: Cursor) -> Cursor:
        """Read what is due, for a moment; return the cursor, which has better readings then."""
        now = self._clock.monotonic_s()
        recent = cursor.window[1:]
        unproved = [segment for segment in recent if segment.grade != PROVED]
        before = self._tries
        self._tries = {segment: before.get(segment, 0) for segment in unproved}
        self._due = {s: self._due.get(s, now + self._age_s if _waits(s) else _NEVER) for s in unproved}
        self._look_for_proofs(recent, now, were_unproved=bool(before))
        in_turn = self._in_turn(unproved, now)
        if in_turn is not None:
            headers, read = self._reading.by_block(in_turn.first, in_turn.last)
            if _is_proof(in_turn, read):
                return self._settle(cursor, in_turn, headers, read)
        # What waited longest first: what cannot be proved comes up again with each proof of another.
        due = [segment for segment in unproved if self._due[segment] <= now]
        for once in sorted(due, key=lambda segment: self._due[segment]):
            cursor = self._once_more(cursor, once, now)
            if self._clock.monotonic_s() >= now + _AT_ONCE_S:
                break
        return cursor

    def _look_for_proofs(self, recent: Sequence[Segment], now: float, *, were_unproved: bool) -> None:
        """Let be due at once what is likely to be proved now that receipts are served, or served again."""
        proved = {segment.hash for segment in recent if segment.grade == PROVED and segment.logs}
        self._reading.provable = self._reading.provable or bool(proved)
        before, self._proved = self._proved, proved
        found = bool(proved - (before or set()))
        self.proved_late = found and (were_unproved or bool(self._due))
        if not found:
            return
        for once, due in self._due.items():
            # At the start what was read just now waits for its turn.
            likely = once.blocks <= LOT_BLOCKS and (once.grade == WITNESSED or before is not None)
            if likely and due > now:
                self._due[once] = now
                self._tries[once] -= 1  # which is for a proof alone, and makes nobody a witness sooner

    def _in_turn(self, unproved: Sequence[Segment], now: float) -> Segment | None:
        """Return, from time to time, what is tried though nothing says that receipts are served: one."""
        lots = [segment for segment in unproved if segment.blocks <= LOT_BLOCKS]
        if not lots or self._turn_from is None:
            self._turn_from = now + PROVE_AGAIN_S
        if now < self._turn_from:
            return None
        self._turn_from = now + PROVE_AGAIN_S
        one = next((segment for segment in reversed(lots) if segment.last < self._turn), lots[-1])
        self._turn = one.last
        return one

    def _once_more(self, cursor: Cursor, once: Segment, now: float) -> Cursor:
        self._tries[once] += 1
        pause_s = min(self._age_s * 2.0 ** self._tries[once], PROVE_AGAIN_S if once.disputed else _NEVER)
        self._due[once] = now + pause_s if _waits(once) else _NEVER
        headers, read = self._read(once)
        if read.segments[-1].last < once.last:
            # Joined from more blocks than one query may have: its certificate is read again.
            self._due[once] = _NEVER
            return cursor
        return self._settle(cursor, once, headers, read)

    def _settle(self, cursor: Cursor, once: Segment, headers: Sequence[Header], read: WindowRead) -> Cursor:
        again = as_one(read)
        if again.hash != once.hash:
            return cursor  # a reorg, which whoever reads on comes upon
        if self._differences.found(once, again):
            if not once.disputed:
                # Killed after it is published, nobody would know that it ever was.
                once = replace(once, disputed=True)
                cursor = cursor.replaced(once)
                self._store.move(cursor, ())
            self._differences.publish(read, cursor.certified, headers)
            moved = cursor.replaced(both(once, again, again.grade))
        elif again.grade != PROVED and self._is_no_witness(once, again):
            return cursor
        else:
            moved = cursor.replaced(both(once, again, max(again.grade, WITNESSED, key=GRADES.index)))
        self._store.move(moved, ())
        return moved

    def _read(self, once: Segment) -> tuple[Sequence[Header], WindowRead]:
        if (self._reading.provable or once.disputed) and once.blocks <= LOT_BLOCKS:
            headers, read = self._reading.by_block(once.first, once.last)
            if _is_proof(once, read):
                return headers, read
        return (), self._reading.by_range(once.first, once.last, once.witnesses)

    def _is_no_witness(self, once: Segment, again: Segment) -> bool:
        """Say whether an endpoint witnesses for itself though it can be expected to prove before long.

        What is witnessed already is none the better for it.
        """
        if once.grade == WITNESSED:
            return True
        alone = set(again.witnesses) <= set(once.witnesses)
        return alone and self._reading.provable and self._tries[once] < _TRIES


def _is_proof(once: Segment, read: WindowRead) -> bool:
    return read.segments[-1].last == once.last and as_one(read).grade == PROVED


def _waits(segment: Segment) -> bool:
    """Say whether a segment has its turns: read once, or disputed and nothing proved."""
    return segment.grade == SINGLE or segment.disputed
