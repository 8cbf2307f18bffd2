"""What every document store agrees on: names, JSON, and how values are equal and ordered."""

from __future__ import annotations

import struct
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from shared.domain.keys import can_be_key
from shared.errors import InvalidInput
from shared.ports import DELETE_AFTER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.ports import Document

_JSON_ONLY: Final = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
_NULL: Final = b"\x00"
_BOOLEAN: Final = (b"\x01", b"\x02")
_NUMBER: Final = b"\x03"
_STRING: Final = b"\x04"
_LIST: Final = b"\x05"
_OBJECT: Final = b"\x06"
_SIGN: Final = 1 << 63
_ALL_BITS: Final = (1 << 64) - 1


def check_key(collection: str, key: str) -> None:
    """Refuse a key that no document can have; raises InvalidInput naming it."""
    if not can_be_key(key):
        raise InvalidInput(f"{collection}: {key[:80]!r} cannot be the key of a document")


def encode(collection: str, key: str, document: Document) -> bytes:
    """Return a document as canonical JSON (sorted keys, UTF-8).

    Raises InvalidInput, naming the document, where its key or its content is not allowed.
    """
    check_key(collection, key)
    expiry(document)
    try:
        return orjson.dumps(document, option=_JSON_ONLY)
    except TypeError as error:
        raise InvalidInput(f"{collection}/{key} is not a JSON document: {error}") from error


def expiry(document: Document) -> datetime | None:
    """Return the time from which the store may delete the document, None where it says none.

    Raises InvalidInput where it is said otherwise than in ISO 8601 with ``Z``.
    """
    if DELETE_AFTER not in document:
        return None
    said = document[DELETE_AFTER]
    try:
        if isinstance(said, str) and said.endswith("Z"):
            return datetime.fromisoformat(said)
    except ValueError:
        pass
    raise InvalidInput(f"{DELETE_AFTER} must be a time in ISO 8601 that ends in Z")


def path_of(field: str) -> tuple[str, ...]:
    """Return a dotted field as the names to follow."""
    return tuple(field.split("."))


def sortable_field(document: Document, path: Iterable[str]) -> bytes | None:
    """Return the field's value as ``sortable`` gives it, None where the document does not have it."""
    value: Any = document
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return None
        value = value[name]
    return sortable(value)


def sortable(value: Any) -> bytes:
    """Return bytes that are equal for equal values only, and compare as Firestore orders values.

    null < false < true < numbers < strings (by UTF-8) < lists < objects; 1 equals 1.0 and not true.
    Lists and objects are equal where their JSON is, and their order among themselves is arbitrary.
    """
    if isinstance(value, str):
        return _STRING + value.encode()
    if value is None:
        return _NULL
    if isinstance(value, bool):
        return _BOOLEAN[value]
    if isinstance(value, (int, float)):
        return _sortable_number(value)
    kind = _LIST if isinstance(value, (list, tuple)) else _OBJECT
    return kind + orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _sortable_number(value: float) -> bytes:
    nearest = float(value) + 0.0  # -0.0 becomes 0.0
    bits = int.from_bytes(struct.pack(">d", nearest), "big")
    bits = bits ^ _ALL_BITS if bits & _SIGN else bits | _SIGN
    # Beyond 2^53 a double stands for several integers: what it misses is at most 512 below 2^63.
    missed = value - int(nearest) if isinstance(value, int) else 0
    return _NUMBER + bits.to_bytes(8, "big") + (missed + 0x8000).to_bytes(2, "big")
