"""What Google's emulators themselves posted, byte for byte, and what is made of it.

Recorded from the Firestore emulator's own trigger (its body is base64 around protobuf; production sends
the bytes) and from a push subscription of the Pub/Sub emulator (which sends no CloudEvent headers).
"""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cloudevents.http import from_http

from shared.adapters.cloud_events import created_document, document_key
from shared.app.log_batch import LOGS
from shared.domain.events import EVENTS
from shared.domain.state import STATES
from tests.support.triggers import log_message, message, started_event, started_trigger

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.testing import FlaskClient

    from shared.bootstrap import Plumbline

    Client = Callable[[str], FlaskClient]

_PAYLOADS = Path(__file__).parent / "payloads"
EVERY_KIND_OF_VALUE = {
    "yes": True,
    "no": False,
    "none": None,
    "small": 0,
    "negative": -7,
    "large": 2**62 + 1,
    "double": 1.5,
    "whole": 3.0,
    "text": "Grüße 𝄞\x00",
    "bytes": "AP8=",
    "time": "2026-11-23T21:10:08.123456Z",
    "wholeSecond": "2026-11-23T21:10:08Z",
    "place": {"latitude": 47.5, "longitude": -1.25},
    "nowhere": {"latitude": 0.0, "longitude": 0.0},
    "other": "rollovers/t1",
    "list": [1, "a", {"deep": []}],
    "empty": {},
    "nested": {"a": {"b": None}},
}
"""What was written into the emulator, as ``FirestoreDocuments`` read it back when this was recorded."""


def _recorded(name: str) -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads((_PAYLOADS / f"{name}.json").read_text("utf-8"))
    return recorded


def _trigger() -> tuple[bytes, dict[str, str]]:
    recorded = _recorded("firestore_emulator")
    return b64decode(recorded["body"]), recorded["headers"]


def test_every_kind_of_value_is_read_as_the_store_reads_it() -> None:
    """The trigger's protobuf and a read of the document give equal values of equal types."""
    body, headers = _trigger()
    document = created_document(from_http(headers, body))
    assert repr(sorted(document["data"].items())) == repr(sorted(EVERY_KIND_OF_VALUE.items()))
    assert (document["ipAddress"], document["participants"]) == (None, ["alpha", "beta"])


def test_json_and_protobuf_of_one_trigger_are_one_document() -> None:
    """Whichever of its two content types a trigger is set to, the same is projected."""
    from google.events.cloud.firestore_v1 import DocumentEventData  # noqa: PLC0415 - takes long
    from google.protobuf.json_format import MessageToJson  # noqa: PLC0415

    body, headers = _trigger()
    data = DocumentEventData.pb()()
    data.ParseFromString(body)
    as_json = from_http({**headers, "Content-Type": "application/json"}, MessageToJson(data).encode())
    assert created_document(as_json) == created_document(from_http(headers, body))


def test_the_emulators_trigger_becomes_a_state(parts: Plumbline, client: Client) -> None:
    """What Firestore posted is projected and acknowledged."""
    body, headers = _trigger()
    assert client("project_events").post("/", data=body, headers=headers).status_code == 200
    assert (parts.documents.get(STATES, "t1") or {})["status"] == "started"
    assert parts.dead_letters.list(10) == []


@pytest.mark.parametrize("cut", [1, 40, 600])
def test_protobuf_that_is_cut_short_is_buried(parts: Plumbline, client: Client, cut: int) -> None:
    """Half a trigger is a dead letter that names the event by its subject."""
    body, headers = _trigger()
    assert client("project_events").post("/", data=body[:-cut], headers=headers).status_code == 200
    (letter,) = parts.dead_letters.list(10)
    assert (letter.cause, letter.payload["eventId"]) == ("invalid_input", "started-t1")
    assert parts.documents.count(STATES) == 0


def test_a_buried_event_is_projected_by_its_replay(parts: Plumbline, client: Client) -> None:
    """From a trigger that came broken to the state: the letter leads back to the stored event."""
    parts.documents.create(EVENTS, "started-t1", {**started_event("t1"), "eventId": "started-t1"})
    body, headers = _trigger()
    client("project_events").post("/", data=body[:-40], headers=headers)
    assert len(parts.dead_letters.replay().replayed) == 1
    assert (parts.documents.get(STATES, "t1") or {})["status"] == "started"
    assert parts.dead_letters.list(10) == []


def test_a_key_is_taken_from_the_documents_name() -> None:
    """The subject comes in a header, where Firestore garbles what is not Latin-1; the name is exact."""
    body, headers = started_trigger({**started_event("t"), "eventId": "ä:x%20"})
    garbled = {**headers, "ce-subject": "documents/events/Ã¤:x%20"}
    assert document_key(from_http(garbled, body)) == "ä:x%20"


def test_half_a_surrogate_pair_is_buried(parts: Plumbline, client: Client) -> None:
    """JSON can spell text that no store can hold: a dead letter, not an error that comes for ever."""
    body, headers = started_trigger(started_event("t"))
    body = body.replace(b'{"stringValue":"t"}', b'{"stringValue":"\\ud800"}')
    assert client("project_events").post("/", data=body, headers=headers).status_code == 200
    (letter,) = parts.dead_letters.list(10)
    assert "rolloverId is no valid stringValue" in letter.detail


def test_the_emulators_push_becomes_an_event(parts: Plumbline, client: Client) -> None:
    """The framework makes a CloudEvent of a bare push, so the emulator can push to the function itself."""
    recorded = _recorded("pubsub_emulator")
    answer = client("handle_chain_event").post("/", json=recorded["body"], headers=recorded["headers"])
    assert answer.status_code == 200
    assert parts.documents.count(EVENTS) == 1
    assert parts.dead_letters.list(10) == []


@pytest.mark.parametrize("posted", [started_trigger(started_event("t")), message(b"\xff\x00")])
def test_what_is_not_understood_is_buried_whole(
    parts: Plumbline, client: Client, posted: tuple[bytes, dict[str, str]]
) -> None:
    """The letter holds all that came, so that a person can tell what it was."""
    body, headers = posted
    assert client("handle_chain_event").post("/", data=body, headers=headers).status_code == 200
    (letter,) = parts.dead_letters.list(10)
    assert letter.payload["raw"] in ("\\xff\x00", json.dumps(json.loads(body)))


def test_one_poison_log_does_not_hold_up_the_batch(parts: Plumbline, client: Client) -> None:
    """An unknown contract's log is buried alone; the log beside it becomes an event."""
    good = json.loads(b64decode(_recorded("pubsub_emulator")["body"]["message"]["data"]))["logs"][0]
    body, headers = log_message(1, [{**good, "address": "0x" + "00" * 20}, good], kind=LOGS)
    assert client("handle_chain_event").post("/", data=body, headers=headers).status_code == 200
    assert parts.documents.count(EVENTS) == 1
    (letter,) = parts.dead_letters.list(10)
    assert (letter.cause, len(letter.payload["logs"])) == ("undecodable_log", 1)
