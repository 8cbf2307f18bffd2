"""From events to states: nothing else writes ``rollover_states``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from shared.domain.events import EVENTS, Event, as_stored, check_event, is_ours
from shared.domain.keys import can_be_key
from shared.domain.metrics import LOG_TO_STATE
from shared.domain.state import STATES, State, absorb, fold, is_intact, milestone_of
from shared.errors import CorruptEvent, InvalidInput, NotFound
from shared.ports import Query

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from shared.errors import PlumblineError
    from shared.ports import Clock, Documents, Metrics, Transaction

_PAGE = 500
_RECORDERS: Final = frozenset({"handle_chain_event", "reconcile", "execute_action"})
"""Who may have recorded an event, as figures tell it; anybody else is ``other``."""


def unreadable(event: Event) -> PlumblineError | None:
    """Return why an event does not count (it was dead-lettered when it came), None if it does."""
    try:
        check_event(event)
        milestone_of(event)
    except (InvalidInput, CorruptEvent) as error:
        return error
    return None


def readable(events: Iterable[Event]) -> list[Event]:
    """Return the events that count."""
    return [event for event in events if not unreadable(event)]


def _by_transfer(events: Sequence[Event], *, sealed_here: bool = False) -> dict[str, list[Event]]:
    by_transfer: dict[str, list[Event]] = {}
    for event in events:
        error = None if sealed_here else unreadable(event)
        if error:
            raise error
        by_transfer.setdefault(event["rolloverId"], []).append(event)
    return by_transfer


def _mined(event: Event) -> float | None:
    """Return the time of a log's block in seconds since 1970, None for an event that is no log's.

    Also of one that somebody sealed by hand with a time that is none.
    """
    data = event.get("data") or {}
    if not is_ours(event) or "transactionHash" not in data or not isinstance(data.get("chainId"), int):
        return None
    try:
        return datetime.fromisoformat(event["timestamp"]).timestamp()
    except (ValueError, OverflowError):
        return None


def _source(event: Event) -> str:
    recorder = event["audit"].get("recordedBy")
    return recorder if isinstance(recorder, str) and recorder in _RECORDERS else "other"


@dataclass(slots=True)
class Rebuilt:
    """The outcome of a rebuild: transfers looked at, and those whose state differed from their events."""

    checked: int = 0
    different: list[str] = field(default_factory=list)


class ProjectEvents:
    """Joins events into the state documents of their transfers, one transaction each."""

    def __init__(self, documents: Documents, clock: Clock, metrics: Metrics) -> None:
        self._documents = documents
        self._clock = clock
        self._metrics = metrics

    def project(self, events: Sequence[Event], *, sealed_here: bool = False) -> list[State]:
        """Join events (of one or several transfers) in; return the states that changed.

        Twice or out of order makes no difference. Raises InvalidInput or CorruptEvent for an event that
        must not count, before anything is written. ``sealed_here``: they were made and sealed just now, by
        the caller, and their hashes are not computed again.
        """
        by_transfer = _by_transfer(events, sealed_here=sealed_here)

        def work(transaction: Transaction) -> list[State]:
            changed = self._changed(by_transfer, transaction.get_many(STATES, by_transfer))
            for state in changed:
                transaction.put(STATES, state["rolloverId"], state)
            return changed

        changed = self._documents.transaction(work)
        self._tell(event for state in changed for event in by_transfer[state["rolloverId"]])
        return changed

    def _tell(self, events: Iterable[Event]) -> None:
        """Take the time that logs took from their blocks to the states that show them now."""
        now = self._clock.now().timestamp()
        # Of a back-fill there are thousands of a block, and one figure is dear.
        alike = Counter(
            (mined, str(event["data"]["chainId"]), _source(event))
            for event in events
            if (mined := _mined(event)) is not None
        )
        for (mined, chain, source), times in alike.items():
            self._metrics.observe(LOG_TO_STATE, max(0.0, now - mined), times, chain=chain, source=source)

    def catch_up(self, events: Sequence[Event]) -> list[State]:
        """Do as ``project`` does, for stored events that are probably joined in: looks before it locks.

        A state only grows, so one that an event would not change has it for good.
        """
        by_transfer = _by_transfer(events)
        if not self._changed(by_transfer, self._documents.get_many(STATES, by_transfer)):
            return []
        return self.project(events)

    def _changed(
        self, by_transfer: Mapping[str, Sequence[Event]], stored: Mapping[str, State]
    ) -> list[State]:
        joined = [self._joined(key, stored.get(key), news) for key, news in by_transfer.items()]
        return [state for state in joined if state != stored.get(state["rolloverId"])]

    def project_stored(self, event_id: str) -> list[State]:
        """Join in an event as it is stored; raises NotFound where it is not, else as ``project``."""
        event = self._documents.get(EVENTS, event_id)
        if event is None:
            raise NotFound(f"event {event_id} is not stored")
        return self.project([as_stored(event_id, event)])

    def _joined(self, rollover_id: str, stored: State | None, news: Sequence[Event]) -> State:
        # A document that somebody edited, or that no longer holds all proofs, is no ground to build on.
        if stored is None or (is_intact(stored) and not stored["overflow"]):
            state = absorb(stored, *news)
            if not state["overflow"]:
                return state
        return self._folded(rollover_id, news)

    def _folded(self, rollover_id: str, news: Sequence[Event] = ()) -> State:
        events = {**self._stream(rollover_id), **{event["eventId"]: event for event in news}}
        return fold(rollover_id, readable(events.values())) or {}

    def _stream(self, rollover_id: str) -> dict[str, Event]:
        found = self._documents.query(EVENTS, Query(where=(("rolloverId", rollover_id),)))
        return {key: as_stored(key, event) for key, event in found}

    def rebuild(self, rollover_id: str, *, check_only: bool = False, created: Collection[str] = ()) -> bool:
        """Compute a transfer's state from all its events; return whether the stored one differed.

        A state that no event supports is deleted. ``check_only`` writes nothing. ``created``: ids of events
        that were appended just now, and by this come into the state for the first time.
        """
        stream: dict[str, Event] = {}

        def work(transaction: Transaction) -> bool:
            stored = transaction.get(STATES, rollover_id)
            stream.clear()
            stream.update(self._stream(rollover_id))
            state = fold(rollover_id, readable(stream.values())) or {}
            if state == (stored or {}):
                return False
            if not check_only and state:
                transaction.put(STATES, rollover_id, state)
            elif not check_only:
                transaction.delete(STATES, rollover_id)
            return True

        different = self._documents.transaction(work)
        if different and not check_only:
            self._tell(stream[event_id] for event_id in created if event_id in stream)
        return different

    def rebuild_all(self, *, check_only: bool = False) -> Rebuilt:
        """Rebuild every transfer that has an event or a state; memory does not grow with their number."""
        outcome = Rebuilt()
        for rollover_id in self._all_transfers():
            outcome.checked += 1
            if self.rebuild(rollover_id, check_only=check_only):
                outcome.different.append(rollover_id)
        return outcome

    def _all_transfers(self) -> Iterator[str]:
        with_events = self._transfers_with_events()
        with_state = self._transfers_with_state()
        left, right = next(with_events, None), next(with_state, None)
        while left is not None or right is not None:
            if right is None or (left is not None and left <= right):
                if left == right:
                    right = next(with_state, None)
                yield str(left)
                left = next(with_events, None)
            else:
                yield right
                right = next(with_state, None)

    def _transfers_with_events(self) -> Iterator[str]:
        after: tuple[Any, ...] | None = None
        last = None
        while True:
            query = Query(order_by="rolloverId", limit=_PAGE, after=after, fields=("rolloverId",))
            page = self._documents.query(EVENTS, query)
            for key, event in page:
                rollover_id = event["rolloverId"]
                if rollover_id != last and can_be_key(rollover_id):
                    last = rollover_id
                    yield last
                after = (event["rolloverId"], key)
            if len(page) < _PAGE:
                return

    def _transfers_with_state(self) -> Iterator[str]:
        after: tuple[Any, ...] | None = None
        while True:
            page = self._documents.query(STATES, Query(limit=_PAGE, after=after, fields=()))
            for key, _ in page:
                yield key
                after = (key,)
            if len(page) < _PAGE:
                return
