"""The whole story, through ``plumbline local`` and the command line, as the demo tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson
import pytest

from shared.domain.events import EVENTS, SUPERSEDED
from shared.domain.hashing import transfer_hash
from shared.domain.state import STATES
from shared.local.running import RunningLocal
from shared.local.story import Story
from shared.local.story_cast import Stage
from shared.ports import Query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.ports import Document, Documents


@dataclass
class Told:
    """What the parts of the story left behind, in the order in which they were told."""

    documents: Documents
    story: Story
    crooked: set[str]
    first: Document
    events_after_first: set[str]
    second: Document
    rebuild_exit: int
    events_in_the_end: set[str]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Tell the story once, with the plumb line dropped after the drift and again at the end."""
    home = tmp_path_factory.mktemp("local")
    running = RunningLocal(home, ["--reconcile-every", "0"])
    with running as local, local.parts() as parts, local.escrow() as escrow:
        stage = Stage(
            escrow, parts.documents, parts.event_log("application"), parts.clock,
            local.hold_listener, local.release_listener, lambda _: None,
        )  # fmt: skip
        story = Story(stage)
        story.begin()
        story.live()
        story.drift()
        crooked = {each.transfer.transfer_id for each in story.standings() if not each.straight}
        first = local.command("reconcile", "--json")
        after_first = _ids(parts.documents)
        story.resume()
        second = local.command("reconcile", "--json")
        rebuilt = local.command("rebuild", "--check")
        yield Told(
            parts.documents, story, crooked, orjson.loads(first.stdout), after_first,
            orjson.loads(second.stdout), rebuilt.returncode, _ids(parts.documents),
        )  # fmt: skip


def _ids(documents: Documents) -> set[str]:
    return {key for key, _ in documents.query(EVENTS, Query(fields=()))}


def _of(told: Told, name: str) -> list[Document]:
    wanted = (("rolloverId", told.story.transfers[name].transfer_id),)
    return [event for _, event in told.documents.query(EVENTS, Query(where=wanted))]


def _milestones(told: Told, name: str) -> Document:
    milestones: Document = told.story.state_of(told.story.transfers[name])["milestones"]
    return milestones


def test_after_the_plumb_line_every_state_is_the_contracts(told: Told) -> None:
    """Four transfers were visibly apart, and in the end none is."""
    assert told.crooked == {"T-missed", "T-premature", "T-outside", "T-unmapped"}
    assert all(each.straight for each in told.story.standings())
    assert told.story.faults() == []


def test_each_mishap_is_told_with_its_cause_and_repaired(told: Told) -> None:
    """The report names the cause of every mismatch, and that each was put right by evidence."""
    causes = {entry["rolloverId"]: entry["cause"] for entry in told.first["mismatches"]}
    assert causes == {
        "T-missed": "missing_event",
        "T-deleted": "event_deleted",
        "T-premature": "ahead_of_chain",
        "T-outside": "missing_event",
    }
    assert all(entry["repaired"] for entry in told.first["mismatches"])
    assert (told.first["errorCount"], told.first["createdByContractState"]) == (0, 0)
    assert [entry["rolloverId"] for entry in told.first["joined"]] == ["T-unmapped"]


def test_a_second_reconciliation_finds_nothing_and_a_rebuild_no_difference(told: Told) -> None:
    """What was put right stays right, and states are what their events say."""
    left = {
        name: told.second[name] for name in ("mismatchCount", "createdCount", "supersededCount", "errorCount")
    }
    assert left == dict.fromkeys(left, 0)
    assert told.rebuild_exit == 0


def test_the_listener_brings_nothing_twice_when_it_comes_back(told: Told) -> None:
    """Of all that the reconciler appended the listener wrote the same again: only the new step is new."""
    new = told.events_in_the_end - told.events_after_first
    kinds = [told.documents.get(EVENTS, key) for key in new]
    assert [(event or {}).get("rolloverId") for event in kinds] == ["T-dropped"]


def test_a_level_3_pair_is_executed_and_minted_by_one_transaction(told: Told) -> None:
    """Both events carry the same transaction hash, and the transfer is completed by its burn."""
    milestones = _milestones(told, "level-3")
    assert milestones["executed"]["transactionHash"] == milestones["minted"]["transactionHash"]
    assert milestones["burned"]["transactionHash"] != milestones["minted"]["transactionHash"]
    assert told.story.state_of(told.story.transfers["level-3"])["status"] == "completed"


def test_a_level_2_pair_completes_without_a_mint_invented(told: Told) -> None:
    """Contract state 8 is proved by execution and completion alone; no mint or burn is stored."""
    kinds = {event["eventType"] for event in _of(told, "level-2")}
    assert {"blockchain.v5.executed", "blockchain.v5.completed"} <= kinds
    assert not kinds & {"blockchain.v5.minted", "blockchain.v5.burned"}


def test_what_a_reorg_took_back_is_superseded_and_kept(told: Told) -> None:
    """The log that is gone and the log in the old block are superseded, never deleted."""
    for name, blocks in (("dropped", 2), ("re-mined", 2)):
        events = _of(told, name)
        financial = [e for e in events if e["eventType"] == "blockchain.v5.financial"]
        verdicts = {e["data"]["targetEventId"] for e in events if e["eventType"] == SUPERSEDED}
        live = [e for e in financial if e["eventId"] not in verdicts]
        assert (len(financial), len(live)) == (blocks, 1)
    same = {
        e["data"]["transactionHash"] for e in _of(told, "re-mined") if e["data"].get("step") == "financial"
    }
    assert len(same) == 1


def test_an_event_that_was_deleted_by_hand_is_back(told: Told) -> None:
    """The state rests on stored events only."""
    state = told.story.state_of(told.story.transfers["deleted"])
    assert state["proofs"].keys() <= _ids(told.documents)
    assert "executed" in state["milestones"]


def test_a_premature_event_is_superseded_not_deleted(told: Told) -> None:
    """The application's event is still there, and counts no more."""
    events = {event["eventId"]: event for event in _of(told, "premature")}
    assert "T-premature-blockchain.v5.executed" in events
    targets = [e["data"]["targetEventId"] for e in events.values() if e["eventType"] == SUPERSEDED]
    assert targets == ["T-premature-blockchain.v5.executed"]
    assert told.story.state_of(told.story.transfers["premature"])["status"] == "ready_to_record"


def test_an_unmapped_transfer_is_joined_by_the_reference_in_its_calldata(told: Told) -> None:
    """Its mapping exists now, its stand-in is closed, and both custodians see its events."""
    transfer = told.story.transfers["unmapped"]
    bare = transfer_hash(transfer.transfer_id)
    mapping = told.documents.get("transfer_hash_mappings", bare) or {}
    stand_in = told.documents.get(STATES, bare) or {}
    assert mapping["transferId"] == transfer.transfer_id
    assert stand_in["joinedTo"] == transfer.transfer_id
    agreed = [e for e in _of(told, "unmapped") if e["data"].get("step") in ("agree_send", "agree_receive")]
    assert [e["participants"] for e in agreed] == [["tokenised-bank", "tokenised-trust"]] * 2
