"""Finding events that are stored but were never projected: triggers give up after a day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.app.project_events import unreadable
from shared.domain.events import EVENTS
from shared.domain.state import STATES, knows
from shared.ports import Query

if TYPE_CHECKING:
    from shared.app.project_events import ProjectEvents
    from shared.ports import Documents

SWEEP: Final = "sweep"
STATELESS: Final = "stateless"
CURSORS: Final = "reconciliation_cursors"
_PAGE: Final = 500
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
    cursor = documents.get(CURSORS, SWEEP) or {}
    after = tuple(cursor["after"]) if cursor else None
    kept = after
    stale: dict[str, None] = {}
    looked_at = 0
    while looked_at < limit:
        query = Query(order_by="audit.storedAt", limit=_PAGE, after=after)
        page = [e for e in documents.query(EVENTS, query) if e[1]["audit"]["storedAt"] <= until]
        events = [event for _, event in page if not unreadable(event)]
        states = documents.get_many(STATES, {event["rolloverId"] for event in events})
        for event in events:
            state = states.get(event["rolloverId"])
            if state is None or not knows(state, event):
                stale[event["rolloverId"]] = None
        looked_at += len(page)
        for key, event in page:
            after = (event["audit"]["storedAt"], key)
            kept = after if after[0] <= settled else kept
        if len(page) < _PAGE:
            break
    if dry_run:
        return list(stale)
    again = [rollover_id for rollover_id in stale if projection.rebuild(rollover_id)]
    if kept:
        documents.put(CURSORS, SWEEP, {"after": list(kept)})
    return again


def sweep_stateless(
    documents: Documents, projection: ProjectEvents, *, limit: int | None, dry_run: bool
) -> list[str]:
    """Project transfers that have events and no state at all (somebody deleted it); return them.

    Looks at up to ``limit`` transfers, in turn over all of them: the next sweep goes on where this one
    stopped, and starts over at the end.
    """
    cursor = documents.get(CURSORS, STATELESS) or {}
    last = None if limit is None else cursor.get("after")
    found: list[str] = []
    looked_at = 0
    while limit is None or looked_at < limit:
        transfers = _transfers_after(documents, last)
        there = documents.get_many(STATES, transfers, fields=())
        found += [rollover_id for rollover_id in transfers if rollover_id not in there]
        looked_at += len(transfers)
        last = transfers[-1] if transfers else None
        if last is None:
            break
    if dry_run:
        return found
    if limit is not None:
        documents.put(CURSORS, STATELESS, {"after": last})
    return [rollover_id for rollover_id in found if projection.rebuild(rollover_id)]


def _transfers_after(documents: Documents, last: str | None) -> list[str]:
    """Return the next transfers that have events, in order; none at the end."""
    # A key above every other skips the rest of that transfer's events.
    after = None if last is None else (last, _ABOVE_ALL_KEYS)
    query = Query(order_by="rolloverId", limit=_PAGE, after=after, fields=("rolloverId",))
    return list(dict.fromkeys(event["rolloverId"] for _, event in documents.query(EVENTS, query)))
