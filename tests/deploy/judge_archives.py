"""What each archive must do with a recorded event: one judge for this environment and for a fresh one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from shared.adapters.local_bus import LocalBus
from shared.adapters.sqlite import SqliteDocuments
from shared.app.deadletters import DeadLetters
from shared.domain.events import EVENTS
from shared.domain.state import STATES
from tests.deploy.archives import recorded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.deploy.archives import Unpacked


def handles_a_pushed_message(archive: Unpacked, home: Path) -> None:
    """Judge a push as Pub/Sub sends it, without a CloudEvent's headers: it becomes events and states."""
    status, body = archive.answer(home, recorded("pubsub_emulator"))
    assert status == 200, body
    documents = SqliteDocuments(home / "store.sqlite")
    assert documents.count(EVENTS) > 0
    assert documents.count(STATES) > 0
    assert DeadLetters(LocalBus(str(home / "store.sqlite"))).list(10) == []
    documents.close()


def projects_a_created_event(archive: Unpacked, home: Path) -> None:
    """Judge a trigger of Firestore: it becomes the state of its transfer."""
    status, body = archive.answer(home, recorded("firestore_created"))
    assert status == 200, body
    documents = SqliteDocuments(home / "store.sqlite")
    state = documents.get(STATES, "a")
    assert state
    assert state["status"] == "started"
    documents.close()


def reconciles_when_the_clock_says(archive: Unpacked, home: Path) -> None:
    """Judge a call of Cloud Scheduler, without a body: the answer is a report (of a node that is away)."""
    status, body = archive.answer(home, {"headers": {"User-Agent": "Google-Cloud-Scheduler"}, "body": None})
    assert status == 200, body
    report = json.loads(body)
    assert [error["error"] for error in report["errors"]] == ["endpoint 1 cannot be reached"]


def quotes_gas(archive: Unpacked, home: Path) -> None:
    """Judge a question for a quote: with a node that is away the answer is that nothing is known now."""
    asked = {"headers": {}, "body": None}
    status, body = archive.answer(home, asked, method="GET", path="/quote?chain=1&action=agree_send")
    assert status == 503, body
    assert json.loads(body)["title"], body
    status, body = archive.answer(home, asked, method="GET", path="/openapi.json")
    assert (status, json.loads(body)["openapi"][:2]) == (200, "3."), body


JUDGES: dict[str, Callable[[Unpacked, Path], None]] = {
    "handle_chain_event": handles_a_pushed_message,
    "project_events": projects_a_created_event,
    "quote_gas": quotes_gas,
    "reconcile": reconciles_when_the_clock_says,
}
