"""One window forward, or one reorg back: read, keep what may be taken back, publish, move the cursor."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.app.follow_settings import Progress
from shared.app.read_window import (
    RangeWidth,
    Stride,
    read_by_block,
    read_by_range,
    read_headers,
    read_singly,
)
from shared.app.reorgs import common_ancestor, dropped, removals, same_chain
from shared.app.second_reading import as_one
from shared.app.told_before import disputed, doubted
from shared.domain.metrics import (
    BLOCK_LATENCY,
    LOGS_PUBLISHED,
    LOGS_REMOVED,
    RANGE_BLOCKS,
    REORG_DEPTH,
    REORGS,
)
from shared.errors import FinalityViolation, OtherHistory, RangeRefused, RateLimited

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from shared.app.chain_cursor import BlockRead, Cursor, PublishedBlock, Removal, WindowRead
    from shared.app.cursor_store import CursorStore
    from shared.app.follow_settings import FollowSettings
    from shared.app.listener_report import ListenerReport
    from shared.app.publish_logs import PublishLogs
    from shared.domain.blocks import Header
    from shared.domain.completeness import Segment
    from shared.ports import Chain, Clock, Metrics

_LOG: Final = logging.getLogger(__name__)
_BY_BLOCK_AT_ONCE: Final = 16
"""Blocks near the tip that one step reads, each by a request of its own, before the cursor moves."""
_UNSETTLED: Final = 32
"""Blocks below the head where a node's log index may lag, however final the chain calls them."""

Outcome = tuple[Progress, "Cursor | None"]
"""What a step did, and the cursor after it; None: read it from the store."""


@dataclass(frozen=True, slots=True)
class _Nearness:
    """Heights where blocks near the head begin to be treated otherwise.

    Through ``certain`` no block is taken back any more; above ``single`` blocks are remembered one by one,
    above ``by_block`` they are asked for one by one, too.
    """

    certain: int
    single: int
    by_block: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What a step came by: headers of blocks that it read one by one, and all the blocks that hold logs."""

    headers: Sequence[Header] = ()
    blocks: Sequence[BlockRead] = ()


class Advance:
    """Moves one chain's cursor.

    ``settled`` holds the segments that the last step made certain, ``seen`` what it came by.
    """

    def __init__(
        self,
        chain: Chain,
        store: CursorStore,
        publish: PublishLogs,
        clock: Clock,
        settings: FollowSettings,
        addresses: Sequence[str],
        metrics: Metrics,
        report: ListenerReport,
    ) -> None:
        self._chain = chain
        self._store = store
        self._publish = publish
        self._clock = clock
        self._settings = settings
        self._addresses = addresses
        self._metrics = metrics
        self._report = report
        self._label = str(chain.chain_id)
        self._width = RangeWidth(settings.max_range, settings.max_logs)
        self._stride = Stride(max(settings.max_range, _BY_BLOCK_AT_ONCE))
        self._published: list[PublishedBlock] = []
        self._violated: tuple[float, float] | None = None
        self._refused = False
        self._returned: Collection[str] = ()
        self.settled: Sequence[Segment] = ()
        self.seen = Seen()

    def take_over(self) -> None:
        """Read which blocks are kept; only now, when nobody with a lower fence can add to them."""
        self._published = self._store.published()

    def read_on(self, cursor: Cursor, head: Header, final: int | None) -> Outcome:
        """Read the next blocks up to ``head``; through height ``final`` the chain calls them final."""
        self.settled, self.seen = (), Seen()
        near = self._nearness(head.number, final)
        if cursor.number >= near.by_block:
            most = min(_BY_BLOCK_AT_ONCE, self._stride.blocks)
            return self._read(cursor, min(head.number, cursor.number + most), head, near)
        width = min(self._width.within(self._chain.range_limit), self._stride.blocks)
        begun = self._store.begun
        if begun is not None and not self._refused:
            # What may be published of these blocks is compared with all of them, in one reading as then.
            width = max(1, begun.last - cursor.number)
        self._metrics.gauge(RANGE_BLOCKS, width, chain=self._label)
        last = min(near.single if cursor.number < near.single else near.by_block, cursor.number + width)
        try:
            return self._read(cursor, last, head, near)
        except RangeRefused:
            self._refused = True
            if self._width.within(self._chain.range_limit) >= last - cursor.number:
                raise  # it does not know better than before: a failure like any other
            return Progress(more=True, read_through=cursor.number, head=head.number), cursor

    def publish(
        self,
        blocks: Sequence[BlockRead],
        certain: int,
        proved: Sequence[str] = (),
        *,
        begun: Segment | None = None,
    ) -> int:
        """Publish the logs of these blocks, those above height ``certain`` kept in case of a reorg.

        ``proved``: keys of disputed blocks that are proved now (see ``Disputes``). ``begun``: what they are
        a reading of, where the cursor moves past it afterwards.
        """
        self._returned = ()
        if not blocks and not proved:
            return 0
        counter, returned, kept = self._store.prepare(
            blocks, certain, self._settings.publish_batch, self._published, begun
        )
        self._returned = returned.keys()
        known = set(self._published)
        self._published += [block for block in kept if block not in known]
        batches = self._publish.appearing(self._chain.chain_id, blocks, counter, returned, proved)
        count = self._publish.send(batches)
        self._metrics.count(LOGS_PUBLISHED, count, chain=self._label)
        return count

    def undo(self, cursor: Cursor, head: int) -> Outcome:
        """Take back what is not of the chain that ends at height ``head``; DoubtfulAnswer where all is.

        FinalityViolation where that reaches below what was certified, and goes on to for a while.
        """
        try:
            ancestor, blocks = common_ancestor(self._chain, cursor, self._published, head)
        except FinalityViolation as error:
            self._confirm(error)
            raise
        return self._take_back(cursor, ancestor, blocks)

    def _confirm(self, violation: FinalityViolation) -> None:
        """Raise OtherHistory for the first while: after a violation the listener does not come back."""
        now, longest_s = self._clock.monotonic_s(), self._settings.violation_s
        first, last = self._violated or (now, now)
        first = first if now - last < longest_s else now
        self._violated = (first, now)
        if now - first < longest_s:
            raise OtherHistory(f"{violation}, unless it changes its mind") from violation

    def finish(self, cursor: Cursor, removal: Removal) -> Outcome:
        """Publish a recorded removal and go back to its ancestor; the next step reads what is stored."""
        concerned = [block for block in self._published if block.hash in removal.blocks]
        count = self._publish.send(removals(self._store, self._chain.chain_id, removal, concerned))
        moved = cursor.cut(removal.ancestor)
        self._store.move(moved, concerned)
        self._report.reorg()
        self._metrics.count(REORGS, chain=self._label)
        self._metrics.observe(REORG_DEPTH, cursor.number - moved.number, chain=self._label)
        self._metrics.count(LOGS_REMOVED, count, chain=self._label)
        _LOG.info("chain %s: back to block %s, %s logs removed", self._label, moved.number, count)
        return Progress(more=True, read_through=moved.number, removed=count), None

    def _nearness(self, head: int, final: int | None) -> _Nearness:
        single = head - self._settings.window
        if final is None:
            return _Nearness(certain=single, single=single, by_block=single)
        return _Nearness(min(single, final), single, max(single, min(final, head - _UNSETTLED)))

    def _read(self, cursor: Cursor, last: int, head: Header, near: _Nearness) -> Outcome:
        try:
            outcome = self._read_through(cursor, last, head, near)
        except RateLimited:
            self._refused = True
            self._stride.refused(last - cursor.number)
            raise
        self._stride.went_well()
        return outcome

    def _read_through(self, cursor: Cursor, last: int, head: Header, near: _Nearness) -> Outcome:
        if last == cursor.number:
            return self.undo(cursor, head.number)
        first, single = cursor.number + 1, near.single
        # A kill may have left blocks that were published and never counted as read.
        published = [block for block in self._published if first <= block.number <= last]
        every = range(first, last + 1) if first > single else (first, last)
        if first == head.number:
            headers = {first: head}
        else:
            headers = read_headers(self._chain, (*every, *(block.number for block in published)))
        if cursor.hash not in (None, headers[first].parent_hash):
            return self.undo(cursor, head.number)
        self._violated = None
        orphans = dropped(published, headers)
        if orphans:
            same_chain(self._chain)
            return self._take_back(cursor, cursor.number, orphans)
        read = doubted(self._store, self._window(first, last, headers, near), published)
        moved, settled = cursor.moved(read.segments, near.certain, single)
        count = self.publish(read.blocks, moved.certified, begun=as_one(read))
        if self._returned:
            # Nobody knows any more what was told of them before they were taken back.
            back = {it.header.number for it in read.blocks if it.header.hash in self._returned}
            read = disputed(read, back)
            moved, settled = cursor.moved(read.segments, near.certain, single)
        gone = {block for block in self._published if block.number <= moved.certified}
        self._store.move(moved, gone, settled)
        self._published = [block for block in self._published if block not in gone]
        singly = [headers[number] for number in every if number <= moved.number]
        self.seen = Seen(singly if first > single else (), read.blocks)
        self._tell(moved, headers, settled, read)
        return Progress(moved.number < head.number, moved.number, head.number, published=count), moved

    def _window(self, first: int, last: int, headers: Mapping[int, Header], near: _Nearness) -> WindowRead:
        with_senders = self._settings.with_senders
        asked = [headers[number] for number in range(first, last + 1)] if first > near.single else []
        if first > near.by_block:
            # Neither a reorg nor a node that lags can pass off less than the block has.
            return read_by_block(self._chain, asked, self._addresses, with_senders=with_senders)
        if asked:
            read = read_singly(self._chain, asked, self._addresses, with_senders=with_senders)
        else:
            read = read_by_range(
                self._chain, first, headers, last, self._addresses, with_senders=with_senders
            )
        self._width.adapt(sum(segment.logs for segment in read.segments))
        return read

    def _tell(
        self, moved: Cursor, headers: Mapping[int, Header], settled: Sequence[Segment], read: WindowRead
    ) -> None:
        self.settled = settled
        if settled:
            self._report.certified()
        self._report.read(moved, headers[moved.number].timestamp)
        if moved.certified < moved.number - 1:
            now = self._clock.now().timestamp()
            for block in read.blocks:
                self._metrics.observe(
                    BLOCK_LATENCY, max(0.0, now - block.header.timestamp), chain=self._label
                )

    def _take_back(self, cursor: Cursor, ancestor: int, blocks: Mapping[str, int]) -> Outcome:
        removal = self._store.take_back(cursor, ancestor, blocks)
        return self.finish(cursor, removal)
