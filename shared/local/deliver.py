"""What delivers in the cloud, on a laptop: the bus's push, the Firestore trigger, and the schedule."""

from __future__ import annotations

import argparse
import logging
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from shared.bootstrap import plumbline
from shared.domain.events import EVENTS
from shared.domain.topics import HANDLE_CHAIN_EVENT
from shared.errors import StoreUnavailable
from shared.local.children import stop_with_parent
from shared.local.http_push import Pusher, document_event, pubsub_event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.ports import Bus, Change, Delivery, Documents

_LOG: Final = logging.getLogger("plumbline.deliver")
POSITIONS: Final = "local_triggers"
_IDLE_S: Final = 0.05
_IN_FLIGHT: Final = 4
_PAGE: Final = 1000
_LONGEST_PAUSE_S: Final = 5.0
_OK: Final = range(200, 300)


class BusPush:
    """Pushes the messages of a subscription to its function; an answer of 2xx acknowledges."""

    def __init__(self, bus: Bus, pusher: Pusher, stop: threading.Event) -> None:
        self._bus = bus
        self._pusher = pusher
        self._stop = stop

    def run(self) -> None:
        """Push until told to stop."""
        while not self._stop.is_set():
            deliveries = self._bus.pull(HANDLE_CHAIN_EVENT, 4)
            for delivery in deliveries:
                done = self._push(delivery)
                (self._bus.ack if done else self._bus.nack)(HANDLE_CHAIN_EVENT, [delivery.ack_id])
            if not deliveries:
                self._stop.wait(_IDLE_S)

    def _push(self, delivery: Delivery) -> bool:
        body, headers = pubsub_event(delivery)
        return _posted(self._pusher, "/handle_chain_event", body, headers)


class Trigger:
    """Tells ``project_events`` of every event created, at least once, from a durable position."""

    def __init__(self, documents: Documents, pusher: Pusher, stop: threading.Event) -> None:
        self._documents = documents
        self._pusher = pusher
        self._stop = stop

    def run(self) -> None:
        """Deliver until told to stop; the stored position moves only past what was accepted.

        One that is refused does not hold up the others: it comes again beside them, later each time.
        """
        stored = self._documents.get(POSITIONS, EVENTS)
        position = stored["position"] if stored else None
        refused: list[Change] = []
        pause, due = _IDLE_S, 0.0
        with ThreadPoolExecutor(_IN_FLIGHT) as pool:
            while not self._stop.is_set():
                again = refused if time.monotonic() >= due else []
                # As many refused is no poison among them, but a function that is away: it is waited for.
                news = self._documents.watch(EVENTS, position, _PAGE) if len(refused) < _PAGE else []
                if not again and not news:
                    self._stop.wait(_IDLE_S)
                    continue
                still = self._refused(pool, [*again, *news])
                if again or not refused:
                    pause = min(pause * 2, _LONGEST_PAUSE_S) if again and still else _IDLE_S
                    due, refused = time.monotonic() + pause, still
                else:
                    refused = [*refused, *still]
                position = news[-1].position if news else position
                if not refused:
                    self._documents.put(POSITIONS, EVENTS, {"position": position})

    def _refused(self, pool: ThreadPoolExecutor, changes: Sequence[Change]) -> list[Change]:
        """Post events, several at a time, and return those that were not accepted."""
        accepted = pool.map(self._accept_each, [changes[at::_IN_FLIGHT] for at in range(_IN_FLIGHT)])
        done = {position for share in accepted for position in share}
        return [change for change in changes if change.position not in done]

    def _accept_each(self, changes: Sequence[Change]) -> list[str]:
        return [change.position for change in changes if self._accepted(change)]

    def _accepted(self, change: Change) -> bool:
        body, headers = document_event(EVENTS, change)
        return not self._stop.is_set() and _posted(self._pusher, "/project_events", body, headers)


class Schedule:
    """Calls ``reconcile`` every so many seconds."""

    def __init__(self, pusher: Pusher, every_s: float, stop: threading.Event) -> None:
        self._pusher = pusher
        self._every_s = every_s
        self._stop = stop

    def run(self) -> None:
        """Call until told to stop; a run that fails is tried again at the next time."""
        while not self._stop.wait(self._every_s):
            _posted(self._pusher, "/reconcile", b"", {})


def _posted(pusher: Pusher, path: str, body: bytes, headers: dict[str, str]) -> bool:
    try:
        status = pusher.post(path, body, headers)
    except OSError as error:
        _LOG.warning("%s gave no answer: %s", path, type(error).__name__)
        return False
    if status not in _OK:
        _LOG.warning("%s answered %s; it will be delivered again", path, status)
    return status in _OK


def main() -> int:
    """Deliver until SIGTERM, or until the parent is gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--reconcile-every", type=float, required=True)
    options = parser.parse_args()
    stop = stop_with_parent()
    parts, pusher = plumbline(), Pusher(options.port)
    jobs = [BusPush(parts.bus, pusher, stop), Trigger(parts.documents, pusher, stop)]
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
