"""Reads go where they are served: failing over, staying, coming back."""

from __future__ import annotations

import contextlib
import logging
import random
from threading import Thread
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.adapters.endpoint_standing import Standing
from shared.adapters.json_rpc_failures import CallRefused, NoAnswer, NotThere
from shared.errors import ChainUnavailable, ConfigError, DoubtfulAnswer, RangeRefused, RateLimited
from tests.support.endpoints import Fleet

DEAD = ChainUnavailable("cannot be reached")
STALLED = NoAnswer("did not answer within 5 s")
FAILURES = [
    DEAD,
    STALLED,
    RateLimited("too many"),
    RateLimited("too many", 7.0),
    CallRefused("header not found", -32000),
    NotThere("has no block 5"),
    DoubtfulAnswer("another root"),
]


def test_the_first_serves_as_long_as_it_does() -> None:
    """While all is well the first endpoint answers every read, and its chain id is asked for once."""
    fleet = Fleet(3)
    assert {fleet.read() for _ in range(100)} == {"endpoint 1"}
    assert fleet.all[0].log.count("eth_chainId") == 1
    assert [endpoint.requests for endpoint in fleet.all] == [101, 0, 0]
    assert fleet.pool.rotations == 0


@pytest.mark.parametrize("failure", FAILURES, ids=repr)
def test_another_answers_within_the_call(failure: ChainUnavailable) -> None:
    """A read that the current endpoint cannot serve is served by the next, which is read from then on."""
    fleet = Fleet()
    fleet.read()
    fleet.all[0].failure = failure
    assert [fleet.read() for _ in range(5)] == ["endpoint 2"] * 5
    assert fleet.all[0].requests == 3
    assert fleet.pool.rotations == 1


def test_the_next_is_stayed_with() -> None:
    """The one that serves is read from though the first is as good again, until its time is over."""
    fleet = Fleet()
    fleet.all[0].failure = DEAD
    fleet.read()
    fleet.all[0].failure = None
    fleet.clock.advance(0.2)
    assert fleet.read() == "endpoint 2"


def test_the_first_comes_back() -> None:
    """An endpoint that serves again has its turn again, found out by a probe and not by a read."""
    fleet = Fleet()
    fleet.all[0].failure = DEAD
    fleet.look()
    fleet.all[0].failure = None
    fleet.pass_s(30)
    assert fleet.read() == "endpoint 1"
    assert fleet.pool.rotations == 2
    assert [each.trouble for each in fleet.pool.health()] == [None, None]
    assert fleet.all[0].log.count("eth_chainId") == 3  # at first, by the probe, at the change


def test_one_whose_time_is_over_helps_out() -> None:
    """An endpoint that failed before and was not probed yet is tried where the one in its place fails."""
    fleet = Fleet(background=lambda _work: None)
    fleet.all[0].failure = DEAD
    assert fleet.read() == "endpoint 2"
    fleet.all[0].failure, fleet.all[1].failure = None, DEAD
    fleet.clock.advance(0.6)
    assert fleet.read() == "endpoint 1"


def test_a_dead_endpoint_holds_up_one_read() -> None:
    """An endpoint that times out costs its time once; then it is probed less and less, apart from reads."""
    fleet = Fleet()
    fleet.look()
    fleet.all[0].failure, fleet.all[0].fails_after_s = STALLED, 0.0
    before = fleet.all[0].requests
    reads = [fleet.read() for _ in range(5)]
    assert reads == ["endpoint 2"] * 5
    assert fleet.all[0].requests == before + 1
    fleet.pass_s(120)
    assert fleet.all[0].requests - before <= 10  # at 0, 0.5, 1.5, 3.5, ... 31.5, 61.5, 91.5 s
    assert set(fleet.all[0].log[before:]) <= {"eth_call", "eth_chainId"}


def test_one_alone_is_always_asked() -> None:
    """With a single endpoint each read is tried a few times, and succeeds as soon as that is back."""
    fleet = Fleet(1)
    fleet.all[0].failure = DEAD
    for _ in range(3):
        with pytest.raises(ChainUnavailable, match="cannot be reached"):
            fleet.read()
    assert fleet.all[0].requests == 3 * 4
    fleet.all[0].failure = None
    assert fleet.read() == "endpoint 1"
    assert fleet.pool.rotations == 0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("failure", "least"),
    [(DEAD, 85), (RateLimited("too many"), 85), (CallRefused("internal error", -32603), 60)],
    ids=repr,
)
def test_one_alone_that_fails_at_random_serves(failure: ChainUnavailable, least: int, seed: int) -> None:
    """Of an endpoint that fails every other request most reads are served, within about a second each."""
    fleet, chance = Fleet(1), random.Random(seed)
    fleet.all[0].answers = lambda *_: _raise(failure) if chance.random() < 0.5 else "served"
    fleet.look()
    served, started = 0, fleet.clock.monotonic_s()
    for _ in range(100):
        with contextlib.suppress(ChainUnavailable):
            served += fleet.read() == "served"
    assert served >= least
    assert fleet.clock.monotonic_s() - started < 100


@pytest.mark.parametrize(
    "failure",
    [
        DoubtfulAnswer("another root"),
        CallRefused("method not found", -32601),
        RateLimited("too many", 10.0),
    ],
    ids=repr,
)  # fmt: skip
def test_one_alone_is_asked_once_what_will_not_pass(failure: ChainUnavailable) -> None:
    """What is an answer is not asked for again within the read."""
    fleet = Fleet(1)
    fleet.read()
    fleet.all[0].failure = failure
    with pytest.raises(ChainUnavailable):
        fleet.read()
    assert fleet.all[0].requests == 3


def test_one_alone_that_stalls_is_asked_once_more() -> None:
    """A request that is lost costs its time-out, and not what the step has read before it."""
    fleet = Fleet(1)
    fleet.read()
    stalls = 1

    def answer(*_: Any) -> str:
        nonlocal stalls
        stalls -= 1
        if stalls >= 0:
            fleet.clock.advance(5)
            raise STALLED
        return "served"

    fleet.all[0].answers = answer
    assert fleet.read() == "served"
    stalls, before = 9, fleet.all[0].requests
    with pytest.raises(NoAnswer):
        fleet.read()
    assert fleet.all[0].requests - before == 2


def test_a_short_pause_is_waited_for() -> None:
    """Of a single endpoint that asks for a second's pause the read is served after it, and not before."""
    fleet = Fleet(1)
    fleet.read()
    asked: list[float] = []

    def answer(*_: Any) -> str:
        asked.append(fleet.clock.monotonic_s())
        return _raise(RateLimited("slow down", 1.0)) if len(asked) == 1 else "served"

    fleet.all[0].answers = answer
    assert fleet.read() == "served"
    assert asked[1] - asked[0] >= 1


def test_an_outage_of_all_is_over_at_once() -> None:
    """While no endpoint answers each read costs one request, and the first one back serves the next reads."""
    fleet = Fleet(3)
    for endpoint in fleet.all:
        endpoint.failure = DEAD
    with pytest.raises(ChainUnavailable):
        fleet.read()
    before = fleet.pool.requests
    for _ in range(10):
        with pytest.raises(ChainUnavailable):
            fleet.read()
    assert fleet.pool.requests - before == 10
    for endpoint in fleet.all:
        endpoint.failure = None
    assert fleet.read()


def test_an_endpoint_of_another_chain_is_not_read_from() -> None:
    """The chain id is verified at each change: one that serves another chain by now is passed over."""
    fleet = Fleet(3)
    fleet.read()
    fleet.all[0].failure, fleet.all[1].chain_id = DEAD, 5
    assert fleet.read() == "endpoint 3"
    assert fleet.all[1].log == ["eth_chainId"]
    assert fleet.pool.health()[1].trouble == "endpoint 2 serves chain 5, not 1"


def test_what_was_another_chain_in_between() -> None:
    """An endpoint that served our chain a moment ago, as a witness, is verified again when reads go to it."""
    fleet = Fleet(3)
    fleet.read()
    fleet.pool.run_other(lambda endpoint: endpoint.call("eth_call"), "endpoint 1")
    fleet.all[0].failure, fleet.all[1].chain_id = DEAD, 5
    assert fleet.read() == "endpoint 3"


def test_an_endpoint_may_come_back_as_another_chain() -> None:
    """After a failure even a single endpoint is asked again which chain it serves."""
    fleet = Fleet(1)
    fleet.read()
    fleet.all[0].failure = DEAD
    with pytest.raises(ChainUnavailable):
        fleet.read()
    fleet.all[0].failure, fleet.all[0].chain_id = None, 5
    with pytest.raises(ChainUnavailable, match="serves chain 5"):
        fleet.read()
    assert fleet.all[0].log == ["eth_chainId", "eth_call", *["eth_call"] * 4, "eth_chainId"]


def test_retry_after_is_kept() -> None:
    """An endpoint that asked for a pause is not asked before it is over, whoever else fails."""
    fleet = Fleet(1)
    fleet.read()
    fleet.all[0].failure = RateLimited("slow down", 10.0)
    with pytest.raises(RateLimited):
        fleet.read()
    fleet.all[0].failure = None
    before = fleet.all[0].requests
    for passed in range(1, 9):
        fleet.clock.advance(1)
        with pytest.raises(RateLimited) as caught:
            fleet.read()
        assert caught.value.retry_after_s == pytest.approx(10 - passed, abs=0.1)
    assert fleet.all[0].requests == before
    assert fleet.pool.health()[0].errors == 1
    fleet.clock.advance(1)
    failed = fleet.clock.monotonic_s()
    assert fleet.read() == "endpoint 1"
    assert fleet.clock.monotonic_s() - failed >= 1


def test_a_rate_limit_is_told_before_other_failures() -> None:
    """Where every endpoint fails, a rate limit among them is what the caller learns."""
    fleet = Fleet()
    fleet.all[0].failure, fleet.all[1].failure = DEAD, RateLimited("slow down", 3.0)
    with pytest.raises(RateLimited) as caught:
        fleet.read()
    assert caught.value.retry_after_s == 3.0


def test_what_no_endpoint_has_is_held_against_none() -> None:
    """A question that every endpoint refuses leaves the current one current, and nobody avoided."""
    fleet = Fleet()
    for endpoint in fleet.all:
        endpoint.failure = CallRefused("unknown block", -32000)
    with pytest.raises(CallRefused):
        fleet.read()
    assert fleet.pool.rotations == 0
    assert [(each.trouble, each.errors) for each in fleet.pool.health()] == [(None, 1), (None, 1)]


def test_a_refused_range_is_for_the_caller() -> None:
    """A refused range is told at once: no other endpoint is asked."""
    fleet = Fleet()
    fleet.all[0].failure = RangeRefused("too many blocks")
    with pytest.raises(RangeRefused):
        fleet.read()
    assert fleet.all[1].requests == 0


def test_the_one_that_refuses_in_anothers_place_is_current() -> None:
    """Where the next endpoint refuses a range, the caller's smaller one goes to that endpoint."""
    fleet = Fleet()
    fleet.read()
    fleet.all[0].failure, fleet.all[1].failure = DEAD, None
    fleet.all[1].answers = lambda *_: _raise(RangeRefused("too many blocks"))
    with pytest.raises(RangeRefused):
        fleet.read()
    assert fleet.pool.current is fleet.all[1]


def test_a_doubted_endpoint_is_left() -> None:
    """The endpoint that a thread last read from is left when doubted, though it answers."""
    fleet = Fleet()
    assert fleet.read() == "endpoint 1"
    fleet.pool.doubt("its logs are not those of its block")
    assert fleet.read() == "endpoint 2"
    assert fleet.pool.health()[0].trouble == "its logs are not those of its block"


def test_a_doubted_witness_is_not_the_current_endpoint() -> None:
    """Doubt falls on whom this thread last read from, which may be a witness."""
    fleet = Fleet()
    fleet.read()
    fleet.pool.run_other(lambda endpoint: endpoint.call("eth_call"), "endpoint 1")
    fleet.pool.doubt("a lie")
    assert [each.trouble for each in fleet.pool.health()] == [None, "a lie"]


def test_what_failed_and_is_doubted_for_it_counts_once() -> None:
    """A caller that doubts the endpoint for the very answer that was already held against it adds nothing."""
    fleet = Fleet(1)
    fleet.all[0].failure = DoubtfulAnswer("another root")
    with pytest.raises(DoubtfulAnswer):
        fleet.read()
    fleet.pool.doubt("another root")
    assert fleet.pool.health()[0].errors == 1


def test_each_thread_doubts_what_it_read_itself() -> None:
    """A witness that one thread read from is not doubted for what another read."""
    fleet = Fleet()
    fleet.read()
    witness = Thread(target=lambda: fleet.pool.run_other(lambda it: it.call("eth_call"), "endpoint 1"))
    witness.start()
    witness.join()
    fleet.pool.doubt("a lie")
    assert [each.trouble for each in fleet.pool.health()] == ["a lie", None]


def test_doubted_again_and_again_it_stays_away_longer() -> None:
    """An endpoint that lies whenever it is read from is read from ever more seldom."""
    fleet = Fleet()
    lies = []
    for _ in range(600):
        if fleet.look() and fleet.read() == "endpoint 1":
            lies.append(fleet.clock.monotonic_s())
            fleet.pool.doubt("a lie")
        fleet.clock.advance(0.5)
    assert len(lies) <= 15
    assert lies[-1] - lies[-2] >= 30


def test_a_stuck_endpoint_is_left_within_seconds() -> None:
    """An endpoint whose head stands still while another's grows is left until it has caught up."""
    fleet = Fleet()
    fleet.pass_s(20, block_s=2)
    fleet.all[0].stuck = True
    fleet.pass_s(14, block_s=2)
    assert fleet.pool.current is fleet.all[1]
    assert "blocks behind" in str(fleet.pool.health()[0].trouble)
    assert fleet.look() == fleet.all[1].head
    fleet.pass_s(60, block_s=2)
    assert fleet.pool.current is fleet.all[1]
    fleet.all[0].stuck, fleet.all[0].head = False, fleet.all[1].head
    fleet.pass_s(45, block_s=2)
    assert fleet.pool.current is fleet.all[0]


@pytest.mark.parametrize(("block_s", "within_s"), [(0.5, 4.0), (1.0, 5.0), (2.0, 5.5)])
def test_a_stuck_endpoint_is_left_soon_where_blocks_come_fast(block_s: float, within_s: float) -> None:
    """A head that lacks a block when one is due is compared with another's at once, and left 2 s after."""
    fleet = Fleet()
    fleet.pass_s(20, block_s=block_s)
    fleet.all[0].stuck = True
    fleet.pass_s(within_s, block_s=block_s)
    assert fleet.pool.current is fleet.all[1]


def test_a_stuck_endpoint_of_a_slow_chain_is_left() -> None:
    """Where blocks are seldom, an endpoint is left before it lacks many of them."""
    fleet = Fleet()
    fleet.pass_s(60, block_s=12)
    fleet.all[0].stuck = True
    fleet.pass_s(45, block_s=12)
    assert fleet.pool.current is fleet.all[1]


def test_one_that_follows_a_little_behind_is_not_stuck() -> None:
    """A head always behind another's that reaches each of its heights in time does not count as late."""
    standing = Standing(Fleet(1).all[0], 0, lambda: 0.0)  # type: ignore[arg-type]
    for second in range(60):
        standing.saw_head(100 + second, float(second), 0.01, 102 + second)
        assert standing.behind is not None
        assert second - standing.behind[1] <= 2


@pytest.mark.parametrize("block_s", [0.25, 2.0, 12.0])
def test_one_that_keeps_up_is_not_left(block_s: float) -> None:
    """However fast blocks come, an endpoint with a head a moment older than another's is stayed with."""
    fleet = Fleet()
    fleet.all[1].head += round(1 / block_s)  # a second ahead
    fleet.pass_s(120, block_s=block_s)
    assert fleet.pool.rotations == 0


def test_a_chain_that_stands_still_is_nobodys_fault() -> None:
    """While no endpoint has a newer head, the current one stays."""
    fleet = Fleet()
    fleet.pass_s(20, block_s=2)
    fleet.pass_s(120)
    assert fleet.pool.rotations == 0


def test_a_slow_endpoint_is_left_for_a_fast_one() -> None:
    """An endpoint that became very slow is left for one that is clearly faster."""
    fleet = Fleet()
    fleet.pass_s(10, block_s=2)
    fleet.all[0].takes_s = 2.0
    fleet.pass_s(20, block_s=2)
    assert fleet.pool.current is fleet.all[1]


def test_the_others_are_probed_seldom() -> None:
    """While all is well an endpoint that is not read from costs a request in ten seconds at most."""
    fleet = Fleet()
    fleet.pass_s(300, block_s=2)
    assert fleet.all[1].requests <= 30


def test_a_witness_is_another() -> None:
    """Who bears witness is another endpoint, or the same where there is no other."""
    fleet = Fleet()
    fleet.read()

    def witness() -> Any:
        return fleet.pool.run_other(lambda endpoint: endpoint.call("eth_call"), "endpoint 1")

    assert witness() == "endpoint 2"
    fleet.all[1].failure = DEAD
    assert witness() == "endpoint 1"
    assert fleet.pool.rotations == 0
    assert Fleet(1).pool.run_other(lambda it: it.call("eth_call"), "endpoint 1") == "endpoint 1"


def test_votes_leave_out_who_is_avoided() -> None:
    """A vote is asked of every endpoint that nothing speaks against; without any answer that is an error."""
    fleet = Fleet(3)
    fleet.all[1].failure = DEAD

    def votes() -> list[Any]:
        return fleet.pool.each(lambda endpoint: endpoint.call("eth_call"))

    assert votes() == ["endpoint 1", "endpoint 3"]
    asked = fleet.all[1].requests
    assert votes() == ["endpoint 1", "endpoint 3"]
    assert fleet.all[1].requests == asked
    for endpoint in fleet.all:
        endpoint.failure = DEAD
    with pytest.raises(ChainUnavailable):
        votes()


def test_each_change_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """A change of endpoints is logged with both names and the reason."""
    fleet = Fleet()
    fleet.all[0].failure = DEAD
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            fleet.read()
    assert caplog.messages == ["chain 1: reads go from endpoint 1 to endpoint 2: cannot be reached"]


def test_no_endpoint_at_all() -> None:
    """A pool of no endpoints is a configuration error."""
    with pytest.raises(ConfigError, match="chain 1"):
        Fleet(0)


@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from([None, *FAILURES]), min_size=3, max_size=3), st.floats(0, 40)),
        max_size=30,
    )
)
@settings(max_examples=100, deadline=None)
def test_whatever_happens_one_that_serves_is_found(story: list[tuple[list[Any], float]]) -> None:
    """After any history of failures a read is served half a minute after somebody serves, at few requests."""
    fleet = Fleet(3)
    for failures, pause_s in story:
        for endpoint, failure in zip(fleet.all, failures, strict=True):
            endpoint.failure = failure
        before = fleet.pool.requests
        try:
            served = fleet.read()
        except ChainUnavailable:
            served = ""
        else:
            assert fleet.all[int(served[-1]) - 1].failure is None
        assert fleet.pool.requests - before <= 3 * 2 + 2 * 2  # verify and read, and probes of two
        fleet.clock.advance(pause_s)
    for endpoint in fleet.all:
        endpoint.failure = None
    fleet.clock.advance(31)
    assert fleet.read()


def test_requests_during_a_fault() -> None:
    """While the first of two endpoints fails in any way, there are less than twice the healthy requests."""
    for failure in FAILURES:
        fleet = Fleet()
        fleet.pass_s(30, block_s=2)
        healthy = fleet.pool.requests / 30
        fleet.all[0].failure = failure
        before = fleet.pool.requests
        fleet.pass_s(30, block_s=2)
        assert (fleet.pool.requests - before) / 30 < 2 * healthy


def _raise(error: Exception) -> Any:
    raise error
