"""The recorder: beside following a chain, what each block tells of fees is written down.

It never holds up the chain's following: it works in the background, on what the listener has read already
and one request of fee history a block, and what fails is counted and comes again with a later block.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Final

from shared.domain.fee_record import TIP_PERCENTILES
from shared.domain.fee_rows import fee_rows
from shared.domain.metrics import FEE_RECORD_FAILURES
from shared.errors import ChainUnavailable, Conflict, PlumblineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from shared.app.chain_cursor import BlockRead, Cursor
    from shared.app.fee_store import FeeStore
    from shared.app.receipt_samples import ReceiptSamples
    from shared.domain.blocks import Header
    from shared.domain.fee_reading import FeeHistory
    from shared.domain.fee_record import FeeRow
    from shared.ports import Chain, Clock, Metrics

_LOG: Final = logging.getLogger(__name__)
_MOST_AT_ONCE: Final = 64
"""Blocks that one request of fee history, and one write, are for at most."""
_HEADERS_KEPT: Final = 512
_RECEIPTS_KEPT: Final = 512
"""Blocks whose receipts wait to be learned from; past it the oldest are let go."""
_TIPS_ASKED_AGAIN: Final = 8
"""Blocks behind the last one whose tips are asked for again: a node's fee history may lag behind its head."""
_FIRST_REST_S: Final = 5.0
_LONGEST_REST_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class _Goal:
    """What is to be recorded: the last block read, and the hashes of the last ones by height."""

    last: int
    hashes: Mapping[int, str]
    fence: int


@dataclass(frozen=True, slots=True)
class _Known:
    """A block that was recorded; ``row`` None: there is nothing to record of it."""

    block_hash: str
    row: FeeRow | None


@dataclass(slots=True)
class _Waiting:
    """What the listener handed over since the recorder last looked."""

    goal: _Goal | None = None
    headers: dict[str, Header] = field(default_factory=dict)
    receipts: list[BlockRead] = field(default_factory=list)


class RecordFees:
    """Records one chain's fees, for the last ``kept`` blocks below the head that a listener reads singly.

    ``background`` runs the work; there is never more than one at once. Blocks that were read without being
    recorded (a kill in between) are made up for from the cursor's window. No row of a reorg's fork outlives
    the next block. ``samples`` learns from receipts.
    """

    def __init__(
        self,
        chain: Chain,
        store: FeeStore,
        samples: ReceiptSamples,
        clock: Clock,
        metrics: Metrics,
        *,
        kept: int,
        background: Callable[[Callable[[], None]], None],
    ) -> None:
        self._chain = chain
        self._store = store
        self._samples = samples
        self._clock = clock
        self._metrics = metrics
        self._kept = kept
        self._background = background
        self._label = str(chain.chain_id)
        self._lock = Lock()
        self._waiting = _Waiting()
        self._busy = False
        self._handed: tuple[int, str | None, int] | None = None
        self._not_before = 0.0
        # Only the one who works looks at these.
        self._headers: dict[str, Header] = {}
        self._receipts: list[BlockRead] = []
        self._known: dict[int, _Known] | None = None
        self._fence = 0
        self._failures = 0
        self._mute_until = 0.0
        self._mutes = 0

    def follow(self, cursor: Cursor, head: int, fence: int, headers: Iterable[Header] = ()) -> None:
        """Take note of how far the chain is read, and of headers that were read; return at once.

        ``head`` is the chain's height: blocks further below it than what is kept are of no interest.
        """
        position = (cursor.number, cursor.hash, fence)
        fresh = {header.hash: header for header in headers if header.number > head - self._kept}
        if not fresh and position == self._handed and self._clock.monotonic_s() < self._not_before:
            return
        self._handed = position
        hashes = {
            segment.last: segment.hash
            for segment in cursor.window[1:]
            if segment.first == segment.last and segment.hash and segment.last > head - self._kept
        }
        if hashes:
            with self._lock:
                self._waiting.goal = _Goal(cursor.number, hashes, fence)
                self._waiting.headers.update(fresh)
            self._start()

    def receipts(self, blocks: Sequence[BlockRead]) -> None:
        """Take blocks whose receipts were read; return at once."""
        told = [block for block in blocks if block.spent]
        if told:
            with self._lock:
                self._waiting.receipts = [*self._waiting.receipts, *told][-_RECEIPTS_KEPT:]
            self._start()

    def _start(self) -> None:
        with self._lock:
            if self._busy:
                return
            self._busy = True
        self._background(self._work)

    def _work(self) -> None:
        while True:
            with self._lock:
                work, self._waiting = self._waiting, _Waiting()
                if work.goal is None and not work.receipts:
                    self._busy = False
                    return
            try:
                self._do(work)
            except BaseException:
                # A fault of ours is raised where it happens; the next block begins anew.
                with self._lock:
                    self._busy = False
                raise

    def _do(self, work: _Waiting) -> None:
        self._headers.update(work.headers)
        while len(self._headers) > _HEADERS_KEPT:
            del self._headers[next(iter(self._headers))]
        self._receipts = [*self._receipts, *work.receipts][-_RECEIPTS_KEPT:]
        try:
            if work.goal is not None:
                self._record(work.goal)
                self._failures, self._not_before = 0, float("inf")
            if self._receipts:
                self._samples.add(self._receipts, self._times())
                self._receipts = []
        except PlumblineError as error:
            # What is stored may be another's, or may be there though the answer was lost: looked at again.
            self._known = None
            self._not_before = self._clock.monotonic_s() + _rest_s(self._failures)
            self._failures += 1
            if isinstance(error, Conflict):
                _LOG.info("chain %s: %s", self._label, error)
            else:
                self._failed(error)

    def _record(self, goal: _Goal) -> None:
        if self._known is None or self._fence != goal.fence:
            stored = self._store.rows(min(goal.hashes), goal.last + _MOST_AT_ONCE)
            self._known = {number: _Known(row.block_hash, row) for number, row in stored.items()}
            self._fence = goal.fence
        known = self._known
        lot = [number for number in sorted(goal.hashes) if self._lacks(known.get(number), goal, number)]
        lot = lot[-_MOST_AT_ONCE:]
        if not lot and max(known, default=0) <= goal.last:
            return
        headers = self._headers_of(lot, goal.hashes)
        rows = {row.fees.number: row for row in fee_rows(headers, self._history(headers))}
        self._store.write(list(rows.values()), goal.last, goal.hashes, goal.fence)
        known |= {header.number: _Known(header.hash, rows.get(header.number)) for header in headers}
        self._known = {n: it for n, it in known.items() if min(goal.hashes) <= n <= goal.last}

    def _lacks(self, known: _Known | None, goal: _Goal, number: int) -> bool:
        """Say whether a block is to be recorded: it is not yet, or one of the latest lacks its tips."""
        if known is None or known.block_hash != goal.hashes[number]:
            return True
        if known.row is None or known.row.fees.tips or known.row.fees.gas_used == 0:
            return False
        return number > goal.last - _TIPS_ASKED_AGAIN and self._clock.monotonic_s() >= self._mute_until

    def _headers_of(self, numbers: Sequence[int], hashes: Mapping[int, str]) -> list[Header]:
        """Return the headers of these blocks, as far as they are still the chain's."""
        found = {number: self._headers.get(hashes[number]) for number in numbers}
        asked = [number for number, header in found.items() if header is None]
        if asked:
            found |= dict(zip(asked, self._chain.headers(asked), strict=True))
        return [header for n, header in found.items() if header is not None and header.hash == hashes[n]]

    def _history(self, headers: Sequence[Header]) -> FeeHistory | None:
        """Return the fee history of these blocks; None where it cannot be had: the rest goes without."""
        now = self._clock.monotonic_s()
        numbers = [header.number for header in headers if header.base_fee_wei is not None]
        if not numbers or now < self._mute_until:
            return None
        history = None
        try:
            count = max(numbers) - min(numbers) + 1
            history = self._chain.fee_history(max(numbers), count, TIP_PERCENTILES)
        except ChainUnavailable as error:
            self._failed(error)
        if history is None:
            # Where it is not served, or hangs, it is not asked for with every block.
            self._mute_until = now + _rest_s(self._mutes)
            self._mutes += 1
        else:
            self._mutes = 0
        return history

    def _times(self) -> dict[int, int]:
        rows = ((number, known.row) for number, known in (self._known or {}).items())
        return {number: row.fees.timestamp for number, row in rows if row is not None}

    def _failed(self, error: PlumblineError) -> None:
        self._metrics.count(FEE_RECORD_FAILURES, chain=self._label)
        _LOG.warning("chain %s: fees not recorded at once: %s: %s", self._label, error.code, error)


def _rest_s(failures: int) -> float:
    return min(_FIRST_REST_S * 2.0 ** min(failures, 30), _LONGEST_REST_S)
