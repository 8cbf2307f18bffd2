"""Events that somebody wrote by hand, with anything in any field: they stop no command and nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.adapters.sqlite import SqliteDocuments
from shared.app.observe import Observe
from shared.app.reconcile_settings import ReconcileSettings
from shared.domain.events import EVENTS
from shared.errors import NotFound
from shared.local import show
from tests.support.world import LEVEL_3, World

if TYPE_CHECKING:
    from pathlib import Path

_ODD = [5, 1.5, True, None, "", ["x"], {"x": 1}, "../x", "x" * 1501]
_KINDS = [
    "rollover.cancelled",
    "system.event_superseded",
    "system.event_correction",
    "blockchain.v5.agreement",
]
_VALUES = st.sampled_from([*_ODD, "a", "1", 0, -1, 2**62, "2023-11-14T22:30:00Z", "0x" + "00" * 32])
_DATA = st.dictionaries(
    st.sampled_from(
        [
            "chainId", "contract", "blockNumber", "blockHash", "logIndex", "transactionHash", "transferHash",
            "step", "joinedTo", "correctedEventType", "targetEventId", "verdictSeq", "isSender", "evidence",
        ]
    ),
    _VALUES,
)  # fmt: skip
_EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "eventId": _VALUES,
        "eventType": _VALUES | st.sampled_from(_KINDS),
        "rolloverId": _VALUES,
        "timestamp": _VALUES,
        "data": _VALUES | _DATA,
        "metadata": _VALUES,
        "custodianId": _VALUES,
        "audit": _VALUES | st.dictionaries(st.sampled_from(["storedAt", "eventHash"]), _VALUES),
    },
)


def _live_through(world: World, odd: list[dict[str, Any]]) -> None:
    """Put the events beside a transfer half of whose logs are missing, and use everything there is."""
    world.start("a")
    world.live("a", LEVEL_3[:2])
    world.act("a", "financial", sees=False)
    for number, event in enumerate(odd):
        world.documents.put(EVENTS, f"odd-{number}", event)
    world.documents.put("chain_cursors", "1", {"readThrough": 10**6})
    world.clock.advance(10**6)
    for manual in (True, False, False):
        world.reconcile.run(manual=manual)
    assert "financial" in (world.state("a") or {})["milestones"]
    world.projection.rebuild_all(check_only=True)
    world.projection.rebuild_all()
    observe = Observe(world.documents, None, None, world.clock)  # type: ignore[arg-type]
    for as_json in (True, False):
        show.events(observe.events(), as_json=as_json)
        show.events(observe.events("a"), as_json=as_json)
        show.timeline(observe.timeline("a"), as_json=as_json)
        show.state(observe.state("a"), as_json=as_json)


@pytest.mark.parametrize("every_run_limit", [20_000, 0])
@pytest.mark.parametrize("rollover_id", _ODD)
def test_a_transfer_id_that_is_none_stops_nobody(
    tmp_path: Path, rollover_id: object, every_run_limit: int
) -> None:
    """On SQLite, whose order of mixed values is its own: what counts goes on, commands and schedule."""
    documents = SqliteDocuments(tmp_path / "events.sqlite")
    world = World(tmp_path, documents, ReconcileSettings(every_run_limit=every_run_limit, rotation_runs=1))
    event = {"eventId": "odd", "eventType": "rollover.cancelled", "timestamp": "2023-11-14T22:30:00Z"}
    _live_through(world, [{**event, "data": {}, "rolloverId": rollover_id}])
    documents.close()


def test_an_event_that_does_not_count_is_shown_with_its_reason(world: World) -> None:
    """The list of a transfer's events tells why; its timeline leaves the event out."""
    world.start("a")
    world.documents.put(EVENTS, "odd", {"rolloverId": "a", "eventType": "rollover.cancelled"})
    observe = Observe(world.documents, None, None, world.clock)  # type: ignore[arg-type]
    shown = {event["eventId"]: event.get("unreadable") for event in observe.events("a")}
    assert shown == {"odd": "event field eventId is missing or not a string: None", "started-a": None}
    assert [entry["eventId"] for entry in observe.timeline("a")] == ["started-a"]
    with pytest.raises(NotFound):
        observe.timeline("nobody")


@settings(max_examples=120, deadline=None)
@given(odd=st.lists(_EVENTS, min_size=1, max_size=4), every_run_limit=st.sampled_from([20_000, 0]))
def test_whatever_is_written_by_hand_everything_goes_on(
    tmp_path_factory: pytest.TempPathFactory, odd: list[dict[str, Any]], every_run_limit: int
) -> None:
    """Runs by hand and by schedule, rebuilds and every reading command get through, and repair the rest."""
    chosen = ReconcileSettings(every_run_limit=every_run_limit, rotation_runs=1)
    _live_through(World(tmp_path_factory.mktemp("world"), settings=chosen), odd)
