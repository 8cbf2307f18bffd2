"""The laptop's Firestore trigger: every event is told of, and one that is refused holds up nobody."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from shared.domain.events import EVENTS
from shared.local.deliver import POSITIONS, Trigger
from tests.support.documents import MemoryDocuments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.local.http_push import Pusher

_WITHIN_S = 20.0


class _Function:
    """Answers 500 to one event and 200 to all others, and notes which were accepted."""

    def __init__(self, poison: bytes, wanted: int) -> None:
        self._poison = poison
        self._wanted = wanted
        self.accepted: set[str] = set()
        self.done = threading.Event()

    def post(self, _path: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Answer as the function would."""
        if self._poison and self._poison in body:
            return 500
        self.accepted.add(headers["ce-subject"])
        if len(self.accepted) == self._wanted:
            self.done.set()
        return 200


def _deliver(documents: MemoryDocuments, function: Any) -> None:
    stop = threading.Event()
    pusher: Pusher = function
    thread = threading.Thread(target=Trigger(documents, pusher, stop).run)
    thread.start()
    try:
        assert function.done.wait(_WITHIN_S)
    finally:
        stop.set()
        thread.join()


def test_an_event_that_is_always_refused_holds_up_no_later_one() -> None:
    """However many events come after it; and it is told of again after a restart."""
    documents = MemoryDocuments()
    documents.put(EVENTS, "poison", {"eventId": "poison"})
    for number in range(2_500):
        documents.put(EVENTS, f"e{number}", {"eventId": f"e{number}"})
    _deliver(documents, _Function(b"poison", 2_500))
    assert documents.get(POSITIONS, EVENTS) is None
    mended = _Function(b"", 2_501)
    _deliver(documents, mended)
    assert "documents/events/poison" in mended.accepted
