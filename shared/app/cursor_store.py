"""How far a chain has been read, stored to survive a kill: every write under the lease's fence.

``chain_cursors/{chainId}``: ``readThrough`` and its ``hash``, ``window`` (what was read of the blocks that
a reorg may take back, oldest first, headed by one that it may not), ``contracts`` (whose logs were asked
for), ``pending`` (a removal that is recorded and perhaps not published), ``begun`` (a reading of certain
blocks that was published, or was about to be, and not counted as read), ``certificate`` (where the last
certificate begins), ``fence``, ``readAt``.
``published_blocks/{chainId}:{blockHash}``: the logs of a block above finality, written before they are
published, since a node forgets the logs of a block that it has dropped.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from shared.app.certificates import Certificate, Certificates
from shared.app.chain_cursor import BlockRead, Cursor, PublishedBlock, Removal
from shared.app.chain_heads import raise_counter, read_heads
from shared.app.log_batch import cut
from shared.domain.completeness import Segment
from shared.errors import Conflict
from shared.ports import Query

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from shared.app.lease import Lease
    from shared.ports import Clock, Document, Documents, RawLog, Transaction

CURSORS: Final = "chain_cursors"
PUBLISHED: Final = "published_blocks"
_LOGS_A_DOCUMENT: Final = 500
_BYTES_A_DOCUMENT: Final = 700_000
"""Firestore takes 1 MiB, and the senders are kept beside the logs."""


class CursorStore:
    """Reads and writes one chain's cursor and published blocks; Conflict where the fence is outrun."""

    def __init__(self, documents: Documents, clock: Clock, lease: Lease, chain_id: int) -> None:
        self._documents = documents
        self._clock = clock
        self._lease = lease
        self._chain_id = chain_id
        self.certificates = Certificates(documents, chain_id)
        self.begun: Segment | None = None
        """What whoever died or failed before may have published of the blocks to be read next."""

    def take_over(self, first_blocks: Mapping[str, int]) -> Cursor:
        """Return the stored cursor, from now on closed to holders of a lower fence.

        ``first_blocks`` is the block at which each contract begins. Where no cursor is stored, it stands
        before the lowest; where a contract has joined since, before what was read without it, and what
        was certified without it is forgotten.
        """
        # Before the cursor goes back: killed in between, the next one finds the contract joining still.
        again = self._joining(self._documents.get(CURSORS, str(self._chain_id)), first_blocks)
        if again is not None:
            self.certificates.forget_from(again)

        def work(transaction: Transaction) -> Cursor:
            document = self._fenced(transaction)
            if document is None:
                cursor = Cursor.before(min(first_blocks.values()))
                self._put(transaction, cursor, {"contracts": sorted(first_blocks)}, None)
                self.begun = None
                return cursor
            cursor = Cursor.decode(document)
            again = self._joining(document, first_blocks)
            if again is not None:
                cursor = Cursor.before(again)
                document = {**document, "certificate": None}
            if cursor.pending is None:
                document = {**document, "contracts": sorted(first_blocks)}
            self._put(transaction, cursor, document, document["readAt"])
            begun = document.get("begun")
            self.begun = Segment.decode(begun) if begun else None
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

    def prepare(
        self,
        blocks: Sequence[BlockRead],
        certain: int,
        most_logs: int,
        published: Iterable[PublishedBlock] = (),
        begun: Segment | None = None,
    ) -> tuple[int, dict[str, int], list[PublishedBlock]]:
        """Keep what may have to be taken back (above height ``certain``), before it is published.

        Of the rest ``begun`` is kept, the reading that it is of, until the cursor has moved past it.

        Of what is ``published`` already each block keeps the logs that this reading lacks: they were told of.

        Returns the reorg counter to publish at, the counter at which each block that is canonical again
        had been taken back, and the documents written. A block taken back at the present value of the
        counter raises it, so that what is published now outranks the removal.
        """
        uncertain = [block for block in blocks if block.header.number > certain]
        concerned = {block.header.hash for block in uncertain}
        known = [block.key for block in published if block.hash in concerned]

        def work(transaction: Transaction) -> tuple[int, dict[str, int], list[PublishedBlock]]:
            cursor = self._fenced(transaction)
            before = [document for key in known if (document := transaction.get(PUBLISHED, key))]
            parts = self._parts([_with_known(block, before) for block in uncertain], most_logs)
            heads = read_heads(transaction, self._chain_id)
            counter, removed = int(heads["reorgCounter"]), heads["removedBlocks"]
            hashes = [block.header.hash for block in blocks]
            returned = {key: int(removed[key][1]) for key in hashes if key in removed}
            if any(taken_back >= counter for taken_back in returned.values()):
                counter = raise_counter(transaction, self._chain_id, heads, {})
            if cursor is not None and begun is not None and len(uncertain) < len(blocks):
                transaction.put(CURSORS, str(self._chain_id), {**cursor, "begun": begun.encode()})
            for block, document in parts.items():
                transaction.put(PUBLISHED, block.key, document)
            return counter, returned, list(parts)

        return self._documents.transaction(work)

    def move(
        self, cursor: Cursor, forgotten: Iterable[PublishedBlock], settled: Sequence[Segment] = ()
    ) -> None:
        """Write the cursor and the certificates of what is certain now, in one.

        Published blocks that nothing can take back any more are dropped with it.
        """
        read_at = self._clock.now().isoformat()

        def work(transaction: Transaction) -> None:
            document = self._fenced(transaction) or {}
            if settled:
                last = self.certificates.last(transaction, document.get("certificate"))
                begins = self.certificates.append(transaction, last, settled, read_at)
                document = {**document, "certificate": begins}
            self._put(transaction, cursor, document, read_at)
            for block in forgotten:
                transaction.delete(PUBLISHED, block.key)

        self._documents.transaction(work)
        if self.begun is not None and self.begun.last <= cursor.number:
            self.begun = None

    def certify(self, segment: Segment, read_at: str) -> None:
        """Write what a further reading of a certificate's range gave."""
        certificate = Certificate(segment, read_at, self._clock.now().isoformat())

        def work(transaction: Transaction) -> None:
            self._fenced(transaction)
            self.certificates.put(transaction, certificate)

        self._documents.transaction(work)

    def take_back(self, cursor: Cursor, ancestor: int, blocks: Mapping[str, int]) -> Removal:
        """Raise the reorg counter, and record the removal as pending, in one write.

        Whoever finds it pending publishes it at that counter, however often; nothing raises it twice.
        """
        read_at = self._clock.now().isoformat()

        def work(transaction: Transaction) -> Removal:
            document = self._fenced(transaction) or {}
            heads = read_heads(transaction, self._chain_id)
            counter = raise_counter(transaction, self._chain_id, heads, blocks)
            removal = Removal(counter, ancestor, blocks)
            self._put(transaction, replace(cursor, pending=removal), document, read_at)
            return removal

        return self._documents.transaction(work)

    def _joining(self, document: Document | None, first_blocks: Mapping[str, int]) -> int | None:
        """Return where contracts begin that have joined since, if that is in what was read without them."""
        if document is None or document["pending"] is not None:
            return None
        firsts = [first for address, first in first_blocks.items() if address not in document["contracts"]]
        return min(firsts) if firsts and min(firsts) <= document["readThrough"] else None

    def _parts(self, blocks: Sequence[BlockRead], most_logs: int) -> dict[PublishedBlock, Document]:
        parts = {}
        for read in blocks:
            header = read.header
            for at, logs in cut(read.logs, min(most_logs, _LOGS_A_DOCUMENT), _BYTES_A_DOCUMENT):
                suffix = f":{at}" if at else ""
                block = PublishedBlock(f"{self._chain_id}:{header.hash}{suffix}", header.number, header.hash)
                parts[block] = {
                    "chainId": self._chain_id,
                    "number": header.number,
                    "hash": header.hash,
                    "timestamp": header.timestamp,
                    "logs": list(logs),
                    "senders": dict(read.senders),
                }
        return parts

    def _fenced(self, transaction: Transaction) -> Document | None:
        document = transaction.get(CURSORS, str(self._chain_id))
        if not self._lease.fence or (document and int(document["fence"]) > self._lease.fence):
            raise Conflict(f"another listener of chain {self._chain_id} has taken over")
        return document

    def _put(self, transaction: Transaction, cursor: Cursor, before: Document, read_at: str | None) -> None:
        begun = before.get("begun")
        document = {
            "chainId": self._chain_id,
            **cursor.encode(),
            "begun": begun if begun and begun["number"] > cursor.number else None,
            "contracts": list(before.get("contracts", ())),
            "certificate": before.get("certificate"),
            "fence": self._lease.fence,
            "readAt": read_at,
        }
        transaction.put(CURSORS, str(self._chain_id), document)


def _with_known(read: BlockRead, documents: Iterable[Document]) -> BlockRead:
    """Return a reading of a block with the logs and senders that documents of the same block have besides."""
    own = [document for document in documents if document["hash"] == read.header.hash]
    if not own:
        return read
    logs = {_place(log): log for document in own for log in document["logs"]}
    logs |= {_place(log): log for log in read.logs}
    senders = {key: sender for document in own for key, sender in document.get("senders", {}).items()}
    return replace(read, logs=[logs[place] for place in sorted(logs)], senders={**senders, **read.senders})


def _place(log: RawLog) -> tuple[int, str, str]:
    return int(log["logIndex"], 16), log["transactionHash"].lower(), log["address"].lower()
