"""One exchange over HTTP: however an answer comes, it is there in time as a whole, or it is none."""

from __future__ import annotations

import socket
import time
from contextlib import closing, suppress
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from shared.adapters.http_post import HttpPost
from shared.adapters.json_rpc_failures import NoAnswer

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 150\r\nX-Long: " + b"x" * 100 + b"\r\n\r\n"
_BODY = b"{" + b" " * 148 + b"}"
_PAUSE_S = 0.05
"""Between two bytes of a trickle: the whole of head or body takes some seconds, each byte is in time."""


def _serve(listening: socket.socket, pieces: list[bytes], through: Event) -> None:
    with suppress(OSError):
        while True:
            taken, _ = listening.accept()
            with closing(taken), suppress(OSError):
                taken.recv(65_536)
                for piece in pieces[:-1]:
                    taken.sendall(piece)
                    time.sleep(_PAUSE_S)
                through.set()
                taken.sendall(pieces[-1])


@pytest.fixture
def served(request: pytest.FixtureRequest) -> Iterator[tuple[str, Event]]:
    """Lend a server that sends these pieces, each by itself, and hangs up; with whether its last is due."""
    through = Event()
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        thread = Thread(target=_serve, args=(listening, request.param, through), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/", through


def _bytes(content: bytes) -> list[bytes]:
    return [content[at : at + 1] for at in range(len(content))]


@pytest.mark.parametrize(
    "served", [[*_bytes(_HEAD), _BODY], [_HEAD, *_bytes(_BODY)]], ids=["its head", "its body"], indirect=True
)
def test_an_answer_that_trickles_is_none(served: tuple[str, Event]) -> None:
    """Each byte is in time and the answer is not: it is given up while more of it comes."""
    url, through = served
    with pytest.raises(NoAnswer, match=r"did not answer this within 0.5 s"):
        HttpPost(url, "the server", 0.5).send(b"{}", "this", lambda: None)
    assert not through.is_set()


@pytest.mark.parametrize("served", [[_HEAD + _BODY], [_HEAD[:50], _HEAD[50:], _BODY]], indirect=True)
def test_an_answer_in_time_is_whole(served: tuple[str, Event]) -> None:
    """In one piece or in several."""
    status, headers, body = HttpPost(served[0], "the server", 10).send(b"{}", "this", lambda: None)
    assert (status, headers["X-Long"], body) == (200, "x" * 100, _BODY)
