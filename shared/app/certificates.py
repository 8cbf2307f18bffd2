"""Completeness certificates: what is known of every range of certain blocks, stored for good.

``completeness_certificates/{chainId}:{first}``: ``first``, ``last`` (inclusive), ``hash`` of the last block,
``logs`` and their ``digest``, ``grade`` (``single``, ``witnessed``, ``proved``), ``witnesses`` (the endpoints
that gave it), ``disputed`` (another reading gave other logs, and neither is proved), ``readAt``, and
``checkedAt`` (of the reading that raised the grade; null before).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from shared.domain.completeness import PROVED, SINGLE, WITNESSED, Segment
from shared.ports import Query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.ports import Document, Documents, Transaction

CERTIFICATES: Final = "completeness_certificates"
_MOST_BLOCKS: Final = 2_000
_MOST_LOGS: Final = 10_000
"""A certificate grows up to these, so that a difference is found in a range that is soon read again."""
_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Certificate:
    """A segment that nothing takes back, and when it was read (ISO time)."""

    segment: Segment
    read_at: str
    checked_at: str | None = None

    @classmethod
    def decode(cls, document: Document) -> Certificate:
        """Return the certificate of a stored document."""
        names = ("first", "hash", "grade", "witnesses", "logs", "digest")
        told = {"number": document["last"], "disputed": document.get("disputed", False)}
        told |= {name: document[name] for name in names}
        return cls(Segment.decode(told), document["readAt"], document["checkedAt"])

    def encode(self, chain_id: int) -> Document:
        """Return the stored document."""
        segment = self.segment
        return {
            "chainId": chain_id,
            "first": segment.first,
            "last": segment.last,
            "hash": segment.hash,
            "logs": segment.logs,
            "digest": f"{segment.digest:064x}",
            "grade": segment.grade,
            "witnesses": list(segment.witnesses),
            "disputed": segment.disputed,
            "readAt": self.read_at,
            "checkedAt": self.checked_at,
        }


class Certificates:
    """The certificates of one chain."""

    def __init__(self, documents: Documents, chain_id: int) -> None:
        self._documents = documents
        self._chain_id = chain_id
        self.closed: int | None = None
        """Where a certificate begins that must not grow, because its range is being read again."""

    def last(self, transaction: Transaction, first: int | None) -> Certificate | None:
        """Return the certificate that begins at ``first``, as of a transaction."""
        document = None if first is None else transaction.get(CERTIFICATES, self._key(first))
        return Certificate.decode(document) if document else None

    def append(
        self, transaction: Transaction, last: Certificate | None, segments: Sequence[Segment], read_at: str
    ) -> int | None:
        """Write certificates for these segments, growing the last one; return where the last now begins."""
        grown = {}
        for segment in segments:
            if last is not None and last.segment.first != self.closed and _fit(last, segment):
                last = replace(last, segment=last.segment.joined(segment), read_at=read_at)
            else:
                last = Certificate(segment, read_at)
            grown[last.segment.first] = last
        for each in grown.values():
            self.put(transaction, each)
        return last.segment.first if last else None

    def put(self, transaction: Transaction, certificate: Certificate) -> None:
        """Write one certificate."""
        key = self._key(certificate.segment.first)
        transaction.put(CERTIFICATES, key, certificate.encode(self._chain_id))

    def lowest(self, grade: str, above: int | None = None) -> Certificate | None:
        """Return the lowest certificate of this grade; only of those that begin above a block, if given."""
        where = (("chainId", self._chain_id), ("grade", grade))
        after = None if above is None else (above + 1, "")
        query = Query(where=where, order_by="first", limit=1, after=after)
        found = self._documents.query(CERTIFICATES, query)
        return Certificate.decode(found[0][1]) if found else None

    def highest(self, grade: str, below: int | None = None) -> Certificate | None:
        """Return the highest certificate of this grade; only of those that begin below a block, if given."""
        where = (("chainId", self._chain_id), ("grade", grade))
        after = None if below is None else (below, "")
        query = Query(where=where, order_by="first", descending=True, limit=1, after=after)
        found = self._documents.query(CERTIFICATES, query)
        return Certificate.decode(found[0][1]) if found else None

    def forget_from(self, block: int) -> None:
        """Delete the certificates that say anything of this block or a later one."""
        while True:
            query = Query(
                where=(("chainId", self._chain_id),),
                order_by="first",
                descending=True,
                limit=_PAGE,
                fields=("last",),
            )
            found = [key for key, each in self._documents.query(CERTIFICATES, query) if each["last"] >= block]
            for key in found:
                self._documents.delete(CERTIFICATES, key)
            if len(found) < _PAGE:
                return

    def through(self, certified: int) -> tuple[int, int]:
        """Return the heights through which every block is proved, and at least witnessed.

        ``certified``: the height through which there are certificates at all.
        """
        single, witnessed = self.lowest(SINGLE), self.lowest(WITNESSED)
        through = single.segment.first - 1 if single else certified
        return (min(through, witnessed.segment.first - 1) if witnessed else through), through

    def _key(self, first: int) -> str:
        return f"{self._chain_id}:{max(first, 0):020}"


def _fit(last: Certificate, segment: Segment) -> bool:
    before = last.segment
    return (
        segment.first == before.last + 1
        and (segment.grade, segment.disputed) == (before.grade, before.disputed)
        and (segment.grade == PROVED or segment.witnesses == before.witnesses)
        and before.blocks + segment.blocks <= _MOST_BLOCKS
        and before.logs + segment.logs <= _MOST_LOGS
    )
