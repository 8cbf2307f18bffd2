from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from shared.app.read_window import read_headers
from shared.errors import ChainUnavailable, ConfigError, FinalityViolation, RateLimited
from tests.support.fake_chain import FakeChain
from tests.support.listener import CONTRACT, Fuse, Killed, Scene, log, registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.app.follow_chain import FollowChain
    from shared.domain.blocks import Header


def _straight(scene: Scene) -> None:
    """Handle all that was published, shuffled and doubled, and compare with the chain."""
    messages = scene.messages() * 2
    random.Random(7).shuffle(messages)
    scene.handle(messages)
    outcome = scene.outcome()
    assert outcome.live == set(scene.canonical())
    assert not outcome.superseded & set(scene.canonical())


def test_back_fill_publishes_every_log_once_in_order() -> None:
    """A new listener reads the past in windows, from the deployment block on."""
    scene = Scene(max_range=50, publish_batch=7)
    scene.grow(333, logs=2)
    steps = scene.settle()
    assert [step.read_through for step in steps][:7] == [50, 100, 150, 200, 250, 269, 285]
    assert scene.logs() == scene.canonical()
    assert scene.cursor()["readThrough"] == 333
    assert max(len(message.data) for message in scene.messages()) < 7 * 1000
    _straight(scene)


def test_hand_over_to_live_neither_loses_nor_doubles() -> None:
    """The chain grows while it is read: every log is published once all the same."""
    scene = Scene(max_range=20)
    scene.grow(150)
    for _ in range(40):
        scene.follow.step()
        scene.grow(3)
    scene.settle()
    assert scene.logs() == scene.canonical()


def test_live_costs_three_requests_a_block() -> None:
    """Near the tip a new block costs head, header and logs (and the two tags, as often as polled)."""
    scene = Scene()
    scene.grow(100)
    scene.settle()
    before = scene.chain.requests
    for _ in range(10):
        scene.grow(1)
        scene.settle()
    assert scene.chain.requests - before <= 31


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


@pytest.mark.parametrize("depth", [1, 7, 60])
def test_a_reorg_publishes_the_removals_then_the_new_logs(depth: int) -> None:
    """What was published of the old blocks is taken back, even though the node has forgotten it."""
    scene = Scene()
    scene.grow(80)
    scene.settle()
    old = scene.canonical()
    scene.chain.reorg(depth, {0: [log(1)], depth - 1: [log(2)]})
    steps = scene.settle()
    assert sum(step.removed for step in steps) == depth
    assert scene.logs(removed=True) == old[-depth:]
    assert scene.logs()[80:] == scene.canonical()[80 - depth :]
    _straight(scene)
    assert scene.outcome().superseded == set(old[-depth:])


def test_a_reorg_while_down_is_found_on_the_way_up() -> None:
    """The window is durable, so a new process sees what changed while there was none."""
    scene = Scene()
    scene.grow(80)
    scene.settle()
    scene.chain.reorg(9)
    scene.grow(5)
    scene.settle(scene.listener())
    _straight(scene)


def test_a_reorg_during_back_fill_is_undone() -> None:
    """A reorg that catches the listener in the middle of the past is one like any other."""
    scene = Scene(max_range=10, window=30)
    scene.grow(100)
    for _ in range(8):
        scene.follow.step()
    assert scene.cursor()["readThrough"] == 86
    scene.chain.reorg(25, {i: [log(i)] for i in range(25)})
    scene.grow(20)
    scene.settle()
    _straight(scene)


def test_a_chain_that_comes_back_is_live_again() -> None:
    """Blocks that were taken back and return outrank their removal, back and forth."""
    scene = Scene()
    scene.grow(20)
    first = list(scene.chain.blocks)
    scene.settle()
    scene.chain.reorg(5, {0: [log(1)]})
    scene.settle()
    second = list(scene.chain.blocks)
    for blocks in (first, second, first):
        scene.chain.blocks = list(blocks)
        scene.settle()
        _straight(scene)


def test_a_chain_that_comes_back_before_the_other_was_read_is_live_again() -> None:
    """The removal and the return fall between the same two values of the counter: it is raised."""
    scene = Scene()
    scene.grow(20)
    first = list(scene.chain.blocks)
    scene.settle()
    scene.chain.reorg(5)
    scene.follow.step()
    scene.chain.blocks = first
    scene.settle()
    _straight(scene)


def test_a_return_that_is_handled_after_finality_is_live_again() -> None:
    """The message says which blocks returned, for by then their removal is forgotten."""
    scene = Scene(window=10)
    scene.grow(20)
    first = list(scene.chain.blocks)
    scene.settle()
    scene.chain.reorg(5)
    scene.settle()
    scene.chain.blocks = first
    scene.settle()
    scene.clock.advance(10)
    scene.grow(60)
    scene.settle()
    scene.clock.advance(10)
    scene.settle()
    assert not scene.store.get("chain_heads", "1")["removedBlocks"]
    _straight(scene)


def test_a_reorg_deeper_than_the_window_stops_loudly() -> None:
    """Another chain below finality is no reorg: an error that is not retried, nothing touched."""
    scene = Scene(window=20)
    scene.grow(60)
    scene.settle()
    published = len(scene.messages())
    scene.chain.reorg(30)
    with pytest.raises(FinalityViolation):
        scene.settle()
    assert len(scene.messages()) == published
    assert scene.cursor()["readThrough"] == 60


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


@pytest.mark.parametrize("blocks", [3, 30])
@pytest.mark.parametrize("request_number", range(1, 7))
def test_a_reorg_amid_a_step_mixes_nothing(blocks: int, request_number: int) -> None:
    """Headers of one chain never meet the logs of another."""
    scene = Scene()
    scene.grow(40)
    scene.settle()
    scene.chain.reorg(1)
    scene.grow(blocks)

    def change() -> None:
        scene.chain.reorg(8, {3: [log(1)], 5: [log(2)]})

    scene.chain.before_request(request_number, change)
    for _ in range(4):
        try:
            scene.settle()
        except ChainUnavailable:
            continue
    scene.grow(1)
    scene.settle()
    _straight(scene)


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


def test_a_node_of_another_chain_is_a_configuration_error() -> None:
    """The chain id is asked for before anything is believed."""
    scene = Scene()
    scene.chain._remote_chain_id = 5
    with pytest.raises(ConfigError):
        scene.follow.step()


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
    _straight(scene)


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


def test_two_listeners_one_publishes_and_the_other_takes_over() -> None:
    """The lease decides who publishes; once it has run out the other goes on where the first stopped."""
    scene = Scene()
    scene.grow(10)
    second = scene.listener(owner="two")
    scene.settle()
    assert second.step().standby
    scene.grow(5)
    scene.clock.advance(scene.settings.lease_s + 1)
    scene.settle(second)
    assert scene.follow.step().standby
    assert scene.logs() == scene.canonical()


@pytest.mark.parametrize("made", [False, True])
def test_paused_past_the_lease_at_any_write_moves_nothing(*, made: bool) -> None:
    """One that wakes after another has taken over is refused, and what it still publishes does no harm."""
    refused = set()
    for at in range(1, 6):
        scene = Scene(publish_batch=2)
        fuse = Fuse(made=made)
        first, second = scene.listener(fuse), scene.listener(owner="two")
        scene.grow(10)
        scene.settle(first)

        def meanwhile(scene: Scene = scene, second: FollowChain = second) -> None:
            scene.clock.advance(scene.settings.lease_s + 1)
            scene.chain.reorg(3, {0: [log(1)]})
            scene.settle(second)
            scene.grow(2)
            scene.settle(second)

        fuse.at, fuse.happens = fuse.writes + at, meanwhile
        scene.grow(5)
        refused.add(first.step().standby)
        first.step()
        assert first.step().standby
        assert scene.cursor()["fence"] == 2
        _straight(scene)
    assert True in refused


@pytest.mark.parametrize("made", [False, True])
def test_killed_between_any_two_writes_nothing_is_lost(*, made: bool) -> None:
    """Killed at every write in turn, amid a life with reorgs, then restarted: all is straight."""
    at = 0
    fuse = Fuse()
    while fuse.writes >= at:
        at += 1
        fuse = Fuse(at=at, made=made)
        scene = Scene(window=10, max_range=8, publish_batch=2)
        follow = scene.listener(fuse)
        happenings = (
            lambda s: s.grow(30, logs=3),
            lambda s: s.chain.reorg(4, {0: [log(1)], 2: [log(2)]}),
            lambda s: s.grow(2),
            lambda s: s.chain.reorg(3),
            lambda s: s.grow(5),
        )
        for happens in happenings:
            happens(scene)
            try:
                scene.settle(follow)
            except Killed:
                follow = scene.listener()
                scene.chain.reorg(1, {0: [log(3)]})
                scene.settle(follow)
        _straight(scene)
    assert at > 60


@pytest.mark.parametrize("made", [False, True])
def test_killed_amid_a_removal_whose_chain_comes_back(*, made: bool) -> None:
    """A removal that was begun is carried through, and what it removed is published again."""
    for at in range(1, 8):
        scene = Scene()
        fuse = Fuse(made=made)
        follow = scene.listener(fuse)
        scene.grow(20)
        scene.settle(follow)
        first = list(scene.chain.blocks)
        scene.chain.reorg(4)
        fuse.at = fuse.writes + at
        with pytest.raises(Killed):
            scene.settle(follow)
        scene.chain.blocks = first
        scene.settle(scene.listener())
        _straight(scene)


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

    scene.chain.before_request(3, leave)
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


class _Stop:
    """A stop signal that lets a number of pauses pass."""

    def __init__(self, scene: Scene, pauses: int) -> None:
        self.waited: list[float] = []
        self._scene = scene
        self._pauses = pauses

    def is_set(self) -> bool:
        return len(self.waited) >= self._pauses

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout or 0.0)
        self._scene.clock.advance(timeout or 0.0)
        return self.is_set()


def test_running_backs_off_from_failures_and_recovers() -> None:
    """Pauses double up to the longest, then fall back to polling; the lease is given back at the end."""
    scene = Scene(backoff_s=1.0, max_backoff_s=4.0, poll_s=0.25)
    scene.grow(3)
    scene.chain.reachable = False
    stop = _Stop(scene, 4)
    scene.follow.run(stop)
    assert stop.waited == [1.0, 2.0, 4.0, 4.0]
    scene.chain.reachable = True
    stop = _Stop(scene, 2)
    scene.follow.run(stop)
    assert stop.waited == [0.25, 0.25]
    assert scene.logs() == scene.canonical()
    assert not scene.listener(owner="two").step().standby


def test_running_waits_as_long_as_the_endpoint_asks() -> None:
    """A Retry-After outlasts our own pause."""
    scene = Scene()
    scene.grow(3)

    def refuse() -> None:
        raise RateLimited("slow down", 17.0)

    scene.chain.before_request(2, refuse)
    stop = _Stop(scene, 1)
    scene.follow.run(stop)
    assert stop.waited == [17.0]


def test_running_ends_with_a_permanent_error() -> None:
    """What no retry can cure ends the run."""
    scene = Scene()
    scene.chain._remote_chain_id = 5
    with pytest.raises(ConfigError):
        scene.follow.run(_Stop(scene, 1))
