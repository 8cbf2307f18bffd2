"""The functions as the platform calls them: functions-framework, recorded CloudEvents, real answers."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shared.app.lease import Lease
from shared.app.reconcile import LEASE
from shared.bootstrap import plumbline
from shared.domain.events import EVENTS
from shared.domain.hashing import transfer_hash
from shared.domain.state import STATES
from tests.support.triggers import PROVIDER_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from shared.bootstrap import Plumbline

    Client = Callable[[str], FlaskClient]

_PAYLOADS = Path(__file__).parent / "payloads"


@dataclass
class Posted:
    """A recorded request, which a test may change before it is posted."""

    headers: dict[str, str]
    body: Any

    @classmethod
    def recorded(cls, name: str) -> Posted:
        """Read what was recorded."""
        return cls(**json.loads((_PAYLOADS / f"{name}.json").read_text("utf-8")))

    def to(self, client: FlaskClient) -> TestResponse:
        """Post it."""
        return client.post("/", data=json.dumps(self.body), headers=self.headers)


def test_a_message_of_logs_becomes_events(parts: Plumbline, client: Client) -> None:
    """A Pub/Sub push as Eventarc sends it is acknowledged once its events are stored, twice as once."""
    served = client("handle_chain_event")
    for _ in range(2):
        assert Posted.recorded("pubsub_push").to(served).status_code == 200
    stored = parts.event_log("test").events_of(transfer_hash("a"))
    assert sorted(event["data"]["step"] for event in stored) == ["agree_send", "executed", "minted"]
    assert {event["audit"]["recordedBy"] for event in stored} == {"handle_chain_event"}
    assert parts.dead_letters.list(10) == []


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (
            lambda posted: posted.headers.update({"ce-type": "google.cloud.storage.object.v1.finalized"}),
            "type",
        ),
        (lambda posted: posted.body["message"].pop("data"), "data.message.data"),
        (lambda posted: posted.body["message"].update(data="not base64!"), "base64"),
        (lambda posted: posted.body.update(message="text"), "data.message.data"),
        (lambda posted: posted.body["message"].update(data=b64encode(b"not JSON").decode()), "not JSON"),
    ],
)
def test_a_message_that_is_none_is_acknowledged_and_buried(
    parts: Plumbline,
    client: Client,
    change: Callable[[Posted], Any],
    detail: str,
) -> None:
    """What can never be handled is a dead letter with its cause, not a message that comes for ever."""
    posted = Posted.recorded("pubsub_push")
    change(posted)
    assert posted.to(client("handle_chain_event")).status_code == 200
    [letter] = parts.dead_letters.list(10)
    assert letter.cause == "invalid_input"
    assert detail in letter.detail
    assert parts.documents.count(EVENTS) == 0


def test_a_request_that_is_no_cloud_event_is_refused(client: Client) -> None:
    """Without the headers of a CloudEvent the framework answers 400."""
    answer = client("handle_chain_event").post("/", data=b"{}", headers={"content-type": "application/json"})
    assert answer.status_code == 400


def test_while_the_store_is_away_the_message_comes_again(
    parts: Plumbline,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A store that cannot be written answers 500, so nothing is acknowledged; later the same is handled."""
    served = client("handle_chain_event")
    monkeypatch.setenv("PLUMBLINE_STORE", f"sqlite:///{tmp_path / 'nowhere' / 'store.sqlite'}")
    plumbline.cache_clear()
    served.application.config["PROPAGATE_EXCEPTIONS"] = False
    assert Posted.recorded("pubsub_push").to(served).status_code == 500
    monkeypatch.setenv("PLUMBLINE_STORE", f"sqlite:///{tmp_path / 'store.sqlite'}")
    plumbline.cache_clear()
    assert Posted.recorded("pubsub_push").to(served).status_code == 200
    assert parts.documents.count(EVENTS) == 3
    plumbline().bus.close()
    plumbline().documents.close()


def test_a_created_event_is_projected(parts: Plumbline, client: Client) -> None:
    """A Firestore trigger in JSON becomes the state of its transfer, twice as once."""
    served = client("project_events")
    for _ in range(2):
        assert Posted.recorded("firestore_created").to(served).status_code == 200
    state = parts.documents.get(STATES, "a")
    assert state
    assert (state["status"], state["participants"]) == ("started", ["alpha", "beta"])


def test_a_created_event_in_protobuf_is_the_same(parts: Plumbline, client: Client) -> None:
    """The binary form that production sends gives the very same state."""
    from google.events.cloud.firestore_v1 import DocumentEventData  # noqa: PLC0415 - takes long
    from google.protobuf.json_format import ParseDict  # noqa: PLC0415

    posted = Posted.recorded("firestore_created")
    assert posted.to(client("project_events")).status_code == 200
    wanted = parts.documents.get(STATES, "a")
    parts.documents.delete(STATES, "a")
    body = ParseDict(posted.body, DocumentEventData.pb()()).SerializeToString()
    headers = {**posted.headers, "content-type": "application/protobuf"}
    assert client("project_events").post("/", data=body, headers=headers).status_code == 200
    assert parts.documents.get(STATES, "a") == wanted


@pytest.mark.parametrize(
    ("change", "cause", "detail"),
    [
        (
            lambda posted: posted.headers.update({"ce-type": "google.cloud.firestore.document.v1.deleted"}),
            "invalid_input",
            "type",
        ),
        (lambda posted: posted.body.pop("value"), "invalid_input", "data.value.fields"),
        (
            lambda posted: posted.body["value"]["fields"].update(
                eventType={"stringValue": "rollover.invented"}
            ),
            "invalid_input",
            "eventType",
        ),
        (lambda posted: posted.body["value"]["fields"].pop("rolloverId"), "invalid_input", "rolloverId"),
        (
            lambda posted: posted.body["value"]["fields"].update(data={"geometryValue": 5}),
            "invalid_input",
            "geometryValue",
        ),
        (
            lambda posted: posted.body["value"]["fields"]["audit"]["mapValue"]["fields"].update(
                eventHash={"stringValue": "00"}
            ),
            "corrupt_event",
            "eventHash",
        ),
    ],
)
def test_an_event_that_can_never_count_is_acknowledged_and_buried(
    parts: Plumbline,
    client: Client,
    change: Callable[[Posted], Any],
    cause: str,
    detail: str,
) -> None:
    """It is a dead letter with its cause and the trigger does not come again; no state is written."""
    posted = Posted.recorded("firestore_created")
    change(posted)
    assert posted.to(client("project_events")).status_code == 200
    [letter] = parts.dead_letters.list(10)
    assert letter.cause == cause
    assert detail in letter.detail
    assert letter.payload["subject"] == "documents/events/started-a"
    assert parts.documents.count(STATES) == 0


def test_reconcile_answers_a_report(parts: Plumbline, client: Client) -> None:
    """With a node that does not answer the report says so, keeps the provider's key out, and is stored."""
    answer = client("reconcile").post("/")
    assert answer.status_code == 200
    assert answer.json
    assert answer.json["errorCount"] == 1
    assert PROVIDER_KEY not in answer.text
    assert parts.documents.get("reconciliation_reports", answer.json["reportId"]) == answer.json


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"[]", 400, "JSON object"),
        (b"{", 400, "JSON object"),
        (b'{"rollover": "a"}', 400, "rollover is not known"),
        (b'{"dryRun": "yes"}', 400, "dryRun must be a bool"),
        (b'{"rolloverId": ""}', 400, "rolloverId"),
    ],
)
def test_a_request_that_cannot_work_is_a_problem_document(
    client: Client,
    body: bytes,
    status: int,
    said: str,
) -> None:
    """A bad body is answered as RFC 9457 says, naming the field."""
    answer = client("reconcile").post("/", data=body)
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    assert answer.json
    assert answer.json["status"] == status
    assert said in answer.json["detail"]


def test_reconcile_takes_post_alone(client: Client) -> None:
    """Another method is 405 and names the one that works."""
    answer = client("reconcile").get("/")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_two_reconciliations_at_once_are_refused(parts: Plumbline, client: Client) -> None:
    """While another run holds the lease the answer is 503, with the time after which to come again."""
    Lease(parts.documents, parts.clock, LEASE, 60).acquire()
    answer = client("reconcile").post("/")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
