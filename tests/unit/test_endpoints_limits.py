"""What endpoints allow is learned: blocks in a query, requests a second, time for an answer."""

from __future__ import annotations

import contextlib
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.adapters.endpoint_limits import EndpointLimits, RangeLimit
from shared.adapters.ethereum_shapes import LogFilter
from shared.adapters.json_rpc_failures import CallRefused
from shared.adapters.log_ranges import LogRanges
from shared.adapters.patience import Patience
from shared.adapters.request_rate import RequestRate
from shared.errors import RangeRefused, RateLimited
from tests.support.clock import FakeClock
from tests.support.endpoints import Fleet

WANTED = LogFilter(["0x" + "c0" * 20])


class Node:
    """A node that takes ``most`` blocks at once and says so or not, asked by somebody who wants ``wish``."""

    def __init__(self, most: int, text: str = "block range is too wide", wish: int = 2000) -> None:
        self.clock = FakeClock()
        self.clock.advance(1000)
        self.limit = RangeLimit(self.clock.monotonic_s)
        self.most = most
        self.text = text
        self.wish = wish
        self.refused = 0

    def query(self, times: int = 1, *, every_s: float = 0.1) -> None:
        """Ask for as many blocks as the limit lets."""
        for _ in range(times):
            asked = self.wish if self.limit.blocks is None else min(self.wish, self.limit.blocks)
            if asked > self.most:
                self.refused += 1
                self.limit.refused(asked, self.text)
            else:
                self.limit.served(asked)
            self.clock.advance(every_s)


@pytest.mark.parametrize("most", [1, 7, 10, 100, 499, 1000, 1999])
@pytest.mark.parametrize("text", ["block range is too wide", "zu gross"])
def test_the_limit_is_found(most: int, text: str) -> None:
    """A limit of any size is found in few refusals, kept just under, and seldom tried again."""
    node = Node(most, text)
    node.query(300)
    assert node.limit.blocks is not None
    assert node.refused <= 35
    before = node.refused
    node.query(3600, every_s=1.0)
    if text == "zu gross":  # half of what it takes, at least, and a refusal in 16 queries
        assert most <= 2 * node.limit.blocks <= 4 * most
        assert node.refused - before <= 3600 / 16
    else:
        assert 0.8 * most <= node.limit.blocks <= most
        assert node.refused - before <= 12
    node.most = 10**9
    node.query(3000, every_s=1.0)
    assert node.limit.blocks is None or node.limit.blocks >= 2000


def test_a_limit_that_is_told_is_taken() -> None:
    """A limit in the endpoint's words is kept to at once."""
    node = Node(10, "you can make requests with up to a 10 block range")
    node.query(200)
    assert node.limit.blocks == 10
    assert node.refused == 1


def test_what_was_refused_is_tried_again_after_ten_minutes() -> None:
    """Just under what was refused the limit stays for ten minutes; then one query tries it."""
    node = Node(100, "limited to 100 blocks")
    node.query(500, every_s=1.0)
    assert node.refused == 1
    node.query(200, every_s=1.0)
    assert node.refused == 2
    assert node.limit.blocks == 100


def test_full_blocks_narrow_for_now() -> None:
    """Too many results narrow the query while blocks are full; eight good queries later it is wider again."""
    node = Node(100, "query returned more than 10000 results")
    node.query(5)
    assert node.limit.blocks == 62
    node.most = 10**9
    node.query(8)
    assert node.limit.blocks == 124
    node.query(32)
    assert node.limit.blocks is not None
    assert node.limit.blocks >= 1984


def test_passing_failures_do_not_narrow_for_long() -> None:
    """An endpoint that fails at random, in words that may mean anything, is asked for wide ranges still."""
    clock = FakeClock()
    limit = RangeLimit(clock.monotonic_s)
    widths = []
    state = 12345
    for _ in range(2000):
        asked = 2000 if limit.blocks is None else min(2000, limit.blocks)
        widths.append(asked)
        state = (state * 1103515245 + 12345) % 2**31
        if state / 2**31 < 0.2 and asked > 1:
            limit.refused(asked, "Internal error")
        else:
            limit.served(asked)
        clock.advance(0.1)
    assert sum(widths) / len(widths) > 500


def test_failures_without_a_word_narrow_in_time() -> None:
    """A server that fails on wide ranges is asked for narrower ones, and for wider ones soon after."""
    limit = RangeLimit(FakeClock().monotonic_s)
    for _ in range(8):
        limit.failed(limit.blocks or 2000)
    assert limit.blocks == 500
    for _ in range(16):
        limit.served(limit.blocks or 2000)
    assert limit.blocks is not None
    assert limit.blocks >= 2000
    for _ in range(100):
        limit.failed(2)
        limit.failed(1)
    assert limit.blocks == 1


def test_a_width_that_gets_no_answer_is_tried_ever_more_seldom() -> None:
    """Each try costs a time-out: of three hundred queries hardly one in ten is in vain."""
    limit, in_vain = RangeLimit(FakeClock().monotonic_s), 0
    for _ in range(300):
        asked = min(limit.blocks or 2000, 2000)
        if asked > 10:
            in_vain += 1
            limit.unanswered(asked)
        else:
            limit.served(asked)
    assert in_vain <= 30
    for _ in range(200):
        limit.served(min(limit.blocks or 2000, 2000))
    assert limit.blocks is None or limit.blocks >= 2000


@given(
    st.lists(st.tuples(st.integers(1, 100_000), st.sampled_from(["ok", "range", "results", "odd", "none"])))
)
@settings(max_examples=200)
def test_a_limit_is_a_number_of_blocks(story: list[tuple[int, str]]) -> None:
    """Whatever is refused and served, the limit is at least one block, and below what was refused last."""
    limit = RangeLimit(FakeClock().monotonic_s)
    texts = {"range": "max 77 blocks", "results": "too many results", "odd": "42"}
    for asked, outcome in story:
        if outcome == "ok":
            limit.served(asked)
        elif outcome == "none":
            limit.unanswered(asked)
        elif asked > 1 and limit.refused(asked, texts[outcome]):
            assert limit.blocks is not None
            assert limit.blocks < asked
        assert limit.blocks is None or limit.blocks >= 1


def test_a_known_limit_costs_no_request() -> None:
    """What an endpoint is known to refuse is not sent to it."""
    fleet = Fleet(1)
    fleet.all[0].answers = lambda *_: []
    fleet.pool.learn({"endpoint-1": {"rangeBlocks": 100}})
    ranges = LogRanges(fleet.pool)
    with pytest.raises(RangeRefused, match="takes 100 at once"):
        fleet.pool.run(lambda endpoint: ranges.logs(endpoint, WANTED, 1, 101))
    assert "eth_getLogs" not in fleet.all[0].log
    assert fleet.pool.run(lambda endpoint: ranges.logs(endpoint, WANTED, 1, 100)) == []


@pytest.mark.parametrize(("pause_s", "found"), [(None, 10), (1.0, None)])
def test_a_size_refused_as_a_rate_is_found_out(pause_s: float | None, found: int | None) -> None:
    """Words of a rate may mean the size: what is refused again and again is asked for in less, and goes on.

    An endpoint that says when to come again means a rate.
    """
    fleet = Fleet(1)
    ranges = LogRanges(fleet.pool)

    def capped(_method: str, params: Any) -> Any:
        if int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) >= 10:
            raise RateLimited("quota exceeded", pause_s)
        return []

    fleet.all[0].answers = capped
    limit = fleet.pool.limits(fleet.all[0]).range
    for _ in range(40):
        with contextlib.suppress(RangeRefused, RateLimited):
            fleet.pool.run(lambda endpoint: ranges.logs(endpoint, WANTED, 1, min(limit.blocks or 40, 40)))
        fleet.clock.advance(5)
        if limit.blocks == 10:
            break
    assert limit.blocks == found


def test_a_witness_is_asked_in_parts() -> None:
    """A witness with a lower limit is asked in parts that it takes, found out on the way, unless too many."""
    fleet = Fleet()
    ranges = LogRanges(fleet.pool)
    asked: list[int] = []

    def capped(_method: str, params: Any) -> Any:
        blocks = int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) + 1
        asked.append(blocks)
        if blocks > 100:
            raise CallRefused("limited to 100 blocks", -32000)
        return []

    fleet.all[1].answers = capped

    def witness(blocks: int) -> Any:
        return fleet.pool.run_other(
            lambda endpoint: (endpoint.name, ranges.logs_in_parts(endpoint, WANTED, 1, blocks)), "endpoint 1"
        )

    assert witness(1000) == ("endpoint 2", [])
    assert asked == [1000] + [100] * 10
    fleet.all[0].answers = lambda *_: []
    assert witness(100_000) == ("endpoint 1", [])


def test_learned_limits_survive_a_restart() -> None:
    """What was learned is JSON under each endpoint's key, taken up by the next process, and nothing else."""
    first = Fleet()
    first.pool.limits(first.all[1]).range.refused(2000, "limited to 500 blocks")
    first.pool.limits(first.all[1]).rate.learn(2.0)
    told = json.loads(json.dumps(first.pool.learned()))
    assert told == {"endpoint-2": {"rangeBlocks": 500, "refusedBlocks": 501, "requestsPerS": 2.0}}
    second = Fleet()
    second.pool.learn({**told, "endpoint-9": told["endpoint-2"]})
    assert second.pool.learned() == told
    assert [each.range_blocks for each in second.pool.health()] == [None, 500]


@pytest.mark.parametrize(
    "document", [None, 5, [], {"rangeBlocks": "500"}, {"rangeBlocks": -1, "requestsPerS": True}]
)
def test_a_strange_document_teaches_nothing(document: Any) -> None:
    """What is stored in another form is left out."""
    limits = EndpointLimits(FakeClock().monotonic_s)
    limits.learn(document)
    assert limits.learned() == {}


def drive(rate: RequestRate, clock: FakeClock, allowed: float, seconds: float) -> tuple[int, int]:
    """Send requests as fast as the rate lets, at most 50 a second; tell how many were served and refused."""
    served = refused = 0
    sent: list[float] = []
    end = clock.monotonic_s() + seconds
    while clock.monotonic_s() < end:
        clock.advance(max(0.02, rate.wait_s(clock.monotonic_s())))
        now = clock.monotonic_s()
        sent = [at for at in sent if at > now - 1]
        if len(sent) >= allowed:
            refused += 1
            rate.spent(1, now, answered=False)
            rate.refused()
            clock.advance(0.5)  # the pool avoids it meanwhile
        else:
            sent.append(now)
            served += 1
            rate.spent(1, now, answered=True)
    return served, refused


@pytest.mark.parametrize("allowed", [3, 5, 10, 25])
def test_the_pace_is_found(allowed: int) -> None:
    """An endpoint of a limited rate is soon asked at most of it, and seldom refuses."""
    clock = FakeClock()
    clock.advance(1000)
    rate = RequestRate(clock.monotonic_s)
    drive(rate, clock, allowed, 120)
    served, refused = drive(rate, clock, allowed, 600)
    assert served >= 0.7 * allowed * 600
    assert refused <= 15


def test_the_pace_is_free_again() -> None:
    """When refusals end there is no limit any more within minutes, and no lack of speed within one."""
    clock = FakeClock()
    clock.advance(1000)
    rate = RequestRate(clock.monotonic_s)
    drive(rate, clock, 10, 60)
    assert rate.per_s is not None
    served, _ = drive(rate, clock, 1000, 60)
    assert served >= 60 * 5
    drive(rate, clock, 1000, 180)
    assert rate.per_s is None


@pytest.mark.parametrize("seed", range(20))
def test_a_passing_trouble_leaves_no_slow_pace_behind(seed: int) -> None:
    """Half refused for six seconds, then none: six seconds later nothing is waited for any more."""
    chance, clock = random.Random(seed), FakeClock()
    clock.advance(1000)
    rate = RequestRate(clock.monotonic_s)
    drive(rate, clock, 1000, 10)
    over = clock.monotonic_s() + 6
    while clock.monotonic_s() < over + 6:
        clock.advance(0.1 + rate.wait_s(clock.monotonic_s()))
        answered = clock.monotonic_s() > over or chance.random() < 0.5
        rate.spent(1, clock.monotonic_s(), answered=answered)
        if not answered:
            rate.refused()
    assert rate.per_s is None or rate.per_s > 30


def test_a_pause_is_no_time_without_refusals() -> None:
    """An endpoint that asked for ten seconds is not asked faster after them."""
    clock = FakeClock()
    clock.advance(1000)
    rate = RequestRate(clock.monotonic_s)
    drive(rate, clock, 10, 5)
    slow = rate.per_s
    assert slow is not None
    rate.refused()
    clock.advance(10)
    rate.wait_s(clock.monotonic_s())
    assert rate.per_s is not None
    assert rate.per_s <= 2 * slow


@pytest.mark.parametrize("allowed", [5, 10, 25])
def test_a_limit_that_is_lifted_is_forgotten(allowed: int) -> None:
    """Though it was met again and again: ten seconds later there is no limit any more."""
    clock = FakeClock()
    clock.advance(1000)
    rate = RequestRate(clock.monotonic_s)
    drive(rate, clock, allowed, 8)
    drive(rate, clock, 1000, 10)
    assert rate.per_s is None


def test_a_rise_that_was_refused_counts_once() -> None:
    """Several refusals right after the limit seemed gone are one reason to wait longer, and not several."""
    clock = FakeClock()
    clock.advance(1000)
    rate = RequestRate(clock.monotonic_s)
    drive(rate, clock, 10, 4)
    drive(rate, clock, 1000, 5)
    assert rate.per_s is None
    for _ in range(4):
        rate.spent(1, clock.monotonic_s(), answered=True)
        rate.refused()
        clock.advance(0.5)
    assert rate.per_s is not None
    drive(rate, clock, 1000, 8)
    assert rate.per_s is None


@pytest.mark.parametrize("allowed", [5, 10, 25])
def test_a_limit_is_tried_in_a_hurry_ever_more_seldom(allowed: int) -> None:
    """Where there is a limit, the first minute costs a dozen refusals, and not one every few seconds."""
    clock = FakeClock()
    clock.advance(1000)
    _, refused = drive(RequestRate(clock.monotonic_s), clock, allowed, 60)
    assert refused <= 12


def test_an_outage_is_no_limit() -> None:
    """While every request is refused nothing is learned of a rate: what follows is as fast as before."""
    clock = FakeClock()
    clock.advance(1000)
    rate = RequestRate(clock.monotonic_s)
    drive(rate, clock, 1000, 5)
    for pause_s in [0.01] * 10 + [3.0] * 10:
        rate.spent(1, clock.monotonic_s(), answered=False)
        rate.refused()
        clock.advance(pause_s)
    assert rate.per_s is None


@pytest.mark.parametrize("seed", range(5))
def test_what_is_refused_at_random_is_not_paced(seed: int) -> None:
    """Where half of the requests are refused whatever their rate, that is found out within seconds."""
    chance, clock = random.Random(seed), FakeClock()
    clock.advance(1000)
    rate = RequestRate(clock.monotonic_s)
    paced = 0.0
    for _ in range(1000):
        wait_s = rate.wait_s(clock.monotonic_s())
        clock.advance(0.05 + wait_s)
        paced += wait_s
        answered = chance.random() < 0.5
        rate.spent(1, clock.monotonic_s(), answered=answered)
        if not answered:
            rate.refused()
    assert paced < 10


def test_the_pool_paces_a_limited_endpoint() -> None:
    """Requests to an endpoint that refused their rate twice are spaced."""
    fleet = Fleet(1)
    for _ in range(2):
        for _ in range(10):
            fleet.read()
        fleet.all[0].failure = RateLimited("slow down", 2.0)
        with pytest.raises(RateLimited):
            fleet.read()
        fleet.all[0].failure = None
        fleet.clock.advance(2)
    started = fleet.clock.monotonic_s()
    for _ in range(8):
        fleet.read()
    assert fleet.clock.monotonic_s() - started > 8 / 6


def test_patience_is_short_while_answers_are() -> None:
    """A node that answers fast is waited for shortly, one that answers slowly ten times as long as usual."""
    patience = Patience(2.5, 30.0)
    for _ in range(10):
        patience.answered(0.02)
    assert patience.wait_s == 2.5
    for _ in range(10):
        patience.answered(1.0)
    assert patience.wait_s == pytest.approx(10.0)
    patience.answered(29.0)
    assert patience.wait_s == 30.0


def test_patience_grows_with_time_outs() -> None:
    """From the third time-out in a row it is waited for longer, up to the longest; an answer ends that."""
    patience = Patience(2.5, 30.0)
    waits = []
    for _ in range(10):
        waits.append(patience.wait_s)
        patience.timed_out()
    assert waits[:5] == [2.5, 2.5, 2.5, 3.75, 5.625]
    assert waits[-1] == 30.0
    patience.answered(0.01)
    assert patience.wait_s == 2.5
    assert Patience(2.5, 0.1).wait_s == 0.1
