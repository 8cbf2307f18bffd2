"""What delivers in the cloud, on a laptop: the bus's push, the Firestore trigger, and the schedule."""

from __future__ import annotations

import argparse
import logging
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from shared.bootstrap import plumbline
from shared.domain.topics import HANDLE_CHAIN_EVENT
from shared.errors import StoreUnavailable
from shared.local.children import stop_with_parent
from shared.local.http_push import Pusher, posted, pubsub_event
from shared.local.trigger import Trigger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.ports import Bus, Delivery

_LOG: Final = logging.getLogger("plumbline.deliver")
_FIRST_RUN_S: Final = 3.0
_HELD_S: Final = 3
_HELD_AGAIN_S: Final = 1.0
_IDLE_S: Final = 0.05
_AWAY_S: Final = 0.2
_QUIET_S: Final = 0.5
"""Without a large message for so long, the past has been read."""
_LARGE_BYTES: Final = 32_768
"""A message of some fifty logs: more than a block brings where people watch."""


class BusPush:
    """Pushes the messages of a subscription to its function; an answer of 2xx acknowledges."""

    def __init__(self, bus: Bus, pusher: Pusher, stop: threading.Event) -> None:
        self._bus = bus
        self._pusher = pusher
        self._stop = stop
        self._last_large = float("-inf")

    def is_busy(self) -> bool:
        """Say whether large messages, those of a back-fill, have come just now."""
        return time.monotonic() - self._last_large < _QUIET_S

    def run(self) -> None:
        """Push one after the other until told to stop; several threads may."""
        while not self._stop.is_set():
            deliveries = self._bus.pull(HANDLE_CHAIN_EVENT, 1)
            for delivery in deliveries:
                self._note(delivery)
                with self._held(delivery):
                    done = self._push(delivery)
                self._settle(delivery, done)
                self._note(delivery)
            if not deliveries:
                self._stop.wait(_IDLE_S)

    def _note(self, delivery: Delivery) -> None:
        if len(delivery.message.data) >= _LARGE_BYTES:
            self._last_large = time.monotonic()

    def _settle(self, delivery: Delivery, done: bool | None) -> None:  # noqa: FBT001 - what became of it
        if done is None:
            # It never came to the function: that is no attempt, after which it would wait, longer each time.
            self._bus.release(HANDLE_CHAIN_EVENT, [delivery.ack_id])
            self._stop.wait(_AWAY_S)
            return
        (self._bus.ack if done else self._bus.nack)(HANDLE_CHAIN_EVENT, [delivery.ack_id])

    @contextmanager
    def _held(self, delivery: Delivery) -> Iterator[None]:
        """Keep a message while it is pushed, and hardly longer: we may be killed meanwhile."""
        done = threading.Event()
        self._bus.hold(HANDLE_CHAIN_EVENT, [delivery.ack_id], _HELD_S)

        def hold() -> None:
            while not done.wait(_HELD_AGAIN_S):
                try:
                    self._bus.hold(HANDLE_CHAIN_EVENT, [delivery.ack_id], _HELD_S)
                except StoreUnavailable as error:
                    _LOG.warning("a message may come twice: %s", error)

        holder = threading.Thread(target=hold, daemon=True)
        holder.start()
        try:
            yield
        finally:
            done.set()
            holder.join()

    def _push(self, delivery: Delivery) -> bool | None:
        body, headers = pubsub_event(delivery)
        return posted(self._pusher, "/handle_chain_event", body, headers)


class Schedule:
    """Calls ``reconcile`` every so many seconds; first soon after the start, for until then nobody knows."""

    def __init__(self, pusher: Pusher, every_s: float, stop: threading.Event) -> None:
        self._pusher = pusher
        self._every_s = every_s
        self._stop = stop

    def run(self) -> None:
        """Call until told to stop; a run that fails is tried again at the next time."""
        wait_s = min(self._every_s, _FIRST_RUN_S)
        while not self._stop.wait(wait_s):
            posted(self._pusher, "/reconcile", b"", {})
            wait_s = self._every_s


def main() -> int:
    """Deliver until SIGTERM, or until the parent is gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--reconcile-every", type=float, required=True)
    options = parser.parse_args()
    stop = stop_with_parent()
    parts, pusher = plumbline(), Pusher(options.port)
    # A message is much work: each goes to the server process that takes it first.
    push = BusPush(parts.bus, Pusher(options.port, posts_a_connection=1), stop)
    # Each of two servers has one, and another is at hand: who acknowledges and pulls waits for the store.
    jobs = [push, push, push, Trigger(parts.documents, pusher, stop, push.is_busy)]
    failed: list[str] = []
    threads = [threading.Thread(target=_kept_up, args=(job, stop, failed), daemon=True) for job in jobs]
    if options.reconcile_every > 0:
        schedule = Schedule(pusher, options.reconcile_every, stop)
        # Not waited for at the end: a run may take minutes, and goes on another time.
        threading.Thread(target=schedule.run, daemon=True).start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 1 if failed else 0


def _kept_up(job: BusPush | Trigger, stop: threading.Event, failed: list[str]) -> None:
    """Run a job; where the store is away for a while, wait and go on.

    Whatever else ends it ends the process, which is started again: half a delivery would look like a whole.
    """
    try:
        while not stop.is_set():
            try:
                job.run()
            except StoreUnavailable as error:
                _LOG.warning("the store cannot be used: %s", error)
                stop.wait(1.0)
    except BaseException:
        failed.append(type(job).__name__)
        stop.set()
        raise


if __name__ == "__main__":
    sys.exit(main())
