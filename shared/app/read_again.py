"""Second readings: what was read once is read again, and proved where it can be, while nothing else is due.

A difference is published through the same path as everything, and the range is then read once more, block
by block where that proves it (what is proved of disputed blocks takes back what had been made up), until two
readings agree or one is proved.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from shared.app.certificate_turns import PROVE_AGAIN_S, CertificateTurns
from shared.app.differences import both
from shared.app.second_reading import SecondReading, as_one
from shared.app.tip_again import TipAgain
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
_PROOFS: Final = 3
"""Failures to read an old range block by block, after which it is read as a range again."""
_PATIENCE: Final = 6
"""Failures in a row, after which others have their turn."""


@dataclass(slots=True)
class _Check:
    """A certificate whose range is being read again: how far, and what that gave so far.

    ``unproved``: the height of a block with logs that the node did not prove.
    """

    certificate: Certificate
    so_far: Segment | None = None
    publishing: bool = False
    proofs_left: int = _PROOFS
    unproved: int | None = None

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
        self._turns = CertificateTurns(store.certificates, clock, settings)
        self._found = False
        self._check: _Check | None = None
        self._sample: int | None = None
        self._sample_from = 0.0
        self._not_before = 0.0
        self._failures = 0

    def take_over(self) -> None:
        """Begin anew: another listener may have written certificates meanwhile."""
        self._put_aside()
        self._turns.begin()

    def look_again(self) -> None:
        """Look for certificates once more: some may have been written by a step that failed."""
        self._turns.look_again()

    def settled(self, segments: Sequence[Segment]) -> None:
        """Take note of certificates that were written."""
        self._turns.written(segment.grade for segment in segments)

    def failed(self) -> None:
        """Rest after a failure, longer each time."""
        self._not_before = self._clock.monotonic_s() + min(
            self._settings.backoff_s * 2.0 ** min(self._failures, 30), self._settings.max_backoff_s
        )
        self._failures += 1
        if self._check is not None and self._failures % _PATIENCE == 0:
            if self._check.certificate.segment.grade == WITNESSED:
                self._not_proved(self._check)
            self._put_aside()

    def step(self, cursor: Cursor, head: int) -> Cursor:
        """Read a little again if anything is due; return the cursor, which has better readings then.

        Raises RangeRefused, DoubtfulAnswer, ChainUnavailable: nothing is lost, it comes again.
        """
        try:
            cursor = self._tip.step(cursor)
        finally:
            # What it found it does not find again, whatever failed afterwards.
            if self._tip.proved_late:
                self._turns.served_again()
        started = self._clock.monotonic_s()
        if started < self._not_before:
            return cursor
        self._look_at_the_sample(started)
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
        found = self._turns.next(head)
        if found is None:
            return None
        self._store.certificates.closed = found.segment.first
        return _Check(found)

    def _look_at_the_sample(self, now: float) -> None:
        """Find out by one block that receipts are back, where no block near the tip would show it."""
        if self._sample is None or now < self._sample_from or self._tip.unproved:
            return
        self._sample_from = now + PROVE_AGAIN_S
        _, read = self._reading.by_block(self._sample, self._sample)
        if _proves_a_log(read):
            self._sample, self._reading.provable = None, True
            self._turns.served_again(0.0)

    def _put_aside(self) -> None:
        self._check = self._store.certificates.closed = None

    def _not_proved(self, check: _Check) -> None:
        self._sample = self._sample if check.unproved is None else check.unproved
        self._sample_from = self._clock.monotonic_s() + PROVE_AGAIN_S
        self._turns.not_proved()

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
            unproved = as_one(read).grade != PROVED and not _proves_a_log(read)
            if unproved and whole.grade == WITNESSED and not check.publishing and not self._reading.provable:
                self._not_proved(check)
                self._put_aside()
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
        lacking = [it.last for it in read.segments if it.grade != PROVED and it.logs]
        check.unproved = lacking[-1] if lacking else check.unproved
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
            self._reading.provable = True
            self._turns.served_again(0.0)
        elif raised != PROVED and whole.grade == WITNESSED:
            self._not_proved(check)
        # What is read once still is due again from now on, not from when it was read first.
        read_at = check.certificate.read_at if raised != SINGLE else self._clock.now().isoformat()
        if raised != whole.grade or not agrees:
            self._store.certify(both(whole, again, raised), read_at)
        self._turns.written([raised])
        self._put_aside()


def _proves_a_log(read: WindowRead) -> bool:
    return any(segment.grade == PROVED and segment.logs for segment in read.segments)
