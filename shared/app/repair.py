"""Putting transfers right, with evidence: the log first, the contract's state only where there is none."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shared.app.log_search import LogSearch
from shared.app.project_events import readable
from shared.domain.comparison import (
    AHEAD,
    EXPLANATIONS,
    INCONSISTENT,
    LATE,
    MISSING,
    UNPROJECTED,
    proofs_of,
)
from shared.domain.events import (
    CORRECTION,
    REINSTATED,
    Event,
    chain_event,
    correction_id,
    evidence_event,
    is_external,
    is_ours,
    restated_id,
)
from shared.domain.lifecycle import STEPS, steps_needed
from shared.domain.log_coordinates import log_coordinates
from shared.domain.state import everything_told, is_superseded
from shared.domain.system_events import REFUTED

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from shared.app.chain_heads import ChainHeads
    from shared.app.chain_history import ChainHistory
    from shared.app.event_log import Appended, EventLog
    from shared.app.project_events import ProjectEvents
    from shared.app.reconcile_page import Finding
    from shared.domain.blocks import Header
    from shared.domain.contract import ContractSpec
    from shared.ports import RawLog


@dataclass(slots=True)
class Repaired:
    """What was done for one transfer, and the cause that turned out."""

    cause: str
    explanation: str
    created: list[str] = field(default_factory=list)
    by_contract_state: list[str] = field(default_factory=list)
    superseded: list[str] = field(default_factory=list)
    projected: bool = False
    conflicting: list[str] = field(default_factory=list)

    def after(self, earlier: Repaired) -> Repaired:
        """Return both rounds' work; the cause is what the first one turned out to be."""
        first = earlier.created or earlier.superseded or earlier.projected
        return Repaired(
            earlier.cause if first else self.cause,
            earlier.explanation if first else self.explanation,
            earlier.created + self.created,
            earlier.by_contract_state + self.by_contract_state,
            earlier.superseded + self.superseded,
            earlier.projected or self.projected,
            earlier.conflicting + self.conflicting,
        )


class Repair:
    """Repairs the findings of a page of one contract, at the block at which they were found."""

    def __init__(
        self,
        spec: ContractSpec,
        pin: Header,
        history: ChainHistory,
        event_log: EventLog,
        heads: ChainHeads,
        projection: ProjectEvents,
        heartbeat: Callable[[], None],
    ) -> None:
        self._spec = spec
        self._pin = pin
        self._history = history
        self._search = LogSearch(spec, pin, history)
        self._event_log = event_log
        self._heads = heads
        self._projection = projection
        self._heartbeat = heartbeat

    def repair(self, findings: Sequence[Finding]) -> dict[str, Repaired]:
        """Repair each; return what was done by rollover id.

        The logs of all findings are fetched together, each within the blocks it must lie in.
        """
        logs = self._search.of(findings)
        headers = self._history.headers_of(log for found in logs.values() for log in found)
        logs = self._history.held(logs, headers)
        done = {}
        for finding in findings:
            found = logs.get(finding.candidate.transfer_hash, [])
            done[finding.candidate.rollover_id] = self._repair_one(finding, found, headers)
            # Many repairs in one page must not outlast the lease.
            self._heartbeat()
        return done

    def _repair_one(
        self, finding: Finding, logs: Sequence[RawLog], headers: Mapping[str, Header]
    ) -> Repaired:
        rollover_id = finding.candidate.rollover_id
        done = Repaired(finding.comparison.cause, EXPLANATIONS[finding.comparison.cause])
        stream = readable(self._event_log.events_of(rollover_id))
        if finding.comparison.missing or finding.comparison.deleted:
            self._append_missing(finding, stream, logs, headers, done)
        if finding.comparison.ahead or finding.comparison.gone:
            self._take_back(finding, stream, done)
        done.projected = self._projection.rebuild(rollover_id, created=done.created)
        if done.cause == MISSING and done.projected and not done.created:
            done.cause, done.explanation = UNPROJECTED, EXPLANATIONS[UNPROJECTED]
        return done

    def _append_missing(
        self,
        finding: Finding,
        stream: Sequence[Event],
        logs: Sequence[RawLog],
        headers: Mapping[str, Header],
        done: Repaired,
    ) -> None:
        spec, chain_id = self._spec, self._spec.chain_id
        events = []
        for log in logs:
            decoded, at = spec.decode(log), log_coordinates(chain_id, log)
            if decoded is not None:
                events.append(chain_event(spec, decoded, at, headers[at["blockHash"]].timestamp))
        told = {event["eventId"] for event in stream} | {
            event["metadata"].get("originalEventId")
            for event in stream
            if event["eventType"] == CORRECTION and is_ours(event)
        }
        external = self._history.externals_of([event for event in events if event["eventId"] not in told])
        # External transactions first: after a death in between, the missing step leads to them again.
        for each in (external, events):
            counter = self._heads.reorg_counter(chain_id)
            self._record(self._event_log.append_chain(chain_id, each, counter), done)
        proofs, verdicts = everything_told(finding.candidate.rollover_id, stream)
        rollover_id = finding.candidate.rollover_id
        ids = {event["eventId"]: _ids(event["eventId"], rollover_id) for event in events}
        judged = {
            own: {verdicts[key][0] for key in of_it if is_superseded(verdicts, key)}
            for own, of_it in ids.items()
        }
        # What a proof has refuted no log index brings back.
        wrongly = [event for event in events if judged[event["eventId"]] - {REFUTED}]
        if wrongly:
            wrongly += _externals(stream, verdicts, {event["data"]["blockHash"] for event in wrongly})
            counter = self._above(set().union(*judged.values()) - {REFUTED})
            reason = "its log is on the canonical chain"
            self._record(self._event_log.judge(wrongly, counter, REINSTATED, reason), done)
        proved = {p["milestone"] for key, p in proofs.items() if not is_superseded(verdicts, key)}
        proved |= {e["data"]["step"] for e in events if judged[e["eventId"]] != {REFUTED}}
        # Mint and burn at state 8 are suspects, not certainties: without a log there was none.
        unproved = (finding.comparison.missing & steps_needed(finding.contract_state)) - proved
        if unproved:
            self._append_evidence(finding, sorted(unproved), verdicts, done)

    def _append_evidence(
        self, finding: Finding, steps: Sequence[str], verdicts: Mapping[str, list[int]], done: Repaired
    ) -> None:
        spec, transfer_hash = self._spec, finding.candidate.transfer_hash
        events = self._event_log.route(
            [
                evidence_event(
                    spec, step, transfer_hash, str(STEPS[step].constants.get("agreementType", "")), self._pin
                )
                for step in steps
            ]
        )
        appended = self._event_log.append_routed(events)
        self._record(appended, done)
        done.by_contract_state += appended.stored
        returned = [event for event in events if is_superseded(verdicts, event["eventId"])]
        if returned:
            counter = self._above({verdicts[event["eventId"]][0] for event in returned})
            reason = "the contract's state shows the step again"
            self._record(self._event_log.judge(returned, counter, REINSTATED, reason), done)

    def _take_back(self, finding: Finding, stream: Sequence[Event], done: Repaired) -> None:
        stored = {event["eventId"]: event for event in stream}
        proofs, verdicts = everything_told(finding.candidate.rollover_id, stream)
        known = False
        refuted: dict[str, list[Event]] = defaultdict(list)
        doubted = [*self._ahead(finding, proofs, verdicts), *finding.comparison.gone]
        for key in dict.fromkeys(doubted):
            event = stored.get(key)
            if event is None or is_superseded(verdicts, key):
                # Gone, or judged by a run that died before it projected: the rebuild drops it.
                known = True
                continue
            reason, settled = self._history.refutation(event, self._pin)
            if settled:
                refuted[reason].append(event)
            elif reason:
                done.cause, done.explanation = INCONSISTENT, f"{EXPLANATIONS[INCONSISTENT]}: {reason}"
        if not refuted:
            if done.cause == AHEAD:
                done.cause = UNPROJECTED if known else LATE
                done.explanation = EXPLANATIONS[done.cause]
            return
        blocks = {
            event["data"]["blockHash"]: event["data"]["blockNumber"]
            for events in refuted.values()
            for event in events
            if self._history.is_gone(event)
        }
        counter = self._heads.take_back(self._spec.chain_id, blocks)
        gone = _externals(stream, verdicts, blocks, superseded=False)
        if gone:
            reason = "its block is no longer the chain's"
            done.superseded += self._event_log.supersede(gone, counter, reason).stored
        for reason, events in refuted.items():
            done.superseded += self._event_log.supersede(events, counter, reason).stored

    def _ahead(
        self, finding: Finding, proofs: Mapping[str, Any], verdicts: Mapping[str, Any]
    ) -> tuple[str, ...]:
        state, ahead = finding.candidate.state, finding.comparison.ahead
        if state is None or not state["overflow"] or not ahead:
            return ahead
        # The state shows the best proof of each step only; the others would come up one by one.
        steps = {state["proofs"][key]["milestone"] for key in ahead}
        whole = {"proofs": proofs, "verdicts": verdicts, "contractKey": state["contractKey"]}
        return tuple(dict.fromkeys([*ahead, *proofs_of(whole, steps, self._pin.number)]))

    def _above(self, sequences: set[int]) -> int:
        """Return a value of the reorg counter above all of these, raising it where necessary."""
        counter = self._heads.reorg_counter(self._spec.chain_id)
        while counter <= max(sequences):
            counter = self._heads.take_back(self._spec.chain_id, {})
        return counter

    @staticmethod
    def _record(appended: Appended, done: Repaired) -> None:
        done.created += appended.stored
        done.conflicting += appended.conflicting


def _ids(log_id: str, rollover_id: str) -> tuple[str, ...]:
    """Return the ids of all that may tell of a log: itself, restated, and joined to this transfer."""
    told = (log_id, restated_id(log_id))
    return (*told, *(correction_id(each, rollover_id) for each in told))


def _externals(
    stream: Sequence[Event],
    verdicts: Mapping[str, list[int]],
    blocks: Container[str],
    *,
    superseded: bool = True,
) -> list[Event]:
    """Return what tells of external transactions in these blocks, superseded or not."""
    return [
        event
        for event in stream
        if is_external(event)
        and event["data"]["blockHash"] in blocks
        and is_superseded(verdicts, event["eventId"]) == superseded
    ]
