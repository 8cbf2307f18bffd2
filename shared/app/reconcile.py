"""The plumb line: contract and database compared at one pinned block, and put right with evidence."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from shared.app.chain_heads import ChainHeads
from shared.app.lateness import Lateness
from shared.app.lease import Lease
from shared.app.reconcile_contract import ReconcileContract
from shared.app.reconcile_page import PageCheck
from shared.app.reconcile_report import Report
from shared.app.sweep import sweep_misplaced, sweep_stateless, sweep_unprojected, sweep_unstamped
from shared.app.watch import UNFINISHED
from shared.domain.lifecycle import ContractState
from shared.domain.state import STATES
from shared.errors import (
    ChainUnavailable,
    ConfigError,
    InvalidInput,
    NotFound,
    PlumblineError,
    UndecodableLog,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.app.event_log import EventLog
    from shared.app.project_events import ProjectEvents
    from shared.app.reconcile_settings import ReconcileSettings
    from shared.app.watch import Watch
    from shared.domain.blocks import Header
    from shared.domain.contract import ContractSpec, Registry
    from shared.ports import Chain, Clock, Document, Documents

LEASE: Final = "reconcile"
_IN_TURN_SHARE: Final = 10
"""Of the sweep limit, one in so many: states that a hand has hidden, or events without a time, are rare."""
_TAGS: Final = ("latest", "safe", "finalized")


class Reconcile:
    """Runs the reconciliation, whole or for one transfer; never two at once."""

    def __init__(
        self,
        documents: Documents,
        chains: Mapping[int, Chain],
        registry: Registry,
        event_log: EventLog,
        projection: ProjectEvents,
        clock: Clock,
        watch: Watch,
        settings: ReconcileSettings,
    ) -> None:
        self._documents = documents
        self._chains = chains
        self._registry = registry
        self._event_log = event_log
        self._projection = projection
        self._clock = clock
        self._watch = watch
        self._settings = settings
        self._heads = ChainHeads(documents, clock)

    def run(self, *, block: str | None = None, dry_run: bool = False, manual: bool = False) -> Document:
        """Reconcile every contract, going on where a run that was cut off stopped; return the report.

        ``block``: pin this tag or height instead of each contract's finality. ``dry_run``: tell, write
        nothing. ``manual``: a person asked, so what is merely late counts and is repaired, closed
        transfers are checked beside the open ones, and there is no time budget. Raises Conflict while
        another run holds the lease; a chain that cannot be read is an error in the report.
        """
        _check_block(block)
        try:
            report = self._run(block, dry_run=dry_run, manual=manual)
        except PlumblineError as error:
            self._watch.broken_off(error.code)
            raise
        if dry_run:
            return report
        if report["complete"]:
            self._watch.finished(report, manual=manual)
        else:
            self._watch.broken_off(UNFINISHED)
        return report

    def _run(self, block: str | None, *, dry_run: bool, manual: bool) -> Document:
        with Lease(self._documents, self._clock, LEASE, self._settings.lease_s).held() as lease:
            report = Report.resume(self._documents, self._clock, dry_run=dry_run, afresh=manual)
            deadline = self._deadline(manual=manual)
            contracts = {}
            for spec in self._registry.contracts:
                try:
                    contract = self._contract(spec, block, report, lease.renew, manual=manual)
                    if contract is None:
                        continue
                    contracts[spec.key] = contract
                    for _page in contract.pages():
                        if self._clock.monotonic_s() >= deadline:
                            report.save()
                            return report.shown()
                    contract.compare_levels()
                except ChainUnavailable as error:
                    report.error(spec.key, error)
            again = self._sweep(report, manual=manual)
            # What a sweep has put right may show what is missing: an event that no longer counts.
            for key, contract in contracts.items() if again and not dry_run else ():
                try:
                    contract.again(again)
                except ChainUnavailable as error:
                    report.error(key, error)
            return report.finish()

    def run_one(self, rollover_id: str, *, block: str | None = None, dry_run: bool = False) -> Document:
        """Reconcile one transfer on every contract that may know it; NotFound where none does.

        Takes the same lease as a whole run, and leaves a whole run's progress alone.
        """
        if not rollover_id:
            raise InvalidInput("rolloverId is empty")
        _check_block(block)
        with Lease(self._documents, self._clock, LEASE, self._settings.lease_s).held() as lease:
            report = Report.single(self._documents, self._clock, dry_run=dry_run)
            for spec in self._registry.contracts:
                try:
                    contract = self._contract(spec, block, report, lease.renew, manual=True)
                    if contract is not None:
                        contract.one(rollover_id)
                except ChainUnavailable as error:
                    report.error(spec.key, error)
            owner = (self._documents.get(STATES, rollover_id) or {}).get("contractKey")
            if isinstance(owner, str) and owner not in {spec.key for spec in self._registry.contracts}:
                report.strange(rollover_id, owner)
            document = report.finish()
        if not dry_run:
            self._watch.repaired(document)
        if not document["checked"] and not document["errorCount"]:
            raise NotFound(f"transfer {rollover_id} is known neither to the store nor to a contract")
        return document

    def _deadline(self, *, manual: bool) -> float:
        budget = self._settings.budget_s
        return float("inf") if manual or budget is None else self._clock.monotonic_s() + budget

    def _contract(
        self,
        spec: ContractSpec,
        block: str | None,
        report: Report,
        heartbeat: Callable[[], None],
        *,
        manual: bool,
    ) -> ReconcileContract | None:
        chain = self._chains.get(spec.chain_id)
        if chain is None:
            raise ConfigError(f"no RPC endpoint for chain {spec.chain_id}: set PLUMBLINE_RPC_{spec.chain_id}")
        if chain.remote_chain_id() != spec.chain_id:
            report.error(spec.key, f"the node is on another chain: {chain.remote_chain_id()}")
            return None
        _check_height(chain, block)
        pin = pinned_block(chain, spec, block)
        deployed = pin.number >= spec.deployment_block and chain.has_code(spec.address, pin.number)
        if pin.number < spec.deployment_block or (not deployed and chain.has_code(spec.address)):
            report.note("notDeployed", f"{spec.key} at block {pin.number}")
            if block is None or block in _TAGS:
                _check_synced(chain, spec)
            return None
        if not deployed:
            # Nobody's transfers would be asked about there, and all would look straight.
            report.error(spec.key, f"there is no code at the address in block {pin.number}")
            return None
        lateness = Lateness(self._documents, self._clock.now(), spec.chain_id, self._settings)
        return ReconcileContract(
            self._documents, chain, spec, pin, self._event_log, self._projection, self._heads,
            report, self._settings, heartbeat, settled=self._settled(),
            lateness=None if manual else lateness.at(pin, dry_run=report.dry_run), believed=self._believed(),
            resolves=None if manual else self._settings.resolve_limit,
            elsewhere=lambda transfer_hash: self._is_known_elsewhere(spec, transfer_hash, block),
        )  # fmt: skip

    def _is_known_elsewhere(self, spec: ContractSpec, transfer_hash: str, block: str | None) -> bool:
        """Say whether another contract knows the hash; one that does not answer may."""
        for other in self._registry.contracts:
            chain = self._chains.get(other.chain_id)
            if other.key == spec.key or chain is None:
                continue
            try:
                pin = pinned_block(chain, other, block)
                if pin.number < other.deployment_block:
                    continue
                told = PageCheck(self._documents, chain, other, pin).contract_state(transfer_hash)
            except (ChainUnavailable, UndecodableLog):
                return True
            if told is not ContractState.NONE:
                return True
        return False

    def _believed(self) -> float:
        """Return the time, in seconds since 1970, beyond which no claimed time is believed."""
        return self._clock.now().timestamp() + self._settings.late_s

    def _settled(self) -> str:
        """Return the time up to which no event becomes visible any more."""
        return (self._clock.now() - timedelta(seconds=self._settings.grace_s)).isoformat()

    def _sweep(self, report: Report, *, manual: bool) -> list[str]:
        now = self._clock.now()
        settled = self._settled()
        limit = self._settings.sweep_limit
        again = sweep_unprojected(
            self._documents,
            self._projection,
            until=now.isoformat() if manual else settled,
            settled=settled,
            limit=limit,
            dry_run=report.dry_run,
        )
        again += sweep_unstamped(
            self._documents,
            self._projection,
            settled=settled,
            limit=None if manual else limit // _IN_TURN_SHARE,
            dry_run=report.dry_run,
        )
        again += sweep_stateless(
            self._documents, self._projection, limit=None if manual else limit, dry_run=report.dry_run
        )
        edited, strange = sweep_misplaced(
            self._documents,
            self._projection,
            {spec.key for spec in self._registry.contracts},
            limit=None if manual else limit // _IN_TURN_SHARE,
            dry_run=report.dry_run,
        )
        again += edited
        for rollover_id, contract_key in strange.items():
            report.strange(rollover_id, contract_key)
        for rollover_id in again:
            report.unprojected(rollover_id)
        return list(dict.fromkeys(again))


def pinned_block(chain: Chain, spec: ContractSpec, block: str | None) -> Header:
    """Return the block to read at: the one asked for, else the contract's finality (a tag or a depth)."""
    if block is not None:
        return chain.head(block if block in _TAGS else int(block))
    if spec.finality.tag is not None:
        return chain.head(spec.finality.tag)
    depth = spec.finality.depth or 0
    latest = chain.head("latest")
    return latest if depth == 0 else chain.head(max(latest.number - depth, 0))


def _check_synced(chain: Chain, spec: ContractSpec) -> None:
    """Raise ChainUnavailable where not even the head has come to the contract: nothing would be checked."""
    head = chain.head("latest").number
    if head < spec.deployment_block:
        raise ChainUnavailable(f"the node is at block {head}, before the contract's {spec.deployment_block}")


def _check_block(block: str | None) -> None:
    if block is not None and block not in _TAGS and not (block.isascii() and block.isdigit()):
        raise InvalidInput(f"block is neither latest, safe, finalized nor a number: {block!r}")


def _check_height(chain: Chain, block: str | None) -> None:
    if block is None or block in _TAGS:
        return
    head = chain.head("latest").number
    if int(block) > head:
        raise InvalidInput(f"block {block} is above the head of chain {chain.chain_id}, which is {head}")
