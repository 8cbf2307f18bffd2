"""Following a chain: back-fill, live, catching up and reorgs are one loop, with a durable cursor."""

from __future__ import annotations

import logging
from random import SystemRandom
from typing import TYPE_CHECKING, Final

from shared.app.chain_cursor import Batch, Cursor, PublishedBlock, Removal
from shared.app.chain_tip import ChainTip
from shared.app.cursor_store import CursorStore
from shared.app.follow_settings import FollowSettings, Progress, StopSignal
from shared.app.lease import Lease
from shared.app.publish_logs import PublishLogs
from shared.app.read_window import RangeWidth, logs_by_hash, logs_by_range, read_headers
from shared.app.reorgs import common_ancestor, dropped, removals
from shared.errors import ConfigError, Conflict, PlumblineError, RangeRefused, RateLimited

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from shared.domain.blocks import Header
    from shared.domain.contract import Registry
    from shared.ports import Bus, Chain, Clock, Documents, RawLog

__all__ = ["FollowChain", "FollowSettings", "Progress", "StopSignal"]

_LOG: Final = logging.getLogger(__name__)
_BY_HASH_AT_ONCE: Final = 16
"""Blocks above finality that one step reads, each by a request of its own, before the cursor moves."""


class FollowChain:
    """Publishes every log of a chain's contracts at least once, and the removal of what a reorg undid."""

    def __init__(
        self,
        chain: Chain,
        documents: Documents,
        bus: Bus,
        registry: Registry,
        clock: Clock,
        settings: FollowSettings,
        *,
        owner: str | None = None,
        random: Callable[[], float] | None = None,
    ) -> None:
        specs = registry.on_chain(chain.chain_id)
        if not specs:
            raise ConfigError(f"no contract on chain {chain.chain_id} in the registry")
        start = settings.start_block
        self._first_blocks = {s.address: s.deployment_block if start is None else start for s in specs}
        self._addresses = list(self._first_blocks)
        self._chain = chain
        self._settings = settings
        self._lease = Lease(documents, clock, f"follow-chain:{chain.chain_id}", settings.lease_s, owner)
        self._store = CursorStore(documents, clock, self._lease, chain.chain_id)
        self._publish = PublishLogs(bus, settings.topic, settings.publish_batch, self._lease.renew)
        self._tip = ChainTip(chain, documents, clock, specs, settings.poll_s)
        self._width = RangeWidth(settings.max_range)
        self._random = random or SystemRandom().random
        self._cursor: Cursor | None = None
        self._published: list[PublishedBlock] = []

    def run(self, stop: StopSignal) -> None:
        """Follow until told to stop, the step in hand finished; then give the lease back.

        Retryable errors are waited out, longer each time; a permanent one (ConfigError,
        FinalityViolation) is raised.
        """
        failures = 0
        try:
            while not stop.is_set():
                try:
                    progress = self.step()
                except PlumblineError as error:
                    if not error.retryable:
                        raise
                    _LOG.warning("chain %s: %s: %s", self._chain.chain_id, error.code, error)
                    stop.wait(self._pause(error, failures))
                    failures += 1
                    continue
                failures = 0
                if not progress.more:
                    stop.wait(self._settings.poll_s)
        finally:
            self._lease.release()

    def step(self) -> Progress:
        """Do one unit of work: a window of blocks, or a reorg, or find that there is nothing to do.

        Raises a retryable error with the cursor where it was, or ConfigError, FinalityViolation.
        """
        try:
            if self._lease.fence:
                self._lease.renew()
            else:
                self._lease.acquire()
                self._cursor = None
            cursor, self._cursor = self._cursor or self._take_over(), None
            progress, self._cursor = self._advance(cursor)
        except Conflict:
            # Lost, or never had: once more from the start, or from where the other one comes to.
            self._lease.drop()
            return Progress(more=False, standby=True)
        return progress

    def _take_over(self) -> Cursor:
        remote = self._chain.remote_chain_id()
        if remote != self._chain.chain_id:
            raise ConfigError(f"the node of chain {self._chain.chain_id} is on chain {remote}")
        cursor = self._store.take_over(self._first_blocks)
        # Only now: from here on nobody with a lower fence can add to them.
        self._published = self._store.published()
        return cursor

    def _advance(self, cursor: Cursor) -> tuple[Progress, Cursor | None]:
        if cursor.pending is not None:
            return self._finish(cursor, cursor.pending)
        head = self._tip.read(forget_through=cursor.window[0][0])
        if head.number < cursor.number or (head.number == cursor.number and head.hash == cursor.hash):
            # A lower head is a node that lags: what it has not got yet was not taken back.
            return Progress(more=False, read_through=cursor.number, head=head.number), cursor
        final = head.number - self._settings.window
        if cursor.number >= final:
            return self._read(cursor, min(head.number, cursor.number + _BY_HASH_AT_ONCE), head)
        last = min(final, cursor.number + self._width.blocks)
        try:
            return self._read(cursor, last, head)
        except RangeRefused:
            if not self._width.narrow(last - cursor.number):
                raise
            return Progress(more=True, read_through=cursor.number, head=head.number), cursor

    def _read(self, cursor: Cursor, last: int, head: Header) -> tuple[Progress, Cursor | None]:
        if last == cursor.number:
            return self._undo(cursor)
        first, final = cursor.number + 1, head.number - self._settings.window
        # A kill may have left blocks that were published and never counted as read.
        published = [block for block in self._published if first <= block.number <= last]
        every = range(first, last + 1) if first > final else (first, last)
        headers = read_headers(self._chain, (*every, *(block.number for block in published)))
        if cursor.hash not in (None, headers[first].parent_hash):
            return self._undo(cursor)
        orphans = dropped(published, headers)
        if orphans:
            return self._take_back(cursor, cursor.number, orphans)
        if first > final:
            # By hash no reorg, and no node that lags, can pass off less than the block has.
            found = logs_by_hash(self._chain, [headers[number] for number in every], self._addresses)
        else:
            found = logs_by_range(self._chain, first, last, self._addresses, headers)
            self._width.adapt(sum(map(len, found.values())), self._settings.max_logs)
        moved = cursor.moved(
            [headers[number] for number in every if number >= final or number == last], final
        )
        return self._count_as_read(moved, head, found)

    def _count_as_read(
        self, moved: Cursor, head: Header, found: Mapping[Header, Sequence[RawLog]]
    ) -> tuple[Progress, Cursor]:
        count = self._publish_found(found, head.number - self._settings.window) if found else 0
        settled = {block for block in self._published if block.number <= moved.window[0][0]}
        self._store.move(moved, settled)
        if settled:
            self._published = [block for block in self._published if block not in settled]
        return Progress(moved.number < head.number, moved.number, head.number, published=count), moved

    def _publish_found(self, found: Mapping[Header, Sequence[RawLog]], final: int) -> int:
        by_hash = {header.hash: logs for header, logs in found.items()}
        batch = Batch(by_hash, [header for header in found if header.number > final])
        counter, returned, kept = self._store.prepare(batch, self._settings.publish_batch)
        known = set(self._published)
        self._published += [block for block in kept if block not in known]
        return self._publish.send(self._publish.appearing(self._chain.chain_id, found, counter, returned))

    def _undo(self, cursor: Cursor) -> tuple[Progress, Cursor | None]:
        ancestor = common_ancestor(self._chain, cursor)
        blocks = {block_hash: n for n, block_hash in cursor.window if n > ancestor and block_hash is not None}
        return self._take_back(cursor, ancestor, blocks)

    def _take_back(
        self, cursor: Cursor, ancestor: int, blocks: Mapping[str, int]
    ) -> tuple[Progress, Cursor | None]:
        removal = self._store.take_back(cursor, ancestor, blocks)
        return self._finish(cursor, removal)

    def _finish(self, cursor: Cursor, removal: Removal) -> tuple[Progress, None]:
        """Publish a recorded removal and go back to its ancestor; the next step reads what is stored."""
        concerned = [block for block in self._published if block.hash in removal.blocks]
        count = self._publish.send(removals(self._store, self._chain.chain_id, removal, concerned))
        moved = cursor.cut(removal.ancestor)
        self._store.move(moved, concerned)
        _LOG.info("chain %s: back to block %s, %s logs removed", self._chain.chain_id, moved.number, count)
        return Progress(more=True, read_through=moved.number, removed=count), None

    def _pause(self, error: PlumblineError, failures: int) -> float:
        longest = min(self._settings.backoff_s * 2.0 ** min(failures, 30), self._settings.max_backoff_s)
        asked = error.retry_after_s if isinstance(error, RateLimited) else None
        return max(longest * (0.5 + self._random() / 2), asked or 0.0)
