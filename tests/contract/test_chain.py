"""The contract of the Chain port, on the fake and on a real node."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

import pytest

from shared.domain.hashing import transfer_hash
from shared.errors import ChainUnavailable
from shared.ports import CallResult
from tests.support.chain import shared_anvil, shared_escrow  # noqa: F401 - fixtures
from tests.support.chain_worlds import (
    INVALID_STATE,
    NOBODY,
    TRANSFER_AGREED,
    UNKNOWN_HASH,
    AnvilBehindTwo,
    AnvilWorld,
    FakeWorld,
    World,
    reverting_call,
    state_call,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_numbers = count()


@pytest.fixture(params=["fake", "anvil", "anvil behind two"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Give each implementation its turn."""
    if request.param == "fake":
        yield FakeWorld()
        return
    kind = AnvilWorld if request.param == "anvil" else AnvilBehindTwo
    real = kind(request.getfixturevalue("shared_anvil"), request.getfixturevalue("shared_escrow"))
    yield real
    real.close()


def new_transfer() -> str:
    """Return an id that no other test uses."""
    return f"transfer-{next(_numbers)}"


def test_head_and_headers_agree(world: World) -> None:
    """The latest header is found again by number and by hash, and names its parent."""
    world.mine(2)
    head = world.chain.head()
    assert world.chain.head(head.number) == head == world.chain.header_by_hash(head.hash)
    parent, tip = world.chain.headers([head.number - 1, head.number])
    assert parent is not None
    assert tip == head
    assert head.parent_hash == parent.hash
    assert head.timestamp >= parent.timestamp > 1_600_000_000


def test_headers_the_node_lacks_are_none(world: World) -> None:
    """A height above the tip gives None in a batch, and no header where one alone is asked for."""
    above = world.chain.head().number + 5
    first, second = world.chain.headers([0, above])
    assert first is not None
    assert first.number == 0
    assert second is None
    assert world.chain.headers([]) == []
    with pytest.raises(ChainUnavailable):
        world.chain.head(above)


def test_unknown_block_hash_is_none(world: World) -> None:
    """A hash that the node never saw has no header."""
    assert world.chain.header_by_hash(UNKNOWN_HASH) is None


def test_safe_and_finalized_lag_behind(world: World) -> None:
    """The tags follow the tip at their depths."""
    world.mine(70)
    latest = world.chain.head().number
    assert world.chain.head("safe").number == latest - 32
    assert world.chain.head("finalized").number == latest - 64


def test_remote_chain_id_shows_another_network(world: World) -> None:
    """A node of another chain says so when asked, and is not read from."""
    wrong = world.expecting(1)
    assert (wrong.chain_id, wrong.remote_chain_id()) == (1, 31337)
    with pytest.raises(ChainUnavailable, match="31337"):
        wrong.head()
    assert world.chain.remote_chain_id() == world.chain.chain_id == 31337


def test_code_is_told_from_none(world: World) -> None:
    """There is code at the contract, none at another address, and none before it was deployed."""
    assert world.chain.has_code(world.contract)
    assert not world.chain.has_code(NOBODY)
    assert not world.chain.has_code(world.contract, 0)


@pytest.mark.parametrize(
    "read",
    [
        lambda chain: chain.remote_chain_id(),
        lambda chain: chain.head(),
        lambda chain: chain.headers([1, 2]),
        lambda chain: chain.header_by_hash(UNKNOWN_HASH),
        lambda chain: chain.logs(0, 1, [NOBODY]),
        lambda chain: chain.logs_of_block(UNKNOWN_HASH, [NOBODY]),
        lambda chain: chain.call_many([state_call(NOBODY, "x")], UNKNOWN_HASH),
        lambda chain: chain.has_code(NOBODY),
        lambda chain: chain.transaction(UNKNOWN_HASH),
        lambda chain: chain.hashes_at(0),
    ],
)
def test_unreachable_node(world: World, read: Callable[[object], object]) -> None:
    """Every read of a node that cannot be reached raises ChainUnavailable."""
    with pytest.raises(ChainUnavailable):
        read(world.unreachable())


def test_logs_of_a_range_are_inclusive(world: World) -> None:
    """Both ends of a range belong to it, and what lies outside does not."""
    first = world.chain.head().number + 1
    names = [new_transfer() for _ in range(4)]
    for name in names:
        world.agree(name)
    found = world.chain.logs(first + 1, first + 2, [world.contract])
    assert [log["topics"][1] for log in found] == [transfer_hash(name) for name in names[1:3]]
    assert [int(log["blockNumber"], 16) for log in found] == [first + 1, first + 2]
    assert world.chain.logs(first + 1, first, [world.contract]) == []


def test_logs_are_filtered_by_address_and_topics(world: World) -> None:
    """Only logs of the addresses and of the topics listed for each position are given."""
    first = world.chain.head().number + 1
    one, other = new_transfer(), new_transfer()
    world.agree(one)
    world.agree(other)
    last = first + 1

    def found(*topics: list[str] | None, addresses: tuple[str, ...] = (world.contract,)) -> list[str]:
        return [log["topics"][1] for log in world.chain.logs(first, last, addresses, topics)]

    both = [transfer_hash(one), transfer_hash(other)]
    assert found() == found([TRANSFER_AGREED]) == found(None, both) == both
    assert found([TRANSFER_AGREED, UNKNOWN_HASH], [transfer_hash(other)]) == [transfer_hash(other)]
    assert found([UNKNOWN_HASH]) == found(None, [UNKNOWN_HASH]) == []
    assert found(addresses=(NOBODY,)) == []
    assert found(addresses=(NOBODY, world.contract.upper().replace("0X", "0x"))) == both


def test_nothing_asked_for_is_nothing_found(world: World) -> None:
    """No address, or no topic allowed at a position, matches no log, though nodes read that as any."""
    world.agree(new_transfer())
    head = world.chain.head()
    assert world.chain.logs(head.number, head.number, []) == []
    assert world.chain.logs(head.number, head.number, [world.contract], [[]]) == []
    assert world.chain.logs_of_block(head.hash, []) == []


def test_raw_logs_have_their_coordinates(world: World) -> None:
    """A raw log says where it is, in the node's own spelling."""
    sent = world.agree(new_transfer())
    head = world.chain.head()
    [log] = world.chain.logs(head.number, head.number, [world.contract])
    assert log["address"].lower() == world.contract
    assert (log["blockHash"], log["blockNumber"]) == (head.hash, hex(head.number))
    assert (log["transactionHash"], log["transactionIndex"], log["logIndex"]) == (sent, "0x0", "0x0")
    assert log["removed"] is False
    assert len(bytes.fromhex(log["data"][2:])) == 64


def test_logs_of_one_block_by_hash(world: World) -> None:
    """The logs of a block by its hash are those of its height."""
    world.agree(new_transfer())
    head = world.chain.head()
    assert world.chain.logs_of_block(head.hash, [world.contract]) == world.chain.logs(
        head.number, head.number, [world.contract]
    )
    assert world.chain.logs_of_block(head.hash, [NOBODY]) == []


def test_logs_of_an_unknown_block(world: World) -> None:
    """An unknown block hash is no empty block."""
    with pytest.raises(ChainUnavailable):
        world.chain.logs_of_block(UNKNOWN_HASH, [world.contract])


def test_a_block_is_read_whole(world: World) -> None:
    """A block's logs are proved, with their senders; an unknown block has none to give."""
    world.agree(new_transfer())
    head = world.chain.head()
    reading = next(world.chain.read_blocks([head], [world.contract]))
    assert reading.proved
    assert reading.logs == world.chain.logs_of_block(head.hash, [world.contract])
    assert list(reading.senders) == [log["transactionHash"] for log in reading.logs]
    with pytest.raises(ChainUnavailable):
        next(world.chain.read_blocks([replace(head, hash=UNKNOWN_HASH)], [world.contract]))


def test_several_blocks_are_read_in_order_up_to_the_one_that_fails(world: World) -> None:
    """Each block's reading comes in its turn, however the node answers; one that fails raises in its turn."""
    names = [new_transfer() for _ in range(5)]
    for name in names:
        world.agree(name)
    head = world.chain.head()
    found = world.chain.headers(list(range(head.number - 4, head.number + 1)))
    headers = [header for header in found if header is not None]
    read = list(world.chain.read_blocks(headers, [world.contract]))
    assert [log["topics"][1] for reading in read for log in reading.logs] == [*map(transfer_hash, names)]
    headers[3] = replace(headers[3], hash=UNKNOWN_HASH)
    readings = world.chain.read_blocks(headers, [world.contract])
    assert [next(readings).logs for _ in range(3)] == [reading.logs for reading in read[:3]]
    with pytest.raises(ChainUnavailable):
        next(readings)


def test_a_range_is_read_with_its_senders(world: World) -> None:
    """A range gives the same logs to a witness, and tells who sent their transactions if asked."""
    first = world.chain.head().number + 1
    sent = [world.agree(new_transfer()) for _ in range(3)]
    reading = world.chain.read_range(first, first + 2, [world.contract], with_senders=True)
    senders = {name: world.chain.transaction(name) for name in sent}
    assert reading.senders == {name: found.sender for name, found in senders.items() if found}
    assert set(reading.senders) == set(sent)
    again = world.chain.read_range(first, first + 2, [world.contract], other_than=reading.endpoint)
    assert again.logs == reading.logs
    assert again.senders == {}
    assert not reading.proved


def test_endpoints_say_how_they_stand(world: World) -> None:
    """One endpoint is current, knows the head, and is not in trouble."""
    head = world.chain.head()
    [current] = [each for each in world.chain.endpoints() if each.current]
    assert current.head == head.number
    assert current.trouble is None
    assert 0.5 < current.score <= 1.0
    assert world.chain.range_limit is None


def test_limits_learned_are_taken_up(world: World) -> None:
    """What was learned can be handed back, and a stranger's document is no harm."""
    world.chain.learn({"no such endpoint": {"rangeBlocks": 5}, "another": None})
    world.chain.learn(world.chain.learned())
    assert world.chain.range_limit is None


def test_call_many_at_an_old_block(world: World) -> None:
    """Reads at a pinned hash see that block's state, in the order of the calls."""
    name = new_transfer()
    before = world.chain.head()
    world.agree(name)
    after = world.chain.head()
    world.mine(2)
    calls = [state_call(world.contract, name), state_call(world.contract, new_transfer())]
    assert [int.from_bytes(r.data) for r in world.chain.call_many(calls, before.hash)] == [0, 0]
    assert [int.from_bytes(r.data) for r in world.chain.call_many(calls, after.hash)] == [2, 0]
    assert world.chain.call_many([], after.hash) == []


def test_call_that_reverts_does_not_spoil_the_others(world: World) -> None:
    """A revert is told with its data, an address without code gives nothing, the rest is answered."""
    name = new_transfer()
    world.agree(name)
    calls = [
        state_call(world.contract, name),
        reverting_call(world.contract, new_transfer()),
        state_call(NOBODY, name),
        state_call(world.contract, name),
    ]
    two = CallResult(ok=True, data=(2).to_bytes(32))
    results = world.chain.call_many(calls, world.chain.head().hash)
    assert results == [two, CallResult(ok=False, data=INVALID_STATE), CallResult(ok=True, data=b""), two]


def test_call_many_at_an_unknown_block(world: World) -> None:
    """A pinned block that the node does not know has no state to give."""
    with pytest.raises(ChainUnavailable):
        world.chain.call_many([state_call(world.contract, "any")] * 3, UNKNOWN_HASH)


def test_transaction_is_known_by_hash(world: World) -> None:
    """A transaction tells its calldata, its block and that it went well; an unknown one is None."""
    name = new_transfer()
    sent = world.agree(name)
    head = world.chain.head()
    found = world.chain.transaction(sent)
    assert found is not None
    assert (found.hash, found.to, found.ok) == (sent, world.contract, True)
    assert (found.block_number, found.block_hash) == (head.number, head.hash)
    assert bytes.fromhex(transfer_hash(name)[2:]) in found.data
    assert world.chain.transaction(UNKNOWN_HASH) is None


def test_a_reorg_changes_hashes_and_takes_logs(world: World) -> None:
    """After a reorg the height is the same, its hash another, and the log and the state are gone."""
    world.mine(2)
    kept = world.chain.head()
    name = new_transfer()
    sent = world.agree(name)
    world.mine(1)
    old = world.chain.head()
    assert world.chain.hashes_at(old.number) == [old.hash]
    world.reorg(2)
    new = world.chain.head()
    assert new.number == old.number
    assert world.chain.hashes_at(old.number) == [new.hash] != [old.hash]
    assert world.chain.headers([kept.number]) == [kept]
    assert world.chain.logs(kept.number + 1, new.number, [world.contract]) == []
    assert world.chain.transaction(sent) is None
    [state] = world.chain.call_many([state_call(world.contract, name)], new.hash)
    assert int.from_bytes(state.data) == 0


def test_no_vote_above_the_tip(world: World) -> None:
    """An endpoint that has no block at a height gives no vote."""
    assert world.chain.hashes_at(world.chain.head().number + 10) == []


def test_requests_are_counted(world: World) -> None:
    """Each header of a batch counts as a request."""
    world.chain.head()
    before = world.chain.requests
    world.chain.headers([0, 1, 0])
    assert world.chain.requests == before + 3
