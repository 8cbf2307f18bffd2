"""What is known of each chain's tip: heads, the reorg counter, and the blocks that were taken back.

``chain_heads/{chainId}`` is the one document from which finality is derived on reading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.domain.blocks import Header
    from shared.ports import Clock, Document, Documents, Transaction

CHAIN_HEADS: Final = "chain_heads"


class ChainHeads:
    """Reads and moves ``chain_heads/{chainId}``: latest, safe, finalized, reorgCounter, removedBlocks."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock

    def read(self, chain_id: int) -> Document:
        """Return the document, empty where the chain was never read."""
        return self._documents.get(CHAIN_HEADS, str(chain_id)) or {}

    def reorg_counter(self, chain_id: int) -> int:
        """Return how many times blocks of the chain were taken back."""
        return int(self.read(chain_id).get("reorgCounter", 0))

    def removed_blocks(self, chain_id: int) -> dict[str, int]:
        """Return the reorg counter at which each block hash above finality was taken back."""
        return {key: seq for key, (_, seq) in self.read(chain_id).get("removedBlocks", {}).items()}

    def take_back(self, chain_id: int, blocks: Mapping[str, int]) -> int:
        """Raise the reorg counter and record block hashes (with their numbers) as removed; return it.

        One write, made before anything that refers to it: a crash after it is replayed.
        """

        def work(transaction: Transaction) -> int:
            document = transaction.get(CHAIN_HEADS, str(chain_id)) or _empty(chain_id)
            counter = int(document["reorgCounter"]) + 1
            removed = {**document["removedBlocks"], **{h: [number, counter] for h, number in blocks.items()}}
            transaction.put(
                CHAIN_HEADS,
                str(chain_id),
                {**document, "reorgCounter": counter, "removedBlocks": removed},
            )
            return counter

        return self._documents.transaction(work)

    def move(self, chain_id: int, latest: Header, safe: Header | None, finalized: Header | None) -> None:
        """Record the heads, and forget removed blocks below finality, which cannot come back."""

        def work(transaction: Transaction) -> None:
            document = transaction.get(CHAIN_HEADS, str(chain_id)) or _empty(chain_id)
            floor = finalized.number if finalized else -1
            removed = {key: value for key, value in document["removedBlocks"].items() if value[0] > floor}
            heads: dict[str, Any] = {
                name: {"number": header.number, "hash": header.hash, "timestamp": header.timestamp}
                for name, header in (("latest", latest), ("safe", safe), ("finalized", finalized))
                if header is not None
            }
            seen = {"removedBlocks": removed, "seenAt": self._clock.now().isoformat()}
            transaction.put(CHAIN_HEADS, str(chain_id), {**document, **heads, **seen})

        self._documents.transaction(work)


def _empty(chain_id: int) -> Document:
    return {"chainId": chain_id, "reorgCounter": 0, "removedBlocks": {}}
