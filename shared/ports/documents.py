"""The document store.

Documents are JSON objects: ``None``, ``bool``, ``int`` below 2^63, ``float``, ``str``, ``list``
and ``dict`` with ``str`` keys. Field names in queries may be dotted (``metadata.originalEventId``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Document = dict[str, Any]
DELETE_AFTER: Final = "deleteAfter"
"""Field with the time, in ISO 8601 with ``Z``, after which a store may delete it (Firestore does)."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Query:
    """A question to one collection.

    ``where``: (field, value) pairs, all of which must be equal; a document without the field never
    matches. ``order_by``: one field, ascending (descending if ``descending``), ties by key in the same
    direction; documents without the field are left out (as Firestore does). ``None``: ascending by key.
    ``after``: with ``order_by`` the pair (value, key) of the last document seen; without it, its key
    alone as ``(key,)``; the empty key, which no document has, stands before every other. ``fields``:
    top-level fields to return (``()``: keys only); ``None``: all.
    """

    where: tuple[tuple[str, Any], ...] = ()
    order_by: str | None = None
    descending: bool = False
    limit: int | None = None
    after: tuple[Any, ...] | None = None
    fields: tuple[str, ...] | None = None


class Transaction(Protocol):
    """Reads and writes that take effect together or not at all; all reads come before the first write."""

    def get(self, collection: str, key: str) -> Document | None:
        """Return the document as of this transaction, or None."""

    def get_many(self, collection: str, keys: Iterable[str]) -> dict[str, Document]:
        """Return those of the documents that exist, by key, as of this transaction."""

    def create(self, collection: str, key: str, document: Document) -> None:
        """Write a new document at commit; the commit raises Conflict if it exists by then."""

    def put(self, collection: str, key: str, document: Document) -> None:
        """Write (replace whole) at commit."""

    def delete(self, collection: str, key: str) -> None:
        """Delete at commit; deleting what is not there is no error."""


@dataclass(frozen=True, slots=True)
class Change:
    """A document that was created; ``position`` is opaque and orders the changes of one collection."""

    position: str
    key: str
    document: Document


class Documents(Protocol):
    """A document store. Every method raises StoreUnavailable where the store cannot be used."""

    def get(self, collection: str, key: str) -> Document | None:
        """Return the document, or None."""

    def get_many(
        self, collection: str, keys: Iterable[str], *, fields: Sequence[str] | None = None
    ) -> dict[str, Document]:
        """Return those of the documents that exist, by key; only ``fields`` (top level) if given."""

    def create(self, collection: str, key: str, document: Document) -> bool:
        """Write a new document; False, and nothing changed, if the key exists."""

    def create_many(self, collection: str, documents: Mapping[str, Document]) -> set[str]:
        """Create each that does not exist, independently; return the keys that were already there."""

    def put(self, collection: str, key: str, document: Document) -> None:
        """Write, replacing the whole document."""

    def delete(self, collection: str, key: str) -> None:
        """Delete; deleting what is not there is no error."""

    def query(self, collection: str, query: Query) -> list[tuple[str, Document]]:
        """Return (key, document) pairs that match, in order."""

    def count(self, collection: str, where: tuple[tuple[str, Any], ...] = ()) -> int:
        """Count the documents that match all (field, value) pairs."""

    def transaction(self, work: Callable[[Transaction], T]) -> T:
        """Run ``work`` atomically and return its result; it may run more than once before it commits.

        Serializable: two transactions that read and write the same documents behave as if one
        came after the other. Raises Conflict if contention outlasts the adapter's retries. An
        exception out of ``work`` rolls back and propagates.
        """

    def watch(self, collection: str, after: str | None, limit: int, *, bodies: bool = True) -> list[Change]:
        """Return up to ``limit`` documents created after ``after`` (None: from the start), oldest first.

        At least once: a position read once may be read from again, and none is skipped. Without ``bodies``
        no document is read, and that of each change is empty.
        """

    def close(self) -> None:
        """Give back connections and files."""
