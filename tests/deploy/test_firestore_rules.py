"""The security rules on Google's emulator: clients get nothing, servers by IAM are not concerned."""

from __future__ import annotations

import http.client
import json
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any

import pytest

from tests.deploy.offline.wheel_schema import TERRAFORM

if TYPE_CHECKING:
    from tests.support.firestore_emulator import FirestoreEmulator

_EVENT = {"fields": {"eventType": {"stringValue": "rollover.completed"}}}


def _part(told: dict[str, str]) -> str:
    return urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")


_USER = f"{_part({'alg': 'none'})}.{_part({'sub': 'somebody', 'user_id': 'somebody'})}."
"""A signed-in user's token as the emulator takes it."""
_OPENED = (
    "service cloud.firestore { match /databases/{d}/documents { match /{p=**} { allow read, write; } } }"
)


class Store:
    """A project of the emulator, asked over REST."""

    def __init__(self, host: str, project: str) -> None:
        self._host = host
        self._project = project
        self._documents = f"/v1/projects/{project}/databases/(default)/documents"

    def rules(self, text: str) -> None:
        """Put security rules in force."""
        body = {"rules": {"files": [{"name": "firestore.rules", "content": text}]}}
        assert self._ask("PUT", f"/emulator/v1/projects/{self._project}:securityRules", body, None) == 200

    def ask(self, method: str, path: str, body: Any = None, token: str | None = None) -> int:
        """Return the status of a request."""
        return self._ask(method, self._documents + path, body, token)

    def _ask(self, method: str, path: str, body: Any, token: str | None) -> int:
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {token}"} if token else {}
        )
        connection = http.client.HTTPConnection(self._host, timeout=30)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()


@pytest.fixture
def store(firestore_emulator: FirestoreEmulator, firestore_project: str) -> Store:
    """Return a store with one event, under the rules that are deployed."""
    made = Store(firestore_emulator.host, firestore_project)
    made.rules((TERRAFORM / "firestore.rules").read_text("utf-8"))
    assert made.ask("PATCH", "/events/one", _EVENT, "owner") == 200
    return made


_QUERY = {"structuredQuery": {"from": [{"collectionId": "events", "allDescendants": True}]}}
_ATTEMPTS = {
    "read": ("GET", "/events/one", None),
    "list": ("GET", "/events", None),
    "query": ("POST", ":runQuery", _QUERY),
    "create": ("POST", "/events?documentId=two", _EVENT),
    "update": ("PATCH", "/events/one", _EVENT),
    "delete": ("DELETE", "/events/one", None),
    "write a state": ("PATCH", "/rollover_states/a", _EVENT),
    "write below": ("PATCH", "/events/one/notes/a", _EVENT),
}


@pytest.mark.parametrize("token", [None, _USER], ids=["nobody", "a signed-in user"])
@pytest.mark.parametrize("attempt", _ATTEMPTS)
def test_a_client_is_refused(store: Store, attempt: str, token: str | None) -> None:
    """Whoever it is, whatever it tries: permission denied, and the event is as it was."""
    method, path, body = _ATTEMPTS[attempt]
    assert store.ask(method, path, body, token) == 403
    assert store.ask("GET", "/events/one", token="owner") == 200  # noqa: S106 - the emulator's word for IAM


def test_it_is_the_rules_that_refuse(store: Store) -> None:
    """Under rules that let everybody in, the same requests are answered: the test would see a hole."""
    store.rules(_OPENED)
    assert store.ask("GET", "/events/one") == 200
    assert store.ask("POST", "/events?documentId=two", _EVENT, _USER) == 200
