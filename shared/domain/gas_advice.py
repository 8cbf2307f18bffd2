"""What our own transactions teach: recommendations that follow from their numbers, and only those."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median_low
from typing import TYPE_CHECKING, Any, Final

from shared.domain.actions import ACTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shared.domain.fee_record import GasUse, PaidSample
    from shared.domain.tips import TipChoice

_GWEI: Final = 10**9
_LATEST: Final = 50
"""Transactions whose tips are compared with the one that would do now."""
_LEAST_GAIN: Final = 0.01
"""Share of the price below which a lower tip is no recommendation."""
_LEAST_RECEIPTS: Final = 10
_LEAST_STEPS: Final = 20
_GOOD_RATE: Final = 0.95
"""An error rate of 5 % is what operators are told of elsewhere, too."""
_BUFFER_PERCENT: Final = 20
_APART_PERCENT: Final = 80
"""A table's limit is worth a word where receipts ask for less than this percentage of it, or more than it."""


@dataclass(frozen=True, slots=True)
class Advice:
    """A recommendation: ``code`` names its kind, it follows from ``numbers`` (wei as strings)."""

    code: str
    text: str
    numbers: Mapping[str, Any] = field(default_factory=dict)


def advice(
    paid: Sequence[PaidSample],
    tip: TipChoice | None,
    within_blocks: int,
    uses: Mapping[str, GasUse],
    succeeded: int,
    failed: int,
    waits: int,
) -> list[Advice]:
    """Return what follows: of tips, gas limits by action, failures, and of what is not known.

    ``paid`` is oldest first; ``tip`` is the cheapest that would do at present; ``waits``: own transactions of
    which it is known how long they waited.
    """
    found = [*_of_tips(paid[-_LATEST:], tip, within_blocks), *_of_limits(uses)]
    steps = succeeded + failed
    if steps >= _LEAST_STEPS and succeeded < _GOOD_RATE * steps:
        text = f"{failed} of {steps} steps failed: look at the causes in their .failed events"
        found.append(Advice("failures", text, {"failed": failed, "steps": steps}))
    if len(paid) >= _LEAST_RECEIPTS and waits == 0:
        text = (
            f"of none of {len(paid)} transactions is it known how long it waited: a .pending event with its"
            " transactionHash, written as it is sent, lets tips be learned from them"
        )
        found.append(Advice("unknown_waits", text, {"transactions": len(paid)}))
    return found


def _of_tips(paid: Sequence[PaidSample], tip: TipChoice | None, within_blocks: int) -> list[Advice]:
    if tip is None or not tip.reached or tip.confidence == "low" or len(paid) < _LEAST_RECEIPTS:
        return []
    usual = median_low(each.price_wei - each.base_fee_wei for each in paid)
    spared = sum((each.price_wei - each.base_fee_wei - tip.tip_wei) * each.gas_used for each in paid)
    whole = sum(each.price_wei * each.gas_used for each in paid)
    share = spared / whole if whole else 0.0
    if usual <= tip.tip_wei or share < _LEAST_GAIN:
        return []
    chance = "" if tip.chance is None else f" (chance {tip.chance:.1%})"
    text = (
        f"a tip of {_gwei(tip.tip_wei)} gwei is in within {within_blocks} blocks at present{chance}:"
        f" {share:.1%} less than the last {len(paid)} transactions paid, by a median tip of"
        f" {_gwei(usual)} gwei"
    )
    numbers = {
        "tip": str(tip.tip_wei), "medianPaid": str(usual), "chance": tip.chance, "share": round(share, 6),
        "transactions": len(paid), "confidence": tip.confidence,
    }  # fmt: skip
    return [Advice("tip", text, numbers)]


def _of_limits(uses: Mapping[str, GasUse]) -> list[Advice]:
    found = []
    for action, use in uses.items():
        table = ACTIONS[action].base_gas
        limit = -(-use.p95 * (100 + _BUFFER_PERCENT) // 100)
        if (
            table is None
            or use.count < _LEAST_RECEIPTS
            or table * _APART_PERCENT <= limit * 100 <= table * 100
        ):
            continue
        known = f"{use.count} receipts of {action} used {use.p95:,} at the 95th percentile"
        word = "is enough" if limit < table else "is needed"
        text = f"{known}: a limit of {limit:,} {word}, the table says {table:,}"
        numbers = {"action": action, "limit": limit, "p95": use.p95, "table": table, "receipts": use.count}
        found.append(Advice("gas_limit", text, numbers))
    return found


def _gwei(wei: int) -> str:
    return f"{wei / _GWEI:.6g}"
