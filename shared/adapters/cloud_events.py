"""What a function's trigger brings: Pub/Sub messages and Firestore documents out of CloudEvents."""

from __future__ import annotations

import binascii
import json
from base64 import b64decode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloudevents.http import CloudEvent

    from shared.ports import Document

PUBSUB: Final = "google.cloud.pubsub.topic.v1.messagePublished"
DOCUMENT_CREATED: Final = "google.cloud.firestore.document.v1.created"
_MICROSECONDS: Final = 26
"""Characters of ``2026-11-23T21:10:08.123456``: Firestore's nanoseconds are cut to what Python keeps."""


def pubsub_data(event: CloudEvent) -> bytes:
    """Return the bytes of a published message; InvalidInput names what is off."""
    _check_type(event, PUBSUB)
    message = event.data.get("message") if isinstance(event.data, dict) else None
    if not isinstance(message, dict) or not isinstance(message.get("data"), str):
        raise InvalidInput("CloudEvent field data.message.data is missing or not a text")
    try:
        return b64decode(message["data"], validate=True)
    except binascii.Error as error:
        raise InvalidInput(f"CloudEvent field data.message.data is not base64: {error}") from error


def text_of(event: CloudEvent) -> str:
    """Return what an event brought, as text: for a dead letter of what is not understood."""
    if isinstance(event.data, bytes | bytearray):
        return bytes(event.data).decode("utf-8", "backslashreplace")
    # The standard library's, because it also spells text that is no UTF-8.
    return event.data if isinstance(event.data, str) else json.dumps(event.data)


def created_document(event: CloudEvent) -> Document:
    """Return the document of a Firestore trigger, from protobuf or JSON; InvalidInput names what is off."""
    _check_type(event, DOCUMENT_CREATED)
    fields = _written(event).get("fields")
    if not isinstance(fields, dict):
        raise InvalidInput("CloudEvent field data.value.fields is missing or not an object")
    return {name: _value(each, name) for name, each in fields.items()}


def document_key(event: CloudEvent) -> str:
    """Return the key of the document that a Firestore trigger is about, empty where nothing tells it.

    The data's name for it is exact. The subject stands in where the data cannot be read: it comes in a
    header, where Firestore writes what is not Latin-1 byte by byte.
    """
    try:
        name = _written(event).get("name")
    except InvalidInput:
        name = None
    return str(name or event.get("subject") or "").rpartition("/")[2]


def _written(event: CloudEvent) -> dict[str, Any]:
    data = event.data
    if isinstance(data, bytes | bytearray):
        data = _from_protobuf(bytes(data))
    value = data.get("value") if isinstance(data, dict) else None
    return value if isinstance(value, dict) else {}


def _check_type(event: CloudEvent, wanted: str) -> None:
    kind = event.get("type")
    if kind != wanted:
        raise InvalidInput(f"CloudEvent field type is {kind!r}, not {wanted!r}")


def _from_protobuf(data: bytes) -> dict[str, Any]:
    # Imported here: it takes 0.15 s, and the laptop's CloudEvents are JSON.
    from google.events.cloud.firestore_v1 import DocumentEventData  # noqa: PLC0415
    from google.protobuf.json_format import MessageToDict  # noqa: PLC0415
    from google.protobuf.message import DecodeError  # noqa: PLC0415

    try:
        message = DocumentEventData.pb()()
        message.ParseFromString(data)
    except DecodeError as error:
        raise InvalidInput(f"CloudEvent field data is no DocumentEventData: {error}") from error
    value: dict[str, Any] = MessageToDict(message)
    return value


def _time(text: str) -> str:
    plain = text.removesuffix("Z")[:_MICROSECONDS]
    return datetime.fromisoformat(plain).replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")


def _integer(value: Any) -> int:
    """Return an integer that a store can hold."""
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise ValueError
    return number


def _utf8(text: str) -> str:
    """Return a text that a store can hold: JSON can spell halves of surrogate pairs, which none can."""
    text.encode()
    return text


# Spelled as the store's adapter spells them, so that an event is the same however it arrives.
_SCALARS: Final[dict[str, Callable[[Any], Any]]] = {
    "nullValue": lambda _: None,
    "booleanValue": bool,
    "integerValue": _integer,
    "doubleValue": float,
    "timestampValue": _time,
    "stringValue": _utf8,
    "bytesValue": str,
    "referenceValue": lambda name: str(name).partition("/documents/")[2] or str(name),
    "geoPointValue": lambda point: {
        "latitude": float(point.get("latitude", 0.0)),
        "longitude": float(point.get("longitude", 0.0)),
    },
}


def _value(value: Any, field: str) -> Any:
    if not isinstance(value, dict) or len(value) != 1:
        raise InvalidInput(f"CloudEvent field data.value.fields.{field} is not one typed value")
    [(kind, content)] = value.items()
    try:
        if kind == "mapValue":
            fields = content.get("fields", {})
            return {_utf8(name): _value(v, f"{field}.{name}") for name, v in fields.items()}
        if kind == "arrayValue":
            return [_value(v, f"{field}[{at}]") for at, v in enumerate(content.get("values", ()))]
        return _SCALARS[kind](content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInput(f"CloudEvent field data.value.fields.{field} is no valid {kind}") from error
