"""Second readings: what was read once is read again, and proved where it can be, while nothing else is due.

A difference is published through the same path as everything, and the range is then read once more, block
by block where that proves it (what is proved of disputed blocks takes back what had been made up), until two
readings agree or one is proved.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from shared.app.differences import both
from shared.app.second_reading import SecondReading, as_one
from shared.app.tip_again import PROVE_AGAIN_S, TipAgain
from shared.domain.completeness import PROVED, SINGLE, WITNESSED, Segment
from shared.errors import ChainUnavailable, DoubtfulAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shared.app.certificates import Certificate
    from shared.app.chain_cursor import BlockRead, Cursor, WindowRead
    from shared.app.cursor_store import CursorStore
    from shared.app.differences import Differences
    from shared.app.follow_settings import FollowSettings
    from shared.domain.blocks import Header
    from shared.ports import Chain, Clock

_LOG: Final = logging.getLogger(__name__)
_REST: Final = 4.0
"""Seconds of rest for each second of reading again, so that it takes a fifth of the time at most."""
_LONGEST_PAUSE_S: Final = 3_600.0
"""Between two tries to prove what could not be proved; each is twice the one before."""
_PROOFS: Final = 3
"""Failures to read an old range block by block, after which it is read as a range again."""
_PATIENCE: Final = 6
"""Failures in a row, after which others have their turn."""


@dataclass(slots=True)
class _Check:
    """A certificate whose range is being read again: how far, and what that gave so far."""

    certificate: Certificate
    so_far: Segment | None = None
    publishing: bool = False
    proofs_left: int = _PROOFS

    @property
    def at(self) -> int:
        return self.certificate.segment.first if self.so_far is None else self.so_far.last + 1


class ReadAgain:
    """Raises the grade of what was read once.

    ``receipts`` takes blocks whose receipts were read for the first time.
    """

    def __init__(
        self,
        chain: Chain,
        store: CursorStore,
        clock: Clock,
        settings: FollowSettings,
        addresses: Sequence[str],
        differences: Differences,
        receipts: Callable[[Sequence[BlockRead]], None],
    ) -> None:
        self._chain = chain
        self._store = store
        self._clock = clock
        self._settings = settings
        self._differences = differences
        self._receipts = receipts
        self._reading = SecondReading(chain, settings, addresses)
        self._tip = TipAgain(self._reading, differences, store, clock, settings.second_reading_s)
        self._found = False
        self._check: _Check | None = None
        # In turn, upwards and downwards, so that none that never agrees holds up the others.
        self._once_more = True
        self._once: int | None = None
        self._once_from = 0.0
        self._proving: int | None = None
        self._prove_from = 0.0
        self._pause_s = PROVE_AGAIN_S
        self._due = {SINGLE, WITNESSED}
        self._not_before = 0.0
        self._failures = 0

    def take_over(self) -> None:
        """Begin anew: another listener may have written certificates meanwhile."""
        self._put_aside()
        self._prove_from, self._pause_s = 0.0, PROVE_AGAIN_S
        self.look_again()

    def look_again(self) -> None:
        """Look for certificates once more: some may have been written by a step that failed."""
        self._due = {SINGLE, WITNESSED}

    def settled(self, segments: Sequence[Segment]) -> None:
        """Take note of certificates that were written."""
        self._due |= {segment.grade for segment in segments}

    def failed(self) -> None:
        """Rest after a failure, longer each time."""
        self._not_before = self._clock.monotonic_s() + min(
            self._settings.backoff_s * 2.0 ** min(self._failures, 30), self._settings.max_backoff_s
        )
        self._failures += 1
        if self._check is not None and self._failures % _PATIENCE == 0:
            witnessed = self._check.certificate.segment.grade == WITNESSED
            self._put_aside()
            if witnessed:
                self._not_proved()

    def step(self, cursor: Cursor, head: int) -> Cursor:
        """Read a little again if anything is due; return the cursor, which has better readings then.

        Raises RangeRefused, DoubtfulAnswer, ChainUnavailable: nothing is lost, it comes again.
        """
        try:
            cursor = self._tip.step(cursor)
        finally:
            # What it found it does not find again, whatever failed afterwards.
            if self._tip.proved_late:
                self._served_again()
        started = self._clock.monotonic_s()
        if started < self._not_before:
            return cursor
        self._check = self._check or self._next(head)
        if self._check is not None:
            self._advance(self._check, head)
            self._failures = 0
            now = self._clock.monotonic_s()
            # Where something was lacking more may be, and nobody should wait for it.
            rest_s = 0.0 if self._found else _REST * (now - started)
            self._not_before = max(self._not_before, now + rest_s)
        return cursor

    def _next(self, head: int) -> _Check | None:
        found = self._read_once() if self._once_more else self._to_prove(head)
        found = found or (self._to_prove(head) if self._once_more else self._read_once())
        if found is None:
            return None
        self._once_more = found.segment.grade != SINGLE
        self._store.certificates.closed = found.segment.first
        return _Check(found)

    def _read_once(self) -> Certificate | None:
        """Return what was read once only and long enough ago, from the lowest upwards, in turn."""
        now = self._clock.monotonic_s()
        if SINGLE not in self._due or now < self._once_from:
            return None
        certificates = self._store.certificates
        lowest = certificates.lowest(SINGLE)
        if lowest is None:
            self._due.discard(SINGLE)
            return None
        above = None if self._once is None else certificates.lowest(SINGLE, self._once)
        # The highest one may grow all the time, and never be old enough: the others do not wait for it.
        once = above if above is not None and self._waits_s(above) <= 0.0 else lowest
        if self._waits_s(once) > 0.0:
            self._once_from = now + self._waits_s(once)
            return None
        self._once = once.segment.first
        return once

    def _waits_s(self, once: Certificate) -> float:
        age_s = (self._clock.now() - datetime.fromisoformat(once.read_at)).total_seconds()
        return self._settings.second_reading_s - age_s

    def _to_prove(self, head: int) -> Certificate | None:
        """Return what was only witnessed while it could not be proved, from the head downwards, in turn."""
        now = self._clock.monotonic_s()
        if WITNESSED not in self._due or now < self._prove_from:
            return None
        found = self._witnessed_near(head, self._proving) or self._witnessed_near(head)
        if found is None:
            self._due.discard(WITNESSED)
            return None
        self._proving = found.segment.first
        return found

    def _witnessed_near(self, head: int, below: int | None = None) -> Certificate | None:
        found = self._store.certificates.highest(WITNESSED, below)
        near = found is not None and found.segment.last > head - self._settings.prove_blocks
        return found if near else None

    def _put_aside(self) -> None:
        self._check = self._store.certificates.closed = None

    def _served_again(self) -> None:
        self._pause_s = PROVE_AGAIN_S
        self._prove_from = min(self._prove_from, self._clock.monotonic_s() + PROVE_AGAIN_S)

    def _not_proved(self) -> None:
        """Let the next try wait, longer each time: receipts may come (back) while no log of ours shows it."""
        self._prove_from = self._clock.monotonic_s() + self._pause_s
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    def _advance(self, check: _Check, head: int) -> None:
        whole = check.certificate.segment
        if check.so_far is not None and check.so_far.last == whole.last:
            # All of it was read, and the store failed.
            self._conclude(check, check.so_far)
            return
        near = whole.last > head - self._settings.prove_blocks
        headers: Sequence[Header] = ()
        if near or ((check.publishing or whole.disputed) and check.proofs_left):
            headers, read = self._proving_reading(check, near=near)
            if whole.grade == WITNESSED and not check.publishing and not _proves(read):
                self._put_aside()
                self._not_proved()
                return
            parent: str | None = headers[0].parent_hash
        else:
            read = self._reading.by_range(check.at, whole.last, whole.witnesses)
            parent = check.so_far.hash if check.so_far else None
        self._linked(check, parent, read)
        if check.publishing:
            self._differences.publish(read, whole.last, headers)
        check.so_far = check.so_far.joined(as_one(read)) if check.so_far else as_one(read)
        if check.so_far.last == whole.last:
            self._conclude(check, check.so_far)

    def _proving_reading(self, check: _Check, *, near: bool) -> tuple[Sequence[Header], WindowRead]:
        try:
            headers, read = self._reading.by_block(check.at, check.certificate.segment.last)
        except ChainUnavailable:
            # Of old blocks a node may have no receipts any more; of those near the head it must have them.
            check.proofs_left -= 0 if near else 1
            raise
        check.proofs_left = _PROOFS if as_one(read).grade == PROVED else 0
        self._receipts(read.blocks)
        return headers, read

    def _linked(self, check: _Check, parent: str | None, read: WindowRead) -> None:
        whole, last = check.certificate.segment, read.segments[-1]
        before = check.so_far.hash if check.so_far else None
        if (before is not None and parent != before) or (last.last == whole.last and last.hash != whole.hash):
            # No finality violation yet: that one shows at the tip as well, where the listener stops.
            self._put_aside()
            raise DoubtfulAnswer(
                f"chain {self._chain.chain_id} gave other blocks {whole.first} to {whole.last} than were read"
            )

    def _conclude(self, check: _Check, again: Segment) -> None:
        whole = check.certificate.segment
        agrees = again.agrees_with(whole)
        self._found = not agrees
        if not check.publishing and self._differences.found(whole, again):
            disputed = replace(check.certificate, segment=replace(whole, disputed=True))
            self._store.certify(disputed.segment, disputed.read_at)
            self._check = _Check(disputed, publishing=True)
            return
        raised = PROVED if again.grade == PROVED else WITNESSED if agrees else SINGLE
        if raised == PROVED and again.logs:
            self._reading.provable, self._pause_s = True, PROVE_AGAIN_S
        elif raised != PROVED and whole.grade == WITNESSED:
            self._not_proved()
        # What is read once still is due again from now on, not from when it was read first.
        read_at = check.certificate.read_at if raised != SINGLE else self._clock.now().isoformat()
        if raised != whole.grade or not agrees:
            self._store.certify(both(whole, again, raised), read_at)
        self._due.add(raised)
        self._put_aside()


def _proves(read: WindowRead) -> bool:
    """Say whether any log that was read is proved, or all that there is to read."""
    return as_one(read).grade == PROVED or any(it.grade == PROVED and it.logs for it in read.segments)
