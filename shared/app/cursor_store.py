"""How far a chain has been read, stored to survive a kill: every write under the lease's fence.

``chain_cursors/{chainId}``: ``readThrough`` and its ``hash``, ``window`` (number and hash of the blocks
that a reorg may take back, oldest first, headed by one that it may not), ``contracts`` (whose logs were
asked for), ``pending`` (a removal that is recorded and perhaps not published), ``fence``, ``readAt``.
``published_blocks/{chainId}:{blockHash}``: the logs of a block above finality, written before they are
published, since a node forgets the logs of a block that it has dropped.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from shared.app.chain_cursor import Batch, Cursor, PublishedBlock, Removal
from shared.app.chain_heads import raise_counter, read_heads
from shared.errors import Conflict
from shared.ports import Query

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from shared.app.lease import Lease
    from shared.ports import Clock, Document, Documents, Transaction

CURSORS: Final = "chain_cursors"
PUBLISHED: Final = "published_blocks"


class CursorStore:
    """Reads and writes one chain's cursor and published blocks; Conflict where the fence is outrun."""

    def __init__(self, documents: Documents, clock: Clock, lease: Lease, chain_id: int) -> None:
        self._documents = documents
        self._clock = clock
        self._lease = lease
        self._chain_id = chain_id

    def take_over(self, first_blocks: Mapping[str, int]) -> Cursor:
        """Return the stored cursor, from now on closed to holders of a lower fence.

        ``first_blocks`` is the block at which each contract begins. Where no cursor is stored, it stands
        before the lowest; where a contract has joined since, before what was read without it.
        """

        def work(transaction: Transaction) -> Cursor:
            document = self._fenced(transaction)
            known = document["contracts"] if document else []
            joined = [first for address, first in first_blocks.items() if address not in known]
            cursor = Cursor.decode(document) if document else Cursor.before(min(joined))
            if cursor.pending is None and any(first <= cursor.number for first in joined):
                cursor = Cursor.before(min(joined))
            if cursor.pending is None:
                known = sorted(first_blocks)
            self._put(transaction, cursor, document["readAt"] if document else None, known)
            return cursor

        return self._documents.transaction(work)

    def published(self) -> list[PublishedBlock]:
        """Return the blocks above finality whose logs were published, lowest first."""
        query = Query(
            where=(("chainId", self._chain_id),), order_by="number", fields=("chainId", "number", "hash")
        )
        found = self._documents.query(PUBLISHED, query)
        return [PublishedBlock(key, block["number"], block["hash"]) for key, block in found]

    def published_logs(self, blocks: Sequence[PublishedBlock]) -> list[Document]:
        """Return the documents of published blocks: ``logs`` as the node gave them, and ``timestamp``."""
        found = self._documents.get_many(PUBLISHED, [block.key for block in blocks])
        return [found[block.key] for block in blocks if block.key in found]

    def prepare(self, batch: Batch, part_size: int) -> tuple[int, dict[str, int], list[PublishedBlock]]:
        """Keep what may have to be taken back, before it is published.

        Returns the reorg counter to publish at, the counter at which each block of the batch that is
        canonical again had been taken back, and the documents written. A block taken back at the
        present value of the counter raises it, so that what is published now outranks the removal.
        """
        parts = self._parts(batch, part_size)

        def work(transaction: Transaction) -> tuple[int, dict[str, int]]:
            self._fenced(transaction)
            heads = read_heads(transaction, self._chain_id)
            counter, removed = int(heads["reorgCounter"]), heads["removedBlocks"]
            returned = {key: int(removed[key][1]) for key in batch.logs_by_block if key in removed}
            if any(taken_back >= counter for taken_back in returned.values()):
                counter = raise_counter(transaction, self._chain_id, heads, {})
            for block, document in parts.items():
                transaction.put(PUBLISHED, block.key, document)
            return counter, returned

        counter, returned = self._documents.transaction(work)
        return counter, returned, list(parts)

    def move(self, cursor: Cursor, forgotten: Iterable[PublishedBlock]) -> None:
        """Write the cursor, and drop published blocks that nothing can take back any more."""
        read_at = self._clock.now().isoformat()

        def work(transaction: Transaction) -> None:
            document = self._fenced(transaction)
            self._put(transaction, cursor, read_at, _contracts(document))
            for block in forgotten:
                transaction.delete(PUBLISHED, block.key)

        self._documents.transaction(work)

    def take_back(self, cursor: Cursor, ancestor: int, blocks: Mapping[str, int]) -> Removal:
        """Raise the reorg counter, and record the removal as pending, in one write.

        Whoever finds it pending publishes it at that counter, however often; nothing raises it twice.
        """
        read_at = self._clock.now().isoformat()

        def work(transaction: Transaction) -> Removal:
            document = self._fenced(transaction)
            heads = read_heads(transaction, self._chain_id)
            counter = raise_counter(transaction, self._chain_id, heads, blocks)
            removal = Removal(counter, ancestor, blocks)
            self._put(transaction, replace(cursor, pending=removal), read_at, _contracts(document))
            return removal

        return self._documents.transaction(work)

    def _parts(self, batch: Batch, size: int) -> dict[PublishedBlock, Document]:
        parts = {}
        for header in batch.kept:
            logs = batch.logs_by_block[header.hash]
            for at in range(0, len(logs), size):
                suffix = f":{at}" if at else ""
                block = PublishedBlock(f"{self._chain_id}:{header.hash}{suffix}", header.number, header.hash)
                parts[block] = {
                    "chainId": self._chain_id,
                    "number": header.number,
                    "hash": header.hash,
                    "timestamp": header.timestamp,
                    "logs": list(logs[at : at + size]),
                }
        return parts

    def _fenced(self, transaction: Transaction) -> Document | None:
        document = transaction.get(CURSORS, str(self._chain_id))
        if not self._lease.fence or (document and int(document["fence"]) > self._lease.fence):
            raise Conflict(f"another listener of chain {self._chain_id} has taken over")
        return document

    def _put(
        self, transaction: Transaction, cursor: Cursor, read_at: str | None, contracts: Sequence[str]
    ) -> None:
        document = {
            "chainId": self._chain_id,
            **cursor.encode(),
            "contracts": list(contracts),
            "fence": self._lease.fence,
            "readAt": read_at,
        }
        transaction.put(CURSORS, str(self._chain_id), document)


def _contracts(document: Document | None) -> list[str]:
    return list(document["contracts"]) if document else []
