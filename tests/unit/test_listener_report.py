from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from shared.domain.metrics import (
    BLOCKS_BEHIND,
    DOUBTS,
    ERRORS,
    LAG,
    LISTENER_STOPPED,
    LOGS_PUBLISHED,
    RECONCILE_AGE,
    REORG_DEPTH,
    REORGS,
)
from shared.errors import ChainUnavailable
from tests.support.listener import Scene, log

if TYPE_CHECKING:
    from shared.ports import Document


class _Stop:
    """A stop signal that lets a number of pauses pass; time passes with them."""

    def __init__(self, scene: Scene, pauses: int) -> None:
        self._scene = scene
        self._left = pauses

    def is_set(self) -> bool:
        return self._left <= 0

    def wait(self, timeout: float | None = None) -> bool:
        self._left -= 1
        self._scene.clock.advance(timeout or 0.0)
        return self.is_set()

    def pause(self, timeout: float) -> bool:
        return self.wait(timeout)


def _run(scene: Scene, pauses: int = 12) -> Document:
    scene.follow.run(_Stop(scene, pauses))
    return scene.store.get("chain_listeners", "1") or {}


def test_a_listener_that_keeps_up_says_so() -> None:
    """Head, how far it is read, what is proved, and how the endpoints stand, every few seconds."""
    scene = Scene(window=8)
    scene.grow(40)
    report = _run(scene, 60)
    assert report["head"]["number"] == report["readThrough"] == 40
    assert (report["behind"], report["oldestUnreadAt"], report["trouble"]) == (0, None, None)
    assert report["provedThrough"] == report["witnessedThrough"] == 40
    assert [endpoint["name"] for endpoint in report["endpoints"]] == ["endpoint 1"]
    assert not report["stopped"]
    assert scene.metrics.gauges[BLOCKS_BEHIND, "1"] == 0
    assert scene.metrics.counters[LOGS_PUBLISHED, "1"] == 40


def test_what_is_proved_ends_where_something_was_read_once_only() -> None:
    """Near the tip, too: a block that could not be proved ends it, until it is read again."""
    scene = Scene(window=8, second_reading_s=10**6)
    scene.grow(20)
    _run(scene, 60)
    scene.chain.provable = False
    scene.grow(3)
    scene.clock.advance(5)
    report = _run(scene)
    assert (report["provedThrough"], report["witnessedThrough"], report["readThrough"]) == (0, 0, 23)


def test_a_listener_that_fails_says_why_and_how_far_behind_it_is() -> None:
    """The report is written while nothing works, too, with the trouble and the age of what is unread."""
    scene = Scene()
    scene.grow(5)
    _run(scene)
    scene.grow(3)
    head = scene.chain.blocks[8].header.timestamp

    def fail() -> None:
        scene.chain.reachable = False

    scene.follow = scene.listener()
    scene.chain.before_request(5, fail)
    report = _run(scene)
    assert report["behind"] == 3
    assert report["oldestUnreadAt"] == datetime.fromtimestamp(head, UTC).isoformat()
    assert "cannot be reached" in report["trouble"]
    assert scene.metrics.counters[ERRORS, "1", "chain_unavailable"] > 1


def test_a_doubtful_answer_is_doubted_and_counted() -> None:
    """A block that is missing below the head makes its endpoint doubted, not the data."""
    scene = Scene()
    scene.grow(10)
    scene.settle()
    scene.grow(5)

    def fall_behind() -> None:
        scene.chain.lag = 3

    scene.chain.before_request(4, fall_behind)
    with pytest.raises(ChainUnavailable):
        scene.follow.step()
    assert len(scene.chain.doubts) == scene.metrics.counters[DOUBTS, "1"] == 1


def test_reorgs_are_counted_with_their_depth() -> None:
    """An operator sees how often blocks were taken back, and how many."""
    scene = Scene()
    scene.grow(20)
    scene.settle()
    scene.chain.reorg(7, {0: [log(1)]})
    scene.settle()
    assert scene.metrics.counters[REORGS, "1"] == 1
    assert scene.metrics.observed[REORG_DEPTH, "1"] == [7]


def test_what_was_learned_of_endpoints_outlives_the_process() -> None:
    """Limits are part of the report, and taken up by the next listener."""
    scene = Scene()
    scene.grow(3)
    scene.settle()
    scene.chain.learn({"abc": {"rangeBlocks": 10}})
    _run(scene)
    scene.chain.known_limits = {}
    scene.settle(scene.listener())
    assert scene.chain.known_limits == {"abc": {"rangeBlocks": 10}}


def test_most_endpoints_having_the_block_outvote_one_that_strays() -> None:
    """With several endpoints a reorg that most of them do not see is an endpoint to be doubted."""
    scene = Scene()
    scene.grow(20)
    scene.settle()
    before = list(scene.chain.blocks)
    scene.chain.reorg(5)
    scene.grow(1)
    scene.chain.witness = scene.chain
    scene.chain.other_votes = {20: [before[20].header.hash] * 2}
    with pytest.raises(ChainUnavailable, match="than the others"):
        scene.follow.step()
    assert not scene.logs(removed=True)
    scene.chain.other_votes = {}
    scene.settle()
    scene.assert_straight()


def test_the_figures_leave_with_each_report_and_nobody_waits_for_them() -> None:
    """How old its oldest unread block is, that it has not stopped, how old the last good run is."""
    scene = Scene(window=8)
    scene.grow(10)
    begun = scene.clock.now()
    finished = begun.isoformat()
    scene.store.put("reconciliations", "last_good", {"reportId": "r", "finishedAt": finished})
    _run(scene, 60)
    gauges = scene.metrics.gauges
    assert (gauges[LAG, "1"], gauges[LISTENER_STOPPED, "1"]) == (0, 0)
    assert 0 <= gauges[RECONCILE_AGE,] <= (scene.clock.now() - begun).total_seconds()
    assert set(scene.metrics.flushes) == {(0.0, False)}
