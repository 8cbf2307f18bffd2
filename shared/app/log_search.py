"""Looking for the logs that transfers lack, each within the blocks that it must lie in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from shared.domain.comparison import Comparison
from shared.domain.lifecycle import STEPS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.app.chain_history import ChainHistory
    from shared.app.reconcile_page import Finding
    from shared.domain.blocks import Header
    from shared.domain.contract import ContractSpec
    from shared.ports import RawLog


class LogSearch:
    """Finds the logs of one contract's findings, up to the pinned block."""

    def __init__(self, spec: ContractSpec, pin: Header, history: ChainHistory) -> None:
        self._spec = spec
        self._pin = pin
        self._history = history

    def of(self, findings: Sequence[Finding]) -> dict[str, list[RawLog]]:
        """Return, by transfer hash, the logs of findings that lack events, all fetched together."""
        searched = {
            f.candidate.transfer_hash: self._search_from(f)
            for f in findings
            if f.comparison.missing or f.comparison.deleted
        }
        logs = self._history.logs_of_transfers(searched, self._pin.number)
        # An earlier step told at too high a block (a stranger's, or a lost reorg's) must not hide the log.
        short = [f for f in findings if f.comparison.missing - self._steps(logs, f)]
        keys = {f.candidate.transfer_hash for f in short}
        floor = self._spec.deployment_block
        again = {key: floor for key in keys if searched.get(key, floor) > floor}
        logs.update(self._history.logs_of_transfers(again, self._pin.number))
        return logs

    def with_logs(self, findings: Sequence[Finding]) -> list[Finding]:
        """Return those of the findings for which the chain has logs of missing steps, and no other steps."""
        searched = {f.candidate.transfer_hash: self._spec.deployment_block for f in findings}
        logs = self._history.logs_of_transfers(searched, self._pin.number)
        return [
            replace(finding, comparison=Comparison(missing=told))
            for finding in findings
            if (told := finding.comparison.missing & self._steps(logs, finding))
        ]

    def _steps(self, logs: Mapping[str, Sequence[RawLog]], finding: Finding) -> set[str]:
        found = (self._spec.decode(log) for log in logs.get(finding.candidate.transfer_hash, ()))
        return {decoded.step for decoded in found if decoded is not None}

    def _search_from(self, finding: Finding) -> int:
        state, comparison = finding.candidate.state, finding.comparison
        floor = self._spec.deployment_block
        if state is None:
            return floor
        if comparison.deleted:
            # Verdicts and the application's events have no block of their own: look from the start.
            blocks = [state["proofs"].get(key, {}).get("block") for key in comparison.deleted]
            return min((b if b is not None else floor for b in blocks), default=floor)
        order = list(STEPS)
        first = min((order.index(step) for step in comparison.missing), default=0)
        # The two agreements come in either order, so neither bounds the other.
        before = set(order[:first]) if first > 1 else set()
        known = [state["milestones"][s]["blockNumber"] for s in before if s in state["milestones"]]
        return max((block for block in known if block is not None), default=floor)
