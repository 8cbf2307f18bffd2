"""Events that somebody changed in the store: they stop to count, and the chain says again what they said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from shared.app.reconcile_settings import ReconcileSettings
from shared.domain.events import CORRECTION, EVENTS
from tests.support.world import LEVEL_3, World

if TYPE_CHECKING:
    from pathlib import Path

    from shared.ports import Document

pytestmark = pytest.mark.every_store


def _edit(world: World, proof: str, **data: Any) -> Document:
    """Change the event that proves a step, by hand; return it as it was."""
    identity = (world.state("a") or {})["milestones"][proof]["eventId"]
    event = world.documents.get(EVENTS, identity)
    assert event
    world.documents.put(EVENTS, identity, {**event, "data": {**event["data"], **data}})
    return event


def _told(world: World, step: str) -> Any:
    milestone = (world.state("a") or {})["milestones"][step]
    return (world.documents.get(EVENTS, milestone["eventId"]) or {})["data"]


def test_an_event_edited_by_hand_is_alarmed_and_said_again(world: World) -> None:
    """The step stays proved, by a correction with the log's own content; the edited event stays as it is."""
    world.start("a")
    world.live("a", LEVEL_3[:3])
    world.clock.advance(3_600)
    event = _edit(world, "financial", grossAmount="9999")
    report = world.run()
    assert any(event["eventId"] in error["error"] for error in report["errors"])
    assert len(world.alerts.sent) == 1
    assert _told(world, "financial")["grossAmount"] == event["data"]["grossAmount"]
    [correction] = [e for e in world.events("a") if e["eventType"] == CORRECTION]
    assert correction["metadata"]["originalEventId"] == event["eventId"]
    assert (world.state("a") or {})["status"] == "ready_to_record"
    world.assert_straight()


def test_the_schedule_comes_to_an_edited_event_in_its_turn(tmp_path: Path) -> None:
    """The rotating look over all events finds it without a hand, and a correction follows in the same run."""
    world = World(tmp_path, settings=ReconcileSettings(sweep_limit=100))
    world.start("a")
    world.live("a", LEVEL_3[:3])
    world.documents.put("chain_cursors", "1", {"readThrough": 10**6})
    world.clock.advance(10**6)
    world.reconcile.run()
    event = _edit(world, "financial", grossAmount="9999")
    assert world.reconcile.run()["createdCount"] == 1
    assert _told(world, "financial")["grossAmount"] == event["data"]["grossAmount"]
    world.assert_straight()


def test_an_event_robbed_of_its_hash_counts_as_the_applications_only(world: World) -> None:
    """Without its hash nobody vouches for it: it ranks as the application's, and its log is told again."""
    world.start("a")
    world.live("a", LEVEL_3[:3])
    world.clock.advance(3_600)
    event = _edit(world, "financial", grossAmount="9999")
    edited = world.documents.get(EVENTS, event["eventId"]) or {}
    world.documents.put(
        EVENTS, event["eventId"], {**edited, "audit": {"storedAt": event["audit"]["storedAt"]}}
    )
    world.run()
    world.run()
    assert _told(world, "financial")["grossAmount"] == event["data"]["grossAmount"]
    world.assert_straight()


@pytest.mark.parametrize(
    "data", [{"blockHash": "0x" + "00" * 32}, {"blockNumber": 10**9}, {"step": "burned"}]
)
def test_whatever_was_edited_the_state_is_right_again(world: World, data: dict[str, Any]) -> None:
    """Coordinates and step of a log are told by the chain, not by what the store says now."""
    world.start("a")
    world.live("a", LEVEL_3[:3])
    world.clock.advance(3_600)
    before = _edit(world, "financial", **data)
    world.run()
    told = _told(world, "financial")
    assert {name: told[name] for name in before["data"]} == before["data"]
    world.assert_straight()


@pytest.mark.parametrize("place", ["b", "nobody", "x/y", ""])
def test_an_event_that_was_moved_to_another_transfer_counts_for_nobody(world: World, place: str) -> None:
    """One transfer does not show another one's steps, and the one that lost it is told its log again."""
    world.start("a")
    world.start("b")
    world.live("a", LEVEL_3[:3])
    world.clock.advance(3_600)
    identity = (world.state("a") or {})["milestones"]["financial"]["eventId"]
    event = world.documents.get(EVENTS, identity)
    assert event
    world.documents.put(EVENTS, identity, {**event, "rolloverId": place})
    world.run()
    assert (world.state("b") or {})["contractState"] == 0
    assert world.state("nobody") is None
    assert (world.state("a") or {})["status"] == "ready_to_record"
    assert _told(world, "financial")["grossAmount"] == event["data"]["grossAmount"]
    assert (world.state("a") or {})["milestones"]["financial"]["eventId"] != identity
    world.assert_straight()
