"""Documents in memory that count every operation as Firestore bills it, and keep every query's shape.

Source of what is billed: https://cloud.google.com/firestore/pricing (a look-up is a read whether or not there
is a document; a query reads what it returns, at least one; a count one for each 1,000 entries, at least one).
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.ports import Query
from tests.support.documents import MemoryDocuments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from shared.ports import Document, Transaction

_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Shape:
    """What an index must serve: equal fields in any order, then one that is ordered by."""

    collection: str
    equal: frozenset[str]
    order_by: str | None = None
    descending: bool = False

    @property
    def is_composite(self) -> bool:
        """Say whether Firestore's own indexes of single fields do not serve it well."""
        return len(self.equal) + (self.order_by is not None) > 1


class CountedDocuments(MemoryDocuments):
    """``billed`` counts (operation, collection); ``shapes`` are the queries, ``sites`` their makers."""

    def __init__(self) -> None:
        super().__init__()
        self.billed: Counter[tuple[str, str]] = Counter()
        self.shapes: set[Shape] = set()
        self.sites: set[tuple[str, str]] = set()

    def total(self, operation: str) -> int:
        """Return how many reads, writes or deletes there were."""
        return sum(count for (each, _), count in self.billed.items() if each == operation)

    def get_many(
        self, collection: str, keys: Iterable[str], *, fields: Sequence[str] | None = None
    ) -> dict[str, Document]:
        """Return those that exist, and count all that were asked for."""
        asked = list(keys)
        self.billed["read", collection] += len(set(asked))
        return super().get_many(collection, asked, fields=fields)

    def create_many(self, collection: str, documents: Mapping[str, Document]) -> set[str]:
        """Create, and count every attempt: one that finds the document there is billed, too."""
        self.billed["write", collection] += len(documents)
        return super().create_many(collection, documents)

    def put(self, collection: str, key: str, document: Document) -> None:
        """Write, and count."""
        self.billed["write", collection] += 1
        super().put(collection, key, document)

    def delete(self, collection: str, key: str) -> None:
        """Delete, and count."""
        self.billed["delete", collection] += 1
        super().delete(collection, key)

    def query(self, collection: str, query: Query) -> list[tuple[str, Document]]:
        """Answer, and count what is returned; keep the query's shape and its maker."""
        found = super().query(collection, query)
        self.billed["read", collection] += max(1, len(found))
        equal = frozenset(name for name, _ in query.where)
        self._note(Shape(collection, equal, query.order_by, query.descending))
        return found

    def count(self, collection: str, where: tuple[tuple[str, Any], ...] = ()) -> int:
        """Answer, and count a read for each 1,000 entries of the index."""
        found = sum(1 for _ in super().query(collection, Query(where=where, fields=())))
        self.billed["read", collection] += max(1, ceil(found / 1000))
        self._note(Shape(collection, frozenset(name for name, _ in where)))
        return found

    def transaction(self, work: Callable[[Transaction], Any]) -> Any:
        """Run, and count the transaction's reads and writes."""

        def counted(inner: Transaction) -> Any:
            return work(_CountedTransaction(inner, self.billed))

        return super().transaction(counted)

    def _note(self, shape: Shape) -> None:
        self.shapes.add(shape)
        code = sys._getframe(2).f_code
        path = Path(code.co_filename)
        if path.is_relative_to(_ROOT):
            # Of a comprehension, the function that it stands in.
            names = [name for name in code.co_qualname.split(".") if not name.startswith("<")]
            self.sites.add((path.relative_to(_ROOT).as_posix(), names[-1]))


class _CountedTransaction:
    def __init__(self, inner: Transaction, billed: Counter[tuple[str, str]]) -> None:
        self._inner = inner
        self._billed = billed

    def get(self, collection: str, key: str) -> Document | None:
        self._billed["read", collection] += 1
        return self._inner.get(collection, key)

    def get_many(self, collection: str, keys: Iterable[str]) -> dict[str, Document]:
        asked = list(keys)
        self._billed["read", collection] += len(set(asked))
        return self._inner.get_many(collection, asked)

    def create(self, collection: str, key: str, document: Document) -> None:
        self._billed["write", collection] += 1
        self._inner.create(collection, key, document)

    def put(self, collection: str, key: str, document: Document) -> None:
        self._billed["write", collection] += 1
        self._inner.put(collection, key, document)

    def delete(self, collection: str, key: str) -> None:
        self._billed["delete", collection] += 1
        self._inner.delete(collection, key)
