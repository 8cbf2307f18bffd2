"""One contract's share of a reconciliation: its pages are checked, put right, and checked again."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from shared.app.chain_history import ChainHistory
from shared.app.custodian_levels import differing_levels
from shared.app.due_transfers import DueTransfers, hash_of
from shared.app.join_unmapped import JoinUnmapped
from shared.app.log_search import LogSearch
from shared.app.reconcile_page import Candidate, Finding, PageCheck
from shared.app.repair import Repair, Repaired
from shared.app.scrutiny import THOROUGH
from shared.domain.comparison import DELETED, EXPLANATIONS, LATE, MISSING, Comparison, weakly_proved
from shared.domain.lifecycle import ContractState
from shared.domain.state import STATES, is_intact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from shared.app.chain_heads import ChainHeads
    from shared.app.event_log import EventLog
    from shared.app.lateness import Lateness
    from shared.app.project_events import ProjectEvents
    from shared.app.reconcile_report import Report
    from shared.app.reconcile_settings import ReconcileSettings
    from shared.app.scrutiny import Scrutiny
    from shared.domain.blocks import Header
    from shared.domain.contract import ContractSpec
    from shared.domain.state import State
    from shared.ports import Chain, Documents

_LOG: Final = logging.getLogger(__name__)
_AGAIN: Final = 1_000
_ROUNDS: Final = 3
"""A repair may uncover another (a hand-edited state hid a missing event); beyond this it is a fault."""


class ReconcileContract:
    """Checks and repairs the due transfers of one contract at one pinned block, into the report."""

    def __init__(
        self,
        documents: Documents,
        chain: Chain,
        spec: ContractSpec,
        pin: Header,
        event_log: EventLog,
        projection: ProjectEvents,
        heads: ChainHeads,
        report: Report,
        settings: ReconcileSettings,
        heartbeat: Callable[[], None],
        *,
        settled: str,
        lateness: Lateness | None,
        believed: float,
        resolves: int | None,
        elsewhere: Callable[[str], bool],
    ) -> None:
        self._documents = documents
        self._chain = chain
        self._spec = spec
        self._pin = pin
        self._report = report
        self._lateness = lateness
        self._elsewhere = elsewhere
        self._heartbeat = heartbeat
        self._check = PageCheck(documents, chain, spec, pin)
        self._history = ChainHistory(chain, spec, settings.platform_wallets, believed=believed)
        self._search = LogSearch(spec, pin, self._history)
        self._repair = Repair(spec, pin, self._history, event_log, heads, projection, heartbeat)
        self._joiner = JoinUnmapped(documents, chain, spec, event_log, projection, resolves)
        self._due = DueTransfers(
            documents,
            event_log,
            chain,
            spec,
            pin,
            settings,
            settled,
            dry_run=report.dry_run,
            whole=resolves is None,
        )

    def pages(self) -> Iterator[int]:
        """Work through every phase, yielding the number of transfers after each page."""
        key, report, due = self._spec.key, self._report, self._due
        report.pinned(key, self._pin, due.open_count, tiered=due.tiered)
        for phase in due.phases:
            while not report.is_done(key, phase):
                page = due.page(phase, report.position(key, phase))
                self._put_right(page.candidates, due.turns.of(phase))
                self._mend(page.stand_ins)
                for misfit in page.misfits:
                    report.misfit(misfit)
                if page.cursor:
                    due.remember(**page.cursor)
                report.advance(key, phase, page.after, len(page.candidates))
                self._heartbeat()
                yield len(page.candidates)
        late = report.document["late"]
        due.remember(
            suspects=list(dict.fromkeys([*report.document["suspects"], *late])),
            **due.turns.after(report.first_pin(key)),
        )
        if self._lateness is not None:
            due.remember(late=self._lateness.remembered(due.late, late, self._pin.number))

    def one(self, rollover_id: str) -> None:
        """Check and repair one transfer, if its state or this contract knows it."""
        state = self._documents.get(STATES, rollover_id)
        # An edited state may lie: computed anew, it says whose it is.
        if state is not None and is_intact(state) and not self._may_own(state):
            return
        candidate = Candidate(rollover_id, hash_of(rollover_id), state)
        answer = self._check.contract_state(candidate.transfer_hash)
        if state is None and answer == 0:
            return
        self._put_right([candidate], THOROUGH)
        self._report.advance(self._spec.key, "one", None, 1)

    def again(self, rollover_ids: Sequence[str]) -> None:
        """Check and repair transfers whose states were computed anew since their pages were checked."""
        for at in range(0, len(rollover_ids), _AGAIN):
            candidates = self._due.candidates(rollover_ids[at : at + _AGAIN])
            self._put_right(candidates, self._due.turns.of("open"))
            self._heartbeat()

    def compare_levels(self) -> None:
        """Record every custodian whose level in the database is not the contract's."""
        for entry in differing_levels(self._documents, self._chain, self._spec, self._pin):
            self._report.level(self._spec.key, entry)

    def _put_right(self, candidates: Sequence[Candidate], scrutiny: Scrutiny) -> None:
        candidates = self._joined(candidates)
        result = self._check.check(candidates, above=scrutiny.above)
        for error in result.errors:
            self._report.error(self._spec.key, error)
        findings = [finding for finding in result.findings if not self._is_anothers(finding)]
        findings = self._claimed(findings, scrutiny)
        done = self._told(findings)
        unminted = result.unminted
        for _ in range(0 if self._report.dry_run else _ROUNDS):
            due = [f for f in findings if done[f.candidate.rollover_id].cause != LATE]
            if not due:
                break
            for rollover_id, repaired in self._repair.repair(due).items():
                done[rollover_id] = repaired.after(done[rollover_id])
            result = self._check.check(self._reread([f.candidate for f in due]), above=scrutiny.above)
            findings = result.findings
            checked = {f.candidate.rollover_id for f in due}
            unminted = [*result.unminted, *(c for c in unminted if c.rollover_id not in checked)]
        crooked = {f.candidate.rollover_id for f in findings}
        crooked |= self._look_for_logs(candidates, scrutiny, done)
        for candidate in unminted:
            if candidate.rollover_id not in done or done[candidate.rollover_id].cause != LATE:
                self._report.note("unminted", candidate.rollover_id)
        for rollover_id, repaired in done.items():
            mended = rollover_id not in crooked
            self._report.mismatch(rollover_id, self._spec.key, repaired, repaired=mended)
            fields = {
                "rolloverId": rollover_id, "chainId": self._spec.chain_id, "contract": self._spec.address,
                "blockNumber": self._pin.number, "cause": repaired.cause, "repaired": mended,
                "created": repaired.created,
            }  # fmt: skip
            level = logging.INFO if mended or repaired.cause == LATE else logging.WARNING
            _LOG.log(level, "hung crooked: %s", repaired.explanation, extra={"fields": fields})
        for place, error in self._history.undecodable().items():
            self._report.error(f"{self._spec.key} {place}", error)

    def _mend(self, stand_ins: Sequence[State]) -> None:
        """Put right the states of joined hashes some of whose events are no longer in the store."""
        for bare in self._joiner.broken(stand_ins):
            created = [] if self._report.dry_run else self._joiner.mend(bare)
            done = Repaired(DELETED, EXPLANATIONS[DELETED], created=created)
            repaired = not self._report.dry_run
            self._report.mismatch(bare["rolloverId"], self._spec.key, done, repaired=repaired)
            self._heartbeat()

    def _is_anothers(self, finding: Finding) -> bool:
        """Say whether a transfer on no contract yet, which this one does not know, is known to another."""
        state = finding.candidate.state
        nobodys = state is not None and is_intact(state) and state["contractKey"] is None
        unknown = finding.contract_state is ContractState.NONE
        return nobodys and unknown and self._elsewhere(finding.candidate.transfer_hash)

    def _claimed(self, findings: Sequence[Finding], scrutiny: Scrutiny) -> list[Finding]:
        """Give transfers what is kept under their bare hashes, and check those again."""
        names = {
            f.candidate.transfer_hash: f.candidate.rollover_id
            for f in findings
            if f.comparison.missing and f.candidate.rollover_id != f.candidate.transfer_hash
        }
        joined = self._joiner.resolve_by_name(names) if names and not self._report.dry_run else {}
        for bare, rollover_id in joined.items():
            self._join(bare, rollover_id)
        theirs = [f.candidate for f in findings if f.candidate.transfer_hash in joined]
        again = self._check.check(self._reread(theirs), above=scrutiny.above).findings
        return [*(f for f in findings if f.candidate.transfer_hash not in joined), *again]

    def _join(self, bare: str, rollover_id: str) -> None:
        self._heartbeat()
        self._report.created(self._joiner.join(bare, rollover_id))
        self._report.note("joined", {"hash": bare, "rolloverId": rollover_id})

    def _told(self, findings: Sequence[Finding]) -> dict[str, Repaired]:
        causes = {
            f.candidate.rollover_id: LATE
            if f.comparison.cause == MISSING and self._is_late(f.candidate.rollover_id)
            else f.comparison.cause
            for f in findings
        }
        return {key: Repaired(cause, EXPLANATIONS[cause]) for key, cause in causes.items()}

    def _is_late(self, rollover_id: str) -> bool:
        return self._lateness is not None and self._lateness.excuses(self._due.late.get(rollover_id))

    def _look_for_logs(
        self, candidates: Sequence[Candidate], scrutiny: Scrutiny, done: dict[str, Repaired]
    ) -> set[str]:
        """Look for the logs of steps that were proved without; return whose are found and not appended."""
        repaired = self._reread([c for c in candidates if c.rollover_id in done])
        weak = [
            Finding(c, ContractState.NONE, tokenised=False, comparison=Comparison(missing=steps))
            for c in [*repaired, *(c for c in candidates if c.rollover_id not in done)]
            if scrutiny.searches(c.transfer_hash) and (steps := weakly_proved(c.state, self._spec.key))
        ]
        found = self._search.with_logs(weak) if weak else []
        told = self._told(found)
        due = (
            [] if self._report.dry_run else [f for f in found if told[f.candidate.rollover_id].cause != LATE]
        )
        told |= self._repair.repair(due) if due else {}
        for key, each in told.items():
            done[key] = each.after(done[key]) if key in done else each
        wanted = {f.candidate.rollover_id: f.comparison.missing for f in found}
        now = self._reread([f.candidate for f in found])
        return {c.rollover_id for c in now if weakly_proved(c.state, self._spec.key) & wanted[c.rollover_id]}

    def _reread(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Return those candidates that are still this contract's, with their states as they are now.

        A state computed anew may turn out to be another contract's, which knows nothing of that one's logs.
        """
        states = self._documents.get_many(STATES, [c.rollover_id for c in candidates]) if candidates else {}
        now = [replace(c, state=states.get(c.rollover_id)) for c in candidates]
        return [c for c in now if c.state is None or self._may_own(c.state)]

    def _may_own(self, state: State) -> bool:
        return state.get("contractKey") in (None, self._spec.key)

    def _joined(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Give bare hashes to their transfers, note what is odd, and return who is left to check."""
        left = []
        unmapped = [c.state for c in candidates if c.state and c.state.get("unmapped") and is_intact(c.state)]
        resolved = {} if self._report.dry_run else self._joiner.resolve(unmapped)
        for candidate in candidates:
            state = candidate.state
            if state and state.get("unmapped"):
                rollover_id = resolved.get(candidate.rollover_id)
                if rollover_id:
                    self._join(candidate.rollover_id, rollover_id)
                    left.append(
                        Candidate(
                            rollover_id, candidate.transfer_hash, self._documents.get(STATES, rollover_id)
                        )
                    )
                    continue
            if state and state.get("unmapped"):
                self._report.note("unmapped", candidate.rollover_id)
            if state and state.get("orphan"):
                self._report.note("orphans", candidate.rollover_id)
            if state and state.get("conflicts"):
                self._report.note("conflicts", candidate.rollover_id)
            left.append(candidate)
        return left
