"""Following a chain: back-fill, live, catching up and reorgs are one loop, with a durable cursor."""

from __future__ import annotations

import logging
from random import SystemRandom
from typing import TYPE_CHECKING, Final

from shared.app.advance import Advance, Seen
from shared.app.chain_tip import ChainTip
from shared.app.cursor_store import CursorStore
from shared.app.differences import Differences
from shared.app.disputes import Disputes
from shared.app.follow_settings import FollowSettings, Progress, StopSignal
from shared.app.lease import Lease
from shared.app.listener_report import ListenerReport
from shared.app.publish_logs import PublishLogs
from shared.app.read_again import ReadAgain
from shared.domain.metrics import DOUBTS, ERRORS
from shared.errors import (
    ChainUnavailable,
    ConfigError,
    Conflict,
    DoubtfulAnswer,
    OtherHistory,
    PlumblineError,
    RateLimited,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.app.chain_cursor import Cursor
    from shared.app.record_fees import RecordFees
    from shared.domain.blocks import Header
    from shared.domain.contract import Registry
    from shared.ports import Bus, Chain, Clock, Documents, Metrics, Processes

__all__ = ["FollowChain", "FollowSettings", "Progress", "StopSignal"]

_LOG: Final = logging.getLogger(__name__)


class FollowChain:
    """Publishes every log of a chain's contracts at least once, and the removal of what a reorg undid.

    ``socket`` says whether heads are announced at present (None: polling is all there is). ``fees`` records
    what the blocks tell of fees. ``processes`` tells of a listener that was killed, where it ran beside us.
    """

    def __init__(
        self,
        chain: Chain,
        documents: Documents,
        bus: Bus,
        registry: Registry,
        clock: Clock,
        settings: FollowSettings,
        *,
        metrics: Metrics,
        owner: str | None = None,
        random: Callable[[], float] | None = None,
        socket: Callable[[], bool] | None = None,
        fees: RecordFees | None = None,
        processes: Processes | None = None,
    ) -> None:
        specs = registry.on_chain(chain.chain_id)
        if not specs:
            raise ConfigError(f"no contract on chain {chain.chain_id} in the registry")
        start = settings.start_block
        self._first_blocks = {s.address: s.deployment_block if start is None else start for s in specs}
        addresses = list(self._first_blocks)
        self._chain = chain
        self._clock = clock
        self._settings = settings
        self._metrics = metrics
        lease = f"follow-chain:{chain.chain_id}"
        self._lease = Lease(documents, clock, lease, settings.lease_s, owner, processes)
        self._store = CursorStore(documents, clock, self._lease, chain.chain_id)
        publish = PublishLogs(bus, settings.topic, settings.publish_batch, self._lease.renew)
        self._tip = ChainTip(chain, documents, clock, specs, settings)
        self._report = ListenerReport(
            chain, documents, clock, metrics, self._store.certificates, settings.report_s, socket
        )
        self._way = Advance(chain, self._store, publish, clock, settings, addresses, metrics, self._report)
        differences = Differences(chain.chain_id, addresses, self._way.publish, Disputes(documents), metrics)
        self._again = ReadAgain(
            chain, self._store, clock, settings, addresses, differences,
            fees.receipts if fees else lambda _: None,
        )  # fmt: skip
        self._fees = fees
        self._random = random or SystemRandom().random
        self._cursor: Cursor | None = None
        self._learned = False
        # Seen once, code is not looked for again after each failure, which would be one more read to fail.
        self._code_unseen = set(addresses)

    def run(self, stop: StopSignal) -> None:
        """Follow until told to stop, the step in hand finished; then give the lease back.

        Retryable errors are waited out, longer each time; a permanent one (ConfigError,
        FinalityViolation) is written down for whoever asks how the listener stands, and raised.
        """
        failures = 0
        try:
            while not stop.is_set():
                begun = self._clock.monotonic_s()
                try:
                    progress = self.step()
                    if not progress.standby:
                        self._report.write(self._cursor)
                except PlumblineError as error:
                    self._failed(error)
                    stop.pause(self._pause(error, failures, self._clock.monotonic_s() - begun))
                    failures += 1
                    continue
                failures = 0
                if not progress.more:
                    stop.wait(self._settings.poll_s)
        finally:
            self._release()

    def step(self) -> Progress:
        """Do one unit of work: a window of blocks, a reorg, a second reading, or find nothing to do.

        Raises a retryable error with the cursor where it was, or ConfigError, FinalityViolation.
        """
        try:
            if self._lease.fence:
                self._lease.renew()
            else:
                self._lease.acquire()
                self._again.take_over()
                self._cursor = None
            cursor, self._cursor = self._cursor or self._take_over(), None
            progress, self._cursor = self._advance(cursor)
        except Conflict:
            # Lost, or never had: once more from the start, or from where the other one comes to.
            self._lease.drop()
            return Progress(more=False, standby=True)
        except DoubtfulAnswer as error:
            self._doubt(error)
            raise
        return progress

    def _take_over(self) -> Cursor:
        if not self._learned:
            self._chain.learn(self._report.limits())
            self._learned = True
        remote = self._chain.remote_chain_id()
        if remote != self._chain.chain_id:
            # Not for good: a proxy may be mended while we wait. Until then nothing of it is believed.
            raise OtherHistory(f"the node of chain {self._chain.chain_id} is on chain {remote}")
        for address in self._code_unseen.copy():
            if not self._chain.has_code(address):
                # It would look healthy for ever: where there is no contract there are no logs.
                raise DoubtfulAnswer(f"there is no code at {address} on chain {self._chain.chain_id}")
            self._code_unseen.remove(address)
        cursor = self._store.take_over(self._first_blocks)
        self._way.take_over()
        self._again.look_again()
        return cursor

    def _advance(self, cursor: Cursor) -> tuple[Progress, Cursor | None]:
        if cursor.pending is not None:
            return self._way.finish(cursor, cursor.pending)
        # A block that came back may be read again as long as it can be proved, with logs that were lacking.
        head = self._tip.read(forget_through=cursor.certified - self._settings.prove_blocks)
        self._report.head(head)
        self._report.read(cursor)
        if head.number < cursor.number and cursor.contradicts(head):
            return self._way.undo(cursor, head.number)
        if head.number < cursor.number or (head.number == cursor.number and head.hash == cursor.hash):
            # A lower head of our chain is a node that lags: what it has not got yet was not taken back.
            cursor = self._read_again(cursor, head.number)
            self._record(cursor, head)
            return Progress(more=False, read_through=cursor.number, head=head.number), cursor
        progress, moved = self._way.read_on(cursor, head, self._tip.final)
        if moved is not None:
            self._record(moved, head)
            self._again.settled(self._way.settled)
            if not progress.more:
                moved = self._read_again(moved, head.number)
        return progress, moved

    def _read_again(self, cursor: Cursor, head: int) -> Cursor:
        try:
            return self._again.step(cursor, head)
        except DoubtfulAnswer as error:
            self._doubt(error)
        except ChainUnavailable as error:
            # What is read again must not hold up what is new.
            _LOG.info("chain %s: not read again yet: %s", self._chain.chain_id, error)
        self._again.failed()
        return cursor

    def _record(self, cursor: Cursor, head: Header) -> None:
        """Let the recorder have what was read, once it is published and counted as read."""
        if self._fees is not None:
            seen = self._way.seen
            self._fees.follow(cursor, head.number, self._lease.fence, seen.headers)
            self._fees.receipts(seen.blocks)
            self._way.seen = Seen()

    def _doubt(self, error: DoubtfulAnswer) -> None:
        self._chain.doubt(str(error))
        self._metrics.count(DOUBTS, chain=str(self._chain.chain_id))

    def _failed(self, error: PlumblineError) -> None:
        self._metrics.count(ERRORS, chain=str(self._chain.chain_id), code=error.code)
        final, other = not error.retryable, isinstance(error, OtherHistory)
        try:
            self._report.write(
                self._cursor, trouble=str(error), stopped=final, other_history=other, now=final or other
            )
        except PlumblineError as trouble:
            # The store is away, which is what failed, or fails besides: it is waited for like anything else.
            _LOG.warning("chain %s: the report is not written: %s", self._chain.chain_id, trouble)
            if not (final or trouble.retryable):
                raise
        if final:
            raise error
        _LOG.warning("chain %s: %s: %s", self._chain.chain_id, error.code, error)

    def _release(self) -> None:
        try:
            self._lease.release()
        except PlumblineError as error:
            if not error.retryable:
                raise
            _LOG.warning("chain %s: the lease runs out by itself: %s", self._chain.chain_id, error)

    def _pause(self, error: PlumblineError, failures: int, took_s: float) -> float:
        first, longest = self._settings.backoff_s, self._settings.max_backoff_s
        pause = min(first * 2.0 ** min(failures, 30), longest) * (0.5 + self._random() / 2)
        # A time-out was a pause already: both together go on when the node has long been back.
        pause = max(pause - took_s, min(pause, first))
        asked = error.retry_after_s if isinstance(error, RateLimited) else None
        return max(pause, asked or 0.0)
