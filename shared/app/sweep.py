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
CURSORS: Final = "reconciliation_cursors"
_PAGE: Final = 500


def sweep_unprojected(
    documents: Documents, projection: ProjectEvents, *, until: str, limit: int, dry_run: bool
) -> list[str]:
    """Project again what its state does not know; return the transfers concerned.

    Looks at up to ``limit`` events in the order in which they were stored, from where the last sweep
    stopped, and none stored after ``until`` (their triggers may still be under way).
    """
    cursor = documents.get(CURSORS, SWEEP) or {}
    after = tuple(cursor["after"]) if cursor else None
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
        if page:
            after = (page[-1][1]["audit"]["storedAt"], page[-1][0])
        if len(page) < _PAGE:
            break
    if dry_run:
        return list(stale)
    again = [rollover_id for rollover_id in stale if projection.rebuild(rollover_id)]
    if after:
        documents.put(CURSORS, SWEEP, {"after": list(after)})
    return again
