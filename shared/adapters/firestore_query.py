"""The port's queries as Firestore's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.cloud.firestore_v1 import FieldFilter
from google.cloud.firestore_v1.field_path import FieldPath

if TYPE_CHECKING:
    from google.cloud.firestore import CollectionReference

    from shared.ports import Query

KEY: Final = "__name__"
"""What Firestore calls a document's key among its fields."""


def asked_by(collection: CollectionReference, query: Query) -> Any:
    """Return what Firestore is asked: filters, order (the key comes last), place, limit and fields."""
    direction = "DESCENDING" if query.descending else "ASCENDING"
    asked = where_all(collection, query.where)
    if query.order_by:
        asked = asked.order_by(query.order_by, direction=direction)
    asked = asked.order_by(KEY, direction=direction)
    if query.limit is not None:
        asked = asked.limit(query.limit)
    if query.after:
        asked = _after(asked, query.after, descending=query.descending)
    if query.fields is not None:
        asked = asked.select([FieldPath(f).to_api_repr() for f in query.fields])
    return asked


def where_all(collection: CollectionReference, where: tuple[tuple[str, Any], ...]) -> Any:
    """Return a query for the documents that match all (field, value) pairs."""
    asked: Any = collection
    for field, value in where:
        asked = asked.where(filter=FieldFilter(field, "==", value))
    return asked


def _after(asked: Any, after: tuple[Any, ...], *, descending: bool) -> Any:
    *value, key = after
    if key:
        return asked.start_after([*value, key])
    # The empty key comes before every other, and is none that Firestore takes: what it parts are values.
    if not value:
        return asked.limit(0) if descending else asked
    return asked.start_after(value) if descending else asked.start_at(value)
