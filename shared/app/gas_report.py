"""The optimisation report: what our own transactions cost, against a default, and what follows from it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from shared.app.backtest_report import REFERENCE, SAVES, UNKNOWN, ratio, verdict
from shared.app.fee_export import recorded_blocks
from shared.app.quote_request import chosen_chain, parse_query
from shared.domain.actions import ACTIONS
from shared.domain.events import EVENTS
from shared.domain.fee_record import (
    GAS_SAMPLES,
    PAID_SAMPLES,
    TIP_SAMPLES,
    GasUse,
    PaidSample,
    gas_samples,
    gas_use,
    paid_samples,
    samples_key,
    tip_samples,
)
from shared.domain.gas_advice import advice
from shared.domain.tip_quote import tip_for
from shared.domain.tips import TipModel
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from collections.abc import Set as AbstractSet

    from shared.domain.contract import Registry
    from shared.domain.fee_chains import ChainFees
    from shared.domain.tips import TipChoice, TipObservation
    from shared.ports import Clock, Document, Documents

REFERENCE_TIP_WEI: Final = 10**9
"""What ethers tips where its node suggests nothing: see `plumbline backtest`."""
STRETCH_BLOCKS: Final = 1800
"""Blocks in a stretch of time that intervals are drawn from: six hours of Ethereum."""
WITHIN_BLOCKS: Final = 5
WANTED: Final = 0.98
_FIELDS: Final = ("chain",)
_MODEL_BLOCKS: Final = 300


class GasReport:
    """Reports on one chain from what the listener recorded of the last 500 own transactions.

    ``chain_fees`` gives how a chain's fees work. ``wallets``: the platform's; with none configured every
    transaction that called a contract counts as own.
    """

    def __init__(
        self,
        documents: Documents,
        registry: Registry,
        clock: Clock,
        chain_fees: Callable[[int], ChainFees],
        wallets: AbstractSet[str] = frozenset(),
    ) -> None:
        self._documents = documents
        self._chain_fees = chain_fees
        self._registry = registry
        self._clock = clock
        self._wallets = wallets

    def answer(self, query: str) -> Document:
        """Return the report for a query string; raises as ``report`` does."""
        return self.report(parse_query(query, _FIELDS))

    def report(self, given: dict[str, str]) -> Document:
        """Return the report for ``chain`` (which may be left out where one is configured).

        Raises InvalidInput naming a wrong field, CorruptEvent for records that somebody spoilt. What nobody
        can tell is null.
        """
        for field in given:
            if field not in _FIELDS:
                raise InvalidInput(f"field {field} is unknown; known are {', '.join(_FIELDS)}")
        chain_id = chosen_chain(given, self._registry)
        paid = self._paid(chain_id)
        observations = self._observations(chain_id)
        uses = self._uses(chain_id)
        succeeded, failed = self._steps()
        tip = self._tip(chain_id, observations)
        found = advice(paid, tip, WITHIN_BLOCKS, uses, succeeded, failed, len(observations))
        steps = succeeded + failed
        return {
            "chainId": chain_id,
            "at": self._clock.now().isoformat(),
            "senders": "wallets" if self._wallets else "all",
            "transactions": len(paid),
            "firstBlock": paid[0].block_number if paid else None,
            "lastBlock": paid[-1].block_number if paid else None,
            "gasUsed": sum(each.gas_used for each in paid),
            "cost": str(sum(each.gas_used * each.price_wei for each in paid)),
            "saving": _saving(paid, REFERENCE_TIP_WEI if self._chain_fees(chain_id).tips_paid else 0),
            "success": {
                "rate": round(succeeded / steps, 6) if steps else None,
                "succeeded": succeeded,
                "failed": failed,
            },
            "waits": _waits(observations),
            "actions": _by_action(paid),
            "recommendations": [asdict(each) for each in found],
        }

    def _paid(self, chain_id: int) -> list[PaidSample]:
        document = self._documents.get(PAID_SAMPLES, str(chain_id))
        return [] if document is None else paid_samples(document)

    def _observations(self, chain_id: int) -> list[TipObservation]:
        document = self._documents.get(TIP_SAMPLES, str(chain_id))
        return [] if document is None else [sample.observation for sample in tip_samples(document)]

    def _uses(self, chain_id: int) -> dict[str, GasUse]:
        """Return the gas of each action, of the contract that used most of it, where there are several."""
        keys = {samples_key(s.key, a): a for s in self._registry.on_chain(chain_id) for a in ACTIONS}
        uses: dict[str, GasUse] = {}
        for key, document in self._documents.get_many(GAS_SAMPLES, list(keys)).items():
            use, action = gas_use(gas_samples(document)), keys[key]
            if use is not None and (action not in uses or use.p95 > uses[action].p95):
                uses[action] = use
        return {action: uses[action] for action in ACTIONS if action in uses}

    def _steps(self) -> tuple[int, int]:
        """Return how many steps are stored as done and as failed, on all chains: a failure leaves no log."""
        done = failed = 0
        for kind in {step.event_type for step in ACTIONS.values()}:
            done += self._documents.count(EVENTS, (("eventType", kind),))
            failed += self._documents.count(EVENTS, (("eventType", f"{kind}.failed"),))
        return done, failed

    def _tip(self, chain_id: int, observations: Sequence[TipObservation]) -> TipChoice | None:
        blocks = recorded_blocks(self._documents, chain_id)[-_MODEL_BLOCKS:]
        if not blocks:
            return None
        base_fee = blocks[-1].base_fee_wei
        return tip_for(TipModel(observations, blocks, base_fee), base_fee, WITHIN_BLOCKS, WANTED, None)


def _saving(paid: Sequence[PaidSample], tip_wei: int) -> Document:
    """Return how far our prices were below the default's at the same blocks, weighted by gas.

    ``tip_wei``: what the default would have tipped; 0 on a chain that takes no tips.
    """
    usual_prices = ((each, each.base_fee_wei + tip_wei) for each in paid if each.gas_used)
    parts = [(each, usual) for each, usual in usual_prices if usual]
    stretches = [each.block_number // STRETCH_BLOCKS for each, _ in parts]

    def share(above: list[int]) -> Any:
        whole = [float(usual * each.gas_used) for each, usual in parts]
        return ratio(list(zip(stretches, map(float, above), whole, strict=True)), 0)

    saved = share([(usual - each.price_wei) * each.gas_used for each, usual in parts])
    most = share([tip_wei * each.gas_used for each, _ in parts])
    bounds = (None, None, None) if saved is None else (saved.value, saved.low, saved.high)
    value, low, high = (None if each is None else round(each, 6) for each in bounds)
    word = verdict(saved, most)
    return {
        "against": REFERENCE,
        "value": value,
        "low": low,
        "high": high,
        "n": len(parts),
        "most": None if most is None else round(most.value, 6),
        # Of too few to have an interval nobody can say that it will last.
        "verdict": UNKNOWN if word == SAVES and low is None else word,
    }


def _waits(observations: Sequence[TipObservation]) -> Document:
    waited = sorted(seen.blocks_waited for seen in observations)
    if not waited:
        return {"transactions": 0, "median": None, "most": None, "withinFive": None}
    within = sum(blocks <= WITHIN_BLOCKS for blocks in waited) / len(waited)
    middle = waited[(len(waited) - 1) // 2]
    return {"transactions": len(waited), "median": middle, "most": waited[-1], "withinFive": round(within, 6)}


def _by_action(paid: Sequence[PaidSample]) -> list[Document]:
    """Return what each action of each contract cost, the dearest first."""
    groups: dict[tuple[str, str], list[PaidSample]] = defaultdict(list)
    for each in paid:
        groups[each.contract_key, each.action].append(each)
    whole = sum(each.gas_used * each.price_wei for each in paid)
    lines = []
    for (contract, action), group in groups.items():
        gas = sum(each.gas_used for each in group)
        cost = sum(each.gas_used * each.price_wei for each in group)
        line = {
            "action": action,
            "contract": contract.partition(":")[2],
            "transactions": len(group),
            "meanGas": gas // len(group),
            "meanGasPrice": str(cost // gas) if gas else None,
            "cost": str(cost),
            "share": round(cost / whole, 6) if whole else None,
        }
        lines.append((-cost, contract, action, line))
    return [line for *_, line in sorted(lines, key=lambda entry: entry[:3])]
