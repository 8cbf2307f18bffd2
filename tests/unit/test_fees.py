"""Base fees: the next one exactly, and the worst one by a deadline."""

from __future__ import annotations

import csv
import itertools
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.fee_chains import (
    ARBITRUM_ONE,
    CHAINS,
    ETHEREUM,
    LOCAL,
    OP_BEDROCK,
    OP_CANYON,
    POLYGON_BHILAI,
    POLYGON_DANDELI,
    POLYGON_LISOVO,
    rules_of_header,
)
from shared.domain.fees import (
    FeeRules,
    GrowthRules,
    effective_tip,
    lowest_next_limit,
    max_fee,
    next_base_fee,
    worst_base_fee,
)
from shared.errors import InvalidInput

HEADERS = Path(__file__).parents[1] / "support/fees/mainnet_headers_2022-09-14.csv"
GWEI = 10**9
FEES = st.integers(min_value=0, max_value=10**13)
LIMITS = st.integers(min_value=5_000, max_value=60_000_000)
RULES = st.one_of(
    st.builds(
        FeeRules,
        target_of=st.integers(2, 10),
        change_denominator=st.integers(1, 300),
        floor_wei=st.integers(0, 100),
    ),
    st.builds(
        FeeRules,
        target_of=st.just(100),
        target_share=st.integers(1, 100),
        change_denominator=st.integers(1, 300),
        floor_wei=st.integers(0, 100),
    ),
)


def blocks() -> list[tuple[int, int, int]]:
    """Read base fee, gas used and gas limit of the recorded blocks."""
    with HEADERS.open(encoding="utf-8") as file:
        rows = csv.DictReader(file)
        return [(int(r["base_fee_per_gas"]), int(r["gas_used"]), int(r["gas_limit"])) for r in rows]


def by_fractions(rules: FeeRules, fee: int, used: int, limit: int) -> int:
    """EIP-1559 once more, as one fraction that is rounded towards the old fee at the end."""
    target = limit * rules.target_share // rules.target_of
    change = Fraction(fee * (used - target), target * rules.change_denominator)
    rounded = int(abs(change)) * (1 if change > 0 else -1)
    return max(fee + (max(rounded, 1) if used > target else rounded), rules.floor_wei)


def test_every_recorded_transition_is_exact() -> None:
    """Each recorded block's base fee is what its parent's header says it must be, to the wei."""
    chain = blocks()
    assert len(chain) == 120
    for parent, child in itertools.pairwise(chain):
        assert next_base_fee(ETHEREUM, *parent) == child[0]


@pytest.mark.parametrize(
    ("rules", "fee", "used", "limit", "expected"),
    [
        # Ethereum: go-ethereum consensus/misc/eip1559/eip1559_test.go, TestCalcBaseFee
        (ETHEREUM, 1_000_000_000, 10_000_000, 20_000_000, 1_000_000_000),
        (ETHEREUM, 1_000_000_000, 9_000_000, 20_000_000, 987_500_000),
        (ETHEREUM, 1_000_000_000, 11_000_000, 20_000_000, 1_012_500_000),
        (ETHEREUM, 7, 20_000_000, 20_000_000, 8),  # at least one wei up
        (ETHEREUM, 7, 0, 20_000_000, 7),  # rounded towards staying
        (ETHEREUM, 0, 20_000_000, 20_000_000, 1),
        # OP Stack: op-geth consensus/misc/eip1559/eip1559_test.go, TestCalcBaseFeeOptimism(Canyon)
        (OP_BEDROCK, 1_000_000_000, 5_000_000, 30_000_000, 1_000_000_000),
        (OP_BEDROCK, 1_000_000_000, 4_000_000, 30_000_000, 996_000_000),
        (OP_BEDROCK, 1_000_000_000, 10_000_000, 30_000_000, 1_020_000_000),
        (OP_CANYON, 1_000_000_000, 4_000_000, 30_000_000, 999_200_000),
        (OP_CANYON, 1_000_000_000, 10_000_000, 30_000_000, 1_004_000_000),
        (OP_CANYON, 1_000_000_000, 30_000_000, 30_000_000, 1_020_000_000),
        # Polygon: by PIP-58's denominator 64, and Bor's target of 65 % since Dandeli
        (POLYGON_BHILAI, 64 * GWEI, 30_000_000, 30_000_000, 65 * GWEI),
        (POLYGON_BHILAI, 64 * GWEI, 0, 30_000_000, 63 * GWEI),
        (POLYGON_DANDELI, 64 * GWEI, 19_500_000, 30_000_000, 64 * GWEI),
        (POLYGON_DANDELI, 64 * GWEI, 0, 30_000_000, 63 * GWEI),
        (POLYGON_DANDELI, 64 * GWEI, 29_250_000, 30_000_000, 64 * GWEI + GWEI // 2),
        (LOCAL, 1_000_000_000, 0, 30_000_000, 875_000_000),
    ],
)
def test_the_vectors_of_each_chain(rules: FeeRules, fee: int, used: int, limit: int, expected: int) -> None:
    """The rule of each chain gives the figures that its own documents and tests give."""
    assert next_base_fee(rules, fee, used, limit) == expected


@given(RULES, FEES, LIMITS, st.fractions(min_value=0, max_value=1))
def test_the_rule_agrees_with_fractions(rules: FeeRules, fee: int, limit: int, share: Fraction) -> None:
    """Any block's next base fee is that of an independent formulation without intermediate rounding."""
    used = int(limit * share)
    assert next_base_fee(rules, fee, used, limit) == by_fractions(rules, fee, used, limit)


@given(st.data(), RULES, FEES, LIMITS, st.integers(2, 12))
def test_no_path_of_blocks_goes_above_the_worst(
    data: st.DataObject, rules: FeeRules, fee: int, limit: int, blocks_ahead: int
) -> None:
    """However full the blocks, and wherever their gas limits drift, the fee stays within the worst case."""
    path = first = max(fee, rules.floor_wei)
    latest = limit
    for ahead in range(2, blocks_ahead + 1):
        low, high = lowest_next_limit(rules, limit), limit + max(limit // 1024 - 1, 0)
        limit = data.draw(st.one_of(st.integers(low, high), st.just(low), st.just(min(low | 1, high))))
        used = data.draw(st.one_of(st.just(limit), st.integers(0, limit)))
        path = next_base_fee(rules, path, used, limit)
        worst = worst_base_fee(rules, first, latest, ahead)
        assert worst is not None
        assert path <= worst


@given(FEES, st.integers(2_500, 30_000_000), st.integers(2, 50), st.sampled_from([2, 6]))
def test_the_worst_is_attained(fee: int, target: int, ahead: int, elasticity: int) -> None:
    """Full blocks of the limit whose rounding is worst reach the worst case, where limits stand still."""
    rules = FeeRules(target_of=elasticity, change_denominator=8, limit_drift=10**9)
    limit = max(target * elasticity + elasticity - 1, 5_000)
    limit += (elasticity - 1 - limit) % elasticity
    path = fee
    for _ in range(ahead - 1):
        path = next_base_fee(rules, path, limit, limit)
    assert worst_base_fee(rules, fee, limit, ahead) == path


@pytest.mark.parametrize("share", [1, 13, 50, 65, 99])
def test_no_limit_is_steeper_than_the_one_reckoned_with(share: int) -> None:
    """Where the target is a share such as 65 %, whose rounding goes up and down, the worst limit is found."""
    rules = FeeRules(target_of=100, target_share=share, change_denominator=8, limit_drift=10**9)
    fee = 10**18
    for latest in range(5_000, 5_160):
        full = max(next_base_fee(rules, fee, limit, limit) for limit in range(latest, latest + 500))
        assert worst_base_fee(rules, fee, latest, 2) == full


def test_full_blocks_of_mainnet_nearly_reach_the_worst() -> None:
    """Fifty full blocks of 30 million come within a millionth of the bound: nothing is added for safety."""
    fee = 20 * GWEI
    for _ in range(49):
        fee = next_base_fee(ETHEREUM, fee, 30_000_000, 30_000_000)
    worst = worst_base_fee(ETHEREUM, 20 * GWEI, 30_000_000, 50)
    assert worst is not None
    assert 0 <= worst - fee < fee // 1_000_000


def test_a_cap_for_the_deadline_is_never_under_priced() -> None:
    """From every recorded block, the cap pays base fee and full tip at each block until its deadline."""
    chain = blocks()
    for at, (fee, used, limit) in enumerate(chain[:-1]):
        following = next_base_fee(ETHEREUM, fee, used, limit)
        for deadline in range(1, 51):
            cap = max_fee(ETHEREUM, following, limit, deadline, GWEI)
            assert cap is not None
            for base_fee, _, _ in chain[at + 1 : at + 1 + deadline]:
                assert effective_tip(cap, GWEI, base_fee) == GWEI


def test_the_next_block_costs_what_it_costs() -> None:
    """For a deadline of one block there is nothing to add: the fee is known."""
    assert worst_base_fee(ETHEREUM, 123, 30_000_000, 1) == 123
    assert worst_base_fee(ARBITRUM_ONE, 123, 30_000_000, 1) == 123


def test_polygon_has_a_limit_and_arbitrum_has_none() -> None:
    """Where the protocol caps the growth the worst is that cap; where nobody can tell it is None."""
    assert worst_base_fee(POLYGON_LISOVO, 100 * GWEI, 30_000_000, 3) == 110_250_000_000
    assert worst_base_fee(POLYGON_LISOVO, 3, 30_000_000, 3) == 5
    assert worst_base_fee(ARBITRUM_ONE, 10_000_000, 2**50, 2) is None
    assert max_fee(ARBITRUM_ONE, 10_000_000, 2**50, 2, 0) is None
    observed = GrowthRules(growth_ppm=20_000, floor_wei=10_000_000)
    assert worst_base_fee(observed, 10_000_000, 2**50, 2) == 10_200_000


def test_a_floor_holds() -> None:
    """A chain's minimum base fee is kept however empty the blocks."""
    rules = FeeRules(target_of=6, change_denominator=250, floor_wei=200_000)
    assert next_base_fee(rules, 200_100, 0, 30_000_000) == 200_000


def test_op_headers_say_their_own_rule() -> None:
    """Holocene's and Jovian's extraData give the rule's numbers; other bytes are refused."""
    holocene = bytes([0]) + (250).to_bytes(4) + (4).to_bytes(4)
    assert rules_of_header(OP_CANYON, holocene) == FeeRules(
        target_of=4, change_denominator=250, limit_drift=None
    )
    jovian = bytes([1]) + (50).to_bytes(4) + (6).to_bytes(4) + (200_000).to_bytes(8)
    assert rules_of_header(OP_CANYON, jovian).floor_wei == 200_000
    for wrong in (b"", holocene[:-1], b"\x02" + holocene[1:], bytes(9), jovian[:9]):
        with pytest.raises(InvalidInput):
            rules_of_header(OP_CANYON, wrong)


def test_only_chains_without_tips_say_so() -> None:
    """Arbitrum's chains take no tip, the others do."""
    assert {chain for chain, fees in CHAINS.items() if not fees.tips} == {42161, 42170, 421614}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"base_fee_wei": -1}, "base_fee_wei"),
        ({"gas_used": 31}, "gas_used"),
        ({"gas_used": -1}, "gas_used"),
        ({"gas_limit": 0, "gas_used": 0}, "gas_limit"),
        ({"gas_limit": 1, "gas_used": 0}, "gas_limit"),
    ],
)
def test_what_is_no_block_is_refused(change: dict[str, int], field: str) -> None:
    """Header fields that no block has are named, not reckoned with."""
    fields = {"base_fee_wei": 1, "gas_used": 10, "gas_limit": 30} | change
    with pytest.raises(InvalidInput, match=field):
        next_base_fee(ETHEREUM, **fields)


@pytest.mark.parametrize("ahead", [0, -1, 10**9])
def test_a_deadline_that_means_nothing_is_refused(ahead: int) -> None:
    """No blocks at all, or a thousand million, is no deadline."""
    with pytest.raises(InvalidInput, match="blocks"):
        worst_base_fee(ETHEREUM, 1, 30_000_000, ahead)


def test_the_effective_tip_is_what_the_cap_leaves() -> None:
    """A cap below the base fee pays nothing at all; one just above it leaves less than the tip."""
    assert effective_tip(100, 10, 101) is None
    assert effective_tip(100, 10, 95) == 5
    assert effective_tip(100, 10, 50) == 10


def test_rules_that_cannot_be_are_refused() -> None:
    """A rule without a target or a denominator is no rule."""
    for wrong in ({"target_of": 0}, {"target_of": 2, "target_share": 3}, {"change_denominator": 0}):
        with pytest.raises(InvalidInput):
            FeeRules(**({"target_of": 2, "change_denominator": 8} | wrong))
