"""The steps of an alert's life, from document to document, and what a sink is told of one.

``alerts/{key}``: ``key``, ``severity``, ``title``, ``detail``, ``passing``, ``open``, ``openedAt``,
``raisedAt``, ``raised``, ``overSince`` (since when nobody saw it any more; it may come back), ``closedAt``,
``untold`` (some sink has not been told yet), and ``sinks``: of each sink how many ``notices`` it took and
from when (``dueAt``) it may have the next one.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from shared.ports import CLOSED, OPENED, REPEATED, Alert, Notice

if TYPE_CHECKING:
    from shared.ports import Document

_INTEGERS: Final = 1 << 63


def raised(stored: Document | None, alert: Alert, now: datetime) -> Document:
    """Return the alert's document after it was raised: a new life where it was not open."""
    goes_on = stored if stored is not None and stored["open"] else None
    sinks = stored["sinks"] if stored is not None else {}
    return {
        "key": alert.key,
        "severity": alert.severity,
        "title": alert.title,
        "detail": _storable(alert.detail),
        "passing": alert.passing,
        "open": True,
        "openedAt": goes_on["openedAt"] if goes_on else now.isoformat(),
        "raisedAt": now.isoformat(),
        "raised": (goes_on["raised"] if goes_on else 0) + 1,
        "overSince": None,
        "closedAt": None,
        "untold": True,
        # For a sink that was told of a beginning and of no end, it has been open all the time.
        "sinks": {name: entry for name, entry in sinks.items() if goes_on or entry["notices"]},
    }


def closed(stored: Document, now: datetime) -> Document:
    """Return the alert's document after its end: whoever was told of the alert is due to be told of that."""
    sinks = {
        name: {"notices": entry["notices"], "dueAt": now.isoformat() if entry["notices"] else entry["dueAt"]}
        for name, entry in stored["sinks"].items()
    }
    return {**stored, "open": False, "closedAt": now.isoformat(), "sinks": sinks}


def notice_of(document: Document, sink: str) -> Notice:
    """Return what a sink is to be told: of the opening what it has not heard of yet, else that it stands."""
    alert = Alert(
        document["key"], document["severity"], document["title"], document["detail"], document["passing"]
    )
    kind = CLOSED
    if document["open"]:
        kind = REPEATED if document["sinks"][sink]["notices"] else OPENED
    return Notice(kind, alert, time_of(document["openedAt"]), document["raised"])


def _storable(value: Any) -> Any:
    """Return what every store takes: what an error quotes may be half a surrogate pair or a huge number."""
    if isinstance(value, dict):
        return {str(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    if value is None or isinstance(value, bool) or (isinstance(value, int) and abs(value) < _INTEGERS):
        return value
    return str(value).encode("utf-8", "replace").decode()


def is_sound(document: Document) -> bool:
    """Say whether a document is an alert's, as this module writes it."""
    try:
        times = [document["openedAt"], document["raisedAt"]]
        times += filter(None, [document.get("overSince")])
        times += [entry["dueAt"] for entry in document["sinks"].values()]
        whole = [document["raised"], *(entry["notices"] for entry in document["sinks"].values())]
        flags = [document[name] for name in ("open", "passing", "untold")]
        texts = [document[name] for name in ("key", "severity", "title")]
        aware = all(time_of(each).tzinfo for each in times)
    except (KeyError, TypeError, ValueError, AttributeError):
        return False
    return (
        aware
        and isinstance(document["detail"], dict)
        and all(isinstance(each, int) for each in whole)
        and all(isinstance(each, bool) for each in flags)
        and all(isinstance(each, str) for each in texts)
    )


def time_of(told: Any) -> datetime:
    """Return a time as it is stored; ValueError or TypeError for what is none."""
    return datetime.fromisoformat(told)
