"""The life of an alert: it opens once, is repeated ever more rarely while it stands, and closes.

Its document: ``shared/app/alert_life.py``.

Who sends a notice first moves its ``dueAt`` on by a minute, in a transaction: so no two instances send the
same one. It counts as sent once the sink has taken it; what was sent by an instance that died before it
could write that down is sent again, for an alert told twice is better than one never told.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from shared.app.alert_life import closed, is_sound, notice_of, raised, time_of
from shared.domain.metrics import ALERTS_FAILED, ALERTS_SENT
from shared.errors import PlumblineError
from shared.ports import Query

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from shared.ports import Alert, AlertSink, Clock, Document, Documents, Metrics, Transaction

ALERTS: Final = "alerts"
STORE: Final = "store"
"""Stands for a sink in the figures where an alert's state could not be kept."""
_LOG: Final = logging.getLogger(__name__)
_CLAIM_S: Final = 60.0
"""Longer than any sink takes: so long a notice is one instance's, and so long it waits when it failed."""
_RAISED_EVERY_S: Final = 30.0
"""The same trouble a hundred times a second is one transaction each half minute."""
_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """How often an alert is told.

    ``repeat_s``: seconds from the opening to the first repetition, doubled from one to the next up to
    ``longest_s``. ``quiet_s``: a passing alert closes when it was not raised for so long. ``settle_s``: what
    is said to be over closes when it has stayed away for so long; back before that, it has stood all along.
    """

    repeat_s: float = 3_600.0
    longest_s: float = 86_400.0
    quiet_s: float = 3_600.0
    settle_s: float = 0.0


class Alerts:
    """Opens, repeats and closes alerts; what goes wrong is logged and counted, and never fails the work."""

    def __init__(
        self,
        documents: Documents,
        sinks: Sequence[AlertSink],
        clock: Clock,
        metrics: Metrics,
        settings: AlertSettings,
    ) -> None:
        self._documents = documents
        self._sinks = {sink.name: sink for sink in sinks}
        self._clock = clock
        self._metrics = metrics
        self._settings = settings
        self._raised: dict[str, float] = {}

    def open(self, alert: Alert) -> None:
        """Raise an alert: open it, or say again what stands if that is due."""
        moment = self._clock.monotonic_s()
        if moment < self._raised.get(alert.key, moment):
            return
        self._raised[alert.key] = moment + _RAISED_EVERY_S
        now = self._clock.now()
        self._change(alert.key, lambda stored: raised(stored, alert, now))

    def close(self, key: str) -> None:
        """Say that it is over, if it is open; it closes once it has stayed away for a while."""
        self._raised.pop(key, None)
        now = self._clock.now()

        def over(stored: Document | None) -> Document | None:
            if not stored or not stored["open"]:
                return None
            since = {**stored, "overSince": stored.get("overSince") or now.isoformat()}
            return closed(since, now) if self._has_settled(since, now) else since

        self._change(key, over, repeats=False)

    def tend(self) -> None:
        """Close what nobody raised or saw for a while, and tell what a sink did not take."""
        now = self._clock.now()
        quiet = now - timedelta(seconds=self._settings.quiet_s)

        def is_over(stored: Document) -> bool:
            silent = stored["passing"] and time_of(stored["raisedAt"]) <= quiet
            return bool(stored["open"] and (silent or self._has_settled(stored, now)))

        def tended(stored: Document | None) -> Document | None:
            return closed(stored, now) if stored and is_over(stored) else stored

        for field in ("open", "untold"):
            try:
                found = self._documents.query(ALERTS, Query(where=((field, True),), limit=_AT_ONCE))
            except PlumblineError as error:
                self._unkept("", error)
                return
            for key, document in found:
                if is_sound(document) and (document["untold"] or is_over(document)):
                    self._change(key, tended, repeats=False)

    def _change(
        self, key: str, step: Callable[[Document | None], Document | None], *, repeats: bool = True
    ) -> None:
        """Take a step in the alert's life, and tell the sinks that are due."""
        now = self._clock.now()

        def work(transaction: Transaction) -> tuple[Document, list[str]] | None:
            stored = transaction.get(ALERTS, key)
            # What somebody edited until it is none any more is as good as no alert: it opens anew.
            document = step(stored if stored is not None and is_sound(stored) else None)
            if document is None:
                return None
            claimed, due = self._claimed(document, now, repeats=repeats)
            if claimed != stored:
                transaction.put(ALERTS, key, claimed)
            return claimed, due

        try:
            taken = self._documents.transaction(work)
        except PlumblineError as error:
            self._unkept(key, error)
            return
        if taken is None:
            return
        document, due = taken
        told = [name for name in due if self._send(name, document)]
        if told:
            self._keep_told(key, document, told)

    def _claimed(self, document: Document, now: datetime, *, repeats: bool) -> tuple[Document, list[str]]:
        """Return the document with the sinks that are due moved on, and their names."""
        until = (now + timedelta(seconds=_CLAIM_S)).isoformat()
        sinks, due = {**document["sinks"]}, []
        for name in self._sinks:
            entry = sinks.get(name) or (
                {"notices": 0, "dueAt": now.isoformat()} if document["open"] else None
            )
            if entry is None or time_of(entry["dueAt"]) > now:
                continue
            if not document["open"] and not entry["notices"]:
                del sinks[name]  # it opened and closed without a word to this one
            elif repeats or not document["open"] or not entry["notices"]:
                sinks[name] = {**entry, "dueAt": until}
                due.append(name)
        document = {**document, "sinks": sinks}
        return {**document, "untold": self._is_untold(document)}, due

    def _is_untold(self, document: Document) -> bool:
        """Say whether some sink has yet to be told of the opening, or of the end."""
        told = document["sinks"]
        if document["open"]:
            return any(not told.get(name, {}).get("notices") for name in self._sinks)
        return any(name in self._sinks for name in told)

    def _send(self, name: str, document: Document) -> bool:
        notice = notice_of(document, name)
        try:
            self._sinks[name].send(notice)
        except PlumblineError as error:
            _LOG.warning("alert %s: %s did not take it: %s", notice.alert.key, name, error)
        except Exception:  # noqa: BLE001 - logged and counted
            # Whatever a vendor's library may raise: an alert must never fail the work that raised it.
            _LOG.exception("alert %s: %s failed", notice.alert.key, name)
        else:
            self._metrics.count(ALERTS_SENT, sink=name, kind=notice.kind)
            return True
        self._metrics.count(ALERTS_FAILED, sink=name)
        return False

    def _keep_told(self, key: str, told: Document, names: Sequence[str]) -> None:
        """Write down who was told, unless the alert has gone on to another life meanwhile."""

        def work(transaction: Transaction) -> None:
            stored = transaction.get(ALERTS, key)
            if stored is None or not is_sound(stored):
                return
            sinks = {**stored["sinks"]}
            another_life = stored["openedAt"] != told["openedAt"]
            for name in names:
                if another_life:
                    if not told["open"] and sinks.get(name) == told["sinks"][name]:
                        del sinks[name]  # it has heard of that end now, and not of this beginning
                    continue
                notices = told["sinks"][name]["notices"] + 1
                if not stored["open"] and not told["open"]:
                    sinks.pop(name, None)
                else:
                    # Closed while its opening was on its way: the closing is due at once.
                    due_s = self._pause_s(notices) if stored["open"] else 0.0
                    due = self._clock.now() + timedelta(seconds=due_s)
                    sinks[name] = {"notices": notices, "dueAt": due.isoformat()}
            document = {**stored, "sinks": sinks}
            document["untold"] = self._is_untold(document)
            transaction.put(ALERTS, key, document)

        try:
            self._documents.transaction(work)
        except PlumblineError as error:
            self._unkept(key, error)

    def _has_settled(self, document: Document, now: datetime) -> bool:
        since = document.get("overSince")
        return since is not None and now - time_of(since) >= timedelta(seconds=self._settings.settle_s)

    def _pause_s(self, notices: int) -> float:
        return float(min(self._settings.repeat_s * 2.0 ** min(notices - 1, 30), self._settings.longest_s))

    def _unkept(self, key: str, error: PlumblineError) -> None:
        _LOG.error("alert %s: its state cannot be kept: %s", key, error)
        self._metrics.count(ALERTS_FAILED, sink=STORE)
