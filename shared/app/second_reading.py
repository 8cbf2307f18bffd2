"""How blocks are read a second time: as a range, or block by block where that may prove them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.app.read_window import RangeWidth, read_by_block, read_by_range, read_headers
from shared.domain.completeness import LOT_BLOCKS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.app.chain_cursor import WindowRead
    from shared.app.follow_settings import FollowSettings
    from shared.domain.blocks import Header
    from shared.domain.completeness import Segment
    from shared.ports import Chain


class SecondReading:
    """Reads blocks of one chain again, for the logs of these contracts.

    ``provable``: a block of this chain that holds such logs was proved.
    """

    def __init__(self, chain: Chain, settings: FollowSettings, addresses: Sequence[str]) -> None:
        self._chain = chain
        self._addresses = addresses
        self._with_senders = settings.with_senders
        self.provable = False
        self._width = RangeWidth(settings.max_range, settings.max_logs)

    def by_range(self, first: int, last: int, witnesses: Sequence[str]) -> WindowRead:
        """Read from ``first`` as far as ``last``, or as one query reaches; not from a witness if possible."""
        through = min(last, first + self._width.within(self._chain.range_limit) - 1)
        read = read_by_range(
            self._chain, first, read_headers(self._chain, [through]), through, self._addresses,
            other_than=witnesses[0] if witnesses else None, with_senders=self._with_senders,
        )  # fmt: skip
        self._width.adapt(sum(segment.logs for segment in read.segments))
        return read

    def by_block(self, first: int, last: int) -> tuple[list[Header], WindowRead]:
        """Read a lot of blocks from ``first`` as far as ``last`` one by one; return their headers, too."""
        numbers = range(first, min(first + LOT_BLOCKS - 1, last) + 1)
        headers = list(read_headers(self._chain, numbers).values())
        return headers, read_by_block(self._chain, headers, self._addresses, with_senders=self._with_senders)


def as_one(read: WindowRead) -> Segment:
    """Return what was read as one segment."""
    whole, *more = read.segments
    for segment in more:
        whole = whole.joined(segment)
    return whole
