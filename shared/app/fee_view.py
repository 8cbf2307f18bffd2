"""A chain's fees at its latest block: asked for once a block, however many callers there are."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from shared.domain.congestion import Congestion, congestion
from shared.domain.fee_outlook import next_fee
from shared.domain.fee_quote import FeeMarket
from shared.domain.fee_record import TIP_PERCENTILES
from shared.domain.fee_window import extended, unbroken, uses
from shared.domain.metrics import QUOTE_UPSTREAM
from shared.errors import ChainUnavailable, DoubtfulAnswer, InvalidInput

if TYPE_CHECKING:
    from shared.app.fee_records import FeeRecords
    from shared.domain.blocks import Header
    from shared.domain.fee_blocks import BlockFees
    from shared.domain.fee_chains import ChainFees
    from shared.domain.fee_reading import FeeReading, GasAnswer, GasQuestion
    from shared.domain.tips import TipObservation
    from shared.ports import Chain, Clock, Metrics

_FIRST: Final = 120
"""Blocks that a first answer waits for: enough for the tip, and soon told; the next block asks for all."""
_OVERLAP: Final = 20
"""Blocks asked for again with each new one: deeper reorgs matter to no statistic."""
_MOST_QUESTIONS: Final = 50
"""Calls whose gas is asked for along with a new block; the rest is asked for when it is wanted."""
_MOST_KEPT: Final = 5000
"""Calls of one block that are kept in mind."""
_SPARE: Final = 8
"""Blocks asked for beyond those that should have come since."""
_PASSED: Final = 64
"""Heights of which it is known which block was passed there: no node that is used lags by more."""


class _OutOfTime(ChainUnavailable):
    """The latest block that an endpoint tells cannot be the chain's latest, by its time."""


@dataclass(slots=True)
class Snapshot:
    """Everything about fees at one head; ``market`` is None on a legacy chain.

    ``gas`` grows as callers ask for calls, and ``asked`` says for which they did; ``made`` and
    ``answers`` hold what was made of all this.
    """

    reading: FeeReading
    blocks: dict[int, BlockFees]
    market: FeeMarket | None
    congestion: Congestion
    gas: dict[GasQuestion, GasAnswer]
    asked: set[GasQuestion] = field(default_factory=set)
    made: dict[Any, Any] = field(default_factory=dict)
    answers: dict[str, tuple[bytes, str]] = field(default_factory=dict)

    @property
    def head(self) -> Header:
        """The block that it was made at."""
        return self.reading.head.header


class FeeView:
    """One chain's latest snapshot, shared by all threads.

    A head is taken for the latest until the next block is due; from then on it is looked at, at most every
    ``look_s``, and everything is asked anew, in one batch, when it is another one. Callers that come
    meanwhile wait for that same batch, or for its failure. Behind one address there may be several nodes: a
    head that was passed already is one's that lags, and what is known stays until it is too old.
    """

    def __init__(
        self,
        chain: Chain,
        fees: ChainFees,
        records: FeeRecords,
        clock: Clock,
        metrics: Metrics,
        *,
        history: int,
        records_s: float,
    ) -> None:
        self.fees = fees
        self.name = str(chain.chain_id)
        self._metrics = metrics
        self._chain = chain
        self._records = records
        self._clock = clock
        self._history = history
        self._records_s = records_s
        self._lock = Lock()
        self._wanted: dict[GasQuestion, None] = {}
        self._snapshot: Snapshot | None = None
        self._failure: tuple[float, ChainUnavailable] | None = None
        self._recalled = False
        self._passed: dict[int, str] = {}
        self._observed: tuple[float, list[TipObservation]] | None = None
        self.fresh_until_s = 0.0

    def snapshot(self, question: GasQuestion | None = None) -> Snapshot:
        """Return the snapshot of the latest block, with the gas of the call if one is asked for.

        Raises ChainUnavailable where the node does not answer, or its head is too old.
        """
        came_s = self._clock.monotonic_s()
        snapshot = self.known(question)
        if snapshot is not None:
            return snapshot
        if question is not None:
            self._wanted[question] = None
        with self._lock:
            if (snapshot := self.known(question)) is not None:
                return snapshot
            if self._failure is not None and came_s <= self._failure[0] + self.fees.look_s:
                raise self._failure[1]
            try:
                snapshot = self._look_around(question)
            except ChainUnavailable as error:
                self._failure = (self._clock.monotonic_s(), error)
                raise
            self._failure = None
            return snapshot

    def expires_at(self, snapshot: Snapshot) -> datetime | None:
        """Return when the next block is due; None where blocks come at any time."""
        if not self.fees.block_s:
            return None
        return datetime.fromtimestamp(snapshot.head.timestamp + self.fees.block_s, UTC)

    def known(self, question: GasQuestion | None = None) -> Snapshot | None:
        """Return the snapshot without asking the chain; None where its block may not be the latest any more.

        None, too, where the gas of the call that is asked for is not known yet.
        """
        snapshot = self._snapshot
        if snapshot is None or self._clock.monotonic_s() >= self.fresh_until_s:
            return None
        if question is None:
            return snapshot
        snapshot.asked.add(question)
        return snapshot if question in snapshot.gas else None

    def _look_around(self, question: GasQuestion | None) -> Snapshot:
        """Look; where the endpoint's head is too old, or from the future, once more at another one."""
        try:
            return self._look(question)
        except _OutOfTime as error:
            if len(self._chain.endpoints()) == 1:
                raise
            self._chain.doubt(str(error))
            return self._look(question)

    def _look(self, question: GasQuestion | None) -> Snapshot:
        wanted = {} if question is None else {question: None}
        while self._wanted:
            wanted[self._wanted.popitem()[0]] = None
        snapshot = self._snapshot
        if snapshot is None:
            return self._ask(None, wanted)
        if self._clock.monotonic_s() >= self.fresh_until_s:
            head = self._chain.head()
            news = not self._is_passed(head) if head.hash != snapshot.head.hash else self._is_told(snapshot)
            if news:
                asked = self._ask(snapshot, wanted)
                if asked is not snapshot:
                    return asked
            self._keep(snapshot)
        if len(snapshot.gas) >= _MOST_KEPT:
            # The latest stay: their callers may be about to read them.
            for old in list(snapshot.gas)[: _MOST_KEPT // 2]:
                del snapshot.gas[old]
            snapshot.asked.clear()
        missing = [question for question in wanted if question not in snapshot.gas]
        if missing:
            self._metrics.count(QUOTE_UPSTREAM, chain=self.name)
            snapshot.gas.update(self._chain.estimate_gas(missing))
        return snapshot

    def _ask(self, previous: Snapshot | None, wanted: dict[GasQuestion, None]) -> Snapshot:
        """Ask for everything: the calls wanted now, too, and those that were wanted at the block before.

        Returns the previous snapshot where the node that answered is behind it.
        """
        questions = [*dict.fromkeys([*wanted, *(previous.asked if previous else ())])][:_MOST_QUESTIONS]
        count = self._blocks_to_ask(previous)
        self._metrics.count(QUOTE_UPSTREAM, chain=self.name)
        reading = self._chain.fees(count, TIP_PERCENTILES, questions)
        head = reading.head
        if previous is not None and self._is_passed(head.header):
            return previous
        if reading.history is None and head.base_fee_wei is not None:
            self._history = max(_OVERLAP, count // 2)  # some nodes refuse as many
        known = dict(previous.blocks) if previous else {}
        # A first answer does without what is recorded where the node tells enough; the next block reads it.
        if not self._recalled and (previous is not None or reading.history is None):
            rows = self._records.rows(self._chain.chain_id, head.header.number)
            known = (rows or {}) | known
            self._recalled = rows is not None  # what could not be read is read with the next block
        blocks = extended(known, head, reading.history)
        told = reading.history.base_fee_of(head.header.number + 1) if reading.history else None
        last = list(blocks.values())[-unbroken(blocks) :]
        market = None
        if head.base_fee_wei is not None:
            try:
                following = next_fee(self.fees, head, told)
            except InvalidInput as error:  # not the caller's: no block has such figures
                raise DoubtfulAnswer(f"the head of chain {self._chain.chain_id}: {error}") from error
            market = FeeMarket(self.fees, following, last, self._observations(), reading.node_tip_wei)
        crowded = congestion(self.fees.congestion, uses(last), head.gas_limit, reading.pending)
        snapshot = Snapshot(reading, blocks, market, crowded, dict(reading.gas))
        snapshot.asked.update(wanted)
        self._keep(snapshot)
        self._snapshot = snapshot
        self._pass(head.header)
        return snapshot

    def _is_told(self, snapshot: Snapshot) -> bool:
        """Say whether the node was told another next base fee since, as anvil can be without a new block."""
        if not self.fees.node_says or self.fees.block_s or snapshot.market is None:
            return False
        number = snapshot.head.number
        history = self._chain.fee_history(number, 1, ())
        told = None if history is None else history.base_fee_of(number + 1)
        return told is not None and told != snapshot.market.following.wei

    def _is_passed(self, head: Header) -> bool:
        """Say whether quotes were of a later block already; a chain that is set back by hand may do that."""
        return self.fees.block_s > 0 and self._passed.get(head.number) == head.hash

    def _pass(self, head: Header) -> None:
        """Take note of which blocks lie before this one, as far as heads have told."""
        oldest = head.number - _PASSED
        self._passed = {n: it for n, it in self._passed.items() if oldest < n < head.number}
        self._passed[head.number - 1] = head.parent_hash

    def _blocks_to_ask(self, previous: Snapshot | None) -> int:
        if previous is None:
            return min(self._history, _FIRST)
        if not self.fees.block_s:
            return self._history
        if unbroken(previous.blocks) < min(self._history, previous.head.number + 1):
            return self._history
        passed_s = self._clock.now().timestamp() - previous.head.timestamp
        return min(max(int(passed_s / self.fees.block_s) + _SPARE, _OVERLAP), self._history)

    def _observations(self) -> list[TipObservation]:
        now = self._clock.monotonic_s()
        if self._observed is None or now - self._observed[0] >= self._records_s:
            self._observed = now, self._records.tips(self._chain.chain_id)
        return self._observed[1]

    def _keep(self, snapshot: Snapshot) -> None:
        """Take the snapshot for the latest until the next block is due; ChainUnavailable if it is too old."""
        age_s = self._clock.now().timestamp() - snapshot.head.timestamp
        latest = f"the latest block of chain {self._chain.chain_id}, {snapshot.head.number}"
        if self.fees.stale_s is not None and age_s < -self.fees.stale_s:
            raise _OutOfTime(f"{latest}, is {-age_s:.0f} s ahead of this machine's clock")
        if self.fees.stale_s is not None and age_s > self.fees.stale_s:
            most = f"at most {self.fees.stale_s:g} s are allowed"
            raise _OutOfTime(f"{latest}, is {age_s:.0f} s old, {most}: the node is behind")
        # A clock that is behind the chain's does not make a block last longer.
        due_s = min(self.fees.block_s - age_s, self.fees.block_s)
        self.fresh_until_s = self._clock.monotonic_s() + max(due_s, self.fees.look_s)
