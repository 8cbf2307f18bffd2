"""What a listener waits at: it is woken when a head is announced, and told when to stop."""

from __future__ import annotations

import threading
import time
from typing import Final

_HEARD_EVERY_S: Final = 0.2
"""A socket that floods us with heads must not make us ask the node for each."""


def set_by_handler(event: threading.Event) -> None:
    """Set an event from a signal's handler.

    In a thread of its own: a handler runs in the midst of the main thread, which may be just about to wait
    for that event and hold its lock. Setting it there would wait for that lock for ever.
    """
    threading.Thread(target=event.set, daemon=True, name="signal").start()


class Doorbell:
    """A stop signal that can also be rung. Safe to share between threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._stopped = False
        self._rung = False
        self._heard_at = float("-inf")

    def set(self) -> None:
        """Tell whoever waits to stop for good."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def is_set(self) -> bool:
        """Say whether to stop."""
        return self._stopped

    def ring(self) -> None:
        """Let the present wait end, or the next one if there is none; at most five times a second."""
        with self._changed:
            self._rung = True
            self._changed.notify_all()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for this many seconds, a ring or the stop; return whether to stop."""
        with self._changed:
            started = time.monotonic()
            self._changed.wait_for(lambda: self._stopped or self._rung, timeout)
            if self._rung and not self._stopped:
                soonest = self._heard_at + _HEARD_EVERY_S
                if timeout is not None:
                    soonest = min(soonest, started + timeout)
                self._changed.wait_for(lambda: self._stopped, max(0.0, soonest - time.monotonic()))
                self._heard_at = time.monotonic()
            self._rung = False
            return self._stopped

    def pause(self, timeout: float) -> bool:
        """Wait for this many seconds or the stop, rung or not; return whether to stop."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not self._stopped and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            return self._stopped
