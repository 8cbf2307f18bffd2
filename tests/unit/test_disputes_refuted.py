"""What becomes of events that are refuted or restated: whatever the order, and through reorgs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shared.domain.events import EVENTS, SUPERSEDED
from shared.domain.log_coordinates import id_of_log
from shared.domain.metrics import EVENTS_REFUTED
from shared.domain.state import STATES
from shared.domain.system_events import REFUTED
from shared.ports import Query
from tests.support.lies import OTHER_TRANSFER, disputed_scene, lie_at, number_of, wait
from tests.support.listener import log

if TYPE_CHECKING:
    from shared.ports import RawLog


def test_a_message_says_that_blocks_are_proved_to_hold_no_log_at_all() -> None:
    """What was stored of them before goes, though there is nothing to publish."""
    scene = disputed_scene()
    scene.chain.mine_empty(39)
    scene.grow(1)
    scene.chain.mine_empty(100)
    blocks = scene.chain.blocks

    def also_far_above(raw: RawLog) -> list[RawLog]:
        there = blocks[number_of(raw) + 15].header
        return [raw, {**raw, "blockNumber": hex(there.number), "blockHash": there.hash}]

    scene.chain.index_says = also_far_above
    scene.settle()
    believed = len(scene.messages())
    scene.handle(scene.messages())
    assert len(scene.outcome().live) > 1
    wait(scene)
    scene.handle(scene.messages()[believed:])
    scene.assert_outcome()


def test_a_lie_that_is_handled_after_its_refutation_is_taken_back() -> None:
    """A message that was under way for long is held against what is on file of its blocks."""
    scene = disputed_scene()
    scene.grow(100)
    lie_at(scene, {40: "made up"})
    scene.settle()
    late = scene.messages()
    wait(scene)
    scene.handle(scene.messages()[len(late) :])
    scene.assert_straight()
    scene.handle(late)
    scene.assert_outcome()
    assert scene.metrics.counters[EVENTS_REFUTED, "1"] == 1


def test_a_state_rests_on_what_is_proved() -> None:
    """A transfer that only a made-up log told of has no step, and what was altered is its own transfer's."""
    scene = disputed_scene()
    scene.grow(100)
    lie_at(scene, {40: "altered"})
    scene.settle()
    scene.handle(scene.messages())
    wrong = scene.store.get(STATES, OTHER_TRANSFER)
    assert wrong
    assert wrong["contractState"]
    wait(scene)
    scene.handle(scene.messages())
    wrong = scene.store.get(STATES, OTHER_TRANSFER)
    assert wrong
    assert not wrong["contractState"]
    right = scene.store.get(STATES, scene.chain.blocks[40].logs[0]["topics"][1])
    assert right
    assert right["contractState"]


def test_what_is_refuted_stays_so_through_reorgs() -> None:
    """A block that leaves and returns brings back what it holds, and nothing that was made up of it."""
    scene = disputed_scene()
    scene.grow(3)
    scene.settle()
    scene.chain.provable = False
    lie_at(scene, {5: "altered and one made up"})
    scene.grow(3)
    scene.settle()
    scene.chain.provable = True
    wait(scene)
    ours = list(scene.chain.blocks)
    scene.chain.reorg(3, {i: [log(90 + i)] for i in range(3)})
    scene.grow(1)
    scene.settle()
    scene.chain.blocks = ours
    scene.grow(3)
    wait(scene)
    scene.assert_straight()


def test_what_is_restated_of_a_block_that_left_is_taken_back_with_it() -> None:
    """A removal that was handled first is not forgotten."""
    scene = disputed_scene()
    scene.grow(3)
    scene.settle()
    scene.chain.provable = False
    lie_at(scene, {5: "altered"})
    scene.grow(3)
    scene.settle()
    believed = len(scene.messages())
    scene.chain.provable = True
    wait(scene)
    proved = len(scene.messages())
    scene.chain.reorg(3)
    scene.grow(1)
    scene.settle()
    messages = scene.messages()
    scene.handle([*messages[:believed], *messages[proved:], *messages[believed:proved]])
    scene.assert_outcome()


@pytest.mark.parametrize("order", ["removed, back, proved", "back, removed, proved", "removed, proved, back"])
def test_what_is_restated_of_a_block_that_left_and_returned_counts(order: str) -> None:
    """Whenever the proof is handled, a log of a canonical block is told of."""
    scene = disputed_scene()
    scene.grow(3)
    scene.settle()
    scene.chain.provable = False
    lie_at(scene, {5: "altered and one made up"})
    scene.grow(3)
    scene.settle()
    handled = len(scene.messages())
    scene.handle(scene.messages())
    parts = {}

    def goes_on(part: str) -> None:
        nonlocal handled
        parts[part] = scene.messages()[handled:]
        handled += len(parts[part])

    scene.chain.provable = True
    wait(scene)
    goes_on("proved")
    ours = list(scene.chain.blocks)
    scene.chain.reorg(3)
    scene.grow(1)
    scene.settle()
    goes_on("removed")
    scene.chain.blocks = ours
    scene.grow(3)
    scene.settle()
    goes_on("back")
    scene.handle(message for part in order.split(", ") for message in parts[part])
    scene.assert_outcome()


def test_the_false_content_stays_on_record() -> None:
    """Nothing is overwritten: the altered event is superseded for good, and the alert names it."""
    scene = disputed_scene()
    scene.grow(100)
    lie_at(scene, {40: "altered"})
    scene.settle()
    wait(scene)
    scene.handle(scene.messages())
    identity = id_of_log(1, scene.chain.blocks[40].logs[0])
    stored = scene.store.get(EVENTS, identity)
    assert stored
    assert stored["data"]["transferHash"] == OTHER_TRANSFER
    found = scene.store.query(EVENTS, Query(where=(("eventType", SUPERSEDED),)))
    assert [each["data"]["targetEventId"] for _, each in found] == [identity]
    assert [each["data"]["verdictSeq"] for _, each in found] == [REFUTED]
    (alert,) = scene.alerts.sent
    assert alert.key == "refuted_events"
    assert alert.detail == {"chainId": 1, "eventIds": [identity]}
