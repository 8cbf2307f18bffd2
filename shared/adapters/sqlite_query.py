"""A Query as SQL: by the columns of indexed fields where there are any, by reading the bodies otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from shared.adapters.document_values import path_of, sortable, sortable_field

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from shared.adapters.sqlite_collections import Collections
    from shared.ports import Document, Query


class Selection:
    """What a query selects from a collection's table."""

    def __init__(self, collections: Collections, collection: str, table: str, query: Query) -> None:
        self._query = query
        self._table = table
        self._conditions: list[str] = []
        self._parameters: list[Any] = []
        self._unindexed: list[tuple[tuple[str, ...], bytes]] = []
        for field, value in query.where:
            column = collections.column(collection, field)
            if column:
                self._add(f"{column} = ?", sortable(value))
            else:
                self._unindexed.append((path_of(field), sortable(value)))
        self._order_column = collections.column(collection, query.order_by) if query.order_by else None
        self._sorts_itself = query.order_by is not None and self._order_column is None
        if not self._sorts_itself:
            self._order_in_sql()

    def count(self, connection: sqlite3.Connection) -> int:
        """Count the documents that match, without their bodies where indexes allow."""
        if self._unindexed:
            return sum(1 for _ in self.read(connection))
        found = connection.execute(self._sql("count(*)"), self._parameters).fetchone()
        return int(found[0])

    def read(self, connection: sqlite3.Connection) -> Iterator[tuple[str, Document]]:
        """Yield (key, document) pairs that match, in order; the caller stops at the limit."""
        fields = self._query.fields
        if fields == () and not self._unindexed and not self._sorts_itself:
            for (key,) in connection.execute(self._ordered("key"), self._parameters):
                yield key, {}
            return
        rows = connection.execute(self._ordered("key, body"), self._parameters)
        matching = self._matching(rows)
        for key, document in self._sorted(matching) if self._sorts_itself else matching:
            yield key, document if fields is None else {f: document[f] for f in fields if f in document}

    def _matching(self, rows: sqlite3.Cursor) -> Iterator[tuple[str, Document]]:
        for key, body in rows:
            document = orjson.loads(body)
            if all(sortable_field(document, path) == value for path, value in self._unindexed):
                yield key, document

    def _sorted(self, matching: Iterator[tuple[str, Document]]) -> Iterator[tuple[str, Document]]:
        """Sort by the field in memory: the whole collection, which is why queries in use are indexed."""
        query = self._query
        path = path_of(query.order_by or "")
        ranked = [
            ((value, key), document)
            for key, document in matching
            if (value := sortable_field(document, path)) is not None
        ]
        ranked.sort(key=lambda each: each[0], reverse=query.descending)
        start = (sortable(query.after[0]), query.after[1]) if query.after else None
        for place, document in ranked:
            if start is None or (place < start if query.descending else place > start):
                yield place[1], document

    def _order_in_sql(self) -> None:
        query, column = self._query, self._order_column
        if column:
            self._conditions.append(f"{column} IS NOT NULL")
        if query.after:
            beyond = "<" if query.descending else ">"
            if column:
                self._add(f"({column}, key) {beyond} (?, ?)", sortable(query.after[0]), query.after[1])
            else:
                self._add(f"key {beyond} ?", query.after[0])

    def _add(self, condition: str, *parameters: Any) -> None:
        self._conditions.append(condition)
        self._parameters.extend(parameters)

    def _sql(self, columns: str) -> str:
        # Conditions are column names and marks, the table's name is our own.
        condition = f" WHERE {' AND '.join(self._conditions)}" if self._conditions else ""
        return f"SELECT {columns} FROM {self._table}{condition}"  # noqa: S608

    def _ordered(self, columns: str) -> str:
        if self._sorts_itself:
            return self._sql(columns)
        direction = "DESC" if self._query.descending else "ASC"
        order = f"{self._order_column} {direction}, " if self._order_column else ""
        limit = f" LIMIT {int(self._query.limit)}" if self._query.limit and not self._unindexed else ""
        return f"{self._sql(columns)} ORDER BY {order}key {direction}{limit}"
