"""The Firestore trigger, on a laptop: every event created is told of, at least once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from shared.domain.events import EVENTS, is_our_id
from shared.local.http_push import Pusher, document_event, posted

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from shared.ports import Change, Documents

POSITIONS: Final = "local_triggers"
_IDLE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 5.0
_IN_FLIGHT: Final = 4
_PAGE: Final = 1000
_LOT: Final = 100
_TRICKLE: Final = 5
_TRICKLE_PAUSE_S: Final = 0.25


class Trigger:
    """Tells ``project_events`` of every event created, at least once, from a durable position.

    While ``is_busy`` (large messages are coming, whose handler projects what it appends) what Plumbline
    wrote is told of at a trickle: the function would find nothing to do. What the application wrote (it is
    told by its id, which is no hash) is never kept waiting behind it.
    """

    def __init__(
        self, documents: Documents, pusher: Pusher, stop: threading.Event, is_busy: Callable[[], bool]
    ) -> None:
        self._documents = documents
        self._pusher = pusher
        self._stop = stop
        self._is_busy = is_busy
        self._position: str | None = None
        self._ahead: str | None = None
        self._between = 0

    def run(self) -> None:
        """Deliver until told to stop; the stored position moves only past what was accepted.

        One that is refused does not hold up the others: it comes again beside them, later each time.
        """
        stored = self._documents.get(POSITIONS, EVENTS)
        self._position = self._ahead = stored["position"] if stored else None
        self._between = 0
        refused: list[Change] = []
        page: list[Change] = []
        pause, due = _IDLE_S, 0.0
        with ThreadPoolExecutor(_IN_FLIGHT) as pool:
            while not self._stop.is_set():
                busy = self._is_busy()
                if busy:
                    self._look_ahead(pool)
                again = refused if time.monotonic() >= due else []
                # As many refused is no poison among them, but a function that is away: it is waited for.
                if not page and len(refused) < _PAGE:
                    page = self._documents.watch(EVENTS, self._position, _PAGE)
                size = _TRICKLE if busy else _LOT
                news, page = page[:size], page[size:]
                if not again and not news:
                    self._stop.wait(_IDLE_S)
                    continue
                still = self._refused(pool, [*again, *news])
                if again or not refused:
                    pause = min(pause * 2, _LONGEST_PAUSE_S) if again and still else _IDLE_S
                    due, refused = time.monotonic() + pause, still
                else:
                    refused = [*refused, *still]
                self._move(news)
                if not refused:
                    self._documents.put(POSITIONS, EVENTS, {"position": self._position})
                if busy:
                    self._stop.wait(_TRICKLE_PAUSE_S)

    def _move(self, news: Sequence[Change]) -> None:
        self._position = news[-1].position if news else self._position
        self._between -= len(news)
        if self._between <= 0:
            self._ahead, self._between = self._position, 0

    def _look_ahead(self, pool: ThreadPoolExecutor) -> None:
        """Tell of what the application wrote; it is told of again when its turn comes."""
        while not self._stop.is_set():
            # Keys alone: to read each event of a backlog only to pass it over is most of this process's work.
            changes = self._documents.watch(EVENTS, self._ahead, _PAGE, bodies=False)
            theirs = {change.key: change for change in changes if not is_our_id(change.key)}
            found = self._documents.get_many(EVENTS, theirs) if theirs else {}
            self._refused(pool, [replace(theirs[key], document=body) for key, body in found.items()])
            self._ahead = changes[-1].position if changes else self._ahead
            self._between += len(changes)
            if len(changes) < _PAGE:
                return

    def _refused(self, pool: ThreadPoolExecutor, changes: Sequence[Change]) -> list[Change]:
        """Post events, several at a time, and return those that were not accepted."""
        accepted = pool.map(self._accept_each, [changes[at::_IN_FLIGHT] for at in range(_IN_FLIGHT)])
        done = {position for share in accepted for position in share}
        return [change for change in changes if change.position not in done]

    def _accept_each(self, changes: Sequence[Change]) -> list[str]:
        return [change.position for change in changes if self._accepted(change)]

    def _accepted(self, change: Change) -> bool:
        body, headers = document_event(EVENTS, change)
        return not self._stop.is_set() and bool(posted(self._pusher, "/project_events", body, headers))
