"""What Firestore holds and JSON does not, as JSON: other applications write to the same database."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from google.cloud.firestore_v1 import DocumentReference, GeoPoint

from shared.adapters.document_values import expiry
from shared.ports import DELETE_AFTER

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.ports import Document

_SPELLED: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = (
    (datetime, lambda time: time.astimezone(UTC).isoformat().replace("+00:00", "Z")),
    (bytes, lambda data: b64encode(data).decode()),
    (DocumentReference, lambda reference: reference.path),
    (GeoPoint, lambda point: {"latitude": point.latitude, "longitude": point.longitude}),
)


def to_firestore(document: Document) -> Document:
    """Return a document as Firestore is to hold it: by a time it deletes, by a text it does not."""
    expires_at = expiry(document)
    return document if expires_at is None else {**document, DELETE_AFTER: expires_at}


def from_firestore(value: Any) -> Any:
    """Return a value as JSON: times in ISO 8601 (UTC), references as paths, bytes in base64."""
    if isinstance(value, dict):
        return {name: from_firestore(each) for name, each in value.items()}
    if isinstance(value, list):
        return [from_firestore(each) for each in value]
    for kind, spell in _SPELLED:
        if isinstance(value, kind):
            return spell(value)
    return value
