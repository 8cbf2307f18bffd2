"""Posting to the functions on this machine, as Eventarc and Cloud Scheduler do in the cloud."""

from __future__ import annotations

import http.client
import threading
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

import orjson

from shared.adapters.cloud_events import DOCUMENT_CREATED, PUBSUB
from shared.domain.topics import CHAIN_LOGS

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.ports import Change, Delivery, Document

_SOURCE: Final = "//plumbline.local"
_POSTS_A_CONNECTION: Final = 100
"""Then it is made anew: which server process takes it is chance, and many chances are even."""


class Pusher:
    """Posts over one kept-alive connection per thread; never through a proxy, for it speaks to loopback."""

    def __init__(self, port: int, timeout_s: float = 600.0) -> None:
        self._port = port
        self._timeout_s = timeout_s
        self._own = threading.local()

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> int:
        """Return the status of a POST; OSError or HTTPException where there was no answer."""
        connection = self._connection()
        try:
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            self._own.left = 0
            raise
        self._own.left -= 1
        return response.status

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if connection is None or self._own.left <= 0:
            if connection is not None:
                connection.close()
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=self._timeout_s)
            self._own.connection, self._own.left = connection, _POSTS_A_CONNECTION
        return connection


def pubsub_event(delivery: Delivery) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of the CloudEvent that brings a Pub/Sub message."""
    message = {
        "data": b64encode(delivery.message.data).decode(),
        "attributes": dict(delivery.message.attributes),
        "messageId": delivery.message_id,
        "publishTime": delivery.published_at.isoformat(),
    }
    body = orjson.dumps({"message": message, "subscription": f"projects/local/subscriptions/{CHAIN_LOGS}"})
    return body, _headers(PUBSUB, delivery.message_id, f"topics/{CHAIN_LOGS}")


def document_event(collection: str, change: Change) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of the CloudEvent that tells of a document created."""
    path = f"documents/{collection}/{change.key}"
    name = f"projects/local/databases/(default)/{path}"
    body = orjson.dumps({"value": {"name": name, "fields": _fields(change.document)}})
    return body, _headers(DOCUMENT_CREATED, change.position, path)


def _headers(kind: str, identity: str, subject: str) -> dict[str, str]:
    return {
        "ce-specversion": "1.0",
        "ce-id": identity,
        "ce-source": _SOURCE,
        "ce-type": kind,
        "ce-subject": subject,
        "Content-Type": "application/json",
    }


def _fields(document: Document) -> dict[str, Any]:
    return {name: _typed(value) for name, value in document.items()}


_TYPED: Final[tuple[tuple[type, str, Callable[[Any], Any]], ...]] = (
    (type(None), "nullValue", lambda _: None),
    # Before int, of which bool is a kind.
    (bool, "booleanValue", bool),
    (int, "integerValue", str),
    (float, "doubleValue", float),
    (str, "stringValue", str),
    (dict, "mapValue", lambda value: {"fields": _fields(value)}),
    (list, "arrayValue", lambda value: {"values": [_typed(each) for each in value]}),
)


def _typed(value: Any) -> dict[str, Any]:
    """Return a value as Firestore's JSON spells it."""
    for kind, name, spell in _TYPED:
        if isinstance(value, kind):
            return {name: spell(value)}
    raise TypeError(f"no Firestore value: {value!r}")
