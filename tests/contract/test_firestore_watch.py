"""Watching Firestore by time: writers whose clocks and writes are not in step."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from shared.adapters.firestore_watch import OVERLAP, Reader, Window
from shared.errors import InvalidInput
from tests.support.documents import MemoryDocuments

if TYPE_CHECKING:
    from shared.ports import Change

_START = datetime(2026, 11, 23, tzinfo=UTC)


def _event(second: float) -> dict[str, Any]:
    return {"audit": {"storedAt": (_START + timedelta(seconds=second)).isoformat()}}


def _keys(changes: list[Change]) -> list[str]:
    return [change.key for change in changes]


def test_a_latecomer_is_not_skipped() -> None:
    """A document that appears below the position, within the overlap, is told of once."""
    documents = MemoryDocuments()
    window, reader = Window(), Reader(documents, "events")
    documents.create_many("events", {"b": _event(5), "c": _event(6)})
    first = window.read(reader, None, 10)
    documents.create("events", "a", _event(6.5 - OVERLAP.total_seconds() + 1))
    late = window.read(reader, first[-1].position, 10)
    assert _keys(late) == ["a"]
    documents.create("events", "d", _event(7))
    assert _keys(window.read(reader, late[-1].position, 10)) == ["d"]
    # Read from again at an earlier position, everything since comes again in the order of the first time.
    assert _keys(window.read(reader, first[0].position, 10)) == ["c", "a", "d"]
    assert _keys(window.read(reader, first[0].position, 2)) == ["c", "a"]


def test_more_than_a_page_within_the_overlap_is_read_through() -> None:
    """Pages smaller than what the overlap holds still reach the end, each document once."""
    documents = MemoryDocuments()
    window, reader = Window(), Reader(documents, "events")
    documents.create_many("events", {f"k{n:04}": _event(n / 1000) for n in range(1300)})
    documents.put("events", "never", {"audit": {}})
    documents.put("events", "number", {"audit": {"storedAt": 5}})
    seen: list[str] = []
    position = None
    while changes := window.read(reader, position, 400):
        seen += _keys(changes)
        position = changes[-1].position
    assert seen == [f"k{n:04}" for n in range(1300)]


def test_two_readers_do_not_disturb_each_other() -> None:
    """Two chains of positions, and one from before a restart, each get every document."""
    documents = MemoryDocuments()
    reader = Reader(documents, "events")
    before_restart = Window()
    documents.create_many("events", {f"k{n}": _event(n) for n in range(6)})
    old = before_restart.read(reader, None, 3)[-1].position
    window = Window()
    seen: dict[str, list[str]] = {"one": [], "other": [], "restarted": []}
    positions: dict[str, str | None] = {"one": None, "other": None, "restarted": old}
    for _ in range(7):
        for name, keys in seen.items():
            for change in window.read(reader, positions[name], 1):
                keys.append(change.key)
                positions[name] = change.position
    assert seen["one"] == seen["other"] == [f"k{n}" for n in range(6)]
    assert set(seen["restarted"]) >= {"k3", "k4", "k5"}


@pytest.mark.parametrize("position", ["", "7", "[]", '{"a": 1}', "[1, 2, 3, 4, 5]"])
def test_a_position_of_another_store_is_refused(position: str) -> None:
    """A position that watch did not give out is refused, naming it."""
    reader = Reader(MemoryDocuments(), "events")
    if position:
        with pytest.raises(InvalidInput, match="position"):
            Window().read(reader, position, 1)
    else:
        assert Window().read(reader, position, 1) == []
