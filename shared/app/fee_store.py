"""Keeping blocks' fee rows: bounded, by chunks, and closed to a listener that has lost its lease."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from shared.domain.fee_record import FEE_HISTORY, chunk_document, chunk_key, chunk_of, chunk_rows
from shared.errors import Conflict, CorruptEvent
from shared.ports import Query

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from shared.domain.fee_record import FeeRow
    from shared.ports import Document, Documents, Transaction

_LOG: Final = logging.getLogger(__name__)


class FeeStore:
    """``fee_history/{chainId}:{chunk}``: the rows of one chain's last ``kept`` blocks, rounded up to chunks.

    Beside its rows each chunk holds the ``fence`` of who wrote it last.
    """

    def __init__(self, documents: Documents, chain_id: int, kept: int) -> None:
        self._documents = documents
        self._chain_id = chain_id
        self._kept = kept
        self._last_chunk: int | None = None

    def rows(self, first: int, last: int) -> dict[int, FeeRow]:
        """Return the rows that are stored of these heights, by height."""
        keys = [self._key(chunk) for chunk in range(chunk_of(max(first, 0)), chunk_of(last) + 1)]
        found = self._documents.get_many(FEE_HISTORY, keys)
        rows = (row for document in found.values() for row in _rows(document))
        return {row.fees.number: row for row in rows if first <= row.fees.number <= last}

    def write(self, rows: Sequence[FeeRow], last: int, hashes: Mapping[int, str], fence: int) -> None:
        """Write rows in one transaction; raises Conflict where a holder of a higher fence has written.

        ``last`` is the height that the chain is read through, ``hashes`` are those of its last blocks by
        height: rows above, and of other blocks at these heights, are a fork's, and go.
        """
        chunks = {chunk_of(row.fees.number) for row in rows} | {chunk_of(number) for number in hashes}
        chunks.add(chunk_of(last))

        def work(transaction: Transaction) -> None:
            found = transaction.get_many(FEE_HISTORY, [self._key(chunk) for chunk in sorted(chunks)])
            for chunk in sorted(chunks):
                stored = found.get(self._key(chunk))
                if stored is not None and _number(stored, "fence", 0) > fence:
                    raise Conflict(f"another listener of chain {self._chain_id} records its fees")
                before = [] if stored is None else _rows(stored)
                kept = [row for row in before if _stands(row, last, hashes)]
                document = chunk_document(self._chain_id, chunk, [*kept, *_of(rows, chunk)])
                # A new holder leaves its mark even where nothing else changes: nobody may fall behind it.
                if document["rows"] and (stored is None or stored != {**document, "fence": fence}):
                    transaction.put(FEE_HISTORY, self._key(chunk), {**document, "fence": fence})
                elif not document["rows"] and stored is not None:
                    transaction.delete(FEE_HISTORY, self._key(chunk))

        self._documents.transaction(work)
        if self._last_chunk != chunk_of(last):
            self._forget(last)
            self._last_chunk = chunk_of(last)

    def _forget(self, last: int) -> None:
        """Delete the chunks that are too old, and those above the chain's end."""
        oldest = chunk_of(max(last - self._kept + 1, 0))
        query = Query(where=(("chainId", self._chain_id),), fields=("chunk",))
        for key, document in self._documents.query(FEE_HISTORY, query):
            if not oldest <= _number(document, "chunk", -1) <= chunk_of(last):
                self._documents.delete(FEE_HISTORY, key)

    def _key(self, chunk: int) -> str:
        return chunk_key(self._chain_id, chunk)


def _of(rows: Iterable[FeeRow], chunk: int) -> list[FeeRow]:
    return [row for row in rows if chunk_of(row.fees.number) == chunk]


def _stands(row: FeeRow, last: int, hashes: Mapping[int, str]) -> bool:
    number = row.fees.number
    return number <= last and hashes.get(number, row.block_hash) == row.block_hash


def _number(document: Document, field: str, otherwise: int) -> int:
    """Return a number that we wrote; the other one where somebody changed it into something else."""
    value = document.get(field)
    return value if isinstance(value, int) else otherwise


def _rows(document: Document) -> list[FeeRow]:
    try:
        return chunk_rows(document)
    except CorruptEvent as error:
        # Somebody changed it by hand: its rows come again, as far as the chain's last blocks go.
        _LOG.warning("a chunk of fee rows is written anew: %s", error)
        return []
