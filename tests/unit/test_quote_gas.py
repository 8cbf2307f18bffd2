"""Gas quotes over a chain in memory: what is paid, how much gas, and how sure that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shared.domain.fee_blocks import BlockFees
from shared.domain.fee_chains import ETHEREUM
from shared.domain.fee_reading import GasAnswer
from shared.domain.fee_record import (
    FEE_HISTORY,
    GAS_SAMPLES,
    TIP_SAMPLES,
    FeeRow,
    GasSample,
    chunk_document,
    chunk_key,
    gas_document,
    samples_key,
)
from shared.domain.fees import next_base_fee, worst_base_fee
from shared.errors import ChainUnavailable, StoreUnavailable
from tests.support.quotes import GWEI, QuoteWorld

if TYPE_CHECKING:
    from pathlib import Path


_REQUIRE = bytes.fromhex("08c379a0") + (32).to_bytes(32) + (2).to_bytes(32) + b"no".ljust(32, b"\0")


@pytest.fixture
def world(tmp_path: Path) -> QuoteWorld:
    """Give Ethereum with some history."""
    made = QuoteWorld(tmp_path)
    made.mine(40)
    return made


def test_the_cap_survives_the_deadline_exactly(world: QuoteWorld) -> None:
    """The cap is the worst base fee at the deadline, reckoned from the exact next one, and the tip."""
    world.mine(1, used=0.9)
    head = world.chain.blocks[-1].fees
    assert head.base_fee_wei is not None
    following = next_base_fee(ETHEREUM, head.base_fee_wei, head.gas_used, head.gas_limit)
    for blocks in (1, 5, 50):
        quote = world.ask(within_blocks=blocks)
        assert quote["type"] == "eip1559"
        assert quote["nextBaseFeePerGas"] == str(following)
        worst = worst_base_fee(ETHEREUM, following, head.gas_limit, blocks)
        assert int(quote["maxFeePerGas"]) == (worst or 0) + int(quote["maxPriorityFeePerGas"])
        assert quote["baseFee"]["worst"] == {"wei": str(worst), "source": "rule", "confidence": "high"}
        assert quote["validity"]["deadlineBlock"] == head.header.number + blocks


def test_the_tip_is_learned_from_blocks_without_a_floor(world: QuoteWorld) -> None:
    """Where a tenth of a gwei gets in, the node's whole gwei is not paid, and the chances say so."""
    quote = world.ask(within_blocks=5)
    # A fiftieth of the base fee is not saved on.
    assert int(quote["maxPriorityFeePerGas"]) == max(int(quote["nextBaseFeePerGas"]) // 50, GWEI // 10)
    assert quote["tip"]["source"] == "blocks"
    chances = [quote["inclusion"][blocks] for blocks in ("1", "2", "5")]
    assert chances == sorted(chances)
    assert chances[0] > 0.9


def test_chances_are_told_for_the_callers_own_deadline_too(world: QuoteWorld) -> None:
    """The chance within n stands beside those within 1, 2 and 5; none beyond the deadline claims more."""
    quote = world.ask(within_blocks=3)
    assert list(quote["inclusion"]) == ["1", "2", "3", "5"]
    assert quote["inclusion"]["5"] == quote["inclusion"]["3"]


def test_costs_are_gas_times_price(world: QuoteWorld) -> None:
    """Expected cost is the estimate at the expected price, worst cost the limit at the cap; both in wei."""
    quote = world.ask(transfer="t-1")
    assert quote["gasLimit"] == -(-70_212 * 6 // 5)
    assert quote["gas"]["expected"] == 70_212
    price = int(quote["nextBaseFeePerGas"]) + int(quote["maxPriorityFeePerGas"])
    assert quote["expectedEffectiveGasPrice"] == str(price)
    assert quote["expectedCost"] == str(70_212 * price)
    assert quote["worstCost"] == str(quote["gasLimit"] * int(quote["maxFeePerGas"]))


def test_an_estimate_is_never_raised_to_the_table(world: QuoteWorld) -> None:
    """An agreement really uses 70,212: the table's 150,000 is no floor under it."""
    assert world.ask(transfer="t-1")["gasLimit"] < 150_000


def test_without_a_call_receipts_decide_and_then_the_table(world: QuoteWorld) -> None:
    """With no transfer named the p95 of receipts is taken, and the table only where there are none."""
    quote = world.ask()
    assert quote["gas"]["source"] == "table"
    assert quote["gasLimit"] == 150_000
    assert quote["gas"]["because"] == "no transfer is named"
    used = [70_000 + i for i in range(40)]
    samples = [GasSample(f"0x{i:064x}", i, gas) for i, gas in enumerate(used)]
    world.documents.put(GAS_SAMPLES, samples_key(world.spec.key, "agree_send"), gas_document(samples))
    world.quotes = world.instance()
    quote = world.ask()
    assert quote["gas"]["source"] == "receipts"
    assert quote["gas"]["confidence"] == "high"
    assert quote["gas"]["receipts"] == {
        "count": 40, "min": 70_000, "mean": 70_019, "max": 70_039, "p95": 70_037,
    }  # fmt: skip
    assert quote["gasLimit"] == -(-70_037 * 6 // 5)
    assert quote["gas"]["expected"] == 70_019


def test_a_buffer_does_not_pass_a_blocks_gas_limit(world: QuoteWorld) -> None:
    """A limit past that of a block is refused by every node; one that the call itself needs is told."""
    most = world.chain.gas_limit
    for gas, limit in ((most * 9 // 10, most), (most + 1, most + 1)):
        world.estimate = GasAnswer(gas=gas)
        world.mine(1)
        assert world.ask(transfer="t-1")["gasLimit"] == limit


def test_a_revert_is_an_answer(world: QuoteWorld) -> None:
    """A call that would revert gets no limit out of a table, but the contract's error in words."""
    data = bytes.fromhex("77e5c5f2") + (3).to_bytes(32) + (4).to_bytes(32)
    world.estimate = GasAnswer(revert=data)
    quote = world.ask(action="execute_transfer", transfer="t-1")
    assert quote["revert"] == {
        "error": "InvalidState",
        "arguments": {"current": 3, "expected": 4},
        "data": "0x" + data.hex(),
    }
    assert quote["gas"]["source"] == "revert"
    assert quote["gasLimit"] is quote["worstCost"] is quote["expectedCost"] is None
    assert quote["maxFeePerGas"] is not None


@pytest.mark.parametrize(
    ("data", "error", "arguments"),
    [
        (b"", None, {}),
        (bytes.fromhex("deadbeef"), None, {}),
        (_REQUIRE, "Error", {"reason": "no"}),
        (bytes.fromhex("4e487b71") + (17).to_bytes(32), "Panic", {"code": "17"}),
    ],
)
def test_reverts_of_other_kinds(world: QuoteWorld, data: bytes, error: str, arguments: object) -> None:
    """Solidity's own errors are read as well; what nobody knows is shown as its data."""
    world.estimate = GasAnswer(revert=data)
    told = world.ask(transfer="t-1")["revert"]
    assert (told["error"], told["arguments"], told["data"]) == (error, arguments, "0x" + data.hex())


def test_a_node_that_does_not_estimate_is_told(world: QuoteWorld) -> None:
    """A refusal that is no revert falls back, and the answer says why."""
    world.estimate = GasAnswer(refused="endpoint 1 refused eth_estimateGas: error -32601")
    quote = world.ask(transfer="t-1")
    assert quote["gas"]["source"] == "table"
    assert "-32601" in quote["gas"]["because"]


def test_savings_are_told_beside_each_default_or_there_are_none(world: QuoteWorld) -> None:
    """Each default's price in the next block stands there; where ours is no lower the saving is null."""
    quote = world.ask()
    told = {each["default"]: each for each in quote["savings"]}
    assert set(told) == {
        "ethers", "viem", "web3.py", "geth", "metamask-low", "metamask-medium", "metamask-high",
    }  # fmt: skip
    ours = int(quote["expectedEffectiveGasPrice"])
    theirs = int(told["ethers"]["effectiveGasPrice"])
    assert theirs == int(quote["nextBaseFeePerGas"]) + GWEI
    assert told["ethers"]["saving"] == pytest.approx(1 - ours / theirs, abs=1e-6)
    assert told["geth"]["saving"] is None
    assert told["viem"]["coversDeadline"] is False  # 1.2 times is no five full blocks
    assert told["ethers"]["coversDeadline"] is True


def test_congestion_comes_with_its_numbers(world: QuoteWorld) -> None:
    """High above 95 % or 1,000 pending, medium above 70 % or 500, with the figures; else unknown."""
    told = world.ask()["congestion"]
    assert told == {
        "level": "low", "confidence": "high", "meanUse": 0.5, "blocks": 5, "pendingTransactions": 0,
    }  # fmt: skip
    for used, pending, level in (
        (0.96, 0, "high"), (0.71, 0, "medium"), (0.5, 1001, "high"), (0.5, 501, "medium"), (0.7, 500, "low"),
    ):  # fmt: skip
        world.chain.pending = pending
        world.mine(5, used=used)
        assert world.ask()["congestion"]["level"] == level, (used, pending)
    world.chain.pending = None
    world.mine(5, used=0.8)
    told = world.ask()["congestion"]
    assert (told["level"], told["confidence"], told["pendingTransactions"]) == ("medium", "medium", None)


def test_a_legacy_chain_is_answered_as_legacy(tmp_path: Path) -> None:
    """Without base fees the node's gas price is given as such, at low confidence, and no chances."""
    world = QuoteWorld(tmp_path, base_fee_wei=None)
    world.mine(2)
    quote = world.ask(transfer="t-1")
    assert quote["type"] == "legacy"
    assert quote["gasPrice"] == str(2 * GWEI)
    assert quote["maxFeePerGas"] is quote["maxPriorityFeePerGas"] is None
    assert quote["worstCost"] == str(quote["gasLimit"] * 2 * GWEI)
    assert quote["confidence"] == "low"
    world.chain.gas_price_wei = None
    world.mine(1)
    with pytest.raises(ChainUnavailable, match="gas price"):
        world.ask()


def test_arbitrum_pays_no_tip_and_promises_nothing(tmp_path: Path) -> None:
    """Its next base fee is unknown, its cap is what was seen to be enough; L1 gas is shown."""
    world = QuoteWorld(tmp_path, chain_id=42161, base_fee_wei=GWEI // 100)
    world.mine(60, tip_wei=None)
    world.estimate = GasAnswer(gas=300_000, l1_gas=200_000)
    quote = world.ask(transfer="t-1", within_blocks=5)
    assert quote["maxPriorityFeePerGas"] == "0"
    assert quote["nextBaseFeePerGas"] is None
    assert quote["baseFee"]["next"]["source"] == "unknown"
    assert quote["baseFee"]["worst"]["source"] == "observed"
    assert quote["confidence"] == "low"
    assert quote["inclusion"]["5"] == pytest.approx(13 / 14)
    assert quote["gas"]["l1Gas"] == 200_000
    assert world.questions[0].l1
    # What a default tips is not taken there, and so not saved.
    latest = quote["baseFee"]["latest"]
    assert {(each["effectiveGasPrice"], each["saving"]) for each in quote["savings"]} == {(latest, None)}


def test_a_chain_of_unknown_rules_stays_unknown(tmp_path: Path) -> None:
    """Neither next nor worst base fee is made up where there is no rule and no history."""
    world = QuoteWorld(tmp_path, chain_id=777)
    quote = world.ask()
    assert quote["nextBaseFeePerGas"] is quote["maxFeePerGas"] is quote["worstCost"] is None
    assert quote["baseFee"]["worst"] is None
    assert quote["confidence"] == "low"


def test_a_node_without_fee_history_is_believed_its_tip(world: QuoteWorld) -> None:
    """The base fee is exact all the same; the tip is the node's, of which no chance is known."""
    world.chain.history_blocks = 0
    world.mine(1)
    quote = world.ask()
    assert quote["tip"] == {
        "source": "node", "confidence": "low", "reachesWanted": None, "regime": None, "observations": 0,
    }  # fmt: skip
    assert quote["maxPriorityFeePerGas"] == str(GWEI)
    assert set(quote["inclusion"].values()) == {None}
    assert all(each["saving"] is None for each in quote["savings"])
    world.chain.node_tip_wei = None
    world.mine(1)
    with pytest.raises(ChainUnavailable, match="neither fee history nor a tip"):
        world.ask()


def test_a_suggestion_below_all_that_got_in_is_told_to_be_unsure(world: QuoteWorld) -> None:
    """Nothing is known of such a tip: it is the node's, at low confidence, however many blocks were seen."""
    world.chain.node_tip_wei = 1
    world.mine(80)
    quote = world.ask()
    assert quote["maxPriorityFeePerGas"] == "1"
    assert (quote["tip"]["source"], quote["tip"]["confidence"]) == ("node", "low")
    assert quote["tip"]["reachesWanted"] is False
    assert set(quote["inclusion"].values()) == {None}
    assert quote["confidence"] == "low"


def test_rows_of_the_listener_stand_in_for_fee_history(world: QuoteWorld) -> None:
    """A cold start with a node that tells no history learns its tip from what was recorded."""
    world.chain.history_blocks = 0
    blocks = world.chain.blocks[1:]
    rows = [
        FeeRow(
            BlockFees(
                each.header.number, each.header.timestamp, each.fees.base_fee_wei or 0,
                each.fees.gas_used, each.fees.gas_limit, {10: each.tip_wei or 0},
            ),
            each.header.hash,
        )
        for each in blocks
    ]  # fmt: skip
    world.documents.put(FEE_HISTORY, chunk_key(1, 0), chunk_document(1, 0, rows))
    quote = world.ask()
    assert quote["tip"]["source"] == "blocks"
    assert quote["tip"]["observations"] == 40
    assert quote["records"] == "good"


def test_what_was_recorded_is_recalled_with_the_second_block(world: QuoteWorld) -> None:
    """A first answer has the node's history alone; from the next block on the records go further back."""
    world.chain.history_blocks = 15
    rows = [
        FeeRow(BlockFees(number, 1, GWEI, 1, 2, {10: GWEI}), f"0x{number}") for number in range(20)
    ]  # fmt: skip
    world.documents.put(FEE_HISTORY, chunk_key(1, 0), chunk_document(1, 0, rows))
    first = world.ask()
    world.mine(1)
    second = world.ask()
    assert (first["tip"]["observations"], second["tip"]["observations"]) == (15, 16)
    [view] = world.quotes._views.values()
    known = view.known()
    assert known is not None
    assert list(known.blocks) == [*range(20), *range(26, 42)]


def test_damaged_records_are_told_and_do_not_stop_a_quote(world: QuoteWorld) -> None:
    """What is recorded is a help, not a condition; an answer without it says why."""
    world.documents.put(FEE_HISTORY, chunk_key(1, 0), {"rows": "not a row"})
    world.documents.put(GAS_SAMPLES, samples_key(world.spec.key, "agree_send"), {"samples": 5})
    quote = world.ask()
    assert quote["records"] == "corrupt_event"
    assert quote["gas"]["source"] == "table"


def test_whichever_record_is_damaged_is_told(world: QuoteWorld) -> None:
    """That another record could be read since does not make the damaged one good; mended, it is."""
    world.documents.put(TIP_SAMPLES, "1", {"samples": 5})
    assert [world.ask(action=action)["records"] for action in ("agree_send", "burn_tokens")] == [
        "corrupt_event", "corrupt_event",
    ]  # fmt: skip
    world.documents.delete(TIP_SAMPLES, "1")
    world.clock.advance(31)
    world.mine(1)
    assert world.ask()["records"] == "good"


def test_recorded_rows_that_could_not_be_read_are_read_with_the_next_block(world: QuoteWorld) -> None:
    """A store that was away at the first answer is asked again, where the node tells no history."""
    world.chain.history_blocks = 0
    world.documents.put(FEE_HISTORY, chunk_key(1, 0), {"rows": "not a row"})
    assert world.ask()["tip"]["source"] == "node"
    rows = [FeeRow(BlockFees(number, 1, GWEI, 1, 2, {10: GWEI}), f"0x{number}") for number in range(41)]
    world.documents.put(FEE_HISTORY, chunk_key(1, 0), chunk_document(1, 0, rows))
    world.mine(1)
    assert world.ask()["tip"]["source"] == "blocks"


def test_a_store_that_is_away_does_not_stop_a_quote(
    world: QuoteWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the store quotes come from the chain alone, and say so."""

    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(world.documents, "get_many", away)
    quote = world.ask(transfer="t-1")
    assert quote["records"] == "store_unavailable"
    assert quote["gas"]["because"] == "the store cannot be read"
    assert quote["maxFeePerGas"] is not None


def test_a_node_that_contradicts_the_rule_is_not_believed(tmp_path: Path) -> None:
    """Where node and rule differ the next base fee is unknown, the cap pays for both, confidence is low."""
    world = QuoteWorld(tmp_path, fees="rule=eip1559, target_of=2, change_denominator=4")
    world.mine(30, used=0.9)
    quote = world.ask(within_blocks=1)
    assert quote["nextBaseFeePerGas"] is None
    assert quote["baseFee"]["worst"]["confidence"] == "low"
    head = world.chain.blocks[-1].fees
    node = next_base_fee(ETHEREUM, head.base_fee_wei or 0, head.gas_used, head.gas_limit)
    assert int(quote["maxFeePerGas"]) > node


def test_a_base_fee_of_zero_is_a_base_fee(tmp_path: Path) -> None:
    """A chain whose base fee is 0 is no legacy chain, and its cap still pays for a rise."""
    world = QuoteWorld(tmp_path, base_fee_wei=0)
    world.mine(30, used=0.1)
    quote = world.ask(within_blocks=5)
    assert quote["type"] == "eip1559"
    assert quote["nextBaseFeePerGas"] == "0"
    assert int(quote["maxFeePerGas"]) - int(quote["maxPriorityFeePerGas"]) == 4
