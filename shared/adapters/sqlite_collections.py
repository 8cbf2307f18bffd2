"""The tables of the SQLite file: one for each collection, and which of its fields are indexed.

SQLite's own JSON functions in index expressions cost two thirds of the writing speed (each index parses
the body again), cut strings at NUL and take true for 1. So the writer, who holds the document anyway,
puts its indexed fields as ``sortable`` bytes into columns of their own (``f0``, ``f1``, ...).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import orjson

from shared.adapters.document_values import path_of, sortable_field
from shared.errors import ConfigError

if TYPE_CHECKING:
    import sqlite3

    from shared.ports import Document

Indexes = Mapping[str, tuple[tuple[str, ...], ...]]
"""By collection: the indexes, each a tuple of fields. The key follows as the last field of each."""

INDEXES: Final[Indexes] = {
    "events": (("rolloverId",), ("metadata.originalEventId",), ("audit.storedAt",), ("timestamp",)),
    "rollover_states": (("contractKey", "open"), ("contractKey", "open", "lastBlock")),
    "published_blocks": (("chainId", "number"),),
    "completeness_certificates": (("chainId", "grade", "first"), ("chainId", "first")),
    "disputed_blocks": (("chainId", "last"),),
}
COLUMNS: Final = ("f0", "f1", "f2", "f3")
"""A file whose tables have fewer of them is given the missing ones, at their end, when it is opened."""

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS collections (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, indexes BLOB);
"""
# seq grows with every document created, and never comes again (AUTOINCREMENT): it is the order of watch.
_TABLE: Final = """
CREATE TABLE {table} (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, body BLOB NOT NULL,
    f0 BLOB, f1 BLOB, f2 BLOB, f3 BLOB
)
"""
_LACKING: Final = """
SELECT 'documents_' || number FROM collections
WHERE NOT EXISTS (SELECT 1 FROM pragma_table_info('documents_' || number) WHERE name = ?)
"""
_OLD_TABLE: Final = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'documents'"
_NUMBER: Final = "SELECT number FROM collections WHERE name = ?"
_PAGE_OF_BODIES: Final = "SELECT seq, body FROM {table} WHERE seq > ? ORDER BY seq LIMIT 1000"


class Collections:
    """Which table a collection has, and which columns of it hold its indexed fields."""

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
        self._tables: dict[str, str] = {}

    def table(self, connection: sqlite3.Connection, collection: str) -> str | None:
        """Return the table of a collection, None where nothing was ever written to it.

        Not for a connection that has just made it: what is taken back must not be remembered.
        """
        known = self._tables.get(collection)
        if known is None and (found := connection.execute(_NUMBER, (collection,)).fetchone()):
            known = self._tables[collection] = _name(found[0])
        return known

    def made(self, connection: sqlite3.Connection, collection: str) -> str:
        """Return the table of a collection, made where there is none, within the caller's transaction."""
        if known := self._tables.get(collection):
            return known
        found = connection.execute(_NUMBER, (collection,)).fetchone()
        if found:
            return _name(found[0])
        number = connection.execute("INSERT INTO collections (name) VALUES (?)", (collection,)).lastrowid
        table = _name(int(number or 0))
        connection.execute(_TABLE.format(table=table))
        return table

    def column(self, collection: str, field: str) -> str | None:
        """Return the column of an indexed field."""
        fields = self._fields.get(collection, ())
        return COLUMNS[fields.index(field)] if field in fields else None

    def values(self, collection: str, document: Document) -> tuple[bytes | None, ...]:
        """Return what belongs into the columns for a document."""
        paths = self._paths.get(collection)
        if not paths:
            return (None,) * len(COLUMNS)
        found = tuple([sortable_field(document, path) for path in paths])
        return found + (None,) * (len(COLUMNS) - len(found))

    def is_current(self, connection: sqlite3.Connection) -> bool:
        """Say whether the file's tables have all columns, and the indexes that are wanted now.

        Raises ConfigError for a file of the format before this one, which had one table for everything.
        """
        if connection.execute(_OLD_TABLE).fetchone():
            raise ConfigError(
                "its format is that of an unreleased Plumbline, one table for all collections: move it"
                " away, and history is read again into a new file"
            )
        # Columns are added in their order and together, so the last one tells of all.
        return not _lacking(connection, COLUMNS[-1]) and not self._outdated(connection)

    def renew(self, connection: sqlite3.Connection) -> None:
        """Make columns and indexes what is wanted now, within the caller's transaction."""
        for column in COLUMNS:
            for table in _lacking(connection, column):
                connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} BLOB")
        for collection in self._outdated(connection):
            self._rebuild(connection, collection)

    def _outdated(self, connection: sqlite3.Connection) -> list[str]:
        """Return the collections whose indexes in the file are not the ones that are wanted now."""
        there = dict(connection.execute("SELECT name, indexes FROM collections WHERE indexes IS NOT NULL"))
        wanted = {collection: self._definition(collection) for collection in self._indexes}
        return sorted(name for name in there | wanted if there.get(name) != wanted.get(name))

    def _rebuild(self, connection: sqlite3.Connection, collection: str) -> None:
        table = self.made(connection, collection)
        names = "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL"
        for (name,) in connection.execute(names, (table,)).fetchall():
            connection.execute(f"DROP INDEX {name}")
        seq = 0
        while rows := connection.execute(_PAGE_OF_BODIES.format(table=table), (seq,)).fetchall():
            connection.executemany(
                f"UPDATE {table} SET f0 = ?, f1 = ?, f2 = ?, f3 = ? WHERE seq = ?",  # noqa: S608 - our own name
                [(*self.values(collection, orjson.loads(body)), each) for each, body in rows],
            )
            seq = rows[-1][0]
        for fields in self._indexes.get(collection, ()):
            columns = [str(self.column(collection, field)) for field in fields]
            connection.execute(
                f"CREATE INDEX {table}_{'_'.join(columns)} ON {table} ({', '.join(columns)}, key)"
                f" WHERE {columns[0]} IS NOT NULL"
            )
        definition = self._definition(collection) if collection in self._indexes else None
        connection.execute("UPDATE collections SET indexes = ? WHERE name = ?", (definition, collection))

    def _definition(self, collection: str) -> bytes:
        return orjson.dumps(self._indexes[collection])


def _lacking(connection: sqlite3.Connection, column: str) -> list[str]:
    return [table for (table,) in connection.execute(_LACKING, (column,))]


def _name(number: int) -> str:
    # Not the collection's own name: SQLite takes names that differ in case only for one.
    return f"documents_{number}"
