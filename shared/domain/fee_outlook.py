"""The base fee from here on: the next one, and the highest by a deadline, each with how sure that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from shared.domain.fee_chains import UNKNOWN_RULE, rules_of_header
from shared.domain.fee_window import most_growth
from shared.domain.fees import FeeRules, GrowthRules, next_base_fee, worst_base_fee
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.domain.fee_blocks import BlockFees
    from shared.domain.fee_chains import ChainFees
    from shared.domain.fee_reading import FeeHead

RULE, LIMIT, OBSERVED, NODE, UNKNOWN = "rule", "limit", "observed", "node", "unknown"
"""Sources: the chain's exact rule, its limit on growth, what was seen, what the node says."""
_MEDIUM_FROM: Final = 60
"""Stretches of blocks from which what was seen is of medium confidence; it is never of high."""
_MOST: Final = 1 << 256


class NextFee(NamedTuple):
    """The next block's base fee in wei, None where nobody knows; its source and confidence.

    ``reckoned_wei``: what a worst case starts from: the same, or where the node contradicts the rule the
    higher of both, or on a chain whose next fee is unknown the latest block's. ``gas_limit``: the head's.
    """

    wei: int | None
    source: str
    confidence: str
    rules: FeeRules | GrowthRules
    reckoned_wei: int
    gas_limit: int


class WorstFee(NamedTuple):
    """The highest base fee up to the deadline; ``chance`` that no block goes higher (None: a promise)."""

    wei: int
    source: str
    confidence: str
    chance: float | None = None


def next_fee(chain: ChainFees, head: FeeHead, told_wei: int | None) -> NextFee:
    """Return the base fee of the block after the head; ``told_wei`` is the node's own reckoning of it.

    High confidence where the rule gives it, and the node, if it says anything, says the same.
    """
    base_fee = head.base_fee_wei or 0
    rules, gas_used = _in_force(chain, head)
    if isinstance(rules, GrowthRules):
        return NextFee(None, UNKNOWN, "low", rules, base_fee, head.gas_limit)
    exact = next_base_fee(rules, base_fee, min(gas_used, head.gas_limit), head.gas_limit)
    if told_wei is None or told_wei == exact:
        return NextFee(exact, RULE, "high", rules, exact, head.gas_limit)
    if chain.node_says:
        return NextFee(told_wei, NODE, "high", rules, told_wei, head.gas_limit)
    return NextFee(None, UNKNOWN, "low", rules, max(exact, told_wei), head.gas_limit)


def worst_fee(following: NextFee, blocks: Sequence[BlockFees], within_blocks: int) -> WorstFee | None:
    """Return the highest base fee of the next blocks; None where neither a rule nor enough history tells.

    Where no limit is known it is what the worst stretch of that length among the last blocks would make of
    the latest base fee: seen, not promised. Raises InvalidInput where it passes what a transaction can hold.
    """
    rules, start = following.rules, following.reckoned_wei
    if isinstance(rules, FeeRules):
        worst = worst_base_fee(rules, start, following.gas_limit, within_blocks)
        # A node that contradicts the rule may be right: then the rule promises nothing.
        found = None if worst is None else WorstFee(worst, RULE, following.confidence)
    elif rules.growth_ppm is not None:
        # The latest block's fee is the one that is known: the first block to come may be higher already.
        worst = worst_base_fee(rules, max(start, rules.floor_wei), following.gas_limit, within_blocks + 1)
        kind, confidence = (LIMIT, "high") if rules.promised else (OBSERVED, "medium")
        found = None if worst is None else WorstFee(worst, kind, confidence)
    else:
        found = _seen(rules, blocks, start, within_blocks)
    if found is not None and found.wei >= _MOST:
        raise InvalidInput(
            "within_blocks is too many: by then the base fee may pass what a transaction holds"
        )
    return found


def _in_force(chain: ChainFees, head: FeeHead) -> tuple[FeeRules | GrowthRules, int]:
    """Return the rule by which the next block is priced, and the gas that counts as used."""
    if not chain.header_says or not isinstance(chain.rules, FeeRules):
        return chain.rules, head.gas_used
    try:
        rules = rules_of_header(chain.rules, head.extra_data)
    except InvalidInput:
        return UNKNOWN_RULE, head.gas_used
    # Since Jovian, whose headers begin with 1, data counts by its footprint: see rules_of_header.
    counts_data = head.extra_data[:1] == b"\x01"
    return rules, max(head.gas_used, head.blob_gas_used or 0) if counts_data else head.gas_used


def _seen(rules: GrowthRules, blocks: Sequence[BlockFees], start: int, ahead: int) -> WorstFee | None:
    grown = most_growth(blocks, start, ahead)
    if grown is None:
        return None
    highest, stretches = grown
    # Laplace's rule of succession: none of them went higher than the worst of them.
    chance = (stretches + 1) / (stretches + 2)
    confidence = "medium" if stretches >= _MEDIUM_FROM else "low"
    return WorstFee(max(highest, rules.floor_wei), OBSERVED, confidence, chance)
