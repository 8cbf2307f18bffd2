"""The one append: every event that Plumbline writes goes through here, once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from shared.app.chain_heads import ChainHeads
from shared.app.project_events import readable, unreadable
from shared.domain.events import (
    EVENTS,
    REINSTATED,
    SUPERSEDED,
    Event,
    as_stored,
    check_event,
    is_ours,
    restated_id,
)
from shared.domain.system_events import REFUTED, correction_event, restated_event, verdict_event
from shared.domain.transfers import MAPPINGS, STATES, mapped_id
from shared.errors import CorruptEvent
from shared.ports import Query

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from shared.ports import Clock, Document, Documents

_CUSTODIANS: Final = ("sourceCustodianId", "destinationCustodianId")
_ROUTING: Final = ("rolloverId", *_CUSTODIANS, "participants")


@dataclass(slots=True)
class Appended:
    """What became of a batch: events stored now, ids that were there, ids found with another content."""

    events: list[Event] = field(default_factory=list)
    already_there: list[str] = field(default_factory=list)
    conflicting: list[str] = field(default_factory=list)

    @property
    def stored(self) -> list[str]:
        """The ids of the events stored now."""
        return [event["eventId"] for event in self.events]

    def add(self, other: Appended) -> None:
        """Count another batch in."""
        self.events += other.events
        self.already_there += other.already_there
        self.conflicting += other.conflicting


class EventLog:
    """Appends events to ``events/{eventId}``; ``writer`` is recorded in their audit, outside the hash."""

    def __init__(self, documents: Documents, clock: Clock, writer: str) -> None:
        self._documents = documents
        self._clock = clock
        self._writer = writer
        self._heads = ChainHeads(documents, clock)

    def append(self, event: Event) -> bool:
        """Append one event as it stands (the application's way in); False if it was there already.

        Raises InvalidInput for a malformed event, CorruptEvent if another content has its id.
        """
        check_event(event)
        appended = self._create([event])
        if appended.conflicting:
            raise CorruptEvent(f"event {event['eventId']} is stored with another content")
        return bool(appended.stored)

    def append_chain(
        self, chain_id: int, events: Sequence[Event], reorg_counter: int, *, returned: Collection[str] = ()
    ) -> Appended:
        """Append events of chain logs, seen while the chain's reorg counter had this value.

        Each is routed to its transfer (to its bare hash while it is unmapped). An event whose block was
        taken back at a lower counter is reinstated at this one: the block hashes ``returned`` (their
        removal may be forgotten by the time that this is handled), and those known to ``chain_heads``.
        One that was kept under its bare hash and is mapped by now is joined to its transfer by a
        correction; so is one that somebody changed in the store, beside being told as conflicting. One
        that was restated is there already.
        """
        routed = self.route(events)
        appended = self._create(routed)
        removed = self._heads.removed_blocks(chain_id) if reorg_counter else {}
        back = {key for key, taken_back in removed.items() if taken_back < reorg_counter}.union(returned)
        there = self._documents.get_many(EVENTS, appended.already_there) if appended.already_there else {}
        joined = self._corrections(
            {key: event for key, event in there.items() if not unreadable(event)}, routed
        )
        appended.add(self._create([*joined, *self._restored(appended.conflicting, routed)]))
        again = [event for event in routed if event["data"]["blockHash"] in back] if back else []
        if again:
            appended.add(self.judge(again, reorg_counter, REINSTATED, "its block is canonical again"))
        self._settle_restated(appended, routed)
        return appended

    def restate(self, events: Sequence[Event], reason: str, refuted: Collection[str] = ()) -> Appended:
        """Say anew what these proved logs say where the stored event of ours says otherwise; refute that one.

        Under the log's own id the false content stays, superseded for good. What reorgs had to say of that
        id holds of what is restated. An external transaction that hangs on a ``refuted`` log is one, too.
        """
        stored = self._documents.get_many(EVENTS, [event["eventId"] for event in events])
        false = {
            key: as_stored(key, each)
            for key, each in stored.items()
            if is_ours(each) and not unreadable(each)
        }
        routed = [event for event in self.route(events) if event["eventId"] in false]
        wrong = [
            event
            for event in routed
            if not _same(told := false[event["eventId"]], event)
            or told["data"].get("actionEventId") in refuted
        ]
        restated = [restated_event(event) for event in wrong]
        appended = self._create(restated)
        for event in restated:
            sequence, positive = self._judged(event["metadata"]["originalEventId"])
            if sequence >= 0:
                verdict = REINSTATED if positive else SUPERSEDED
                appended.add(self._judge([event], sequence, verdict, "as was said of the log's own event"))
        appended.add(self.refute([false[event["eventId"]] for event in wrong], reason))
        self._settle_restated(appended, wrong)
        return appended

    def refute(self, targets: Sequence[Event], reason: str) -> Appended:
        """Supersede for good what is proved to be no log, or to say what its log does not."""
        return self.judge(targets, REFUTED, SUPERSEDED, reason) if targets else Appended()

    def judge(self, targets: Sequence[Event], verdict_seq: int, verdict: str, reason: str) -> Appended:
        """Append a verdict on each target (stored or, where removal overtook it, not yet).

        The verdict goes where the stored event is projected, to its correction if there is one, and to what
        was restated of it; a refutation is of that content alone.
        """
        appended = self._judge(targets, verdict_seq, verdict, reason)
        if verdict_seq != REFUTED:
            # Looked for last: whoever restates one now looks for verdicts once that is stored.
            restated = list(self._restated(targets).values())
            appended.add(self._judge(restated, verdict_seq, verdict, reason))
        return appended

    def _judge(self, targets: Sequence[Event], verdict_seq: int, verdict: str, reason: str) -> Appended:
        if not targets:
            return Appended()
        stored = self._documents.get_many(EVENTS, [target["eventId"] for target in targets])
        there = {key: event for key, event in stored.items() if not unreadable(event)}
        routed = self.route([target for target in targets if is_ours(target)])
        edited = [event for event in routed if not is_ours(stored.get(event["eventId"], event))]
        edited += [event for event in routed if event["eventId"] in stored.keys() - there.keys()]
        routed += [target for target in targets if not is_ours(target)]
        judged = [there.get(target["eventId"], target) for target in routed]
        judged += self._corrections(there, routed) + [_said_again(event) for event in edited]
        verdicts = []
        for target in judged:
            event = verdict_event(target, verdict_seq, verdict, reason)
            verdicts.append({**event, **{name: target.get(name) for name in _ROUTING}})
        return self._create(verdicts)

    def supersede(self, targets: Sequence[Event], verdict_seq: int, reason: str) -> Appended:
        """Append ``system.event_superseded`` for each target."""
        return self.judge(targets, verdict_seq, SUPERSEDED, reason)

    def join(self, kept: Sequence[Event]) -> Appended:
        """Append the corrections of stored events whose bare hash has been mapped since."""
        return self._create(self._corrections({event["eventId"]: event for event in kept}, self.route(kept)))

    def append_routed(self, events: Sequence[Event]) -> Appended:
        """Append events whose routing is complete (corrections that the reconciler decided on)."""
        return self._create(events)

    def events_of(self, rollover_id: str) -> list[Event]:
        """Return every stored event of a transfer."""
        found = self._documents.query(EVENTS, Query(where=(("rolloverId", rollover_id),)))
        return [as_stored(*each) for each in found]

    def route(self, events: Sequence[Event]) -> list[Event]:
        """Return the events with transfer, custodians and participants from the application's documents."""
        hashes = {event["data"]["transferHash"] for event in events}
        ids = self.mapped(hashes)
        routes: dict[str, Document] = {}
        states = self._documents.get_many(STATES, set(ids.values())) if ids else {}
        for key in hashes:
            rollover_id = ids.get(key)
            if rollover_id is None:
                routes[key] = _route(key, {})
                continue
            known = states.get(rollover_id, {})
            if not known.get("participants"):
                # The start may be stored and its projection still under way.
                known = self._started(rollover_id)
            routes[key] = _route(rollover_id, known)
        return [{**event, **routes[event["data"]["transferHash"]]} for event in events]

    def mapped(self, hashes: Iterable[str]) -> dict[str, str]:
        """Return the transfer ids of those hashes that the application has mapped (see ``mapped_id``)."""
        found = self._documents.get_many(MAPPINGS, hashes)
        ids = {key: mapped_id(key, mapping) for key, mapping in found.items()}
        return {key: rollover_id for key, rollover_id in ids.items() if rollover_id is not None}

    def _started(self, rollover_id: str) -> Document:
        where = (("rolloverId", rollover_id), ("eventType", "rollover.started"))
        found = readable(as_stored(*each) for each in self._documents.query(EVENTS, Query(where=where)))
        event = found[0] if found else {}
        return {name: event.get(name) or event.get("data", {}).get(name) for name in _CUSTODIANS}

    def _corrections(self, there: Mapping[str, Event], routed: Sequence[Event]) -> list[Event]:
        return [
            {**correction_event(stored, event["rolloverId"]), **{name: event[name] for name in _ROUTING}}
            for event in routed
            if (stored := there.get(event["eventId"])) is not None
            and stored["rolloverId"] != event["rolloverId"]
            and stored["rolloverId"] == stored["data"].get("transferHash")
        ]

    def _restored(self, conflicting: Collection[str], routed: Sequence[Event]) -> list[Event]:
        """Return corrections that say again what events were before somebody changed them in the store."""
        wanted = {event["eventId"]: event for event in routed if event["eventId"] in conflicting}
        stored = self._documents.get_many(EVENTS, wanted) if wanted else {}
        return [
            _said_again(event)
            for key, event in wanted.items()
            if key in stored and (not is_ours(stored[key]) or unreadable(stored[key]))
        ]

    def _restated(self, events: Sequence[Event]) -> dict[str, Event]:
        """Return what was stored anew of events whose own ids have another content, by those ids."""
        ids = {restated_id(event["eventId"]): event["eventId"] for event in events}
        found = self._documents.get_many(EVENTS, ids)
        return {ids[key]: as_stored(key, event) for key, event in found.items() if not unreadable(event)}

    def _judged(self, identity: str) -> tuple[int, bool]:
        """Return a reorg's last verdict on an event: its counter (-1: none), and whether it reinstates."""
        found = self._documents.query(EVENTS, Query(where=(("metadata.originalEventId", identity),)))
        verdicts = [
            (event["data"]["verdictSeq"], event["eventType"] == REINSTATED)
            for event in readable(as_stored(*each) for each in found)
            if is_ours(event) and event["eventType"] in (SUPERSEDED, REINSTATED)
        ]
        return max((each for each in verdicts if each[0] != REFUTED), default=(-1, True))

    def _settle_restated(self, appended: Appended, routed: Sequence[Event]) -> None:
        """Count as there already what conflicts with its own id alone."""
        conflicting = set(appended.conflicting)
        if not conflicting:
            return
        told = [event for event in routed if event["eventId"] in conflicting]
        there = self._restated(told)
        settled = {
            key
            for event in told
            if (key := event["eventId"]) in there and _same(there[key], restated_event(event))
        }
        appended.conflicting = [key for key in appended.conflicting if key not in settled]
        appended.already_there += sorted(settled)

    def _create(self, events: Sequence[Event]) -> Appended:
        if not events:
            return Appended()
        audit = {"storedAt": self._clock.now().isoformat(), "recordedBy": self._writer}
        documents = {e["eventId"]: {**e, "audit": {**(e.get("audit") or {}), **audit}} for e in events}
        there = self._documents.create_many(EVENTS, documents)
        appended = Appended([event for key, event in documents.items() if key not in there])
        if there:
            stored = self._documents.get_many(EVENTS, there)
            for key in there:
                same = key not in stored or _same(stored[key], documents[key])
                (appended.already_there if same else appended.conflicting).append(key)
        return appended


def _said_again(event: Event) -> Event:
    """Return the correction that says what a routed event says, where the stored one has been changed."""
    return {**correction_event(event, event["rolloverId"]), **{name: event[name] for name in _ROUTING}}


def _same(stored: Event, event: Event) -> bool:
    if is_ours(event) or is_ours(stored):
        return not unreadable(stored) and (stored.get("audit") or {}).get("eventHash") == (
            event["audit"].get("eventHash")
        )
    return _content(stored) == _content(event)


def _content(event: Event) -> Event:
    return {key: value for key, value in event.items() if key != "audit"}


def _route(rollover_id: str, known: Mapping[str, Any]) -> Document:
    custodians = {name: known.get(name) for name in _CUSTODIANS}
    participants = sorted({str(value) for value in custodians.values() if value})
    return {"rolloverId": rollover_id, **custodians, "participants": participants}
