"""The laptop's deliveries: every event is told of, one that is refused holds up nobody, messages go first."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from shared.adapters.local_bus import LocalBus
from shared.domain.events import EVENTS
from shared.domain.topics import CHAIN_LOGS, HANDLE_CHAIN_EVENT
from shared.local.deliver import BusPush
from shared.local.trigger import POSITIONS, Trigger
from shared.ports import Message
from tests.support.clock import FakeClock
from tests.support.documents import MemoryDocuments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from shared.local.http_push import Pusher

_WITHIN_S = 20.0


class _Function:
    """Answers 500 to one event and 200 to all others, and notes which were accepted."""

    def __init__(self, poison: bytes, wanted: int) -> None:
        self._poison = poison
        self._wanted = wanted
        self.accepted: set[str] = set()
        self.done = threading.Event()

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Answer as the function would."""
        if self._poison and self._poison in body:
            return 500
        self.accepted.add(headers["ce-subject"] if path == "/project_events" else headers["ce-id"])
        if len(self.accepted) == self._wanted:
            self.done.set()
        return 200


def _deliver(documents: MemoryDocuments, function: Any, is_busy: Callable[[], bool] = lambda: False) -> None:
    stop = threading.Event()
    pusher: Pusher = function
    thread = threading.Thread(target=Trigger(documents, pusher, stop, is_busy).run)
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


class _Backlog(_Function):
    """Is busy until the application's event was told of; notes how many were told of before that."""

    def __init__(self, wanted: int) -> None:
        super().__init__(b"", wanted)
        self.before: int | None = None

    def is_busy(self) -> bool:
        """Say whether messages are coming."""
        return self.before is None

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Answer as the function would."""
        if self.before is None and headers["ce-subject"].endswith("/theirs"):
            self.before = len(self.accepted)
        return super().post(path, body, headers)


def test_while_messages_come_the_applications_event_does_not_wait_behind_plumblines() -> None:
    """Of what the handler has projected few are told of meanwhile, and all of it afterwards."""
    documents = MemoryDocuments()
    for number in range(2_500):
        documents.put(EVENTS, f"{number:064x}", {"audit": {"eventHash": "00"}})
    documents.put(EVENTS, "odd", {"eventId": "odd", "audit": "odd"})
    documents.put(EVENTS, "theirs", {"eventId": "theirs"})
    function = _Backlog(2_502)
    _deliver(documents, function, function.is_busy)
    assert function.before is not None
    assert function.before < 100


def test_under_lasting_load_everything_is_told_of_in_the_end() -> None:
    """Plumbline's own events come at a trickle, not never."""
    documents = MemoryDocuments()
    for number in range(50):
        documents.put(EVENTS, f"e{number}", {"eventId": f"e{number}", "audit": {"eventHash": "00"}})
    _deliver(documents, _Function(b"", 50), lambda: True)


@pytest.mark.parametrize(("data", "large"), [(b"{}", False), (b"{" + b" " * 40_000 + b"}", True)])
def test_large_messages_make_busy_for_a_moment(tmp_path: Path, data: bytes, large: bool) -> None:  # noqa: FBT001
    """Each is pushed and acknowledged; half a second after a large one it is quiet again."""
    bus = LocalBus(tmp_path / "bus.sqlite")
    bus.publish(CHAIN_LOGS, [Message(data) for _ in range(9)])
    stop, function = threading.Event(), _Function(b"", 9)
    pusher: Any = function
    push = BusPush(bus, pusher, stop)
    assert not push.is_busy()
    thread = threading.Thread(target=push.run)
    thread.start()
    try:
        assert function.done.wait(_WITHIN_S)
        assert push.is_busy() == large
        until = time.monotonic() + _WITHIN_S
        while push.is_busy() and time.monotonic() < until:
            stop.wait(0.05)
        assert not push.is_busy()
    finally:
        stop.set()
        thread.join()
    assert not bus.pull(HANDLE_CHAIN_EVENT, 1)


class _Away(_Function):
    """Is not there the first ``times``."""

    def __init__(self, times: int) -> None:
        super().__init__(b"", 1)
        self._times = times

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Answer once it is there."""
        self._times -= 1
        if self._times >= 0:
            raise ConnectionRefusedError
        return super().post(path, body, headers)


def test_a_function_that_is_not_there_costs_a_message_no_attempt(tmp_path: Path) -> None:
    """It comes as soon as the function does, without the growing pauses of one that was refused."""
    clock = FakeClock()  # stands still: what is postponed never comes
    bus = LocalBus(tmp_path / "bus.sqlite", clock)
    bus.publish(CHAIN_LOGS, [Message(b"{}")])
    stop, function = threading.Event(), _Away(3)
    pusher: Any = function
    thread = threading.Thread(target=BusPush(bus, pusher, stop).run)
    thread.start()
    try:
        assert function.done.wait(_WITHIN_S)
    finally:
        stop.set()
        thread.join()
    clock.advance(3600)
    assert not bus.pull(HANDLE_CHAIN_EVENT, 1)


def test_a_message_is_held_while_it_is_pushed_and_hardly_longer(tmp_path: Path) -> None:
    """Whoever is killed while pushing has the message pushed by its successor within seconds."""
    clock = FakeClock()
    bus = LocalBus(tmp_path / "bus.sqlite", clock)
    bus.publish(CHAIN_LOGS, [Message(b"{}")])
    stop, pushed, go_on = threading.Event(), threading.Event(), threading.Event()

    class Slow:
        def post(self, *_: object) -> int:
            pushed.set()
            stop.set()
            go_on.wait(_WITHIN_S)
            return 500

    pusher: Any = Slow()
    thread = threading.Thread(target=BusPush(bus, pusher, stop).run)
    thread.start()
    try:
        assert pushed.wait(_WITHIN_S)
        assert not bus.pull(HANDLE_CHAIN_EVENT, 1)
        clock.advance(10)  # faster than it can say that it is there still, as if it were not
        assert bus.pull(HANDLE_CHAIN_EVENT, 1)
    finally:
        go_on.set()
        thread.join()
