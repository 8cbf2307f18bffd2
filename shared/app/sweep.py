"""Finding what no page of a reconciliation would: events never projected, states that hide or are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.app.notes import CURSORS, keep_note, read_note
from shared.app.project_events import unreadable
from shared.domain.comparison import supporting_ids
from shared.domain.events import EVENTS, as_stored
from shared.domain.keys import can_be_key
from shared.domain.state import STATES, holds, is_intact, knows
from shared.domain.transfers import MAPPINGS, mapped_id
from shared.ports import Query

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from shared.app.project_events import ProjectEvents
    from shared.domain.events import Event
    from shared.domain.state import State
    from shared.ports import Documents

SWEEP: Final = "sweep"
STATELESS: Final = "stateless"
UNSTAMPED: Final = "unstamped"
MISPLACED: Final = "misplaced"
_PAGE: Final = 500
_PLACE: Final = ("rolloverId", "contractKey", "open", "lastBlock")
_ABOVE_ALL_KEYS: Final = "\U0010ffff"


def sweep_unprojected(
    documents: Documents,
    projection: ProjectEvents,
    *,
    until: str,
    settled: str,
    limit: int,
    dry_run: bool,
) -> list[str]:
    """Project again what its state does not know; return the transfers concerned.

    Looks at up to ``limit`` events in the order in which they were stored, from where the last sweep
    stopped, and none stored after ``until`` (their triggers may still be under way). The next sweep
    starts no later than ``settled``: an event written before may become visible after.
    """
    cursor = read_note(documents, CURSORS, SWEEP)
    # Times are texts; what else a hand has put there comes before or after them, and in its turn elsewhere.
    after = tuple(cursor["after"]) if cursor else ("", "")
    kept = after if cursor else None
    stale: dict[str, None] = {}
    looked_at = 0
    while looked_at < limit:
        query = Query(order_by="audit.storedAt", limit=_PAGE, after=after)
        found = [(key, as_stored(key, event)) for key, event in documents.query(EVENTS, query)]
        page = [each for each in found if not _stored_after(until, each[1], unknown=True)]
        events = [event for _, event in page if not unreadable(event)]
        states = documents.get_many(STATES, {event["rolloverId"] for event in events})
        whole = {key: state for key, state in states.items() if is_intact(state)}
        for event in events:
            state = whole.get(event["rolloverId"])
            if state is None or not knows(state, event):
                stale[event["rolloverId"]] = None
        looked_at += len(page)
        for key, event in page:
            after = (event["audit"]["storedAt"], key)
            kept = after if after[0] <= settled else kept
        if len(page) < _PAGE:
            break
    again = [rollover_id for rollover_id in stale if projection.rebuild(rollover_id, check_only=dry_run)]
    if kept and not dry_run:
        keep_note(documents, CURSORS, SWEEP, {"after": list(kept)})
    return again


def sweep_unstamped(
    documents: Documents, projection: ProjectEvents, *, settled: str, limit: int | None, dry_run: bool
) -> list[str]:
    """Project again what its state does not know and no order of storing tells; return the transfers.

    The application's events may say nothing of when they were stored, or a time long past, behind the
    place that ``sweep_unprojected`` has reached; and a state may rest on one that was changed since. Looks
    at up to ``limit`` events, in turn over all of them; those stored after ``settled`` are the other sweep's.
    """
    cursor = read_note(documents, CURSORS, UNSTAMPED)
    last = None if limit is None else cursor.get("after")
    stale: dict[str, None] = {}
    looked_at = 0
    while limit is None or looked_at < limit:
        page = documents.query(EVENTS, Query(limit=_PAGE, after=None if last is None else (last,)))
        events = {key: as_stored(key, event) for key, event in page if not _stored_after(settled, event)}
        owners = _owners(documents, events)
        states = documents.get_many(STATES, {owner for each in owners.values() for owner in each})
        whole = {key: state for key, state in states.items() if is_intact(state)}
        for key, event in events.items():
            # Without a state, or an edited one: the other sweeps and the pages find those.
            for owner in owners[key]:
                if owner in whole and not _is_told(whole[owner], key, event):
                    stale[owner] = None
        looked_at += len(page)
        last = page[-1][0] if len(page) == _PAGE else None
        if last is None:
            break
    if limit is not None and not dry_run:
        keep_note(documents, CURSORS, UNSTAMPED, {"after": last})
    return [rollover_id for rollover_id in stale if projection.rebuild(rollover_id, check_only=dry_run)]


def _owners(documents: Documents, events: Mapping[str, Event]) -> dict[str, list[str]]:
    """Return whose state may rest on each event: the transfer with which it lies.

    Of one that does not count also the transfer of its hash, from which a hand may have moved it.
    """
    places = {key: [event.get("rolloverId")] for key, event in events.items()}
    moved = {key: event["data"].get("transferHash") for key, event in events.items() if _may_be_moved(event)}
    mappings = documents.get_many(MAPPINGS, filter(can_be_key, moved.values())) if moved else {}
    for key, told in moved.items():
        mapped = mapped_id(told, mappings[told]) if can_be_key(told) and told in mappings else None
        places[key] += [told, mapped]
    return {key: list(dict.fromkeys(filter(can_be_key, there))) for key, there in places.items()}


def _may_be_moved(event: Event) -> bool:
    return isinstance(event.get("data"), dict) and unreadable(event) is not None


def _is_told(state: State, key: str, event: Event) -> bool:
    """Say whether a state holds what an event says, or nothing of one that does not count."""
    return key not in supporting_ids(state) if unreadable(event) else holds(state, event)


def _stored_after(settled: str, event: Event, *, unknown: bool = False) -> bool:
    audit = event.get("audit")
    stored_at = audit.get("storedAt") if isinstance(audit, dict) else None
    return stored_at > settled if isinstance(stored_at, str) else unknown


def sweep_stateless(
    documents: Documents, projection: ProjectEvents, *, limit: int | None, dry_run: bool
) -> list[str]:
    """Project transfers that have events and no state at all (somebody deleted it); return them.

    Looks at up to ``limit`` transfers, in turn over all of them: the next sweep goes on where this one
    stopped, and starts over at the end.
    """
    cursor = read_note(documents, CURSORS, STATELESS)
    last = None if limit is None else cursor.get("after")
    found: list[str] = []
    looked_at = 0
    while limit is None or looked_at < limit:
        told = _transfers_after(documents, last)
        transfers = list(dict.fromkeys(each for each in told if can_be_key(each)))
        there = documents.get_many(STATES, transfers, fields=())
        found += [rollover_id for rollover_id in transfers if rollover_id not in there]
        looked_at += len(transfers)
        # Texts come last but for lists and objects, which are no transfer's.
        last = told[-1] if told and isinstance(told[-1], str) else None
        if last is None:
            break
    if dry_run:
        return found
    if limit is not None:
        keep_note(documents, CURSORS, STATELESS, {"after": last})
    return [rollover_id for rollover_id in found if projection.rebuild(rollover_id)]


def sweep_misplaced(
    documents: Documents,
    projection: ProjectEvents,
    contract_keys: Collection[str],
    *,
    limit: int | None,
    dry_run: bool,
) -> tuple[list[str], dict[str, str]]:
    """Compute anew the states that a hand has put where no page looks; return them.

    The pages find states by contract and openness; an edit of those fields hides a state from them, and so
    does an event that names a contract outside the registry. Also returns, by transfer, the contracts of
    open states that are whole and lie on one of those: no rebuild brings them back.
    Looks at up to ``limit`` states, in turn over all of them, as ``sweep_stateless`` does.
    """
    cursor = read_note(documents, CURSORS, MISPLACED)
    last = None if limit is None else cursor.get("after")
    odd: list[str] = []
    looked_at = 0
    while limit is None or looked_at < limit:
        query = Query(limit=_PAGE, after=None if last is None else (last,), fields=_PLACE)
        page = documents.query(STATES, query)
        odd += [key for key, state in page if not _in_place(key, state, contract_keys)]
        looked_at += len(page)
        last = page[-1][0] if len(page) == _PAGE else None
        if last is None:
            break
    found = documents.get_many(STATES, odd)
    edited = [key for key, state in found.items() if not is_intact(state)]
    strange = {
        key: str(state["contractKey"])
        for key, state in found.items()
        if key not in edited and state["open"] and state["contractKey"] is not None
    }
    if dry_run:
        return edited, strange
    if limit is not None:
        keep_note(documents, CURSORS, MISPLACED, {"after": last})
    return [rollover_id for rollover_id in edited if projection.rebuild(rollover_id)], strange


def _in_place(key: str, state: State, contract_keys: Collection[str]) -> bool:
    owner, is_open = state.get("contractKey"), state.get("open")
    found = owner in contract_keys if isinstance(owner, str) else owner is None and is_open is True
    sound = isinstance(is_open, bool) and isinstance(state.get("lastBlock"), int)
    return found and sound and state.get("rolloverId") == key


def _transfers_after(documents: Documents, last: str | None) -> list[object]:
    """Return the next events' transfers, in order; none at the end."""
    # A key above every other skips the rest of that transfer's events, and the first text all else.
    after = ("", _ABOVE_ALL_KEYS) if last is None else (last, _ABOVE_ALL_KEYS)
    query = Query(order_by="rolloverId", limit=_PAGE, after=after, fields=("rolloverId",))
    return [event["rolloverId"] for _, event in documents.query(EVENTS, query)]
