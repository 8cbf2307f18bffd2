from __future__ import annotations

import threading
import time

from shared.app.doorbell import Doorbell, set_by_handler

_LONG_S = 30.0


def _later(what: object) -> None:
    threading.Timer(0.05, what).start()  # type: ignore[arg-type]


def test_a_ring_ends_the_present_wait_and_a_pause_sleeps_through_it() -> None:
    """A head wakes whoever polls, never whoever backs off."""
    bell = Doorbell()
    begun = time.monotonic()
    _later(bell.ring)
    assert not bell.wait(_LONG_S)
    assert time.monotonic() - begun < _LONG_S / 2
    bell.ring()
    begun = time.monotonic()
    assert not bell.pause(0.1)
    assert time.monotonic() - begun >= 0.1


def test_a_ring_before_the_wait_is_not_lost() -> None:
    """What is announced while a step is in hand makes the next wait short, once."""
    bell = Doorbell()
    bell.ring()
    begun = time.monotonic()
    assert not bell.wait(_LONG_S)
    assert time.monotonic() - begun < _LONG_S / 2
    begun = time.monotonic()
    assert not bell.wait(0.05)
    assert time.monotonic() - begun >= 0.05


def test_stopping_ends_waits_and_pauses_for_good() -> None:
    """Told to stop, nobody waits any more."""
    bell = Doorbell()
    _later(bell.set)
    assert bell.pause(_LONG_S)
    assert bell.wait(_LONG_S)
    assert bell.is_set()


def test_a_flood_of_rings_is_heard_now_and_then() -> None:
    """However often it is rung, waits end at most every fifth of a second, and not later than without."""
    bell = Doorbell()
    begun = time.monotonic()
    for _ in range(4):
        bell.ring()
        assert not bell.wait(_LONG_S)
    assert 0.6 <= time.monotonic() - begun < _LONG_S / 2
    begun = time.monotonic()
    bell.ring()
    assert not bell.wait(0.05)
    assert time.monotonic() - begun < 0.2


def test_a_signal_just_before_a_wait_is_no_deadlock() -> None:
    """A handler that interrupts its thread where that holds the event's lock comes back, and is heard."""
    event = threading.Event()

    def about_to_wait() -> None:
        with event._cond:  # type: ignore[attr-defined]
            set_by_handler(event)

    thread = threading.Thread(target=about_to_wait, daemon=True)
    thread.start()
    thread.join(_LONG_S)
    assert not thread.is_alive()
    assert event.wait(_LONG_S)
