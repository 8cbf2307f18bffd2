from __future__ import annotations

import contextlib
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from shared.app.read_window import read_by_block, read_headers
from shared.domain.completeness import SINGLE
from shared.domain.log_coordinates import id_of_log
from shared.errors import ChainUnavailable, DoubtfulAnswer, RateLimited
from tests.support.fake_chain import FakeChain
from tests.support.listener import CONTRACT, Scene, log, registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shared.domain.blocks import Header
    from shared.ports import RawLog, Reading


def _straight(scene: Scene) -> None:
    """Handle all that was published, shuffled and doubled, and compare with the chain."""
    messages = scene.messages() * 2
    random.Random(7).shuffle(messages)
    scene.handle(messages)
    outcome = scene.outcome()
    assert outcome.live == set(scene.canonical())
    assert not outcome.superseded & set(scene.canonical())


def test_back_fill_publishes_every_log_once_in_order() -> None:
    """A new listener reads the past in windows, a narrow one first, from the deployment block on."""
    scene = Scene(max_range=50, publish_batch=7)
    scene.grow(333, logs=2)
    steps = scene.settle()
    assert [step.read_through for step in steps][:7] == [32, 82, 132, 182, 232, 269, 285]
    assert scene.logs() == scene.canonical()
    assert scene.cursor()["readThrough"] == 333
    assert max(len(message.data) for message in scene.messages()) < 7 * 1000
    scene.assert_straight()


def test_hand_over_to_live_neither_loses_nor_doubles() -> None:
    """The chain grows while it is read: every log is published once all the same."""
    scene = Scene(max_range=20)
    scene.grow(150)
    for _ in range(40):
        scene.follow.step()
        scene.grow(3)
    scene.settle()
    assert scene.logs() == scene.canonical()


def test_a_node_that_gives_few_headers_at_once_is_caught_up_with() -> None:
    """A step that asks for more than a limited node gives fails as a whole; the next ones ask for less."""
    scene = Scene()
    scene.grow(150)
    scene.chain.max_headers = 3
    for _ in range(200):
        with contextlib.suppress(RateLimited):
            scene.follow.step()
    assert scene.cursor()["readThrough"] == 150
    assert scene.logs() == scene.canonical()


def test_live_costs_two_requests_a_block() -> None:
    """Near the tip a new block costs its header and its logs (and the two tags, now and then)."""
    scene = Scene(tags_s=5.0)
    scene.grow(100)
    scene.settle()
    before = scene.chain.requests
    for _ in range(10):
        scene.grow(1)
        scene.settle()
    assert scene.chain.requests - before <= 22


def test_start_block_beyond_the_head_waits() -> None:
    """A start block that does not exist yet is ordinary."""
    scene = Scene(start_block=10)
    scene.grow(5)
    assert not scene.follow.step().more
    scene.grow(10)
    scene.settle()
    assert scene.logs() == scene.canonical()[9:]


def test_genesis_is_read_where_a_contract_begins_there() -> None:
    """Block 0 is a block like any other."""
    scene = Scene(contracts=registry(CONTRACT, deployment_block=0))
    scene.settle()
    assert scene.cursor()["readThrough"] == 0


def test_a_refused_range_is_narrowed_and_widened_again() -> None:
    """The window is halved until the node takes it, and doubled once it goes well."""
    scene = Scene(max_range=64, window=8)
    scene.chain.max_range = 5
    scene.grow(200)
    scene.settle()
    assert scene.logs() == scene.canonical()
    scene.chain.max_range = None
    scene.grow(1000)
    assert len(scene.settle()) < 40
    assert scene.logs() == scene.canonical()


def test_a_refusal_of_one_block_is_an_error() -> None:
    """Where even one block is refused the cursor stands and the caller is told."""
    scene = Scene(window=2)
    scene.chain.max_range = 0
    scene.grow(10)
    with pytest.raises(ChainUnavailable):
        scene.settle()
    assert scene.cursor()["readThrough"] == 0


def test_a_lagging_head_is_no_reorg() -> None:
    """A node that has fewer blocks than were read is waited for."""
    scene = Scene()
    scene.grow(50)
    scene.settle()
    scene.chain.lag = 20
    assert not scene.follow.step().more
    scene.chain.lag = 0
    scene.grow(1)
    scene.settle()
    assert not scene.logs(removed=True)
    assert scene.logs() == scene.canonical()


def test_a_missing_block_is_never_passed() -> None:
    """A head without its block (another node answers) is an error to retry; the cursor stands."""
    scene = Scene()
    scene.grow(10)
    scene.settle()
    scene.grow(5)

    def fall_behind() -> None:
        scene.chain.lag = 3

    scene.chain.before_request(2, fall_behind)
    with pytest.raises(ChainUnavailable):
        scene.follow.step()
    assert scene.cursor()["readThrough"] == 10
    scene.chain.lag = 0
    scene.settle()
    assert scene.logs() == scene.canonical()


def test_unreachable_then_back() -> None:
    """While no node answers nothing moves; then it goes on where it stood."""
    scene = Scene()
    scene.grow(10)
    scene.settle()
    scene.grow(10)
    scene.chain.reachable = False
    with pytest.raises(ChainUnavailable):
        scene.follow.step()
    scene.chain.reachable = True
    scene.settle()
    assert scene.logs() == scene.canonical()


def test_a_node_of_another_chain_is_not_believed() -> None:
    """The chain id is asked for before anything is believed, and again until it is the right one."""
    scene = Scene()
    scene.grow(3)
    scene.chain._remote_chain_id = 5
    with pytest.raises(DoubtfulAnswer, match="chain 5"):
        scene.follow.step()
    assert not scene.cursor()
    scene.chain._remote_chain_id = 1
    scene.settle()
    assert scene.logs() == scene.canonical()


def test_a_contract_that_joins_later_is_read_from_its_beginning() -> None:
    """A file added to the registry brings the history that was read without it."""
    other = "0x" + "d1" * 20
    scene = Scene()
    scene.chain.mine([log(1), log(2, other)])
    scene.grow(100)
    scene.settle()
    assert len(set(scene.logs())) == 101
    scene.registry = registry(CONTRACT, other)
    scene.settle(scene.listener())
    assert set(scene.logs()) == set(scene.canonical())
    scene.assert_straight()


def test_finalized_blocks_are_not_kept() -> None:
    """Logs are kept for a reorg only as long as their block may be taken back."""
    scene = Scene(window=16)
    scene.grow(300)
    scene.settle()
    assert scene.kept_blocks() == 16
    scene.grow(40)
    scene.settle()
    assert scene.kept_blocks() == 16
    assert len(scene.cursor()["window"]) == 17


def test_final_blocks_far_behind_the_head_are_asked_for_by_range() -> None:
    """Catching up costs a log query for many blocks that are final; the last 32 are asked for one by one."""
    scene = Scene(finalized_depth=0, max_range=50)
    scene.grow(64)
    scene.settle()
    grades = [segment.get("grade") for segment in scene.cursor()["window"][1:]]
    assert grades == [SINGLE] * 32 + [None] * 32
    assert scene.logs() == scene.canonical()
    scene.clock.advance(scene.settings.second_reading_s + 1)
    scene.settle()
    assert not any("grade" in segment for segment in scene.cursor()["window"])
    assert scene.logs() == scene.canonical()


def test_what_a_range_lacks_near_the_head_is_found() -> None:
    """A block of which a range shows no log is asked for at once; one that shows part, soon after."""
    scene = Scene(finalized_depth=0)
    scene.grow(64, logs=2)
    for log_of in (*scene.chain.blocks[10].logs, scene.chain.blocks[20].logs[0]):
        scene.chain.lose_log(log_of)
    scene.settle()
    lacking = set(scene.canonical()) - set(scene.logs())
    assert lacking == {id_of_log(1, scene.chain.blocks[20].logs[0])}
    scene.clock.advance(scene.settings.second_reading_s + 1)
    scene.settle()
    assert set(scene.logs()) == set(scene.canonical())
    scene.assert_straight()


def test_a_block_of_a_range_that_cannot_be_read_ends_what_was_read() -> None:
    """What lies before it is published; it is asked for again with the next step."""
    scene = Scene(finalized_depth=0)
    scene.grow(64)
    for number in (9, 10):
        scene.chain.lose_log(scene.chain.blocks[number].logs[0])

    def away() -> None:
        scene.chain.reachable = False

    scene.chain.before_request(9, away)
    assert scene.follow.step().read_through == 9
    scene.chain.reachable = True
    scene.settle()
    assert scene.logs() == scene.canonical()


def test_logs_of_another_block_of_the_height_are_refused() -> None:
    """A node that answers from another chain in between is not believed."""
    scene = Scene(window=4)
    scene.grow(20)
    scene.settle()
    scene.grow(8)
    first = list(scene.chain.blocks)

    def leave() -> None:
        scene.chain.reorg(8, {i: [log(i)] for i in range(8)})
        scene.chain.before_request(1, come_back)

    def come_back() -> None:
        scene.chain.blocks = list(first)

    scene.chain.before_request(5, leave)
    with pytest.raises(ChainUnavailable):
        scene.follow.step()
    assert scene.cursor()["readThrough"] == 20


def test_headers_that_do_not_link_are_refused() -> None:
    """One batch answered from two chains is not believed."""

    class Mixed(FakeChain):
        def headers(self, numbers: Sequence[int]) -> list[Header | None]:
            before = super().headers(numbers)
            self.reorg(3)
            return [*before[:-1], *super().headers(numbers[-1:])]

    chain = Mixed()
    chain.mine_empty(5)
    with pytest.raises(ChainUnavailable):
        read_headers(chain, range(1, 6))


class _OneLogShort(FakeChain):
    """A chain without receipts whose range queries lack the last log."""

    def read_blocks(self, headers: Sequence[Header], addresses: Sequence[str]) -> Iterator[Reading]:
        for reading in super().read_blocks(headers, addresses):
            yield replace(reading, proved=False, senders={})

    def logs(
        self, first: int, last: int, addresses: Sequence[str], topics: Sequence[Sequence[str] | None] = ()
    ) -> list[RawLog]:
        return super().logs(first, last, addresses, topics)[:-1]


def test_who_sent_a_log_is_told_of_each_or_the_block_is_read_again() -> None:
    """A node that gives a log by its block and not by its range is doubted: who sent it stays unknown."""
    chain = _OneLogShort()
    chain.mine([log(1), log(2)])
    with pytest.raises(DoubtfulAnswer, match="once, and not again"):
        read_by_block(chain, [chain.blocks[1].header], [CONTRACT], with_senders=True)
    assert len(read_by_block(chain, [chain.blocks[1].header], [CONTRACT]).blocks[0].logs) == 2
