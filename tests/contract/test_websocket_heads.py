"""A websocket of a real node, and ones that are no good: they wake the listener up, or cost nothing."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from shared.adapters.websocket_heads import WebsocketHeads
from shared.local.anvil import Anvil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DEADLINE_S = 30.0
_KEY = "0123456789abcdef-secret"


class _Rung:
    """Counts rings."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = threading.Condition()

    def __call__(self) -> None:
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def reaches(self, count: int) -> bool:
        """Wait until it rang so often."""
        with self._changed:
            return self._changed.wait_for(lambda: self.count >= count, _DEADLINE_S)


@contextmanager
def _heads(url: str, rung: Callable[[], None], silent_s: float = 60.0) -> Iterator[WebsocketHeads]:
    heads = WebsocketHeads(url, "the socket", rung, silent_s=silent_s, connect_s=2.0, random=lambda: 0.0)
    heads.start()
    try:
        yield heads
    finally:
        heads.close()


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_each_new_head_rings_once() -> None:
    """Blocks mined on the node wake the listener up."""
    rung = _Rung()
    with Anvil() as anvil, _heads(anvil.ws_url, rung) as heads:
        _until(lambda: heads.connected)
        for count in range(1, 4):
            anvil.rpc.call("evm_mine")
            assert rung.reaches(count)


def test_a_node_that_went_away_is_found_again() -> None:
    """The socket is opened anew for as long as it takes, and heads ring again."""
    rung = _Rung()
    with Anvil() as anvil, _heads(anvil.ws_url, rung) as heads:
        _until(lambda: heads.connected)
        port = int(anvil.rpc_url.rsplit(":", 1)[1])
        anvil.stop()
        _until(lambda: not heads.connected)
        with Anvil(port=port) as again:
            _until(lambda: heads.connected)
            before = rung.count
            again.rpc.call("evm_mine")
            assert rung.reaches(before + 1)
        assert heads.losses >= 1


def test_a_silent_socket_is_opened_anew() -> None:
    """Nothing heard for too long counts as lost, though the connection stands."""
    with Anvil() as anvil, _heads(anvil.ws_url, _Rung(), silent_s=0.3) as heads:
        _until(lambda: heads.losses >= 2)


def test_a_socket_that_is_refused_or_deaf_only_counts(caplog: object) -> None:
    """No answer, or none at all, costs nothing but the attempts; it closes within a second."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        port = deaf.getsockname()[1]
        with _heads(f"ws://127.0.0.1:{port}/v2/{_KEY}", _Rung()) as heads:
            _until(lambda: heads.losses >= 1)
            assert not heads.connected
            begun = time.monotonic()
            heads.close()
            assert time.monotonic() - begun < 5
    assert _KEY not in caplog.text  # type: ignore[attr-defined]
    assert _KEY not in repr(heads)
