"""The base fee from here on, against big-integer formulations of the rules of their own."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import floor
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.blocks import Header
from shared.domain.congestion import NO_LIMIT, CongestionRules, congestion
from shared.domain.fee_blocks import BlockFees
from shared.domain.fee_chains import CHAINS, ETHEREUM, UNKNOWN
from shared.domain.fee_outlook import next_fee, worst_fee
from shared.domain.fee_quote import FeeMarket
from shared.domain.fee_reading import FeeHead, FeeHistory, GasAnswer
from shared.domain.fee_record import GasUse
from shared.domain.fee_settings import chain_fees
from shared.domain.fee_window import extended, most_growth, unbroken
from shared.domain.fees import GrowthRules
from shared.domain.gas_limit import gas_limit
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

GWEI = 10**9
WEI = st.integers(0, 10**15)
LIMITS = st.integers(5_000, 10**9)


def head(base_fee_wei: int | None = GWEI, used: int = 0, limit: int = 30_000_000, **more: object) -> FeeHead:
    """Return a head at block 100."""
    header = Header(100, "0x" + "ab" * 32, "0x" + "ba" * 32, 1_700_000_000)
    return FeeHead(header, base_fee_wei, used, limit, **more)  # type: ignore[arg-type]


def row(number: int, base_fee_wei: int = GWEI, tip_wei: int | None = None) -> BlockFees:
    """Return a half-full block."""
    tips = {} if tip_wei is None else {10: tip_wei}
    return BlockFees(number, 0, base_fee_wei, 15_000_000, 30_000_000, tips)


def in_fractions(fee: int, used: int, limit: int) -> int:
    """Return Ethereum's next base fee by exact fractions: each division of EIP-1559 floored by itself."""
    target = limit // 2
    if used == target:
        return fee
    change = floor(Fraction(floor(Fraction(fee * abs(used - target), target)), 8))
    return fee + max(change, 1) if used > target else fee - change


@given(WEI, LIMITS, st.data())
def test_the_next_base_fee_is_exact(fee: int, limit: int, data: st.DataObject) -> None:
    """Next and worst fee agree with fractions, to the wei, however large: no float has a part in them."""
    used = data.draw(st.integers(0, limit))
    following = next_fee(CHAINS[1], head(fee, used, limit), None)
    assert (following.wei, following.source, following.confidence) == (
        in_fractions(fee, used, limit), "rule", "high",
    )  # fmt: skip
    worst = worst_fee(following, [], 1)
    assert worst is not None
    assert worst.wei == following.wei


@given(st.integers(1, 10**12), LIMITS, st.lists(st.integers(0, 100), min_size=1, max_size=30), st.data())
def test_no_path_of_blocks_is_under_priced(
    fee: int, limit: int, fullness: list[int], data: st.DataObject
) -> None:
    """Whatever the blocks up to the deadline hold, their base fee stays within the worst one."""
    following = next_fee(CHAINS[1], head(fee, data.draw(st.integers(0, limit)), limit), None)
    worst = worst_fee(following, [], len(fullness))
    assert worst is not None
    assert following.wei is not None
    came, at_limit = following.wei, limit
    for percent in fullness:
        assert came <= worst.wei
        drift = max(at_limit // 1024 - 1, 0)
        at_limit = max(data.draw(st.integers(at_limit - drift, at_limit + drift)), 5000)
        came = in_fractions(came, at_limit * percent // 100, at_limit)


def test_the_node_decides_only_where_it_may() -> None:
    """On anvil the node's figure counts; elsewhere a contradiction makes the fee unknown."""
    local = next_fee(CHAINS[31337], head(), 5 * GWEI)
    assert (local.wei, local.source) == (5 * GWEI, "node")
    rule = next_fee(CHAINS[1], head(), None).wei
    assert rule is not None
    for told in (rule - 1, rule + 1):
        doubted = next_fee(CHAINS[1], head(), told)
        assert doubted.wei is None
        assert doubted.confidence == "low"
        assert doubted.reckoned_wei == max(rule, told)
    assert next_fee(CHAINS[1], head(), rule).wei == rule


def test_op_headers_say_their_rule() -> None:
    """Elasticity and denominator come from extraData, since Jovian with data's footprint and a least fee."""
    holocene = bytes([0]) + (50).to_bytes(4) + (10).to_bytes(4)
    found = next_fee(CHAINS[8453], head(GWEI, 6_000_000, 30_000_000, extra_data=holocene), None)
    assert found.wei == GWEI + GWEI * 3_000_000 // 3_000_000 // 50
    jovian = bytes([1]) + (50).to_bytes(4) + (10).to_bytes(4) + (7).to_bytes(8)
    full = head(GWEI, 0, 30_000_000, extra_data=jovian, blob_gas_used=6_000_000)
    assert next_fee(CHAINS[8453], full, None).wei == found.wei
    assert next_fee(CHAINS[8453], head(0, extra_data=jovian), None).wei == 7
    silent = next_fee(CHAINS[8453], head(extra_data=b"geth"), None)
    assert (silent.wei, silent.source) == (None, "unknown")


def test_polygon_promises_a_limit_and_no_fee() -> None:
    """Its next fee is unknown; at most 5 % a block from the latest on is a promise."""
    following = next_fee(CHAINS[137], head(30 * GWEI), None)
    assert following.wei is None
    worst = worst_fee(following, [], 2)
    assert worst is not None
    assert worst.source == "limit"
    assert worst.chance is None
    grown = 30 * GWEI
    for _ in range(2):
        grown += grown * 5 // 100
    assert worst.wei == grown


@given(st.lists(st.integers(1, 10**14), min_size=2, max_size=60), st.integers(1, 10), st.integers(1, 10**14))
def test_what_was_seen_to_grow_most(fees: list[int], ahead: int, now: int) -> None:
    """The worst stretch seen, applied to the present fee by exact fractions, rounded up; never below it."""
    blocks = [row(number, fee) for number, fee in enumerate(fees)]
    grown = most_growth(blocks, now, ahead)
    if (len(fees) - 1) // ahead < 2:
        assert grown is None
        return
    assert grown is not None
    ratios = [
        Fraction(later, fee)
        for at, fee in enumerate(fees)
        for later in fees[at + 1 : at + 1 + ahead]
    ]  # fmt: skip
    exact = max([Fraction(now), *(now * ratio for ratio in ratios)])
    assert grown == (-(-exact.numerator // exact.denominator), (len(fees) - 1) // ahead)


def test_observed_growth_is_of_low_confidence_until_much_was_seen() -> None:
    """Confidence is medium from sixty stretches on, and never high; a floor is kept to."""
    following = next_fee(UNKNOWN, head(), None)
    for count, confidence in ((3, "low"), (60, "low"), (61, "medium"), (1000, "medium")):
        worst = worst_fee(following, [row(number) for number in range(count)], 1)
        assert worst is not None
        assert (worst.wei, worst.source, worst.confidence) == (GWEI, "observed", confidence)
        assert worst.chance == pytest.approx(count / (count + 1))
    assert worst_fee(following, [row(1)], 1) is None
    floor_rule = UNKNOWN._replace(rules=GrowthRules(floor_wei=2 * GWEI))
    low = worst_fee(next_fee(floor_rule, head(), None), [row(number) for number in range(9)], 1)
    assert low is not None
    assert low.wei == 2 * GWEI


def test_a_deadline_beyond_what_a_transaction_holds_is_refused() -> None:
    """A worst base fee past 256 bits is no figure to pay."""
    following = next_fee(CHAINS[1], head(10**60), None)
    with pytest.raises(InvalidInput, match="within_blocks"):
        worst_fee(following, [], 1000)


# The window.


def told(oldest: int, fees: Sequence[int], uses: Sequence[float]) -> FeeHistory:
    """Return a fee history with a tip of 1 in each block."""
    return FeeHistory(oldest, (*fees, 1), tuple(uses), tuple({10.0: 1} for _ in uses))


def test_what_is_told_now_counts_over_what_was_known() -> None:
    """Replaced blocks take the place of those known, blocks above the head are gone, the head is exact."""
    known = {number: row(number, 5) for number in range(90, 103)}
    blocks = extended(known, head(7, 333), told(98, [6, 6, 7], [0.5, 0.25, 0.9]))
    assert list(blocks) == list(range(90, 101))
    assert [blocks[number].base_fee_wei for number in (97, 98, 99, 100)] == [5, 6, 6, 7]
    assert blocks[99].gas_used == 7_500_000
    assert (blocks[100].gas_used, blocks[100].timestamp, blocks[100].tips) == (333, 1_700_000_000, {10.0: 1})
    assert extended(known, head(5), None)[100].tips == known[100].tips


def test_only_blocks_without_a_gap_count() -> None:
    """The last blocks that follow each other are counted."""
    assert unbroken({}) == 0
    assert unbroken({1: row(1), 2: row(2), 4: row(4), 5: row(5), 6: row(6)}) == 3
    assert unbroken({number: row(number) for number in range(50)}) == 50


# Tips.


@given(
    st.lists(st.integers(0, 5 * GWEI), min_size=1, max_size=60),
    st.integers(1, 60),
    st.floats(0.01, 0.99),
    st.one_of(st.none(), st.integers(0, 3 * GWEI)),
)
def test_quotes_hang_together(tips: list[int], within: int, wanted: float, usual: int | None) -> None:
    """The cap is worst fee and tip, chances rise with blocks, no tip is dearer than a node's that gets in."""
    blocks = [row(number, GWEI, tip) for number, tip in enumerate(tips, 41)]
    following = next_fee(CHAINS[1], head(GWEI, 15_000_000), None)
    quote = FeeMarket(CHAINS[1], following, blocks, [], usual).quote(within, wanted)
    assert quote.tip is not None
    assert quote.worst is not None
    assert quote.max_fee_wei == quote.worst.wei + quote.tip.wei
    assert quote.expected_wei is not None
    assert quote.max_fee_wei >= quote.expected_wei
    known = [chance for chance in quote.chances.values() if chance is not None]
    assert known == sorted(known)
    assert all(0 <= chance <= 1 for chance in known)
    if usual is not None and usual >= min(tips):
        assert quote.tip.wei <= usual
    assert set(quote.chances) == {1, 2, 5, within}


# Gas.


@given(st.integers(21_000, 10**8), st.integers(1, 10**7))
def test_an_estimate_gets_a_fifth_and_no_floor(gas: int, table: int) -> None:
    """The limit is the estimate and 20 %, rounded up, whatever the table and receipts say."""
    use = GasUse(50, table, table, table, table)
    limit = gas_limit(GasAnswer(gas=gas), use, table, block_gas=2**62, real=True)
    assert limit.limit == -(-gas * 12 // 10)
    assert (limit.expected, limit.source, limit.confidence) == (gas, "estimate", "high")
    assert gas_limit(GasAnswer(gas=gas), None, table, block_gas=2**62, real=False).confidence == "medium"


@pytest.mark.parametrize(("count", "confidence"), [(1, "low"), (9, "low"), (10, "medium"), (30, "high")])
def test_receipts_teach_by_their_number(count: int, confidence: str) -> None:
    """The p95 and 20 % for refunds is the limit, the mean is expected; more receipts are surer."""
    use = GasUse(count, 60_000, 70_000, 90_000, 80_000)
    limit = gas_limit(None, use, 150_000, block_gas=10**8, real=True, because="why")
    assert (limit.limit, limit.expected, limit.confidence) == (96_000, 70_000, confidence)
    assert limit.because == "why"


def test_nothing_known_is_nothing_said() -> None:
    """Without estimate, receipts and table there is no limit."""
    limit = gas_limit(None, None, None, block_gas=10**8, real=True)
    assert (limit.limit, limit.expected, limit.source) == (None, None, "unknown")


# Congestion.


def test_a_limit_that_limits_nothing_says_nothing_of_use() -> None:
    """Arbitrum's gas limit is no measure: without a pool its congestion is unknown."""
    crowded = congestion(CongestionRules(), [0.0] * 5, NO_LIMIT, None)
    assert (crowded.level, crowded.mean_use, crowded.pending) == ("unknown", None, None)
    assert congestion(CongestionRules(), [], 30_000_000, None).level == "unknown"
    assert congestion(CongestionRules(), [0.0] * 5, NO_LIMIT, 600).level == "medium"


@pytest.mark.parametrize(
    ("blocks", "pending", "confidence"),
    [(5, 0, "high"), (5, None, "medium"), (1, 0, "medium"), (1, None, "low"), (0, 600, "medium")],
)
def test_a_mean_of_fewer_blocks_is_less_sure(blocks: int, pending: int | None, confidence: str) -> None:
    """What one block used is no mean of five: a node without fee history tells no more."""
    crowded = congestion(CongestionRules(), [0.5] * blocks, 30_000_000, pending)
    assert (crowded.confidence, crowded.blocks) == (confidence, blocks)


# Settings.


def test_settings_change_what_is_built_in() -> None:
    """Each key is taken; a rule begins anew, the rest stays the chain's."""
    assert chain_fees(1) == CHAINS[1]
    assert chain_fees(777) == UNKNOWN
    arbitrum = chain_fees(42161, "tip_wei=5, stale_s=0 ,look_s=0.25,high_use=80")
    assert (arbitrum.tip_wei, arbitrum.stale_s, arbitrum.look_s) == (5, None, 0.25)
    assert arbitrum.congestion == CongestionRules(high_use=0.8)
    assert arbitrum.rules == CHAINS[42161].rules
    mine = chain_fees(777, "rule=eip1559,target_of=2,change_denominator=8,limit_drift=1024")
    assert mine.rules == ETHEREUM
    assert chain_fees(1, "change_denominator=16").rules == replace(ETHEREUM, change_denominator=16)
    grows = chain_fees(42161, "rule=growth,growth_ppm=1000,promised=no,floor_wei=3")
    assert grows.rules == GrowthRules(1000, promised=False, floor_wei=3)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ("tips=maybe", "tips"), ("tip_wei=-1", "tip_wei"), ("tip_wei=1.5", "tip_wei"),
        ("stale_s=nan", "stale_s"), ("block_s=soon", "block_s"), ("look_s=-1", "look_s"),
        ("high_use=0", "high_use"), ("high_use=101", "high_use"), ("rule=guess", "rule"),
        ("rule=eip1559", "target_of"), ("growth_ppm=5", "growth_ppm"), ("tipps=no", "tipps"),
        ("tips=no,tips=yes", "tips"), ("tips", "tips"), ("target_of=0", "target"),
        ("rule=eip1559,target_of=1,target_share=2,change_denominator=8", "target"),
    ],
)  # fmt: skip
def test_wrong_settings_are_named(settings: str, key: str) -> None:
    """A key that is unknown, doubled or of a wrong value is an InvalidInput with its name."""
    with pytest.raises(InvalidInput, match=key):
        chain_fees(1, settings)
