"""The report of a reconciliation: it grows page by page, and a run that was cut off goes on in it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from shared.app.notes import keep_note, read_note
from shared.app.repair import Repaired
from shared.domain.comparison import EXPLANATIONS, LATE, UNPROJECTED
from shared.ports import DELETE_AFTER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.app.due_page import After
    from shared.domain.blocks import Header
    from shared.ports import Clock, Document, Documents

RUNS: Final = "reconciliations"
CURRENT: Final = "current"
LAST_GOOD: Final = "last_good"
"""The key under which the last whole run without an error is told: ``reportId``, ``finishedAt``."""
REPORTS: Final = "reconciliation_reports"
DETAILS: Final = 200
"""Entries kept of each list, so that the report stays far below a document's 1 MiB; counts are whole."""
KEPT: Final = timedelta(days=400)
"""How long a report is kept where the store deletes by itself: a year, and what an audit takes after it."""
_DONE: Final = "done"


class Report:
    """What a run found and did; ``document`` is what is stored and returned."""

    def __init__(self, documents: Documents, clock: Clock, document: Document) -> None:
        self._documents = documents
        self._clock = clock
        self.document = document
        self._begun_s = clock.monotonic_s()
        self._spent_s = float(document["durationS"])
        self._keeps_progress = not document["dryRun"]

    @classmethod
    def resume(cls, documents: Documents, clock: Clock, *, dry_run: bool, afresh: bool) -> Report:
        """Go on with the run that was cut off, or begin a new one.

        A dry run begins anew, and so does one ``afresh``: who asks now wants what is crooked now, also on
        the pages that the other had passed.
        """
        unfinished = None if dry_run or afresh else read_note(documents, RUNS, CURRENT)
        # Over a new one: a version before this may have begun it, without all of its fields.
        return cls(documents, clock, {**_new(clock, dry_run=dry_run), **(unfinished or {})})

    @classmethod
    def single(cls, documents: Documents, clock: Clock, *, dry_run: bool) -> Report:
        """Begin a report that stands for itself: a whole run's progress is left alone."""
        report = cls(documents, clock, _new(clock, dry_run=dry_run))
        report._keeps_progress = False
        return report

    @property
    def dry_run(self) -> bool:
        """Say whether nothing may be written."""
        return bool(self.document["dryRun"])

    def position(self, contract_key: str, phase: str) -> After:
        """Return where a phase goes on."""
        where = self.document["progress"].get(f"{contract_key} {phase}")
        return None if where == _DONE else where

    def is_done(self, contract_key: str, phase: str) -> bool:
        """Say whether a phase is through."""
        return bool(self.document["progress"].get(f"{contract_key} {phase}") == _DONE)

    def advance(self, contract_key: str, phase: str, after: After, checked: int) -> None:
        """Keep how far a phase has come."""
        self.document["checked"] += checked
        coverage = self.document["coverage"].setdefault(contract_key, {})
        coverage[phase] = coverage.get(phase, 0) + checked
        self.document["progress"][f"{contract_key} {phase}"] = _DONE if after is None else after
        self.save()

    def pinned(self, contract_key: str, pin: Header, open_count: int, *, tiered: bool) -> None:
        """Record at which block a contract is read, and how much of it this run covers."""
        self.document["pins"][contract_key] = {
            "number": pin.number, "hash": pin.hash, "timestamp": pin.timestamp
        }  # fmt: skip
        # A run that was cut off goes on at a later block; what came first was checked at the first.
        self.document["progress"].setdefault(f"{contract_key} pin", pin.number)
        self.document["coverage"].setdefault(contract_key, {}).update(openTransfers=open_count, tiered=tiered)

    def first_pin(self, contract_key: str) -> int:
        """Return the height at which a contract was read first in this run."""
        return int(self.document["progress"][f"{contract_key} pin"])

    def mismatch(self, rollover_id: str, contract_key: str, done: Repaired, *, repaired: bool) -> None:
        """Record a transfer that hung crooked; what is merely late is listed but not counted as one."""
        if done.cause == LATE:
            self._list("late", rollover_id)
        else:
            self.document["mismatchCount"] += 1
            causes = self.document["causes"]
            causes[done.cause] = causes.get(done.cause, 0) + 1
            entry = {
                "rolloverId": rollover_id,
                "contractKey": contract_key,
                "cause": done.cause,
                "explanation": done.explanation,
                "repaired": repaired,
            }
            self._list("mismatches", entry)
            if not repaired and not self.dry_run:
                self._list("suspects", rollover_id)
        self.created(done.created)
        self.document["createdByContractState"] += len(done.by_contract_state)
        self.document["supersededCount"] += len(done.superseded)
        self.document["projectedAgain"] += done.projected
        for event_id in done.superseded:
            self._list("superseded", event_id)
        for event_id in done.conflicting:
            self.error(contract_key, f"event {event_id} is stored with another content than its log has")

    def unprojected(self, rollover_id: str) -> None:
        """Record a transfer some of whose events had never been projected."""
        done = Repaired(UNPROJECTED, EXPLANATIONS[UNPROJECTED], projected=True)
        self.mismatch(rollover_id, "", done, repaired=not self.dry_run)

    def created(self, event_ids: Sequence[str]) -> None:
        """Record events that were appended."""
        self.document["createdCount"] += len(event_ids)
        for event_id in event_ids:
            self._list("created", event_id)

    def level(self, contract_key: str, entry: Document) -> None:
        """Record a custodian whose level differs."""
        self.document["mismatchCount"] += 1
        self.document["causes"]["custodian_level"] = self.document["causes"].get("custodian_level", 0) + 1
        self._list("levels", {"contractKey": contract_key, **entry})

    def note(self, name: str, entry: Any) -> None:
        """Record something to know that is no mismatch: ``joined``, ``orphans`` and so on."""
        if entry not in self.document[name]:
            self._list(name, entry)

    def misfit(self, transfer_hash: str) -> None:
        """Record, once, a hash mapped to the transfer of another one: nothing follows it."""
        if transfer_hash not in self.document["misfits"]:
            self._list("misfits", transfer_hash)
            self.error(f"mapping {transfer_hash}", "its transferId has another hash")

    def strange(self, rollover_id: str, contract_key: str) -> None:
        """Record a transfer whose state lies on a contract that is not configured, so that no page has it."""
        self.error(rollover_id, f"its events name contract {contract_key}, which is not in the registry")

    def error(self, where: str, error: object) -> None:
        """Record what could not be done."""
        self.document["errorCount"] += 1
        self._list("errors", {"where": where, "error": str(error)})

    def save(self) -> None:
        """Store the run as far as it is."""
        self.document["durationS"] = round(self._spent_s + self._clock.monotonic_s() - self._begun_s, 3)
        if self._keeps_progress:
            keep_note(self._documents, RUNS, CURRENT, self.document)

    def finish(self) -> Document:
        """Store the whole report and make way for the next run; return it."""
        self.document["complete"] = True
        self.document["finishedAt"] = self._clock.now().isoformat()
        self.save()
        if not self.dry_run:
            report = {k: v for k, v in self.document.items() if k != "progress"}
            self._documents.put(REPORTS, self.document["reportId"], report)
        if self._keeps_progress:
            self._documents.delete(RUNS, CURRENT)
            if not self.document["errorCount"]:
                good = {name: self.document[name] for name in ("reportId", "finishedAt")}
                self._documents.put(RUNS, LAST_GOOD, good)
        return self.shown()

    def shown(self) -> Document:
        """Return the report as a reader gets it."""
        return {key: value for key, value in self.document.items() if key != "progress"}

    def _list(self, name: str, entry: Any) -> None:
        if len(self.document[name]) < DETAILS:
            self.document[name].append(entry)


def _new(clock: Clock, *, dry_run: bool) -> Document:
    now = clock.now()
    lists = (
        "mismatches", "created", "superseded", "late", "joined", "unmapped", "orphans", "conflicts",
        "levels", "misfits", "suspects", "errors", "notDeployed", "unminted",
    )  # fmt: skip
    counts = (
        "checked", "mismatchCount", "createdCount", "createdByContractState", "supersededCount",
        "projectedAgain", "errorCount",
    )  # fmt: skip
    return {
        "reportId": f"{now.strftime('%Y%m%dT%H%M%SZ')}-{uuid4().hex[:8]}",
        "startedAt": now.isoformat(),
        DELETE_AFTER: (now + KEPT).isoformat().replace("+00:00", "Z"),
        "complete": False,
        "dryRun": dry_run,
        "durationS": 0.0,
        "pins": {},
        "coverage": {},
        "causes": {},
        "progress": {},
        **{name: [] for name in lists},
        **dict.fromkeys(counts, 0),
    }


def is_straight(report: Document) -> bool:
    """Say whether a report found nothing wrong: no mismatch, no error, nothing late or left undone."""
    crooked = report["mismatchCount"] or report["errorCount"] or report["late"]
    return not crooked and bool(report["complete"])


def unrepaired(report: Document) -> bool:
    """Say whether a report leaves something crooked behind."""
    return bool(
        report["errorCount"] or report["levels"] or not all(m["repaired"] for m in report["mismatches"])
    )
