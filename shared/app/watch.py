"""What a reconciliation tells operators: its figures, and the alerts that it opens and closes."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from shared.app.reconcile_report import LAST_GOOD, RUNS, is_straight
from shared.domain.metrics import (
    RECONCILE_AGE,
    RECONCILE_CHECKED,
    RECONCILE_CREATED,
    RECONCILE_ERRORS,
    RECONCILE_LAST_ERRORS,
    RECONCILE_LAST_MISMATCHES,
    RECONCILE_MISMATCHES,
    RECONCILE_RUNS,
    RECONCILE_SUPERSEDED,
    RECONCILE_TIME,
)
from shared.errors import PlumblineError
from shared.ports import Alert

if TYPE_CHECKING:
    from shared.app.alerts import Alerts
    from shared.app.listener_health import ListenerHealth
    from shared.ports import Clock, Document, Documents, Metrics

_LOG: Final = logging.getLogger(__name__)
RECONCILIATION: Final = "reconciliation"
UNMINTED: Final = "executed_without_mint"
LISTENER: Final = "listener"
UNFINISHED: Final = "unfinished"
_TOLD: Final = ("reportId", "checked", "mismatchCount", "createdCount", "supersededCount", "errorCount")
_NAMED: Final = 20
"""Entries of a list that an alert names; the report has more."""


class Watch:
    """Watches over the reconciliation, and over the listeners with each of its scheduled runs.

    Who watches must not hang on what is watched: a listener that has died says nothing, so the schedule
    asks. (That the schedule itself has stopped is told by the age of its last good run, which the listener
    keeps telling too.)
    """

    def __init__(
        self,
        documents: Documents,
        alerts: Alerts,
        metrics: Metrics,
        clock: Clock,
        listeners: ListenerHealth | None,
        *,
        mismatches: int,
    ) -> None:
        self._documents = documents
        self._alerts = alerts
        self._metrics = metrics
        self._clock = clock
        self._listeners = listeners
        self._mismatches = mismatches

    def finished(self, report: Document, *, manual: bool) -> None:
        """Tell of a whole run, no dry one, that has come to its end."""
        outcome = "straight" if is_straight(report) else "crooked"
        _LOG.info("reconciled: %s", outcome, extra={"fields": {name: report[name] for name in _TOLD}})
        self._metrics.count(RECONCILE_RUNS, outcome=outcome)
        self._metrics.observe(RECONCILE_TIME, report["durationS"])
        self._metrics.gauge(RECONCILE_LAST_MISMATCHES, report["mismatchCount"])
        self._metrics.gauge(RECONCILE_LAST_ERRORS, report["errorCount"])
        self.repaired(report)
        self._judge(report)
        if not manual:
            self._look_at_listeners()
        self._ended()

    def repaired(self, report: Document) -> None:
        """Count what a run, or one transfer's, found and did."""
        for name, field in (
            (RECONCILE_CHECKED, "checked"),
            (RECONCILE_CREATED, "createdCount"),
            (RECONCILE_SUPERSEDED, "supersededCount"),
            (RECONCILE_ERRORS, "errorCount"),
        ):
            self._metrics.count(name, report[field])
        for cause, count in report["causes"].items():
            self._metrics.count(RECONCILE_MISMATCHES, count, cause=cause)

    def broken_off(self, outcome: str) -> None:
        """Tell of a run that did not come to its end: its budget was over, or an error's code."""
        self._metrics.count(RECONCILE_RUNS, outcome=outcome)
        self._ended()

    def _ended(self) -> None:
        tell_age(self._documents, self._clock, self._metrics)
        self._alerts.tend()

    def _judge(self, report: Document) -> None:
        if report["errorCount"] or report["mismatchCount"] > self._mismatches:
            names = ("reportId", "mismatchCount", "errorCount", "causes")
            detail: dict[str, Any] = {name: report[name] for name in names}
            detail["errors"] = report["errors"][:_NAMED]
            self._alerts.open(Alert(RECONCILIATION, "error", "The reconciliation found trouble", detail))
        else:
            self._alerts.close(RECONCILIATION)
        if report["unminted"]:
            detail = {"reportId": report["reportId"], "transfers": report["unminted"][:_NAMED]}
            title = "Transfers are executed and their mint is missing"
            self._alerts.open(Alert(UNMINTED, "critical", title, detail))
        elif not any(covered.get("tiered") for covered in report["coverage"].values()):
            # A run that looks at a share of the transfers says nothing of the others.
            self._alerts.close(UNMINTED)

    def _look_at_listeners(self) -> None:
        if self._listeners is None:
            return
        try:
            found = self._listeners.problems()
        except PlumblineError as error:
            _LOG.warning("the listeners cannot be looked at: %s", error)
            return
        for chain, problems in found.items():
            key = f"{LISTENER}:{chain}"
            if problems:
                detail = {"chainId": chain, "problems": problems}
                self._alerts.open(Alert(key, "critical", "A listener does not keep up", detail))
            else:
                self._alerts.close(key)


def tell_age(documents: Documents, clock: Clock, metrics: Metrics) -> None:
    """Tell how old the last good run is; nothing, where there never was one or the store is away."""
    try:
        good = documents.get(RUNS, LAST_GOOD)
        finished = datetime.fromisoformat(good["finishedAt"]) if good else None
        age_s = (clock.now() - finished).total_seconds() if finished else None
    except (PlumblineError, KeyError, TypeError, ValueError):
        # Without a word the figure grows old itself, which is what an alert on it looks for.
        return
    if age_s is not None:
        metrics.gauge(RECONCILE_AGE, max(0.0, age_s))
