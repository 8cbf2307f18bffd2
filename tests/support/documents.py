"""Documents in memory: small enough to be seen to be right, with a place to be killed at."""

from __future__ import annotations

import json
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeVar

from shared.adapters.document_values import expiry
from shared.domain.keys import can_be_key
from shared.errors import Conflict, InvalidInput
from shared.ports import Change, Query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from shared.ports import Document, Transaction

T = TypeVar("T")


class MemoryDocuments:
    """The Documents port on a dict. ``reads`` and ``writes`` count documents.

    ``fail_at`` is called with (operation, collection, key) before each single write takes effect; what
    it raises stands for the death of the process: earlier writes stay, a transaction's are all undone.
    """

    def __init__(self, fail_at: Callable[[str, str, str], None] | None = None) -> None:
        self.reads = 0
        self.writes = 0
        self.fail_at = fail_at
        self._lock = RLock()
        self._bodies: dict[tuple[str, str], str] = {}
        self._created: list[tuple[str, str]] = []

    def get(self, collection: str, key: str) -> Document | None:
        """Return the document, or None."""
        return self.get_many(collection, [key]).get(key)

    def get_many(
        self, collection: str, keys: Iterable[str], *, fields: Sequence[str] | None = None
    ) -> dict[str, Document]:
        """Return those of the documents that exist, by key."""
        with self._lock:
            found = {key: self._bodies[collection, key] for key in keys if (collection, key) in self._bodies}
            self.reads += len(found)
        return {key: _only(json.loads(body), fields) for key, body in found.items()}

    def create(self, collection: str, key: str, document: Document) -> bool:
        """Write a new document; False if the key exists."""
        return not self.create_many(collection, {key: document})

    def create_many(self, collection: str, documents: Mapping[str, Document]) -> set[str]:
        """Create each that does not exist; return the keys that were already there."""
        bodies = {key: _body(collection, key, document) for key, document in documents.items()}
        with self._lock:
            there = {key for key in bodies if (collection, key) in self._bodies}
            for key, body in bodies.items():
                if key not in there:
                    self._write("create", collection, key, body)
            return there

    def put(self, collection: str, key: str, document: Document) -> None:
        """Write, replacing the whole document."""
        body = _body(collection, key, document)
        with self._lock:
            self._write("put", collection, key, body)

    def delete(self, collection: str, key: str) -> None:
        """Delete; deleting what is not there is no error."""
        with self._lock:
            self._write("delete", collection, key, None)

    def query(self, collection: str, query: Query) -> list[tuple[str, Document]]:
        """Return (key, document) pairs that match, in order."""
        with self._lock:
            bodies = {key: body for (within, key), body in self._bodies.items() if within == collection}
        ranked = []
        for key, body in bodies.items():
            document = json.loads(body)
            values = [_rank(_field(document, name)) == _rank(value) for name, value in query.where]
            ordered = _field(document, query.order_by) if query.order_by else key
            if all(values) and ordered is not _MISSING:
                ranked.append(((_rank(ordered), _rank(key)), key, document))
        ranked.sort(key=lambda each: each[0], reverse=query.descending)
        if query.after:
            after = (_rank(query.after[0]), _rank(query.after[-1]))
            ranked = [each for each in ranked if (each[0] < after if query.descending else each[0] > after)]
        found = [(key, _only(document, query.fields)) for _, key, document in ranked[: query.limit]]
        self.reads += len(found)
        return found

    def count(self, collection: str, where: tuple[tuple[str, Any], ...] = ()) -> int:
        """Count the documents that match."""
        return len(self.query(collection, Query(where=where, fields=())))

    def transaction(self, work: Callable[[Transaction], T]) -> T:
        """Run ``work`` alone; all of its writes take effect, or none."""
        with self._lock:
            transaction = _MemoryTransaction(self)
            result = work(transaction)
            before = dict(self._bodies), list(self._created), self.writes
            try:
                for write in transaction.pending:
                    self._apply(*write)
            except BaseException:
                self._bodies, self._created, self.writes = before
                raise
            return result

    def watch(self, collection: str, after: str | None, limit: int, *, bodies: bool = True) -> list[Change]:
        """Return documents created after the position, oldest first."""
        with self._lock:
            places = [
                (number, key)
                for number, (within, key) in enumerate(self._created, 1)
                if within == collection and number > int(after or 0) and (within, key) in self._bodies
            ]
            return [
                Change(str(number), key, json.loads(self._bodies[collection, key]) if bodies else {})
                for number, key in places[:limit]
            ]

    def close(self) -> None:
        """Nothing to give back."""

    def _apply(self, operation: str, collection: str, key: str, body: str | None) -> None:
        if operation == "create" and (collection, key) in self._bodies:
            raise Conflict(f"{collection}/{key} exists already")
        self._write(operation, collection, key, body)

    def _write(self, operation: str, collection: str, key: str, body: str | None) -> None:
        if self.fail_at:
            self.fail_at(operation, collection, key)
        self.writes += 1
        if body is None:
            self._bodies.pop((collection, key), None)
            return
        if (collection, key) not in self._bodies:
            self._created.append((collection, key))
        self._bodies[collection, key] = body


class _MemoryTransaction:
    def __init__(self, documents: MemoryDocuments) -> None:
        self._documents = documents
        self.pending: list[tuple[str, str, str, str | None]] = []

    def get(self, collection: str, key: str) -> Document | None:
        return self.get_many(collection, [key]).get(key)

    def get_many(self, collection: str, keys: Iterable[str]) -> dict[str, Document]:
        if self.pending:
            raise RuntimeError("a transaction reads before its first write")
        return self._documents.get_many(collection, keys)

    def create(self, collection: str, key: str, document: Document) -> None:
        self.pending.append(("create", collection, key, _body(collection, key, document)))

    def put(self, collection: str, key: str, document: Document) -> None:
        self.pending.append(("put", collection, key, _body(collection, key, document)))

    def delete(self, collection: str, key: str) -> None:
        self.pending.append(("delete", collection, key, None))


_MISSING: Any = object()
_KINDS: tuple[tuple[type, ...], ...] = ((type(None),), (bool,), (int, float), (str,), (list, tuple), (dict,))


def _body(collection: str, key: str, document: Document) -> str:
    if not can_be_key(key):
        raise InvalidInput(f"{collection}: {key!r} cannot be the key of a document")
    _check_json(f"{collection}/{key}", document)
    expiry(document)
    return json.dumps(document)


def _check_json(where: str, value: Any) -> None:
    if type(value) is dict:
        for name, each in value.items():
            if type(name) is not str:
                raise InvalidInput(f"{where} has the name {name!r}, which is no string")
            _check_json(f"{where}.{name}", each)
    elif type(value) is list:
        for each in value:
            _check_json(where, each)
    elif value is not None and type(value) not in (bool, int, float, str):
        raise InvalidInput(f"{where} is not JSON: {value!r}")
    elif type(value) is int and not -(2**63) <= value < 2**63:
        raise InvalidInput(f"{where} is beyond 64 bits: {value}")


def _field(document: Any, name: str) -> Any:
    for part in name.split("."):
        if not isinstance(document, dict) or part not in document:
            return _MISSING
        document = document[part]
    return document


def _rank(value: Any) -> tuple[int, Any]:
    """Return what compares as Firestore orders values: by kind first, so that true is not 1."""
    if value is _MISSING:
        return (-1, 0)
    kind = next(number for number, types in enumerate(_KINDS) if isinstance(value, types))
    plain = {0: 0, 4: json.dumps(value), 5: json.dumps(value, sort_keys=True)} if kind in (0, 4, 5) else {}
    return (kind, plain.get(kind, value))


def _only(document: Document, fields: Sequence[str] | None) -> Document:
    return document if fields is None else {name: document[name] for name in fields if name in document}
