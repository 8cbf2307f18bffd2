"""A Firestore that cannot be reached, or that nobody is let into: said in one way by every operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore

from shared.adapters.firestore import FirestoreDocuments
from shared.adapters.pubsub import PubSubBus
from shared.domain.topics import CHAIN_LOGS_DEAD
from shared.errors import StoreUnavailable
from shared.ports import Query

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_READS: dict[str, Callable[[FirestoreDocuments], Any]] = {
    "get": lambda documents: documents.get("events", "a"),
    "query": lambda documents: documents.query("events", Query(where=(("a", 1),), limit=1)),
    "count": lambda documents: documents.count("events"),
}
_WRITES: dict[str, Callable[[FirestoreDocuments], Any]] = {
    "create": lambda documents: documents.create("events", "a", {}),
    "create_many": lambda documents: documents.create_many("events", {"a": {}}),
    "put": lambda documents: documents.put("events", "a", {}),
    "delete": lambda documents: documents.delete("events", "a"),
    "transaction": lambda documents: documents.transaction(lambda inner: inner.get("events", "a")),
}


@pytest.mark.parametrize("name", [*_READS, *_WRITES])
def test_without_credentials_it_is_said_how_to_get_some(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is asked first: not the library's own error, which the command line would show whole."""
    monkeypatch.delenv("FIRESTORE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(StoreUnavailable, match="gcloud auth application-default login"):
        (_READS | _WRITES)[name](FirestoreDocuments("some-project"))


@pytest.mark.parametrize("name", _READS)
def test_a_read_is_not_tried_for_ever(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once its patience is over it says what it met."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", "127.0.0.1:1")
    client = firestore.Client(project="some-project", credentials=AnonymousCredentials())
    documents = FirestoreDocuments("some-project", client=client, patience_s=0.5)
    with pytest.raises(StoreUnavailable, match="ServiceUnavailable"):
        _READS[name](documents)
    documents.close()


def test_a_bus_without_credentials_says_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who lists dead letters needs them as well."""
    monkeypatch.delenv("PUBSUB_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(StoreUnavailable, match="gcloud auth application-default login"):
        PubSubBus("some-project").pull(CHAIN_LOGS_DEAD, 1)
