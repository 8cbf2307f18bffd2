from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from shared.app.listeners import Listeners
from shared.domain.metrics import ERRORS
from shared.errors import FinalityViolation
from tests.support.metrics import MemoryMetrics

if TYPE_CHECKING:
    from shared.app.doorbell import Doorbell


def test_a_chain_that_stops_for_good_leaves_the_others_and_is_told_at_the_end() -> None:
    """One finality violation ends one thread; the process stays up until told, and then exits with 1."""
    failed, goes_on = threading.Event(), threading.Event()

    def follow(chain_id: int, doorbell: Doorbell) -> None:
        if chain_id == 1:
            failed.set()
            raise FinalityViolation("block 7 was certified")
        while not doorbell.wait(0.01):
            if failed.is_set():
                goes_on.set()

    listeners = Listeners([1, 5], follow, MemoryMetrics())
    listeners.start()
    assert goes_on.wait(30)
    assert listeners.dead() == []
    listeners.stop()
    assert listeners.wait() == 1


def test_what_nobody_foresaw_is_begun_anew() -> None:
    """An error that is none of ours ends no chain: it is counted, and followed again until told to stop."""
    times, again, metrics = [], threading.Event(), MemoryMetrics()

    def follow(_: int, doorbell: Doorbell) -> None:
        times.append(1)
        if len(times) < 3:
            raise OverflowError("timestamp out of range")
        again.set()
        doorbell.wait(30)

    listeners = Listeners([1], follow, metrics, anew_after_s=0.01)
    listeners.start()
    assert again.wait(30)
    listeners.stop()
    assert listeners.wait() == 0
    assert metrics.counters[ERRORS, "1", "unforeseen"] == 2


def test_a_listener_that_ends_without_a_word_is_dead() -> None:
    """A thread that nobody told to end makes the process unhealthy, so that it is started again."""
    listeners = Listeners([1], lambda *_: None, MemoryMetrics())
    listeners.start()
    deadline = threading.Event()
    for _ in range(3000):
        if listeners.dead():
            break
        deadline.wait(0.01)
    assert listeners.dead() == ["chain 1"]
    listeners.stop()
    assert listeners.wait() == 0
    assert listeners.dead() == []
