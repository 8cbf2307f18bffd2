"""A server whose answer comes byte by byte: each in time, and the whole never."""

from __future__ import annotations

import socket
import time
from contextlib import closing, contextmanager, suppress
from threading import Event, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 150\r\nX-Long: " + b"x" * 100 + b"\r\n\r\n"
BODY = b"{" + b" " * 148 + b"}"
_PAUSE_S = 0.05
"""Between two bytes of a trickle: the whole of head or body takes some seconds, each byte is in time."""


def _serve(listening: socket.socket, pieces: Sequence[bytes], through: Event) -> None:
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


@contextmanager
def serving(pieces: Sequence[bytes]) -> Iterator[tuple[str, Event]]:
    """Lend a server that sends these pieces, each by itself, and hangs up; with whether its last is due."""
    through = Event()
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        thread = Thread(target=_serve, args=(listening, pieces, through), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/", through


def each_byte(content: bytes) -> list[bytes]:
    """Return a content in pieces of one byte."""
    return [content[at : at + 1] for at in range(len(content))]
