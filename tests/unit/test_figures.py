"""The figures of handler and projection: what is counted, once, under few labels."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from shared.app.deadletters import EVENTS_SOURCE, Burial
from shared.app.log_batch import LOGS, LogBatch
from shared.domain.contract import Registry
from shared.domain.events import EVENTS, seal
from shared.domain.metrics import (
    DEAD_LETTERS,
    EVENTS_ALREADY_THERE,
    EVENTS_CONFLICTING,
    EVENTS_STORED,
    HANDLE_TIME,
    LABELS,
    LEFT_TO_TRIGGERS,
    LOG_TO_STATE,
    LOGS_IGNORED,
    METRICS,
)
from shared.domain.topics import CHAIN_LOGS
from shared.errors import CorruptEvent, UndecodableLog
from tests.support.world import LEVEL_3, World

if TYPE_CHECKING:
    import pytest


def test_a_message_is_counted_by_what_became_of_its_logs(world: World) -> None:
    """Stored, already there, ignored, dead by cause; and the time that it took."""
    world.start("a")
    logs = world.act("a", "agree_send")
    nothing = "0x" + "77" * 32
    world.registry = Registry([replace(world.spec, unmapped=frozenset([nothing]))])
    world.handler = world.new_handler()
    passed_over = {**logs[0], "topics": [nothing], "logIndex": "0x7"}
    stranger = {**logs[0], "address": "0x" + "77" * 20}
    batch = LogBatch(LOGS, 1, 0, [*logs, passed_over, stranger, stranger, "text"])
    world.handler.handle(batch.encode())
    world.handler.handle(b"not JSON")
    counters = world.metrics.counters
    assert counters[EVENTS_STORED, "1"] == 1
    assert counters[EVENTS_ALREADY_THERE, "1"] == 1
    assert counters[LOGS_IGNORED, "1"] == 1
    assert counters[DEAD_LETTERS, CHAIN_LOGS, "undecodable_log"] == 3
    assert counters[DEAD_LETTERS, CHAIN_LOGS, "invalid_input"] == 1
    assert len(world.metrics.observed[HANDLE_TIME,]) == 2


def test_conflicts_and_what_is_left_to_triggers_are_counted(world: World) -> None:
    """An event stored with another content, and one whose state could not be written."""
    world.start("a")
    [log] = world.act("a", "agree_send")
    [event] = [each for each in world.events("a") if each["eventType"] == "blockchain.v5.agreement"]
    world.documents.put(EVENTS, event["eventId"], {**event, "data": {}})
    world.see([log])
    assert world.metrics.counters[EVENTS_CONFLICTING, "1"] == 1
    world.no_projecting()
    world.act("a", "agree_receive")
    assert world.metrics.counters[LEFT_TO_TRIGGERS, "1"] == 1


def test_a_message_of_a_chain_that_nobody_configured_makes_no_label(world: World) -> None:
    """Whoever can publish can name any chain; it is counted as dead letters and nothing else."""
    log = world.act("a", "agree_send", sees=False)[0]
    for chain_id in range(2, 20):
        world.handler.handle(LogBatch(LOGS, chain_id, 0, [log]).encode())
    assert world.metrics.counters == {(DEAD_LETTERS, CHAIN_LOGS, "undecodable_log"): 18}


def test_dead_letters_alert_by_cause(world: World) -> None:
    """One alert a cause, however many letters; the last one is named."""
    burial = Burial(world.bus, world.alerts, world.metrics)
    burial.bury({"logs": []}, UndecodableLog("what is this"))
    burial.bury({"logs": []}, UndecodableLog("and what is this"))
    burial.bury({"eventId": "e"}, CorruptEvent("not its hash"), source=EVENTS_SOURCE)
    assert not world.alerts.sent
    burial.tell()
    burial.tell()
    first, second = sorted(world.alerts.sent, key=lambda alert: alert.key)
    assert first.key == "dead_letters:chain-logs:undecodable_log"
    assert second.key == "dead_letters:events:corrupt_event"
    assert first.passing
    assert first.detail["error"] == "and what is this"


def test_the_time_from_log_to_state_is_taken_once_by_who_recorded_it(world: World) -> None:
    """By the live path, or by the reconciliation; a trigger that comes again takes no time anew."""
    world.start("a")
    world.live("a", LEVEL_3[:2])
    world.act("a", "financial", sees=False)
    world.run()
    live = world.metrics.observed[LOG_TO_STATE, "1", "handle_chain_event"]
    late = world.metrics.observed[LOG_TO_STATE, "1", "reconcile"]
    assert (len(live), len(late)) == (2, 1)
    block = world.chain.blocks[-1].header.timestamp
    assert late == [world.clock.now().timestamp() - block]
    for event in world.events("a"):
        world.projection.catch_up([event])
        world.projection.project([event])
    assert len(live) + len(late) == 3


def test_whatever_somebody_seals_by_hand_is_projected_and_makes_no_label(world: World) -> None:
    """A time that is none, a chain that is none, a recorder of one's own invention."""
    world.start("a")
    world.act("a", "agree_send")
    [event] = [each for each in world.events("a") if each["eventType"] == "blockchain.v5.agreement"]
    before = dict(world.metrics.observed)
    strange = [
        {**event, "eventId": "x", "timestamp": "when it was"},
        {**event, "eventId": "y", "data": {**event["data"], "chainId": "0x1"}},
        {**event, "eventId": "z", "data": {**event["data"], "chainId": None}},
    ]
    for each in strange:
        world.projection.project([seal(each)])
    for recorder in ({"a": 1}, "somebody", None):
        invented = seal({**event, "eventId": f"w{recorder}", "timestamp": "2023-11-14T22:00:00Z"})
        invented["audit"]["recordedBy"] = recorder
        world.projection.project([invented])
    new = {key for key in world.metrics.observed if key not in before}
    assert new <= {(LOG_TO_STATE, "1", "other")}


def test_no_figure_is_told_apart_by_a_transfer(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """After whole lives, faults and repairs no label holds an id, a hash or a text."""
    with caplog.at_level("CRITICAL"):
        for number in range(5):
            world.start(f"transfer-{number}")
            world.live(f"transfer-{number}", LEVEL_3, sees=number % 2 == 0)
        world.handler.handle(json.dumps({"kind": "logs"}).encode())
        world.run()
    kept = [*world.metrics.counters, *world.metrics.gauges, *world.metrics.observed]
    for name, *values in kept:
        assert set(METRICS[name].labels) <= set(LABELS)
        assert all(len(value) <= 24 and "transfer-" not in value for value in values), (name, values)
