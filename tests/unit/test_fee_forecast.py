"""Forecasts of the base fee: shown only where they have proved better than saying nothing."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain import fee_forecast
from shared.domain.fee_blocks import BlockFees
from shared.domain.fee_chains import ARBITRUM_ONE, ETHEREUM
from shared.domain.fee_forecast import AVERAGED, Forecast, forecast, weighted_average
from shared.domain.fees import next_base_fee, worst_base_fee
from shared.errors import InvalidInput

GWEI = 10**9


def market(count: int, seed: int, answer: float, spread: float = 0.25) -> list[BlockFees]:
    """Make blocks by the real rule whose use of gas falls as the fee rises above 20 gwei, by ``answer``."""
    chance, fee, blocks = random.Random(seed), 20 * GWEI, []
    for number in range(count):
        use = 0.5 - answer * (fee / (20 * GWEI) - 1) + chance.uniform(-spread, spread)
        used = int(30_000_000 * min(1.0, max(0.0, use)))
        blocks.append(BlockFees(number, 12 * number, fee, used, 30_000_000))
        fee = next_base_fee(ETHEREUM, fee, used, 30_000_000)
    return blocks


def shown(blocks: list[BlockFees], ahead: int, every: int = 15) -> list[tuple[Forecast, int, int, float]]:
    """Return forecasts along the way: each with what came, what was then, and the plain average then."""
    found = []
    for at in range(600, len(blocks) - ahead, every):
        made = forecast(blocks[: at + 1], ETHEREUM, ahead)
        if made is not None:
            average = weighted_average([block.base_fee_wei for block in blocks[: at + 1]])
            found.append((made, blocks[at + ahead].base_fee_wei, blocks[at].base_fee_wei, average))
    return found


@given(st.lists(st.integers(0, 10**15), min_size=AVERAGED, max_size=100))
def test_the_running_average_is_the_average(fees: list[int]) -> None:
    """The average that goes on from block to block is the weighted one of the last 20, to the last bit."""
    running = fee_forecast._averages(fees)
    for at in range(AVERAGED - 1, len(fees)):
        assert running[at] == weighted_average(fees[: at + 1])


@pytest.mark.parametrize("ahead", [2, 5])
def test_what_is_shown_beats_both_baselines(ahead: int) -> None:
    """In a market that answers to the fee the forecasts shown are nearer than staying and than averaging."""
    found = shown(market(1500, seed=1, answer=1.0), ahead)
    assert len(found) > 30
    error = sum(abs(made.base_fee_wei - came) for made, came, _, _ in found)
    assert error < sum(abs(then - came) for _, came, then, _ in found)
    assert error < sum(abs(average - came) for _, came, _, average in found)


def test_the_interval_holds_what_it_says() -> None:
    """About four of five values fall into the interval, which lies around the forecast."""
    found = shown(market(1500, seed=2, answer=1.0), 3, every=7)
    inside = sum(made.low_wei <= came <= made.high_wei for made, came, _, _ in found)
    assert 0.7 < inside / len(found) < 0.9
    assert all(made.low_wei <= made.base_fee_wei <= made.high_wei for made, _, _, _ in found)


def test_a_learned_return_to_the_mean_is_worth_something() -> None:
    """Where the fee falls back to its mean the forecast moves off the next fee, and tells its gain."""
    made = forecast(market(1500, seed=3, answer=1.0), ETHEREUM, 3)
    assert made is not None
    assert made.of_next < 0.98


def test_the_figures_are_those_of_the_look_back() -> None:
    """Each share of a baseline's error is below one, and the number of judged forecasts is told."""
    made = forecast(market(900, seed=4, answer=1.0), ETHEREUM, 2)
    assert made is not None
    assert made.of_unchanged < 0.92
    assert made.of_average < 0.92
    assert 500 < made.judged <= 800


def test_nothing_is_shown_where_nothing_can_be_known() -> None:
    """Forty blocks ahead of a market that does not answer to the fee there is no forecast."""
    assert shown(market(1400, seed=5, answer=0.0), 40) == []


def test_nothing_is_shown_where_unchanged_is_best() -> None:
    """On a chain whose next fee is unknown and moves by chance alone, there is no forecast."""
    chance, fee, blocks = random.Random(6), 20 * GWEI, []
    for number in range(900):
        blocks.append(BlockFees(number, number, fee, 1, 2))
        fee = int(fee * (1 + chance.uniform(-0.05, 0.05)))
    assert forecast(blocks, ARBITRUM_ONE, 3) is None


def test_a_short_or_broken_history_shows_nothing() -> None:
    """Too few blocks, a gap just behind, no blocks at all or a fee of 0: no forecast, and no error."""
    blocks = market(900, seed=7, answer=1.0)
    assert forecast(blocks, ETHEREUM, 2) is not None
    assert forecast(blocks[-200:], ETHEREUM, 2) is None
    assert forecast(blocks[:750] + blocks[751:], ETHEREUM, 2) is None
    assert forecast([], ETHEREUM, 2) is None
    assert forecast([replace(blocks[0], base_fee_wei=0), *blocks[1:]], ETHEREUM, 2) is None


def test_a_forecast_stays_within_the_rule() -> None:
    """No figure lies above what the rule allows at that block."""
    blocks = market(1500, seed=8, answer=1.0, spread=0.5)
    for made, _, _, _ in shown(blocks, 2):
        latest = blocks[-1]
        assert made.high_wei > 0
        assert isinstance(made.high_wei, int)
    final = forecast(blocks, ETHEREUM, 2)
    assert final is not None
    following = next_base_fee(ETHEREUM, latest.base_fee_wei, latest.gas_used, latest.gas_limit)
    worst = worst_base_fee(ETHEREUM, following, latest.gas_limit, 2)
    assert worst is not None
    assert final.high_wei <= worst


@pytest.mark.parametrize("ahead", [1, 0, -3])
def test_the_next_block_is_not_forecast(ahead: int) -> None:
    """The next base fee is known, and the past is over."""
    with pytest.raises(InvalidInput, match="ahead"):
        forecast(market(10, seed=9, answer=1.0), ETHEREUM, ahead)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"number": -1}, "number"),
        ({"gas_used": 3}, "gas_used"),
        ({"gas_limit": 0}, "gas"),
        ({"tips": {10: -1}}, "tip"),
    ],
)
def test_a_block_that_cannot_be_is_refused(change: dict[str, object], named: str) -> None:
    """A row that is no block is named, not forecast from."""
    fields: dict[str, object] = {
        "number": 1, "timestamp": 1, "base_fee_wei": 1, "gas_used": 1, "gas_limit": 2,
    }  # fmt: skip
    with pytest.raises(InvalidInput, match=named):
        BlockFees(**(fields | change))  # type: ignore[arg-type]


def test_the_average_weighs_the_latest_most() -> None:
    """The latest of twenty weighs twenty times the oldest, and older ones nothing."""
    assert weighted_average([10, 40]) == pytest.approx(30)
    assert weighted_average([10**6] + [5] * 20) == pytest.approx(5)
