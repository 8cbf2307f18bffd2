"""Which fields of which collections are indexed in the SQLite file, and how that is brought about.

SQLite's own JSON functions in index expressions cost two thirds of the writing speed (each index parses
the body again), cut strings at NUL and take true for 1. So the writer, who holds the document anyway,
puts its indexed fields as ``sortable`` bytes into columns of their own (``f0``, ``f1``, ...).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import orjson

from shared.adapters.document_values import path_of, sortable_field

if TYPE_CHECKING:
    import sqlite3

    from shared.ports import Document

Indexes = Mapping[str, tuple[tuple[str, ...], ...]]
"""By collection: the indexes, each a tuple of fields. The key follows as the last field of each."""

INDEXES: Final[Indexes] = {
    "events": (("rolloverId",), ("metadata.originalEventId",), ("audit.storedAt",)),
    "rollover_states": (("contractKey", "open"), ("contractKey", "open", "lastBlock")),
    "published_blocks": (("chainId", "number"),),
    "completeness_certificates": (("chainId", "grade", "first"), ("chainId", "first")),
}
COLUMNS: Final = ("f0", "f1", "f2")

# seq grows with every document created, and never comes again (AUTOINCREMENT): it is the order of watch.
SCHEMA: Final = """
PRAGMA cache_size = -8000;
PRAGMA wal_autocheckpoint = 4000;
CREATE TABLE IF NOT EXISTS documents (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, collection TEXT NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL,
    f0 BLOB, f1 BLOB, f2 BLOB, UNIQUE (collection, key)
);
CREATE INDEX IF NOT EXISTS documents_by_seq ON documents (collection, seq);
CREATE TABLE IF NOT EXISTS document_indexes (collection TEXT PRIMARY KEY, definition BLOB NOT NULL);
"""
_PAGE_OF_BODIES: Final = """
SELECT seq, body FROM documents WHERE collection = ? AND seq > ? ORDER BY seq LIMIT 1000
"""


class FieldColumns:
    """The columns that hold the indexed fields of each collection."""

    def __init__(self, indexes: Indexes) -> None:
        self._indexes = dict(indexes)
        self._fields = {
            collection: tuple(dict.fromkeys(field for fields in wanted for field in fields))
            for collection, wanted in self._indexes.items()
        }
        for collection, fields in self._fields.items():
            if len(fields) > len(COLUMNS):
                raise ValueError(f"{collection}: at most {len(COLUMNS)} fields can be indexed, not {fields}")
        self._paths = {name: [path_of(f) for f in fields] for name, fields in self._fields.items()}

    def column(self, collection: str, field: str) -> str | None:
        """Return the column of an indexed field."""
        fields = self._fields.get(collection, ())
        return COLUMNS[fields.index(field)] if field in fields else None

    def values(self, collection: str, document: Document) -> tuple[bytes | None, ...]:
        """Return what belongs into the columns for a document."""
        paths = self._paths.get(collection)
        if not paths:
            return (None, None, None)
        found = tuple(sortable_field(document, path) for path in paths)
        return found + (None,) * (len(COLUMNS) - len(found))

    def same_collection(self, collection: str) -> tuple[str, list[str]]:
        """Return the condition for a collection, and its parameters.

        Spelled out where the collection has indexes of its own: SQLite uses a partial index only where
        the statement itself shows that it covers the rows.
        """
        if collection in self._indexes:
            return f"collection = {_quoted(collection)}", []
        return "collection = ?", [collection]

    def outdated(self, connection: sqlite3.Connection) -> list[str]:
        """Return the collections whose indexes in the file are not the ones that are wanted now."""
        there = dict(connection.execute("SELECT collection, definition FROM document_indexes"))
        wanted = {collection: self._definition(collection) for collection in self._indexes}
        return sorted(name for name in there | wanted if there.get(name) != wanted.get(name))

    def rebuild(self, connection: sqlite3.Connection, collection: str) -> None:
        """Make the indexes of a collection what is wanted now, within the caller's transaction."""
        prefix = f"documents of {collection} by "
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'").fetchall()
        for (name,) in names:
            if name.startswith(prefix):
                connection.execute(f"DROP INDEX {_quoted(name)}")
        seq = 0
        while rows := connection.execute(_PAGE_OF_BODIES, (collection, seq)).fetchall():
            connection.executemany(
                "UPDATE documents SET f0 = ?, f1 = ?, f2 = ? WHERE seq = ?",
                [(*self.values(collection, orjson.loads(body)), each) for each, body in rows],
            )
            seq = rows[-1][0]
        for fields in self._indexes.get(collection, ()):
            columns = [str(self.column(collection, field)) for field in fields]
            connection.execute(
                f"CREATE INDEX {_quoted(prefix + ', '.join(fields))} ON documents"
                f" (collection, {', '.join(columns)}, key)"
                f" WHERE collection = {_quoted(collection)} AND {columns[0]} IS NOT NULL"
            )
        if collection in self._indexes:
            connection.execute(
                "INSERT OR REPLACE INTO document_indexes VALUES (?, ?)",
                (collection, self._definition(collection)),
            )
        else:
            connection.execute("DELETE FROM document_indexes WHERE collection = ?", (collection,))

    def _definition(self, collection: str) -> bytes:
        return orjson.dumps(self._indexes[collection])


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
