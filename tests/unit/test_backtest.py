"""Back-tests: what a strategy is told, what its prices come to, and the figures made of that."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from xml.dom import minidom

import pytest
from typer.testing import CliRunner

from shared.app.backtest import replay, score
from shared.app.backtest_forecast import score_forecasts
from shared.app.backtest_report import Figure, backtest, verdict
from shared.app.backtest_rows import Recording, Wait, read_recording
from shared.app.fee_market import Market, Mined, News, NextFee
from shared.app.fee_strategies import Plumbline, Price, strategies
from shared.cli import app
from shared.domain.fee_blocks import BlockFees
from shared.domain.fee_chains import ETHEREUM
from shared.domain.fees import next_base_fee
from shared.domain.tips import TipObservation
from shared.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADERS = Path(__file__).parents[1] / "support/fees/mainnet_headers_2022-09-14.csv"
GWEI = 10**9
TITLES = "number,timestamp,base_fee_per_gas,gas_used,gas_limit"


class Fixed:
    """A strategy that always says the same, and keeps what it was told."""

    name, source = "fixed", "this test"

    def __init__(self, max_fee_wei: int, tip_wei: int | None) -> None:
        self.told: list[list[News]] = []
        self._price = Price(max_fee_wei, tip_wei)

    def price(self, news: Iterator[News], within_blocks: int) -> Price:  # noqa: ARG002
        """Say it."""
        self.told.append(list(news))
        return self._price


def headers() -> Recording:
    """Read the recorded blocks."""
    with HEADERS.open(encoding="utf-8") as lines:
        return read_recording(lines, HEADERS.name)


def chain(fees: list[int], tips: dict[float, int] | None = None) -> Recording:
    """Make consecutive blocks of these base fees."""
    return Recording(
        blocks=tuple(BlockFees(at, 12 * at, fee, 15, 30, tips or {}) for at, fee in enumerate(fees))
    )


def market(count: int, every_s: float = 20.0) -> Recording:
    """Make transactions that waited: those that tip 0.1 gwei get in at once, lower ones after four blocks."""
    chance, waits, fees = random.Random(1), [], {}
    for at in range(count):
        received = every_s * at + chance.uniform(0, 11)
        tip = chance.choice((GWEI // 50, GWEI // 10, GWEI // 3, GWEI))
        blocks = 1 if tip >= GWEI // 10 else 4
        mined = (received // 12 + blocks) * 12
        block = int(mined // 12)
        fee = fees.setdefault(block, GWEI + chance.randrange(GWEI // 10))
        waits.append(Wait(received, mined - received, block, 21000, TipObservation(tip, fee, blocks)))
    return Recording(waits=tuple(waits))


def with_tips() -> Recording:
    """Return the recorded blocks with made-up tips."""
    chance = random.Random(4)
    rows = headers().blocks
    return Recording(
        blocks=tuple(
            replace(row, tips={10: chance.randrange(GWEI), 50: 2 * GWEI, 20: GWEI, 30: GWEI + 1})
            for row in rows
        )
    )


@pytest.mark.parametrize("recording", [headers(), with_tips(), market(300)], ids=["headers", "tips", "waits"])
@pytest.mark.parametrize("at", range(len(strategies())))
def test_the_future_does_not_matter(recording: Recording, at: int) -> None:
    """Whatever comes later, shuffled or other, every strategy says the same until then."""
    chance = random.Random(at)
    half = len(recording.blocks or recording.waits) // 2
    if recording.blocks:
        later = list(recording.blocks[half:])
        chance.shuffle(later)
        other = Recording(blocks=recording.blocks[:half] + tuple(later))
    else:
        moment = recording.waits[half].received_s
        tips = [wait.observation for wait in recording.waits]
        chance.shuffle(tips)
        other = Recording(
            waits=tuple(
                wait
                if wait.received_s < moment and wait.mined_s - 12 < moment
                else replace(wait, waited_s=wait.waited_s + 120, block=wait.block + 1000, observation=tip)
                for wait, tip in zip(recording.waits, tips, strict=True)
            )
        )
    assert other != recording
    before, after = strategies()[at], strategies()[at]
    assert replay(recording, before, 5)[:half] == replay(other, after, 5)[:half]


def test_a_strategy_is_told_each_block_once_and_none_ahead() -> None:
    """After each block a strategy is handed that block alone."""
    strategy, recording = Fixed(1, 0), chain([5, 6, 7, 8])
    replay(recording, strategy, 1)
    assert strategy.told == [[block] for block in recording.blocks]


def test_a_strategy_hears_of_a_transaction_when_it_is_mined() -> None:
    """A wait is news only after its block; the base fee of a block is known one block time before it."""
    first = Wait(100.0, 20.0, 10, 1, TipObservation(7, 70, 2))
    second = Wait(107.9, 12.1, 10, 1, TipObservation(8, 70, 2))
    third = Wait(108.5, 0.5, 9, 1, TipObservation(9, 60, 1))
    fourth = Wait(120.5, 1.0, 11, 1, TipObservation(9, 60, 1))
    strategy = Fixed(1, 0)
    replay(Recording(waits=(first, second, third, fourth)), strategy, 1)
    assert strategy.told == [
        [NextFee(9, 60)],
        [],
        [NextFee(10, 70)],
        [Mined(9, 1, third.observation), NextFee(11, 60), Mined(10, 1, first.observation),
         Mined(10, 1, second.observation)],
    ]  # fmt: skip


def test_the_cost_is_that_of_the_block_that_includes() -> None:
    """A cap below the first block's fee waits for the second, and pays its fee and the tip left over."""
    recording = chain([10, 20, 14, 30, 30, 30, 30])
    found = score(recording, replay(recording, Fixed(15, 3), 2), 2)[0]
    assert found is not None
    assert found.cost_wei == 15
    assert found.inside == {1: 0.0, 2: 1.0, 5: 1.0}
    assert found.under_priced


def test_a_price_that_never_gets_in_has_no_cost() -> None:
    """Beyond the deadline there is inclusion to tell, but no cost for the deadline."""
    recording = chain([10, 20, 20, 14, 30, 30, 30])
    found = score(recording, replay(recording, Fixed(15, 3), 2), 2)[0]
    assert found is not None
    assert found.cost_wei is None
    assert found.inside == {1: 0.0, 2: 0.0, 5: 1.0}


def test_recorded_tips_decide_too() -> None:
    """Where blocks' tips are recorded a tip below that of a tenth of the gas is not included."""
    recording = chain([10] * 7, tips={10: 4, 50: 9})
    low, high = (score(recording, replay(recording, Fixed(100, tip), 1), 1)[0] for tip in (3, 4))
    assert low is not None
    assert high is not None
    assert low.inside[5] == 0
    assert not low.under_priced
    assert high.inside[1] == 1
    assert high.cost_wei == 14


def test_starts_too_near_the_end_or_a_gap_are_not_scored() -> None:
    """Only starts with all the blocks of the deadline behind them count."""
    recording = chain([10] * 8)
    assert [found is not None for found in score(recording, replay(recording, Fixed(99, 1), 6), 6)] == [
        True, True, False, False, False, False, False, False,
    ]  # fmt: skip
    gapped = Recording(blocks=recording.blocks[:4] + recording.blocks[5:])
    assert score(gapped, replay(gapped, Fixed(99, 1), 1), 1)[0] is None


def test_a_price_fares_as_those_of_its_tip_did() -> None:
    """A tip that got in at once among its peers does, a lower one waits, and its cost is its own."""
    recording = market(200)
    for tip, within_one in ((int(0.15 * GWEI), 1.0), (int(0.04 * GWEI), 0.0)):
        found = score(recording, replay(recording, Fixed(9 * GWEI, tip), 5), 5)[50]
        assert found is not None
        assert found.inside[1] == within_one
        assert found.inside[5] == 1
        assert found.cost_wei == recording.waits[50].observation.base_fee_wei + tip


def test_a_tip_that_nobody_gave_is_not_judged() -> None:
    """Far from every recorded tip there is a cost but no inclusion."""
    recording = market(200)
    found = score(recording, replay(recording, Fixed(99 * GWEI, 50 * GWEI), 5), 5)[50]
    assert found is not None
    assert found.inside == {1: None, 2: None, 5: None}


def test_too_few_alike_are_no_measure() -> None:
    """Fewer than five of about its tip tell nothing of how a price would fare."""
    waits = [Wait(100.0 + at, 5, 9, 1, TipObservation(5, 70, 1)) for at in range(4)]
    for count, told in ((4, None), (5, 1.0)):
        recording = Recording(waits=tuple(waits[:1] * (count - 3) + waits[1:]))
        found = score(recording, replay(recording, Fixed(99, 5), 1), 1)[0]
        assert found is not None
        assert found.inside[1] == told


def tips_said(learned: int, base_fee_wei: int, deadline: int = 5) -> int | None:
    """Let our strategy learn from so many that got in with 1,000 wei or 3 gwei, then ask at this base fee."""
    mined = [Mined(at, 21000, TipObservation(1000 if at % 2 else 3 * GWEI, GWEI, 1)) for at in range(learned)]
    price = Plumbline().price(iter([*mined, NextFee(learned, base_fee_wei)]), deadline)
    return None if price is None else price.tip_wei


def test_ours_pays_what_the_node_says_until_it_has_learned() -> None:
    """With few observations, or a base fee unlike any of theirs, the node's tip is paid."""
    assert tips_said(40, GWEI) == 3 * GWEI
    assert tips_said(400, 2 * GWEI) == 3 * GWEI
    assert tips_said(400, GWEI) == GWEI // 50


def test_ours_does_not_save_on_what_hardly_costs() -> None:
    """Even where less gets in, the tip is a fiftieth of the base fee."""
    assert tips_said(400, GWEI + 50) == GWEI // 50 + 1


def test_ours_is_no_dearer_than_the_node() -> None:
    """Where a dearer tip would get in more surely than the node's, the node's is paid at most."""
    news: list[News] = []
    for at in range(2000):
        slow = TipObservation(GWEI, GWEI, 1 if at % 2 else 3)
        news += [Mined(at, 21000, slow), Mined(at, 21000, slow), Mined(at, 21000, slow)]
        news.append(Mined(at, 21000, TipObservation(9 * GWEI, GWEI, 1)))
    price = Plumbline().price(iter([*news, NextFee(2000, GWEI)]), 1)
    assert price is not None
    assert price.tip_wei == GWEI


def test_a_cap_below_the_base_fee_is_under_priced() -> None:
    """It is in no block, costs nothing, and counts as under-priced."""
    recording = market(200)
    found = score(recording, replay(recording, Fixed(5, 1), 5), 5)[50]
    assert found is not None
    assert found.under_priced
    assert found.cost_wei is None
    assert found.inside == {1: 0.0, 2: 0.0, 5: 0.0}


@pytest.mark.parametrize("within", [1, 2, 5, 20, 50])
def test_our_cap_is_never_under_priced(within: int) -> None:
    """Over the recorded blocks our cap holds for every deadline."""
    recording = headers()
    scored = [found for found in score(recording, replay(recording, Plumbline(), within), within) if found]
    assert len(scored) == 120 - max(5, within)
    assert not any(found.under_priced for found in scored)
    assert all(found.inside[1] == 1 for found in scored)


def test_the_baselines_say_what_their_sources_say() -> None:
    """Each library's and wallet's figures for one block with known tips are those of its formula."""
    tips = {10: GWEI // 2, 20: 3 * GWEI, 30: 4 * GWEI}
    block = BlockFees(1, 12, 100 * GWEI, 15_000_000, 30_000_000, tips)
    said = {s.name: s.price(iter((block,)), 5) for s in strategies()}
    assert said["ethers"] == Price(201 * GWEI, GWEI)
    assert said["viem"] == Price(120 * GWEI + GWEI // 2, GWEI // 2)
    assert said["web3.py"] == said["geth"] == Price(200 * GWEI + GWEI // 2, GWEI // 2)
    assert said["metamask-low"] == Price(111 * GWEI, GWEI)
    assert said["metamask-medium"] == Price(120 * GWEI + 2_910_000_000, 2_910_000_000)
    assert said["metamask-high"] == Price(125 * GWEI + 3_920_000_000, 3_920_000_000)


def test_the_node_suggests_the_sixtieth_percentile_of_the_lowest_tips() -> None:
    """Of each of the last 20 blocks the three lowest tips count, and of these the one at 60 %."""
    known = Market()
    news = [
        Mined(block, 21000, TipObservation(1000 * block + extra, 1, 1))
        for block in range(25)
        for extra in range(9)
    ]
    known.take(iter(news))
    lowest = sorted(1000 * block + extra for block in range(5, 25) for extra in range(3))
    assert known.node_tip() == lowest[59 * 60 // 100]
    assert Market().node_tip() is None


def test_percentiles_are_of_gas() -> None:
    """One transaction with most of a block's gas holds most of its percentiles."""
    known = Market()
    known.take(iter([Mined(1, 90, TipObservation(5, 1, 1)), Mined(1, 10, TipObservation(1, 1, 1))]))
    assert known.tips_at(10, 5) == [1]
    assert known.tips_at(11, 5) == [5]


def test_without_tips_there_is_no_cost_to_tell() -> None:
    """On bare headers every figure that hangs on a tip is none, except that of a fixed tip."""
    report = backtest(headers(), strategies(), 5)
    costs = {line.strategy: line.cost_gwei for line in report.lines if line.regime == "all"}
    assert {name for name, cost in costs.items() if cost is not None} == {"ethers"}
    assert all(line.saving is None for line in report.lines if line.strategy != "ethers")


def test_learned_tips_save_and_get_in() -> None:
    """Where a tenth of a gwei gets in at once ours costs less than a gwei's tip, and is in as soon."""
    chosen = [strategy for strategy in strategies() if strategy.name in {"plumbline", "ethers"}]
    report = backtest(market(1500, every_s=120), chosen, 2)
    ours, ethers = (
        next(line for line in report.lines if (line.strategy, line.regime) == (name, "all"))
        for name in ("plumbline", "ethers")
    )
    assert ours.saving is not None
    assert ethers.saving is not None
    assert ours.saving.low is not None
    assert ours.saving.low > 0.2
    assert ethers.saving.value == 0
    assert ours.inside[2] is not None
    assert ours.inside[2].value > 0.95


def test_the_same_seed_gives_the_same_interval() -> None:
    """Intervals hold their mean, repeat with the seed, and are not told for too few stretches of time."""
    recording = market(1500, every_s=120)
    chosen, again = ([s for s in strategies() if s.name == "ethers"] for _ in range(2))
    cost = backtest(recording, chosen, 2, seed=3).lines[0].cost_gwei
    assert cost is not None
    assert cost == backtest(recording, again, 2, seed=3).lines[0].cost_gwei
    assert cost.low is not None
    assert cost.high is not None
    assert cost.low < cost.value < cost.high
    few = backtest(headers(), [Fixed(100 * GWEI, 1)], 2).lines[0].cost_gwei
    assert few is not None
    assert few.low is None


def test_forecasts_are_scored_against_what_came() -> None:
    """In a market that answers to the fee, forecasts beat both baselines; in a short file there is none."""
    chance, fee, blocks = random.Random(1), 20 * GWEI, []
    for number in range(1200):
        use = 0.5 - (fee / (20 * GWEI) - 1) + chance.uniform(-0.25, 0.25)
        used = int(30_000_000 * min(1.0, max(0.0, use)))
        blocks.append(BlockFees(number, 12 * number, fee, used, 30_000_000))
        fee = next_base_fee(ETHEREUM, fee, used, 30_000_000)
    found = score_forecasts(blocks, 2, every=20)
    assert found.shown > 20
    assert found.of_unchanged is not None
    assert found.of_unchanged < 1
    assert found.of_average is not None
    assert found.of_average < 1
    assert score_forecasts(headers().blocks, 2).shown == 0


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "row 1"),
        ("number,time\n1,2\n", "no column for base_fee"),
        (f"{TITLES},block\n1,2,3,4,5,6\n", "more than one column for number"),
        (f"{TITLES}\n", "no rows"),
        (f"{TITLES}\n1,2,3,4\n", "row 2 has 4 columns"),
        (f"{TITLES}\n{'9' * 200_000},2,3,4,5\n", "no CSV"),
        (f"{TITLES}\n1,2,3,4,5\n2,2,x,4,5\n", "row 3, column base_fee_per_gas"),
        (f"{TITLES}\n1,2,1e9,4,5\n", "row 2, column base_fee_per_gas"),
        (f"{TITLES}\n1,2,3.5,4,5\n", "row 2, column base_fee_per_gas"),
        (f"{TITLES}\n1,2,-3,4,5\n", "row 2, column base_fee_per_gas"),
        (f"{TITLES}\n1,2,,4,5\n", "row 2, column base_fee_per_gas"),
        (f"{TITLES}\n1,2,3,6,5\n", "row 2: gas_used"),
        (f"{TITLES}\n1,2,3,0,1\n", "row 2, column gas_limit"),
        (f"{TITLES}\n2,2,3,4,5\n2,2,3,4,5\n", "row 3: block 2"),
        (f"{TITLES},tip_p10\n1,2,3,4,5,six\n", "row 2, column tip_p10"),
        (f"{TITLES},tip_p10,tip_p10_wei\n1,2,3,4,5,6,7\n", "row 1, column tip_p10_wei: stands there"),
        (f"{TITLES},tip_p12.5\n1,2,3,4,5,6\n", "row 1, column tip_p12.5: is no whole percentile"),
        (f"{TITLES},tip_p101\n1,2,3,4,5,6\n", "row 1, column tip_p101: is no whole percentile"),
        (
            "received_s,waited_s,block,base_fee_wei,tip_wei,gas_used\n1,nan,3,4,5,6\n",
            "row 2, column waited_s",
        ),
        (
            "received_s,waited_s,block,base_fee_wei,tip_wei,gas_used\n1,soon,3,4,5,6\n",
            "row 2, column waited_s",
        ),
        (
            "received_s,waited_s,block,base_fee_wei,tip_wei,gas_used\n-1,2,3,4,5,6\n",
            "row 2, column received_s",
        ),
        (
            "received_s,waited_s,block,base_fee_wei,tip_wei,gas_used\n1741688245778,2,3,4,5,6\n",
            "row 2, column received_s",
        ),
        ("received_s,waited_s,block,base_fee_wei,gas_used\n1,2,3,4,5\n", "no column for tip"),
    ],
)
def test_a_bad_file_is_named_by_row_and_column(text: str, named: str) -> None:
    """What is wrong is told with the file, the row and the column; nothing is guessed."""
    with pytest.raises(InvalidInput, match=named) as told:
        read_recording(text.splitlines(keepends=True), "fees.csv")
    assert str(told.value).startswith("fees.csv: ")


def test_columns_are_known_however_they_are_spelled() -> None:
    """Camel case, spaces, semicolons, hexadecimal, other orders and further columns are read."""
    titles = "gasLimit;Block Number;baseFeePerGas;gasUsed;time;hash;Reward_p10;reward_p50"
    text = f"{titles}\n30;0x10;7;15;99;0xab;3;\n"
    block = read_recording(text.splitlines(keepends=True), "f").blocks[0]
    assert block == BlockFees(16, 99, 7, 15, 30, {10: 3})


def test_a_wait_is_counted_in_blocks() -> None:
    """Seconds become blocks: up to twelve is the next one; rows are put in order of time."""
    titles = "received_s,waited_s,block,base_fee_wei,tip_wei,gas_used"
    text = f"{titles}\n50,12.5,3,4,5,6\n9,12,3,4,5,6\n8,0,3,4,5,6\n"
    waits = read_recording(text.splitlines(keepends=True), "f").waits
    assert [(wait.received_s, wait.observation.blocks_waited) for wait in waits] == [(8, 1), (9, 1), (50, 2)]


@pytest.mark.parametrize("within", [0, -1, 10**9])
def test_a_deadline_that_means_nothing_is_refused(within: int) -> None:
    """No blocks, or a thousand million, is no deadline."""
    with pytest.raises(InvalidInput, match="within"):
        backtest(headers(), strategies(), within)


def test_a_file_too_short_for_the_deadline_is_refused() -> None:
    """There is no report on nothing."""
    with pytest.raises(InvalidInput, match="too few rows"):
        backtest(headers(), strategies(), 200)


def test_the_command_prints_json_and_draws(tmp_path: Path) -> None:
    """`plumbline backtest --json --plot` gives figures with wei as strings, and a picture."""
    picture = tmp_path / "b.svg"
    done = CliRunner().invoke(
        app,
        [
            "backtest",
            str(HEADERS),
            "--json",
            "--plot",
            str(picture),
            "--within",
            "3",
            "--strategy",
            "plumbline",
        ],
    )
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    assert {line["strategy"] for line in report["lines"]} == {"plumbline"}
    assert report["lines"][0]["under_priced"]["value"] == 0
    assert all(isinstance(bound, str) for bound in report["bounds_wei"])
    drawn = minidom.parseString(picture.read_text(encoding="utf-8"))  # noqa: S318 (our own picture)
    words = drawn.getElementsByTagName("text")
    assert any(word.firstChild.data == "plumbline" for word in words)


def test_the_command_prints_a_table() -> None:
    """Without --json there is a line for each strategy, with none where the file has no tips."""
    done = CliRunner().invoke(app, ["backtest", str(HEADERS)])
    assert done.exit_code == 0, done.output
    row = next(line for line in done.output.splitlines() if line.startswith("viem"))
    assert "none" in row
    assert "a forecast was shown 0 of" in done.output
    assert "as Ethereum's rule says in 119 of 119 blocks\n" in done.output


def test_blocks_of_another_rule_are_told(tmp_path: Path) -> None:
    """Headers of a chain that is not priced as Ethereum is: what is said of them here is no promise."""
    file = tmp_path / "op.csv"
    rows = (f"{number},{number},{10**9 - number},15000000,30000000" for number in range(1, 31))
    file.write_text("\n".join([TITLES, *rows]), encoding="utf-8")
    done = CliRunner().invoke(app, ["backtest", str(file)])
    assert done.exit_code == 0, done.output
    assert "in 0 of 29 blocks; plumbline's cap" in done.output
    report = backtest(read_recording(file.read_text(encoding="utf-8").splitlines(), "f"), strategies(), 5)
    assert (report.exact, report.transitions) == (0, 29)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["nowhere.csv"], "nowhere.csv"),
        ([str(HEADERS), "--strategy", "magic"], "magic"),
        ([str(HEADERS), "--strategy", "ethers", "--plot", "b.png"], "b.png does not end in .svg"),
    ],
)
def test_the_command_names_what_is_wrong(arguments: list[str], named: str) -> None:
    """A file that is not there, or cannot be, and a strategy that does not exist are told as misuse."""
    done = CliRunner().invoke(app, ["backtest", *arguments])
    assert isinstance(done.exception, InvalidInput)
    assert named in str(done.exception)


@pytest.mark.parametrize(
    ("saving", "most", "word"),
    [
        (None, None, "unknown"),
        (Figure(0.3, 0.2, 0.4, 9), Figure(0.5, None, None, 9), "saves"),
        (Figure(0.3, None, None, 9), Figure(0.5, None, None, 9), "saves"),
        (Figure(0.3, -0.1, 0.4, 9), Figure(0.5, None, None, 9), "none"),
        (Figure(-0.3, None, None, 9), Figure(0.5, None, None, 9), "none"),
        (Figure(0.005, 0.004, 0.006, 9), Figure(0.009, None, None, 9), "none"),
    ],
)
def test_a_saving_is_told_in_a_word(saving: Figure | None, most: Figure | None, word: str) -> None:
    """It saves where that is sure, and not where the interval holds 0 or the base fee dominates."""
    assert verdict(saving, most) == word


def test_the_most_that_can_be_saved_stands_beside_the_saving() -> None:
    """At a base fee of 99 gwei the default's tip is a hundredth of its price, which no strategy can beat."""
    recording = chain([99 * GWEI] * 80, {10: 1, 50: 1})
    report = backtest(recording, strategies(), 5)
    for line in report.lines:
        if line.most is not None and line.saving is not None:
            assert line.most.value == pytest.approx(0.01, abs=1e-4)
            assert line.saving.value <= line.most.value + 1e-9
    assert report.document()["lines"][0]["verdict"] in {"none", "saves"}
