"""What becomes of two readings of the same blocks that do not tell the same."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from shared.domain.completeness import PROVED, SINGLE, Segment
from shared.domain.metrics import DIFFERENCES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shared.app.chain_cursor import BlockRead, WindowRead
    from shared.app.disputes import Disputes
    from shared.domain.blocks import Header
    from shared.ports import Metrics

_LOG: Final = logging.getLogger(__name__)


class Differences:
    """Counts the differences of one chain, and publishes what a later reading gave.

    ``publish`` takes blocks, the height up to which they are certain, and what ``disputes`` has on file of
    them. ``addresses``: the contracts whose logs are read.
    """

    def __init__(
        self,
        chain_id: int,
        addresses: Sequence[str],
        publish: Callable[[Sequence[BlockRead], int, Sequence[str]], int],
        disputes: Disputes,
        metrics: Metrics,
    ) -> None:
        self._chain_id = chain_id
        self._addresses = addresses
        self._publish = publish
        self._disputes = disputes
        self._metrics = metrics

    def found(self, once: Segment, again: Segment) -> bool:
        """Say whether logs are to be published again: others than were told, or what settles a dispute."""
        if again.agrees_with(once):
            return once.disputed and again.grade == PROVED
        _LOG.warning(
            "chain %s: blocks %s to %s have other logs when read again: these are published",
            self._chain_id, once.first, once.last,
        )  # fmt: skip
        self._metrics.count(DIFFERENCES, chain=str(self._chain_id))
        return True

    def publish(self, read: WindowRead, certain: int, headers: Sequence[Header]) -> None:
        """Publish the logs that were read, and what they prove of the blocks with these headers."""
        on_file = self._disputes.record(self._chain_id, headers, read, self._addresses)
        proved = {segment.hash for segment in read.segments if segment.grade == PROVED}
        # Apart: a message that says what is proved restates its logs, whenever it arrives.
        self._publish([block for block in read.blocks if block.header.hash not in proved], certain, ())
        self._publish([block for block in read.blocks if block.header.hash in proved], certain, on_file)


def both(once: Segment, again: Segment, grade: str) -> Segment:
    """Return the second reading; where it has settled the matter both are its witnesses.

    The same endpoint twice is named twice.
    """
    agrees = again.agrees_with(once)
    witnesses = again.witnesses if grade == SINGLE or not agrees else (*once.witnesses, *again.witnesses)
    disputed = grade != PROVED and (once.disputed or not agrees)
    return replace(again, grade=grade, witnesses=witnesses, disputed=disputed)
