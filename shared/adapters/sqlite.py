"""Documents in one SQLite file: the embedded default, for threads and processes of one machine."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

import orjson

from shared.adapters.document_values import encode
from shared.adapters.sqlite_collections import INDEXES, SCHEMA, Collections, Indexes
from shared.adapters.sqlite_file import BUSY_TIMEOUT_S, SqliteFile
from shared.adapters.sqlite_query import Selection
from shared.errors import ConfigError, Conflict, StoreUnavailable
from shared.ports import Change, Query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from shared.ports import Document, Transaction

T = TypeVar("T")
_Row = tuple[str, bytes, bytes | None, bytes | None, bytes | None, bytes | None]

_OLDEST_SQLITE: Final = (3, 24, 0)
_KEYS_AT_ONCE: Final = 512
_INSERT: Final = """
INSERT INTO {table} (key, body, f0, f1, f2, f3) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING
"""
# The row keeps its seq: watch tells of documents created, not of those replaced.
_PUT: Final = """
INSERT INTO {table} (key, body, f0, f1, f2, f3) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE
SET body = excluded.body, f0 = excluded.f0, f1 = excluded.f1, f2 = excluded.f2, f3 = excluded.f3
"""
_DELETE: Final = "DELETE FROM {table} WHERE key = ?"
_GET: Final = "SELECT body FROM {table} WHERE key = ?"
# SQLite has one writer at a time, who draws his seqs and commits them before the next one begins: no
# lower seq appears after a higher one was read, so reading on from the last position skips nothing.
_WATCH: Final = "SELECT {columns} FROM {table} WHERE seq > ? ORDER BY seq LIMIT ?"
_LAST: Final = "SELECT max(seq) FROM {table}"


class SqliteDocuments:
    """The Documents port on the file at ``path``; ``indexes`` says which queries are quick.

    Queries without an index give the same answers by reading the whole collection. What was committed
    survives the death of the process (see ``SqliteFile``). Raises StoreUnavailable, naming the path, where
    the file cannot be used, ConfigError where SQLite is older than 3.24.
    """

    def __init__(
        self, path: str | Path, indexes: Indexes = INDEXES, busy_timeout_s: float = BUSY_TIMEOUT_S
    ) -> None:
        self._path = path
        self._file = SqliteFile(path, SCHEMA, busy_timeout_s)
        self._collections = Collections(indexes)
        self._indexed = False
        # Waiting for SQLite's lock is polling with pauses; threads of one process queue here instead.
        self._turn = threading.Lock()
        self._this_thread = threading.local()

    def get(self, collection: str, key: str) -> Document | None:
        """Return the document, or None."""
        with self._reading() as connection:
            return _get(connection, self._collections.table(connection, collection), key)

    def get_many(
        self, collection: str, keys: Iterable[str], *, fields: Sequence[str] | None = None
    ) -> dict[str, Document]:
        """Return those of the documents that exist, by key; with no ``fields`` no body is read."""
        with self._reading() as connection:
            return _get_many(connection, self._collections.table(connection, collection), keys, fields)

    def create(self, collection: str, key: str, document: Document) -> bool:
        """Write a new document; False if the key exists."""
        row = self._row(collection, key, document)
        with self._writing(collection) as (connection, table):
            return connection.execute(_INSERT.format(table=table), row).rowcount == 1

    def create_many(self, collection: str, documents: Mapping[str, Document]) -> set[str]:
        """Create each that does not exist, in one commit; return the keys that were already there."""
        rows = [self._row(collection, key, document) for key, document in documents.items()]
        if not rows:
            return set()
        with self._writing(collection) as (connection, table):
            last = connection.execute(_LAST.format(table=table)).fetchone()[0] or 0
            created = connection.executemany(_INSERT.format(table=table), rows).rowcount
            if created == len(rows):
                return set()
            return {key for key, _ in _rows_of(connection, "key, 0", table, documents, " AND seq <= ?", last)}

    def put(self, collection: str, key: str, document: Document) -> None:
        """Write, replacing the whole document."""
        row = self._row(collection, key, document)
        with self._writing(collection) as (connection, table):
            connection.execute(_PUT.format(table=table), row)

    def delete(self, collection: str, key: str) -> None:
        """Delete; deleting what is not there is no error."""
        with self._writing(collection) as (connection, table):
            connection.execute(_DELETE.format(table=table), (key,))

    def query(self, collection: str, query: Query) -> list[tuple[str, Document]]:
        """Return (key, document) pairs that match, in order."""
        with self._reading() as connection:
            selection = self._selection(connection, collection, query)
            return list(islice(selection.read(connection), query.limit)) if selection else []

    def count(self, collection: str, where: tuple[tuple[str, Any], ...] = ()) -> int:
        """Count the documents that match all (field, value) pairs."""
        with self._reading() as connection:
            selection = self._selection(connection, collection, Query(where=where))
            return selection.count(connection) if selection else 0

    def transaction(self, work: Callable[[Transaction], T]) -> T:
        """Run ``work`` while holding the file's write lock, so it runs once; its writes apply at the end.

        Raises Conflict where another process held the lock longer than the busy time-out.
        """
        try:
            with self._locked() as connection:
                transaction = _SqliteTransaction(connection, self._collections, self._row)
                result = work(transaction)
                transaction.apply()
                return result
        except StoreUnavailable as error:
            code = getattr(error.__cause__, "sqlite_errorcode", None)
            if code is not None and code & 0xFF == sqlite3.SQLITE_BUSY:
                raise Conflict("another process holds the store's write lock") from error
            raise

    def watch(self, collection: str, after: str | None, limit: int, *, bodies: bool = True) -> list[Change]:
        """Return documents created after the position, in the order of their commits."""
        columns = "seq, key, body" if bodies else "seq, key, '{}'"
        with self._reading() as connection:
            table = self._collections.table(connection, collection)
            if table is None:
                return []
            statement = _WATCH.format(table=table, columns=columns)
            rows = connection.execute(statement, (int(after or 0), limit)).fetchall()
        return [Change(str(seq), key, orjson.loads(body)) for seq, key, body in rows]

    def close(self) -> None:
        """Give back connections and files."""
        self._file.close()

    def _row(self, collection: str, key: str, document: Document) -> _Row:
        body = encode(collection, key, document)
        return (key, body, *self._collections.values(collection, document))  # type: ignore[return-value]

    def _selection(self, connection: sqlite3.Connection, collection: str, query: Query) -> Selection | None:
        table = self._collections.table(connection, collection)
        return Selection(self._collections, collection, table, query) if table else None

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        if not self._indexed:
            self._prepare()
        with self._file.reading() as connection:
            yield connection

    @contextmanager
    def _writing(self, collection: str) -> Iterator[tuple[sqlite3.Connection, str]]:
        """Hold the write lock, with the collection's table at hand."""
        with self._locked() as connection:
            yield connection, self._collections.made(connection, collection)

    @contextmanager
    def _locked(self) -> Iterator[sqlite3.Connection]:
        if getattr(self._this_thread, "writes", False):
            raise RuntimeError("inside a transaction write through it: the store itself is locked")
        if not self._indexed:
            self._prepare()
        with self._turn, self._file.writing() as connection:
            self._this_thread.writes = True
            try:
                yield connection
            finally:
                self._this_thread.writes = False

    def _prepare(self) -> None:
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise ConfigError(f"SQLite 3.24 or newer is needed, this is {sqlite3.sqlite_version}")
        with self._turn:
            try:
                with self._file.reading() as connection:
                    current = self._collections.is_current(connection)
                if not current:
                    with self._file.writing() as connection:
                        self._collections.renew(connection)
            except ConfigError as error:
                raise ConfigError(f"SQLite file {self._path}: {error}") from error
            self._indexed = True


class _SqliteTransaction:
    """Reads at once, and keeps the writes until ``apply``."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        collections: Collections,
        row: Callable[[str, str, Document], _Row],
    ) -> None:
        self._connection = connection
        self._collections = collections
        self._row = row
        self._writes: list[tuple[str, str, tuple[Any, ...]]] = []

    def get(self, collection: str, key: str) -> Document | None:
        """Return the document as of this transaction, or None."""
        self._check_reading()
        return _get(self._connection, self._collections.table(self._connection, collection), key)

    def get_many(self, collection: str, keys: Iterable[str]) -> dict[str, Document]:
        """Return those of the documents that exist, as of this transaction."""
        self._check_reading()
        table = self._collections.table(self._connection, collection)
        return _get_many(self._connection, table, keys, None)

    def create(self, collection: str, key: str, document: Document) -> None:
        """Write a new document at commit."""
        self._writes.append((_INSERT, collection, self._row(collection, key, document)))

    def put(self, collection: str, key: str, document: Document) -> None:
        """Write at commit."""
        self._writes.append((_PUT, collection, self._row(collection, key, document)))

    def delete(self, collection: str, key: str) -> None:
        """Delete at commit."""
        self._writes.append((_DELETE, collection, (key,)))

    def apply(self) -> None:
        """Carry out the writes; raises Conflict where a document to create exists."""
        for statement, collection, parameters in self._writes:
            table = self._collections.made(self._connection, collection)
            done = self._connection.execute(statement.format(table=table), parameters).rowcount
            if done == 0 and statement == _INSERT:
                raise Conflict(f"{collection}/{parameters[0]} exists already")

    def _check_reading(self) -> None:
        if self._writes:
            raise RuntimeError("a transaction reads before its first write")


def _get(connection: sqlite3.Connection, table: str | None, key: str) -> Document | None:
    row = connection.execute(_GET.format(table=table), (key,)).fetchone() if table else None
    return orjson.loads(row[0]) if row else None


def _get_many(
    connection: sqlite3.Connection, table: str | None, keys: Iterable[str], fields: Sequence[str] | None
) -> dict[str, Document]:
    if table is None:
        return {}
    if fields is not None and not fields:
        return {key: {} for key, _ in _rows_of(connection, "key, 0", table, keys)}
    found = {key: orjson.loads(body) for key, body in _rows_of(connection, "key, body", table, keys)}
    if fields is None:
        return found
    return {key: {f: document[f] for f in fields if f in document} for key, document in found.items()}


def _rows_of(
    connection: sqlite3.Connection,
    columns: str,
    table: str,
    keys: Iterable[str],
    condition: str = "",
    *parameters: Any,
) -> Iterator[tuple[str, Any]]:
    """Yield the rows of these keys, some hundreds a statement."""
    wanted = list(keys)
    for start in range(0, len(wanted), _KEYS_AT_ONCE):
        part = wanted[start : start + _KEYS_AT_ONCE]
        # Repeating the last key up to a power of two keeps the number of different statements small.
        part += part[-1:] * ((1 << (len(part) - 1).bit_length()) - len(part))
        marks = ", ".join("?" * len(part))
        statement = f"SELECT {columns} FROM {table} WHERE key IN ({marks}){condition}"  # noqa: S608
        yield from connection.execute(statement, (*part, *parameters))
