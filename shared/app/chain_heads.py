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
            return raise_counter(transaction, chain_id, read_heads(transaction, chain_id), blocks)

        return self._documents.transaction(work)

    def move(
        self,
        chain_id: int,
        latest: Header,
        safe: Header | None,
        finalized: Header | None,
        forget_through: int = -1,
    ) -> None:
        """Record the heads, and forget removed blocks up to height ``forget_through``.

        Those can neither come back nor be waiting to be read again: neither finality nor a certificate alone
        tells that.
        """

        def work(transaction: Transaction) -> None:
            document = read_heads(transaction, chain_id)
            removed = {
                k: value for k, value in document["removedBlocks"].items() if value[0] > forget_through
            }
            heads: dict[str, Any] = {
                name: {"number": header.number, "hash": header.hash, "timestamp": header.timestamp}
                for name, header in (("latest", latest), ("safe", safe), ("finalized", finalized))
                if header is not None
            }
            seen = {"removedBlocks": removed, "seenAt": self._clock.now().isoformat()}
            transaction.put(CHAIN_HEADS, str(chain_id), {**document, **heads, **seen})

        self._documents.transaction(work)


def read_heads(transaction: Transaction, chain_id: int) -> Document:
    """Return the chain's document as of a transaction; with counter 0 where the chain was never read."""
    stored = transaction.get(CHAIN_HEADS, str(chain_id))
    return stored or {"chainId": chain_id, "reorgCounter": 0, "removedBlocks": {}}


def raise_counter(transaction: Transaction, chain_id: int, heads: Document, blocks: Mapping[str, int]) -> int:
    """Write ``heads`` (from ``read_heads``) with the reorg counter raised and these blocks removed at it."""
    counter = int(heads["reorgCounter"]) + 1
    removed = {**heads["removedBlocks"], **{key: [number, counter] for key, number in blocks.items()}}
    document = {**heads, "reorgCounter": counter, "removedBlocks": removed}
    transaction.put(CHAIN_HEADS, str(chain_id), document)
    return counter
