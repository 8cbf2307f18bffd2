"""The tip of a chain as a listener sees it, recorded in ``chain_heads`` as it moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.app.chain_heads import ChainHeads
from shared.app.read_window import read_headers
from shared.errors import ChainUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.app.follow_settings import FollowSettings
    from shared.domain.blocks import Header
    from shared.domain.contract import ContractSpec
    from shared.ports import Chain, Clock, Documents

_SAFE: Final = "safe"
_FINALIZED: Final = "finalized"
_ASK_AGAIN_S: Final = 60.0
"""Pause before a tag is asked for again that the node did not have: most never have it."""


class ChainTip:
    """Reads a chain's head, and records it with safe and finalized at most so often.

    Where a contract's finality is a depth, the deepest depth stands for the ``finalized`` tag.
    """

    def __init__(
        self,
        chain: Chain,
        documents: Documents,
        clock: Clock,
        specs: Sequence[ContractSpec],
        settings: FollowSettings,
    ) -> None:
        self._chain = chain
        self._clock = clock
        self._heads = ChainHeads(documents, clock)
        self._depth = max((s.finality.depth for s in specs if s.finality.depth is not None), default=None)
        self._settings = settings
        self._due = 0.0
        self._tags_due = 0.0
        self._safe: Header | None = None
        self._finalized: Header | None = None
        self._lacks: dict[str, float] = {}

    def read(self, forget_through: int) -> Header:
        """Return the head; blocks taken back up to height ``forget_through`` need not be remembered."""
        head = self._chain.head()
        now = self._clock.monotonic_s()
        if now >= self._tags_due:
            self._safe = self._tagged(_SAFE)
            self._finalized = self._final(head)
            self._tags_due = now + self._settings.tags_s
        if now >= self._due:
            self._heads.move(self._chain.chain_id, head, self._safe, self._finalized, forget_through)
            self._due = now + self._settings.poll_s
        return head

    @property
    def final(self) -> int | None:
        """The height of the last final block; None where the node cannot say."""
        return None if self._finalized is None else self._finalized.number

    def _final(self, head: Header) -> Header | None:
        if self._depth is None:
            return self._tagged(_FINALIZED)
        number = max(head.number - self._depth, 0)
        return head if number == head.number else read_headers(self._chain, [number])[number]

    def _tagged(self, tag: str) -> Header | None:
        if self._clock.monotonic_s() < self._lacks.get(tag, 0.0):
            return None
        try:
            return self._chain.head(tag)
        except ChainUnavailable:
            self._lacks[tag] = self._clock.monotonic_s() + _ASK_AGAIN_S
            return None
