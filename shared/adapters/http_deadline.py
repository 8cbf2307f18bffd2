"""Connections on which an answer is there within its time-out as a whole, however slowly its bytes trickle.

http.client bounds each read from the socket by the time-out: a server that sends a byte a second, of its
headers too, is never late, and holds up whoever asked it for hours. Here each read has only what is left.
"""

from __future__ import annotations

import io
import socket
import time
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

if TYPE_CHECKING:
    from urllib3 import PoolManager


class _Within(socket.SocketIO):
    """Reads what a socket brings until a moment of ``time.monotonic``; TimeoutError after it."""

    def __init__(self, sock: socket.socket, wait_s: float) -> None:
        super().__init__(sock, "r")
        self._socket = sock
        self._until_s = time.monotonic() + wait_s
        self._is_first = True

    def readinto(self, buffer: Any) -> int | None:
        """Read what there is."""
        if not self._is_first:  # whose time-out the socket has already
            left_s = self._until_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError("timed out")
            self._socket.settimeout(left_s)
        self._is_first = False
        return super().readinto(buffer)


class _Bounded:
    """A socket, as far as an answer asks it for a file to read from."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return a file of what comes within the time-out that the socket has now."""
        # urllib3 has just set it to what is left of the whole.
        wait_s = self._sock.gettimeout()
        if wait_s is None:
            return self._sock.makefile(mode)  # type: ignore[call-overload,no-any-return]
        self._sock._io_refs += 1  # type: ignore[attr-defined]  # noqa: SLF001 - as its own makefile does
        return io.BufferedReader(_Within(self._sock, wait_s))


class _Answer(HTTPResponse):
    def __init__(self, sock: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(_Bounded(sock), *arguments, **options)  # type: ignore[arg-type]


class _Connection(HTTPConnection):
    response_class = _Answer


class _SecureConnection(HTTPSConnection):
    response_class = _Answer


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def bounded(manager: PoolManager) -> PoolManager:
    """Let the connections of a manager be such ones; those that it has already stay as they are."""
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
    return manager
