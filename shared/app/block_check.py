"""Whether the blocks that stored logs lie in are still the chain's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.ports import Chain

_REMEMBERED: Final = 20_000
"""Hashes kept in memory, about 3 MB; beyond it a run asks again."""


class BlockCheck:
    """Compares block hashes of events with the chain's, asking for each height once in a run."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._hashes: dict[int, str | None] = {}

    def gone(self, events: Mapping[str, Mapping[str, Any]]) -> set[str]:
        """Return the ids of those events whose block has another hash at its height.

        One request a height. A height that the node does not have tells nothing, nor does an event without
        a block. That a block differs is a suspicion, to be settled by a majority before anything is judged.
        """
        told = {}
        for identity, event in events.items():
            data = event.get("data")
            at = (data.get("blockNumber"), data.get("blockHash")) if isinstance(data, dict) else (None, None)
            if isinstance(at[0], int) and isinstance(at[1], str):
                told[identity] = (at[0], at[1])
        if len(self._hashes) > _REMEMBERED:
            self._hashes.clear()
        asked = sorted({number for number, _ in told.values()} - self._hashes.keys())
        headers = self._chain.headers(asked) if asked else []
        self._hashes.update({number: h.hash if h else None for number, h in zip(asked, headers, strict=True)})
        return {
            identity
            for identity, (number, block_hash) in told.items()
            if self._hashes[number] not in (None, block_hash)
        }
