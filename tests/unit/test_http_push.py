"""Posting to the functions: over few connections, whatever the server does to them."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar

import pytest

from shared.local.http_push import Pusher

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Handler(BaseHTTPRequestHandler):
    """Answers the status that the path names, and notes what it got."""

    protocol_version = "HTTP/1.1"
    got: ClassVar[list[tuple[str, str | None, bytes]]] = []
    connections: ClassVar[list[socket.socket]] = []

    def setup(self) -> None:
        super().setup()
        self.connections.append(self.connection)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((self.path, self.headers["ce-id"], body))
        _, status, how = self.path.split("/")
        answer = b"x" * 100_000
        self.send_response(int(status))
        if how != "unsized":
            self.send_header("Content-Length", str(len(answer)))
        if how != "kept":
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def pusher() -> Iterator[Pusher]:
    """Give a pusher in front of a server of the standard library."""
    _Handler.got.clear()
    _Handler.connections.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    made = Pusher(server.server_address[1], timeout_s=5)
    yield made
    made.close()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("how", ["kept", "closed", "unsized"])
def test_each_post_gets_its_own_answer(pusher: Pusher, how: str) -> None:
    """Status by status, with bodies and headers as sent, over kept and closed connections alike."""
    for number, status in enumerate((200, 503, 202, 200)):
        assert pusher.post(f"/{status}/{how}", b"b%d" % number, {"ce-id": str(number)}) == status
    assert [(each[1], each[2]) for each in _Handler.got] == [(str(n), b"b%d" % n) for n in range(4)]
    assert len(_Handler.connections) == (1 if how == "kept" else 4)


def test_a_connection_is_made_anew_after_a_hundred_posts(pusher: Pusher) -> None:
    """Which of several server processes takes a connection is chance: it is drawn again and again."""
    for _ in range(250):
        assert pusher.post("/200/kept", b"", {}) == 200
    assert len(_Handler.connections) == 3


def test_a_connection_that_the_server_closed_meanwhile_costs_no_post(pusher: Pusher) -> None:
    """The post is made again on a fresh connection."""
    assert pusher.post("/200/kept", b"", {}) == 200
    _Handler.connections[0].shutdown(socket.SHUT_RDWR)
    assert pusher.post("/200/kept", b"again", {}) == 200
    assert _Handler.got[-1][2] == b"again"


def test_nobody_there_is_an_error() -> None:
    """A fresh connection that fails is told, not tried for ever."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="refused"):
            Pusher(reserved.getsockname()[1]).post("/", b"", {})


def test_what_is_no_http_is_an_error() -> None:
    """An answer in another protocol is no answer."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def talk_nonsense() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"220 smtp.example ESMTP\r\n")

        thread = threading.Thread(target=talk_nonsense)
        thread.start()
        with pytest.raises(ConnectionError):
            Pusher(listening.getsockname()[1], timeout_s=5).post("/", b"", {})
        thread.join()
