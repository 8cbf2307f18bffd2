"""The recorder: one row a block beside the listener, true to the chain, and never in its way."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.app.fee_store import FeeStore
from shared.app.record_fees import RecordFees
from shared.domain.blocks import Header
from shared.domain.fee_reading import FeeHistory
from shared.domain.fee_record import CHUNK_BLOCKS, FEE_HISTORY, TIP_PERCENTILES, FeeRow, chunk_rows
from shared.domain.fee_rows import fee_rows
from shared.domain.metrics import ERRORS, FEE_RECORD_FAILURES
from shared.errors import ChainUnavailable, Conflict, StoreUnavailable
from shared.ports import Query
from tests.support.fake_chain import FakeChain
from tests.support.listener import Fuse, Killed, Scene

if TYPE_CHECKING:
    from collections.abc import Callable

GWEI = 10**9


def stored(scene: Scene) -> dict[int, FeeRow]:
    """Return every row that is stored, by height."""
    documents = [document for _, document in scene.store.query(FEE_HISTORY, Query())]
    return {row.fees.number: row for document in documents for row in chunk_rows(document)}


def documents(scene: Scene) -> dict[str, str]:
    """Return the stored rows of each chunk, as they are written."""
    return {key: document["rows"] for key, document in scene.store.query(FEE_HISTORY, Query())}


def failures(scene: Scene) -> float:
    """Return how many failures were counted."""
    return scene.metrics.counters.get((FEE_RECORD_FAILURES, "1"), 0)


def assert_true(scene: Scene, last: int) -> None:
    """Compare the last rows with the chain's own blocks."""
    rows, blocks = stored(scene), scene.chain.blocks
    assert max(rows) == len(blocks) - 1
    for number in range(len(blocks) - last, len(blocks)):
        block, row = blocks[number], rows[number]
        assert row.block_hash == block.header.hash
        assert row.fees.base_fee_wei == block.fees.base_fee_wei
        assert (row.fees.gas_used, row.fees.gas_limit) == (block.fees.gas_used, block.fees.gas_limit)
        assert row.fees.timestamp == block.header.timestamp
        told = {} if block.tip_wei is None else dict.fromkeys(TIP_PERCENTILES, block.tip_wei)
        assert row.fees.tips == told


def mine(scene: Scene, count: int, tip_wei: int | None = GWEI) -> None:
    """Mine blocks that used gas."""
    for at in range(count):
        scene.chain.mine(gas_used=1_000_000 * (at % 29 + 1), tip_wei=tip_wei)


def test_each_block_leaves_a_row() -> None:
    """A chain that is followed leaves base fee, gas, time, hash and tips of every block near the tip."""
    scene = Scene(fee_blocks=1000)
    mine(scene, 40)
    scene.settle()
    assert_true(scene, 40)
    mine(scene, 1, tip_wei=7)
    scene.settle()
    assert_true(scene, 41)
    assert not failures(scene)


def test_a_block_costs_one_request_more() -> None:
    """Near the tip the recorder asks once a block, for fee history, and not at all while nothing comes."""
    plain, recording = Scene(), Scene(fee_blocks=1000)
    for scene in (plain, recording):
        mine(scene, 10)
        scene.settle()
        scene.chain.requests = 0
        for _ in range(5):
            mine(scene, 1)
            scene.settle()
            scene.settle()
    assert recording.chain.requests == plain.chain.requests + 5


def test_deep_back_fill_records_nothing() -> None:
    """Blocks far below the head are read without a thought of fees: only those read one by one leave rows."""
    scene = Scene(fee_blocks=300, window=8, max_range=50)
    scene.chain.mine_empty(900)
    scene.settle()
    assert min(stored(scene)) > 900 - 8 - 2
    assert scene.chain.history_requests == 1


def test_old_chunks_are_deleted() -> None:
    """Only the chunks that hold the last blocks remain, of this chain alone."""
    scene = Scene(fee_blocks=150)
    other = {"chainId": 7, "chunk": 0, "rows": ""}
    scene.store.put(FEE_HISTORY, "7:0", other)
    for _ in range(50):
        mine(scene, 10)
        scene.settle()
    last = len(scene.chain.blocks) - 1
    oldest = (last - 150 + 1) // CHUNK_BLOCKS
    assert sorted(documents(scene)) == sorted(
        ["7:0", *(f"1:{chunk}" for chunk in range(oldest, last // CHUNK_BLOCKS + 1))]
    )


def test_a_reorg_replaces_the_rows_of_its_heights() -> None:
    """After a reorg, across two chunks too, no row of the blocks that were taken back remains."""
    scene = Scene(fee_blocks=1000)
    mine(scene, 103)
    scene.settle()
    assert "1:1" in documents(scene)
    scene.chain.reorg(10)
    scene.settle()
    assert_true(scene, 60)
    scene.settle()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.booleans(), st.booleans()), min_size=1, max_size=12),
    st.integers(0, 99),
)
def test_whatever_happens_the_rows_are_those_of_the_chain(
    steps: list[tuple[int, bool, bool]], seed: int
) -> None:
    """Any mix of blocks, reorgs and kills ends in the document that one undisturbed run makes."""
    scene, chance = Scene(fee_blocks=400), random.Random(seed)
    mine(scene, 95)
    for blocks, reorg, killed in steps:
        if reorg:
            scene.chain.reorg(min(blocks, 5))
        mine(scene, blocks)
        if killed:
            follow = scene.listener(Fuse(at=chance.randrange(1, 12), made=chance.random() < 0.5))
            with suppress(Killed):
                scene.settle(follow)
            scene.follow = scene.listener()
        else:
            scene.settle()
    scene.settle()
    undisturbed = Scene(fee_blocks=400)
    undisturbed.chain = scene.chain
    undisturbed.follow = undisturbed.listener()
    undisturbed.settle()
    far = len(scene.chain.blocks) - 1
    ours, theirs = stored(scene), stored(undisturbed)
    assert {number: row for number, row in ours.items() if number in theirs} == theirs
    assert max(ours) == far
    assert all(row.block_hash == scene.chain.blocks[number].header.hash for number, row in ours.items())


def test_a_kill_before_the_row_is_made_up_for() -> None:
    """A listener that died after moving its cursor, before recording, is made up for by the next one."""
    scene = Scene(fee_blocks=1000)
    mine(scene, 20)
    scene.settle()
    scene.fee_blocks = 0
    mine(scene, 5)
    scene.settle(scene.listener())
    assert max(stored(scene)) == 20
    scene.fee_blocks = 1000
    scene.settle(scene.listener())
    assert_true(scene, 25)


def test_a_listener_that_lost_its_lease_writes_no_rows() -> None:
    """What a holder of a lower fence wants to write is refused once another has written."""
    scene = Scene(fee_blocks=1000)
    mine(scene, 20)
    scene.settle()
    store = FeeStore(scene.store, 1, 1000)
    rows = list(stored(scene).values())
    wrong = FeeRow(rows[-1].fees, "0x" + "ee" * 32)
    fence = scene.store.get("leases", "follow-chain:1")["fence"]
    before = documents(scene)
    with pytest.raises(Conflict):
        store.write([wrong], 20, {20: wrong.block_hash}, fence - 1)
    assert documents(scene) == before


def failing_history(scene: Scene) -> None:
    """Let the node not answer."""
    scene.chain.history_trouble = ChainUnavailable("no answer in time")


def no_history(scene: Scene) -> None:
    """Let the node not know the method."""
    scene.chain.history_blocks = 0


@pytest.mark.parametrize(("trouble", "counted"), [(failing_history, True), (no_history, False)])
def test_without_fee_history_the_rest_is_recorded(trouble: Callable[[Scene], None], *, counted: bool) -> None:
    """Where fee history fails or is not served, rows have no tips, and it is asked for rarely."""
    scene = Scene(fee_blocks=1000)
    mine(scene, 10)
    trouble(scene)
    scene.settle()
    asked = scene.chain.history_requests
    for _ in range(20):
        mine(scene, 1)
        scene.settle()
    rows = stored(scene)
    assert sorted(rows) == list(range(1, 31))
    assert all(not row.fees.tips for row in rows.values())
    assert scene.cursor()["readThrough"] == 30
    assert scene.chain.history_requests == asked
    assert bool(failures(scene)) == counted
    scene.chain.history_trouble, scene.chain.history_blocks = None, 1024
    scene.clock.advance(700)
    mine(scene, 1)
    scene.settle()
    assert [bool(row.fees.tips) for _, row in sorted(stored(scene).items())[-9:]] == [False, *[True] * 8]


class BrokenStore(FeeStore):
    """A store that cannot be used for a while."""

    broken = True

    def write(self, *arguments: Any) -> None:
        """Refuse, or write."""
        if self.broken:
            raise StoreUnavailable("the store is away")
        super().write(*arguments)


def test_a_store_that_fails_stops_nothing() -> None:
    """While rows cannot be written, blocks are published and read; what was missed is written later."""
    scene = Scene(fee_blocks=1000)
    broken = BrokenStore(scene.store, 1, 1000)
    follow = scene.listener(owner="one")
    follow._fees._store = broken  # type: ignore[union-attr]
    mine(scene, 5)
    scene.grow(1)
    scene.settle(follow)
    assert scene.cursor()["readThrough"] == 6
    assert len(scene.logs()) == 1
    assert failures(scene)
    assert not any(name == ERRORS for name, *_ in scene.metrics.counters)
    broken.broken = False
    scene.clock.advance(6)
    scene.settle(follow)
    assert_true(scene, 6)


def test_a_legacy_chain_leaves_nothing_and_is_asked_nothing() -> None:
    """Without base fees there are no rows, and no request for fee history."""
    scene = Scene(fee_blocks=1000)
    scene.chain = type(scene.chain)(finalized_depth=64, base_fee_wei=None)
    follow = scene.listener()
    for _ in range(3):
        scene.chain.mine_empty(3)
        scene.settle(follow)
    assert documents(scene) == {}
    assert scene.chain.history_requests == 0
    assert scene.cursor()["readThrough"] == 9


def test_a_base_fee_of_zero_is_a_base_fee() -> None:
    """A chain whose base fee is 0 is recorded with 0."""
    scene = Scene(fee_blocks=1000)
    scene.chain = type(scene.chain)(finalized_depth=64, base_fee_wei=0)
    follow = scene.listener()
    mine(scene, 3, tip_wei=5)
    scene.settle(follow)
    assert {row.fees.base_fee_wei for row in stored(scene).values()} <= {0, 1}
    assert stored(scene)[3].fees.tips == dict.fromkeys(TIP_PERCENTILES, 5)


def test_work_in_the_background_is_done_once_at_a_time_and_to_the_end() -> None:
    """Blocks that come while the recorder is at work wait for it, and nothing starts twice."""
    scene, waiting = Scene(fee_blocks=1000), []
    follow = scene.listener()
    follow._fees._background = waiting.append  # type: ignore[union-attr]
    for _ in range(4):
        mine(scene, 1)
        scene.settle(follow)
    assert len(waiting) == 1
    assert documents(scene) == {}
    waiting.pop()()
    assert_true(scene, 4)
    mine(scene, 1)
    scene.settle(follow)
    assert len(waiting) == 1
    waiting.pop()()
    assert_true(scene, 5)


def test_a_damaged_chunk_is_written_anew() -> None:
    """Rows that somebody spoilt by hand are replaced, as far as the chain's last blocks go."""
    scene = Scene(fee_blocks=1000)
    mine(scene, 20)
    scene.settle()
    scene.store.put(FEE_HISTORY, "1:0", {"chainId": 1, "chunk": 0, "rows": "5 nonsense"})
    mine(scene, 1)
    scene.settle(scene.listener())
    assert_true(scene, 20)


@pytest.mark.parametrize("spoilt", [None, "x", [1]])
def test_a_chunk_whose_numbers_were_changed_stops_no_record(spoilt: Any) -> None:
    """A fence that is none keeps nobody out, and a chunk that is none is deleted with the old ones."""
    scene = Scene(fee_blocks=1000)
    mine(scene, CHUNK_BLOCKS - 5)
    scene.settle()
    spoiled = {**(scene.store.get(FEE_HISTORY, "1:0") or {}), "fence": spoilt}
    scene.store.put(FEE_HISTORY, "1:0", spoiled)
    scene.store.put(FEE_HISTORY, "1:x", {"chainId": 1, "chunk": spoilt, "rows": ""})
    mine(scene, 10)
    scene.settle()
    assert_true(scene, 20)
    assert sorted(documents(scene)) == ["1:0", "1:1"]


HEADER = Header(7, "0xaa", "0xbb", 84, base_fee_wei=100, gas_used=15, gas_limit=30)


def history(**changed: Any) -> FeeHistory:
    """Return a fee history of HEADER's block, but for what is changed."""
    told: dict[str, Any] = {
        "oldest": 7,
        "base_fees_wei": (100, 101),
        "uses": (0.5,),
        "tips": ({10: 1, 50: 2},),
    }
    return FeeHistory(**{**told, **changed})


@pytest.mark.parametrize(
    ("told", "tips"),
    [
        (history(), {10: 1, 50: 2}),
        (None, {}),
        (history(oldest=8), {}),
        (history(base_fees_wei=(99, 101)), {}),
        (history(uses=(0.25,)), {}),
        (history(tips=({10: 2, 50: 1},)), {}),
        (history(tips=({},)), {}),
    ],
)
def test_tips_are_those_of_the_very_block(told: FeeHistory | None, tips: dict[float, int]) -> None:
    """Fee history of another fork, or with tips that fall as gas rises, gives no tips."""
    assert [row.fees.tips for row in fee_rows([HEADER], told)] == [tips]


@pytest.mark.parametrize(
    "changed",
    [{"base_fee_wei": None}, {"gas_used": None}, {"gas_limit": None}, {"gas_used": 31}, {"gas_limit": 0}],
)
def test_what_is_no_block_leaves_no_row(changed: dict[str, Any]) -> None:
    """A header without a base fee or gas, or with more gas used than its limit, is left out."""
    assert fee_rows([replace(HEADER, **changed)], history()) == []


def test_a_fault_of_ours_is_not_swallowed() -> None:
    """An error that nobody foresaw is raised where it happens, and the next block begins anew."""
    scene = Scene(fee_blocks=1000)
    follow = scene.listener()
    recorder: Any = follow._fees
    assert isinstance(recorder, RecordFees)
    store, recorder._store = recorder._store, None
    mine(scene, 2)
    with pytest.raises(AttributeError):
        scene.settle(follow)
    recorder._store = store
    mine(scene, 1)
    scene.settle(follow)
    assert_true(scene, 3)


def test_the_fake_tells_its_fees_in_headers() -> None:
    """What a header says of fees is what the block's fee head says."""
    chain = FakeChain()
    chain.mine(gas_used=20_000_000)
    chain.mine()
    assert [block.header.base_fee_wei for block in chain.blocks[1:]] == [
        block.fees.base_fee_wei for block in chain.blocks[1:]
    ]
