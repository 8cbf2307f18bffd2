"""However many callers there are, the node is asked once a block; and what is old is never served."""

from __future__ import annotations

import json
from threading import Barrier, Event, Thread
from typing import TYPE_CHECKING, Any

import pytest

from shared.app import fee_view, quote_gas
from shared.domain.fee_reading import GasAnswer
from shared.domain.metrics import QUOTE_CACHE_HITS, QUOTE_TIME, QUOTE_UPSTREAM, QUOTES, QUOTES_REFUSED
from shared.errors import ChainUnavailable, InvalidInput
from tests.support.quotes import QuoteWorld

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> QuoteWorld:
    """Give Ethereum with some history."""
    made = QuoteWorld(tmp_path)
    made.mine(30)
    return made


def test_one_batch_a_block_whatever_is_asked(world: QuoteWorld) -> None:
    """Deadlines, confidences and repetition cost no request; the next block costs one batch."""
    for blocks in (1, 2, 5, 50):
        for confidence in (0.5, 0.95):
            world.ask(within_blocks=blocks, confidence=confidence)
    requests = world.chain.requests
    world.ask(within_blocks=7)
    assert (world.chain.fee_batches, world.chain.requests) == (1, requests)
    world.mine(1)
    for blocks in (1, 2, 5, 50):
        world.ask(within_blocks=blocks)
    assert world.chain.fee_batches == 2
    assert world.chain.requests == requests + 1 + 5  # a look at the head, and the batch


def test_what_is_served_is_counted(world: QuoteWorld) -> None:
    """Quotes, those that asked the chain nothing, batches to it, refusals by code and the time are told."""
    for blocks in (1, 1, 2):
        world.ask(within_blocks=blocks)
    world.ask(transfer="t-1")
    with pytest.raises(InvalidInput):
        world.ask(within_blocks=0)
    world.clock.advance(600)
    with pytest.raises(ChainUnavailable):
        world.ask()
    assert world.metrics.counters == {
        (QUOTES, "1"): 4, (QUOTE_CACHE_HITS, "1"): 2, (QUOTE_UPSTREAM, "1"): 2,
        (QUOTES_REFUSED, "invalid_input"): 1, (QUOTES_REFUSED, "chain_unavailable"): 1,
    }  # fmt: skip
    assert len(world.metrics.observed[QUOTE_TIME, "1"]) == 4


def test_calls_wanted_at_one_block_come_with_the_next(world: QuoteWorld) -> None:
    """A call asked for again and again is estimated within the block's batch; one nobody wants is dropped."""
    for name in ("t-1", "t-2"):
        world.ask(transfer=name)
    assert (world.chain.fee_batches, world.chain.gas_batches) == (1, 1)
    world.mine(1)
    world.ask(transfer="t-2")
    world.ask(transfer="t-1")
    assert (world.chain.fee_batches, world.chain.gas_batches) == (2, 1)
    world.mine(1)
    world.ask(transfer="t-1")
    world.mine(1)
    world.questions.clear()
    world.ask(transfer="t-1")
    assert len(world.questions) == 1
    assert world.chain.gas_batches == 1


def test_a_late_block_is_looked_for_and_not_asked_about(world: QuoteWorld) -> None:
    """Past its time the head is looked at, at most once a second; the quote stays the same until it comes."""
    quote = world.ask()
    requests = world.chain.requests
    world.clock.advance(12)
    for _ in range(5):
        assert world.ask() == quote
    assert world.chain.requests == requests + 1
    world.clock.advance(1)
    world.ask()
    assert (world.chain.requests, world.chain.fee_batches) == (requests + 2, 1)


def test_concurrent_callers_wait_for_the_same_batch(world: QuoteWorld) -> None:
    """Forty callers at a new block, of two calls: one batch, perhaps one for a second call, equal answers."""
    gate, callers = Event(), 40
    fees = world.chain.fees

    def slow(*args: object) -> object:
        gate.wait(10)
        return fees(*args)  # type: ignore[arg-type]

    world.chain.fees = slow  # type: ignore[method-assign,assignment]
    barrier, answers = Barrier(callers + 1), list[tuple[int, str]]()

    def ask(number: int) -> None:
        barrier.wait(10)
        query = f"action=agree_send&transfer=t-{number % 2}"
        answers.append((number % 2, world.quotes.answer(query).tag))

    threads = [Thread(target=ask, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    barrier.wait(10)
    gate.set()
    for thread in threads:
        thread.join(10)
    assert len(answers) == callers
    assert world.chain.fee_batches == 1
    assert world.chain.gas_batches <= 1
    assert len(set(answers)) == 2


def test_callers_share_a_failure(world: QuoteWorld) -> None:
    """A node that is gone is asked once by those who wait, and again only a moment later."""
    world.chain.reachable = False
    for _ in range(5):
        with pytest.raises(ChainUnavailable):
            world.ask()
    assert world.chain.requests == 5  # the entries of one batch
    world.chain.reachable = True
    world.clock.advance(1.5)
    assert world.ask()["type"] == "eip1559"


def test_a_node_that_is_behind_gives_no_quote(world: QuoteWorld) -> None:
    """A head that is ten minutes old is an error and never a figure; when it catches up there are quotes."""
    world.ask()
    world.clock.advance(600)
    for _ in range(3):
        with pytest.raises(ChainUnavailable, match="600 s old"):
            world.ask()
    cold = world.instance()
    with pytest.raises(ChainUnavailable, match="the node is behind"):
        cold.answer("action=agree_send")
    world.mine(1)
    world.clock.advance(1.5)
    assert world.ask()["block"]["number"] == 31


def test_where_one_endpoint_is_behind_another_is_asked(
    world: QuoteWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a second endpoint an old head is doubted, and the quote is of the other's; alone it is not."""
    world.clock.advance(600)
    with pytest.raises(ChainUnavailable, match="behind"):
        world.ask()
    assert world.chain.doubts == []
    world.mine(1)
    world.clock.advance(1.5)
    world.chain.lag = 1
    world.chain.witness = world.chain

    def doubt(reason: str) -> None:
        assert "s old" in reason
        world.chain.lag = 0

    monkeypatch.setattr(world.chain, "doubt", doubt)
    assert world.ask()["block"]["number"] == 31


def test_a_head_from_the_future_gives_no_quote(world: QuoteWorld) -> None:
    """A block an hour ahead of the clock is doubted like one that is old; seconds are no matter."""
    now = int(world.clock.now().timestamp())
    world.chain.mine(timestamp=now + 5)
    assert world.ask()["block"]["number"] == 31
    world.chain.mine(timestamp=now + 3600)
    world.clock.advance(30)
    with pytest.raises(ChainUnavailable, match="ahead of this machine's clock"):
        world.ask()


def test_a_head_that_no_rule_can_go_on_from_is_the_nodes_fault(tmp_path: Path) -> None:
    """A gas limit of 1 is no caller's mistake."""
    world = QuoteWorld(tmp_path)
    world.chain.gas_limit = 1
    world.chain.history_blocks = 0
    world.chain.mine(timestamp=int(world.clock.now().timestamp()))
    with pytest.raises(ChainUnavailable, match="gas_limit"):
        world.ask()


def test_what_is_kept_of_a_block_is_bounded(world: QuoteWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many different questions come, memory does not grow with them, and the answers stay right."""
    monkeypatch.setattr(quote_gas, "_MOST_KEPT", 10)
    monkeypatch.setattr(fee_view, "_MOST_KEPT", 10)
    for number in range(100):
        quote = world.ask(transfer=f"t-{number}", within_blocks=number + 1)
        assert quote["gas"]["expected"] == 70_212
        assert quote["withinBlocks"] == number + 1
    [view] = world.quotes._views.values()
    kept = view.known()
    assert kept is not None
    assert max(map(len, (kept.gas, kept.made, kept.answers, kept.asked))) <= 15


class Forgetful(dict[Any, Any]):
    """Keeps nothing, as if another thread cleared it at once."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Forget it."""


def test_what_another_thread_clears_was_not_needed(world: QuoteWorld) -> None:
    """Past a number of questions memory is cleared while others answer: they do not read back from it."""
    world.mine(300)
    quote = world.ask(within_blocks=5)
    [view] = world.quotes._views.values()
    snapshot = view.known()
    assert snapshot is not None
    snapshot.made, snapshot.answers = Forgetful(), Forgetful()
    assert world.ask(within_blocks=5) == quote


class PushedOut(dict[Any, Any]):
    """Lacks what it holds once, as if another thread had pushed it out and a third asked for it again."""

    missed = False

    def get(self, key: Any, default: Any = None) -> Any:
        """Return nothing the first time."""
        self.missed, before = True, self.missed
        return super().get(key, default) if before else default


def test_an_estimate_that_is_pushed_out_in_between_is_not_lost(world: QuoteWorld) -> None:
    """No table stands in for an estimate that was there a moment ago."""
    world.ask(transfer="t-1")
    [view] = world.quotes._views.values()
    snapshot = view.known()
    assert snapshot is not None
    snapshot.gas, snapshot.answers = PushedOut(snapshot.gas), {}
    assert world.ask(transfer="t-1")["gas"]["source"] == "estimate"


def test_a_reorg_is_another_block(world: QuoteWorld) -> None:
    """A head of the same height and another hash is asked about anew."""
    before = world.ask()["block"]
    world.chain.reorg(2)
    world.clock.advance(12)
    after = world.ask()["block"]
    assert after["number"] == before["number"]
    assert after["hash"] != before["hash"]


def test_a_node_that_falls_behind_takes_no_quote_back(world: QuoteWorld) -> None:
    """Of two nodes behind one address the one that lags tells a block that was passed: nothing new."""
    world.ask()
    world.mine(1)
    quote = world.ask()
    world.clock.advance(12)
    for lag in (1, 1, 0):
        world.chain.lag = lag
        assert world.ask() == quote
        world.clock.advance(1)
    assert world.chain.fee_batches == 2
    world.chain.lag = 1
    world.clock.advance(120)
    with pytest.raises(ChainUnavailable, match="behind"):
        world.ask()


def test_a_batch_of_a_node_that_is_behind_takes_no_quote_back(world: QuoteWorld) -> None:
    """The head may be told by one node and the batch by another: the quote stays, then follows the head."""
    quote = world.ask()
    world.mine(1)
    fees = world.chain.fees

    def behind(*args: object) -> object:
        world.chain.lag = 2
        try:
            return fees(*args)  # type: ignore[arg-type]
        finally:
            world.chain.lag = 0

    world.chain.fees = behind  # type: ignore[method-assign,assignment]
    assert world.ask() == quote
    world.chain.fees = fees  # type: ignore[method-assign]
    world.clock.advance(1)
    assert world.ask()["block"]["number"] == quote["block"]["number"] + 1


@pytest.mark.parametrize(("fees", "followed"), [("block_s=12", False), ("block_s=0", True)])
def test_a_chain_that_is_set_back_by_hand_is_followed(tmp_path: Path, fees: str, followed: bool) -> None:  # noqa: FBT001
    """Where blocks come at any time, as on anvil, a lower head is the chain's; so is a reorg's anywhere."""
    world = QuoteWorld(tmp_path, fees=fees)
    world.mine(30)
    quote = world.ask()
    del world.chain.blocks[-1]
    world.clock.advance(12)
    assert (world.ask()["block"]["number"] < quote["block"]["number"]) == followed
    world.chain.reorg(3)
    world.clock.advance(1)
    assert world.ask()["block"]["hash"] == world.chain.blocks[-1].header.hash


def test_history_is_asked_for_in_full_only_where_it_is_missing(world: QuoteWorld) -> None:
    """The second batch asks for all of it, later ones for what came since, and for all again after a gap."""
    asked = []
    fees = world.chain.fees

    def watched(blocks: int, *rest: object) -> object:
        asked.append(blocks)
        return fees(blocks, *rest)  # type: ignore[arg-type]

    world.chain.fees = watched  # type: ignore[method-assign,assignment]
    world.mine(400)
    for blocks in (1, 1, 5):
        world.ask()
        world.mine(blocks)
    world.ask()
    assert asked == [120, 300, 20, 20]
    world.mine(100)
    world.ask()
    assert asked[-1] == 108
    world.mine(1)
    world.ask()
    assert asked[-1] == 20


def test_a_node_that_refuses_so_much_history_is_asked_for_less(world: QuoteWorld) -> None:
    """Half as much is asked for at each block until the node tells it."""
    world.mine(200)
    fees = world.chain.fees

    def limited(blocks: int, *rest: object) -> object:
        world.chain.history_blocks = 0 if blocks > 40 else 1024
        return fees(blocks, *rest)  # type: ignore[arg-type]

    world.chain.fees = limited  # type: ignore[method-assign,assignment]
    sources = []
    for _ in range(3):
        sources.append(world.ask()["tip"]["source"])
        world.mine(1)
    assert sources == ["node", "node", "blocks"]


def test_estimates_are_of_the_block_that_is_quoted(world: QuoteWorld) -> None:
    """After a new block a call is estimated anew, not taken from the block before."""
    assert world.ask(transfer="t-1")["gas"]["expected"] == 70_212
    world.estimate = GasAnswer(gas=90_000)
    assert world.ask(transfer="t-1")["gas"]["expected"] == 70_212
    world.mine(1)
    assert world.ask(transfer="t-1")["gas"]["expected"] == 90_000


def test_instances_and_restarts_agree(world: QuoteWorld) -> None:
    """Two instances at one block give the same answer to the byte, with the same tag."""
    query = "action=agree_send&transfer=t-1&within_blocks=5"
    first, second = world.quotes.answer(query), world.instance().answer(query)
    assert (first.body, first.tag) == (second.body, second.tag)
    assert json.loads(first.body)["block"]["number"] == 30
