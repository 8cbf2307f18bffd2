"""What receipts teach: gas by action and contract, and tips and waits of the platform's wallets."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.app.fee_records import FeeRecords
from shared.app.receipt_samples import ReceiptSamples
from shared.domain.fee_record import GAS_SAMPLES, GAS_SAMPLES_KEPT, PAID_SAMPLES, TIP_SAMPLES, tip_samples
from shared.domain.hashing import transfer_hash
from shared.errors import UndecodableLog
from shared.ports import Query, Spent
from tests.support.clock import FakeClock
from tests.support.documents import MemoryDocuments
from tests.support.listener import CONTRACT, TOPIC, Scene, registry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.domain.contract import DecodedLog

GWEI = 10**9
WALLET = "0x" + "00" * 20
"""Who sends on the fake chain."""
KEY = f"1:{CONTRACT}:execute_transfer"


def transfer_log(transfer: str, transaction: str | None = None) -> dict[str, Any]:
    """Return a log about a transfer, for ``FakeChain.mine``."""
    more = {} if transaction is None else {"transactionHash": transaction}
    return {"address": CONTRACT, "topics": [TOPIC, transfer_hash(transfer)], "data": "0x", **more}


def name(number: int) -> str:
    """Return a transaction hash."""
    return f"0x{number:064x}"


def use(scene: Scene) -> Any:
    """Return what quotes read of the gas of executions."""
    return FeeRecords(scene.store, scene.clock, 0.0).gas(f"1:{CONTRACT}", "execute_transfer")


def samples(scene: Scene) -> dict[str, Any]:
    """Return every document of samples."""
    return {
        f"{collection}/{key}": document
        for collection in (GAS_SAMPLES, PAID_SAMPLES, TIP_SAMPLES)
        for key, document in scene.store.query(collection, Query())
    }


def execute(scene: Scene, number: int, gas: int) -> None:
    """Mine a block with one execution that used this much gas."""
    scene.chain.spent[name(number)] = Spent(CONTRACT, gas, GWEI)
    scene.chain.mine([transfer_log(f"t{number}", name(number))])


def test_the_last_fifty_are_learned_from() -> None:
    """Min, mean, max and 95th percentile are those of the last 50 receipts of an action."""
    scene = Scene(fee_blocks=1000)
    for number in range(1, 61):
        execute(scene, number, 50_000 + 1_000 * number)
        scene.settle()
    found = use(scene)
    assert (found.count, found.least, found.most) == (GAS_SAMPLES_KEPT, 61_000, 110_000)
    assert found.mean == 85_500
    assert found.p95 == 108_000
    assert list(samples(scene)) == [f"{GAS_SAMPLES}/{KEY}", f"{PAID_SAMPLES}/1"]


def test_what_was_learned_survives_a_restart_and_a_second_listener() -> None:
    """Another instance reads what the first learned, and goes on from there."""
    scene = Scene(fee_blocks=1000)
    execute(scene, 1, 70_000)
    scene.settle()
    scene.follow = scene.listener(owner="two")
    scene.clock.advance(60)
    execute(scene, 2, 90_000)
    scene.settle()
    found = use(scene)
    assert (found.count, found.least, found.most) == (2, 70_000, 90_000)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 2)), min_size=1, max_size=10), st.integers(0, 99))
def test_order_and_repetition_do_not_matter(lots: list[tuple[int, int]], seed: int) -> None:
    """Blocks handed over in any order, and several times, leave the document that one pass leaves."""
    scene, chance = Scene(fee_blocks=1000), random.Random(seed)
    number = 0
    for blocks, more in lots:
        for _ in range(blocks + more):
            number += 1
            execute(scene, number, 21_000 + chance.randrange(100_000))
    recorder = scene.recorder(scene.store)
    assert recorder is not None
    taken: list[Any] = []
    recorder.receipts = taken.extend  # type: ignore[method-assign]
    scene.follow._fees = recorder
    scene.settle()
    again = [*taken, *chance.choices(taken, k=len(taken))]
    chance.shuffle(again)
    once, shuffled = MemoryDocuments(), MemoryDocuments()
    ReceiptSamples(once, scene.registry, 1).add(taken, {})
    one_by_one = ReceiptSamples(shuffled, scene.registry, 1)
    for block in again:
        one_by_one.add([block], {})
    assert shuffled.get(GAS_SAMPLES, KEY) == once.get(GAS_SAMPLES, KEY)


def test_a_transaction_mined_again_counts_once() -> None:
    """After a reorg the same transaction in another block is one sample, of the block that counts."""
    scene = Scene(fee_blocks=1000)
    execute(scene, 1, 70_000)
    scene.chain.mine_empty(3)
    scene.settle()
    scene.chain.spent[name(1)] = Spent(CONTRACT, 71_000, GWEI)
    scene.chain.reorg(4, {2: [transfer_log("t1", name(1))]})
    scene.settle()
    found = use(scene)
    assert (found.count, found.most) == (1, 71_000)
    assert scene.store.get(GAS_SAMPLES, KEY)["samples"] == f"3 {name(1)} 71000"


def test_gas_shared_by_several_transfers_teaches_nothing() -> None:
    """A transaction of two transfers, one through another contract, or without a receipt, is no sample."""
    scene = Scene(fee_blocks=1000)
    scene.chain.mine([transfer_log("a", name(1)), transfer_log("b", name(1))])
    scene.chain.spent[name(2)] = Spent("0x" + "99" * 20, 300_000, GWEI)
    scene.chain.mine([transfer_log("c", name(2))])
    scene.chain.spent[name(3)] = Spent(None, 300_000, GWEI)
    scene.chain.mine([transfer_log("d", name(3))])
    scene.settle()
    scene.chain.provable = False
    scene.chain.mine([transfer_log("e", name(4))])
    scene.settle()
    assert samples(scene) == {}


def test_a_log_that_cannot_be_understood_teaches_nothing_and_stops_nothing() -> None:
    """A log that its handler will bury is passed over, and what is good beside it is learned from."""
    scene = Scene(fee_blocks=1000)
    execute(scene, 1, 70_000)
    execute(scene, 2, 80_000)
    decode = type(scene.registry.contracts[0]).decode

    class Picky:
        """A spec that does not understand the log of the second transfer."""

        def __init__(self, spec: Any) -> None:
            self.chain_id, self.address, self.deployment_block = spec.chain_id, spec.address, 1
            self.finality = spec.finality

        def decode(self, log: Mapping[str, Any]) -> DecodedLog:
            """Refuse one."""
            if log["transactionHash"] == name(2):
                raise UndecodableLog("what is this?")
            return decode(self, log)  # type: ignore[arg-type]

    scene.registry = type(scene.registry)([Picky(spec) for spec in scene.registry.contracts])  # type: ignore[arg-type, misc]
    scene.settle(scene.listener())
    assert use(scene).count == 1


def test_damaged_samples_are_learned_anew() -> None:
    """Samples that somebody spoilt by hand stop nothing."""
    scene = Scene(fee_blocks=1000)
    scene.store.put(GAS_SAMPLES, KEY, {"samples": "nonsense"})
    execute(scene, 1, 70_000)
    scene.settle()
    assert use(scene).count == 1


def pending(scene: Scene, number: int, moment: object, transaction: object = None) -> None:
    """Store the application's word that it sent the execution of a transfer."""
    transfer = f"t{number}"
    scene.store.put("transfer_hash_mappings", transfer_hash(transfer), {"transferId": transfer})
    event = {
        "eventType": "blockchain.v5.executed.pending",
        "rolloverId": transfer,
        "timestamp": moment,
        "data": {"transactionHash": transaction or name(number)},
    }
    scene.store.put("events", f"sent {number}", event)


def iso(seconds: int) -> str:
    """Return a time as the application writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def tips(scene: Scene) -> list[tuple[int, int]]:
    """Return tip and wait of every sample."""
    document = scene.store.get(TIP_SAMPLES, "1")
    kept = [] if document is None else tip_samples(document)
    return [(each.observation.tip_wei, each.observation.blocks_waited) for each in kept]


@pytest.mark.parametrize(("before_s", "waited"), [(1, 1), (12, 1), (13, 2), (25, 3), (-5, 1)])
def test_the_wait_of_our_own_is_counted_in_blocks(before_s: int, waited: int) -> None:
    """Blocks since the application said that it sent are counted; where its clock is ahead it is one."""
    scene = Scene(fee_blocks=1000, wallets=[WALLET])
    scene.chain.mine_empty(10)
    block_s = scene.chain.blocks[-1].header.timestamp + 12
    pending(scene, 1, iso(block_s - before_s))
    base_fee = scene.chain.mine([transfer_log("t1", name(1))], tip_wei=GWEI // 7).base_fee_wei
    scene.settle()
    assert tips(scene) == [(GWEI // 7, waited)]
    sample = tip_samples(scene.store.get(TIP_SAMPLES, "1") or {})[0]
    assert sample.observation.base_fee_wei == base_fee
    assert FeeRecords(scene.store, FakeClock(), 0).tips(1) == [sample.observation]


@pytest.mark.parametrize(
    ("moment", "transaction"),
    [
        (None, None),
        ("yesterday", None),
        ("2026-01-01T00:00:00", None),
        (7, None),
        ("ok", name(2)),
        ("old", None),
        ("late", None),
    ],
)
def test_a_wait_that_nobody_knows_is_not_guessed(moment: object, transaction: object) -> None:
    """Without a usable word of when it was sent, or from before all blocks or after its own: no sample."""
    scene = Scene(fee_blocks=1000, wallets=[WALLET], window=5)
    scene.chain.mine_empty(20)
    block_s = scene.chain.blocks[-1].header.timestamp + 12
    known = {"ok": iso(block_s - 1), "old": iso(block_s - 200), "late": iso(block_s + 13)}
    told = known.get(str(moment), moment)
    pending(scene, 1, told, transaction)
    scene.chain.mine([transfer_log("t1", name(1))], tip_wei=GWEI)
    scene.settle()
    assert tips(scene) == []
    assert use(scene).count == 1


def test_others_waits_are_not_looked_at() -> None:
    """A transaction of an outside wallet, or any where none is configured, is no tip sample."""
    for wallets in ([], ["0x" + "77" * 20]):
        scene = Scene(fee_blocks=1000, wallets=wallets)
        scene.chain.mine_empty(3)
        pending(scene, 1, iso(scene.chain.blocks[-1].header.timestamp))
        scene.chain.mine([transfer_log("t1", name(1))], tip_wei=GWEI)
        scene.settle()
        assert tips(scene) == []


def test_each_contract_learns_for_itself() -> None:
    """Two contracts' gas of one action is kept apart."""
    other = "0x" + "c1" * 20
    scene = Scene(registry(CONTRACT, other), fee_blocks=1000)
    for at, address in enumerate((CONTRACT, other), start=1):
        scene.chain.spent[name(at)] = Spent(address, 50_000 * at, GWEI)
        scene.chain.mine([{**transfer_log(f"t{at}", name(at)), "address": address}])
    scene.settle()
    records = FeeRecords(scene.store, scene.clock, 0.0)
    assert [records.gas(f"1:{address}", "execute_transfer").most for address in (CONTRACT, other)] == [
        50_000,
        100_000,
    ]
