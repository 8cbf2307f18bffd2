"""A node that counts requests, every entry of a batch among them, read at about the rate that it allows."""

from __future__ import annotations

import contextlib
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from shared.adapters.ethereum import EthereumChain
from shared.adapters.json_rpc import JsonRpcEndpoint
from shared.app.read_window import Stride
from shared.errors import RateLimited
from tests.support.clock import FakeClock
from tests.support.endpoints import header_at
from tests.support.rpc_server import RpcServer, error, result

if TYPE_CHECKING:
    from collections.abc import Callable

CHAIN_ID, BLOCKS, AT_ONCE = 1, 200, 64
CONTRACT = "0x" + "c0" * 20
BACK_OFF_S = 0.5


class Node:
    """Answers as long as ``takes(now, alone)`` says so, each entry of a batch by itself."""

    def __init__(self, clock: FakeClock, takes: Callable[[float, bool], bool]) -> None:
        self.served = self.refused = 0
        self._clock = clock
        self._takes = takes

    def answer(self, request: Any) -> Any:
        """Answer a request or a batch."""
        self._clock.advance(0.005)
        if isinstance(request, list):
            return [self._one(each, alone=False) for each in request]
        return self._one(request, alone=True)

    def _one(self, each: Any, *, alone: bool) -> Any:
        if not self._takes(self._clock.monotonic_s(), alone):
            self.refused += 1
            return error(each, 429, "Too Many Requests")
        self.served += 1
        method, params = each["method"], each["params"]
        if method == "eth_getBlockByNumber":
            return result(each, header_at(BLOCKS if params[0] == "latest" else int(params[0], 16)))
        return result(each, hex(CHAIN_ID) if method == "eth_chainId" else [])


def bucket(per_s: int) -> Callable[[float, bool], bool]:
    """Take so many a second, and as many at once after a second's rest."""
    left, at = float(per_s), 0.0

    def takes(now: float, _alone: bool) -> bool:  # noqa: FBT001 - of a kind with ``half``
        nonlocal left, at
        left, at = min(per_s, left + (now - at) * per_s), now
        if left < 1:
            return False
        left -= 1
        return True

    return takes


def half(of: int = 2) -> Callable[[float, bool], bool]:
    """Refuse every other entry of a batch, however few there are in a second."""
    count = 0

    def takes(_now: float, alone: bool) -> bool:  # noqa: FBT001 - positional in one call
        nonlocal count
        count += 1
        return alone or count % of == 0

    return takes


def caught_up(takes: Callable[[float, bool], bool], within_s: float) -> tuple[float, Node]:
    """Read all blocks as a listener does; tell the seconds that passed on the node's clock."""
    clock = FakeClock()
    clock.advance(1000)
    node = Node(clock, takes)
    with RpcServer(node.answer) as server, closing(_chain(server.url, clock)) as chain:
        begun, read, stride = clock.monotonic_s(), 0, Stride(AT_ONCE)
        while read < BLOCKS and clock.monotonic_s() < begun + within_s:
            blocks = min(stride.blocks, BLOCKS - read)
            with contextlib.suppress(RateLimited):
                chain.head()
                try:
                    chain.headers(range(read + 1, read + blocks + 1))
                    chain.read_range(read + 1, read + blocks, [CONTRACT])
                except RateLimited:
                    stride.refused(blocks)
                    raise
                stride.went_well()
                read += blocks
                continue
            clock.advance(BACK_OFF_S)
    assert read == BLOCKS
    return clock.monotonic_s() - begun, node


def _chain(url: str, clock: FakeClock) -> EthereumChain:
    return EthereumChain(
        CHAIN_ID,
        [JsonRpcEndpoint(url)],
        monotonic=clock.monotonic_s,
        sleep=clock.sleep,
        chance=lambda: 0.5,
        background=lambda work: work(),
    )


@pytest.mark.parametrize("per_s", [5, 10, 20, 50])
def test_a_node_that_counts_every_entry_is_read_at_its_rate(per_s: int) -> None:
    """No step asks for more than it gives for ever: all is read, in at most thrice the time that it needs."""
    took_s, node = caught_up(bucket(per_s), 600)
    assert took_s < 3 * BLOCKS / per_s + 5
    assert node.refused < 2 * node.served


def test_a_node_that_refuses_entries_for_no_rate_is_not_waited_for() -> None:
    """Where part of every batch is refused smaller ones do, and no pause."""
    took_s, node = caught_up(half(), 600)
    assert took_s < 5
    assert node.refused < node.served
